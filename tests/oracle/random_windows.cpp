// SPDX-License-Identifier: Apache-2.0
// Random windows, plain and biased (windows.h).
#include <algorithm>
#include <vector>

#include "tests/oracle/windows.h"

namespace trapline::oracle {
namespace {

constexpr std::array<std::uint8_t, 11> kPrefixes = {0x66, 0x67, 0xF2, 0xF3, 0xF0, 0x2E, 0x64, 0x65, 0x26, 0x36, 0x3E};

/// Writes prefixes: none half of the time, more and more seldom; now and then so many that the length limit is near.
std::size_t write_prefixes(Window& window, Mode mode, Random& random) {
    const std::size_t least = random.below(8) == 0 ? 4 + random.below(10) : 0;
    std::size_t at = 0;
    while (at < least || (at < 4 && random.below(2) == 0)) {
        const bool rex = mode == Mode::long64 && random.below(3) == 0;
        window[at++] = rex ? static_cast<std::uint8_t>(0x40 | random.below(16)) : kPrefixes[random.below(kPrefixes.size())];
    }
    return at;
}

/// Writes a lead-in to one of the maps; what follows stays random.
void write_lead(Window& window, std::size_t at, Mode mode, Random& random) {
    // Outside 64-bit mode 62, C4 and C5 are vector prefixes only when the next byte looks like a register operand.
    const auto vector_byte = [&](std::uint8_t byte) { return mode == Mode::long64 || random.below(4) == 0 ? byte : static_cast<std::uint8_t>(byte | 0xC0); };
    switch (random.below(14)) {
        case 0: window[at] = 0x0F; break;
        case 1: window[at] = 0x0F, window[at + 1] = 0x38; break;
        case 2: window[at] = 0x0F, window[at + 1] = 0x3A; break;
        case 3: window[at] = 0x0F, window[at + 1] = 0x0F; break;
        case 4: window[at] = 0xC5, window[at + 1] = vector_byte(window[at + 1]); break;
        case 5:
        case 6:
            window[at] = 0xC4;
            // Maps 1 to 3 mostly, 7 and the reserved ones now and then.
            if (random.below(8) != 0) window[at + 1] = static_cast<std::uint8_t>((window[at + 1] & 0xE0) | (1 + random.below(3)));
            window[at + 1] = vector_byte(window[at + 1]);
            break;
        case 7: window[at] = 0x8F, window[at + 1] = static_cast<std::uint8_t>((window[at + 1] & 0xE0) | (8 + random.below(4))); break;
        case 8:
        case 9:
        case 10:
            window[at] = 0x62;
            // X4 and U as they are without APX, and few of the fields that are invalid for most instructions.
            if (random.below(8) != 0) window[at + 1] &= 0xF7;
            if (random.below(8) != 0) window[at + 2] |= 0x04;
            if (random.below(2) != 0) window[at + 2] |= 0x78, window[at + 3] |= 0x08;
            if (random.below(4) != 0) window[at + 3] &= 0x7F;
            window[at + 1] = vector_byte(window[at + 1]);
            break;
        case 11: window[at] = 0xD5; break;
        default: break;  // map one
    }
}

}  // namespace

void visit_random(std::uint64_t count, Random random, const Visit& visit) {
    constexpr std::size_t kBlock = 4096;
    std::vector<std::uint8_t> stream(kBlock + kWindowSize);
    for (std::uint64_t done = 0; done < count; done += kBlock) {
        for (std::uint8_t& byte : stream) byte = random.byte();
        const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, count - done));
        for (std::size_t at = 0; at < size; ++at) visit(Bytes(stream).subspan(at, kWindowSize));
    }
}

void visit_biased(std::uint64_t count, Mode mode, Random random, const Visit& visit) {
    Window window;
    for (std::uint64_t done = 0; done < count; ++done) {
        for (std::uint8_t& byte : window) byte = random.byte();
        const std::size_t at = write_prefixes(window, mode, random);
        write_lead(window, at, mode, random);
        visit(window);
    }
}

}  // namespace trapline::oracle
