// SPDX-License-Identifier: Apache-2.0
// What holds for any bytes: every byte is accounted for, and the number of threads does not show.
#include "scan_fixture.h"

#include <algorithm>
#include <tuple>

namespace trapline {
namespace {

using namespace scan_test;
using image::CodeWidth;

/// A fixed pseudo-random sequence (Numerical Recipes' linear congruential generator).
std::vector<std::uint8_t> noise(std::size_t size, std::uint32_t seed) {
    std::vector<std::uint8_t> bytes(size);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
    return bytes;
}

void add_noise(CodeImage& code, CodeWidth width, std::uint32_t seed) {
    const std::size_t size = 200'000;
    const std::uint64_t base = 0x100000 * (1 + code.image.sections.size());
    std::vector<std::uint8_t> bytes = noise(size, seed);
    for (std::size_t at = 0; at + 64 < size; at += 1024) std::fill_n(bytes.begin() + static_cast<long>(at), 40, 0xCC);
    const auto section = code.add(".text", base, std::move(bytes), width);
    for (std::uint64_t at = 0; at < size; at += 997) {
        code.symbol(section, base + at, "f" + std::to_string(at), image::SymbolKind::function);
        code.table(image::TableKind::exception_table, section, base + at + 13, base + at + 14, VirtAddr{base + at / 2});
    }
}

auto fields(const Finding& f) {
    return std::tuple(f.address, f.file_offset, f.section, f.symbol, f.symbol_offset, f.decode_mode, f.bytes, f.text, f.form,
                      f.privileged, f.behavior_sensitive, f.evidence, f.context.size(), f.disagreements.size());
}

TEST_CASE("scan: the document does not depend on the number of jobs") {
    CodeImage code;
    add_noise(code, CodeWidth::bits64, 1);
    add_noise(code, CodeWidth::bits32, 2);
    add_noise(code, CodeWidth::bits16, 3);
    code.pointer(0, 0x100001);
    scan::ScanOptions options;
    options.jobs = 1;
    const ScanDocument one = code.scan(options);
    REQUIRE(one.findings.size() > 1000);
    for (const int jobs : {2, 5}) {
        options.jobs = jobs;
        std::uint64_t last = 0, total = 0;
        options.progress = [&](std::uint64_t done, std::uint64_t all) {
            CHECK(done > last);
            last = done;
            total = all;
        };
        const ScanDocument many = code.scan(options);
        CHECK(last == total);
        CHECK(total == 600'000);
        CHECK(many.notes == one.notes);
        REQUIRE(many.findings.size() == one.findings.size());
        for (std::size_t i = 0; i < one.findings.size(); ++i) REQUIRE(fields(many.findings[i]) == fields(one.findings[i]));
    }
}

TEST_CASE("scan: bytes are accounted for and findings are in order, whatever the bytes are") {
    for (const CodeWidth width : {CodeWidth::bits16, CodeWidth::bits32, CodeWidth::bits64}) {
        CodeImage code;
        add_noise(code, width, 7);
        const ScanDocument document = code.scan();
        const SectionSummary& summary = document.sections[0];
        CHECK(summary.size == 200'000);
        // An instruction has 1 to 15 bytes.
        const std::uint64_t other = summary.padding_bytes + summary.undecodable_bytes + summary.straddling_bytes;
        CHECK(other + summary.instructions <= summary.size);
        CHECK(other + 15 * summary.instructions >= summary.size);
        CHECK(summary.padding_bytes >= 195 * 39);  // the filler put in, but for first bytes that noise runs into
        CHECK(std::is_sorted(document.findings.begin(), document.findings.end(),
                             [](const Finding& a, const Finding& b) { return a.address < b.address; }));
        for (std::size_t i = 1; i < document.findings.size(); ++i)
            REQUIRE(document.findings[i - 1].address != document.findings[i].address);
        CHECK_FALSE(has_note(document, "not confirmed"));
    }
}

TEST_CASE("scan: tables, symbols and pointers that make no sense do no harm") {
    CodeImage code;
    const auto text = code.add(".text", 0xFFFFFFFFFFFFF000, "FA EB7F 0FB6C0 C3");
    const std::uint64_t top = ~std::uint64_t{0};
    code.symbol(text, 0, "before");
    code.symbol(text, top, "behind");
    code.pointer(text, 0);
    code.pointer(text, top);
    code.pointer(77, 0);
    code.table(image::TableKind::exception_table, text, 0, top, VirtAddr{0});
    code.table(image::TableKind::alternative_original, text, 0xFFFFFFFFFFFFF000, top);
    code.table(image::TableKind::alternative_replacement, text, 0xFFFFFFFFFFFFF001, top, VirtAddr{0xFFFFFFFFFFFFF000});
    code.table(image::TableKind::alternative_replacement, text, 0xFFFFFFFFFFFFF002, 0, VirtAddr{0xFFFFFFFFFFFFF000});
    code.table(image::TableKind::jump_label, 99, 0, 1, VirtAddr{top});
    CHECK(brief(code.scan()) == Lines{"fffffffffffff000 cli swept"});
}

}  // namespace
}  // namespace trapline
