#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots a stock kernel with `trapline run` to a BusyBox shell on the serial line, works there and switches off.

Kernel and BusyBox come through `trapline corpus fetch`. Each of CASES is one boot; those of PATCHED_CASES start from a patched bzImage. What the shell prints is held against
answers from outside the guest: Python's own arithmetic and hashes.
Exit 0: every boot did all of it and ended with 0. 1: one did not. 77: kernel or BusyBox cannot be fetched."""
import argparse
import hashlib
import os
import pathlib
import selectors
import subprocess
import sys
import time

import initramfs

SKIPPED, HOST_LIMIT = 77, 5
PROMPT = b"# "
CASES = [
    ["--technique", "trap"],
    ["--technique", "breakpoint"],
    ["--technique", "hypercall"],
    ["--technique", "auto"],
    ["--technique", "trap", "--relocate", "--memory", "64M"],
    ["--technique", "trap", "--memory", "2G"],
]
# PLAN stands for the plan that the image was patched with.
PATCHED_CASES = [
    ["--technique", "trap"],
    ["--technique", "hypercall", "--plan", "PLAN"],
    ["--technique", "auto"],
]


class Failure(Exception):
    """A boot that did not go as it should."""


def fetch(program, name):
    """Gives the path of a file of the catalogue, None where it cannot be had."""
    fetched = subprocess.run([program, "--quiet", "corpus", "fetch", name], stdout=subprocess.PIPE, text=True, check=False)
    if fetched.returncode == HOST_LIMIT:
        return None
    if fetched.returncode != 0:
        raise Failure(f"corpus fetch {name} ended with {fetched.returncode}, expected 0 or {HOST_LIMIT}")
    return pathlib.Path(fetched.stdout.strip())


class Console:
    """The guest's serial line."""

    def __init__(self, process, deadline):
        self.process, self.deadline, self.seen = process, deadline, b""
        self.selector = selectors.DefaultSelector()
        self.selector.register(process.stdout, selectors.EVENT_READ)

    def expect(self, text):
        """Waits until the guest prints `text`; what came before it is forgotten."""
        while text not in self.seen:
            if not self.selector.select(max(0, self.deadline - time.monotonic())):
                raise Failure(f"waited for {text!r} in vain")
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                raise Failure(f"the run ended before {text!r} came")
            self.seen += got
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def say(self, line):
        """Types a line at the prompt."""
        self.expect(PROMPT)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


def work(console, busybox):
    """A session in the guest's shell."""
    console.expect(b"userspace")
    console.say("echo sum=$((1234 * 5678))")
    console.expect(b"sum=%d" % (1234 * 5678))
    console.say("sha256sum /bin/busybox")
    console.expect(hashlib.sha256(busybox).hexdigest().encode())
    # Processes, pipes and a file in the guest's memory.
    console.say("for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i | tr a-z A-Z >> /tmp/f; done; sort -r /tmp/f | head -n 1")
    console.expect(b"LINE 9")
    console.say("sleep 1; echo slept")
    console.expect(b"slept\r\n")
    console.say("poweroff -f")
    console.expect(b"reboot: ")


def make_patched(program, kernel, scratch):
    """Plans and patches a bzImage, verifies the result; gives it and its plan."""
    plan, patched = scratch / "plan.json", scratch / "patched"
    for command in (["plan", kernel, "-o", plan], ["patch", kernel, "--plan", plan, "-o", patched], ["verify", patched, "--plan", plan]):
        done = subprocess.run([program, "--quiet", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{command[0]} ended with {done.returncode}, expected 0\n{done.stdout}")
    return patched, plan


def boot(command, busybox, timeout):
    """Runs one boot; raises Failure."""
    begun = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        console = Console(process, begun + timeout)
        try:
            work(console, busybox)
            process.stdin.close()
            code = process.wait(max(1, console.deadline - time.monotonic()))
        except (Failure, subprocess.TimeoutExpired, OSError) as failure:
            process.kill()
            rest = console.seen.decode(errors="backslashreplace")[-3000:]
            errors = process.stderr.read().decode(errors="backslashreplace")
            raise Failure(f"{failure}\n--- the serial line ends with:\n{rest}\n--- standard error:\n{errors}") from failure
        if code != 0:
            raise Failure(f"ended with {code}, expected 0\n{process.stderr.read().decode(errors='backslashreplace')}")
    return time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the trapline program")
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("--timeout", type=float, default=60, help="seconds for each boot")
    parser.add_argument("names", nargs="+", help="kernels of the catalogue, the best first")
    options = parser.parse_args()
    try:
        kernel = next((path for path in (fetch(options.program, name) for name in options.names) if path), None)
        shell = fetch(options.program, "busybox-i386")
    except Failure as failure:
        print(failure)
        return 1
    if kernel is None or shell is None:
        print(f"skipped: {', '.join(options.names) if kernel is None else 'busybox-i386'} cannot be fetched here (the reasons are above)")
        return SKIPPED
    busybox = shell.read_bytes()
    options.scratch.mkdir(parents=True, exist_ok=True)
    disk = options.scratch / "initrd.gz"
    disk.write_bytes(initramfs.busybox(busybox))
    failures = 0
    boots = [(kernel, case) for case in CASES]
    try:
        patched, plan = make_patched(options.program, kernel, options.scratch)
        boots += [(patched, [str(plan) if word == "PLAN" else word for word in case]) for case in PATCHED_CASES]
    except Failure as failure:
        failures += 1
        print(failure)
    for image, case in boots:
        command = [options.program, "run", str(image), "--initrd", str(disk), *case]
        try:
            print(f"{image.name} {' '.join(case)}: {boot(command, busybox, options.timeout):.1f} s")
        except Failure as failure:
            failures += 1
            print(f"{' '.join(command)}: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
