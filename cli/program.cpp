// SPDX-License-Identifier: Apache-2.0
// Registration of the commands and the last line of defence against exceptions.
#include "cli/program.h"

#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <system_error>
#include <vector>

#include "cli/command.h"

namespace trapline::cli {

namespace {

/// Turns output that never arrived into an error: most commands print through buffers that fail at the end.
int finish_output(int code) {
    std::cout.flush();
    const bool lost = std::cout.fail() || std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
    if (!lost) return code;
    print_error(Error{ErrorCode::io, "cannot write", "standard output", std::nullopt, {}});
    return std::max<int>(code, kBadInput);
}

/// Words a wrong command line as every other error is worded. CLI11 misses the command before it looks at what came instead.
std::string usage_error(const CLI::App* app, const CLI::Error& error) {
    std::string text = fmt::format("trapline: error: {}", error.what());
    const std::vector<std::string> unknown = app->remaining(true);
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) && !unknown.empty()) text += fmt::format(", found \"{}\"", unknown[0]);
    return text + "\nRun with --help for more information.\n";
}

}  // namespace

int run_program(int argc, const char* const* argv) {
    std::signal(SIGPIPE, SIG_DFL);  // `trapline ... | head` ends quietly, as every filter does
    try {
        CLI::App app{"Trapline tells what an x86 kernel does that a deprivileged guest cannot get away with,\nand what to do about each place.", "trapline"};
        app.set_version_flag("--version", "trapline " TRAPLINE_VERSION);
        app.require_subcommand(1);
        app.failure_message(usage_error);
        app.fallthrough();
        GlobalOptions global;
        app.add_option("--isa-dir", global.isa_directory, "read the database from this folder instead of the built-in copy")->type_name("DIR");
        app.add_flag("-q,--quiet", global.quiet, "no progress and no notes");

        struct Registered {
            CLI::App* command;
            Run run;
        };
        std::vector<Registered> commands;
        for (AddCommand add : {add_audit, add_scan, add_classify, add_isa, add_verdict, add_plan, add_patch, add_verify, add_run, add_report, add_corpus, add_doctor, add_verify_isa, add_manual}) {
            CLI::App* command = nullptr;
            Run run = add(app, global, command);
            commands.push_back({command, std::move(run)});
        }
        // After the commands, which would inherit it.
        app.footer("Main job: trapline audit IMAGE...      Help on a command: trapline COMMAND --help");
        if (argc < 2) {
            fmt::print(stderr, "{}", app.help());
            return kUsage;
        }
        try {
            app.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            const int code = app.exit(error);  // prints help to stdout, or the error to stderr
            return code == 0 ? finish_output(kDone) : kUsage;
        }
        for (const Registered& registered : commands)
            if (registered.command->parsed()) return finish_output(registered.run());
        return kUsage;
    } catch (const std::bad_alloc&) {
        fmt::print(stderr, "trapline: error: out of memory\n");
        return kHostLimit;
    } catch (const std::system_error& error) {
        // fmt::print throws it when standard output cannot take more.
        print_error(Error{ErrorCode::io, error.what(), "standard output", std::nullopt, {}});
        return kBadInput;
    } catch (const std::exception& error) {
        fmt::print(stderr, "trapline: internal error: {}\nPlease report this with the input that caused it.\n", error.what());
        return kInternal;
    }
}

}  // namespace trapline::cli
