// SPDX-License-Identifier: Apache-2.0
// What the commands share: exit codes, the loaded database, printing of errors, and output files.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "classify/tags.h"
#include "isa/loader.h"
#include "support/error.h"

namespace trapline::cli {

/// Exit codes of the program (CLI.md, CONVENTIONS.md).
enum ExitCode : int { kDone = 0, kFindings = 1, kUsage = 2, kBadInput = 3, kInternal = 4, kHostLimit = 5 };

/// Options that come before or after any command.
struct GlobalOptions {
    std::string isa_directory;  ///< read the database from here instead of the compiled-in copy
    bool quiet = false;         ///< no progress, no notes
};

/// Registers one command; `run` is called after parsing and gives the exit code.
using Run = std::function<int()>;
using AddCommand = Run (*)(CLI::App& app, const GlobalOptions& global, CLI::App*& command);

/// A loaded database with the texts it views.
struct LoadedDatabase {
    std::vector<std::string> storage;
    std::vector<isa::SpecFile> files;
    isa::Database database;
};

/// Loads the database; on failure prints every error to stderr and gives null (exit code kBadInput).
std::unique_ptr<LoadedDatabase> load(const GlobalOptions& global);
/// Finds a profile by name; on failure names the known ones on stderr and gives null (exit code kUsage).
const isa::Profile* find_profile(const isa::Database& database, const std::string& name);

/// Finds a hypercall interface by name; on failure names the known ones on stderr and gives null (exit code kUsage).
const isa::Abi* find_abi(const isa::Database& database, const std::string& name);

/// Prints "trapline: error: ..." to stderr.
void print_error(const Error& error);
void print_warning(const std::string& text);
/// Maps an error to the exit code.
int exit_code(const Error& error);

/// Writes `text` to `path` through a temporary file in the same folder that is renamed at the end; "-" or "" is stdout.
/// After a failure the target is as it was.
Status write_output(const std::string& path, std::string_view text);

/// Says whether stderr is a terminal on which progress may be drawn, and stdout one on which colour may be used.
bool stderr_is_terminal();
bool use_colour();

/// Draws one progress line on stderr when it is a terminal and the work lasts longer than half a second.
class Progress {
public:
    explicit Progress(bool enabled);
    ~Progress();
    /// Shows what is being done and how far it is; `total` 0 for unknown. Safe from any thread, one call at a time.
    void update(std::string_view what, std::uint64_t done, std::uint64_t total);
    void clear();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

Run add_classify(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_isa(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_verdict(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_scan(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_audit(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_plan(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_patch(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_verify(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_report(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_corpus(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_doctor(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_run(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_verify_isa(CLI::App& app, const GlobalOptions& global, CLI::App*& command);
Run add_manual(CLI::App& app, const GlobalOptions& global, CLI::App*& command);

}  // namespace trapline::cli
