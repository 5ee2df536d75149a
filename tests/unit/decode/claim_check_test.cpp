// SPDX-License-Identifier: Apache-2.0
// Claims held against the opcode maps: small databases and maps of their own, each with one thing wrong.
#include <catch2/catch.hpp>

#include <map>

#include "decode/form_index.h"
#include "isa/loader.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

/// Opcode maps that are all holes but for the rows given by map.
OpcodeMaps maps_with(const std::map<std::string, std::string>& rows) {
    std::string text;
    for (int index = 0; index < isa::kOpcodeMapCount; ++index) {
        const std::string name(isa::to_string(static_cast<isa::OpcodeMap>(index)));
        const auto found = rows.find(name);
        text += (text.empty() ? "\"" : ", \"") + name + "\": [" + (found == rows.end() ? R"({"op": "00-FF", "form": "hole"})" : found->second) + "]";
    }
    const auto maps = OpcodeMaps::parse(R"({"schema": "trapline.opcode-maps/1", "maps": {)" + text + "}}", "own-maps.json");
    if (!maps) FAIL(maps.error().describe());
    return *maps;
}

std::string innocuous(const std::string& forms) {
    return R"({"schema": "trapline.innocuous/1", "family": "innocuous-own", "title": "Own", "sources": [{"doc": "intel-sdm-2", "section": "all"}], "forms": [)" + forms + "]}";
}

std::string form(const std::string& mnemonic, const std::string& slot, const std::string& more = "") {
    return R"({"mnemonic": ")" + mnemonic + R"(", "slots": [")" + slot + "\"]" + more + "}";
}

constexpr std::string_view kResources = R"({"schema": "trapline.resources/1", "resources": [{"id": "mem", "kind": "user", "title": "memory"}]})";

std::string record(const std::string& id, const std::string& encoding) {
    return R"({"schema": "trapline.isa-family/1", "family": "own", "title": "Own", "records": [{"id": ")" + id + R"(", "mnemonic": ")" + id + R"(", "encoding": )" + encoding +
           R"(, "examples": [{"bytes": "90", "mode": "32", "text": "own"}], "reads": [{"resource": "mem"}], "writes": [], "faults": [], "sources": [{"doc": "intel-sdm-2", "section": "all"}]}]})";
}

std::vector<Error> check(const OpcodeMaps& maps, const std::string& forms, const std::string& family = "") {
    const std::string text = innocuous(forms);
    std::vector<isa::SpecFile> files = {{"x86/resources.json", kResources}, {"x86/innocuous-own.json", text}};
    if (!family.empty()) files.push_back({"x86/own.json", family});
    const isa::LoadOutcome loaded = isa::load_database(files);
    for (const Error& error : loaded.errors) UNSCOPED_INFO(error.describe());
    REQUIRE(loaded.errors.empty());
    return check_claims(loaded.database, maps);
}

/// Checks that there is this one error, at this place.
void check_only(const std::vector<Error>& errors, const std::string& file, const std::string& pointer, const std::string& message) {
    for (const Error& error : errors) UNSCOPED_INFO(error.describe());
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].code == ErrorCode::inconsistent);
    CHECK(errors[0].file == file);
    CHECK(errors[0].pointer == pointer);
    CHECK(errors[0].message == message);
}

const std::string kOwn = "x86/innocuous-own.json";
const std::map<std::string, std::string> kTwoSlots = {
    {"one", R"({"op": "00-8F 91-FF", "form": "hole"}, {"op": "90", "form": "plain"})"},
    {"0f", R"({"op": "00-57 59-FF", "form": "hole"}, {"op": "58", "form": "modrm"})"}};

}  // namespace

TEST_CASE("claims: every slot once and of the right shape is no error", "[decode]") {
    CHECK(check(maps_with(kTwoSlots), form("nop", "90") + "," + form("addps", "NP 0F 58 /r") + "," + form("addpd", "66,F3,F2 0F 58 /r")).empty());
}

TEST_CASE("claims: a slot that nobody claims", "[decode]") {
    check_only(check(maps_with(kTwoSlots), form("nop", "90") + "," + form("addps", "NP,66,F3 0F 58 /r")), "x86/opcode-maps.json", "",
               "slot 0f 58 F2 /0 memory in mode 16r is no hole, and no form claims it");
    check_only(check(maps_with(kTwoSlots), form("nop", "90") + "," + form("add", "0F 58 /0-6")), "x86/opcode-maps.json", "",
               "slot 0f 58 NP /7 memory in mode 16r is no hole, and no form claims it");
    check_only(check(maps_with(kTwoSlots), form("nop", "90") + "," + form("add", "0F 58 /r:m")), "x86/opcode-maps.json", "",
               "slot 0f 58 NP /0 register in mode 16r is no hole, and no form claims it");
    check_only(check(maps_with(kTwoSlots), form("nop", "90 {not:64}") + "," + form("add", "0F 58 /r")), "x86/opcode-maps.json", "",
               "slot one 90 NP /0 memory in mode 64 is no hole, and no form claims it");
    const auto vex = maps_with({{"vex.0f", R"({"op": "00-57 59-FF", "form": "hole"}, {"op": "58", "form": "modrm"})"}, {"one", kTwoSlots.at("one")}});
    check_only(check(vex, form("nop", "90")), "x86/opcode-maps.json", "", "slot vex.0f 58 is no hole, and no form claims it");
}

TEST_CASE("claims: two innocuous forms on the same bytes", "[decode]") {
    const std::string others = form("nop", "90") + "," + form("add", "0F 58 /r") + ",";
    check_only(check(maps_with(kTwoSlots), others + form("sub", "66 0F 58 /5:r")), kOwn, "/forms/2",
               "sub: claims bytes of 0f 58 that add (" + kOwn + "/forms/1) claims too");
    // Other makers and other generations may share; so may what other fields tell apart.
    CHECK(check(maps_with(kTwoSlots), others + form("via", "0F 58 /r", R"(, "vendor": "via")")).size() == 1);
    const std::string intel = form("nop", "90") + "," + form("a", "0F 58 /r", R"(, "vendor": "intel")") + ",", until = form("nop", "90") + "," + form("a", "0F 58 /r", R"(, "until": "i486")") + ",";
    CHECK(check(maps_with(kTwoSlots), intel + form("b", "0F 58 /r", R"(, "vendor": "amd")")).empty());
    CHECK(check(maps_with(kTwoSlots), until + form("b", "0F 58 /r", R"(, "since": "pentium")")).empty());
    CHECK(check(maps_with(kTwoSlots), form("nop", "90 {B=0}") + "," + form("xchg", "90 {B=1}") + "," + form("a", "0F 58 /r {o16}") + "," + form("b", "0F 58 /r {o32}")).empty());
}

TEST_CASE("claims: a record takes its bytes before an innocuous form", "[decode]") {
    const std::string hlt = record("hlt", R"({"map": "one", "opcode": "90", "modes": ["16r", "16p", "32", "64"]})");
    CHECK(check(maps_with(kTwoSlots), form("nop", "90") + "," + form("add", "0F 58 /r"), hlt).empty());
    CHECK(check(maps_with(kTwoSlots), form("add", "0F 58 /r"), hlt).empty());
}

TEST_CASE("claims: what is no instruction in the maps", "[decode]") {
    const std::string good = form("nop", "90") + "," + form("add", "0F 58 /r") + ",";
    const auto errors_of = [&](const OpcodeMaps& maps, const std::string& more) { return check(maps, good + more); };
    check_only(errors_of(maps_with(kTwoSlots), form("hlt", "F4")), kOwn, "/forms/2", "hlt: claims one F4 /0 memory, which is a hole in opcode-maps.json");
    const auto with_prefix = maps_with({{"one", R"({"op": "00-65 67-8F 91-FF", "form": "hole"}, {"op": "90", "form": "plain"}, {"op": "66", "form": "prefix"})"}, {"0f", kTwoSlots.at("0f")}});
    // "66" alone would be read as a prefix without an opcode.
    check_only(errors_of(with_prefix, form("osize", "66-66")), kOwn, "/forms/2", "osize: claims one 66, which is no instruction in opcode-maps.json");
}

TEST_CASE("claims: shapes that differ from the maps", "[decode]") {
    const auto maps = [](const std::string& slot) { return maps_with({{"0f", R"({"op": "00-57 59-FF", "form": "hole"}, {"op": "58", )" + slot + "}"}}); };
    const auto message = [&](const std::string& slot, const std::string& claim) {
        const auto errors = check(maps(slot), form("add", claim));
        REQUIRE_FALSE(errors.empty());
        CHECK(errors[0].file == kOwn);
        CHECK(errors[0].pointer == "/forms/0");
        return errors[0].message;
    };
    CHECK(message(R"("form": "plain")", "0F 58 /r") == "add: 0f 58 has no ModRM in opcode-maps.json");
    CHECK(message(R"("form": "modrm")", "0F 58") == "add: 0f 58 has a ModRM in opcode-maps.json");
    CHECK(message(R"("form": "modrm", "imm": "ib")", "0F 58 /r") == "add: claims 0f 58 /0 memory, whose immediate is ib, not none, in opcode-maps.json");
    CHECK(message(R"("form": "modrm")", "0F 58 /r iz") == "add: claims 0f 58 /0 memory, whose immediate is none, not iz, in opcode-maps.json");
    CHECK(message(R"("form": "modrm", "mod": "mem")", "0F 58 /r") == "add: claims 0f 58 /0 register, which takes memory only in opcode-maps.json");
    CHECK(message(R"("form": "modrm", "mod": "reg")", "0F 58 /3") == "add: claims 0f 58 /3 memory, which takes a register only in opcode-maps.json");
    CHECK(message(R"("form": "modrm", "not_in": ["64"])", "0F 58 /r") == "add: claims 0f 58 /0 memory, which does not exist in mode 64 in opcode-maps.json");
    CHECK(message(R"("form": "modrm", "prefix": ["np", "66"])", "0F 58 /r") == "add: claims 0f 58 /0 memory, which is not defined with F3 in opcode-maps.json");
    CHECK(message(R"("form": "modrm", "cases": [{"reg": "4", "mod": "reg", "form": "hole"}])", "0F 58 /r") == "add: claims 0f 58 /4 register, which is a hole in opcode-maps.json");
}

TEST_CASE("claims: records are held to the maps as well", "[decode]") {
    const std::string good = form("nop", "90") + "," + form("add", "0F 58 /r");
    check_only(check(maps_with(kTwoSlots), good, record("hlt", R"({"map": "one", "opcode": "F4", "modes": ["32"]})")), "x86/own.json", "/records/0",
               "hlt: claims one F4 /0 memory, which is a hole in opcode-maps.json");
}

TEST_CASE("claims: slots are counted by what holds them", "[decode]") {
    const std::string text = innocuous(form("nop", "90") + "," + form("add", "66 0F 58 /r"));
    const std::string family = record("rec", R"({"map": "0f", "opcode": "58", "prefix": "np", "modrm": {"mod": "mem"}, "modes": ["32"]})");
    const isa::LoadOutcome loaded = isa::load_database({{"x86/resources.json", kResources}, {"x86/innocuous-own.json", text}, {"x86/own.json", family}});
    REQUIRE(loaded.errors.empty());
    const OwnedFormTables tables = build_form_tables(loaded.database, maps_with(kTwoSlots));
    const SlotCount count = count_slots(tables.view(), loaded.database.records.size());
    CHECK(count.by_records == 1);           // one prefix in one mode
    CHECK(count.by_innocuous == 16 + 4);    // NOP with four prefixes in four modes, ADD with 66 in four
    CHECK(count.holes == 19 * 256 * 4 * 4 - 21);
}

TEST_CASE("claims: the compiled-in database has no error", "[decode]") {
    const isa::LoadOutcome loaded = isa::load_database(isa::embedded_spec_files());
    const auto errors = check_claims(loaded.database, OpcodeMaps::generated());
    for (const Error& error : errors) UNSCOPED_INFO(error.describe());
    CHECK(errors.empty());
}
