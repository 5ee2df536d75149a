// SPDX-License-Identifier: Apache-2.0
// More segments than the local descriptor table has slots. What is in the table is the kernel's own word (modify_ldt, function 0).
#include "executor/host/host_segments.h"

#if defined(__linux__) && defined(__x86_64__)

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>

using namespace trapline;
using namespace trapline::executor;

namespace {

constexpr std::uint64_t kNoEnd = std::uint64_t{1} << 32;

/// Descriptor of a selector as the kernel has it (SDM vol. 3, "Segment Descriptors").
std::uint64_t descriptor_of(std::uint16_t selector) {
    std::array<std::uint64_t, 8192> table{};
    REQUIRE(syscall(SYS_modify_ldt, 0, table.data(), sizeof table) > selector);
    return table[selector / 8];
}
std::uint32_t base_of(std::uint64_t descriptor) { return static_cast<std::uint32_t>((descriptor >> 16 & 0xFFFFFF) | (descriptor >> 56 << 24)); }
bool is_code(std::uint64_t descriptor) { return (descriptor >> 43 & 1) != 0; }

Segment segment(std::uint32_t base, std::uint8_t type) {
    Segment out{};
    out.base = base;
    out.limit = 0xFFFF;
    out.type = type;
    out.dpl = 3;
    out.big = true;
    return out;
}

}  // namespace

TEST_CASE("a segment that is in use keeps its slot, however many others come", "[host_segments]") {
    HostSegments segments;
    const Segment code = segment(0x1000, 11), stack = segment(0x2000, 3);
    for (std::uint32_t i = 0; i < 500; ++i) {
        // As for one entry into the guest: six registers, three of them new ones.
        const std::uint16_t cs = segments.selector(code, kNoEnd), ss = segments.selector(stack, kNoEnd);
        std::array<std::uint16_t, 3> others{};
        for (std::uint32_t k = 0; k < others.size(); ++k) others[k] = segments.selector(segment(0x100000 + (3 * i + k) * 16, 3), kNoEnd);
        REQUIRE_FALSE(segments.refused());
        REQUIRE((cs & 7) == 7);
        REQUIRE(is_code(descriptor_of(cs)));
        REQUIRE(base_of(descriptor_of(cs)) == 0x1000);
        REQUIRE(base_of(descriptor_of(ss)) == 0x2000);
        for (std::uint32_t k = 0; k < others.size(); ++k) REQUIRE(base_of(descriptor_of(others[k])) == 0x100000 + (3 * i + k) * 16);
    }
}

#endif
