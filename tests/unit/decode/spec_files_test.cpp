// SPDX-License-Identifier: Apache-2.0
// The two JSON files of the decode module: complete as they are, and every kind of mistake is refused with its place.
#include <catch2/catch.hpp>

#include "decode/differences.h"
#include "decode/opcode_map.h"
#include "decode/spec_file.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

std::string maps_text() { return std::string(embedded_spec_text("x86/opcode-maps.json")); }
std::string differences_text() { return std::string(embedded_spec_text("x86/decoder-differences.json")); }

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

void check_refused(const Result<OpcodeMaps>& result, std::string_view expected) {
    REQUIRE_FALSE(result.has_value());
    INFO(result.error().describe());
    CHECK(result.error().message.find(expected) != std::string::npos);
    CHECK(result.error().file == "maps.json");
}

}  // namespace

TEST_CASE("opcode maps: facts of the manuals", "[decode]") {
    const OpcodeMaps& maps = OpcodeMaps::generated();
    using isa::OpcodeMap;
    CHECK(maps.slot(OpcodeMap::one, 0xC8).imm == trapline::isa::Immediate::iw_ib);
    CHECK(maps.slot(OpcodeMap::one, 0x8D).mod == isa::ModRequirement::memory);
    CHECK(maps.slot(OpcodeMap::m0f, 0x20).mod == isa::ModRequirement::ignored);
    CHECK(maps.slot(OpcodeMap::m0f, 0x04).form == SlotForm::hole);
    CHECK(maps.slot(OpcodeMap::vex_0f3a, 0x0F).imm == trapline::isa::Immediate::ib);
    CHECK(maps.slot(OpcodeMap::xop_a, 0x10).imm == trapline::isa::Immediate::id);
    CHECK_FALSE(maps.slot(OpcodeMap::one, 0x9A).modes.contains(Mode::long64));
    CHECK(maps.slot(OpcodeMap::one, 0x9A).modes.contains(Mode::real16));
    CHECK(maps.slot(OpcodeMap::one, 0xF0).form == SlotForm::prefix);
    CHECK(maps.slot(OpcodeMap::one, 0x9D).osize64 == isa::OperandSize64::default64);
}

TEST_CASE("opcode maps: mistakes are refused", "[decode]") {
    const std::string text = maps_text();
    const auto parse = [](const std::string& json) { return OpcodeMaps::parse(json, "maps.json"); };
    CHECK(parse(text).has_value());
    check_refused(parse(text.substr(0, text.size() / 2)), "not JSON");
    check_refused(parse(replaced(text, "\"op\": \"8D\"", "\"op\": \"8C\"")), "second row");
    check_refused(parse(replaced(text, "\"op\": \"8D\"", "\"op\": \"8G\"")), "8G");
    check_refused(parse(replaced(text, "\"op\": \"8D\"", "\"op\": \"8D-1FF\"")), "8D-1FF");
    check_refused(parse(replaced(text, "\"imm\": \"iw+ib\"", "\"imm\": \"iw+iw\"")), "iw+iw");
    check_refused(parse(replaced(text, "\"form\": \"escape\"", "\"form\": \"escapes\"")), "escapes");
    check_refused(parse(replaced(text, "\"osize64\":", "\"osize46\":")), "osize46");
    check_refused(parse(replaced(text, "trapline.opcode-maps/1", "trapline.opcode-maps/2")), "opcode-maps/2");
}

TEST_CASE("decoder differences: mistakes are refused", "[decode]") {
    const std::string text = differences_text();
    const auto parse = [](const std::string& json) { return DecoderDifferences::parse(json, "rows.json"); };
    CHECK(parse(text).has_value());
    CHECK_FALSE(parse("[").has_value());
    CHECK_FALSE(parse(replaced(text, "\"says\": \"invalid\"", "\"says\": \"nothing\"")).has_value());
    CHECK_FALSE(parse(replaced(text, "\"map\": \"one\"", "\"map\": \"two\"")).has_value());
    CHECK_FALSE(parse(replaced(text, "\"reason\":", "\"raeson\":")).has_value());
}

TEST_CASE("decoder differences: every row has its reason, source and a known decoder", "[decode]") {
    for (const Difference& row : DecoderDifferences::embedded().rows()) {
        CHECK((row.decoder == "llvm-mc" || row.decoder == "capstone" || row.decoder == "zydis"));
        CHECK(row.reason.ends_with('.'));
        CHECK_FALSE(row.source.empty());
        CHECK_FALSE(row.versions.empty());
    }
    CHECK(DecoderDifferences::embedded().same_mnemonic("call", "lcall"));
    CHECK_FALSE(DecoderDifferences::embedded().same_mnemonic("call", "jmp"));
}
