// SPDX-License-Identifier: Apache-2.0
// Which bytes of a page are instructions; expected offsets counted by hand from the encodings.
#include "executor/trap/code_finder.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "executor/trap/user_calls.h"
#include "isa/loader.h"

namespace trapline::executor::test {
namespace {

const decode::InstructionDecoder& decoder() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    static const decode::InstructionDecoder made(outcome.database, *outcome.database.find_profile("ring3"));
    return made;
}

/// A page of INT3 with code at some places.
struct Page {
    std::vector<std::uint8_t> before, bytes = std::vector<std::uint8_t>(kPageBytes, 0xCC);

    void put(std::size_t at, std::initializer_list<std::uint8_t> code) { std::copy(code.begin(), code.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at)); }
    FoundCode find(std::uint32_t entry, CodeTrust trust = CodeTrust::kernel) const {
        std::vector<std::uint8_t> all = before;
        all.insert(all.end(), bytes.begin(), bytes.end());
        return find_instructions(decoder(), {.bytes = all, .begin = before.size(), .trust = trust, .text_begin = 0, .text_end = all.size()}, entry);
    }
};

}  // namespace

TEST_CASE("code finder: what an entry leads to is code", "[code_finder]") {
    Page page;
    page.put(0x100, {0x74, 0x0E,              // je 0x110
                     0xE9, 0xF9, 0x00, 0x00, 0x00});  // jmp 0x200
    page.put(0x110, {0x9C, 0xC3});            // pushf; ret
    page.put(0x200, {0xFA, 0xC3});            // cli; ret
    const FoundCode found = page.find(0x100);
    for (const std::size_t at : {0x100, 0x102, 0x110, 0x111, 0x200, 0x201}) CHECK(found.starts[at]);
    CHECK(found.targets[0x110]);
    CHECK(found.targets[0x200]);
    CHECK_FALSE(found.targets[0x111]);
}

TEST_CASE("code finder: tables behind a jump are not code", "[code_finder]") {
    Page page;
    page.put(0x100, {0xFF, 0x24, 0x85, 0x10, 0x01, 0x00, 0x00});  // jmp [eax*4 + 0x110]
    // A table of addresses 0x9C11, 0x9D22, ...: its bytes would be PUSHF and POPF.
    page.put(0x107, {0x11, 0x9C, 0x00, 0x00, 0x22, 0x9D, 0x00, 0x00, 0x33, 0x9C, 0x00, 0x00});
    const FoundCode found = page.find(0x100);
    CHECK(found.starts[0x100]);
    for (std::size_t at = 0x107; at < 0x113; ++at) CHECK_FALSE(found.starts[at]);
}

TEST_CASE("code finder: system instructions count as code in kernels alone", "[code_finder]") {
    Page page;
    page.put(0x100, {0xC3});                    // ret
    page.put(0x110, {0x9C, 0x58, 0xFA, 0xC3});  // pushf; pop eax; cli; ret: nobody is seen to call it
    CHECK(page.find(0x100, CodeTrust::kernel).starts[0x110]);
    CHECK_FALSE(page.find(0x100, CodeTrust::user).starts[0x110]);
}

TEST_CASE("code finder: a page that begins inside an instruction", "[code_finder]") {
    // mov eax, [0xCBEBD1E4] crosses into the page with its last byte, CB, which alone would be a far return.
    Page page;
    for (int i = 0; i < 30; ++i) page.before.insert(page.before.end(), {0x89, 0xD8});  // mov eax, ebx
    page.before.insert(page.before.end(), {0xA1, 0xE4, 0xD1, 0xEB});
    page.put(0, {0xCB, 0x01, 0xD8, 0xC3});  // (the last byte); add eax, ebx; ret
    page.put(0x100, {0xC3});
    const FoundCode found = page.find(0x100);
    CHECK_FALSE(found.starts[0]);
    CHECK(found.starts[1]);
    CHECK(found.starts[3]);
}

TEST_CASE("code finder: undefined and overlong instructions keep code in step", "[code_finder]") {
    Page page;
    page.put(0x100, {0x8E, 0xF0, 0x9C, 0xC3});  // mov to segment register 6: #UD; pushf; ret
    const FoundCode undefined = page.find(0xF00, CodeTrust::text);
    CHECK_FALSE(undefined.starts[0x101]);
    CHECK(undefined.starts[0x102]);
    Page longer;
    std::fill_n(longer.bytes.begin() + 0x100, 15, std::uint8_t{0x2E});
    longer.put(0x10F, {0x90, 0x9C, 0xC3});      // fifteen prefixes and a NOP, 16 bytes: #GP; pushf; ret
    const FoundCode overlong = longer.find(0xF00, CodeTrust::text);
    for (std::size_t at = 0x100; at < 0x110; ++at) CHECK_FALSE(overlong.starts[at]);
    CHECK(overlong.starts[0x110]);
}

TEST_CASE("user calls: windows do not overlap", "[code_finder]") {
    Page page;
    page.put(0x100, {0xCD, 0x80, 0xCD, 0x80, 0xCD, 0x80, 0x90, 0x90, 0x90, 0x90, 0xC3});         // int 0x80 three times
    page.put(0x200, {0xCD, 0x80, 0xB8, 0x14, 0x00, 0x00, 0x00, 0xCD, 0x80, 0x90, 0x90, 0xC3});   // int 0x80; mov eax, 20; int 0x80
    page.put(0xFE0, {0xE8, 0x1B, 0xF1, 0xFF, 0xFF, 0xE8, 0x16, 0xF2, 0xFF, 0xFF, 0xC3});         // call 0x100; call 0x200; ret
    const FoundCode found = page.find(0xFE0, CodeTrust::user);
    // The MOV at 0x202 belongs to the first one's window, so the second one's begins behind it.
    CHECK(find_call_windows(found, page.bytes) == std::vector<std::uint16_t>{0x100, 0x200, 0x207});
}

TEST_CASE("user calls: windows for a far call", "[code_finder]") {
    Page page;
    page.put(0x100, {0xB8, 0x14, 0x00, 0x00, 0x00, 0xCD, 0x80, 0xC3});        // mov eax, 20; int 0x80; ret
    page.put(0x200, {0xCD, 0x80, 0x5D, 0x5A, 0x59, 0xC3, 0x90, 0x90});        // as in the vdso: int 0x80; pop ebp; pop edx; pop ecx; ret
    page.put(0x300, {0xCD, 0x80, 0x5D, 0xEB, 0xFC, 0x90, 0x90, 0x90, 0xC3});  // jmp to 0x301: into the window
    page.put(0x400, {0xCD, 0x80, 0xC3, 0x55, 0x89, 0xE5, 0x5D, 0xC3});        // ret, and the next function at once
    page.put(0x0FF0, {0xE8, 0x0B, 0xF1, 0xFF, 0xFF});                          // call 0x100
    page.put(0x0FE0, {0xE8, 0x1B, 0xF2, 0xFF, 0xFF, 0xE8, 0x16, 0xF3, 0xFF, 0xFF, 0xE8, 0x11, 0xF4, 0xFF, 0xFF});  // call 0x200, 0x300, 0x400
    const FoundCode found = page.find(0xFE0, CodeTrust::user);
    CHECK(find_call_windows(found, page.bytes) == std::vector<std::uint16_t>{0x100, 0x200});
}

}  // namespace trapline::executor::test
