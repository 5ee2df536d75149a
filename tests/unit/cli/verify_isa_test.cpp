// SPDX-License-Identifier: Apache-2.0
// Renderings of a verification that was put together by hand.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "../reports/schema_validator.h"
#include "cli/verify_isa_report.h"

using namespace trapline;
using namespace trapline::cli;
using Catch::Matchers::Contains;
namespace ex = trapline::executor;

namespace {

/// One example that agrees, one that does not, one hole that runs.
struct Sample {
    isa::Record record;
    isa::Example example{{0x0F, 0xA2}, Mode::long64, "cpuid"};
    IsaVerification verification;

    Sample() {
        record.id = "cpuid";
        IsaVerification& v = verification;
        v.database_version = "0123456789abcdef";
        v.experiments = 70;
        v.host.cpu.vendor_text = "AuthenticAMD";
        v.host.state = {{"cpl", 3, "user code"}};
        v.umip = {{"sgdt", 9000, 80}};
        ex::Tally runs, faults;
        runs.add({ex::OutcomeKind::executes, 0, 0, 2});
        faults.add({ex::OutcomeKind::faults, 13, 0, 0});
        v.examples.push_back({&record, &example, ex::kSettingNone, "executes", runs, {ex::Agreement::confirmed, "runs at CPL 3", nullptr}});
        v.examples.push_back({&record, &example, ex::kSettingCpuidFault, "executes", faults, {ex::Agreement::unexplained, "derived: executes", nullptr}});
        ex::CheckedMap map;
        map.map = isa::OpcodeMap::m0f;
        map.cases = 1;
        map.counts[{ex::Agreement::unexplained, "no instruction is there"}] = 1;
        map.unexplained.push_back({{Mode::protected32, {0x0F, 0x04}}, "", runs, {ex::Agreement::unexplained, "no instruction is there", nullptr}});
        v.maps.push_back(map);
    }
};

}  // namespace

TEST_CASE("The document of a verification follows its schema", "[cli]") {
    const Sample sample;
    const std::string text = verification_json(sample.verification);
    CHECK(tests::schema_faults("verify-isa", text) == "");
    const auto document = nlohmann::json::parse(text);
    CHECK(document["maps"][0]["unexplained"][0]["bytes"] == "0f04");
    CHECK(document["examples"][1]["setting"] == "CPUID faulting on");
    CHECK(document["examples"][1]["seen"][0]["outcome"] == "#GP(0)");
    CHECK(document["host"]["umip"][0]["trapped"] == true);
}

TEST_CASE("What is unexplained is a finding, named with what was seen", "[cli]") {
    Sample sample;
    CHECK(sample.verification.has_findings());
    const std::string text = verification_text(sample.verification);
    CHECK_THAT(text, Contains("cpuid 64 0fa2 \"cpuid\" with CPUID faulting on: seen: #GP(0) 1. derived: executes"));
    CHECK_THAT(text, Contains("32 0f04 (hole): seen: executes 1"));
    CHECK_THAT(text, Contains("sgdt 9000 (trapped)"));
}

TEST_CASE("An exclusion that explains nothing any more is a finding", "[cli]") {
    Sample sample;
    IsaVerification& v = sample.verification;
    v.examples.pop_back();
    v.maps.clear();
    CHECK_FALSE(v.has_findings());
    v.unused_rows.push_back("x86/cpu-differences.json/rows/0: vanished");
    CHECK(v.has_findings());
    CHECK_THAT(verification_text(v), Contains("vanished"));
}
