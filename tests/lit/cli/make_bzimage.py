#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_bzimage.py ELF OUT: a bzImage (Documentation/arch/x86/boot.rst) around a 32-bit ELF file, with a boot stub that has critical
instructions. What follows the ELF looks like a kernel's relocation table and compresses badly, so that patching has room."""
import gzip
import random
import struct
import sys

SETUP = 2 * 512
HEAD = bytes.fromhex("fc9c5889c1509d")     # cld; pushfd; pop eax; mov ecx, eax; push eax; popfd
TEXT = bytes.fromhex("31c00fa289c3c390")   # xor eax, eax; cpuid; mov ebx, eax; ret; nop
DATA = bytes.fromhex("9c5889c10fa289c3")   # after the code, reached by nothing: reads as pushfd and cpuid

elf = open(sys.argv[1], "rb").read()
chance = random.Random(1)
elf += struct.pack("<I", 0) + b"".join(struct.pack("<I", chance.randrange(1, 1 << 32)) for _ in range(0x4000))
payload = gzip.compress(elf, mtime=0)
head_size = 0x40
payload_at = head_size
text_at = payload_at + len(payload)
jump = b"\xe9" + struct.pack("<i", text_at - (len(HEAD) + 5))
head = (HEAD + jump).ljust(head_size, b"\xcc")
code = head + payload + TEXT + struct.pack("<II", len(payload), len(elf)) + DATA
code = code.ljust((len(code) + 15 + 4) // 16 * 16 - 4, b"\0") + bytes(4)
setup = bytearray(SETUP)
setup[0] = 0xEA
struct.pack_into("<B", setup, 0x1F1, 1)
struct.pack_into("<I", setup, 0x1F4, len(code) // 16)
struct.pack_into("<H", setup, 0x1FE, 0xAA55)
setup[0x200:0x202] = b"\xeb\x6a"
setup[0x202:0x206] = b"HdrS"
struct.pack_into("<H", setup, 0x206, 0x20F)
struct.pack_into("<II", setup, 0x248, payload_at, len(payload))
struct.pack_into("<I", setup, 0x260, 0x200000)
setup[0x26C:0x270] = bytes.fromhex("9cfaebfc")  # pushf; cli; jmp: real-mode code
with open(sys.argv[2], "wb") as out:
    out.write(bytes(setup) + code)
