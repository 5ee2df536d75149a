#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scans a guest of the tree and holds the findings to a table written by hand: none may be missing, none unlisted.

A table begins with `# image: FILE` (below --guests) and, where needed, `# arguments: ...`, then TSV with the header COLUMNS.
`place` is symbol+0xN or an address. Exit 0: the findings are exactly the rows. 1: they are not, or a table is malformed.
4: the program failed or its document lacks what is compared."""
import argparse
import json
import pathlib
import shlex
import subprocess
import sys

COLUMNS = ["place", "mode", "mnemonic", "critical", "evidence", "why"]


def read_table(path):
    """Gives (image, arguments, rows); a row is {column: text} with the line number under "line"."""
    image, arguments, rows, header = None, [], [], None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("# image: "):
            image = line.removeprefix("# image: ").strip()
        elif line.startswith("# arguments: "):
            arguments = shlex.split(line.removeprefix("# arguments: "))
        elif line.strip() and not line.startswith("#"):
            fields = line.split("\t")
            if header is None:
                header = fields
                if fields != COLUMNS:
                    raise ValueError(f"{path}:{number}: found header {fields}, expected {COLUMNS}")
            elif len(fields) != len(COLUMNS):
                raise ValueError(f"{path}:{number}: found {len(fields)} fields, expected {len(COLUMNS)}")
            else:
                rows.append(dict(zip(COLUMNS, fields), line=number))
    if image is None or not rows:
        raise ValueError(f"{path}: found image {image} and {len(rows)} rows, expected an image and at least one row")
    return image, arguments, rows


def key_of_row(row):
    return row["place"], row["mode"], row["mnemonic"], row["critical"], row["evidence"]


def key_of_finding(finding):
    """The same five columns of a finding of the scan document."""
    place = f"{finding['symbol']}+{finding['symbol_offset']:#x}" if finding["symbol"] else finding["address"]
    place = place if "+" in place else f"{int(place, 16):#x}"
    return place, str(finding["mode"]), finding["mnemonic"], "yes" if finding["critical"] else "no", finding["evidence"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="build/release/bin/trapline")
    parser.add_argument("--guests", type=pathlib.Path, default=pathlib.Path("build/release/corpus/guests"))
    parser.add_argument("table", type=pathlib.Path)
    options = parser.parse_args()
    try:
        image, arguments, rows = read_table(options.table)
    except (OSError, ValueError) as error:
        print(error)
        return 1
    command = [options.program, "scan", "--format", "json", "--profile", "base", *arguments, str(options.guests / image)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        if result.returncode != 0:
            raise ValueError(f"exit code {result.returncode}\n{result.stderr.rstrip()}")
        findings = [key_of_finding(finding) for finding in json.loads(result.stdout)["findings"]]
    except (ValueError, KeyError, TypeError) as error:
        print(f"{shlex.join(command)}: {error!r}")
        return 4
    expected = [key_of_row(row) for row in rows]
    wrong = 0
    for row, key in zip(rows, expected):
        if key not in findings:
            wrong += 1
            print(f"{options.table}:{row['line']}: missing {' '.join(key)} ({row['why']})")
            for near in (finding for finding in findings if finding[0] == row["place"]):
                print(f"    got {' '.join(near)}")
    for key in findings:
        if key not in expected:
            wrong += 1
            print(f"{options.table}: not listed: {' '.join(key)}")
    if len(set(findings)) != len(findings):
        wrong += 1
        print(f"{options.table}: a finding is there twice")
    print(f"{len(rows)} rows, {len(findings)} findings, {wrong} difference(s)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
