#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The dependency rules of the tree, as data, held against every #include of analyzer/, executor/, reports/ and cli/.

A module may include its own headers, those of the modules that MODULES names for it, and what those may include
themselves (their headers bring it along). Library headers stay in the files that LIBRARIES names.
Exit 0: the rules hold. 1: they do not, each breach on a line of its own."""
import argparse
import fnmatch
import pathlib
import re
import sys

EVERYTHING = "*"
# Result documents: plain data that renderers may see.
DOCUMENTS = {"scan/finding.h", "patch/plan.h", "patch/cost.h", "patch/abi_distance.h", "patch/proof/verify_report.h", "executor/host/run_statistics.h"}
PLAN_DOCUMENT = {"scan/finding.h", "patch/plan.h"}
MODULES = {
    "support": set(),
    "isa": {"support"},
    "image": {"support"},
    "classify": {"isa", "support"},
    "decode": {"isa", "support"},
    "scan": {"decode", "classify", "image"},
    "patch": {"scan", "decode", "image"},
    "executor": {"decode", "classify", "isa", "image"} | PLAN_DOCUMENT,
    "reports": {"support"} | DOCUMENTS,
    "cli": {EVERYTHING},
}
# Include prefix -> the files that may use it.
LIBRARIES = {
    "capstone/": ["analyzer/decode/capstone_*.cpp"],
    "llvm/": ["analyzer/decode/llvm_*.cpp", "analyzer/image/*.cpp"],
    "archive": ["analyzer/image/*"],
    "zlib.h": ["analyzer/image/lzo.cpp", "analyzer/image/xz_block.cpp"],
    "lzma": ["analyzer/image/compress.cpp", "analyzer/image/xz_block.cpp"],
    "lz4hc": ["analyzer/image/compress.cpp"],
    "valijson/": ["analyzer/isa/schema_check.cpp"],
    "nlohmann/": ["analyzer/isa/json_reader.h", "analyzer/isa/format.cpp", "analyzer/isa/schema_check.cpp", "reports/*", "cli/*"],
    "tbb/": ["analyzer/scan/*.cpp", "analyzer/patch/proof/verify.cpp", "executor/*", "cli/*"],
    "CLI/": ["cli/*"],
    "spdlog/": ["cli/*"],
    "iostream": ["cli/*", "analyzer/image/open.cpp"],  # open.cpp: "-" is standard input
}
# classify is pure: no files, no clock, no randomness, no threads.
FORBIDDEN = {"classify": ["fstream", "iostream", "filesystem", "chrono", "ctime", "random", "thread", "mutex", "unistd.h", "sys/*"]}
# Written into the build tree by an analyzer/<module>/CMakeLists.txt.
GENERATED = re.compile(r"\w+\.inc|trapline_abi\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def closure(module):
    """Gives the modules and single headers that `module` may include, its own folder among them."""
    allowed, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in allowed:
            continue
        allowed.add(name)
        waiting.extend(MODULES.get(name, ()))
    return allowed


def source_files(root):
    """Gives (module, path relative to root) of every source file."""
    for folder in sorted((root / "analyzer").iterdir()) + [root / "executor", root / "reports", root / "cli"]:
        if folder.is_dir():
            for path in sorted(folder.rglob("*")):
                if path.suffix in {".h", ".cpp", ".inc"}:
                    yield folder.name, path.relative_to(root)


def breaches_of(root, module, path):
    """Gives the breaches of one file as (line number, text)."""
    if module not in MODULES:
        return [(1, f"module \"{module}\" is not in the table of tests/check_includes.py")]
    allowed = closure(module)
    found = []
    for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, name = match.group(1) == '"', match.group(2)
        for prefix, files in LIBRARIES.items():
            inside = name.startswith(prefix) if prefix.endswith("/") else name.split(".")[0].split("_")[0] == prefix
            if not quoted and inside and not any(fnmatch.fnmatch(str(path), pattern) for pattern in files):
                found.append((number, f"<{name}> belongs into {' or '.join(files)}"))
        if any(fnmatch.fnmatch(name, pattern) for pattern in FORBIDDEN.get(module, ())):
            found.append((number, f"<{name}>: {module} is pure"))
        if not quoted or ("/" not in name and GENERATED.fullmatch(name)):
            continue
        if not any((root / base / name).is_file() for base in ("analyzer", ".")):
            found.append((number, f'"{name}" is no header of the tree (write it as "module/file.h")'))
        elif EVERYTHING not in allowed and name not in allowed and name.split("/")[0] not in allowed:
            found.append((number, f'"{name}": {module} may include only {", ".join(sorted(allowed))}'))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    files = breaches = 0
    for module, path in source_files(root):
        files += 1
        for number, text in breaches_of(root, module, path):
            breaches += 1
            print(f"{path}:{number}: {text}")
    print(f"{files} files, {breaches} breach(es) of the dependency rules")
    if files == 0:
        print(f"found no source below {root}")
    return 1 if breaches or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
