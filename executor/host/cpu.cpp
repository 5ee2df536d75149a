// SPDX-License-Identifier: Apache-2.0
// CPUID and XGETBV.
#include "executor/host/cpu.h"

#include <initializer_list>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace trapline::executor {

namespace {

std::string characters(std::initializer_list<std::uint32_t> registers) {
    std::string text;
    for (const std::uint32_t value : registers)
        for (int shift = 0; shift < 32; shift += 8)
            if (const char c = static_cast<char>(value >> shift & 0xFF); c >= ' ' && c < 0x7F) text += c;
    return text;
}

}  // namespace

#if defined(__x86_64__)

CpuidLeaf host_cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
    CpuidLeaf out;
    // A leaf above the maximum of its range answers with that of another leaf (SDM volume 2, CPUID).
    const std::uint32_t range = leaf & 0xFFFF'0000;
    unsigned highest = 0, unused[3];
    __cpuid(range, highest, unused[0], unused[1], unused[2]);
    if (highest < leaf || highest > (range | 0xFFFF)) return out;
    __cpuid_count(leaf, subleaf, out.eax, out.ebx, out.ecx, out.edx);
    return out;
}

std::uint64_t host_xcr0() {
    constexpr std::uint32_t kOsxsave = 1u << 27;
    if ((host_cpuid(1, 0).ecx & kOsxsave) == 0) return 0;
    std::uint32_t low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return std::uint64_t{high} << 32 | low;
}

#else

CpuidLeaf host_cpuid(std::uint32_t, std::uint32_t) { return {}; }
std::uint64_t host_xcr0() { return 0; }

#endif

CpuIdentity identify(const AskCpuid& ask) {
    CpuIdentity out;
    const CpuidLeaf zero = ask(0, 0), one = ask(1, 0);
    out.vendor_text = characters({zero.ebx, zero.edx, zero.ecx});
    if (out.vendor_text == "AuthenticAMD" || out.vendor_text == "HygonGenuine") out.vendor = "amd";
    if (out.vendor_text == "GenuineIntel") out.vendor = "intel";
    if (out.vendor_text == "CentaurHauls" || out.vendor_text == "  Shanghai  ") out.vendor = "via";
    if (out.vendor_text == "CyrixInstead" || out.vendor_text == "Geode by NSC") out.vendor = "cyrix";
    const unsigned family = one.eax >> 8 & 15, model = one.eax >> 4 & 15;
    out.family = family == 15 ? family + (one.eax >> 20 & 0xFF) : family;
    out.model = family == 6 || family == 15 ? model + (one.eax >> 12 & 0xF0) : model;
    out.stepping = one.eax & 15;
    out.hypervisor = (one.ecx >> 31 & 1) != 0;
    for (std::uint32_t leaf = 0x8000'0002; leaf <= 0x8000'0004; ++leaf) {
        const CpuidLeaf part = ask(leaf, 0);
        out.brand += characters({part.eax, part.ebx, part.ecx, part.edx});
    }
    while (!out.brand.empty() && out.brand.back() == ' ') out.brand.pop_back();
    return out;
}

}  // namespace trapline::executor
