// SPDX-License-Identifier: Apache-2.0
// Multiboot 1 and 2 headers, right and wrong, and what the guest is told. Expected values: the two specifications.
#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <string>

#include "executor/boot/boot.h"
#include "multiboot_image_builder.h"

namespace trapline::executor {
namespace {

using test::elf32;
using test::HeaderTag;
using test::ImageBytes;
using test::multiboot2_header;

constexpr std::uint64_t kRam = 32 << 20;

/// A machine with fresh memory that boots one image.
struct Booted {
    explicit Booted(const std::vector<std::uint8_t>& image, BootRequest request = {}, std::uint64_t memory = kRam) {
        auto pages = SharedPages::create("boot-test", memory);
        REQUIRE(pages);
        ram = std::move(*pages);
        request.image = image;
        request.name = "image";
        report = boot(request, ram, vcpu);
    }
    std::uint32_t word(std::uint64_t at) const {
        std::uint32_t value = 0;
        REQUIRE(at + 4 <= ram.size());
        std::memcpy(&value, ram.data() + at, 4);
        return value;
    }
    std::string text(std::uint64_t at) const { return reinterpret_cast<const char*>(ram.data() + at); }
    std::uint32_t gpr(unsigned number) const { return vcpu.reg32(number); }
    /// Finds a tag of the Multiboot 2 information; 0 where there is none.
    std::uint64_t tag(std::uint32_t type) const {
        for (std::uint64_t at = gpr(kRbx) + 8; word(at) != 0; at += (word(at + 4) + 7) & ~7u)
            if (word(at) == type) return at;
        return 0;
    }
    SharedPages ram;
    Vcpu vcpu;
    Result<BootReport> report;
};

void refuses(const std::vector<std::uint8_t>& image, ErrorCode code, const std::string& what) {
    const Booted booted(image);
    INFO(what);
    REQUIRE_FALSE(booted.report);
    CHECK(booted.report.error().code == code);
    CHECK_THAT(booted.report.error().describe(), Catch::Contains(what));
}

// An image without ELF headers: the header at file offset 0, 64 bytes behind it, all at 2 MiB.
constexpr std::uint32_t kBase = 0x200000;
ImageBytes flat(std::vector<HeaderTag> more = {}, std::uint32_t load_end = 0, std::uint32_t bss_end = 0, std::uint32_t load = kBase) {
    std::vector<HeaderTag> tags{{2, {kBase, load, load_end, bss_end}}, {3, {kBase + 0x40}}};
    tags.insert(tags.end(), more.begin(), more.end());
    ImageBytes image = multiboot2_header(tags);
    for (int i = 0; i < 64; ++i) image.add(0x90, 1);
    return image;
}

/// A Multiboot 2 header as the only segment of an ELF file.
ImageBytes elf_with(const std::vector<HeaderTag>& tags, std::uint32_t physical, std::uint32_t memory_size, bool sections = false) {
    std::vector<std::uint8_t> contents = multiboot2_header(tags).bytes;
    contents.insert(contents.begin(), 4, 0);  // 52 + 32 + 4 bytes before it: at a multiple of 8
    return elf32(0xC0000000, {{0xC0000000, physical, memory_size, contents}}, sections);
}

TEST_CASE("a Multiboot 2 guest starts as section 3.3 says") {
    const Booted booted(flat().bytes);
    REQUIRE(booted.report);
    CHECK(booted.report->protocol == "Multiboot 2");
    CHECK(booted.gpr(kRax) == 0x36D76289);
    CHECK(booted.gpr(kRbx) % 8 == 0);
    CHECK(booted.vcpu.rip == kBase + 0x40);
    CHECK((booted.vcpu.cr0 & 0x80000001) == 1);
    CHECK((booted.vcpu.rflags & 0x20200) == 0);
    CHECK(booted.word(kBase) == 0xE85250D6);
}

TEST_CASE("Multiboot 2: tags of the information") {
    const std::vector<std::uint8_t> file(5000, 0x5A);
    BootRequest request;
    request.command_line = "one two";
    request.initrd = {file, "disk"};
    request.modules = {{Bytes(file).first(1), "a b"}, {Bytes(), ""}};
    const Booted booted(elf_with({}, 0x300000, 0x1000, true).bytes, request);
    REQUIRE(booted.report);
    CHECK(booted.vcpu.rip == 0x300000);  // where the linear entry is loaded
    CHECK(booted.text(booted.tag(1) + 8) == "one two");
    CHECK(booted.word(booted.tag(1) + 4) == 16);
    CHECK(booted.text(booted.tag(2) + 8) == "trapline");
    const std::uint64_t first = booted.tag(3), second = first + 24;  // 16 + "disk" and its end, to a multiple of 8
    CHECK(booted.word(first + 8) % 0x1000 == 0);
    CHECK(booted.word(first + 8) >= 0x301000);
    CHECK(booted.word(first + 12) - booted.word(first + 8) == 5000);
    CHECK(booted.text(first + 16) == "disk");
    CHECK(booted.ram.data()[booted.word(first + 12) - 1] == 0x5A);
    CHECK(booted.word(second) == 3);
    CHECK(booted.word(second + 8) >= booted.word(first + 12));
    CHECK(booted.text(second + 16) == "a b");
    CHECK(booted.word(booted.tag(4) + 8) <= 640);
    CHECK(booted.word(booted.tag(4) + 12) == 31 * 1024);
    CHECK(booted.tag(5) == 0);  // no BIOS disk
    CHECK(booted.tag(21) == 0);
    const std::uint64_t sections = booted.tag(9);
    REQUIRE(sections != 0);
    CHECK(booted.word(sections + 4) == 20 + 3 * 40);
    CHECK(booted.word(sections + 8) == 3);
    CHECK(booted.word(sections + 12) == 40);
    CHECK(booted.word(sections + 16) == 2);
    const std::uint32_t symbols = booted.word(sections + 20 + 40 + 12), names = booted.word(sections + 20 + 80 + 12);
    CHECK(booted.word(symbols) == 0xA3A2A1A0);
    CHECK(booted.text(names + 1) == ".shstrtab");
    CHECK(names >= symbols + 16);
}

TEST_CASE("Multiboot 2: the header is searched for at multiples of 8 in the first 32768 bytes") {
    const auto at = [](std::size_t offset) {
        ImageBytes image;
        image.bytes.assign(offset, 0);
        const ImageBytes header = flat({}, 0, 0, 0xFFFFFFFF);
        image.bytes.insert(image.bytes.end(), header.bytes.begin(), header.bytes.end());
        return image.bytes;
    };
    CHECK(Booted(at(8)).report);
    CHECK(Booted(at(32752)).report);
    refuses(at(4), ErrorCode::unsupported, "neither a Linux kernel");
    refuses(at(32760), ErrorCode::unsupported, "neither a Linux kernel");
    ImageBytes wrong = flat();
    wrong.bytes[12] ^= 1;
    refuses(wrong.bytes, ErrorCode::unsupported, "neither a Linux kernel");
}

TEST_CASE("Multiboot 2: broken headers") {
    refuses(multiboot2_header({}, true, 8).bytes, ErrorCode::truncated, "header of 8 bytes");
    refuses(multiboot2_header({}, true, 0x7FFFFFFF).bytes, ErrorCode::truncated, "header of 2147483647 bytes");
    refuses(multiboot2_header({{3, {kBase}}}, false).bytes, ErrorCode::truncated, "end tag");
    refuses(multiboot2_header({}, false).bytes, ErrorCode::truncated, "end tag");
    refuses(multiboot2_header({{3, {kBase}, false, 4}}).bytes, ErrorCode::truncated, "size of 4");
    refuses(multiboot2_header({{3, {kBase}, false, 0xFFFFFFFF}}).bytes, ErrorCode::truncated, "size of 4294967295");
    refuses(multiboot2_header({{3, {kBase}, false, 0xFFFFFFF8}}).bytes, ErrorCode::truncated, "size of 4294967288");
    refuses(multiboot2_header({{3, {}}}).bytes, ErrorCode::truncated, "entry address tag of 8 bytes, expected at least 12");
    refuses(multiboot2_header({{2, {1, 2, 3}}}).bytes, ErrorCode::truncated, "address tag of 20 bytes");
    refuses(multiboot2_header({{10, {1}}}).bytes, ErrorCode::truncated, "relocatable image tag");
    refuses(multiboot2_header({{2, {kBase, kBase, 0, 0}}}).bytes, ErrorCode::malformed, "no entry address tag");
    // Without addresses it has to be an ELF file.
    refuses(multiboot2_header({{3, {kBase}}}).bytes, ErrorCode::malformed, "no ELF file");
}

TEST_CASE("Multiboot 2: demands that cannot be met") {
    refuses(multiboot2_header({}, true, 0, 4).bytes, ErrorCode::unsupported, "architecture 4");
    refuses(flat({{11, {}}}).bytes, ErrorCode::unsupported, "tag of type 11");
    refuses(flat({{1, {6, 22}}}).bytes, ErrorCode::unsupported, "information of type 22");
    refuses(flat({{1, {0}}}).bytes, ErrorCode::unsupported, "information of type 0");
    refuses(flat({{4, {1}}}).bytes, ErrorCode::unsupported, "EGA text");
    refuses(multiboot2_header({{2, {kBase, kBase, 0, 0}}, {7, {}}, {8, {0x100}}}).bytes, ErrorCode::unsupported, "EFI");
    const std::vector<HeaderTag> fine = {{11, {}, true}, {1, {6, 22}, true}, {1, {1, 7, 21}}, {4, {1}, true}, {4, {3}}, {4, {0}}, {5, {640, 480, 32}}, {6, {}}, {7, {}}, {8, {0x100}}, {9, {0x100}}};
    for (const HeaderTag& tag : fine) {
        INFO(tag.type);
        CHECK(Booted(flat({tag}).bytes).report);
    }
}

TEST_CASE("Multiboot 2: the address tag") {
    {
        const Booted booted(flat({}, kBase + 0x48, kBase + 0x4000).bytes);
        REQUIRE(booted.report);
        CHECK(booted.word(kBase + 0x44) != 0);
        CHECK(booted.word(kBase + 0x48) == 0);  // not loaded
    }
    refuses(flat({}, 0, 0, kBase + 8).bytes, ErrorCode::malformed, "before the image's beginning");
    refuses(flat({}, 0, 0, kBase - 8).bytes, ErrorCode::malformed, "before the beginning of the file");
    refuses(flat({}, kBase - 1).bytes, ErrorCode::malformed, "behind the end");
    refuses(flat({}, kBase + 0x10000).bytes, ErrorCode::truncated, "expected 65536 to load");
    refuses(flat({}, 0, 0xFFFFFFFF).bytes, ErrorCode::refused, "--memory");
    const auto at_end = multiboot2_header({{2, {0xFFFFFFF0, 0xFFFFFFF0, 0, 0}}, {3, {0xFFFFFFF0}}});
    refuses(at_end.bytes, ErrorCode::refused, "--memory");
}

TEST_CASE("Multiboot 2: the information lies beside an image in low memory") {
    ImageBytes image = multiboot2_header({{2, {0, 0, 0, 0x9F000}}, {3, {0x40}}});
    image.align(4096);
    const Booted booted(image.bytes);
    REQUIRE(booted.report);
    CHECK(booted.gpr(kRbx) >= 0x9F000);
    CHECK(booted.vcpu.gdtr.base >= 0x9F000);
    CHECK(booted.word(0) == 0xE85250D6);
    // All of low memory taken: above 1 MiB.
    ImageBytes larger = multiboot2_header({{2, {0, 0, 0, 0x180000}}, {3, {0x40}}});
    const Booted second(larger.bytes);
    REQUIRE(second.report);
    CHECK(second.gpr(kRbx) >= 0x180000);
}

TEST_CASE("Multiboot 2: relocatable images") {
    const auto relocated = [](std::uint32_t least, std::uint32_t most, std::uint32_t align, std::uint32_t preference) {
        return elf_with({{10, {least, most, align, preference}}, {3, {0x300010}}}, 0x300000, 0x1800).bytes;
    };
    const auto base_of = [&](std::uint32_t least, std::uint32_t most, std::uint32_t align, std::uint32_t preference) {
        const Booted booted(relocated(least, most, align, preference));
        INFO(least << " " << most << " " << align);
        REQUIRE(booted.report);
        const std::uint64_t tag = booted.tag(21);
        REQUIRE(tag != 0);
        const std::uint32_t base = booted.word(tag + 8);
        CHECK(booted.vcpu.rip == base + 0x10);
        CHECK(booted.word(base + 4) == 0xE85250D6);
        return base;
    };
    CHECK(base_of(0x400000, 0x800000, 0x1000, 1) == 0x400000);
    CHECK(base_of(0x400001, 0x800000, 0x1000, 1) == 0x401000);
    CHECK(base_of(0x400000, 0x800000, 0x1000, 2) == 0x7FE000);
    CHECK(base_of(0x400000, 0x401800, 1, 0) == 0x400000);
    CHECK(base_of(0x400000, 0xFFFFFFFF, 0x1000, 2) == kRam - 0x2000);
    CHECK(base_of(0x400000, 0x800000, 3, 1) == 0x400002);      // no power of two
    CHECK(base_of(0x400000, 0x800000, 0, 1) == 0x400000);
    CHECK(base_of(0, 0x800000, 0x1000, 1) == 0x1000);          // the first page is the BIOS's
    CHECK(base_of(0x9F000, 0x800000, 0x1000, 1) == 0x100000);  // and so is what is below 1 MiB
    refuses(relocated(0x400000, 0x4017FF, 1, 0), ErrorCode::refused, "no room");
    refuses(relocated(0x400000, 0x800000, 0xFFFFFFFF, 0), ErrorCode::refused, "no room");
    refuses(relocated(0x80000000, 0xFFFFFFFF, 0x1000, 0), ErrorCode::refused, "no room");
    refuses(relocated(0x800000, 0x400000, 0x1000, 0), ErrorCode::malformed, "lower address first");
    // By addresses, too.
    const Booted flat_one(flat({{10, {0x500000, 0x600000, 0x1000, 1}}}).bytes);
    REQUIRE(flat_one.report);
    CHECK(flat_one.word(flat_one.tag(21) + 8) == 0x500000);
    CHECK(flat_one.vcpu.rip == 0x500040);
}

TEST_CASE("modules that do not fit are refused by name") {
    const std::vector<std::uint8_t> file(20 << 20, 1);
    BootRequest request;
    request.modules = {{file, "first"}, {file, "second"}};
    const Booted booted(flat().bytes, request);
    REQUIRE_FALSE(booted.report);
    CHECK(booted.report.error().code == ErrorCode::refused);
    CHECK_THAT(booted.report.error().message, Catch::Contains("the module second"));
}

TEST_CASE("texts of Multiboot guests that are too long") {
    BootRequest request;
    request.command_line = std::string(2047, 'x');
    CHECK(Booted(flat().bytes, request).report);
    request.command_line += "x";
    CHECK_FALSE(Booted(flat().bytes, request).report);
    request.command_line.clear();
    request.modules = {{Bytes(), std::string(2048, 'y')}};
    const Booted booted(flat().bytes, request);
    REQUIRE_FALSE(booted.report);
    CHECK_THAT(booted.report.error().message, Catch::Contains("module's command line of 2048 characters"));
}

TEST_CASE("segments that take the executor's time are refused") {
    refuses(elf32(0x100000, std::vector<test::Segment32>(40, {0x100000, 0x100000, 0x100000, {}})).bytes, ErrorCode::malformed, "lie over each other");
    refuses(elf32(0x100000, std::vector<test::Segment32>(2000, {0x100000, 0x100000, 16, {}})).bytes, ErrorCode::refused, "2000 segments");
}

TEST_CASE("Multiboot 1: information") {
    ImageBytes header;
    header.words({0x1BADB002, 0, 0u - 0x1BADB002});
    const std::vector<std::uint8_t> file{1, 2, 3};
    BootRequest request;
    request.command_line = "x=1";
    request.modules = {{file, "m one"}, {file, "m two"}};
    const Booted booted(elf32(0x100000, {{0x100000, 0x100000, 0x2000, header.bytes}}, true).bytes, request);
    REQUIRE(booted.report);
    CHECK(booted.report->protocol == "Multiboot 1");
    CHECK(booted.gpr(kRax) == 0x2BADB002);
    const std::uint64_t info = booted.gpr(kRbx);
    CHECK(booted.word(info) == (1u | 4 | 8 | 32 | 64 | 512));
    CHECK(booted.text(booted.word(info + 16)) == "image x=1");
    CHECK(booted.word(info + 20) == 2);
    const std::uint64_t second = booted.word(info + 24) + 16;
    CHECK(booted.word(second) % 4096 == 0);
    CHECK(booted.word(second + 4) - booted.word(second) == 3);
    CHECK(booted.text(booted.word(second + 8)) == "m two");
    CHECK(booted.word(info + 28) == 3);
    CHECK(booted.word(info + 32) == 40);
    CHECK(booted.word(info + 40) == 2);
    CHECK(booted.word(booted.word(info + 36) + 40 + 12) >= 0x102000);  // the symbols have been put somewhere
    CHECK(booted.word(info + 44) == 4 * 24);
    CHECK(booted.text(booted.word(info + 64)) == "trapline");
}

TEST_CASE("an image with both headers starts by Multiboot 2") {
    ImageBytes image = flat();
    image.align(8).words({0x1BADB002, 0x10000, 0u - 0x1BADB002 - 0x10000, kBase, kBase, 0, 0, kBase});
    const Booted booted(image.bytes);
    REQUIRE(booted.report);
    CHECK(booted.report->protocol == "Multiboot 2");
}

TEST_CASE("what takes no modules says so") {
    const std::vector<std::uint8_t> file{1};
    BootRequest request;
    request.modules = {{file, "m"}};
    const Booted booted(elf32(0x100000, {{0x100000, 0x100000, 0x1000, {0xF4}}}).bytes, request);
    REQUIRE_FALSE(booted.report);
    CHECK(booted.report.error().code == ErrorCode::unsupported);
}

TEST_CASE("firmware's data are there") {
    const Booted booted(flat().bytes);
    REQUIRE(booted.report);
    CHECK((booted.word(0x400) & 0xFFFF) == 0x3F8);
    CHECK((booted.word(0x463) & 0xFFFF) == 0x3D4);
    CHECK((booted.word(0x44A) & 0xFFFF) == 80);
    CHECK((booted.word(0x40E) & 0xFFFF) == 0x9FC0);
}

TEST_CASE("cut and changed Multiboot images are refused or started, never more") {
    const std::vector<std::uint8_t> file(100, 7);
    BootRequest request;
    request.modules = {{file, "m"}};
    const std::vector<std::vector<std::uint8_t>> images = {
        flat({{10, {0x400000, 0x800000, 0x1000, 2}}, {1, {1, 2, 3}}, {4, {3}}}, 0, kBase + 0x1000).bytes,
        elf_with({{10, {0x400000, 0x800000, 0x1000, 1}}, {6, {}}, {3, {0x300000}}}, 0x300000, 0x1000, true).bytes};
    auto pages = SharedPages::create("boot-test", 16 << 20);
    REQUIRE(pages);
    std::mt19937 random(1);
    int started = 0;
    const auto attempt = [&](Bytes image) {
        Vcpu vcpu;
        request.image = image;
        started += boot(request, *pages, vcpu).has_value() ? 1 : 0;
    };
    for (const auto& image : images) {
        for (std::size_t size = 0; size < image.size(); ++size) attempt(std::vector<std::uint8_t>(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size)));
        for (int i = 0; i < 3000; ++i) {
            std::vector<std::uint8_t> changed = image;
            for (unsigned n = random() % 4; n < 4; ++n) changed[random() % changed.size()] = static_cast<std::uint8_t>(random() % 3 == 0 ? 0xFF : random());
            // The checksum, so that the rest is looked at.
            for (std::size_t at = 0; at + 16 <= changed.size(); at += 8) {
                std::uint32_t words[3];
                std::memcpy(words, changed.data() + at, sizeof words);
                const std::uint32_t checksum = 0 - (words[0] + words[1] + words[2]);
                if (words[0] == 0xE85250D6) std::memcpy(changed.data() + at + 12, &checksum, 4);
            }
            attempt(changed);
        }
    }
    CHECK(started > 0);
}

}  // namespace
}  // namespace trapline::executor
