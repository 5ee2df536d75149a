#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the executor beside QEMU's TCG, User-Mode Linux and the host, in one run. `./dev bench executor` starts it.

Parts: speed (boot and micro-benchmarks) and cycles (the operations of Adams and Agesen), which run unless parts are named;
systemd (Debian to its login prompt; needs root and debootstrap) and soak (mixed load for --minutes, by default 20).
What is missing here is said and left out. Exit 0: done. 1: the soak found something. 5: nothing could be measured."""
import argparse
import json
import os
import pathlib
import platform
import sys
import time

import adams_agesen
import soak
import speed
import systemd
from systems import ROOT, Files, Missing

PARTS = {"speed": speed.measure, "cycles": adams_agesen.measure, "systemd": systemd.measure, "soak": soak.measure}
DEFAULT_PARTS = ("speed", "cycles")
DONE, FOUND, HOST_LIMIT = 0, 1, 5


def say(text):
    print(f"executor: {text}", file=sys.stderr, flush=True)


def host():
    model = next((line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if line.startswith("model name")), "")
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release = ROOT / "build" / "release"
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--trapline", type=pathlib.Path, default=release / "bin" / "trapline")
    parser.add_argument("--guests", type=pathlib.Path, default=release / "bench" / "executor", help="where the workload has been built (default: %(default)s)")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build" / "bench" / "executor", help="for what is made once: plan, RAM disks, Debian")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "bench" / "executor.json")
    parser.add_argument("--kernel", type=pathlib.Path, help="a 32-bit Linux kernel instead of Debian's 686")
    parser.add_argument("--plan", type=pathlib.Path, help="its plan, instead of a new one")
    parser.add_argument("--systems", type=lambda text: text.split(","), help="only these: native, tcg, uml, trap, breakpoint, hypercall, auto, patched")
    parser.add_argument("--runs", type=int, default=3, help="of all benchmarks (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=4, help="further ones to the first output (default: %(default)s)")
    parser.add_argument("--memory", type=int, default=256, help="MiB (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one run (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=20, help="of soak (default: %(default)s)")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}")
    files = Files(options)
    document = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    document |= {"schema": "trapline.bench-executor/1", "host": host()}
    code, measured = DONE, False
    for part in options.parts or DEFAULT_PARTS:
        print(f"\n== {part} ({document['host']['cpu']}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f})", flush=True)
        try:
            document[part] = PARTS[part](files, options, say)
            measured = True
        except Missing as missing:
            say(f"{part} is left out: {missing}")
            continue
        if part == "soak" and document[part]["troubles"]:
            code = FOUND
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return code if measured else HOST_LIMIT


if __name__ == "__main__":
    sys.exit(main())
