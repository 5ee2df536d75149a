// SPDX-License-Identifier: Apache-2.0
// Modules from plan to proof: what the loader's relocations make of a patched one is what the plan says, and whatever else
// they make is found. Record layouts and types are those of the gABI and the psABI supplements.
#include "planner_fixture.h"

#include "../image/elf_builder.h"
#include "image/elf_reader.h"
#include "patch/proof/verify.h"
#include "patch/rewrite.h"

using namespace trapline;
using image::test::Buffer;
using image::test::ElfBuilder;

namespace {

constexpr std::uint32_t kPc32 = 2;

/// .text has CPUID, of two bytes; an alternative of five bytes at 9; and RET. Its replacement is PUSHF, POP.
Buffer make_module(bool is_64) {
    ElfBuilder elf;
    elf.is_64 = is_64;
    elf.machine = is_64 ? 62 : 3;
    elf.type = 1;  // ET_REL
    // No symbol stands where a section begins, so that each of the rewriter's means something else.
    elf.add({".text", 1, 6, 0, {0x90, 0x0F, 0xA2, 0x89, 0xC1, 0x31, 0xD2, 0x31, 0xC0, 0x0F, 0x1F, 0x44, 0x00, 0x00, 0xC3}});
    elf.add({".altinstr_replacement", 1, 6, 0, {0x90, 0x9C, 0x58}});
    // s32 instr_offset, s32 repl_offset, u16 feature, u8 instrlen, u8 replacementlen. REL keeps its addends here.
    Buffer entry;
    image::test::put(entry, is_64 ? 0 : 8, 4);
    image::test::put(entry, is_64 ? 0 : 1, 4);
    image::test::put(entry, 9 * 32 + 20, 2);
    entry.insert(entry.end(), {5, 2});
    elf.add({".altinstructions", 1, 2, 0, entry});
    const std::uint32_t symbols = elf.add_symbols({{"f", 1, 1, 2, 13}, {"r", 0, 2, 0, 0}});
    Buffer table;
    const auto relocate = [&](std::uint64_t at, std::uint64_t symbol, std::uint64_t addend) {
        image::test::put(table, at, is_64 ? 8 : 4);
        image::test::put(table, is_64 ? (symbol << 32) | kPc32 : (symbol << 8) | kPc32, is_64 ? 8 : 4);
        if (is_64) image::test::put(table, addend, 8);
    };
    relocate(0, 1, 8);
    relocate(4, 2, 1);
    ElfBuilder::Part part;
    part.name = is_64 ? ".rela.altinstructions" : ".rel.altinstructions";
    part.type = is_64 ? 4 : 9;
    part.bytes = table;
    part.link = symbols;
    part.info = 3;
    part.entry_size = is_64 ? 24 : 8;
    elf.add(part);
    return elf.build();
}

image::Image open(const Buffer& file) {
    image::Image found;
    const auto sink = [&](image::Image&& one) {
        found = std::move(one);
        return true;
    };
    REQUIRE(image::open_image_bytes("module", file, {}, sink, [](const Error& error) { FAIL(error.describe()); }));
    return found;
}

PlanDocument plan_of(const Buffer& file) {
    const isa::Database& database = scan_test::database();
    const image::Image image = open(file);
    const auto scanned = scan::scan_with_facts(image, database, scan_test::tags(), {});
    patch::Planner planner(database, *database.find_abi("trapline"), {});
    planner.add(scanned.document, scanned.facts);
    return planner.finish("module");
}

VerifyReport verify(const Buffer& file, const PlanDocument& plan) {
    const image::Image image = open(file);
    const ScanDocument scan = scan::scan(image, scan_test::database(), scan_test::tags(), {});
    VerifyReport report;
    patch::proof::VerifyOptions options;
    options.proof = {3, 16};
    options.jobs = 1;
    patch::proof::verify_part(image, scan, plan, "", *scan_test::database().find_abi("trapline"), options, report);
    patch::proof::finish_report(plan, {""}, report);
    return report;
}

const PlannedSite& site_of(const PlanDocument& plan, const std::string& form) {
    for (const PlannedSite& site : plan.sites)
        if (site.form == form) return site;
    FAIL("no site of " << form);
    throw 0;
}

image::ElfSection section_of(const Buffer& file, const std::string& name) {
    const auto elf = image::read_elf(file, 100, "module");
    REQUIRE(elf);
    for (const image::ElfSection& section : elf->sections)
        if (section.name == name) return section;
    FAIL("no section " << name);
    return {};
}

}  // namespace

TEST_CASE("a module's stubs may call the VMM, and its alternatives lead to stubs", "[patch]") {
    for (const bool is_64 : {false, true}) {
        const Buffer file = make_module(is_64);
        const PlanDocument plan = plan_of(file);
        const PlannedSite& cpuid = site_of(plan, "cpuid");
        CHECK(cpuid.technique == Technique::absorb);
        CHECK(cpuid.resume != 0);
        const PlannedSite& pushf = site_of(plan, is_64 ? "pushf_o64" : "pushf_o32");
        CHECK(pushf.technique == Technique::direct);
        const PlanPatch& redirected = plan.patches.at(*pushf.patch);
        REQUIRE(redirected.writes.size() == 2);
        // As if every section began at 0: the field is at 4, the replacement at 1.
        CHECK(to_hex(redirected.writes[0].old_bytes) == "fdffffff");
        CHECK(redirected.begin == 9);
        CHECK(redirected.end == 14);

        const auto made = patch::rewrite_image(file, plan, "module");
        if (!made) FAIL(made.error().describe());
        const VerifyReport report = verify(made->bytes, plan);
        for (const VerifyFinding& finding : report.findings) FAIL_CHECK(to_string(finding.kind) << " " << finding.text << "\n" << finding.report);
        CHECK(report.proved == plan.patches.size());
        // The loader wants a RELA field to be zero; REL has the addend there, the stub's place.
        const image::ElfSection table = section_of(made->bytes, ".altinstructions");
        const std::uint32_t held = *ByteView(made->bytes).get<std::uint32_t>(table.offset + 4);
        CHECK(held == (is_64 ? 0 : plan.stubs.at(redirected.stubs.at(0)).address));
        CHECK(made->bytes[table.offset + 10] == 5);
        CHECK(made->bytes[table.offset + 11] == 5);
        const auto restored = patch::undo_image(made->bytes, "out");
        REQUIRE(restored);
        CHECK(restored->bytes == file);
    }
}

TEST_CASE("each relocation of a patched module counts", "[patch]") {
    for (const bool is_64 : {false, true}) {
        const PlanDocument plan = plan_of(make_module(is_64));
        const auto made = patch::rewrite_image(make_module(is_64), plan, "module");
        REQUIRE(made);
        const std::string prefix = is_64 ? ".rela" : ".rel";
        const std::uint64_t size = is_64 ? 24 : 8, info = is_64 ? 8 : 4;
        for (const std::string name : {".trapline.stubs", ".text"}) {
            const image::ElfSection table = section_of(made->bytes, prefix + name);
            REQUIRE(table.size >= size);
            for (std::uint64_t entry = 0; entry < table.size; entry += size) {
                INFO(prefix << name << " at " << entry);
                const auto caught = [&](std::uint64_t at, std::uint8_t value) {
                    Buffer changed = made->bytes;
                    if (changed.at(table.offset + entry + at) == value) return true;
                    changed[table.offset + entry + at] = value;
                    return !verify(changed, plan).findings.empty();
                };
                CHECK(caught(0, 1));                                   // another place
                CHECK(caught(info, is_64 ? 10 : 20));                  // R_X86_64_32, R_386_16
                CHECK(caught(info, is_64 ? 11 : 1));                   // absolute
                CHECK(caught(info, kPc32));
                for (std::uint8_t symbol = 0; symbol < 5; ++symbol) CHECK(caught(info + (is_64 ? 4 : 1), symbol));
                if (is_64) CHECK(caught(16, 0x77));                    // the addend
            }
        }
        // The alternative, led back to where its replacement was: symbol r, which is the second.
        const image::ElfSection table = section_of(made->bytes, prefix + ".altinstructions");
        Buffer changed = made->bytes;
        changed.at(table.offset + size + info + (is_64 ? 4 : 1)) = 2;
        const VerifyReport report = verify(changed, plan);
        REQUIRE_FALSE(report.findings.empty());
        CHECK(report.findings[0].kind == VerifyKind::write);
    }
}

TEST_CASE("the entry of an alternative is rewritten only where its relocations lead as planned", "[patch]") {
    for (const bool is_64 : {false, true}) {
        const Buffer file = make_module(is_64);
        const PlanDocument plan = plan_of(file);
        const std::uint32_t number = *site_of(plan, is_64 ? "pushf_o64" : "pushf_o32").patch;
        const auto message = [&](const PlanDocument& changed) {
            const auto made = patch::rewrite_image(file, changed, "module");
            return made ? std::string("accepted") : made.error().message;
        };
        PlanDocument changed = plan;
        changed.patches[number].writes[0].old_bytes[0] ^= 1;
        CHECK_THAT(message(changed), Catch::Contains("do not lead to 0x9 and, in the section of its sites, to 0x"));
        changed = plan;
        changed.patches[number].begin = 10;
        CHECK_THAT(message(changed), Catch::Contains("do not lead to 0xa"));
        changed = plan;
        changed.patches[number].writes[0].new_bytes[0] ^= 1;
        CHECK_THAT(message(changed), Catch::Contains("leads to no stub of its patch"));
        changed = plan;
        changed.patches[number].writes[0].address = 0;  // the original's field, which no plan may lead elsewhere
        changed.patches[number].writes[0].file_offset -= 4;
        CHECK_THAT(message(changed), Catch::Contains("is filled by no relocations") || Catch::Contains("leads to no stub"));
    }
}
