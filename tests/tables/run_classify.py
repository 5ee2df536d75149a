#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `trapline classify --batch` with tables whose rows were worked out from the manuals.

A table is TSV with the header COLUMNS; `*` in an expected column is not checked; `why` is for people. Blank lines and
lines that begin with # are skipped. Prints each row that differs with what was expected and what came.
Exit 0: every row agrees. 1: some do not, or a table is malformed. 4: the program did not answer every row."""
import argparse
import pathlib
import subprocess
import sys

ASKED = ["mode", "bytes_hex", "profile"]
CHECKED = ["valid", "length", "mnemonic", "form", "privileged", "control_sensitive", "behavior_sensitive", "critical"]
COLUMNS = ASKED + CHECKED + ["why"]


class TableError(Exception):
    """A table or an answer that does not have the shape above."""


def read_table(path):
    """Gives the rows as (line number, {column: text})."""
    rows = []
    header = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if header is None:
            if fields != COLUMNS:
                raise TableError(f"{path}:{number}: found header {fields}, expected {COLUMNS}")
            header = fields
            continue
        if len(fields) != len(COLUMNS):
            raise TableError(f"{path}:{number}: found {len(fields)} fields, expected {len(COLUMNS)}")
        rows.append((number, dict(zip(header, fields))))
    if not rows:
        raise TableError(f"{path}: found no row: a table that checks nothing")
    return rows


def ask(program, rows):
    """Gives the program's answers in the order of `rows`."""
    question = "".join("\t".join(row[column] for column in ASKED) + "\n" for _, row in rows)
    result = subprocess.run([program, "classify", "--batch", "-"], input=question, text=True, capture_output=True, check=False)
    lines = result.stdout.splitlines()
    if result.returncode != 0 or len(lines) != len(rows) + 1:
        raise TableError(f"{program} classify --batch ended with {result.returncode} and {len(lines) - 1} answers, "
                         f"expected 0 and {len(rows)}\n{result.stderr.rstrip()}")
    if lines[0].split("\t") != ASKED + CHECKED:
        raise TableError(f"found answer header {lines[0]!r}, expected {ASKED + CHECKED}")
    answers = [dict(zip(ASKED + CHECKED, line.split("\t"))) for line in lines[1:]]
    for (number, row), answer in zip(rows, answers):
        if len(answer) != len(ASKED + CHECKED) or any(answer[column] != row[column] for column in ASKED):
            raise TableError(f"row {number}: answer {answer} is not to {[row[column] for column in ASKED]}")
    return answers


def differences(row, answer):
    """Gives (column, expected, got) for each checked column that differs."""
    return [(column, row[column], answer[column]) for column in CHECKED if row[column] != "*" and row[column] != answer[column]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="build/release/bin/trapline")
    parser.add_argument("tables", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    total = wrong = 0
    for path in arguments.tables:
        try:
            rows = read_table(path)
        except (TableError, OSError, UnicodeDecodeError) as error:
            print(error)
            return 1
        try:
            answers = ask(arguments.program, rows)
        except (TableError, OSError) as error:
            print(f"{path}: {error}")
            return 4
        total += len(rows)
        for (number, row), answer in zip(rows, answers):
            found = differences(row, answer)
            if not found:
                continue
            wrong += 1
            print(f"{path}:{number}: {row['mode']} {row['bytes_hex']} {row['profile']} ({row['why']})")
            for column, expected, got in found:
                print(f"    {column:18} expected {expected:24} got {got}")
    print(f"{total - wrong} of {total} rows agree ({100 * (total - wrong) / total:.2f} %)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
