// SPDX-License-Identifier: Apache-2.0
// Entry of the command line, callable from tests.
#pragma once

namespace trapline::cli {

/// Runs one command line and gives its exit code. Prints to stdout and stderr; throws nothing.
int run_program(int argc, const char* const* argv);

}  // namespace trapline::cli
