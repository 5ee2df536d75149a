#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a small bzImage around a guest and holds the patches of its parts against Unicorn; exits as unicorn_oracle does."""
import pathlib
import subprocess
import sys

if len(sys.argv) != 4:
    sys.exit("usage: run_unicorn_bzimage.py ORACLE GUEST SCRATCH")
oracle, guest, scratch = sys.argv[1:]
image = pathlib.Path(scratch) / "small.bzimage"
image.parent.mkdir(parents=True, exist_ok=True)
maker = pathlib.Path(__file__).resolve().parent.parent / "lit" / "cli" / "make_bzimage.py"
subprocess.run([sys.executable, maker, guest, image], check=True)
sys.exit(subprocess.run([oracle, "--image", image, "--least", "8", "--states", "16"], check=False).returncode)
