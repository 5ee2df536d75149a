#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scans a stock kernel and holds the counts to objdump's (count_against_objdump.py).

The kernel comes through `trapline corpus fetch`, the first name that can be had. Its payload is taken out of the bzImage
here, by the boot protocol's header, so that the program's own decompression is judged as well: scanning the bzImage must
give the payload's findings. The peers must decode the payload's code as we do, but for rows with a reason.
Exit 0: all agrees. 1: it does not. 77: no kernel can be fetched."""
import argparse
import json
import lzma
import pathlib
import shutil
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED, HOST_LIMIT = 77, 5
# Fewer findings than this in a stock kernel mean that most of the code was not looked at.
FEWEST_FINDINGS = 3000


def payload(bzimage):
    """Gives the decompressed payload of a bzImage (Documentation/arch/x86/boot.rst: 01f1, 0248, 024c)."""
    if bzimage[0x202:0x206] != b"HdrS":
        raise ValueError(f"found {bzimage[0x202:0x206]!r} at 0x202, expected HdrS")
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    packed = bzimage[begin:begin + length]
    if packed[:6] != b"\xfd7zXZ\x00":
        raise ValueError(f"payload begins with {packed[:6].hex()}, expected xz (stock kernels)")
    return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed)


def scan(program, path, output):
    """Runs the scan and gives the document."""
    subprocess.run([program, "scan", "--quiet", "--profile", "base", "--format", "json", "-o", output, path], check=True)
    return json.loads(pathlib.Path(output).read_text(encoding="utf-8"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--decode-sweep", required=True, help="the program of this name, which holds decoders against each other")
    parser.add_argument("--scratch", type=pathlib.Path, required=True)
    parser.add_argument("names", nargs="+", help="names of the catalogue, the best first")
    options = parser.parse_args()
    path = None
    for name in options.names:
        fetched = subprocess.run([options.program, "--quiet", "corpus", "fetch", name], stdout=subprocess.PIPE, text=True, check=False)
        if fetched.returncode not in (0, HOST_LIMIT):
            print(f"corpus fetch {name} ended with {fetched.returncode}, expected 0 or {HOST_LIMIT}")
            return 1
        if fetched.returncode == 0:
            path = pathlib.Path(fetched.stdout.strip())
            break
    if path is None:
        print(f"skipped: none of {', '.join(options.names)} can be fetched here (the reasons are above)")
        return SKIPPED
    if shutil.which("objdump") is None:
        print("skipped: no objdump (package binutils)")
        return SKIPPED
    options.scratch.mkdir(parents=True, exist_ok=True)
    elf = options.scratch / "payload.elf"
    elf.write_bytes(payload(path.read_bytes()))
    document = scan(options.program, elf, options.scratch / "payload.json")
    wrapped = scan(options.program, path, options.scratch / "bzimage.json")
    inner = [finding for finding in wrapped["findings"] if finding["part"] == "payload"]
    strip = lambda findings: [{key: value for key, value in finding.items() if key != "part"} for finding in findings]
    failed = False
    if strip(inner) != strip(document["findings"]):
        print(f"{path}: the bzImage's payload gives {len(inner)} findings, the payload by itself {len(document['findings'])}, or others")
        failed = True
    if len(document["findings"]) < FEWEST_FINDINGS or document["image"]["symbol_source"] != "kallsyms":
        print(f"{path}: found {len(document['findings'])} findings and symbols from {document['image']['symbol_source']}, "
              f"expected at least {FEWEST_FINDINGS} and kallsyms")
        failed = True
    # Every executable byte of the kernel: lengths and validity by LLVM MC, Capstone and Zydis.
    decoded = subprocess.run([options.decode_sweep, elf], stdout=subprocess.PIPE, text=True, check=False)
    print(decoded.stdout.strip().splitlines()[-1] if decoded.stdout.strip() else "decode_sweep said nothing")
    if decoded.returncode != 0:
        print(decoded.stdout)
        failed = True
    counted = subprocess.run([sys.executable, HERE / "count_against_objdump.py", "--elf", elf, "--scan", options.scratch / "payload.json"], check=False)
    if counted.returncode == 0 and not failed:
        elf.unlink()
    return 1 if failed or counted.returncode not in (0, SKIPPED) else counted.returncode


if __name__ == "__main__":
    sys.exit(main())
