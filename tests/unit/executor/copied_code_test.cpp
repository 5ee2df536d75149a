// SPDX-License-Identifier: Apache-2.0
// What a kernel has copied of code as it is run, and what it has not.
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>

#include "executor/trap/copied_code.h"

using namespace trapline::executor;

namespace {

using Page = std::array<std::uint8_t, kPageBytes>;

/// Bytes of which no sixteen in a row come twice.
Page original_page() {
    Page page{};
    for (std::size_t i = 0; i < page.size(); ++i) page[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8) * 13 + (i >> 4 & 1));
    for (std::uint8_t& byte : page)
        if (byte == 0xCC || byte == 0xE9) byte = 1;
    return page;
}

Page run_page() {
    Page page = original_page();
    for (const std::size_t at : {100, 103, 2000}) page[at] = 0xCC;  // two breakpoints in each other's windows
    const std::array<std::uint8_t, 5> jump{0xE9, 1, 2, 3, 4};
    std::copy(jump.begin(), jump.end(), page.begin() + 3000);
    page[3] = page[4094] = 0xCC;  // too near to the ends
    return page;
}

}  // namespace

TEST_CASE("copied breakpoints and patches become what they were", "[executor]") {
    CopiedCode code;
    code.note(5, run_page(), original_page());
    Page copy = run_page();
    CHECK(code.restore(6, copy));
    Page wanted = original_page();
    wanted[3] = wanted[4094] = 0xCC;
    CHECK(copy == wanted);
    CHECK_FALSE(code.restore(6, copy));

    // At another offset, and only a part.
    Page odd{};
    const Page run = run_page(), original = original_page();
    std::copy(run.begin() + 80, run.begin() + 200, odd.begin() + 1111);
    CHECK(code.restore(6, odd));
    CHECK(std::equal(original.begin() + 80, original.begin() + 200, odd.begin() + 1111));
}

TEST_CASE("what a kernel has written itself stays", "[executor]") {
    CopiedCode code;
    code.note(5, run_page(), original_page());
    // Its own INT3 where one of ours stood on that page.
    Page own = original_page();
    own[2000] = 0xCC;
    CHECK_FALSE(code.restore(5, own));
    CHECK(own[2000] == 0xCC);
    // INT3 among other bytes.
    Page other{};
    other[2000] = 0xCC;
    CHECK_FALSE(code.restore(6, other));
    // A jump that leads elsewhere.
    Page jump = run_page();
    jump[3004] = 9;
    CHECK(code.restore(6, jump));
    CHECK(jump[3000] == 0xE9);
    CHECK(jump[2000] == original_page()[2000]);
}

TEST_CASE("a page moved back is restored", "[executor]") {
    CopiedCode code;
    code.note(5, run_page(), original_page());
    code.note(6, run_page(), original_page());  // it has run there meanwhile
    Page copy = run_page();
    CHECK(code.restore(5, copy));
    CHECK(copy[100] == original_page()[100]);
}
