// SPDX-License-Identifier: Apache-2.0
// Decoding beside the decompressor: what it says of known code, and that a scan finds the same with it as without.
#include "scan/decode_ahead.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <future>
#include <random>
#include <thread>

#include "scan/section_code.h"
#include "scan_fixture.h"

using namespace trapline;
using namespace trapline::scan;
using trapline::scan_test::database;
using trapline::scan_test::tags;

namespace {

constexpr std::size_t kCode = 0x1000;  // file offset of the segment

void put(std::vector<std::uint8_t>& out, std::size_t at, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// An ELF64 file of one executable segment (gABI: Elf64_Ehdr, Elf64_Phdr).
std::vector<std::uint8_t> make_file(const std::vector<std::uint8_t>& code) {
    std::vector<std::uint8_t> file(kCode);
    const std::uint8_t ident[] = {0x7F, 'E', 'L', 'F', 2, 1, 1};
    std::copy(std::begin(ident), std::end(ident), file.begin());
    put(file, 16, 2, 2);    // ET_EXEC
    put(file, 18, 62, 2);   // EM_X86_64
    put(file, 32, 64, 8);   // e_phoff
    put(file, 54, 56, 2);   // e_phentsize
    put(file, 56, 1, 2);    // e_phnum
    put(file, 64, 1, 4);    // PT_LOAD
    put(file, 68, 5, 4);    // R and X
    put(file, 72, kCode, 8);
    put(file, 96, code.size(), 8);
    file.insert(file.end(), code.begin(), code.end());
    return file;
}

/// Lets the file come in pieces, and the decoder some time before the end.
std::shared_ptr<image::CodeAhead> follow(const std::vector<std::uint8_t>& file, std::size_t piece, std::chrono::milliseconds time) {
    image::ExpandingBytes expanding;
    expanding.reserve(file.size());
    std::future<std::shared_ptr<image::CodeAhead>> ahead;
    const image::Finisher finisher(expanding);
    ahead = std::async(std::launch::async, [&] { return decode_ahead(expanding, database(), tags()); });
    for (std::size_t at = 0; at < file.size(); at += piece) expanding.append(Bytes(file).subspan(at, std::min(piece, file.size() - at)));
    // What is less than a piece that followers are woken for comes with the end, when it is too late.
    expanding.append(std::vector<std::uint8_t>(std::size_t{256} << 10));
    std::this_thread::sleep_for(time);
    expanding.finish();
    return ahead.get();
}

ScanDocument scan_of(const std::vector<std::uint8_t>& file, std::shared_ptr<image::CodeAhead> ahead) {
    image::Image image;
    image.name = "test";
    image.format = image::Format::elf64;
    image.architecture = "x86_64";
    image.size = file.size();
    // Boundaries that no program header tells: sections of odd sizes, and symbols inside what was decoded as one instruction.
    for (std::size_t at = kCode, size = 1; at < file.size(); at += size, size = size * 3 + 1) {
        image::Section section;
        section.name = "s" + std::to_string(image.sections.size());
        section.address = {0x100000 + at};
        section.file_offset = {at};
        section.bytes = Bytes(file).subspan(at, std::min(size, file.size() - at));
        section.executable = true;
        image.sections.push_back(section);
        for (std::size_t offset = 0; offset < section.bytes.size(); offset += 37)
            image.symbols.push_back({"f", static_cast<image::SectionIndex>(image.sections.size() - 1), {0x100000 + at + offset}, 0, image::SymbolKind::function});
    }
    image.code_ahead = std::move(ahead);
    image.index_sections();
    return scan::scan(image, database(), tags(), {});
}

}  // namespace

TEST_CASE("code is decoded while it arrives", "[scan]") {
    // mov cr0, rax; ret; nop dword [rax]; cli; then zeros, which are no code
    const std::vector<std::uint8_t> code = {0x0F, 0x22, 0xC0, 0xC3, 0x0F, 0x1F, 0x00, 0xFA};
    const std::vector<std::uint8_t> file = make_file(code);
    std::shared_ptr<ZeroedBytes> cells;
    for (int milliseconds = 5; milliseconds < 5000; milliseconds *= 2) {
        const auto ahead = follow(file, 100, std::chrono::milliseconds(milliseconds));
        if (ahead == nullptr) continue;  // too late on a busy machine
        CHECK(ahead->width == image::CodeWidth::bits64);
        cells = ahead->take();
        CHECK(ahead->take() == nullptr);
        if ((*cells)[kCode] != 0) break;
    }
    REQUIRE(cells != nullptr);
    CHECK((*cells)[kCode] == CodeMap::instruction(3, true, false));
    CHECK((*cells)[kCode + 1] == 0);
    CHECK((*cells)[kCode + 3] == CodeMap::instruction(1, false, true));
    CHECK((*cells)[kCode + 4] == CodeMap::instruction(3, false, false));
    CHECK((*cells)[kCode + 7] == CodeMap::instruction(1, true, false));
}

TEST_CASE("nothing is decoded ahead of what is no ELF file", "[scan]") {
    CHECK(follow(std::vector<std::uint8_t>(8192, 0x90), 1000, std::chrono::milliseconds(1)) == nullptr);
    std::vector<std::uint8_t> file = make_file({0x90});
    put(file, 68, 4, 4);  // not executable
    CHECK(follow(file, 1000, std::chrono::milliseconds(1)) == nullptr);
}

TEST_CASE("a scan finds the same whatever was decoded ahead", "[scan]") {
    std::mt19937 random(20);
    std::vector<std::uint8_t> code(60000);
    for (std::uint8_t& byte : code) byte = static_cast<std::uint8_t>(random());
    // Runs of filler between, and the bytes of which sensitive instructions are made more often.
    for (std::size_t at = 0; at + 40 < code.size(); at += 211) {
        std::fill_n(code.begin() + static_cast<std::ptrdiff_t>(at), random() % 40, std::vector<std::uint8_t>{0xCC, 0x00, 0x90}[random() % 3]);
        code[at + 39] = 0x0F;
        code[at + 40] = static_cast<std::uint8_t>(random() % 0x40);
    }
    const std::vector<std::uint8_t> file = make_file(code);
    const ScanDocument plain = scan_of(file, nullptr);
    CHECK(plain.findings.size() > 100);
    for (const std::size_t piece : {100u, 4096u, 1000000u}) {
        const ScanDocument ahead = scan_of(file, follow(file, piece, std::chrono::milliseconds(100)));
        REQUIRE(ahead.findings.size() == plain.findings.size());
        bool same = true;
        for (std::size_t i = 0; i < plain.findings.size(); ++i) {
            const Finding &a = plain.findings[i], &b = ahead.findings[i];
            same &= a.address == b.address && a.bytes == b.bytes && a.text == b.text && a.evidence == b.evidence && a.symbol_offset == b.symbol_offset;
        }
        CHECK(same);
        REQUIRE(ahead.sections.size() == plain.sections.size());
        for (std::size_t i = 0; i < plain.sections.size(); ++i) {
            const SectionSummary &a = plain.sections[i], &b = ahead.sections[i];
            CHECK(std::tie(a.instructions, a.padding_bytes, a.undecodable_bytes, a.reached_bytes, a.straddling_bytes) ==
                  std::tie(b.instructions, b.padding_bytes, b.undecodable_bytes, b.reached_bytes, b.straddling_bytes));
        }
        CHECK(ahead.notes == plain.notes);
    }
}
