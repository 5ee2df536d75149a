// SPDX-License-Identifier: Apache-2.0
// Filler between functions, as GNU as, LLVM and the kernel's linker scripts emit it, and its lookalikes.
#include "scan/padding.h"

#include <catch2/catch.hpp>

namespace trapline {
namespace {

using scan::Before;

std::size_t padding(const char* hex, Before before, Mode mode = Mode::long64) {
    const auto bytes = parse_hex(hex);
    REQUIRE(bytes);
    return scan::padding_length(*bytes, before, mode);
}

TEST_CASE("padding: INT3") {
    CHECK(padding("CC 55", Before::stop) == 1);     // ret; int3 against straight-line speculation
    CHECK(padding("CC 55", Before::call) == 1);     // behind a call that does not return
    CHECK(padding("CC 55", Before::code) == 0);     // a breakpoint somebody wrote
    CHECK(padding("CCCC", Before::code) == 2);      // up to the next symbol
    CHECK(padding("CC", Before::code) == 0);
    CHECK(padding("CCCCCCCC 55", Before::code) == 4);
    CHECK(padding("CCCCCC 55", Before::code) == 0);
}

TEST_CASE("padding: runs are measured to the byte, across words of eight") {
    for (std::size_t length = 1; length < 40; ++length) {
        std::vector<std::uint8_t> bytes(length, 0xCC);
        bytes.push_back(0x55);
        CHECK(scan::padding_length(bytes, Before::stop, Mode::long64) == length);
    }
}

TEST_CASE("padding: NOP and zero") {
    CHECK(padding("90 55", Before::stop) == 1);
    CHECK(padding("90 55", Before::call) == 0);     // an alternative's NOPs may follow a call
    CHECK(padding("909090 55", Before::code) == 0);
    CHECK(padding("90909090 55", Before::code) == 4);
    CHECK(padding("0000", Before::stop) == 2);
    CHECK(padding("00", Before::stop) == 0);
    CHECK(padding("0000 55", Before::code) == 0);   // add [rax], al
    CHECK(padding("00000000000000000000000000000000 55", Before::code) == 16);
    CHECK(padding("00C0", Before::stop) == 0);      // add al, al
}

TEST_CASE("padding: long NOPs of the SDM and of GNU as, after a stop only") {
    const char* const forms[] = {"6690", "0F1F00", "0F1F4000", "0F1F440000", "660F1F440000", "0F1F8000000000",
                                 "0F1F840000000000", "660F1F840000000000", "662E0F1F840000000000",
                                 "66662E0F1F840000000000"};
    for (const char* form : forms) {
        INFO(form);
        CHECK(padding(form, Before::stop) == std::string_view(form).size() / 2);
        CHECK(padding(form, Before::code) == 0);
        const std::string cut = std::string(form).substr(0, std::string_view(form).size() - 2);
        CHECK(padding(cut.c_str(), Before::stop) == 0);
    }
    CHECK(padding("F390", Before::stop) == 0);      // pause
    CHECK(padding("0F1EFA", Before::stop) == 0);    // not ENDBR, but no filler either
    CHECK(padding("0F22C0", Before::stop) == 0);    // mov cr0, rax
}

TEST_CASE("padding: self-moves of 32-bit code are code elsewhere") {
    CHECK(padding("8DB42600000000", Before::stop, Mode::protected32) == 7);
    CHECK(padding("2E8DB42600000000", Before::stop, Mode::protected32) == 8);
    CHECK(padding("8D7600", Before::stop, Mode::protected32) == 3);
    CHECK(padding("89F6", Before::stop, Mode::protected32) == 2);
    CHECK(padding("89F6", Before::stop, Mode::long64) == 0);  // clears the upper half of RSI
    CHECK(padding("8D7604", Before::stop, Mode::protected32) == 0);
}

}  // namespace
}  // namespace trapline
