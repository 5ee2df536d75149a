// SPDX-License-Identifier: Apache-2.0
// A run's last message whose every number is the largest, or chance: reports must come out of it all the same.
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "executor/host/collect_statistics.h"
#include "executor/host/core_dump.h"
#include "isa/loader.h"
#include "reports/stats_json.h"

using namespace trapline;
using namespace trapline::executor;

namespace {

/// Through bytes, as it comes from the monitor.
Ended with_bytes(const std::function<std::uint8_t()>& next, std::size_t sites) {
    Ended ended;
    std::vector<std::uint8_t> bytes(sizeof ended.numbers);
    for (std::uint8_t& byte : bytes) byte = next();
    std::memcpy(&ended.numbers, bytes.data(), bytes.size());
    ended.sites.resize(sites);
    for (SiteRecord& site : ended.sites) {
        std::vector<std::uint8_t> of_site(sizeof site);
        for (std::uint8_t& byte : of_site) byte = next();
        std::memcpy(&site, of_site.data(), of_site.size());
    }
    ended.numbers.ending = 0;  // the only number that the broker holds to its range
    return ended;
}

void report(const Ended& ended) {
    static const isa::LoadOutcome loaded = isa::load_database(isa::embedded_spec_files());
    static const isa::Profile* const profile = loaded.database.find_profile("ring3");
    REQUIRE(profile != nullptr);
    static const decode::InstructionDecoder decoder(loaded.database, *profile);
    RunResult result;
    result.started.layers = 0xFFFFFFFF;
    result.ended = ended;
    const RunStatistics statistics = collect_statistics({}, result, 16 << 20, decoder, [](std::uint64_t) { return std::string(); });
    CHECK_FALSE(reports::render_stats_json(statistics).empty());
    const auto ram = SharedPages::create("ram", 16 << 20);
    REQUIRE(ram);
    const std::string text = describe_end("it ended", ended.numbers.registers, ended.numbers.last);
    CHECK(text.size() < 64 << 10);
    const CoreFile core = make_core(ended.numbers.registers, *ram, text);
    CHECK(core.head.size() % kPageBytes == 0);
}

}  // namespace

TEST_CASE("numbers of a hostile monitor: all ones", "[hostile_numbers]") {
    report(with_bytes([] { return std::uint8_t{0xFF}; }, 100));
}

TEST_CASE("numbers of a hostile monitor: ticks that make the clock's rate endless", "[hostile_numbers]") {
    Ended ended = with_bytes([] { return std::uint8_t{0xFF}; }, 1);
    ended.numbers.wall_ticks = 1;
    report(ended);
    ended.numbers.wall_ticks = 0;
    report(ended);
}

TEST_CASE("numbers of a hostile monitor: chance", "[hostile_numbers]") {
    std::minstd_rand random(1);
    for (int round = 0; round < 50; ++round) report(with_bytes([&] { return static_cast<std::uint8_t>(random() >> 8); }, 50));
}
