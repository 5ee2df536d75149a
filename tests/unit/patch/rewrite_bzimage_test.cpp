// SPDX-License-Identifier: Apache-2.0
// bzImages put together after Documentation/arch/x86/boot.rst and mkpiggy.c: patched, read again, restored.
#include <catch2/catch.hpp>

#include "../image/packed.h"
#include "image/compress.h"
#include "image/decompress.h"
#include "image/digest.h"
#include "patch/rewrite.h"
#include "rewrite_samples.h"

using namespace trapline;
using namespace trapline::patch;
using namespace trapline::patch::test;
using Catch::Matchers::Contains;

namespace {

constexpr std::size_t kSetup = 2 * 512, kPayload = 0x210;
constexpr std::uint64_t kBase = 0xC1000000;
constexpr std::uint32_t kInitSize = 0x40000;

Buffer pack_as(image::Content how, const Buffer& bytes) {
    auto stream =
        image::compress({how, 0, how == image::Content::xz || how == image::Content::lzma ? 1u << 20 : 0, how == image::Content::xz}, bytes, "payload");
    REQUIRE(stream);
    if (how != image::Content::gzip) image::test::put(*stream, bytes.size(), 4);
    return *stream;
}

// `slack` zeros behind the stream give the payload room to grow; kernels have none, but streams differ in length.
Buffer make_bzimage(Buffer payload, std::size_t expanded, bool lengths = true) {
    Buffer out(kSetup, 0);
    out[0] = 0xEA;
    out[0x1F1] = 1;
    image::test::poke(out, 0x1FE, 0xAA55, 2);
    out[0x200] = 0xEB;
    out[0x201] = 0x6A;
    image::test::poke(out, 0x202, 0x53726448, 4);
    image::test::poke(out, 0x206, 0x20F, 2);
    image::test::poke(out, 0x248, kPayload, 4);
    image::test::poke(out, 0x24C, payload.size(), 4);
    image::test::poke(out, 0x260, kInitSize, 4);
    Buffer code(kPayload, 0x90);
    code.insert(code.end(), payload.begin(), payload.end());
    code.insert(code.end(), 32, 0xF4);
    if (lengths) {
        image::test::put(code, payload.size(), 4);
        image::test::put(code, expanded, 4);
    }
    while (code.size() % 16 != 12) code.push_back(0);
    image::test::put(code, 0, 4);  // the checksum's place
    image::test::poke(out, 0x1F4, code.size() / 16, 4);
    out.insert(out.end(), code.begin(), code.end());
    return out;
}

// A kernel whose data compress badly at first and well after the patch: the new stream fits the old room.
Buffer roomy_kernel() {
    ElfBuilder elf;
    elf.is_64 = false;
    elf.machine = 3;
    elf.entry = kBase;
    elf.add({".text", 1, 6, kBase, {0x90, 0xFA, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xC3, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC}});
    Buffer noise(4096);
    std::uint32_t state = 1;
    for (std::uint8_t& byte : noise) byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
    elf.add({".noise", 1, 6, kBase + 0x1000, noise});
    elf.loads = {{5, kBase, 0x100000, 0}};
    return elf.build();
}

PlanDocument roomy_plan(const Buffer& elf) {
    PlanDocument plan = make_plan(elf, kBase, kStubs32);
    const Buffer start(elf.begin() + static_cast<std::ptrdiff_t>(find_code(elf)) + 16, elf.end());
    PlanPatch patch;
    PlanWrite write;
    write.section = ".noise";
    write.address = kBase + 0x1000;
    write.file_offset = find_code(elf) + 16;
    write.old_bytes.assign(start.begin(), start.begin() + 4096);
    write.new_bytes.assign(4096, 0xCC);
    write.what = "inline";
    patch.writes = {write};
    plan.patches.push_back(patch);
    return plan;
}

std::uint32_t word(const Buffer& file, std::uint64_t at) { return *ByteView(file).get<std::uint32_t>(at); }

}  // namespace

TEST_CASE("a bzImage of each writable compression is patched, opens as before, and is restored") {
    using image::Content;
    const Buffer elf = roomy_kernel();
    const PlanDocument plan = roomy_plan(elf);
    for (const Content how : {Content::gzip, Content::bzip2, Content::xz, Content::lzma, Content::lz4_legacy, Content::zstd}) {
        INFO(image::to_string(how));
        const Buffer packed = pack_as(how, elf);
        const Buffer file = make_bzimage(packed, elf.size());
        const auto made = rewrite_image(file, plan, "vmlinuz");
        REQUIRE(made);
        const std::size_t trailer = how == Content::gzip ? 0 : 4;
        const std::uint32_t length = word(made->bytes, 0x24C);
        REQUIRE(length <= packed.size());
        const auto payload = image::decompress(how, Bytes(made->bytes).subspan(kSetup + kPayload, length - trailer), 1 << 20, "payload");
        REQUIRE(payload);
        CHECK(std::search(payload->begin(), payload->end(), plan.stubs[0].bytes.begin(), plan.stubs[0].bytes.end()) != payload->end());
        // The stub's copies of both lengths, 32 bytes behind the room; and the recorded size at the stream's end.
        const std::uint64_t lengths = kSetup + kPayload + packed.size() + 32;
        CHECK(word(made->bytes, lengths) == length);
        CHECK(word(made->bytes, lengths + 4) == payload->size());
        if (trailer != 0) CHECK(word(made->bytes, kSetup + kPayload + length - 4) == payload->size());
        // header.S: the stream is expanded over itself, so a shorter stream at the old place asks for more memory.
        const std::int64_t growth =
            std::int64_t(payload->size() + (payload->size() >> 8)) - length - (std::int64_t(elf.size() + (elf.size() >> 8)) - std::int64_t(packed.size()));
        CHECK(word(made->bytes, 0x260) >= kInitSize + std::max<std::int64_t>(growth, 0));
        CHECK(word(made->bytes, 0x260) % 4096 == 0);
        // Everything else of the image is where it was.
        CHECK(std::equal(file.begin() + static_cast<std::ptrdiff_t>(lengths) + 8, file.end(), made->bytes.begin() + static_cast<std::ptrdiff_t>(lengths) + 8));

        const auto opened = image::test::open_all(made->bytes);
        REQUIRE(opened.status);
        CHECK(opened.member_errors.empty());
        REQUIRE(opened.images.size() == 3);
        CHECK(opened.images[2].find_section({kStubs32}));

        const auto again = rewrite_image(made->bytes, plan, "vmlinuz");
        REQUIRE(again);
        CHECK(again->unchanged);
        CHECK(again->bytes == made->bytes);
        const auto restored = undo_image(made->bytes, "vmlinuz");
        REQUIRE(restored);
        CHECK(restored->bytes == file);
    }
}

TEST_CASE("a stream that compressing again does not give is kept for undo") {
    const Buffer elf = roomy_kernel();
    // A preset that neither the kernel's build nor the rewriter uses.
    Buffer packed = image::test::compress(ARCHIVE_FILTER_GZIP, elf);
    packed[8] = 0x55;  // the XFL field says nothing to a decompressor
    const Buffer file = make_bzimage(packed, elf.size());
    const auto made = rewrite_image(file, roomy_plan(elf), "vmlinuz");
    REQUIRE(made);
    const auto restored = undo_image(made->bytes, "vmlinuz");
    REQUIRE(restored);
    CHECK(restored->bytes == file);
}

TEST_CASE("a payload without room, or lengths that are not found, are refused with figures") {
    const Buffer elf = make_kernel(false, kBase, false);
    const Buffer packed = pack_as(image::Content::xz, elf);
    const auto full = rewrite_image(make_bzimage(packed, elf.size()), make_plan(elf, kBase, kStubs32), "vmlinuz");
    REQUIRE_FALSE(full);
    CHECK(full.error().code == ErrorCode::refused);
    CHECK_THAT(full.error().message, Contains("the room between the parts of the boot stub is " + std::to_string(packed.size())));

    const Buffer roomy = roomy_kernel();
    const auto lost = rewrite_image(make_bzimage(pack_as(image::Content::xz, roomy), roomy.size(), false), roomy_plan(roomy), "vmlinuz");
    REQUIRE_FALSE(lost);
    CHECK_THAT(lost.error().message, Contains("in 0 places"));
}

TEST_CASE("a relocation table makes room when nothing else does, and comes back with undo") {
    Buffer elf = make_kernel(false, kBase, false);
    image::test::put(elf, 0, 4);
    std::uint32_t state = 1;
    for (int i = 0; i < 2000; ++i) image::test::put(elf, (state = state * 1664525 + 1013904223) | 1, 4);
    const Buffer file = make_bzimage(pack_as(image::Content::xz, elf), elf.size());
    const PlanDocument plan = make_plan(elf, kBase, kStubs32);
    const auto made = rewrite_image(file, plan, "vmlinuz");
    REQUIRE(made);
    REQUIRE(made->notes.size() == 1);
    CHECK_THAT(made->notes[0], Contains("relocation table is left out"));
    // The boot code reads backwards from the end to the first zero word: there must be one.
    const std::uint32_t length = word(made->bytes, 0x24C);
    const auto payload = image::decompress(image::Content::xz, Bytes(made->bytes).subspan(kSetup + kPayload, length - 4), 1 << 20, "payload");
    REQUIRE(payload);
    CHECK(word(*payload, payload->size() - 4) == 0);
    const auto again = rewrite_image(made->bytes, plan, "vmlinuz");
    REQUIRE(again);
    CHECK(again->unchanged);
    const auto restored = undo_image(made->bytes, "vmlinuz");
    REQUIRE(restored);
    CHECK(restored->bytes == file);
}

TEST_CASE("writes into setup and boot stub are made in the file around the payload") {
    const Buffer elf = roomy_kernel();
    const Buffer packed = pack_as(image::Content::xz, elf);
    const Buffer file = make_bzimage(packed, elf.size());
    PlanDocument plan = roomy_plan(elf);
    plan.parts = {{"setup", image::sha256_hex(file), "", "i386", file.size(), false}, {"stub", image::sha256_hex(file), "", "i386", file.size(), false}};
    const auto add = [&](const std::string& part, const std::string& section, std::uint64_t address, std::uint64_t offset, std::uint8_t old_byte) {
        PlanPatch patch;
        patch.part = part;
        PlanWrite write;
        write.section = section;
        write.address = address;
        write.file_offset = offset;
        write.old_bytes = {old_byte};
        write.new_bytes = {0xCC};
        write.what = "breakpoint";
        patch.writes = {write};
        plan.patches.push_back(patch);
    };
    add("stub", "head.text", 5, kSetup + 5, 0x90);
    const std::uint64_t text = kPayload + packed.size();
    add("stub", "text", text + 1, kSetup + text + 1, 0xF4);
    const auto made = rewrite_image(file, plan, "vmlinuz");
    REQUIRE(made);
    CHECK(made->bytes[kSetup + 5] == 0xCC);
    CHECK(made->bytes[kSetup + text + 1] == 0xCC);
    CHECK(rewrite_image(made->bytes, plan, "vmlinuz")->unchanged);
    const auto restored = undo_image(made->bytes, "vmlinuz");
    REQUIRE(restored);
    CHECK(restored->bytes == file);

    PlanDocument other = plan;
    other.patches.back().writes[0].new_bytes = {0xF1};
    CHECK_FALSE(rewrite_image(made->bytes, other, "vmlinuz"));
    other = plan;
    other.parts[1].sha256[0] ^= 1;
    CHECK_THAT(rewrite_image(file, other, "vmlinuz").error().message, Contains("the plan's stub is for"));
    other = plan;
    other.patches.back().writes[0].old_bytes = {0x90};
    CHECK_THAT(rewrite_image(file, other, "vmlinuz").error().message, Contains("found bytes f4"));
    other = plan;
    other.patches.back().writes[0].file_offset = kSetup + kPayload;
    CHECK_THAT(rewrite_image(file, other, "vmlinuz").error().message, Contains("outside section text"));
    other = plan;
    other.patches.back().part = "setup";
    other.patches.back().writes[0] = {"entry-jump", 0x200, 0x200, {0xEB}, {0xCC}, "breakpoint"};
    CHECK_THAT(rewrite_image(file, other, "vmlinuz").error().message, Contains("touches the setup header"));
    // The lengths, 32 bytes behind the payload, change with it.
    other = plan;
    other.patches.back().writes[0] = {"text", text + 32, kSetup + text + 32, {static_cast<std::uint8_t>(packed.size())}, {0xCC}, "breakpoint"};
    CHECK_THAT(rewrite_image(file, other, "vmlinuz").error().message, Contains("over the payload's lengths"));
}

TEST_CASE("stubs of the boot stub stand at the end of the payload's room") {
    const Buffer elf = roomy_kernel();
    const Buffer packed = pack_as(image::Content::xz, elf);
    const Buffer file = make_bzimage(packed, elf.size());
    PlanDocument plan = roomy_plan(elf);
    const std::uint64_t end = kPayload + packed.size(), begin = (end - 64) / 16 * 16;
    plan.reserved.push_back({begin, end, "boot-stubs"});
    PlanPatch patch;
    patch.part = "stub";
    patch.stubs = {static_cast<std::uint32_t>(plan.stubs.size())};
    plan.parts = {{"stub", image::sha256_hex(file), "", "i386", file.size(), false}};
    patch.writes = {{"head.text", 5, kSetup + 5, {0x90}, {0xCC}, "breakpoint"}};
    plan.patches.push_back(patch);
    PlanStub stub;
    stub.address = begin + 8;
    stub.bytes = {0x0F, 0x1F, 0x40, 0x7A, 0xC3};
    plan.stubs.push_back(stub);
    const auto made = rewrite_image(file, plan, "vmlinuz");
    REQUIRE(made);
    CHECK(made->bytes.size() > file.size());
    const Buffer room(made->bytes.begin() + static_cast<std::ptrdiff_t>(kSetup + begin), made->bytes.begin() + static_cast<std::ptrdiff_t>(kSetup + end));
    Buffer expected(end - begin, 0xCC);
    std::copy(stub.bytes.begin(), stub.bytes.end(), expected.begin() + 8);
    CHECK(room == expected);
    CHECK(word(made->bytes, 0x24C) <= begin - kPayload);
    CHECK(rewrite_image(made->bytes, plan, "vmlinuz")->unchanged);
    const auto restored = undo_image(made->bytes, "vmlinuz");
    REQUIRE(restored);
    CHECK(restored->bytes == file);
    const auto kernel = find_original_kernel(made->bytes, "vmlinuz");
    REQUIRE((kernel && *kernel));
    CHECK(**kernel == elf);
    CHECK_FALSE(find_original_kernel(file, "vmlinuz")->has_value());
    CHECK_FALSE(find_original_kernel(elf, "vmlinux")->has_value());

    PlanDocument other = plan;
    other.stubs.back().bytes[4] = 0xC2;
    CHECK_FALSE(rewrite_image(made->bytes, other, "vmlinuz"));
    const auto refused = [&](auto&& change, const char* why) {
        PlanDocument changed = plan;
        change(changed);
        const auto result = rewrite_image(file, changed, "vmlinuz");
        REQUIRE_FALSE(result);
        CHECK_THAT(result.error().message, Contains(why));
    };
    for (const auto& [low, high] : {std::pair(begin, end - 1), std::pair(begin, end + 1), std::pair(kPayload - 1ul, end), std::pair(end + 1, end), std::pair(0ul, ~0ul)})
        refused([&, from = low, to = high](PlanDocument& changed) { changed.reserved.back() = {from, to, "boot-stubs"}; }, "expected the end of the payload's room");
    refused([&](PlanDocument& changed) { changed.stubs.back().address = end - 2; }, "passes the end of its range");
    refused([&](PlanDocument& changed) { changed.stubs.push_back(changed.stubs.back()); }, "overlaps the one before");
    // All of the room: nothing is left for the payload itself.
    refused([&](PlanDocument& changed) { changed.reserved.back().begin = kPayload; }, "the patched payload takes");
}

TEST_CASE("a damaged tail is an error") {
    const Buffer elf = roomy_kernel();
    const auto made = rewrite_image(make_bzimage(pack_as(image::Content::gzip, elf), elf.size()), roomy_plan(elf), "vmlinuz");
    REQUIRE(made);
    for (std::size_t back = 1; back < 200; ++back) {
        Buffer damaged = made->bytes;
        damaged[damaged.size() - back] ^= 0x40;
        CHECK_FALSE(undo_image(damaged, "vmlinuz"));
        damaged = made->bytes;
        damaged.resize(damaged.size() - back);
        CHECK_FALSE(undo_image(damaged, "vmlinuz"));
    }
}
