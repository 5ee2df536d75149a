// SPDX-License-Identifier: Apache-2.0
// XZ's x86 filter undone, held against the filter of liblzma's encoder.
#include <lzma.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "image/x86_branches.h"

using namespace trapline::image;
using Buffer = std::vector<std::uint8_t>;

namespace {

/// Bytes after liblzma's filter: packed with it, expanded without.
Buffer filtered(const Buffer& bytes) {
    lzma_options_lzma options;
    REQUIRE_FALSE(lzma_lzma_preset(&options, 0));
    lzma_filter both[] = {{LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
    Buffer packed(lzma_stream_buffer_bound(bytes.size()));
    std::size_t size = 0, read = 0, used = 0;
    REQUIRE(lzma_raw_buffer_encode(both, nullptr, bytes.data(), bytes.size(), packed.data(), &size, packed.size()) == LZMA_OK);
    Buffer out(bytes.size());
    REQUIRE(lzma_raw_buffer_decode(both + 1, nullptr, packed.data(), &read, size, out.data(), &used, out.size()) == LZMA_OK);
    REQUIRE(used == bytes.size());
    return out;
}

/// Restores bytes that come in pieces of `piece`, 0 for all at once.
Buffer restored(const Buffer& from, std::size_t piece) {
    Buffer all = from;
    X86Branches branches;
    std::size_t settled = 0;
    Buffer seen;  // what was given as settled, when it was
    bool in_order = true;
    for (std::size_t known = 0; known < all.size();) {
        known = piece == 0 ? all.size() : std::min(all.size(), known + piece);
        const std::size_t now = branches.restore(std::span(all).first(known));
        in_order = in_order && now >= settled && now <= known && now + 4 >= known;
        if (!in_order) break;
        seen.insert(seen.end(), all.begin() + static_cast<std::ptrdiff_t>(settled), all.begin() + static_cast<std::ptrdiff_t>(now));
        settled = now;
    }
    CHECK(in_order);
    CHECK((seen == Buffer(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(settled))));
    return all;
}

}  // namespace

TEST_CASE("a call's absolute address becomes a distance again", "[image]") {
    // At 2: the instruction ends at 7, so that address 0x1007 is 0x1000 away; FF in the highest byte is a negative distance.
    CHECK((restored({0x90, 0x90, 0xE8, 0x07, 0x10, 0x00, 0x00}, 0) == Buffer{0x90, 0x90, 0xE8, 0x00, 0x10, 0x00, 0x00}));
    CHECK((restored({0xE9, 0x03, 0x00, 0x00, 0x00}, 0) == Buffer{0xE9, 0xFE, 0xFF, 0xFF, 0xFF}));
    // No address: the highest byte is neither, or the operand is cut.
    CHECK((restored({0xE8, 0x07, 0x10, 0x00, 0x01}, 0) == Buffer{0xE8, 0x07, 0x10, 0x00, 0x01}));
    CHECK((restored({0xE8, 0x07, 0x10, 0x00}, 0) == Buffer{0xE8, 0x07, 0x10, 0x00}));
}

TEST_CASE("what the x86 filter did is undone, however the bytes come", "[image]") {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        // The fewer other bytes there are, the more opcodes stand inside operands of others.
        const unsigned others = 1u << (round % 8);
        Buffer bytes(round < 100 ? random() % 200 : 5000);
        constexpr std::uint8_t kSpecial[] = {0xE8, 0xE9, 0x00, 0xFF};
        for (std::uint8_t& byte : bytes) {
            const unsigned pick = static_cast<unsigned>(random()) % (4 + others);
            byte = pick < 4 ? kSpecial[pick] : static_cast<std::uint8_t>(random());
        }
        const Buffer packed = filtered(bytes);
        for (const std::size_t piece : {0, 1, 3, 5, 8, 64, 1000}) {
            INFO("round " << round << " pieces of " << piece);
            CHECK((restored(packed, piece) == bytes));
        }
    }
}
