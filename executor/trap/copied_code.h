// SPDX-License-Identifier: Apache-2.0
// Breakpoints and patches that a kernel has carried away. With paging, code is run in place from a copy that has them, so a kernel
// that moves itself copies them, too. What stood there before is known from the bytes around.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "executor/mmu/guest_memory.h"

namespace trapline::executor {

class CopiedCode {
public:
    using PageBytes = std::span<const std::uint8_t, kPageBytes>;

    /// Remembers where a page as it is run differs from what the guest wrote. What lies within 8 bytes of the page's ends is left out.
    void note(std::uint32_t frame, PageBytes run, PageBytes original);
    /// Puts the guest's bytes back wherever a kernel has copied such a place to; says whether there was one. A page that holds, where it
    /// was run, what was laid there itself is left alone: the kernel has its own reasons for an INT3.
    bool restore(std::uint32_t frame, std::span<std::uint8_t, kPageBytes> page) const;

private:
    static constexpr std::size_t kBefore = 8;                   // bytes of the window that tells places apart, and from the place on
    static constexpr std::size_t kMost = std::size_t{1} << 16;  // places, then all are forgotten: a guest can make code for ever

    using Window = std::array<std::uint64_t, 2>;
    struct Hash {
        std::size_t operator()(const Window& window) const { return static_cast<std::size_t>(window[0] * 0x9E3779B97F4A7C15 ^ (window[1] * 0xC2B2AE3D27D4EB4F) >> 7); }
    };
    struct Place {
        std::uint32_t frame = 0, offset = 0;
        std::vector<std::uint8_t> run, original;
    };
    static std::size_t mark_of(const Window& window) { return Hash{}(window) >> 48; }
    static Window window_at(PageBytes page, std::size_t offset);

    std::unordered_map<Window, Place, Hash> places_;
    std::array<bool, 256> first_bytes_{};       ///< of all places as they are run
    std::bitset<std::size_t{1} << 16> marks_;   ///< of their windows, by a part of the hash: most that begin alike are told apart here
};

}  // namespace trapline::executor
