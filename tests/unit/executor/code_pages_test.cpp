// SPDX-License-Identifier: Apache-2.0
// Which instructions of a page of code are breakpoints, as CR0 says (SDM vol. 3, tables 2-2 and 14-1, for the bits that trap).
#include "executor/trap/code_pages.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "executor/cpu/vcpu.h"
#include "isa/loader.h"

namespace trapline::executor::test {
namespace {

const isa::Database& database() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    return outcome.database;
}
const isa::Profile& profile() {
    const isa::Profile* const found = database().find_profile("ring3");
    REQUIRE(found != nullptr);
    return *found;
}

/// RAM of four pages and as many copies.
struct Pages {
    decode::InstructionDecoder decoder{database(), profile()};
    SiteForms forms{database(), profile()};
    SharedPages ram, copies;
    std::unique_ptr<CodePages> code;

    explicit Pages(bool all_sites = false) {
        auto of_ram = SharedPages::create("ram", 4 * kPageBytes), of_copies = SharedPages::create("copies", 4 * kPageBytes);
        REQUIRE(of_ram.has_value());
        REQUIRE(of_copies.has_value());
        ram = std::move(*of_ram);
        copies = std::move(*of_copies);
        code = std::make_unique<CodePages>(decoder, forms, ram, copies, all_sites);
    }
    const CodePage& prepare(std::uint32_t frame, std::span<const CodeOverlay* const> overlays = {}) {
        return code->prepare(frame, 0x100 + frame, 0, {.before = {}, .after = {}}, overlays);
    }
    std::uint8_t copied(const CodePage& page, unsigned at) const { return copies.page(page.frame)[at]; }
};

constexpr std::uint64_t kCr0 = cr0::pe | cr0::ne;

}  // namespace

TEST_CASE("x87, MMX and SSE are breakpoints while CR0 makes them trap", "[code_pages]") {
    Pages pages;
    static constexpr struct {
        const char* name;
        std::uint8_t bytes[7], length;
        bool ts_or_em, ts_and_mp;  ///< whether each condition traps it
    } kRows[] = {
        {"fnop", {0xD9, 0xD0}, 2, true, false},
        {"fld dword ptr [eax]", {0xD9, 0x00}, 2, true, false},
        {"wait", {0x9B}, 1, false, true},
        {"emms", {0x0F, 0x77}, 2, true, false},
        {"movd mm0, eax", {0x0F, 0x6E, 0xC0}, 3, true, false},
        {"xorps xmm0, xmm0", {0x0F, 0x57, 0xC0}, 3, true, false},
        {"addsd xmm0, xmm1", {0xF2, 0x0F, 0x58, 0xC1}, 4, true, false},
        {"fxsave [eax]", {0x0F, 0xAE, 0x00}, 3, true, false},
        {"fxrstor [eax]", {0x0F, 0xAE, 0x08}, 3, true, false},
        {"ldmxcsr [eax]", {0x0F, 0xAE, 0x10}, 3, true, false},
        {"mov eax, ebx", {0x89, 0xD8}, 2, false, false},
        {"cmovz eax, ebx", {0x0F, 0x44, 0xC3}, 3, false, false},
        {"bswap eax", {0x0F, 0xC8}, 2, false, false},
        {"rdtsc", {0x0F, 0x31}, 2, false, false},
        {"lfence", {0x0F, 0xAE, 0xE8}, 3, false, false},
        {"nop", {0x90}, 1, false, false},
    };
    for (const auto& row : kRows) {
        CAPTURE(row.name);
        pages.code->set_cr0(kCr0);
        std::memset(pages.ram.page(1), 0x90, kPageBytes);
        std::memcpy(pages.ram.page(1), row.bytes, row.length);
        const CodePage& page = pages.prepare(1);
        const auto stops = [&](std::uint64_t bits) {
            CHECK(pages.code->set_cr0(kCr0 | bits).empty());
            CHECK(page.breakpoints[0] == page.sites[0]);
            CHECK(pages.copied(page, 0) == (page.breakpoints[0] ? 0xCC : row.bytes[0]));
            return page.breakpoints[0];
        };
        CHECK_FALSE(stops(0));
        CHECK_FALSE(stops(cr0::mp));
        CHECK(stops(cr0::ts) == row.ts_or_em);
        CHECK(stops(cr0::em) == row.ts_or_em);
        CHECK(stops(cr0::em | cr0::mp) == row.ts_or_em);
        CHECK(stops(cr0::ts | cr0::mp) == (row.ts_or_em || row.ts_and_mp));
        CHECK_FALSE(stops(0));
        CHECK(pages.ram.page(1)[0] == row.bytes[0]);
    }
}

TEST_CASE("a page that is prepared while TS is set has its breakpoints at once", "[code_pages]") {
    Pages pages;
    pages.code->set_cr0(kCr0 | cr0::ts);
    std::memset(pages.ram.page(2), 0x90, kPageBytes);
    const std::uint8_t code[] = {0xD9, 0xE8, 0xFA, 0xDE, 0xC1};  // fld1; cli; faddp
    std::memcpy(pages.ram.page(2) + 0x10, code, sizeof code);
    const CodePage& page = pages.prepare(2);
    CHECK(page.breakpoints.count() == 2);
    CHECK(page.sites.count() == 3);
    CHECK(pages.copied(page, 0x10) == 0xCC);
    CHECK(pages.copied(page, 0x12) == 0xFA);
    CHECK(pages.copied(page, 0x13) == 0xCC);
    CHECK(pages.code->set_cr0(kCr0).empty());
    CHECK(page.breakpoints.none());
    CHECK(page.sites.count() == 1);
    CHECK(std::memcmp(pages.copies.page(page.frame), pages.ram.page(2), kPageBytes) == 0);
    // A page that was forgotten takes no part.
    pages.code->forget(2);
    CHECK(pages.code->set_cr0(kCr0 | cr0::em).empty());
    CHECK(std::memcmp(pages.copies.page(2), pages.ram.page(2), kPageBytes) == 0);
}

TEST_CASE("a patch that moves an x87 instruction is left out while it traps", "[code_pages]") {
    Pages pages;
    pages.code->set_cr0(kCr0);
    std::memset(pages.ram.page(0), 0x90, kPageBytes);
    const std::uint8_t code[] = {0x0F, 0x22, 0xE0, 0xDB, 0xE3};  // mov cr4, eax; fninit
    std::memcpy(pages.ram.page(0), code, sizeof code);
    const CodeOverlay jump{.offset = 0, .bytes = {0xE9, 0, 0, 0, 1}, .window_begin = 0, .window_end = 5};
    const CodeOverlay* const overlays[] = {&jump};
    CHECK(pages.prepare(0, overlays).has_overlays);
    CHECK(pages.code->set_cr0(kCr0 | cr0::ts) == std::vector<std::uint32_t>{0});
    const CodePage& trapping = pages.prepare(0, overlays);
    CHECK_FALSE(trapping.has_overlays);
    CHECK(trapping.breakpoints[3]);
    CHECK(pages.copied(trapping, 0) == 0x0F);
    CHECK(pages.code->set_cr0(kCr0) == std::vector<std::uint32_t>{0});
    CHECK(pages.prepare(0, overlays).has_overlays);
}

TEST_CASE("a springboard is laid where the instructions that made room for it begin, and nowhere else", "[code_pages]") {
    // A plan that is out of step with the code would put its jump into the middle of an instruction.
    Pages pages;
    pages.code->set_cr0(kCr0);
    std::memset(pages.ram.page(0), 0x90, kPageBytes);
    const std::uint8_t site[] = {0x0F, 0x01, 0xE0}, moved[] = {0xBA, 1, 2, 3, 4, 0xBE, 5, 6, 7, 8};  // smsw eax; mov edx, ...; mov esi, ...
    std::memcpy(pages.ram.page(0) + 0x20, site, sizeof site);
    std::memcpy(pages.ram.page(0) + 0x40, moved, sizeof moved);
    struct Row {
        std::uint16_t begin, end;
        bool laid;
    };
    for (const Row row : {Row{0x40, 0x4A, true}, Row{0x45, 0x4F, true}, Row{0x41, 0x4B, false}, Row{0x44, 0x4E, false}, Row{0x46, 0x50, false}}) {
        INFO(row.begin);
        // mov's place: jmp rel32 to the first stub, and at the fifth byte the relay to the second one
        const CodeOverlay board{.offset = row.begin, .bytes = {0xE9, 0, 0, 0, 1, 0xE9, 0, 0, 0, 2}, .window_begin = 0x20, .window_end = 0x23, .evicted_begin = row.begin, .evicted_end = row.end};
        const CodeOverlay jump{.offset = 0x20, .bytes = {0xEB, static_cast<std::uint8_t>(row.begin + 5 - 0x22)}, .window_begin = 0x20, .window_end = 0x23, .evicted_begin = row.begin, .evicted_end = row.end};
        const CodeOverlay* const overlays[] = {&board, &jump};
        const CodePage& page = pages.prepare(0, overlays);
        CHECK(page.has_overlays == row.laid);
        CHECK((pages.copied(page, row.begin) == 0xE9) == row.laid);
        CHECK(pages.copied(page, 0x20) == (row.laid ? 0xEB : 0xCC));  // as a whole or not at all: else SMSW is a breakpoint
        CHECK(page.inside[row.begin + 5u] == row.laid);               // who stands there stands for SMSW: Machine::leave_relay
        CHECK(page.breakpoints[0x20] == !row.laid);
        pages.code->forget(0);
    }
}

TEST_CASE("a window may end in filler that nothing falls into, and in nothing else", "[code_pages]") {
    struct Row {
        const char* text;
        std::vector<std::uint8_t> bytes;
        bool laid;
    };
    const Row rows[] = {
        {"sti; ret; a long no-operation", {0xFB, 0xC3, 0x8D, 0xB4, 0x26, 0x00, 0x00, 0x00, 0x00, 0xC3}, true},
        {"sti; jmp +9; a long no-operation", {0xFB, 0xEB, 0x09, 0x8D, 0xB4, 0x26, 0x00, 0x00, 0x00, 0x00, 0xC3, 0x90, 0xC3}, true},
        {"sti; nop; a long no-operation that is run", {0xFB, 0x90, 0x8D, 0xB4, 0x26, 0x00, 0x00, 0x00, 0x00, 0xC3}, false},
        {"one long instruction", {0xC7, 0x05, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0xC3}, false},
        {"five whole ones", {0xFB, 0x90, 0x90, 0x90, 0x90, 0xC3}, true},
    };
    for (const Row& row : rows) {
        INFO(row.text);
        Pages pages;
        std::copy(row.bytes.begin(), row.bytes.end(), pages.ram.page(0));
        const CodeOverlay jump{.offset = 0, .bytes = {0xE9, 0, 0, 0, 1}, .window_begin = 0, .window_end = 5};
        const CodeOverlay* const overlays[] = {&jump};
        CHECK(pages.prepare(0, overlays).has_overlays == row.laid);
    }
}

TEST_CASE("a springboard that moves an x87 instruction is left out while it traps", "[code_pages]") {
    Pages pages;
    std::memset(pages.ram.page(0), 0x90, kPageBytes);
    const std::uint8_t site[] = {0x0F, 0x01, 0xE0}, moved[] = {0xD9, 0x05, 0, 0, 0, 0, 0xBE, 5, 6, 7, 8};  // smsw eax; fld [0]; mov esi, ...
    std::memcpy(pages.ram.page(0) + 0x20, site, sizeof site);
    std::memcpy(pages.ram.page(0) + 0x40, moved, sizeof moved);
    const CodeOverlay board{.offset = 0x40, .bytes = {0xE9, 0, 0, 0, 1, 0xE9, 0, 0, 0, 2, 0xCC}, .window_begin = 0x20, .window_end = 0x23, .evicted_begin = 0x40, .evicted_end = 0x4B};
    const CodeOverlay* const overlays[] = {&board};
    pages.code->set_cr0(kCr0 | cr0::ts);
    CHECK_FALSE(pages.prepare(0, overlays).has_overlays);
    CHECK(pages.code->set_cr0(kCr0) == std::vector<std::uint32_t>{0});
    CHECK(pages.prepare(0, overlays).has_overlays);
}

TEST_CASE("decoded instructions go with the page's bytes", "[code_pages]") {
    Pages pages;
    const CodePage& page = pages.prepare(1);
    const std::uint64_t before = pages.code->changes();
    DecodedPage& decoded = pages.code->decoded(page);
    CHECK(&pages.code->decoded(page) == &decoded);
    CHECK(decoded.find(7) == nullptr);
    DecodedInstruction one;
    one.sensitive = true;
    decoded.add(7, one);
    REQUIRE(decoded.find(7) != nullptr);
    CHECK(decoded.find(7)->sensitive);
    CHECK(pages.code->changes() == before);
    pages.code->forget(1);
    CHECK(pages.code->changes() != before);
    const std::uint64_t forgotten = pages.code->changes();
    CHECK(pages.code->decoded(pages.prepare(1)).find(7) == nullptr);
    CHECK(pages.code->changes() != forgotten);
}

}  // namespace trapline::executor::test
