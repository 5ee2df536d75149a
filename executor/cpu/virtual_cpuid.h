// SPDX-License-Identifier: Apache-2.0
// The processor that guests are told they have: a P6-class CPU with what ring 3 can offer. CPUID and model-specific registers
// are tables; what they lack does not exist.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "executor/host/cpu.h"

namespace trapline::executor {

/// What a machine may add to or take from the virtual processor.
struct VirtualCpuOptions {
    bool pae = true;          ///< physical address extension; kernels without it do not look
    bool local_apic = false;  ///< CPUID.APIC and IA32_APIC_BASE; the machine must have one
    bool hypervisor = false;  ///< CPUID.1:ECX[31]: admits that it is virtual
};

/// Answers CPUID. Features are those of the host AND those of the table: FPU DE PSE TSC MSR CX8 PGE CMOV MMX FXSR SSE SSE2, PAE and
/// APIC by option. The vendor is the host's where it is AMD or Intel, for the sake of code that runs on it unseen; the
/// signature is a family 6 part of that vendor, because kernels look for the registers and errata of newer ones.
class VirtualCpuid {
public:
    VirtualCpuid(const AskCpuid& host, const VirtualCpuOptions& options);
    /// Zeros above the maximum leaf, but on an Intel processor the highest basic leaf (SDM vol. 2, CPUID).
    CpuidLeaf answer(std::uint32_t leaf, std::uint32_t subleaf) const;
    bool is_intel() const { return is_intel_; }

private:
    bool is_intel_ = false;
    std::array<CpuidLeaf, 2> basic_{};
    std::array<CpuidLeaf, 5> extended_{};  ///< the brand string and nothing else
};

/// The model-specific registers of that processor: IA32_TSC, and a table of others with the bits that may be written. Any other
/// index, and a write to any other bit, is refused: #GP(0). PAT, MTRRs, SYSENTER, machine check, EFER are not offered.
class VirtualMsrs {
public:
    VirtualMsrs(bool is_intel, const VirtualCpuOptions& options);
    /// `clock` is the running counter that IA32_TSC is derived from.
    bool read(std::uint32_t index, std::uint64_t clock, std::uint64_t& value) const;
    bool write(std::uint32_t index, std::uint64_t clock, std::uint64_t value);
    /// What RDTSC reads: the clock and what writes to IA32_TSC moved it by.
    std::uint64_t tsc(std::uint64_t clock) const { return clock + tsc_offset_; }

private:
    struct Register {
        std::uint32_t index;
        std::uint64_t value, writable, accepted;
    };
    std::vector<Register> registers_;
    std::uint64_t tsc_offset_ = 0;
};

}  // namespace trapline::executor
