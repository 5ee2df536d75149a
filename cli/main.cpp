// SPDX-License-Identifier: Apache-2.0
// The program: parses argv, runs one command, turns every failure into a message and an exit code.
#include "cli/program.h"

int main(int argc, char** argv) { return trapline::cli::run_program(argc, argv); }
