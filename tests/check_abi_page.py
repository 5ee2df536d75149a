#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the tables of executor/ABI.md against the database: what stands between `<!-- table NAME -->` and `<!-- end -->`
must be what `trapline isa export --abi trapline --format markdown` prints under that name.
--rebase writes the tables anew. Exit 0: they agree, or were written. 1: they do not."""
import argparse
import pathlib
import re
import subprocess
import sys

TABLE = re.compile(r"^<!-- table (\w+) -->\n(.*?)^<!-- end -->\n", re.MULTILINE | re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--abi", default="trapline")
    parser.add_argument("--rebase", action="store_true")
    parser.add_argument("page", type=pathlib.Path)
    options = parser.parse_args()

    command = [options.program, "isa", "export", "--abi", options.abi, "--format", "markdown"]
    expected = dict(TABLE.findall(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    text = options.page.read_text(encoding="utf-8")
    present = dict(TABLE.findall(text))
    wrong = [f"the database has the table {name}, the page has not" for name in expected.keys() - present.keys()]
    wrong += [f"the page has the table {name}, the database has not" for name in present.keys() - expected.keys()]
    if options.rebase and not wrong:
        options.page.write_text(TABLE.sub(lambda m: f"<!-- table {m[1]} -->\n{expected[m[1]]}<!-- end -->\n", text), encoding="utf-8")
        return 0
    for name in sorted(expected.keys() & present.keys()):
        ours, theirs = present[name].splitlines(), expected[name].splitlines()
        for line in [f"- {row}" for row in ours if row not in theirs] + [f"+ {row}" for row in theirs if row not in ours]:
            wrong.append(f"table {name}: {line}")
        if ours != theirs and not any(row.startswith(f"table {name}: ") for row in wrong):
            wrong.append(f"table {name}: the rows stand in another order")
    for row in wrong:
        print(f"{options.page}: {row}")
    if wrong:
        print(f"write the tables anew with: python3 tests/check_abi_page.py --program {options.program} --rebase {options.page}")
    elif not expected:
        print("the program printed no table")
    return 1 if wrong or not expected else 0


if __name__ == "__main__":
    sys.exit(main())
