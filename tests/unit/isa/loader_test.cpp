// SPDX-License-Identifier: Apache-2.0
// Loading: good files give the records they describe, bad ones all their errors, each with file and pointer.
#include <catch2/catch.hpp>

#include "isa/format.h"
#include "isa/lint.h"
#include "isa/loader.h"

using namespace trapline;

namespace {

constexpr std::string_view kResources = R"({"schema": "trapline.resources/1", "resources": [
  {"id": "gdtr", "kind": "relocation", "title": "GDTR"}, {"id": "mem", "kind": "user", "title": "memory"}]})";
constexpr std::string_view kAtoms = R"({"schema": "trapline.atoms/1", "atoms": [
  {"id": "cpl", "axis": "mode", "domain": 4, "title": "CPL"}, {"id": "cr4.umip", "axis": "control", "domain": 2, "title": "UMIP", "token": "CR4.UMIP", "vmm": 1}]})";

std::string family(const std::string& records) {
    return R"({"schema": "trapline.isa-family/1", "family": "tables", "title": "Tables", "records": [)" + records + "]}";
}

std::string sgdt(const std::string& extra = "", const std::string& id = "sgdt") {
    return R"({"id": ")" + id + R"(", "mnemonic": "sgdt", "encoding": {"map": "0f", "opcode": "01", "modrm": {"mod": "mem", "reg": 0}, "modes": ["32", "64"]},
      "examples": [{"bytes": "0F0100", "mode": "64", "text": "sgdt [rax]"}], "reads": [{"resource": "gdtr"}], "writes": [{"resource": "mem"}],
      "faults": [{"vector": "#GP", "cause": "privilege", "when": "cr4.umip && cpl > 0"}],
      "virtualization": {"hypercall": "store_descriptor_table", "why": "It shows the host's table."},)" +
           extra + R"("sources": [{"doc": "intel-sdm-2", "section": "SGDT"}]})";
}

isa::LoadOutcome load(const std::string& text) {
    static std::vector<std::string> keep;  // the loader views the text
    keep.push_back(text);
    return isa::load_database({{"x86/resources.json", kResources}, {"x86/atoms.json", kAtoms}, {"x86/tables.json", keep.back()}});
}

bool mentions(const std::vector<Error>& errors, const std::string& pointer, const std::string& words) {
    for (const Error& error : errors)
        if (error.pointer == pointer && error.message.find(words) != std::string::npos) return true;
    for (const Error& error : errors) UNSCOPED_INFO(error.describe());
    return false;
}

isa::EncodingKey sgdt_key() {
    isa::EncodingKey key;
    key.map = isa::OpcodeMap::m0f;
    key.opcode = 0x01;
    key.has_modrm = true;
    return key;
}

}  // namespace

TEST_CASE("a record is read as it is written", "[isa]") {
    const auto outcome = load(family(sgdt()));
    REQUIRE(outcome.errors.empty());
    REQUIRE(outcome.database.records.size() == 1);
    const isa::Record& record = outcome.database.records[0];
    CHECK(record.id == "sgdt");
    CHECK(record.family == "tables");
    CHECK(record.encoding.map == isa::OpcodeMap::m0f);
    CHECK(record.encoding.opcode == 0x01);
    CHECK(record.encoding.mod == isa::ModRequirement::memory);
    CHECK(record.encoding.reg_mask == 1);
    CHECK(record.encoding.modes.contains(Mode::long64));
    CHECK_FALSE(record.encoding.modes.contains(Mode::real16));
    CHECK(record.examples[0].bytes == std::vector<std::uint8_t>{0x0F, 0x01, 0x00});
    CHECK(record.faults[0].when.text() == "cr4.umip && cpl > 0");
    CHECK(record.pointer == "/records/0");
}

TEST_CASE("every error of a file is reported at once, with its pointer", "[isa]") {
    const auto outcome = load(family(R"({"id": "x", "mnemonic": "x", "colour": "red",
      "encoding": {"map": "0f99", "opcode": "0F01", "modes": ["64", "31"], "modrm": {"mod": "memory"}},
      "examples": [], "reads": [{"resource": "gdt"}],
      "faults": [{"vector": "GP", "cause": "malice", "when": "cpl > 9"}], "sources": [{"doc": "wikipedia", "section": "x"}]})"));
    const auto& errors = outcome.errors;
    CHECK(mentions(errors, "/records/0", "unknown key \"colour\""));
    CHECK(mentions(errors, "/records/0/encoding", "unknown map \"0f99\""));
    CHECK(mentions(errors, "/records/0/encoding/opcode", "one opcode byte"));
    CHECK(mentions(errors, "/records/0/encoding/modes/1", "31"));
    CHECK(mentions(errors, "/records/0/encoding/modrm/mod", "memory"));
    CHECK(mentions(errors, "/records/0/examples", "at least one"));
    CHECK(mentions(errors, "/records/0/reads/0", "unknown resource \"gdt\""));
    CHECK(mentions(errors, "/records/0/faults/0", "vector"));
    CHECK(mentions(errors, "/records/0/faults/0/cause", "privilege, feature, data"));
    CHECK(mentions(errors, "/records/0/faults/0/when", "found the value 9"));
    CHECK(mentions(errors, "/records/0/sources/0", "wikipedia"));
    for (const Error& error : errors) CHECK(error.file == "x86/tables.json");
}

TEST_CASE("text that is no JSON, or of no known schema, is an error of that file", "[isa]") {
    CHECK(load("{\"schema\": ").errors.size() == 1);
    CHECK(mentions(load(R"({"schema": "trapline.cookbook/1"})").errors, "/schema", "unknown schema"));
    CHECK(mentions(load(R"([1, 2])").errors, "/schema", "unknown schema"));
}

TEST_CASE("lint recomputes ids and finds slots that are claimed twice", "[isa]") {
    const auto check = [](const std::string& text) {
        const auto outcome = load(text);
        REQUIRE(outcome.errors.empty());
        const auto formatted = isa::format_spec("x86/tables.json", text);
        REQUIRE(formatted.has_value());
        return isa::lint(outcome.database, {{"x86/tables.json", *formatted}});
    };
    CHECK(check(family(sgdt())).empty());
    CHECK(mentions(check(family(sgdt("", "sgdt_o32"))), "/records/0", "expected \"sgdt\""));
    CHECK(mentions(check(family(sgdt() + "," + sgdt(R"("variant": "b",)", "sgdt_b"))), "/records/1", "claims bytes that sgdt"));
    CHECK(mentions(check(family(sgdt() + "," + sgdt())), "/records/1", "id is taken"));
    // Forms of generations that never meet may share a slot: LOADALL and SYSCALL do.
    CHECK(check(family(sgdt(R"("until": "i286",)") + "," + sgdt(R"("variant": "b", "since": "i386",)", "sgdt_b"))).empty());
}

TEST_CASE("a matched record depends on mod, reg and mode", "[isa]") {
    const auto outcome = load(family(sgdt()));
    REQUIRE(outcome.errors.empty());
    isa::Profile profile;
    isa::EncodingKey key = sgdt_key();
    CHECK(outcome.database.match(key, profile) != nullptr);
    key.reg = 8;  // REX.R does not extend an opcode digit
    CHECK(outcome.database.match(key, profile) != nullptr);
    key.reg = 1;
    CHECK(outcome.database.match(key, profile) == nullptr);
    key = sgdt_key();
    key.mod = 3;
    CHECK(outcome.database.match(key, profile) == nullptr);
    key = sgdt_key();
    key.mode = Mode::real16;
    CHECK(outcome.database.match(key, profile) == nullptr);
}

TEST_CASE("operand size follows the default, 66 and REX.W", "[isa]") {
    // SDM volume 1, table 3-4, and volume 2, 2.2.1.
    isa::Encoding encoding;
    isa::EncodingKey key;
    const auto size = [&](Mode mode, bool has_66, bool w) {
        key.mode = mode;
        key.has_66 = has_66;
        key.w = w;
        return isa::effective_operand_size(encoding, key);
    };
    CHECK(size(Mode::real16, false, false) == 16);
    CHECK(size(Mode::real16, true, false) == 32);
    CHECK(size(Mode::protected32, false, false) == 32);
    CHECK(size(Mode::protected32, true, false) == 16);
    CHECK(size(Mode::long64, false, false) == 32);
    CHECK(size(Mode::long64, true, false) == 16);
    CHECK(size(Mode::long64, true, true) == 64);
    encoding.osize64 = isa::OperandSize64::default64;
    CHECK(size(Mode::long64, false, false) == 64);
    CHECK(size(Mode::long64, true, false) == 16);
    encoding.osize64 = isa::OperandSize64::forced64;
    CHECK(size(Mode::long64, true, false) == 64);
}

TEST_CASE("the built-in database loads without an error and needs no override", "[isa]") {
    const auto outcome = isa::load_database(isa::embedded_spec_files());
    for (const Error& error : outcome.errors) UNSCOPED_INFO(error.describe());
    CHECK(outcome.errors.empty());
    for (const isa::Record& record : outcome.database.records) {
        INFO(record.id);
        CHECK(record.overrides.empty());
    }
}
