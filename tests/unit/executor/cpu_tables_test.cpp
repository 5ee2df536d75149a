// SPDX-License-Identifier: Apache-2.0
// The two tables of CPUs: what is refused, and when rows apply.
#include <catch2/catch.hpp>

#include "executor/verify/cpu_differences.h"

using namespace trapline;
using namespace trapline::executor;

namespace {

isa::Database one_record() {
    isa::Database out;
    out.records.emplace_back();
    out.records.back().id = "hlt";
    out.index();
    return out;
}

CpuFeatures features(bool present) {
    const std::string text = R"({"features": [{"feature": "X", "leaf": "7", "subleaf": "1", "register": "ebx", "bit": 5, "xcr0": "6"},
                                              {"feature": "Y", "present": false, "why": "no bit"}]})";
    auto parsed = CpuFeatures::parse(
        text, [=](std::uint32_t leaf, std::uint32_t subleaf) { return CpuidLeaf{0, leaf == 7 && subleaf == 1 && present ? 32u : 0u, 0, 0}; }, 6);
    REQUIRE(parsed);
    return std::move(*parsed);
}

std::string refusal(const std::string& row) {
    const auto parsed = CpuDifferences::parse(R"({"rows": [)" + row + "]}", one_record(), {}, features(true));
    return parsed ? "accepted" : parsed.error().message;
}

const Observation kGp0{OutcomeKind::faults, 13, 0, 0};

}  // namespace

TEST_CASE("A feature is present by its bit, and by its state in XCR0", "[executor]") {
    CHECK(features(true).present("X"));
    CHECK_FALSE(features(false).present("X"));
    CHECK_FALSE(features(true).present("Y"));
    CHECK(features(true).knows("Y"));
    CHECK_FALSE(features(true).knows("Z"));
    const auto all = [](std::uint32_t, std::uint32_t) { return CpuidLeaf{~0u, ~0u, ~0u, ~0u}; };
    const std::string row = R"({"features": [{"feature": "X", "leaf": "7", "register": "ebx", "bit": 5, "xcr0": "E6"}]})";
    CHECK(CpuFeatures::parse(row, all, 0xE7)->present("X"));
    CHECK_FALSE(CpuFeatures::parse(row, all, 7)->present("X"));
}

TEST_CASE("Malformed feature tables are refused with the place", "[executor]") {
    const auto none = [](std::uint32_t, std::uint32_t) { return CpuidLeaf{}; };
    for (const char* text : {"", R"({"features": [{"feature": "X"}]})", R"({"features": [{"feature": "X", "leaf": "G", "register": "eax", "bit": 0}]})",
                             R"({"features": [{"feature": "X", "leaf": "1", "register": "rax", "bit": 0}]})",
                             R"({"features": [{"feature": "X", "present": true, "why": "a"}, {"feature": "X", "present": true, "why": "b"}]})"}) {
        INFO(text);
        CHECK_FALSE(CpuFeatures::parse(text, none, 0));
    }
}

TEST_CASE("Rows that name what does not exist are refused", "[executor]") {
    const std::string rest = R"("outcomes": ["executes"], "reason": "r", "source": "s")";
    CHECK(refusal(R"({"forms": ["hlt"], )" + rest + "}") == "accepted");
    CHECK(refusal(R"({"forms": ["halt"], )" + rest + "}") != "accepted");
    CHECK(refusal("{" + rest + "}") != "accepted");
    CHECK(refusal(R"({"forms": ["hlt"], "outcomes": ["whatever"], "reason": "r", "source": "s"})") != "accepted");
    CHECK(refusal(R"({"forms": ["hlt"], "outcomes": [], "reason": "r", "source": "s"})") != "accepted");
    CHECK(refusal(R"({"forms": ["hlt"], "outcomes": ["executes"], "source": "s"})") != "accepted");
    CHECK(refusal(R"({"forms": ["hlt"], "when": {"absent": "Z"}, )" + rest + "}") != "accepted");
    CHECK(refusal(R"({"match": {"map": "0g", "opcode": "01"}, )" + rest + "}") != "accepted");
}

TEST_CASE("A row explains its outcomes on its CPUs, and nothing else", "[executor]") {
    const isa::Database database = one_record();
    const std::string text = R"~({"rows": [
        {"forms": ["hlt"], "when": {"vendor": "amd", "absent": "Y"}, "outcomes": ["#GP(0)"], "reason": "r", "source": "s"},
        {"match": {"map": "0f", "opcode": "01", "prefix": "66", "mod": "reg", "reg": "0", "rm": "1", "w": true}, "outcomes": ["#UD"], "reason": "r", "source": "s"}]})~";
    CpuIdentity amd, intel;
    amd.vendor = "amd";
    intel.vendor = "intel";
    const auto here = CpuDifferences::parse(text, database, amd, features(true)), there = CpuDifferences::parse(text, database, intel, features(true));
    REQUIRE(here);
    REQUIRE(there);
    isa::EncodingKey key;
    const isa::Record* hlt = &database.records[0];
    CHECK(here->find(hlt, key, kGp0) != nullptr);
    CHECK(here->find(hlt, key, {OutcomeKind::executes, 0, 0, 1}) == nullptr);
    CHECK(here->find(hlt, key, {OutcomeKind::faults, 13, 8, 0}) == nullptr);  // #GP(selector)
    CHECK(here->find(nullptr, key, kGp0) == nullptr);
    CHECK(there->find(hlt, key, kGp0) == nullptr);

    key.map = isa::OpcodeMap::m0f;
    key.opcode = 1;
    key.prefix = isa::PrefixSet::p66;
    key.has_modrm = true;
    key.mod = 3;
    key.rm = 1;
    key.w = true;
    const Observation undefined{OutcomeKind::faults, 6, 0, 0};
    CHECK(here->find(nullptr, key, undefined) != nullptr);
    key.w = false;
    CHECK(here->find(nullptr, key, undefined) == nullptr);
    key.w = true;
    key.rm = 2;
    CHECK(here->find(nullptr, key, undefined) == nullptr);
}
