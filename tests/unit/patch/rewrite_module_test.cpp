// SPDX-License-Identifier: Apache-2.0
// Modules: what the linker makes of a patched one is the same code as a plan for fixed addresses would give.
#include <catch2/catch.hpp>

#include "image/elf_reader.h"
#include "patch/rewrite.h"
#include "rewrite_samples.h"

using namespace trapline;
using namespace trapline::patch;
using namespace trapline::patch::test;
using Catch::Matchers::Contains;

namespace {

// .text of make_kernel's code, a relocation for `call` in .text.more, symbols.
Buffer make_module(bool is_64, bool relocated_site) {
    ElfBuilder elf;
    elf.is_64 = is_64;
    elf.machine = is_64 ? 62 : 3;
    elf.type = 1;  // ET_REL
    elf.add({".text", 1, 6, 0, {0x90, 0xFA, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xC3, 0xCC, 0xCC, 0xE8, 0xFC, 0xFF, 0xFF, 0xFF}});
    const std::uint32_t symbols = elf.add_symbols({{"f", 0, 1, 2, 9}});
    Buffer table;
    image::test::put(table, relocated_site ? 3 : 12, is_64 ? 8 : 4);
    image::test::put(table, is_64 ? (std::uint64_t{1} << 32) | 2 : (1u << 8) | 2, is_64 ? 8 : 4);  // PC32 against f
    if (is_64) image::test::put(table, static_cast<std::uint64_t>(-4), 8);
    ElfBuilder::Part part;
    part.name = is_64 ? ".rela.text" : ".rel.text";
    part.type = is_64 ? 4 : 9;
    part.bytes = table;
    part.link = symbols;
    part.info = 1;
    part.entry_size = is_64 ? 24 : 8;
    elf.add(part);
    return elf.build();
}

std::uint32_t index_of(const image::ElfFile& elf, const std::string& name) {
    for (std::uint32_t i = 1; i < elf.sections.size(); ++i)
        if (elf.sections[i].name == name) return i;
    FAIL("no section " << name);
    return 0;
}

// Links by the rules of the x86 supplements: field = S + A - P, or S + A.
struct Linked {
    Buffer text, stubs;
};
Linked link(const Buffer& file, std::uint64_t text_base, std::uint64_t stub_base) {
    const auto elf = image::read_elf(file, 100, "module");
    REQUIRE(elf);
    const auto symbols = image::read_elf_symbols(file, index_of(*elf, ".symtab"), "module");
    REQUIRE(symbols);
    const std::uint32_t text = index_of(*elf, ".text"), stubs = index_of(*elf, ".trapline.stubs");
    const auto bytes = [&](std::uint32_t i) {
        const auto first = file.begin() + static_cast<std::ptrdiff_t>(elf->sections[i].offset);
        return Buffer(first, first + static_cast<std::ptrdiff_t>(elf->sections[i].size));
    };
    Linked out{bytes(text), bytes(stubs)};
    for (std::uint32_t i = 1; i < elf->sections.size(); ++i) {
        if (elf->sections[i].type != 4 && elf->sections[i].type != 9) continue;
        REQUIRE((elf->sections[i].info == text || elf->sections[i].info == stubs));
        const bool in_text = elf->sections[i].info == text;
        Buffer& target = in_text ? out.text : out.stubs;
        const std::uint64_t base = in_text ? text_base : stub_base;
        const auto entries = image::read_elf_relocations(file, i, "module");
        REQUIRE(entries);
        for (const image::ElfRelocation& entry : *entries) {
            const image::ElfSymbol& symbol = symbols->at(entry.symbol);
            const std::uint64_t s = symbol.value + (symbol.absolute ? 0 : symbol.section == text ? text_base : stub_base);
            const auto field = static_cast<std::int32_t>(*ByteView(target).get<std::uint32_t>(entry.offset));
            // The kernel's loader refuses a RELA field that is not zero; our own entries must obey.
            if (entry.explicit_addend && entry.offset != 12) CHECK(field == 0);
            const std::int64_t a = entry.explicit_addend ? entry.addend : field;
            const std::uint64_t p = entry.type == 2 ? base + entry.offset : 0;
            image::test::poke(target, entry.offset, s + static_cast<std::uint64_t>(a) - p, 4);
        }
    }
    return out;
}

}  // namespace

TEST_CASE("a linked module jumps to its stub and back, wherever both lie") {
    for (const bool is_64 : {false, true}) {
        const Buffer file = make_module(is_64, false);
        PlanDocument plan = make_plan(file, 0, 0);
        // push <address of the ret>, as a call that moved to a stub begins.
        plan.stubs[0].bytes.insert(plan.stubs[0].bytes.end(), {0x68, 8, 0, 0, 0});
        plan.stubs[0].fixups.push_back({10, FixupKind::image_address});
        // push <the address of this instruction>; jmp 0xfffff000, which 64-bit code reads as a signed number
        plan.stubs[0].bytes.insert(plan.stubs[0].bytes.end(), {0x68, 14, 0, 0, 0, 0xE9, 0xE8, 0xEF, 0xFF, 0xFF});
        plan.stubs[0].fixups.push_back({15, FixupKind::stub_address});
        plan.stubs[0].fixups.push_back({20, FixupKind::fixed_relative});
        const auto made = rewrite_image(file, plan, "module");
        REQUIRE(made);
        const std::uint64_t text = 0x10000, stubs = 0x34560;
        const Linked linked = link(made->bytes, text, stubs);
        const auto rel = [](const Buffer& bytes, std::uint64_t at) { return static_cast<std::int32_t>(*ByteView(bytes).get<std::uint32_t>(at)); };
        CHECK(linked.text[1] == 0xE9);
        CHECK(text + 6 + rel(linked.text, 2) == stubs);
        CHECK(linked.stubs[4] == 0xE9);
        CHECK(stubs + 9 + rel(linked.stubs, 5) == text + 8);
        CHECK(rel(linked.stubs, 10) == static_cast<std::int32_t>(text + 8));
        CHECK(rel(linked.stubs, 15) == static_cast<std::int32_t>(stubs + 14));
        CHECK(static_cast<std::uint32_t>(stubs) + 24 + static_cast<std::uint32_t>(rel(linked.stubs, 20)) == 0xFFFFF000);
        CHECK(text + 16 + rel(linked.text, 12) == text);  // the module's own call, untouched

        const auto restored = undo_image(made->bytes, "out");
        REQUIRE(restored);
        CHECK(restored->bytes == file);
        const auto again = rewrite_image(made->bytes, plan, "out");
        REQUIRE(again);
        CHECK(again->unchanged);
    }
}

TEST_CASE("a module's signature is left out, and comes back with undo") {
    Buffer file = make_module(true, false);
    const std::string signature = "PKCS#7 bytes and twelve of a header~Module signature appended~\n";
    file.insert(file.end(), signature.begin(), signature.end());
    const auto made = rewrite_image(file, make_plan(file, 0, 0), "module");
    REQUIRE(made);
    REQUIRE(made->notes.size() == 1);
    CHECK_THAT(made->notes[0], Contains("signature (63 bytes)"));
    CHECK_FALSE(std::equal(signature.rbegin(), signature.rbegin() + 20, made->bytes.rbegin()));
    const auto restored = undo_image(made->bytes, "out");
    REQUIRE(restored);
    CHECK(restored->bytes == file);
}

TEST_CASE("what a module's plan may not do") {
    const Buffer file = make_module(false, true);
    const auto relocated = rewrite_image(file, make_plan(file, 0, 0), "module");
    REQUIRE_FALSE(relocated);
    CHECK_THAT(relocated.error().message, Contains("a relocation fills, at 0x3"));

    const Buffer plain = make_module(false, false);
    PlanDocument plan = make_plan(plain, 0, 0);
    plan.patches[0].writes[0].new_bytes[1] ^= 1;
    const auto astray = rewrite_image(plain, plan, "module");
    REQUIRE_FALSE(astray);
    CHECK_THAT(astray.error().message, Contains("leads to no stub"));
}
