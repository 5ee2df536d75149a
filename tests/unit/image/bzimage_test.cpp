// SPDX-License-Identifier: Apache-2.0
// bzImages put together by hand after Documentation/arch/x86/boot.rst.
#include "image/bzimage.h"

#include <catch2/catch.hpp>

#include "packed.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;
using Catch::Matchers::Contains;

namespace {

constexpr std::size_t kSetup = 2 * 512;  // boot sector and one setup sector

// 0x210 bytes of head, the payload, 32 bytes of text; protocol 2.15.
Buffer make_bzimage(const Buffer& payload, bool kernel_64) {
    Buffer out(kSetup, 0);
    out[0] = 0xEA;      // ljmp: an old boot sector
    out[0x1F1] = 1;     // setup_sects
    poke(out, 0x1FE, 0xAA55, 2);
    out[0x200] = 0xEB;  // jmp 0x26c
    out[0x201] = 0x6A;
    poke(out, 0x202, 0x53726448, 4);  // "HdrS"
    poke(out, 0x206, 0x20F, 2);
    poke(out, 0x236, kernel_64 ? 1 : 0, 2);
    poke(out, 0x248, 0x210, 4);
    poke(out, 0x24C, payload.size(), 4);
    for (std::size_t i = 0x26C; i < 0x300; ++i) out[i] = 0x90;
    Buffer code(0x210, 0x90);
    code.insert(code.end(), payload.begin(), payload.end());
    code.insert(code.end(), 32, 0xF4);
    while (code.size() % 16) code.push_back(0);
    poke(out, 0x1F4, code.size() / 16, 4);
    out.insert(out.end(), code.begin(), code.end());
    return out;
}

Buffer with_size(Buffer packed, std::size_t size) {
    put(packed, size, 4);
    return packed;
}

}  // namespace

TEST_CASE("a bzImage gives setup, stub and payload") {
    const Buffer elf = tiny_program().build();
    const auto opened = open_all(make_bzimage(with_size(compress(ARCHIVE_FILTER_XZ, elf), elf.size()), true));
    REQUIRE(opened.status);
    CHECK(opened.member_errors.empty());
    REQUIRE(opened.images.size() == 3);
    const Image& setup = opened.images[0];
    CHECK(setup.format == Format::bzimage_setup);
    CHECK(setup.name == "test!setup");
    REQUIRE(setup.find_section({0x26C}));
    const Section& code = setup.sections[*setup.find_section({0x26C})];
    CHECK(code.width == CodeWidth::bits16);
    CHECK(code.real_mode);
    CHECK(code.bytes.size() == 0x300 - 0x26C);
    CHECK(code.file_offset == FileOffset{0x26C});

    const Image& stub = opened.images[1];
    CHECK(stub.format == Format::bzimage_stub);
    CHECK(stub.architecture == "x86_64");
    CHECK(stub.sections[*stub.find_section({0})].width == CodeWidth::bits32);
    CHECK(stub.sections[*stub.find_section({0x1FF})].width == CodeWidth::bits32);
    CHECK(stub.sections[*stub.find_section({0x200})].width == CodeWidth::bits64);
    CHECK(stub.sections[*stub.find_section({0x200})].file_offset == FileOffset{kSetup + 0x200});
    CHECK_FALSE(stub.find_section({0x210}));  // the payload is no code of the stub
    REQUIRE(stub.pointers.size() == 2);
    CHECK(stub.pointers[1].address == VirtAddr{0x200});

    const Image& kernel = opened.images[2];
    CHECK(kernel.name == "test!payload");
    CHECK(kernel.wrappers == std::vector<std::string>{"bzimage", "xz"});
    CHECK(kernel.size == elf.size());
    CHECK(kernel.symbols.size() == 1);
}

TEST_CASE("the kernel's ELF class outweighs a missing XLF_KERNEL_64, and payloads of each kind open") {
    const Buffer elf = tiny_program().build();
    for (const int filter : {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_BZIP2, ARCHIVE_FILTER_LZMA, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_NONE}) {
        Buffer payload = filter == ARCHIVE_FILTER_NONE ? elf : compress(filter, elf);
        if (filter != ARCHIVE_FILTER_GZIP && filter != ARCHIVE_FILTER_NONE) payload = with_size(payload, elf.size());
        const auto opened = open_all(make_bzimage(payload, false));
        INFO("filter " << filter);
        CHECK(opened.member_errors.empty());
        REQUIRE(opened.images.size() == 3);
        CHECK(opened.images[1].architecture == "x86_64");
    }
}

TEST_CASE("the 32-bit code of the setup is found by its bytes and ends its code") {
    Buffer image = make_bzimage(tiny_program().build(), true);
    const Buffer in_pm32{0x8E, 0xD9, 0x8E, 0xC1, 0x8E, 0xE1, 0x8E, 0xE9, 0x8E, 0xD1, 0x01, 0xDC, 0xFF, 0xE0};
    std::copy(in_pm32.begin(), in_pm32.end(), image.begin() + 0x280);
    const auto opened = open_all(image);
    const Image& setup = opened.images.at(0);
    CHECK(setup.sections[*setup.find_section({0x27F})].width == CodeWidth::bits16);
    CHECK(setup.sections[*setup.find_section({0x280})].width == CodeWidth::bits32);
    CHECK_FALSE(setup.sections[*setup.find_section({0x280})].real_mode);
    CHECK_FALSE(setup.sections[*setup.find_section({0x28E})].executable);  // setup.ld: data follow .text32
}

TEST_CASE("a broken payload is a member's error; setup and stub are still given") {
    const auto opened = open_all(make_bzimage({1, 2, 3, 4, 5, 6, 7, 8}, true));
    CHECK(opened.status);
    CHECK(opened.images.size() == 2);
    REQUIRE(opened.member_errors.size() == 1);
    CHECK(opened.member_errors[0].file == "test!payload");
    CHECK_THAT(opened.member_errors[0].message, Contains("0102030405060708"));
}

TEST_CASE("a bzImage without a payload is a program of its own; before protocol 2.08 nobody knows") {
    Buffer image = make_bzimage({}, true);
    auto opened = open_all(image);
    CHECK(opened.images.size() == 2);
    CHECK(opened.member_errors.empty());
    poke(image, 0x206, 0x207, 2);
    opened = open_all(image);
    CHECK(opened.images.size() == 2);
    REQUIRE(opened.member_errors.size() == 1);
    CHECK(opened.member_errors[0].code == ErrorCode::unsupported);
}

TEST_CASE("a payload bomb is refused") {
    OpenOptions options;
    options.max_decompressed = 1 << 20;
    const auto opened = open_all(make_bzimage(with_size(compress(ARCHIVE_FILTER_XZ, Buffer(4 << 20, 0)), 4 << 20), true), options);
    REQUIRE(opened.member_errors.size() == 1);
    CHECK(opened.member_errors[0].code == ErrorCode::refused);
}

TEST_CASE("a bzImage cut at any byte is an error; parts outside the file are named") {
    const Buffer whole = make_bzimage(tiny_program().build(), true);
    for (std::size_t size = 0; size + 16 <= whole.size(); size += size < 0x300 ? 1 : 5) {
        INFO("cut at " << size);
        CHECK_FALSE(open_all(Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).status);
    }
    Buffer bad = whole;
    poke(bad, 0x24C, 0x7FFFFFFF, 4);
    CHECK_THAT(open_all(bad).status.error().message, Contains("payload"));
    bad = whole;
    bad[0x1F1] = 200;
    CHECK(open_all(bad).status.error().code == ErrorCode::truncated);
}
