// SPDX-License-Identifier: Apache-2.0
// The virtual processor's CPUID and MSRs against hosts made of answers.
#include <catch2/catch.hpp>
#include <string>

#include "executor/cpu/virtual_cpuid.h"

using namespace trapline::executor;

namespace {

/// A host of this vendor (12 characters) with these features in leaf 1 EDX, all in ECX, and a brand.
AskCpuid host(std::string vendor, std::uint32_t features) {
    return [vendor, features](std::uint32_t leaf, std::uint32_t) -> CpuidLeaf {
        const auto word = [&](std::size_t at) {
            std::uint32_t value = 0;
            for (std::size_t i = 0; i < 4; ++i) value |= static_cast<std::uint32_t>(static_cast<unsigned char>(vendor[at + i])) << (8 * i);
            return value;
        };
        if (leaf == 0) return {0x10, word(0), word(8), word(4)};
        if (leaf == 1) return {0x00A20F10, 0x01020304, ~0u, features};
        if (leaf == 0x80000001) return {0, 0, ~0u, ~0u};
        if (leaf == 0x80000002) return {0x61616161, 0x62626262, 0x63636363, 0x64646464};
        return {};
    };
}

constexpr std::uint32_t kEverything = ~0u;

}  // namespace

TEST_CASE("features are the host's and the offered ones", "[cpuid]") {
    // FPU 0, DE 2, PSE 3, TSC 4, MSR 5, PAE 6, CX8 8, PGE 13, CMOV 15, MMX 23, FXSR 24, SSE 25, SSE2 26.
    const VirtualCpuid all(host("AuthenticAMD", kEverything), {});
    CHECK(all.answer(1, 0).edx == 0x0780A17D);
    CHECK(all.answer(1, 0).ecx == 0);
    CHECK(all.answer(1, 0).ebx == 0);
    CHECK(VirtualCpuid(host("AuthenticAMD", kEverything), {.pae = false}).answer(1, 0).edx == 0x0780A13D);
    CHECK(VirtualCpuid(host("AuthenticAMD", kEverything), {.local_apic = true}).answer(1, 0).edx == 0x0780A37D);
    CHECK(VirtualCpuid(host("AuthenticAMD", kEverything), {.hypervisor = true}).answer(1, 0).ecx == 0x80000000);
    CHECK(VirtualCpuid(host("AuthenticAMD", 1u << 0 | 1u << 4 | 1u << 11), {}).answer(1, 0).edx == 0x11);
}

TEST_CASE("leaves and vendors", "[cpuid]") {
    const VirtualCpuid amd(host("AuthenticAMD", kEverything), {}), intel(host("GenuineIntel", kEverything), {}), via(host("CentaurHauls", kEverything), {});
    CHECK(amd.answer(0, 0).eax == 1);
    CHECK(amd.answer(0, 0).ebx == 0x68747541);
    CHECK(amd.answer(0, 0).edx == 0x69746E65);
    CHECK(amd.answer(0, 0).ecx == 0x444D4163);
    CHECK(intel.answer(0, 0).ebx == 0x756E6547);
    CHECK(via.answer(0, 0).ebx == 0x756E6547);
    CHECK_FALSE(amd.is_intel());
    CHECK(via.is_intel());
    CHECK((amd.answer(1, 0).eax >> 8 & 15) == 6);
    CHECK((intel.answer(1, 0).eax >> 8 & 15) == 6);
    // Above the maximum: zeros on AMD, the highest basic leaf on Intel.
    for (const std::uint32_t leaf : {2u, 7u, 0xDu, 0x40000000u, 0x80000005u, 0xFFFFFFFFu}) {
        CHECK(amd.answer(leaf, 0).edx == 0);
        CHECK(intel.answer(leaf, 0).edx == intel.answer(1, 0).edx);
    }
    CHECK(amd.answer(0x80000000, 0).eax == 0x80000004);
    CHECK(amd.answer(0x80000001, 0).edx == 0);  // no long mode, no NX, no SYSCALL
    CHECK(amd.answer(0x80000002, 0).ecx == 0x63636363);
}

TEST_CASE("model-specific registers", "[cpuid]") {
    std::uint64_t value = 0;
    VirtualMsrs intel(true, {}), amd(false, {}), apic(false, {.local_apic = true});
    REQUIRE(amd.read(0x10, 500, value));
    CHECK(value == 500);
    REQUIRE(amd.write(0x10, 500, 10));
    CHECK(amd.tsc(507) == 17);
    REQUIRE(amd.read(0x10, 600, value));
    CHECK(value == 110);
    CHECK(apic.tsc(5) == 5);

    // What is not offered: SYSENTER, MTRR, PAT, machine check, EFER, and indices nobody has.
    for (const std::uint32_t index : {0x174u, 0xFEu, 0x277u, 0x179u, 0xC0000080u, 0u, 0xFFFFFFFFu}) {
        INFO("MSR " << index);
        CHECK_FALSE(intel.read(index, 0, value));
        CHECK_FALSE(amd.write(index, 0, 0));
    }
    CHECK_FALSE(intel.read(0x1B, 0, value));
    REQUIRE(apic.read(0x1B, 0, value));
    CHECK(value == 0xFEE00900);
    CHECK(apic.write(0x1B, 0, 0xFEE00100));
    CHECK_FALSE(apic.write(0x1B, 0, 0xFEE00101));  // reserved
    CHECK_FALSE(apic.write(0x1B, 0, 0xFEE00000));  // BSP is read-only
    REQUIRE(apic.read(0x1B, 0, value));
    CHECK(value == 0xFEE00100);

    CHECK(intel.write(0x8B, 0, 0x12345));
    REQUIRE(intel.read(0x8B, 0, value));
    CHECK(value == 0);
    CHECK_FALSE(amd.write(0x8B, 0, 1));
    CHECK_FALSE(amd.read(0x1A0, 0, value));
    CHECK(intel.write(0x1A0, 0, 0x401801));
    REQUIRE(intel.read(0x1A0, 0, value));
    CHECK(value == 0x401801);
    CHECK_FALSE(intel.write(0x1A0, 0, 0x1805));
    CHECK(amd.write(0x1D9, 0, 0));
    CHECK_FALSE(amd.write(0x1D9, 0, 2));
}
