#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the counts of a scan against an independent count: objdump and a table of mnemonics.

    count_against_objdump.py --elf vmlinux --scan scan.json [--differences objdump-differences.json]

Every difference in the count of a mnemonic must be a row of the differences file that names the kernel's build id, the
mnemonic, the difference (scan minus objdump) and the reason; a row that no longer applies is an error, too. A kernel
that no row names (Debian's versions move on) may differ only in the mnemonics that rows of other kernels explain, and in
the same direction; how far is then reported, not judged.
Exit: 0 all equal or explained, 1 not, 2 usage, 3 bad input, 77 no objdump.
"""
import argparse
import collections
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys

# Words that objdump writes in front of a mnemonic.
PREFIXES = re.compile(r"^(?:(?:lock|rep[nz]*|bnd|notrack|xacquire|xrelease|data16|data32|addr16|addr32|[c-gs]s"
                      r"|rex(?:\.[WRXB]+)?|\{[a-z0-9]+\})\s+)+")

# What objdump (Intel syntax) calls instructions that have one name in the Intel manual and there need no look at operands.
SAME = set("""clac cli clgi clts clzero cpuid encls enclu enclv getsec hlt invd invept invlpg invlpga invlpgb invpcid invvpid
iretd iretq iretw lar lldt lmsw lsl lss lfs lgs lds les ltr monitor monitorx mwait mwaitx pconfig psmash pvalidate rdfsbase
rdgsbase rdmsr rdpid rdpkru rdpmc rdtsc rdtscp rmpadjust rmpupdate rsm senduipi skinit sldt smsw stac stgi sti str
stui swapgs syscall sysenter tlbsync tpause umonitor umwait uiret verr verw vmcall vmclear vmlaunch vmload vmmcall vmptrld
vmptrst vmread vmresume vmrun vmsave vmwrite vmxoff vmxon wbinvd wbnoinvd wrfsbase wrgsbase wrmsr wrpkru xgetbv xrstor
xrstor64 xrstors xrstors64 xsave xsave64 xsavec xsavec64 xsaveopt xsaveopt64 xsaves xsaves64 xsetbv arpl in out into""".split())
RENAMED = {"sgdtd": "sgdt", "sgdtw": "sgdt", "sidtd": "sidt", "sidtw": "sidt", "lgdtd": "lgdt", "lgdtw": "lgdt",
           "lidtd": "lidt", "lidtw": "lidt", "sgdt": "sgdt", "sidt": "sidt", "lgdt": "lgdt", "lidt": "lidt",
           "sysretd": "sysret", "sysretq": "sysret", "sysret": "sysret", "sysexitd": "sysexit", "sysexitq": "sysexit",
           "sysexit": "sysexit", "retf": "retf", "retfq": "retf", "retfd": "retf", "retfw": "retf", "lret": "retf"}
# Named by the code's width: {objdump: {32: name, 64: name}}.
BY_WIDTH = {"pushf": {32: "pushfd", 64: "pushfq"}, "popf": {32: "popfd", 64: "popfq"}, "iret": {32: "iretd", 64: "iretd"},
            "pushfw": {32: "pushf", 64: "pushf"}, "popfw": {32: "popf", 64: "popf"}}
SEGMENT = re.compile(r"^(?:cs|ds|es|fs|gs|ss)$")
SYSTEM_REGISTER = re.compile(r"^(?:cr|db|dr|tr)\d+$")
SIZES = {"BYTE": "b", "WORD": "w", "DWORD": "d"}

# What the scan lists but this count leaves alone, and why.
NOT_COMPARED = {"int3": "filler between functions is INT3, and where filler ends is for the sweep to say"}


def watched_mnemonic(text, width):
    """Gives the mnemonic under which a scan lists what objdump wrote, or None for what it does not list."""
    text = PREFIXES.sub("", text.strip())
    name, _, rest = text.partition(" ")
    operands = [o.strip() for o in re.sub(r"\s*[#<].*$", "", rest).split(",")]
    if name in SAME:
        return name
    if name in RENAMED:
        return RENAMED[name]
    if name in BY_WIDTH:
        return BY_WIDTH[name][width]
    if name == "mov" and any(SEGMENT.match(o) or SYSTEM_REGISTER.match(o) for o in operands):
        return name
    if name in ("push", "pop") and SEGMENT.match(operands[0]):
        return name
    if name in ("ins", "outs"):
        size = re.search(r"\b(BYTE|WORD|DWORD) PTR", rest)
        return name + (SIZES[size.group(1)] if size else "?")
    if name in ("call", "jmp") and (re.search(r"\b[FT](?:WORD|BYTE) PTR", rest) or re.match(r"0x[0-9a-f]+:0x", operands[0])):
        return name
    if name in ("ljmp", "lcall"):
        return name[1:]
    if name == "int" and operands[0]:
        return name
    return None


def count_objdump(objdump, elf, sections, width):
    command = [objdump, "-d", "-M", "intel", "--no-show-raw-insn"]
    for name in sections:
        command += ["-j", name]
    counts = collections.Counter()
    process = subprocess.Popen(command + [str(elf)], stdout=subprocess.PIPE, text=True, errors="replace")
    for line in process.stdout:
        _, tab, text = line.rstrip("\n").partition(":\t")
        if tab:
            counts[watched_mnemonic(text, width)] += 1
    if process.wait() != 0:
        sys.exit(f"{objdump} failed on {elf} with {process.returncode}")
    del counts[None]
    return counts


def documents(path):
    """Yields the scan documents of a file: one document, a list of them, an object with "images", or JSON lines."""
    text = sys.stdin.read() if path == "-" else pathlib.Path(path).read_text()
    try:
        roots = [json.loads(text)]
    except json.JSONDecodeError:
        roots = [json.loads(line) for line in text.splitlines() if line.strip()]
    while roots:
        root = roots.pop()
        if isinstance(root, list):
            roots += root
        elif isinstance(root, dict) and "findings" in root:
            yield root
        elif isinstance(root, dict):
            roots += [value for key, value in root.items() if key in ("images", "documents", "scans")]


def count_scan(document):
    counts = collections.Counter()
    for finding in document["findings"]:
        if finding["evidence"] != "hidden" and finding["mnemonic"] not in NOT_COMPARED:
            counts[finding["mnemonic"]] += 1
    return counts


def compare(scan, objdump, rows):
    """Gives a line for each unexplained difference and each row that explains nothing."""
    explained = {row["mnemonic"]: row for row in rows}
    errors = []
    for mnemonic in sorted(scan.keys() | objdump.keys() | explained.keys()):
        difference = scan[mnemonic] - objdump[mnemonic]
        row = explained.get(mnemonic)
        if row is None and difference != 0:
            errors.append(f"{mnemonic}: scan {scan[mnemonic]}, objdump {objdump[mnemonic]}, and no row explains {difference:+d}")
        elif row is not None and row["difference"] != difference:
            errors.append(f"{mnemonic}: scan {scan[mnemonic]}, objdump {objdump[mnemonic]}: the difference is "
                          f"{difference:+d}, the row says {row['difference']:+d}")
    return errors


def compare_unlisted(scan, objdump, rows):
    """The same for a kernel without rows of its own: direction and mnemonic must be those of another kernel's row."""
    known = {(row["mnemonic"], row["difference"] > 0): row for row in rows}
    errors, notes = [], []
    for mnemonic in sorted(scan.keys() | objdump.keys()):
        difference = scan[mnemonic] - objdump[mnemonic]
        if difference == 0:
            continue
        row = known.get((mnemonic, difference > 0))
        line = f"{mnemonic}: scan {scan[mnemonic]}, objdump {objdump[mnemonic]}"
        if row is None:
            errors.append(f"{line}, and no kernel's row explains {difference:+d}")
        else:
            notes.append(f"{line}: {difference:+d}, as in {row['kernel']}: {row['reason']}")
    return errors, notes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elf", required=True, type=pathlib.Path, help="the decompressed kernel")
    parser.add_argument("--scan", required=True, help="scan.json of it, profile base; - for stdin")
    parser.add_argument("--differences", type=pathlib.Path,
                        default=pathlib.Path(__file__).with_name("objdump-differences.json"))
    parser.add_argument("--objdump", default="objdump")
    arguments = parser.parse_args()
    if shutil.which(arguments.objdump) is None:
        print(f"{arguments.objdump} is not installed (package binutils)")
        return 77

    elf = arguments.elf.read_bytes()
    if elf[:4] != b"\x7fELF" or elf[4] not in (1, 2):
        print(f"{arguments.elf}: begins with {elf[:5].hex()}, expected an ELF file (7f454c46, then class 1 or 2)", file=sys.stderr)
        return 3
    digest = hashlib.sha256(elf).hexdigest()
    document = next((d for d in documents(arguments.scan) if d["image"]["sha256"] == digest), None)
    if document is None:
        print(f"{arguments.scan}: no document is of the image with sha256 {digest} ({arguments.elf})", file=sys.stderr)
        return 3

    sections = [s["name"] for s in document["sections"]]
    scan = count_scan(document)
    objdump = count_objdump(arguments.objdump, arguments.elf, sections, 32 if elf[4] == 1 else 64)
    every_row = json.loads(arguments.differences.read_text())["rows"]
    rows = [r for r in every_row if r["build_id"] == document["image"]["build_id"]]
    if rows:
        errors, notes = compare(scan, objdump, rows), [f"{row['mnemonic']}: {row['difference']:+d}, {row['reason']}" for row in rows]
    else:
        errors, notes = compare_unlisted(scan, objdump, every_row)
    print(f"{document['image']['name']}: {len(scan.keys() | objdump.keys())} mnemonics, {sum(scan.values())} instructions in the scan, "
          f"{sum(objdump.values())} by objdump; {len(notes)} differences explained, {len(errors)} not")
    for note in notes:
        print(f"  {note}")
    for error in errors:
        print(f"  unexplained: {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
