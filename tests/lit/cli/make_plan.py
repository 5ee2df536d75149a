#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make_plan.py ELF PLAN: writes the plan of one breakpoint at the first byte of .text, and nothing else."""
import hashlib
import json
import struct
import sys

data = open(sys.argv[1], "rb").read()
wide = data[4] == 2
table, = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)
size, count, names = struct.unpack_from("<HHH", data, 58 if wide else 46)


def section(index):
    """Gives name offset, address, file offset and size of a section."""
    layout = "<II QQQQ" if wide else "<II IIII"
    name, _, _, address, offset, length = struct.unpack_from(layout, data, table + index * size)
    return name, address, offset, length


strings = section(names)[2]
for number in range(count):
    name, address, offset, _ = section(number)
    if data[strings + name:].startswith(b".text\0"):
        break
write = {"what": "breakpoint", "section": ".text", "address": hex(address), "file_offset": offset,
         "old_bytes": data[offset:offset + 1].hex(), "new_bytes": "cc"}
patch = {"technique": "breakpoint", "part": "", "begin": hex(address), "end": hex(address + 1), "atomic": True, "writes": [write],
         "stubs": [], "moved": [], "evidence": []}
digest = hashlib.sha256(data).hexdigest()
plan = {"schema": "trapline.plan/1", "program_version": "0", "database_version": "0", "profile": "base", "abi": "trapline",
        "abi_version": "1.0", "technique": "auto", "image": {"name": "guest", "sha256": digest, "build_id": ""},
        "parts": [{"part": "", "sha256": digest, "build_id": "", "architecture": "x86_64" if wide else "i386", "size": len(data),
                   "relocatable": False}],
        "reserved": [],
        "totals": {"sites": 0, "critical": 0, "unplanned": 0, "unplanned_critical": 0, "patches": 1, "written_bytes": 1, "stubs": 0,
                   "stub_bytes": 0, "by_technique": {}},
        "notes": [], "sites": [], "patches": [patch], "stubs": []}
with open(sys.argv[2], "w", encoding="utf-8") as out:
    json.dump(plan, out)
