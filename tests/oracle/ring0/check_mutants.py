#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks records one by one (mutants.json) and asks whether ring0_oracle contradicts them: a check that finds nothing wrong
with a wrong record shows nothing.
Exit 0: each mutant is contradicted. 1: one is not, or does not apply any more. 77: no emulator here."""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77


def break_record(record, mutant):
    """Changes the entry that the mutant names; false when there is none."""
    key = "vector" if mutant["list"] == "faults" else "resource"
    entries = record.get(mutant["list"], [])
    for place, entry in enumerate(entries):
        if entry[key] != mutant["entry"]:
            continue
        if "resource" in mutant:
            entry["resource"] = mutant["resource"]
        elif mutant["when"] is None:
            del entries[place]
        else:
            entry["when"] = mutant["when"]
            if mutant["list"] == "writes":
                entry.setdefault("else", "ignored")
        return True
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--program", "--sources", "--scratch", "--specs"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.program = options.program.resolve()
    options.scratch.mkdir(parents=True, exist_ok=True)
    specs = options.scratch / "specs"
    shutil.rmtree(specs, ignore_errors=True)
    shutil.copytree(options.specs, specs)
    failed = False
    mutants = json.loads((options.sources / "mutants.json").read_text(encoding="utf-8"))["mutants"]
    for mutant in mutants:
        name = f"{mutant['form']} {mutant['list']} {mutant['entry']} (mode {mutant['mode']}: {mutant['why']})"
        family, document = next(((path, text) for path in (specs / "x86").glob("*.json") if f'"id": "{mutant["form"]}"' in (text := path.read_text(encoding="utf-8"))), (None, None))
        parsed = json.loads(document) if document else {}
        record = next((entry for entry in parsed.get("records", parsed.get("forms", [])) if entry.get("id") == mutant["form"]), None)
        if record is None or not break_record(record, mutant):
            print(f"{name}: the record has no such entry")
            failed = True
            continue
        family.write_text(json.dumps(parsed), encoding="utf-8")
        run = subprocess.run([options.program, "--sources", options.sources, "--scratch", options.scratch, "--specs", specs, "--mode", mutant["mode"], "--form", mutant["form"]],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        family.write_text(document, encoding="utf-8")
        if run.returncode == SKIPPED:
            print(run.stdout, end="")
            return SKIPPED
        if run.returncode != 1 or f"{mutant['mode']} {mutant['form']}:" not in run.stdout:
            print(f"{name}: exit code {run.returncode}, expected 1 and a contradiction\n{run.stdout}")
            failed = True
    print(f"{len(mutants)} mutants")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
