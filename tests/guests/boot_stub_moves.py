#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots a stock bzImage under QEMU with its boot stub patched, and no VMM: what moves itself has to take its stubs along.

In the plan each site's code in a stub of the boot stub becomes the instruction that it stands for, filled up with NOPs, so that the
jumps there and back, the moved neighbours and the stubs' place are what gets tested. The kernel inside is not patched.
Exit 0: the kernel got to its shell. 1: it did not. 77: kernel, BusyBox or QEMU cannot be had."""
import argparse
import collections
import json
import pathlib
import shutil
import subprocess
import sys
import time

import boot_kernel
import initramfs

QEMU = "qemu-system-i386"
NOP = b"\x90"


def harmless(plan):
    """Gives the plan's patches of the boot stub alone, which ask nothing of a VMM."""
    sites = {(site["part"], site["address"]): bytes.fromhex(site["bytes"]) for site in plan["sites"] if site["patch"] is not None}
    kept = [number for number, patch in enumerate(plan["patches"]) if patch["part"] == "stub"]
    stubs = sorted(stub for number in kept for stub in plan["patches"][number]["stubs"])
    for number in kept:
        patch = plan["patches"][number]
        for stub in (plan["stubs"][stub] for stub in patch["stubs"]):
            code, steps = bytearray.fromhex(stub["bytes"]), stub["steps"]
            for step, after in zip(steps, [*(step["offset"] for step in steps[1:]), len(code)]):
                place, original = step["guest_address"], sites.get(("stub", step["guest_address"]))
                if original is not None and int(patch["begin"], 16) <= int(place, 16) < int(patch["end"], 16):
                    code[step["offset"]:after] = original.ljust(after - step["offset"], NOP)
            stub["bytes"] = code.hex()
        patch["stubs"] = [stubs.index(stub) for stub in patch["stubs"]]
    numbers = {number: place for place, number in enumerate(kept)}
    for site in plan["sites"]:
        if site["patch"] is not None and site["patch"] not in numbers:
            site.update(patch=None, resume=None, technique="trap")
        elif site["patch"] is not None:
            site["patch"] = numbers[site["patch"]]
    plan["patches"] = [plan["patches"][number] for number in kept]
    plan["stubs"] = [plan["stubs"][stub] for stub in stubs]
    writes = [write for patch in plan["patches"] for write in patch["writes"]]
    plan["totals"].update(patches=len(kept), stubs=len(stubs), written_bytes=sum(len(write["new_bytes"]) // 2 for write in writes),
                          stub_bytes=sum(len(stub["bytes"]) // 2 for stub in plan["stubs"]),
                          by_technique=dict(collections.Counter(site["technique"] for site in plan["sites"])))
    return plan


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the trapline program")
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("--timeout", type=float, default=300, help="seconds for the boot")
    parser.add_argument("names", nargs="+", help="kernels of the catalogue, the best first")
    options = parser.parse_args()
    if shutil.which(QEMU) is None:
        print(f"skipped: {QEMU} is not installed")
        return boot_kernel.SKIPPED
    try:
        kernel = next((path for path in (boot_kernel.fetch(options.program, name) for name in options.names) if path), None)
        shell = boot_kernel.fetch(options.program, "busybox-i386")
    except boot_kernel.Failure as failure:
        print(failure)
        return 1
    if kernel is None or shell is None:
        print("skipped: kernel or BusyBox cannot be fetched here (the reasons are above)")
        return boot_kernel.SKIPPED
    options.scratch.mkdir(parents=True, exist_ok=True)
    disk, plan, image = (options.scratch / name for name in ("initrd.gz", "plan.json", "patched"))
    disk.write_bytes(initramfs.busybox(shell.read_bytes()))
    subprocess.run([options.program, "--quiet", "plan", kernel, "-o", plan], check=True)
    document = harmless(json.loads(plan.read_text(encoding="utf-8")))
    if not document["patches"]:
        print("the plan has no patch in the boot stub, expected some")
        return 1
    plan.write_text(json.dumps(document), encoding="utf-8")
    subprocess.run([options.program, "--quiet", "patch", kernel, "--plan", plan, "-o", image], check=True)
    command = [QEMU, "-accel", "tcg", "-m", "256", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-kernel", image, "-initrd", disk,
               "-append", "console=ttyS0 quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            boot_kernel.Console(process, time.monotonic() + options.timeout).expect(b"userspace")
        except boot_kernel.Failure as failure:
            print(failure)
            return 1
        finally:
            process.kill()
    print(f"{len(document['patches'])} patches of the boot stub: the kernel got to its shell")
    return 0


if __name__ == "__main__":
    sys.exit(main())
