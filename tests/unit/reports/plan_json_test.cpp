// SPDX-License-Identifier: Apache-2.0
// The plan document: round trips, its schema, and every field that somebody might tamper with, one at a time.
#include <catch2/catch.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "reports/plan_json.h"
#include "sample_documents.h"
#include "schema_validator.h"

using namespace trapline;
using namespace trapline::reports;
using Json = nlohmann::json;

namespace {

PlanDocument sample() { return tests::make_patched_plan(tests::make_scan()); }

std::string pointer_of_failure(const std::string& text) {
    const auto parsed = parse_plan_json(text, "plan.json");
    if (parsed) return "accepted";
    CHECK(parsed.error().file == "plan.json");
    CHECK_FALSE(parsed.error().message.empty());
    return parsed.error().pointer;
}

/// Where the reader stops when the sample is changed. Totals are made right again, so that the change itself must show.
std::string pointer_after(const std::function<void(PlanDocument&)>& tamper) {
    PlanDocument plan = sample();
    tamper(plan);
    return pointer_of_failure(render_plan_json(plan));
}

/// The same for a change that the structs cannot hold.
std::string pointer_after_edit(const std::string& place, const Json& value) {
    Json document = Json::parse(render_plan_json(sample()));
    document[Json::json_pointer(place)] = value;
    return pointer_of_failure(document.dump());
}

/// Every scalar and list of a document, by JSON pointer.
std::vector<std::string> places_of(const Json& document) {
    std::vector<std::string> places;
    const Json flat = document.flatten();  // items() keeps a reference
    for (const auto& [pointer, value] : flat.items()) places.push_back(pointer);
    return places;
}

}  // namespace

TEST_CASE("a whole plan survives writing and reading", "[reports]") {
    const std::string text = render_plan_json(sample());
    const auto parsed = parse_plan_json(text, "plan.json");
    if (!parsed) FAIL(parsed.error().describe() + " " + parsed.error().pointer);
    CHECK(render_plan_json(*parsed) == text);
    CHECK(tests::schema_faults("plan", text) == "");
    CHECK(parsed->by_technique == sample().by_technique);
    CHECK(parsed->sites[0].flags == FlagsLiveness::live);
    CHECK(parsed->sites[0].resume == 0xffffffffffe00001u);
    CHECK(parsed->sites[0].refused[1].reason == "1 byte holds no jump");
    CHECK(parsed->sites[1].patch == 1u);
    CHECK_FALSE(parsed->sites[2].patch.has_value());
    CHECK(parsed->sites[0].cycles == 12.5);
    CHECK(parsed->patches[0].moved[0].to == 0xffffffffffe00001u);
    CHECK(parsed->patches[1].writes[1].what == "short-jump");
    CHECK(parsed->stubs[0].steps[2].offset == 4);
    CHECK(parsed->stubs[0].fixups[0].offset == 5);
    CHECK(parsed->stubs[0].fixups[0].kind == sample().stubs[0].fixups[0].kind);
    CHECK(parsed->reserved[1].what == "gate");
    CHECK(parsed->parts[0].size == 65000000);
}

TEST_CASE("sites, patches and stubs stand one to a line", "[reports]") {
    const std::string text = render_plan_json(sample());
    std::size_t lines = 0;
    for (const char* begin : {"\n    {\"number\":", "\n    {\"technique\":", "\n    {\"address\":"})
        for (auto at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) ++lines;
    CHECK(lines == 5 + 3 + 2);
}

TEST_CASE("techniques are read as they are named", "[reports]") {
    const std::set<std::string_view> names = {"inline", "direct", "absorb", "springboard", "breakpoint", "watch", "trap", "translate", "interpret", "by-hand", "unplanned"};
    std::set<std::string_view> found;
    for (const Technique technique : kAllTechniques) {
        found.insert(to_string(technique));
        CHECK(parse_technique(to_string(technique)) == technique);
    }
    CHECK(found == names);
    CHECK_FALSE(parse_technique("inline_code").has_value());
}

TEST_CASE("a plan of another major version says what to do", "[reports]") {
    std::string text = render_plan_json(sample());
    text.replace(text.find("trapline.plan/1"), 15, "trapline.plan/2");
    const auto newer = parse_plan_json(text, "plan.json");
    REQUIRE_FALSE(newer.has_value());
    CHECK(newer.error().code == ErrorCode::unsupported);
    CHECK(newer.error().pointer == "/schema");
    CHECK(newer.error().message == "found \"trapline.plan/2\", expected \"trapline.plan/1\"; a newer version of the program wrote it: "
                                   "read it with that version, or make it again with this one (`trapline plan IMAGE -o FILE`)");
    text.replace(text.find("trapline.plan/2"), 15, "trapline.plan/0");
    CHECK(parse_plan_json(text, "plan.json").error().message.find("an older version") != std::string::npos);
    text.replace(text.find("trapline.plan/0"), 15, "trapline.scan/1");
    CHECK(parse_plan_json(text, "plan.json").error().code == ErrorCode::malformed);
}

TEST_CASE("no field of a plan may be missing, of another type or unknown", "[reports]") {
    const Json document = Json::parse(render_plan_json(sample()));
    for (const std::string& place : places_of(document)) {
        INFO(place);
        const Json::json_pointer pointer(place);
        const Json& parent = document[pointer.parent_pointer()];
        Json changed = document;
        if (parent.is_object()) {
            changed[pointer.parent_pointer()].erase(pointer.back());
            // As in a finding, no source and an unknown one are the same.
            const bool optional = pointer.back() == "source";
            CHECK((parse_plan_json(changed.dump(), "plan.json").has_value()) == optional);
            changed = document;
            changed[pointer.parent_pointer()]["surprise"] = 1;
            CHECK_FALSE(parse_plan_json(changed.dump(), "plan.json").has_value());
            changed = document;
        }
        changed[pointer] = Json::object();
        CHECK_FALSE(parse_plan_json(changed.dump(), "plan.json").has_value());
        changed[pointer] = -1;
        CHECK_FALSE(parse_plan_json(changed.dump(), "plan.json").has_value());
    }
}

TEST_CASE("a plan cut at any byte is refused", "[reports]") {
    const std::string text = render_plan_json(sample());
    for (std::size_t length = 0; length + 2 < text.size(); length += 7) CHECK_FALSE(parse_plan_json(std::string_view(text).substr(0, length), "plan.json").has_value());
}

TEST_CASE("words and numbers of a plan have bounds", "[reports]") {
    CHECK(pointer_after_edit("/technique", "all") == "/technique");
    CHECK(pointer_after_edit("/sites/0/technique", "magic") == "/sites/0/technique");
    CHECK(pointer_after_edit("/sites/0/fallback", "inline_code") == "/sites/0/fallback");
    CHECK(pointer_after_edit("/sites/0/flags", "maybe") == "/sites/0/flags");
    CHECK(pointer_after_edit("/sites/0/decode_mode", "128") == "/sites/0/decode_mode");
    CHECK(pointer_after_edit("/sites/0/privileged", "cond:") == "/sites/0/privileged");
    CHECK(pointer_after_edit("/sites/0/bytes", "") == "/sites/0/bytes");
    CHECK(pointer_after_edit("/sites/0/bytes", std::string(32, '9')) == "/sites/0/bytes");
    CHECK(pointer_after_edit("/sites/0/bytes", "9") == "/sites/0/bytes");
    CHECK(pointer_after_edit("/sites/0/address", "0x10000000000000000") == "/sites/0/address");
    CHECK(pointer_after_edit("/sites/0/cycles", -0.5) == "/sites/0/cycles");
    CHECK(pointer_after_edit("/sites/0/patch", std::uint64_t{1} << 32) == "/sites/0/patch");
    CHECK(pointer_after_edit("/patches/0/writes/0/what", "poke") == "/patches/0/writes/0/what");
    CHECK(pointer_after_edit("/patches/0/moved/0/bytes", "") == "/patches/0/moved/0/bytes");
    CHECK(pointer_after_edit("/image/sha256", "5") == "/image/sha256");
    CHECK(pointer_after_edit("/parts/0/sha256", std::string(64, 'X')) == "/parts/0/sha256");
    CHECK(pointer_after_edit("/stubs/0/bytes", "") == "/stubs/0/bytes");
    std::string infinite = render_plan_json(sample());
    infinite.replace(infinite.find("12.5"), 4, "1e999");
    CHECK_FALSE(parse_plan_json(infinite, "plan.json").has_value());
}

TEST_CASE("indexes of a plan lead to what is there", "[reports]") {
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[0].patch = 3; }) == "/sites/0/patch");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[0].stubs[0] = 2; }) == "/patches/0/stubs/0");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[1].number = 7; }) == "/sites/1/number");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[2].part = "setup"; }) == "/sites/2/part");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[1].part = "setup"; }) == "/patches/1/part");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[1].stubs.clear(); }) == "/stubs/1");
    CHECK(pointer_after([](PlanDocument& plan) { plan.parts.push_back(plan.parts[0]); }) == "/parts/1/part");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sha256 = std::string(64, '6'); }) == "/image/sha256");
}

TEST_CASE("writes of a plan have as many bytes as they replace and share none", "[reports]") {
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[0].writes[0].new_bytes.pop_back(); }) == "/patches/0/writes/0/new_bytes");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[2].writes[0].old_bytes.clear(); }) == "/patches/2/writes/0/old_bytes");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[2].writes.clear(); }) == "/patches/2/writes");
    // The springboard over the last byte of the jump, by place in the file and by address.
    CHECK(pointer_after([](PlanDocument& plan) {
              plan.patches[1].writes[0].address = 0xffffffff81000014u;
              plan.patches[1].writes[0].file_offset = 0x200014;
          }) == "/patches/1/writes/0/file_offset");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[1].writes[0].address = 0xffffffff81000014u; }) == "/patches/1/writes/0/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[1].writes[0].file_offset = 0x200014; }) == "/patches/1/writes/0/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[0].writes[0].file_offset = plan.parts[0].size - 4; }) == "/patches/0/writes/0/file_offset");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[0].writes[0].file_offset = ~std::uint64_t{0}; }) == "/patches/0/writes/0/file_offset");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[1].writes[0].address = ~std::uint64_t{0}; }) == "/patches/1/writes/0/address");
    const auto parsed = parse_plan_json([] {
        PlanDocument plan = sample();
        plan.patches.push_back(plan.patches[2]);
        return render_plan_json(plan);
    }(), "plan.json");
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().code == ErrorCode::refused);
}

TEST_CASE("a patch says what it is", "[reports]") {
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[0].technique = Technique::trap; }) == "/patches/0/technique");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[0].end = plan.patches[0].begin; }) == "/patches/0/end");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[0].begin += 1; }) == "/patches/0/writes/0/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[1].atomic = true; }) == "/patches/1/atomic");
    CHECK(pointer_after([](PlanDocument& plan) { std::swap(plan.patches[1].writes[0], plan.patches[1].writes[1]); }) == "/patches/1/writes/1/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.patches[0].moved[0].to = plan.stubs[1].address; }) == "/patches/0/moved/0/to");
}

TEST_CASE("a site and its patch agree", "[reports]") {
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[0].technique = Technique::inline_code; }) == "/sites/0/technique");
    CHECK(pointer_after([](PlanDocument& plan) {
              plan.sites[0].patch.reset();
              plan.sites[0].resume = 0;
          }) == "/sites/0/patch");
    CHECK(pointer_after([](PlanDocument& plan) {
              plan.sites[4].patch.reset();
              plan.patches.pop_back();
          }) == "/sites/4/patch");  // a breakpoint that nothing sets
    CHECK(pointer_after([](PlanDocument& plan) {
              plan.sites[4].technique = Technique::watch;
              plan.sites[4].patch.reset();
              plan.patches.pop_back();
          }) == "accepted");
    CHECK(pointer_after([](PlanDocument& plan) {
              plan.sites[0].patch = 1;
              plan.sites[0].technique = Technique::springboard;
              plan.sites[0].resume = 0;
          }) == "/sites/0/patch");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[0].bytes = {0x9d}; }) == "/sites/0/bytes");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[0].resume = plan.stubs[1].address; }) == "/sites/0/resume");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[2].resume = plan.stubs[0].address; }) == "/sites/2/resume");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[2].critical = true; }) == "/sites/2/critical");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[2].address += 0x1000; }) == "/sites/2/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[2].file_offset = plan.parts[0].size; }) == "/sites/2/file_offset");
    CHECK(pointer_after([](PlanDocument& plan) { plan.sites[2].file_offset = ~std::uint64_t{0}; }) == "/sites/2/file_offset");
}

TEST_CASE("stubs lie apart, in a reserved range, with their steps and fixups inside", "[reports]") {
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[1].address = plan.stubs[0].address + 8; }) == "/stubs/1/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[0].address = plan.stubs[1].address + 0x100; }) == "/stubs/1/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[0].address = 0xffffffff81000000u; }) == "/stubs/0/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[1].address = plan.reserved[0].end - 5; }) == "/stubs/1/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[1].address = ~std::uint64_t{0} - 4; }) == "/stubs/1/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.reserved[0].what = "vcpu"; }) == "/stubs/0/address");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[0].steps[2].offset = 9; }) == "/stubs/0/steps/2/offset");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[0].steps[1].offset = 0; }) == "/stubs/0/steps/1/offset");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[0].fixups[0].offset = 6; }) == "/stubs/0/fixups/0/offset");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[0].fixups.push_back({3, FixupKind::image_address}); }) == "/stubs/0/fixups/1/offset");
    CHECK(pointer_after_edit("/stubs/0/fixups/0/kind", "absolute") == "/stubs/0/fixups/0/kind");
    CHECK(pointer_after([](PlanDocument& plan) { plan.stubs[0].fixups[0].kind = FixupKind::stub_address; }) == "/stubs/0/fixups/0/kind");
    CHECK(pointer_after([](PlanDocument& plan) { plan.reserved[1].begin -= 1; }) == "/reserved/1/begin");
    CHECK(pointer_after([](PlanDocument& plan) { plan.reserved[1].end = plan.reserved[1].begin; }) == "/reserved/1/end");
}

TEST_CASE("totals of a plan are those of its lists", "[reports]") {
    for (const char* key : {"sites", "critical", "unplanned", "unplanned_critical", "patches", "written_bytes", "stubs", "stub_bytes", "by_technique/trap"}) {
        INFO(key);
        CHECK(pointer_after_edit(std::string("/totals/") + key, 99) == std::string("/totals/") + key);
    }
    CHECK(pointer_after_edit("/totals/by_technique/direct", 1) == "/totals/by_technique/direct");
}

TEST_CASE("a plan of a relocatable file has stubs at offsets", "[reports]") {
    PlanDocument plan = sample();
    plan.parts[0].relocatable = true;
    plan.reserved.clear();
    for (PlanStub& stub : plan.stubs) stub.address &= 0xff;
    plan.patches[0].moved[0].to &= 0xff;
    plan.sites[0].resume &= 0xff;
    // Sections of one name may lie anywhere in the file.
    plan.sites[2].file_offset += 0x1000;
    const auto parsed = parse_plan_json(render_plan_json(plan), "plan.json");
    CHECK(parsed.has_value());
}

TEST_CASE("an alternative's replacement stays as it is", "[reports]") {
    PlanDocument plan = sample();
    plan.patches[2].writes = {{".altinstructions", 0xffffffff82000004u, 0x1200004, {1, 2, 3, 4}, {5, 6, 7, 8}, "alternative"}};
    plan.patches[2].atomic = false;
    plan.patches[2].technique = plan.sites[4].technique = Technique::direct;
    CHECK(pointer_of_failure(render_plan_json(plan)) == "accepted");
}

// nlohmann's ordered objects look members up one by one: an object of a million of them took hours.
TEST_CASE("an object of very many members is refused before it is parsed", "[reports]") {
    std::string text = "{";
    for (int i = 0; i < 100000; ++i) text += "\"" + std::to_string(i) + "\":0,";
    const auto parsed = parse_plan_json(text + "\"end\":0}", "plan.json");
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().code == ErrorCode::refused);
}
