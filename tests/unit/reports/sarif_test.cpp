// SPDX-License-Identifier: Apache-2.0
// Requirements are those of SARIF 2.1.0 (OASIS standard); section numbers in the names.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <functional>
#include <set>

#include "reports/sarif.h"
#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;
using nlohmann::json;

TEST_CASE("SARIF 3.13, 3.14, 3.18: a log has version, runs, and a named driver", "[reports]") {
    for (const ScanDocument& scan : {tests::make_scan(), tests::make_hostile_scan(), ScanDocument{}}) {
        const json log = json::parse(render_sarif(scan));
        CHECK(log["version"] == "2.1.0");
        REQUIRE(log["runs"].size() == 1);
        const json& run = log["runs"][0];
        CHECK(run["tool"]["driver"]["name"] == "trapline");
        CHECK(run["results"].size() == scan.findings.size());
        CHECK(run["invocations"][0]["executionSuccessful"] == true);
        for (const json& notification : run["invocations"][0].value("toolExecutionNotifications", json::array())) CHECK(notification["message"]["text"].is_string());
    }
}

TEST_CASE("SARIF 3.27: results name their rule by id and index, and have a message and a level", "[reports]") {
    const json log = json::parse(render_sarif(tests::make_scan()));
    const json& run = log["runs"][0];
    const json& rules = run["tool"]["driver"]["rules"];
    std::set<std::string> ids;
    for (const json& rule : rules) CHECK(ids.insert(rule["id"].get<std::string>()).second);
    for (const json& result : run["results"]) {
        CHECK(rules[result["ruleIndex"].get<std::size_t>()]["id"] == result["ruleId"]);
        CHECK_FALSE(result["message"]["text"].get<std::string>().empty());
        CHECK(result["partialFingerprints"]["traplineSite/v1"].is_string());
    }
    CHECK(run["results"][0]["level"] == "error");  // pushfq
    CHECK(run["results"][2]["level"] == "note");   // wrmsr
    CHECK(run["results"][3]["level"] == "note");   // in: the profile sets IOPL
    CHECK(run["results"][4]["level"] == "error");  // sgdt: the profile leaves UMIP clear
    CHECK(sarif_level(tests::make_finding(0, "rdpkru", "cond:CR4.PKE", false, "no", false)) == "warning");
}

TEST_CASE("SARIF 3.29, 3.30, 3.32: places are a byte region and an address that resolve", "[reports]") {
    const json log = json::parse(render_sarif(tests::make_scan()));
    const json& run = log["runs"][0];
    const json& place = run["results"][0]["locations"][0]["physicalLocation"];
    CHECK(place["region"]["byteOffset"] == 0x200010);
    CHECK(place["region"]["byteLength"] == 1);
    CHECK(run["artifacts"][place["artifactLocation"]["index"].get<std::size_t>()]["location"]["uri"] == place["artifactLocation"]["uri"]);
    const json& address = place["address"];
    // 0xffffffff81000010 is past 2^53 - 1, so no reader could hold it as an integer.
    CHECK_FALSE(address.contains("absoluteAddress"));
    CHECK(address["offsetFromParent"] == 0x10);
    CHECK(run["addresses"][address["parentIndex"].get<std::size_t>()]["name"] == ".text");
    CHECK(address["fullyQualifiedName"] == "0xffffffff81000010");
    CHECK(run["results"][0]["properties"]["address"] == "0xffffffff81000010");
    CHECK(run["results"][0]["locations"][0]["logicalLocations"][0]["name"] == "native_save_fl");
}

TEST_CASE("SARIF 3.32.6: an address that fits is absolute", "[reports]") {
    ScanDocument scan = tests::make_scan();
    scan.sections[0].address = 0xc1000000u;
    scan.findings.resize(1);
    scan.findings[0].address = 0xc1000010u;
    const json log = json::parse(render_sarif(scan));
    CHECK(log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["address"]["absoluteAddress"] == 0xc1000010u);
}

TEST_CASE("no integer of a log passes what readers can hold", "[reports]") {
    ScanDocument scan = tests::make_scan();
    scan.size = scan.sections[0].size = scan.findings[0].file_offset = ~std::uint64_t{0};
    scan.sections[0].address = 0;
    const json log = json::parse(render_sarif(scan));
    const std::function<void(const json&)> walk = [&](const json& value) {
        if (value.is_number_unsigned()) CHECK(value.get<std::uint64_t>() <= 9007199254740991u);
        if (value.is_structured())
            for (const json& element : value) walk(element);
    };
    walk(log);
}

TEST_CASE("the parts of a bzImage are artifacts of their own", "[reports]") {
    ScanDocument scan = tests::make_scan();
    scan.image = "vmlinuz";
    scan.sections.push_back(scan.sections[0]);
    scan.sections[0].part = "setup";
    scan.sections[1].part = "payload";
    for (Finding& finding : scan.findings) finding.part = "payload";
    const json log = json::parse(render_sarif(scan));
    const json& run = log["runs"][0];
    REQUIRE(run["artifacts"].size() == 2);
    CHECK(run["artifacts"][0]["location"]["uri"] == "vmlinuz%21setup");
    CHECK_FALSE(run["artifacts"][0].contains("hashes"));
    CHECK(run["artifacts"][1]["hashes"]["sha-256"] == scan.sha256);
    CHECK(run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["index"] == 1);
}

TEST_CASE("fingerprints survive code that moves and tell repeated forms apart", "[reports]") {
    ScanDocument scan = tests::make_scan();
    scan.findings[1] = scan.findings[0];
    scan.findings[1].address += 8;
    const auto prints = [](const ScanDocument& document) {
        std::vector<std::string> all;
        const json log = json::parse(render_sarif(document));
        for (const json& result : log["runs"][0]["results"]) all.push_back(result["partialFingerprints"]["traplineSite/v1"]);
        return all;
    };
    const auto before = prints(scan);
    CHECK(before[0] != before[1]);
    for (Finding& finding : scan.findings) finding.address += 64, finding.symbol_offset += 4;
    CHECK(prints(scan) == before);
}

TEST_CASE("a batch is a log of several runs", "[reports]") {
    const ScanDocument scans[] = {tests::make_scan(), ScanDocument{}};
    const json log = json::parse(collect([&](const Sink& sink) { write_sarif(scans, sink); }));
    CHECK(log["runs"].size() == 2);
}
