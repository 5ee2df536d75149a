#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table runner itself: it must fail on a difference in any column, on a missing answer and on a broken table."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
HEADER = "mode\tbytes_hex\tprofile\tvalid\tlength\tmnemonic\tform\tprivileged\tcontrol_sensitive\tbehavior_sensitive\tcritical"
ROW = "32\t9D\tbase\tyes\t1\tpopfd\tpopf_o32\tno\tyes\tboth\tyes"


class Runner(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_with(self, table, answer, status=0):
        """Runs the runner over `table` with a program that answers `answer` whatever it is asked."""
        folder = pathlib.Path(self.folder.name)
        (folder / "table.tsv").write_text(table)
        (folder / "answer.tsv").write_text(answer)
        program = folder / "program"
        program.write_text(f"#!/bin/sh\ncat > /dev/null\ncat {folder}/answer.tsv\nexit {status}\n")
        program.chmod(0o755)
        return subprocess.run([sys.executable, HERE / "run_classify.py", "--program", program, folder / "table.tsv"],
                              capture_output=True, text=True, check=False)

    def table(self, row=ROW):
        return f"{HEADER}\twhy\n{row}\tbecause\n"

    def test_agreement(self):
        self.assertEqual(self.run_with(self.table(), f"{HEADER}\n{ROW}\n").returncode, 0)

    def test_each_column_is_compared(self):
        fields = ROW.split("\t")
        for column in range(3, len(fields)):
            answer = fields[:column] + ["other"] + fields[column + 1:]
            result = self.run_with(self.table(), HEADER + "\n" + "\t".join(answer) + "\n")
            self.assertEqual(result.returncode, 1, f"column {column}")
            self.assertIn(f"expected {fields[column]}", result.stdout)

    def test_star_is_not_compared(self):
        fields = ROW.split("\t")
        fields[6] = "*"
        self.assertEqual(self.run_with(self.table("\t".join(fields)), f"{HEADER}\n{ROW}\n").returncode, 0)

    def test_missing_answer(self):
        self.assertEqual(self.run_with(self.table(), f"{HEADER}\n").returncode, 4)

    def test_failing_program(self):
        self.assertEqual(self.run_with(self.table(), f"{HEADER}\n{ROW}\n", status=3).returncode, 4)

    def test_broken_tables(self):
        for table in ["", f"{HEADER}\twhy\n", "mode\n32\n", f"{HEADER}\twhy\n32\t9D\n"]:
            self.assertEqual(self.run_with(table, f"{HEADER}\n{ROW}\n").returncode, 1, table)


if __name__ == "__main__":
    unittest.main()
