// SPDX-License-Identifier: Apache-2.0
// Sub-processes: output, exit codes, signals, pipelines, limits.
#include <catch2/catch.hpp>

#include "cli/subprocess.h"

using namespace trapline;
using namespace trapline::cli;

TEST_CASE("A program's output, errors and exit code come back", "[cli]") {
    const auto outcome = run_process({"sh", "-c", "echo out; echo err >&2; exit 7"});
    REQUIRE(outcome);
    CHECK(outcome->status == 7);
    CHECK(outcome->output == "out\n");
    CHECK(outcome->errors == "err\n");
}

TEST_CASE("Arguments reach the program as they are, no shell in between", "[cli]") {
    const auto outcome = run_process({"printf", "%s|%s", "a b; echo $HOME", "`id`"});
    REQUIRE(outcome);
    CHECK(outcome->output == "a b; echo $HOME|`id`");
}

TEST_CASE("Each program of a pipeline reads what the one before wrote", "[cli]") {
    const auto outcome = run_pipeline({{"printf", "b\\na\\n"}, {"sort"}, {"tr", "a-z", "A-Z"}});
    REQUIRE(outcome);
    CHECK(outcome->status == 0);
    CHECK(outcome->output == "A\nB\n");
}

TEST_CASE("The status is that of the first program that failed", "[cli]") {
    const auto outcome = run_pipeline({{"sh", "-c", "exit 3"}, {"cat"}, {"sh", "-c", "exit 5"}});
    REQUIRE(outcome);
    CHECK(outcome->status == 3);
}

TEST_CASE("A program ended by a signal gives 128 and the signal", "[cli]") {
    const auto outcome = run_process({"sh", "-c", "kill -KILL $$"});
    REQUIRE(outcome);
    CHECK(outcome->status == 128 + 9);
}

TEST_CASE("A program that is not there is an error of the host", "[cli]") {
    for (const auto& programs : std::vector<std::vector<Arguments>>{{{"no-such-program-here"}}, {{"printf", "x"}, {"no-such-program-here"}}}) {
        const auto outcome = run_pipeline(programs);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error().code == ErrorCode::host_limit);
        CHECK(outcome.error().message.find("no-such-program-here") != std::string::npos);
    }
}

TEST_CASE("Output without end is refused and its writer ended", "[cli]") {
    const auto outcome = run_process({"yes"});
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == ErrorCode::refused);
}

TEST_CASE("Standard input is empty and the folder is the one asked for", "[cli]") {
    const auto input = run_process({"cat"});
    REQUIRE(input);
    CHECK(input->output.empty());
    const auto folder = run_process({"pwd"}, "/");
    REQUIRE(folder);
    CHECK(folder->output == "/\n");
}
