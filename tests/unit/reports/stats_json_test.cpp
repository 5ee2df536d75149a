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
    statistics.host = {400, 65'530, 1, 1 << 28};
    statistics.arrivals = {{{5, 500}, {2, 20}, {}, {}}};
    statistics.mnemonics = {{"popfd", {{{}, {2, 20}, {}, {}}}}, {"hlt", {{{5, 500}, {}, {}, {}}}}};
    for (const std::string_view name : {"entries", "signals", "hypercalls", "kicks", "interpreted"}) statistics.exits.emplace_back(name, 1);
    for (const std::string_view name : {"fills_mapped", "fills_faulted", "fills_interpreted", "fills_refused", "maps", "unmaps", "protects", "flushes", "code_pages_scanned", "code_writes", "code_reads"})
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

namespace {

/// The sample as text with one place changed.
std::string changed(const std::string& from, const std::string& to) {
    std::string text = reports::render_stats_json(sample());
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("A statistics document survives reading and writing", "[reports]") {
    RunStatistics statistics = sample();
    statistics.command_line = "quiet";
    const std::string text = reports::render_stats_json(statistics);
    const auto parsed = reports::parse_stats_json(text, "stats.json");
    REQUIRE(parsed);
    CHECK(reports::render_stats_json(*parsed) == text);
    CHECK(parsed->exits.size() == 5);
    CHECK(parsed->host.mappings_allowed == 65'530);
    CHECK(parsed->sites[1].arrivals[0].nanoseconds == 500);
}

TEST_CASE("A statistics document of before the host's limits is read", "[reports]") {
    const auto parsed = reports::parse_stats_json(changed("  \"host\": {\"mappings\":400,\"mappings_allowed\":65530,\"overflows\":1,\"peak_memory\":268435456},\n", ""), "s");
    REQUIRE(parsed);
    CHECK(parsed->host.mappings == 0);
}

TEST_CASE("A statistics document of before reads of code were counted is read", "[reports]") {
    const auto old = reports::parse_stats_json(changed(",\"code_reads\":2", ""), "old.json");
    REQUIRE(old);
    CHECK(old->mmu.back() == std::pair<std::string_view, std::uint64_t>{"code_reads", 0});
    CHECK_FALSE(reports::parse_stats_json(changed(",\"code_writes\":2", ""), "old.json"));
}

TEST_CASE("A statistics document is read strictly", "[reports]") {
    struct Row {
        const char* from;
        const char* to;
        const char* pointer;
        ErrorCode code;
    };
    const Row rows[] = {
        {"stats/1", "stats/2", "/schema", ErrorCode::unsupported},
        {"\"technique\": \"trap\"", "\"technique\": \"magic\"", "/technique", ErrorCode::malformed},
        {"\"limits\"", "\"hope\"", "/containment", ErrorCode::malformed},
        {"debug-exit", "explosion", "/ending/kind", ErrorCode::malformed},
        {"\"wall\":1000", "\"wall\":-1000", "/nanoseconds/wall", ErrorCode::malformed},
        {"\"kicks\"", "\"licks\"", "/exits", ErrorCode::malformed},
        {"\"maps\":2", "\"maps\":2,\"bananas\":2", "/mmu/bananas", ErrorCode::malformed},
        {"\"vector\":14", "\"vector\":256", "/events/0/vector", ErrorCode::malformed},
        {"\"vector\":14", "\"vector\":32", "/events/1/vector", ErrorCode::inconsistent},
        {"\"count\":9", "\"count\":0", "/events/1/count", ErrorCode::malformed},
        {"\"mnemonic\":\"hlt\"", "\"mnemonic\":\"popfd\"", "/mnemonics/1/mnemonic", ErrorCode::inconsistent},
        {"\"executions\":2,", "\"executions\":3,", "/mnemonics/0/executions", ErrorCode::inconsistent},
        {"\"executions\":2,\"nanoseconds\":20", "\"executions\":2,\"nanoseconds\":19", "/mnemonics/0/nanoseconds", ErrorCode::inconsistent},
        {"\"breakpoint\":{", "\"prayer\":{", "/techniques/prayer", ErrorCode::malformed},
        {"\"part\":\"other\"", "\"part\":\"stub\"", "/sites/1/part", ErrorCode::malformed},
        {"0xc1000000", "c1000000", "/sites/0/address", ErrorCode::malformed},
        {"\"bytes\":\"9d\"", "\"bytes\":\"\"", "/sites/0/bytes", ErrorCode::malformed},
        {"\"bytes\":\"9d\"", "\"bytes\":\"90909090909090909090909090909090\"", "/sites/0/bytes", ErrorCode::malformed},
        {"\"part\":\"other\",\"address\":\"0x100000\"", "\"part\":\"\",\"address\":\"0xc1000000\"", "/sites/1/address", ErrorCode::inconsistent},
        {"\"memory\":268435456", "\"memory\":null", "/guest/memory", ErrorCode::malformed},
        {"\"guest\": {", "\"visitor\": {", "/", ErrorCode::malformed},
        {"\"overflows\"", "\"spills\"", "/host", ErrorCode::malformed},
    };
    for (const Row& row : rows) {
        INFO(row.from << " -> " << row.to);
        const auto parsed = reports::parse_stats_json(changed(row.from, row.to), "s");
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().pointer == row.pointer);
        CHECK(parsed.error().code == row.code);
        CHECK(parsed.error().file == "s");
    }
}

TEST_CASE("A statistics document that was cut is refused at each byte", "[reports]") {
    const std::string text = reports::render_stats_json(sample());
    for (std::size_t size = 0; size + 2 < text.size(); ++size) CHECK_FALSE(reports::parse_stats_json(std::string_view(text).substr(0, size), "s"));
}

TEST_CASE("Sums that pass 64 bits contradict their parts", "[reports]") {
    const std::string most = "18446744073709551615";
    const auto parsed = reports::parse_stats_json(changed("\"executions\":2,\"nanoseconds\":20,\"techniques\":{\"breakpoint\":{\"count\":2,",
                                                          "\"executions\":1,\"nanoseconds\":20,\"techniques\":{\"trap\":{\"count\":" + most + ",\"nanoseconds\":0},\"breakpoint\":{\"count\":2,"), "s");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().pointer == "/mnemonics/0/executions");
}

TEST_CASE("What plan --profile-data reads is there", "[reports]") {
    const auto counts = reports::parse_execution_counts(reports::render_stats_json(sample()), "stats.json");
    REQUIRE(counts);
    CHECK(counts->sha256 == std::string(64, 'a'));
    CHECK(counts->sites == 2);
    CHECK(counts->total == 7);
    CHECK(counts->executions.at({"", 0xC1000000}) == 2);
    CHECK(counts->executions.at({"payload", 0xC1000000}) == 2);
    CHECK(counts->executions.at({"other", 0x100000}) == 5);
}
