// SPDX-License-Identifier: Apache-2.0
// The statistics document keeps to its schema, and what reads counts out of it finds them.
#include "reports/stats_json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "reports/execution_counts.h"
#include "schema_validator.h"

using namespace trapline;

namespace {

RunStatistics sample() {
    RunStatistics statistics;
    statistics.image = "vmlinuz";
    statistics.sha256 = std::string(64, 'a');
    statistics.protocol = "Multiboot 1";
    statistics.command_line = "quiet \xff";
    statistics.memory = 1 << 28;
    statistics.technique = "trap";
    statistics.containment = {"no-new-privileges", "limits", "seccomp"};
    statistics.ending = "debug-exit";
    statistics.code = 1;
    statistics.wall = 1000;
    statistics.arrivals = {{{5, 500}, {2, 20}, {}, {}}};
    statistics.mnemonics = {{"popfd", {{{}, {2, 20}, {}, {}}}}, {"hlt", {{{5, 500}, {}, {}, {}}}}};
    for (const std::string_view name : {"entries", "signals", "hypercalls", "kicks", "interpreted"}) statistics.exits.emplace_back(name, 1);
    for (const std::string_view name : {"fills_mapped", "fills_faulted", "fills_interpreted", "fills_refused", "maps", "unmaps", "protects", "flushes", "code_pages_scanned", "code_writes"})
        statistics.mmu.emplace_back(name, 2);
    statistics.events = {{14, 3}, {32, 9}};
    statistics.sites = {{"", 0xC1000000, {0x9D}, "popfd", {{{}, {2, 20}, {}, {}}}}, {std::string(kOtherCode), 0x100000, {0xF4}, "hlt", {{{5, 500}, {}, {}, {}}}}};
    return statistics;
}

}  // namespace

TEST_CASE("A statistics document is valid, empty or not", "[reports]") {
    CHECK(tests::schema_faults("stats", reports::render_stats_json(sample())).empty());
    RunStatistics bare = sample();
    bare.sites.clear();
    bare.events.clear();
    bare.mnemonics.clear();
    bare.arrivals = {};
    CHECK(tests::schema_faults("stats", reports::render_stats_json(bare)).empty());
}

TEST_CASE("Counts are summed over the ways, and those that did not happen are left out", "[reports]") {
    const auto json = nlohmann::json::parse(reports::render_stats_json(sample()));
    CHECK(json["techniques"]["trap"]["count"] == 5);
    CHECK_FALSE(json["techniques"].contains("hypercall"));
    CHECK(json["mnemonics"][0]["executions"] == 2);
    CHECK(json["sites"][1]["bytes"] == "f4");
}

TEST_CASE("What plan --profile-data reads is there", "[reports]") {
    const auto counts = reports::parse_execution_counts(reports::render_stats_json(sample()), "stats.json");
    REQUIRE(counts);
    CHECK(counts->sha256 == std::string(64, 'a'));
    CHECK(counts->executions.at({"", 0xC1000000}) == 2);
    CHECK(counts->executions.at({"other", 0x100000}) == 5);
}
