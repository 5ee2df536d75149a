// SPDX-License-Identifier: Apache-2.0
// Interfaces: what is read, what is refused while reading, and what lint finds.
#include <catch2/catch.hpp>

#include "isa/abi_lint.h"
#include "isa/loader.h"

using namespace trapline;

namespace {

constexpr std::string_view kResources = R"({"schema": "trapline.resources/1", "resources": [{"id": "if", "kind": "interrupt", "title": "IF"}]})";
constexpr std::string_view kAtoms = R"({"schema": "trapline.atoms/1", "atoms": [{"id": "cpl", "axis": "mode", "domain": 4, "title": "CPL"}]})";
constexpr std::string_view kFamily = R"({"schema": "trapline.isa-family/1", "family": "flags", "title": "Flags", "records": [
  {"id": "cli", "mnemonic": "cli", "encoding": {"map": "one", "opcode": "FA", "modes": ["64"]}, "examples": [{"bytes": "FA", "mode": "64", "text": "cli"}],
   "writes": [{"resource": "if"}], "virtualization": {"hypercall": "interrupts_off", "why": "x"}, "sources": [{"doc": "intel-sdm-2", "section": "CLI"}]},
  {"id": "sti", "mnemonic": "sti", "encoding": {"map": "one", "opcode": "FB", "modes": ["64"]}, "examples": [{"bytes": "FB", "mode": "64", "text": "sti"}],
   "writes": [{"resource": "if"}], "virtualization": {"hypercall": "interrupts_on", "why": "x"}, "sources": [{"doc": "intel-sdm-2", "section": "STI"}]}]})";

struct Parts {
    std::string areas = R"({"mode": "64", "stubs": {"begin": "0xFFFFFFFFFFE00000", "end": "0xFFFFFFFFFFE10000"}, "gate": "0xFFFFFFFFFFE10000",
                            "vcpu": "0xFFFFFFFFFFE11000", "pending": "0xFFFFFFFFFFE12000"})";
    std::string fields = R"({"name": "flag", "page": "vcpu", "offset": "0x8", "size": 8, "title": "t"}, {"name": "after", "page": "pending", "offset": "0x0", "size": 1, "title": "t"})";
    std::string operations = R"({"operation": "interrupts_off", "fit": "exact", "calls": [{"call": "off", "number": 1}]},
                                {"operation": "interrupts_on", "fit": "exact", "calls": [{"call": "on", "number": "0x2"}]})";
    std::string templates = R"({"title": "off", "mode": "64", "forms": ["cli"], "lines": ["mov byte ptr [{vcpu.flag} + 1], 0"]},
                               {"title": "hypercall", "mode": "64", "forms": [], "calls_vmm": true, "lines": ["jmp {gate}"]})";
    std::string extra;
};

isa::LoadOutcome load(const Parts& parts) {
    static std::vector<std::string> keep;  // the loader views the text
    keep.reserve(1000);
    keep.push_back(R"({"schema": "trapline.abi/1", "id": "mine", "name": "Mine", "title": "Mine", "version": {"major": 2, "minor": 5}, "sources": [{"doc": "xen-public", "section": "x"}],)" +
                   parts.extra + R"("areas": [)" + parts.areas + R"(], "fields": [)" + parts.fields + R"(], "operations": [)" + parts.operations + R"(], "templates": [)" +
                   parts.templates + "]}");
    return isa::load_database({{"x86/resources.json", kResources}, {"x86/atoms.json", kAtoms}, {"x86/flags.json", kFamily}, {"abi/mine.json", keep.back()}});
}

bool mentions(const std::vector<Error>& errors, const std::string& words) {
    for (const Error& error : errors)
        if (error.describe().find(words) != std::string::npos) return true;
    for (const Error& error : errors) UNSCOPED_INFO(error.describe());
    return false;
}

bool refuses(const Parts& parts, const std::string& words) { return mentions(load(parts).errors, words); }

bool lint_finds(const Parts& parts, const std::string& words) {
    const auto outcome = load(parts);
    for (const Error& error : outcome.errors) UNSCOPED_INFO(error.describe());
    return outcome.errors.empty() && mentions(isa::lint_abis(outcome.database), words);
}

}  // namespace

TEST_CASE("an interface is read as it is written", "[isa]") {
    const auto outcome = load({});
    REQUIRE(outcome.errors.empty());
    CHECK(isa::lint_abis(outcome.database).empty());
    const isa::Abi* abi = outcome.database.find_abi("mine");
    REQUIRE(abi != nullptr);
    CHECK(outcome.database.find_abi("yours") == nullptr);
    CHECK(abi->version() == "2.5");
    const isa::AbiArea* area = abi->find_area(Mode::long64);
    REQUIRE(area != nullptr);
    CHECK(abi->find_area(Mode::protected32) == nullptr);
    CHECK(area->stubs.size() == 0x10000);
    CHECK(area->address(*abi->find_field("flag")).value == 0xFFFFFFFFFFE11008u);
    CHECK(area->address(*abi->find_field("after")).value == 0xFFFFFFFFFFE12000u);
    CHECK(abi->find_operation("interrupts_on")->number() == 2u);
    CHECK(abi->find_operation("interrupts_on")->call() == "on");
    CHECK(abi->find_template("cli", Mode::long64)->title == "off");
    CHECK(abi->find_template("sti", Mode::long64)->title == "hypercall");
    CHECK(abi->parse_placeholder("vcpu.flag")->field == abi->find_field("flag"));
    CHECK(abi->parse_placeholder("label.on")->label == "on");
    for (const char* name : {"pending.flag", "vcpu.after", "vcpu.", "label.", "flag", "", "."}) CHECK_FALSE(abi->parse_placeholder(name));
}

TEST_CASE("an entry for some forms outranks the one for all", "[isa]") {
    Parts parts;
    parts.operations += R"(, {"operation": "interrupts_on", "forms": ["sti"], "fit": "partial", "note": "n",
                              "calls": [{"memory": "info.mask", "offset": "0x1", "size": 1}, {"call": "mmu", "number": 26, "command": "NEW", "command_number": 5}]})";
    const auto outcome = load(parts);
    REQUIRE(outcome.errors.empty());
    const isa::Abi* abi = outcome.database.find_abi("mine");
    CHECK(abi->find_operation("interrupts_on", "cli")->fit == isa::AbiFit::exact);
    const isa::AbiOperation* entry = abi->find_operation("interrupts_on", "sti");
    CHECK(entry->fit == isa::AbiFit::partial);
    CHECK(entry->call() == "info.mask, then mmu: NEW");
    CHECK(entry->number() == 26u);
    CHECK(entry->calls[0].means == isa::AbiMeans::memory);
    CHECK(entry->calls[0].offset == 1u);
    CHECK(entry->calls[1].command_number == 5u);
}

TEST_CASE("unknown keys and values in an interface are load errors", "[isa]") {
    Parts parts;
    parts.extra = R"("colour": "red",)";
    CHECK(refuses(parts, "unknown key \"colour\""));
    const auto with_areas = [](std::string text) { Parts p; p.areas = std::move(text); return p; };
    CHECK(refuses(with_areas(R"({"mode": "31", "stubs": {"begin": "0x0", "end": "0x1000"}, "gate": "0x1000", "vcpu": "0x2000", "pending": "0x3000"})"), "unknown mode \"31\""));
    CHECK(refuses(with_areas(R"({"mode": "32", "stubs": {"begin": "0x0", "end": "0x1000"}, "gate": "0x100000000", "vcpu": "0x2000", "pending": "0x3000"})"), "0x100000000"));
    CHECK(refuses(with_areas(R"({"mode": "32", "stubs": {"begin": "0x0", "end": "0x1000"}, "gate": 4096, "vcpu": "0x2000", "pending": "0x3000"})"), "expected a string"));
    CHECK(refuses(with_areas(R"({"mode": "32", "stubs": {"begin": "0x", "end": "4096"}, "gate": "0x1000", "vcpu": "0x2000", "pending": "0x3000"})"), "expected hex"));
    CHECK(refuses(with_areas(R"({"mode": "64", "stubs": {"begin": "0x10000000000000000", "end": "0x1"}, "gate": "0x1", "vcpu": "0x2", "pending": "0x3"})"), "expected hex"));
    const auto with_operation = [](std::string text) { Parts p; p.operations = std::move(text); return p; };
    CHECK(refuses(with_operation(R"({"operation": "x", "fit": "roughly"})"), "unknown fit \"roughly\""));
    CHECK(refuses(with_operation(R"({"operation": "x", "fit": "exact", "calls": [{"call": "c"}]})"), "missing key \"number\""));
    CHECK(refuses(with_operation(R"({"operation": "x", "fit": "exact", "calls": [{"call": "c", "number": -1}]})"), "whole number"));
    CHECK(refuses(with_operation(R"({"operation": "x", "fit": "exact", "calls": [{"call": "c", "number": "0x80000000"}]})"), "expected hex"));
    CHECK(refuses(with_operation(R"({"operation": "x", "fit": "exact", "calls": [{"call": "c", "number": 1, "command": "d"}]})"), "missing key \"command_number\""));
    CHECK(refuses(with_operation(R"({"operation": "x", "fit": "exact", "calls": ["c"]})"), "expected an object"));
    CHECK(refuses(with_operation(R"({"operation": "x", "forms": [], "fit": "none"})"), "\"forms\" is empty"));
    CHECK(refuses(with_operation(R"({"operation": "x", "fit": "none", "sources": [{"doc": "hearsay", "section": "x"}]})"), "unknown document \"hearsay\""));
    Parts templates;
    templates.templates = R"({"title": "t", "mode": "64", "forms": [], "operand_sizes": [24], "lines": []})";
    CHECK(refuses(templates, "expected 16, 32 or 64"));
    CHECK(refuses(templates, "needs \"lines\""));
    Parts fields;
    fields.fields = R"({"name": "f", "page": "gate", "offset": "0x1000", "size": 9, "title": "t"})";
    CHECK(refuses(fields, "unknown page \"gate\""));
    CHECK(refuses(fields, "0x1000"));
    CHECK(refuses(fields, "from 1 to 8"));
}

TEST_CASE("an interface stands in the file of its name", "[isa]") {
    const auto outcome = isa::load_database({{"abi/other.json", R"({"schema": "trapline.abi/1", "id": "mine", "name": "Mine", "title": "Mine", "version": {"major": 1, "minor": 0},
      "sources": [{"doc": "xen-public", "section": "x"}], "areas": [], "fields": [], "operations": [], "templates": []})"}});
    CHECK(mentions(outcome.errors, "in a file of another name"));
}

TEST_CASE("lint holds an interface against the records", "[isa]") {
    const auto with = [](std::string text) { Parts p; p.operations = std::move(text); return p; };
    CHECK(lint_finds(with(R"({"operation": "interrupts_off", "fit": "exact", "calls": [{"call": "off", "number": 1}]})"), "interrupts_on: records ask for this"));
    const std::string both = Parts().operations;
    CHECK(lint_finds(with(both + R"(, {"operation": "teleport", "fit": "exact", "calls": [{"call": "t", "number": 9}]})"), "teleport: no record asks"));
    CHECK(lint_finds(with(both + R"(, {"operation": "interrupts_on", "fit": "exact", "calls": [{"call": "on", "number": 2}]})"), "listed twice for all forms"));
    CHECK(lint_finds(with(both + R"(, {"operation": "interrupts_on", "forms": ["cli"], "fit": "exact", "calls": [{"call": "on", "number": 2}]})"), "asks for interrupts_off"));
    CHECK(lint_finds(with(both + R"(, {"operation": "interrupts_on", "forms": ["wobble"], "fit": "exact", "calls": [{"call": "on", "number": 2}]})"), "no record has the id"));
    CHECK(lint_finds(with(R"({"operation": "interrupts_off", "fit": "exact", "calls": [{"call": "off", "number": 1}]},
                             {"operation": "interrupts_on", "fit": "exact", "calls": [{"call": "off", "number": 1}]})"), "shares its number with interrupts_off"));
    CHECK(lint_finds(with(R"({"operation": "interrupts_off", "fit": "exact", "calls": [{"call": "off", "number": 1}]},
                             {"operation": "interrupts_on", "fit": "exact", "calls": [{"call": "on", "number": 1}]})"), "has the number 1 of off"));
    CHECK(lint_finds(with(R"({"operation": "interrupts_off", "fit": "exact"}, {"operation": "interrupts_on", "fit": "none", "note": "n"})"), "exact without a call"));
    CHECK(lint_finds(with(R"({"operation": "interrupts_off", "fit": "none"}, {"operation": "interrupts_on", "fit": "none", "note": "n"})"), "expected a note"));
}

TEST_CASE("lint checks fields, areas and templates", "[isa]") {
    Parts fields;
    fields.fields += R"(, {"name": "flag", "page": "pending", "offset": "0x3", "size": 2, "title": "t"}, {"name": "late", "page": "vcpu", "offset": "0xC", "size": 4, "title": "t"})";
    CHECK(lint_finds(fields, "field flag: is listed twice"));
    CHECK(lint_finds(fields, "field flag: is not aligned"));
    CHECK(lint_finds(fields, "field late: overlaps flag"));
    CHECK(lint_finds(fields, "expected the order of pages"));
    Parts areas;
    areas.areas = R"({"mode": "64", "stubs": {"begin": "0x10000", "end": "0x20000"}, "gate": "0x1F000", "vcpu": "0x21000", "pending": "0x21800"})";
    CHECK(lint_finds(areas, "gate overlaps stubs"));
    CHECK(lint_finds(areas, "pending overlaps vcpu"));
    CHECK(lint_finds(areas, "pending is not page-aligned"));
    areas.areas = R"({"mode": "64", "stubs": {"begin": "0x20000", "end": "0x10000"}, "gate": "0x40000", "vcpu": "0x21000", "pending": "0xFFFFFFFFFFFFF000"})";
    CHECK(lint_finds(areas, "stubs is empty or wraps"));
    CHECK(lint_finds(areas, "pending is empty or wraps"));
    const auto with = [](std::string text) { Parts p; p.templates += ", " + text; return p; };
    CHECK(lint_finds(with(R"({"title": "x", "mode": "64", "forms": ["sti"], "lines": ["mov al, {vcpu.nothing}"]})"), "found the placeholder {vcpu.nothing}"));
    CHECK(lint_finds(with(R"({"title": "x", "mode": "64", "forms": ["sti"], "lines": ["mov al, {site"]})"), "lone brace"));
    CHECK(lint_finds(with(R"({"title": "x", "mode": "64", "forms": ["sti"], "lines": ["jz {label.off}"]})"), "{label.off} is not defined once"));
    CHECK(lint_finds(with(R"({"title": "x", "mode": "64", "forms": ["sti"], "lines": ["off:", "nop"]})"), "found the label off:"));
    CHECK(lint_finds(with(R"({"title": "x", "mode": "64", "forms": ["sti"], "lines": ["jmp {gate}"]})"), "calls_vmm must say"));
    CHECK(lint_finds(with(R"({"title": "x", "mode": "64", "forms": ["cli"], "lines": ["nop"]})"), "cli has a template already"));
    CHECK(lint_finds(with(R"({"title": "x", "mode": "32", "forms": ["cli"], "lines": ["nop"]})"), "there is no area for this mode"));
    CHECK(lint_finds(with(R"({"title": "x", "mode": "32", "forms": ["cli"], "lines": ["nop"]})"), "cli does not exist in this mode"));
    Parts without;
    without.templates = R"({"title": "off", "mode": "64", "forms": ["cli"], "lines": ["nop"]})";
    CHECK(lint_finds(without, "no hypercall template"));
}
