#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What run_guest.py accepts and refuses, with programs that print instead of guests that run.

Exit 0: as expected. 1: not so."""
import pathlib
import subprocess
import sys
import tempfile

RUNNER = pathlib.Path(__file__).resolve().parent / "run_guest.py"
HEADER = "line\texpected\ttcg\twhy\n"
# A stand-in for QEMU: prints what the guest's file says, ends with 1 as isa-debug-exit does for a pass.
EMULATOR = "#!/bin/sh\nfor last; do :; done\ncat \"$last\"\nexit 1\n"

# The same for --trapline, whose exit code is the guest's.
EXECUTOR = "#!/bin/sh\ncat \"$2\"\n"
TRAPLINE = ["--trapline"]
KEYLESS = "skip without protection keys: why\n"

# name, transcript, expected, TCG's differences or None or {suffix of the file: text}, arguments, exit code
CASES = [
    ("equal", "a\nb\n", "a\nb\n", None, [], 0),
    ("another line", "a\nc\n", "a\nb\n", None, [], 1),
    ("one line short", "a\n", "a\nb\n", None, [], 1),
    ("one line more", "a\nb\nc\n", "a\nb\n", None, [], 1),
    ("no line feed at the end", "a\nb", "a\nb\n", None, [], 1),
    ("a difference", "a\nx\n", "a\nb\n", HEADER + "2\tb\tx\twhy\n", [], 0),
    ("a difference that is none", "a\nb\n", "a\nb\n", HEADER + "2\tb\tx\twhy\n", [], 1),
    ("a difference of two lines", "x\ny\nb\n", "a\nb\n", HEADER + "1\ta\tx\\ny\twhy\n", [], 0),
    ("a line that is absent", "b\n", "a\nb\n", HEADER + "1\ta\t-\twhy\n", [], 0),
    ("a row of another transcript", "a\nx\n", "a\nb\n", HEADER + "2\tc\tx\twhy\n", [], 1),
    ("a row beyond the end", "a\nb\n", "a\nb\n", HEADER + "3\tb\tx\twhy\n", [], 1),
    ("a row without a reason", "a\nx\n", "a\nb\n", HEADER + "2\tb\tx\t\n", [], 1),
    ("no header", "a\nx\n", "a\nb\n", "2\tb\tx\twhy\n", [], 1),
    ("left out", "whatever\n", "a\nb\n", "skip: why\n", [], 77),
    ("left out in two lines", "whatever\n", "a\nb\n", "skip: why\nmore\n", [], 1),
    ("the executor: TCG's differences do not apply", "a\nx\n", "a\nb\n", HEADER + "2\tb\tx\twhy\n", TRAPLINE, 1),
    ("the executor: TCG's skip does not apply", "a\nb\n", "a\nb\n", "skip: why\n", TRAPLINE, 0),
    ("the executor: left out", "whatever\n", "a\nb\n", {"executor-difference": "skip: why\n"}, TRAPLINE, 77),
    ("the executor: no rows for it", "a\nx\n", "a\nb\n", {"executor-difference": HEADER + "2\tb\tx\twhy\n"}, TRAPLINE, 1),
    ("the executor: left out without protection keys", "a\n", "a\n", {"executor-difference": KEYLESS, "cpuinfo": "flags\t: fpu pku\n"}, TRAPLINE, 77),
    ("the executor: not left out with them", "a\n", "a\n", {"executor-difference": KEYLESS, "cpuinfo": "flags\t: fpu pku ospke\n"}, TRAPLINE, 0),
    ("the executor: not equal with them", "b\n", "a\n", {"executor-difference": KEYLESS, "cpuinfo": "flags\t: fpu pku ospke\n"}, TRAPLINE, 1),
    ("another program: differences do not apply", "a\nb\n", "a\nb\n", HEADER + "2\tb\tx\twhy\n", ["--program", "cat {guest}"], 0),
    ("another program: nothing is left out", "a\nb\n", "a\nb\n", "skip: why\n", ["--program", "cat {guest}"], 0),
    ("another program with another code", "a\n", "a\n", None, ["--program", "cat {guest}", "--pass-code", "3"], 1),
    ("no emulator", "a\n", "a\n", None, ["--program", "/nonexistent/emulator {guest}"], 77),
    ("one that does not end", "a\n", "a\n", None, ["--timeout", "0.2", "--program", "sleep 30"], 1),
]


def main():
    wrong = 0
    for name, transcript, expected, differences, arguments, code in CASES:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "emulator").write_text(EMULATOR, encoding="ascii")
            (folder / "emulator").chmod(0o755)
            (folder / "guest.elf").write_text(transcript, encoding="ascii")
            (folder / "guest.expected").write_text(expected, encoding="ascii")
            (folder / "executor").write_text(EXECUTOR, encoding="ascii")
            (folder / "executor").chmod(0o755)
            files = differences if isinstance(differences, dict) else {} if differences is None else {"tcg-differences": differences}
            for suffix, text in files.items():
                (folder / f"guest.{suffix}").write_text(text, encoding="ascii")
            where = ["--qemu", folder / "emulator"]
            if arguments == TRAPLINE:
                where = ["--trapline", folder / "executor", "--technique", "trap"]
                where += ["--cpuinfo", folder / "guest.cpuinfo"] if "cpuinfo" in files else []
            elif "--program" in arguments:
                where = arguments
            command = [sys.executable, RUNNER, *where, "--guests", folder, folder / "guest.expected"]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode != code:
                wrong += 1
                print(f"{name}: exit code {result.returncode}, expected {code}\n{result.stdout}{result.stderr}")
    print(f"{len(CASES) - wrong} of {len(CASES)} as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
