#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots Debian's GNU Mach with `trapline run` and under QEMU's TCG, and holds the one console to the other.

Twice: with corpus/guests/mach/task.S as boot module, which runs in user mode in every technique; and with nothing to start, where the
kernel panics and resets the machine. The kernel comes through `trapline corpus fetch`. Lines that may differ are in DIFFERENCES.
Exit 0: equal but for those. 1: not so. 77: the kernel or QEMU cannot be had."""
import argparse
import calendar
import difflib
import os
import pathlib
import re
import selectors
import shutil
import subprocess
import sys
import time

import run_guest
from boot_kernel import HOST_LIMIT, Failure, fetch

SKIPPED, QEMU = 77, "qemu-system-i386"
TECHNIQUES = ["trap", "breakpoint", "hypercall", "auto"]
TASK_ENDS, KERNEL_ENDS = b"task: end", b"No bootstrap code loaded with the kernel!"
# Whose lines, which, why. QEMU's machine is its PC without PCI (isapc), whose firmware speaks of PCI all the same.
DIFFERENCES = [
    ("qemu", r"biosmem: 0000000000fffc0000:.*reserved", "firmware at the top of 4 GiB"),
    ("qemu", r"pcibios_init : .*", "firmware with the BIOS32 services"),
    ("qemu", r"Probing PCI hardware\.", "firmware with the BIOS32 services"),
    ("qemu", r"FDC 0 is a S82078B", "a floppy disk controller"),
    ("trapline", r"pcibios_init: Not supported chipset for direct PCI access !", "no PCI, and no firmware that says so"),
    ("trapline", r"pci_init: no BIOS32 detected", "no firmware"),
    ("trapline", r"qlogicisp : PCI bios not present", "no firmware"),
    ("trapline", r"floppy0: no floppy controllers found", "no floppy disk controller"),
]
RTC = re.compile(r"RTC time is (\d+-\d+-\d+ \d+:\d+:\d+)")
CLOCK_SLACK = 30  # seconds at most between the guest reading its clock and this program looking


def console(command, end, folder, timeout):
    """Runs `command` until its output has the line of `end`, or it ends; gives the output. Raises Failure."""
    seen, deadline = b"", time.monotonic() + timeout
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        while end not in seen:
            if not selector.select(max(0, deadline - time.monotonic())):
                break
            got = os.read(process.stdout.fileno(), 65536)
            if not got:
                break
            seen += got
        process.kill()
        errors = process.stderr.read().decode(errors="backslashreplace")
    if end not in seen:
        raise Failure(f"waited for {end!r} in vain\n--- the console ends with:\n{seen.decode(errors='backslashreplace')[-2000:]}\n--- standard error:\n{errors[-2000:]}")
    return seen[:seen.index(end) + len(end)].decode("ascii", errors="backslashreplace")


def lines_of(text, side):
    """Gives the lines without those that may differ; the clock has been held to this machine's, the count of free pages is left out."""
    # A SCSI probe writes over the line of the one before.
    lines = [line.rstrip() for line in re.split(r"\r|\n|\x1b\[K", text)]
    allowed = [re.compile(pattern) for whose, pattern, _ in DIFFERENCES if whose == side]
    result = []
    for line in lines:
        if not line or any(pattern.fullmatch(line) for pattern in allowed):
            continue
        if match := RTC.fullmatch(line):
            off = calendar.timegm(time.strptime(match[1], "%Y-%m-%d %H:%M:%S")) - time.time()
            line = "RTC time is right" if abs(off) <= CLOCK_SLACK else f"RTC time is {off:g} s off"
        result.append(re.sub(r"free: \d+ ", "free: n ", line))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True, help="the trapline program")
    parser.add_argument("--task", type=pathlib.Path, required=True, help="corpus/guests/mach/task.S, linked")
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("--timeout", type=float, default=120, help="seconds for each boot")
    options = parser.parse_args()
    if shutil.which(QEMU) is None:
        print(f"skipped: {QEMU} is not installed")
        return SKIPPED
    try:
        kernel = fetch(str(options.program.resolve()), "gnumach-i386")
    except Failure as failure:
        print(failure)
        return 1
    if kernel is None:
        print("skipped: gnumach-i386 cannot be fetched here (the reasons are above)")
        return SKIPPED
    scratch = options.scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    shutil.copy(options.task, scratch / "task")
    # QEMU does not unpack Multiboot kernels.
    with open(scratch / "gnumach", "wb") as unpacked:
        subprocess.run(["gzip", "-dc", kernel], stdout=unpacked, check=True)
    qemu = [QEMU, "-M", "isapc", "-nodefaults", "-accel", "tcg", "-cpu", run_guest.CPU, "-m", "256", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", "gnumach", "-append", "console=com0"]
    trapline = [str(options.program.resolve()), "run", str(kernel), "--append", "console=com0", "--technique"]
    start = "task $(task-create) $(task-resume)"
    failures = 0
    for end, by_qemu, by_trapline, techniques in [(TASK_ENDS, ["-initrd", start], ["--module", "task=" + start], TECHNIQUES), (KERNEL_ENDS, [], [], TECHNIQUES[:1])]:
        try:
            wanted = lines_of(console(qemu + by_qemu, end, scratch, options.timeout), "qemu")
        except Failure as failure:
            print(f"under QEMU: {failure}")
            return 1
        for technique in techniques:
            begun = time.monotonic()
            try:
                got = lines_of(console([*trapline, technique, *by_trapline], end, scratch, options.timeout), "trapline")
            except Failure as failure:
                got = [str(failure)]
            print(f"{technique}, to {end.decode()!r}: {time.monotonic() - begun:.1f} s, {len(got)} lines")
            for line in difflib.unified_diff(wanted, got, "qemu", technique, n=2, lineterm=""):
                print(line)
            failures += got != wanted
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
