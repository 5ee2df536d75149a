#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The include lint must refuse what the dependency table forbids and accept what it allows."""
import pathlib
import tempfile
import unittest

import check_includes


class Rules(unittest.TestCase):
    def breaches(self, path, line):
        """Breaches of a one-line file that stands at `path` in a tree with one header a module."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for header in ["support/error.h", "isa/record.h", "classify/tags.h", "image/image.h", "decode/decoder.h", "scan/finding.h", "scan/scanner.h"]:
                (root / "analyzer" / header).parent.mkdir(parents=True, exist_ok=True)
                (root / "analyzer" / header).write_text("")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(line + "\n")
            module = path.split("/")[1] if path.startswith("analyzer/") else path.split("/")[0]
            return check_includes.breaches_of(root, module, pathlib.Path(path))

    def test_allowed(self):
        for path, line in [("analyzer/isa/a.cpp", '#include "support/error.h"'), ("analyzer/scan/a.cpp", '#include "isa/record.h"'),
                           ("reports/a.cpp", '#include "scan/finding.h"'), ("executor/a.cpp", '#include "scan/finding.h"'),
                           ("analyzer/decode/llvm_witness.cpp", "#include <llvm/MC/MCInst.h>"), ("cli/a.cpp", '#include "scan/scanner.h"'),
                           ("analyzer/image/a.cpp", "#include <archive_entry.h>")]:
            self.assertEqual(self.breaches(path, line), [], (path, line))

    def test_forbidden(self):
        for path, line in [("analyzer/support/a.cpp", '#include "isa/record.h"'), ("analyzer/image/a.cpp", '#include "isa/record.h"'),
                           ("analyzer/classify/a.cpp", '#include "image/image.h"'), ("analyzer/decode/a.cpp", '#include "image/image.h"'),
                           ("reports/a.cpp", '#include "image/image.h"'), ("reports/a.cpp", '#include "scan/scanner.h"'),
                           ("executor/a.cpp", '#include "scan/scanner.h"'), ("analyzer/scan/a.cpp", "#include <llvm/MC/MCInst.h>"),
                           ("analyzer/scan/a.cpp", "#include <nlohmann/json.hpp>"), ("analyzer/classify/a.cpp", "#include <chrono>"),
                           ("analyzer/isa/a.cpp", '#include "isa/missing.h"'), ("analyzer/isa/a.cpp", '#include "record.h"'),
                           ("analyzer/unknown/a.cpp", '#include "isa/record.h"'), ("analyzer/isa/a.cpp", "#include <capstone/capstone.h>"),
                           ("analyzer/scan/a.cpp", "#include <iostream>")]:
            self.assertEqual(len(self.breaches(path, line)), 1, (path, line))


if __name__ == "__main__":
    unittest.main()
