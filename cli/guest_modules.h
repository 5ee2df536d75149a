// SPDX-License-Identifier: Apache-2.0
// The modules that `trapline run` gives to a Multiboot guest.
#pragma once

#include <string>
#include <vector>

#include "executor/boot/boot.h"
#include "support/error.h"

namespace trapline::cli {

/// A module as the command line names it: FILE or FILE=TEXT, where TEXT is what the guest gets as the module's command line, FILE if it is
/// not given.
struct GuestModule {
    std::string file, text, bytes;
};

/// Takes an argument apart at its first "=".
GuestModule parse_module(const std::string& argument);
/// Reads the files; "-" is standard input. Fails with `io`, and with `refused` beyond 1 GiB in one file.
Result<std::vector<GuestModule>> read_modules(const std::vector<std::string>& arguments);
/// The same as the loaders take them; keeps references to `modules`.
std::vector<executor::BootModule> boot_modules(const std::vector<GuestModule>& modules);

}  // namespace trapline::cli
