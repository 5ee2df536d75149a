// SPDX-License-Identifier: Apache-2.0
// What the CPU says of itself. Where CPUID is asked is a parameter, so that tests can be another CPU.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace trapline::executor {

struct CpuidLeaf {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
/// Answers CPUID for (leaf, subleaf); zeros for a leaf that the CPU does not have.
using AskCpuid = std::function<CpuidLeaf(std::uint32_t leaf, std::uint32_t subleaf)>;

struct CpuIdentity {
    std::string vendor;       ///< as records name it: "amd", "intel", "via", "cyrix"; "" for any other
    std::string vendor_text;  ///< "AuthenticAMD"
    std::string brand;
    unsigned family = 0, model = 0, stepping = 0;
    bool hypervisor = false;  ///< CPUID says that a hypervisor runs beneath
};

/// Asks the CPU this program runs on; zeros on hosts that are not x86.
CpuidLeaf host_cpuid(std::uint32_t leaf, std::uint32_t subleaf);
/// Reads XCR0, or 0 where XGETBV is not enabled.
std::uint64_t host_xcr0();

/// Puts vendor, family and names together. Hygon counts as AMD, whose instructions it has.
CpuIdentity identify(const AskCpuid& ask);

}  // namespace trapline::executor
