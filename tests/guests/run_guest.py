#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a guest of corpus/guests/run and holds its serial transcript to NAME.expected, byte for byte.

Where it runs: --qemu (TCG, a virtual CPU like the executor's; the default), --trapline with --technique, or --program, a
command with {guest} in it. Under QEMU the rows of NAME.tcg-differences apply: what TCG prints where it departs from the
manual, in TSV of the columns COLUMNS. `line` counts in NAME.expected, `expected` is that line again, `tcg` what stands there
instead (\\n between lines, `-` for none). The rows are held both ways: a line that TCG gets right after all fails too. Where
TCG loses its way the file is one line, `skip: WHY`. So is NAME.executor-difference, for --trapline: what the executor does not do, or
`skip without protection keys: WHY` for what it does on processors that have them alone (with_protection_keys.py runs it on such a one).
NAME.boot, where there is one, says with what the guest is started: lines `append COMMAND LINE`, `module FILE TEXT`, the file beside it, and
`vga` for a guest that needs one under QEMU, `apic` for one that needs APICs. NAME.screen, where there is one, is what --trapline --screen prints at the end.
With --grub GRUB loads the guest by Multiboot 2 (grub_image.py), under TCG; no rows apply then.
Exit 0: equal, and the guest ended with its pass code. 1: not so. 77: the program is missing, or a file says that it cannot."""
import argparse
import difflib
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

import grub_image

COLUMNS = ["line", "expected", "tcg", "why"]
SKIPPED = 77
KEYLESS = "skip without protection keys: "
# The virtual CPU of the executor: no APIC, SEP, NX or VME.
CPU = ("base,level=1,family=6,model=8,stepping=1,"
       + ",".join("+" + feature for feature in "fpu de pse tsc msr pae cx8 pge cmov mmx fxsr sse sse2".split()))
# isa-debug-exit ends QEMU with 2 * value + 1; a guest that passes writes 0.
QEMU_PASS, TRAPLINE_PASS = 1, 0


def read_differences(path, expected):
    """Gives {line number: lines that TCG prints there}; raises ValueError where a row does not match the transcript."""
    differences = {}
    lines = [line for line in path.read_text(encoding="ascii").splitlines() if line and not line.startswith("#")]
    if not lines or lines[0].split("\t") != COLUMNS:
        raise ValueError(f"{path}: expected the header {COLUMNS}")
    for line in lines[1:]:
        fields = line.split("\t")
        if len(fields) != len(COLUMNS) or "" in fields or not fields[0].isdigit():
            raise ValueError(f"{path}: found {line!r}, expected a line number and {len(COLUMNS) - 1} fields, none empty")
        number = int(fields[0])
        found = expected[number - 1] if 1 <= number <= len(expected) else "no such line"
        if found != fields[1]:
            raise ValueError(f"{path}: line {number} of the transcript is {found!r}, the row says {fields[1]!r}")
        differences[number] = [] if fields[2] == "-" else fields[2].split("\\n")
    return differences


def apply_differences(expected, differences):
    """Gives the expected lines, those that TCG prints otherwise replaced."""
    result = []
    for number, line in enumerate(expected, 1):
        result += differences.get(number, [line])
    return result


def reason_to_skip(path):
    """Gives the line `skip: WHY` or KEYLESS that a file of differences consists of, or None; a file that is absent gives none."""
    text = path.read_text(encoding="ascii").strip() if path.exists() else ""
    return text if text.startswith(("skip: ", KEYLESS)) and "\n" not in text else None


def has_protection_keys(cpuinfo):
    """Whether the kernel has switched them on."""
    return "ospke" in cpuinfo.read_text(encoding="utf-8").split()


def read_boot(path):
    """Gives the command line, the modules (path, text), QEMU's options and the executor's of a .boot file; of one that is absent, none."""
    line, modules, devices, ours = "", [], [], []
    for row in path.read_text(encoding="ascii").splitlines() if path.exists() else []:
        key, _, value = row.partition(" ")
        if key == "append":
            line = value
        elif key == "module":
            name, _, text = value.partition(" ")
            modules.append((path.parent / name, text))
        elif row == "vga":
            devices = ["-vga", "std"]
        elif row == "apic":
            devices, ours = [*devices, "-cpu", CPU + ",+apic"], ["--apic"]
        elif not row.startswith("#"):
            raise ValueError(f"{path}: found {row!r}, expected `append COMMAND LINE`, `module FILE TEXT`, `vga` or `apic`")
    return line, modules, devices, ours


def qemu(options, kernel, more=()):
    """Gives QEMU's command."""
    return [options.qemu, "-nodefaults", "-accel", "tcg", "-cpu", CPU, "-m", "32", "-display", "none", "-serial", "stdio",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-no-reboot", "-kernel", str(kernel), *more]


def command_of(options, guest, boot):
    """Gives the command and the exit code that says pass."""
    line, modules, devices, ours = boot
    if options.program:
        return [word.replace("{guest}", str(guest)) for word in shlex.split(options.program)], options.pass_code
    if options.trapline:
        more = ours + (["--append", line] if line else [])
        more += ["--screen"] if options.expected.with_suffix(".screen").exists() else []
        for path, text in modules:
            more += ["--module", f"{path}={text}"]
        return [options.trapline, "run", str(guest), "--technique", options.technique, *more], TRAPLINE_PASS
    if options.grub:
        # A VGA: GRUB tells of the text screen only where there is one.
        return qemu(options, options.grub, ["-vga", "std"]), QEMU_PASS
    more = devices + (["-append", line] if line else [])
    if modules:
        # The path stands where the text has its first word; a comma separates modules, two are one comma.
        more += ["-initrd", ",".join(" ".join([str(path), *text.split(" ")[1:]]).replace(",", ",,") for path, text in modules)]
    return qemu(options, guest, more), QEMU_PASS


def run(command, timeout):
    """Gives standard output, what is to be said of standard error, and the exit code or why there is none."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        return result.stdout, result.stderr, result.returncode
    except subprocess.TimeoutExpired as expired:
        return expired.stdout or b"", expired.stderr or b"", f"a timeout after {timeout:g} s"


def compare(options, guest, wanted, command_and_code):
    """Runs the guest and holds its transcript to `wanted`; gives the exit code."""
    command, pass_code = command_and_code
    if shutil.which(command[0]) is None:
        print(f"{command[0]} is not installed")
        return SKIPPED
    output, errors, ending = run(command, options.timeout)
    got = output.decode("utf-8", errors="backslashreplace").splitlines(keepends=True)
    if got == wanted and ending == pass_code:
        return 0
    print(shlex.join(command))
    for line in difflib.unified_diff(wanted, got, "expected", "transcript", n=2):
        print(line.rstrip("\n"))
    print(f"ended with {ending}, expected {pass_code}")
    print(errors.decode(errors="backslashreplace")[-2000:])
    return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--qemu", default="qemu-system-i386", help="the emulator's program (default: %(default)s)")
    where.add_argument("--trapline", help="the trapline program; needs --technique")
    where.add_argument("--program", help="a command; {guest} stands for the guest's file")
    where.add_argument("--grub", action="store_true", help="GRUB loads the guest, under QEMU")
    parser.add_argument("--technique", help="for --trapline")
    parser.add_argument("--pass-code", type=int, default=0, help="for --program: its exit code when the guest passes")
    parser.add_argument("--guests", type=pathlib.Path, default=pathlib.Path("build/release/corpus/guests/run"))
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--cpuinfo", type=pathlib.Path, default=pathlib.Path("/proc/cpuinfo"), help="what the processor has (default: %(default)s)")
    parser.add_argument("expected", type=pathlib.Path, help="corpus/guests/run/NAME.expected")
    options = parser.parse_args()
    if options.trapline and not options.technique:
        parser.error("--trapline needs --technique")
    guest = options.guests / (options.expected.stem + ".elf")
    wanted = options.expected.read_text(encoding="ascii").splitlines(keepends=True)
    differences_file = options.expected.with_suffix(".executor-difference" if options.trapline else ".tcg-differences")
    reason = None if options.program or options.grub else reason_to_skip(differences_file)
    if reason and not (reason.startswith(KEYLESS) and has_protection_keys(options.cpuinfo)):
        print(reason)
        return SKIPPED
    if not reason and not options.program and not options.grub and differences_file.exists():
        if options.trapline:
            print(f"{differences_file}: expected one line, skip: WHY or {KEYLESS}WHY")
            return 1
        try:
            lines = [line.rstrip("\n") for line in wanted]
            wanted = [line + "\n" for line in apply_differences(lines, read_differences(differences_file, lines))]
        except ValueError as error:
            print(error)
            return 1
    screen = options.expected.with_suffix(".screen")
    if options.trapline and screen.exists():
        wanted += screen.read_text(encoding="utf-8").splitlines(keepends=True)
    if not guest.exists():
        print(f"{guest} has not been built (target trapline_guests)")
        return 1
    try:
        boot = read_boot(options.expected.with_suffix(".boot"))
    except ValueError as error:
        print(error)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        if options.grub:
            if reason := grub_image.missing():
                print(reason)
                return SKIPPED
            options.grub = pathlib.Path(scratch) / "image"
            grub_image.write(options.grub, guest, *boot[:2], pathlib.Path(scratch))
        return compare(options, guest, wanted, command_of(options, guest, boot))


if __name__ == "__main__":
    sys.exit(main())
