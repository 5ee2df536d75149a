#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one libFuzzer program for some seconds from its seeds. New inputs go to a scratch folder, never into the tree.

Exit 0: nothing found. 1: a crash, a leak, a hang or too much memory; the input that shows it is kept and named.
77: the fuzz tree is not built."""
import argparse
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzzer", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=pathlib.Path, required=True, help="folder of inputs to start from")
    parser.add_argument("--scratch", type=pathlib.Path, required=True, help="folder for the working corpus and for findings")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    if not arguments.fuzzer.exists():
        print(f"skipped: {arguments.fuzzer} is not built (cmake --preset fuzz && "
              "cmake --build --preset fuzz --target trapline_fuzzers, as ./dev test does)")
        return SKIPPED
    seeds = sorted(path for path in arguments.seeds.glob("*") if path.is_file())
    if not seeds:
        print(f"found no seed in {arguments.seeds}: a fuzzer that starts from nothing tests nothing")
        return 1
    corpus, findings = arguments.scratch / "corpus", arguments.scratch / "findings"
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    findings.mkdir(parents=True, exist_ok=True)
    # liblzma asks for the dictionary that a file announces, up to 4 GiB, in one malloc, and touches of it only what it
    # decodes, which the loader limits: a large malloc is no finding, much resident memory is.
    result = subprocess.run([
        str(arguments.fuzzer), f"-max_total_time={arguments.seconds}", "-rss_limit_mb=2048", "-malloc_limit_mb=4608", "-timeout=20",
        "-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={findings}/", str(corpus), str(arguments.seeds)], check=False)
    if result.returncode != 0:
        print(f"the fuzzer ended with {result.returncode}; the input lies in {findings}")
    return 0 if result.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
