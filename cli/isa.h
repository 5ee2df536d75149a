// SPDX-License-Identifier: Apache-2.0
// The subcommands of `trapline isa` that print what the database holds.
#pragma once

#include <string>

#include "cli/command.h"

namespace trapline::cli {

/// What the command line of `trapline isa list`, `show` and `stats` says.
struct IsaQuery {
    std::string profile = "base";
    std::string mode;    ///< empty for all
    std::string family;  ///< empty for all
    std::string form;    ///< form id or mnemonic
    bool profiles = false;
    bool abis = false;
};

/// Each prints to stdout and gives the exit code.
int list_forms(const IsaQuery& query, const isa::Database& database);
int show_form(const IsaQuery& query, const isa::Database& database);
int print_stats(const IsaQuery& query, const isa::Database& database);

}  // namespace trapline::cli
