#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs guests of corpus/guests/run in every technique on a processor that has protection keys: QEMU's, under a stock amd64 kernel.

Memory that can be executed and not read is what such a processor has over others. `trapline run` and the libraries that it is linked to
go into an initial RAM disk with the guests; what they print comes back by the second serial line and is held to NAME.expected, byte for byte.
Exit 0: all equal. 1: one is not. 77: kernel, BusyBox or QEMU cannot be had."""
import argparse
import difflib
import pathlib
import re
import shutil
import subprocess
import sys

import boot_kernel
import initramfs

QEMU = "qemu-system-x86_64"
# TCG (7.2) pops what IRET takes as the supervisor would, at ring 3 too: with SMAP each return from the monitor would fault.
CPU = "max,-smap"
SKIPPED = 77
TECHNIQUES = ["trap", "breakpoint", "hypercall", "auto"]
# The second serial line carries the transcripts alone: the kernel writes to the first.
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox stty -F /dev/ttyS1 raw
/bin/busybox grep -q -w ospke /proc/cpuinfo && echo keys > /dev/ttyS1
for guest in {guests}; do for technique in {techniques}; do
/bin/trapline run /guests/$guest.elf --technique $technique > /out 2> /err < /dev/null
echo "begin $guest $technique $?" > /dev/ttyS1
/bin/busybox cat /out > /dev/ttyS1
echo "end of transcript" > /dev/ttyS1
/bin/busybox cat /err > /dev/ttyS0
done; done
/bin/busybox poweroff -f
"""


def libraries(program):
    """Gives {path: file} of what the dynamic linker loads for the program, itself included."""
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {path: pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", listed)}


def make_disk(options, busybox, names):
    """Gives the initial RAM disk, not compressed: what the processor here is, unpacking would take longest."""
    stripped = options.scratch / "trapline"
    subprocess.run(["objcopy", "--strip-debug", options.program, stripped], check=True)
    files = {**libraries(options.program), "/bin/trapline": stripped, "/bin/busybox": busybox}
    files |= {f"/guests/{name}.elf": options.guests / f"{name}.elf" for name in names}
    archive = initramfs.Archive()
    folders = {str(parent) for path in files for parent in pathlib.PurePath(path).parents if str(parent) != "/"} | {"/dev", "/proc"}
    for folder in sorted(folders):
        archive.folder(folder[1:])
    archive.device("dev/console", 5, 1)
    for path, file in files.items():
        archive.file(path[1:], file.read_bytes())
    archive.file("init", INIT.format(guests=" ".join(names), techniques=" ".join(TECHNIQUES)).encode())
    return archive.bytes(compressed=False)


def read_runs(serial):
    """Gives {(guest, technique): (exit code, transcript)} of the second serial line, and whether there were keys."""
    begun = re.compile(rb"begin (\w+) (\w+) (\d+)\n(.*?)end of transcript\n", re.DOTALL)
    return {(name.decode(), technique.decode()): (int(code), text) for name, technique, code, text in begun.findall(serial)}, serial.startswith(b"keys\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the trapline program")
    parser.add_argument("--guests", type=pathlib.Path, required=True, help="where NAME.elf lies")
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("--timeout", type=float, default=600, help="seconds for all")
    parser.add_argument("--kernel", action="append", required=True, help="kernels of the catalogue, the best first")
    parser.add_argument("expected", nargs="+", type=pathlib.Path, help="corpus/guests/run/NAME.expected")
    options = parser.parse_args()
    try:
        kernel = next((path for path in (boot_kernel.fetch(options.program, name) for name in options.kernel) if path), None)
        shell = boot_kernel.fetch(options.program, "busybox-i386")
    except boot_kernel.Failure as failure:
        print(failure)
        return 1
    if kernel is None or shell is None or shutil.which(QEMU) is None:
        print(f"skipped: {QEMU if kernel and shell else 'kernel or busybox-i386'} cannot be had here (the reasons are above)")
        return SKIPPED
    options.scratch.mkdir(parents=True, exist_ok=True)
    disk, serial, console = options.scratch / "initrd", options.scratch / "transcripts", options.scratch / "console"
    disk.write_bytes(make_disk(options, shell, [path.stem for path in options.expected]))
    command = [QEMU, "-nodefaults", "-accel", "tcg", "-cpu", CPU, "-m", "1024", "-display", "none", "-serial", f"file:{console}", "-serial", f"file:{serial}",
               "-no-reboot", "-kernel", str(kernel), "-initrd", str(disk), "-append", "console=ttyS0 quiet panic=-1"]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=options.timeout, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as failure:
        print(f"{failure}\n--- the console ends with:\n{console.read_text(errors='backslashreplace')[-3000:]}")
        return 1
    disk.unlink()
    runs, keys = read_runs(serial.read_bytes())
    wrong = 0
    if not keys:
        wrong += 1
        print("the kernel did not switch protection keys on")
    for path in options.expected:
        wanted = path.read_text(encoding="ascii").splitlines(keepends=True)
        for technique in TECHNIQUES:
            code, text = runs.get((path.stem, technique), (None, b""))
            got = text.decode(errors="backslashreplace").splitlines(keepends=True)
            if got == wanted and code == 0:
                continue
            wrong += 1
            print(f"{path.stem}, {technique}: ended with {code}, expected 0")
            sys.stdout.writelines(difflib.unified_diff(wanted, got, "expected", "transcript", n=2))
    if wrong:
        print(f"--- the console ends with:\n{console.read_text(errors='backslashreplace')[-3000:]}")
    print(f"{len(options.expected) * len(TECHNIQUES)} runs, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
