#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs `trapline verify-isa` as a test. Exit 77 where the host cannot contain instructions (the program's exit code 5),
otherwise the program's own."""
import argparse
import subprocess
import sys

HOST_LIMIT, SKIPPED = 5, 77


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("arguments", nargs="*", help="of verify-isa, behind --")
    options = parser.parse_args()
    code = subprocess.run([options.program, "verify-isa", *options.arguments], check=False).returncode
    return SKIPPED if code == HOST_LIMIT else code


if __name__ == "__main__":
    sys.exit(main())
