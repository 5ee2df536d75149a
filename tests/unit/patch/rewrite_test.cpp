// SPDX-License-Identifier: Apache-2.0
// Hand-made kernels patched by hand-made plans: what the file holds then, the way back, and every refusal.
#include "patch/rewrite.h"

#include <catch2/catch.hpp>

#include "image/elf_reader.h"
#include "rewrite_samples.h"

using namespace trapline;
using namespace trapline::patch;
using namespace trapline::patch::test;
using Catch::Matchers::Contains;

namespace {

constexpr std::uint64_t kBase32 = 0xC1000000, kBase64 = 0xFFFFFFFF81000000;

struct Shape {
    bool is_64;
    std::uint64_t base, stubs;
};
const Shape kShapes[] = {{false, kBase32, kStubs32}, {true, kBase64, kStubs64}};

const image::ElfSection& section(const image::ElfFile& elf, const std::string& name) {
    for (const image::ElfSection& candidate : elf.sections)
        if (candidate.name == name) return candidate;
    FAIL("no section " << name);
    return elf.sections.front();
}

Buffer slice(const Buffer& file, std::uint64_t at, std::uint64_t size) {
    return Buffer(file.begin() + static_cast<std::ptrdiff_t>(at), file.begin() + static_cast<std::ptrdiff_t>(at + size));
}

std::string refusal(const Buffer& file, const PlanDocument& plan) {
    const auto made = rewrite_image(file, plan, "kernel");
    REQUIRE_FALSE(made);
    return made.error().message;
}

}  // namespace

TEST_CASE("a patched kernel holds the writes, the stubs at their address, and ends as it did") {
    for (const Shape& shape : kShapes) {
        const Buffer file = make_kernel(shape.is_64, shape.base);
        const PlanDocument plan = make_plan(file, shape.base, shape.stubs);
        const auto made = rewrite_image(file, plan, "kernel");
        REQUIRE(made);
        CHECK_FALSE(made->unchanged);
        const std::uint64_t code = find_code(file);
        CHECK(slice(made->bytes, code, 16) == Buffer{0x90, plan.patches[0].writes[0].new_bytes[0], plan.patches[0].writes[0].new_bytes[1],
                                                     plan.patches[0].writes[0].new_bytes[2], plan.patches[0].writes[0].new_bytes[3],
                                                     plan.patches[0].writes[0].new_bytes[4], 0xCC, 0xCC, 0xC3, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC});
        // Boot code reads the table backwards from the end of the file.
        CHECK(slice(made->bytes, made->bytes.size() - 16, 16) == slice(file, file.size() - 16, 16));

        const auto elf = image::read_elf(made->bytes, 100, "out");
        REQUIRE(elf);
        CHECK(elf->end == made->bytes.size() - 16);
        const image::ElfSection& stubs = section(*elf, ".trapline.stubs");
        CHECK(stubs.address == shape.stubs);
        CHECK(stubs.flags == 6);  // SHF_ALLOC | SHF_EXECINSTR
        CHECK(slice(made->bytes, stubs.offset, stubs.size) == plan.stubs[0].bytes);
        REQUIRE(elf->segments.size() == 3);
        CHECK(elf->segments[0].type == 1);  // PT_LOAD, twice, as before
        CHECK(elf->segments[1].type == 1);
        CHECK(elf->segments[2].type == 0x60545250);
        CHECK(elf->segments[2].offset == stubs.offset);
        CHECK(elf->segments[2].address == shape.stubs);
        CHECK(elf->segments[2].file_size == 9);
        CHECK(elf->segments[2].flags == 5);
        CHECK(section(*elf, ".data").address == shape.base + 0x1000);
    }
}

TEST_CASE("the table of sites is what rewrite_sites.h says") {
    const Buffer file = make_kernel(false, kBase32);
    PlanDocument plan = make_plan(file, kBase32, kStubs32);
    plan.sites[0].resume = kStubs32 + 4;
    const auto made = rewrite_image(file, plan, "kernel");
    REQUIRE(made);
    const auto elf = image::read_elf(made->bytes, 100, "out");
    REQUIRE(elf);
    const image::ElfSection& sites = section(*elf, ".trapline.sites");
    CHECK(sites.flags == 0);
    Buffer expected{'T', 'R', 'P', 'L', 'S', 'I', 'T', 'E', 1, 0, 0, 0,    1, 0, 0,    0, 40, 0, 0, 0,    1, 0, 0,    0, 0x48, 0, 0, 0, 0,
                    0,   0,   0,   7,   0,   0,   0,   0,   0, 1, 0, 0x01, 0, 0, 0xC1, 0, 0,  0, 0, 0x04, 0, 0, 0xFC, 0, 0,    0, 0, 1, 0xFA};
    expected.resize(0x48, 0);
    for (const char c : std::string("interrupts_off")) expected.push_back(static_cast<std::uint8_t>(c));
    expected.push_back(0);
    CHECK(slice(made->bytes, sites.offset, sites.size) == expected);
}

TEST_CASE("undo restores every byte; a second patch with the same plan changes none") {
    for (const Shape& shape : kShapes)
        for (const bool table : {true, false}) {
            const Buffer file = make_kernel(shape.is_64, shape.base, table);
            const PlanDocument plan = make_plan(file, shape.base, shape.stubs);
            const auto made = rewrite_image(file, plan, "kernel");
            REQUIRE(made);
            const auto restored = undo_image(made->bytes, "out");
            REQUIRE(restored);
            CHECK(restored->bytes == file);
            const auto again = rewrite_image(made->bytes, plan, "out");
            REQUIRE(again);
            CHECK(again->unchanged);
            CHECK(again->bytes == made->bytes);
        }
}

TEST_CASE("a program header grows in place where zeros follow the table, and moves where something stands") {
    const Buffer crowded = make_kernel(true, kBase64);
    // In the builder's layout the first section begins at the next multiple of 16 behind the headers: no room for 56 bytes.
    const auto moved = rewrite_image(crowded, make_plan(crowded, kBase64, kStubs64), "kernel");
    REQUIRE(moved);
    const ByteView view(moved->bytes);
    CHECK(*view.get<std::uint64_t>(32) > crowded.size() - 16 - 1);  // e_phoff, behind the ELF that was

    // The same file with the code 4 KiB further: the first section keeps its distance.
    Buffer spaced = crowded;
    const std::size_t header_end = 64 + 2 * 56;
    spaced.insert(spaced.begin() + header_end, 4096, 0);
    for (const std::size_t at : {40}) image::test::poke(spaced, at, *ByteView(spaced).get<std::uint64_t>(at) + 4096, 8);
    for (const std::size_t at : {64 + 8, 64 + 56 + 8}) image::test::poke(spaced, at, *ByteView(spaced).get<std::uint64_t>(at) + 4096, 8);
    const std::uint64_t headers = *ByteView(spaced).get<std::uint64_t>(40);
    for (std::size_t i = 1; i < 4; ++i) image::test::poke(spaced, headers + 64 * i + 24, *ByteView(spaced).get<std::uint64_t>(headers + 64 * i + 24) + 4096, 8);
    const PlanDocument plan = make_plan(spaced, kBase64, kStubs64);
    const auto made = rewrite_image(spaced, plan, "kernel");
    REQUIRE(made);
    CHECK(*ByteView(made->bytes).get<std::uint64_t>(32) == 64);
    CHECK(*ByteView(made->bytes).get<std::uint32_t>(header_end) == 0x60545250);
    const auto restored = undo_image(made->bytes, "out");
    REQUIRE(restored);
    CHECK(restored->bytes == spaced);
}

TEST_CASE("a plan that does not fit is refused with one reason") {
    const Buffer file = make_kernel(false, kBase32);
    const PlanDocument good = make_plan(file, kBase32, kStubs32);
    PlanDocument plan = good;
    const auto write = [&]() -> PlanWrite& { return plan.patches[0].writes[0]; };

    plan.sha256[0] = plan.sha256[0] == '0' ? '1' : '0';
    CHECK_THAT(refusal(file, plan), Contains("sha256") && Contains(plan.sha256));
    plan = good;
    write().old_bytes[2] = 0x91;
    CHECK_THAT(refusal(file, plan), Contains("found bytes fa909090909090") && Contains("fa909190909090") && Contains("0xc1000001"));
    plan = good;
    plan.patches.push_back(plan.patches[0]);
    plan.patches[1].writes[0].file_offset += 6;
    plan.patches[1].writes[0].address += 6;
    plan.patches[1].writes[0].old_bytes = {0x90};
    plan.patches[1].writes[0].new_bytes = {0xCC};
    CHECK_THAT(refusal(file, plan), Contains("overlap"));
    plan = good;
    write().file_offset += 16;
    write().address += 16;
    CHECK_THAT(refusal(file, plan), Contains("outside section .text"));
    plan = good;
    write().section = ".init.text";
    CHECK_THAT(refusal(file, plan), Contains(".init.text"));
    plan = good;
    write().address += 1;
    CHECK_THAT(refusal(file, plan), Contains("0xc1000002") && Contains("0xc1000001"));
    plan = good;
    write().file_offset = ~std::uint64_t{0};
    CHECK_THAT(refusal(file, plan), Contains("outside"));
    plan = good;
    write().new_bytes.pop_back();
    CHECK_THAT(refusal(file, plan), Contains("7 old and 6 new"));
    plan = good;
    plan.patches[0].part = "initrd";
    CHECK_THAT(refusal(file, plan), Contains("initrd"));
    plan = good;
    plan.patches[0].stubs = {1};
    CHECK_THAT(refusal(file, plan), Contains("stub 1 of 1"));
    plan = good;
    plan.sites[0].patch = 3;
    CHECK_THAT(refusal(file, plan), Contains("patch 3 of 1"));
    plan = good;
    plan.sites[0].bytes.resize(16);
    CHECK_THAT(refusal(file, plan), Contains("16 bytes"));
    plan = good;
    plan.stubs[0].fixups = {{6, FixupKind::image_relative}};
    CHECK_THAT(refusal(file, plan), Contains("fixup"));
    plan = good;
    plan.stubs[0].address = 0xFD000000;
    CHECK_THAT(refusal(file, plan), Contains("no range"));
    plan = good;
    plan.stubs.push_back(plan.stubs[0]);
    CHECK_THAT(refusal(file, plan), Contains("overlaps"));
    plan = good;
    plan.stubs[0].address = 0xFFFFFFFF;
    CHECK_THAT(refusal(file, plan), Contains("address space"));
    plan = good;
    plan.stubs[0].address = kBase32 + 8;
    plan.reserved[0].begin = kBase32;
    CHECK_THAT(refusal(file, plan), Contains("overlap section .text"));
}

TEST_CASE("a file patched with another plan is refused; one changed since cannot be undone") {
    const Buffer file = make_kernel(true, kBase64);
    const PlanDocument plan = make_plan(file, kBase64, kStubs64);
    const auto made = rewrite_image(file, plan, "kernel");
    REQUIRE(made);
    PlanDocument other = plan;
    other.patches[0].writes[0].new_bytes[6] = 0x90;
    CHECK_THAT(refusal(made->bytes, other), Contains("another plan"));
    other.sha256 = std::string(64, '0');
    CHECK_THAT(refusal(made->bytes, other), Contains("sha256"));

    Buffer changed = made->bytes;
    changed[find_code(file)] = 0x91;
    const auto restored = undo_image(changed, "out");
    REQUIRE_FALSE(restored);
    CHECK_THAT(restored.error().message, Contains("changed after it was patched"));
    const auto never = undo_image(file, "kernel");
    REQUIRE_FALSE(never);
    CHECK_THAT(never.error().message, Contains("not a patched file"));
}

TEST_CASE("a patched file cut or damaged anywhere in its record gives an error, never a wrong original") {
    const Buffer file = make_kernel(false, kBase32);
    const auto made = rewrite_image(file, make_plan(file, kBase32, kStubs32), "kernel");
    REQUIRE(made);
    for (std::size_t size = 0; size < made->bytes.size(); size += 3) CHECK_FALSE(undo_image(slice(made->bytes, 0, size), "cut"));
    const auto elf = image::read_elf(made->bytes, 100, "out");
    REQUIRE(elf);
    const image::ElfSection& undo = section(*elf, ".trapline.undo");
    for (std::uint64_t at = undo.offset; at < undo.offset + undo.size; ++at) {
        Buffer damaged = made->bytes;
        damaged[at] ^= 0xFF;
        const auto restored = undo_image(damaged, "damaged");
        // The minor version is the one field that older readers pass over.
        if (restored) CHECK(restored->bytes == file);
    }
}

TEST_CASE("what is neither ELF nor bzImage is refused by its name") {
    CHECK_THAT(refusal(Buffer{0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3}, {}), Contains("gzip") && Contains("unpack it first"));
    CHECK_THAT(refusal(Buffer(64, 0x11), {}), Contains("expected an ELF file or a bzImage"));
}
