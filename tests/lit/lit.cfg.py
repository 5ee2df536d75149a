# SPDX-License-Identifier: Apache-2.0
# lit's configuration. Run through ctest (label lit), which names the program, the tools and a scratch folder.
import os
import sys

import lit.formats

config.name = "trapline"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".test"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = lit_config.params["scratch"]
tools = lit_config.params["llvm_tools"]
config.environment["PATH"] = tools + os.pathsep + os.environ["PATH"]
# Nothing of the user's may bear on a test, and nothing of a test on the user.
config.environment["HOME"] = config.test_exec_root
config.environment["XDG_CACHE_HOME"] = os.path.join(config.test_exec_root, "cache")
config.environment["NO_COLOR"] = "1"
# `expect N command...`: passes when the command ends with exit code N; `not` would take any failure, a crash included.
expect = os.path.join(config.test_source_root, "expect.sh")
config.substitutions.append(("%trapline", lit_config.params["program"]))
config.substitutions.append(("%expect", "sh " + expect))
config.substitutions.append(("%guests", lit_config.params["guests"]))
config.substitutions.append(("%{python}", sys.executable))
