#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Debian's Memtest86+ (32-bit) with `trapline run` in every technique up to its last test, and leaves it by ESC.

It copies itself to and fro below 4 MiB and writes over where it was, with paging on, at full speed. Its console is the serial line.
Numbers and names of the tests are held to what QEMU's TCG shows of the same file. The image comes through `trapline corpus fetch`.
Exit 0: no errors found, the last test reached, ended by its reset. 1: not so. 77: the image or QEMU cannot be had."""
import argparse
import os
import pathlib
import re
import selectors
import shutil
import subprocess
import sys
import time

import run_guest
from boot_gnumach import QEMU, SKIPPED, TECHNIQUES
from boot_kernel import Failure, fetch

LAST = b"Bit fade"
TEST = re.compile(rb"#(\d+) +\[([^\]]*)\]")
LINE = "console=ttyS0,115200 nosmp"


def play(command, timeout):
    """Runs `command` until the last test shows, then types ESC and waits for its end; gives the console and the exit code."""
    seen, deadline = b"", time.monotonic() + timeout
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        left = False
        while True:
            if not selector.select(max(0, deadline - time.monotonic())):
                process.kill()
                raise Failure(f"waited in vain for {'its end' if left else LAST}; the last that was seen: {seen[-200:]!r}")
            got = os.read(process.stdout.fileno(), 65536)
            if not got:
                return seen, process.wait()
            seen += got
            if not left and LAST in seen:
                process.stdin.write(b"\x1b")
                process.stdin.flush()
                left = True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True, help="the trapline program")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for each run")
    options = parser.parse_args()
    program = str(options.program.resolve())
    if shutil.which(QEMU) is None:
        print(f"skipped: {QEMU} is not installed")
        return SKIPPED
    try:
        image = fetch(program, "memtest86plus-ia32")
        if image is None:
            print("skipped: memtest86plus-ia32 cannot be fetched here (the reasons are above)")
            return SKIPPED
        qemu = [QEMU, "-M", "isapc", "-nodefaults", "-vga", "std", "-accel", "tcg", "-cpu", run_guest.CPU, "-m", "16", "-display", "none", "-serial", "stdio", "-no-reboot",
                "-kernel", str(image), "-append", LINE]
        wanted = dict(TEST.findall(play(qemu, options.timeout)[0]))
    except Failure as failure:
        print(failure)
        return 1
    failures = 0
    for technique in TECHNIQUES:
        begun = time.monotonic()
        try:
            console, code = play([program, "run", str(image), "--technique", technique, "-m", "16M", "--append-exact", "--append", LINE], options.timeout)
            got = dict(TEST.findall(console))
            errors = set(re.findall(rb"Errors: (\d+)", console))
            # Either shows a screen every two seconds, so not every test.
            if any(wanted.get(number, name) != name for number, name in got.items()) or errors != {b"0"} or code != 0:
                raise Failure(f"tests {got}, expected names as in {wanted}; errors {errors}, expected 0; ended with {code}, expected 0")
            print(f"{technique}: {time.monotonic() - begun:.1f} s, {len(got)} tests shown, no error")
        except Failure as failure:
            failures += 1
            print(f"{technique}: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
