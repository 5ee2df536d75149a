// SPDX-License-Identifier: Apache-2.0
// Tables of what CPUID and RDMSR answer.
#include "executor/cpu/virtual_cpuid.h"

#include <string_view>

namespace trapline::executor {

namespace {

// CPUID.1:EDX (SDM vol. 2, table "More on Feature Information Returned in the EDX Register").
constexpr std::uint32_t kFpu = 1u << 0, kDe = 1u << 2, kPse = 1u << 3, kTsc = 1u << 4, kMsr = 1u << 5, kPae = 1u << 6, kCx8 = 1u << 8, kApic = 1u << 9, kPge = 1u << 13,
                        kCmov = 1u << 15, kMmx = 1u << 23, kFxsr = 1u << 24, kSse = 1u << 25, kSse2 = 1u << 26;
constexpr std::uint32_t kOffered = kFpu | kDe | kPse | kTsc | kMsr | kCx8 | kPge | kCmov | kMmx | kFxsr | kSse | kSse2;
constexpr std::uint32_t kHypervisor = 1u << 31;

struct Identity {
    std::string_view host_vendor;  ///< as identify() names it; "" for any other
    bool is_intel;
    std::string_view text;
    std::uint32_t signature;  ///< CPUID.1:EAX
};
// A Pentium M of the last kind before the Core, which has SSE2 and PAE; and an Athlon whose model has no registers of its own
// that Linux sets. Kernels treat other vendors' family 6 by registers that are not offered, so their hosts show an Intel.
constexpr Identity kIdentities[] = {
    {"amd", false, "AuthenticAMD", 0x642},
    {"", true, "GenuineIntel", 0x6D8},
};

enum class Only : std::uint8_t { all, intel, amd, apic };
struct MsrRow {
    std::uint32_t index;
    std::uint64_t value;
    std::uint64_t writable;  ///< bits that a write may change
    std::uint64_t accepted;  ///< bits that a write may have otherwise than `value` and that are forgotten
    Only only;
};
constexpr std::uint32_t kTscIndex = 0x10;
constexpr std::uint64_t kAllBits = ~std::uint64_t{0};
// SDM vol. 4, "MSRs in the P6 Family Processors" and "Architectural MSRs"; APM vol. 2, appendix A. IA32_BIOS_SIGN_ID is read
// behind a write of 0 by those who want the microcode's revision: none is loaded, it reads as 0. IA32_MISC_ENABLE: fast strings,
// no BTS, no PEBS; its CPUID limit (bit 22) changes nothing below a maximum leaf of 3. IA32_DEBUGCTL can only be cleared.
constexpr MsrRow kMsrs[] = {
    {0x17, 0, 0, 0, Only::intel},                             // IA32_PLATFORM_ID
    {0x1B, 0xFEE00900, 0x0000000F'FFFFF800, 0, Only::apic},   // IA32_APIC_BASE: enabled, bootstrap processor
    {0x8B, 0, 0, kAllBits, Only::intel},                      // IA32_BIOS_SIGN_ID
    {0x8B, 0, 0, 0, Only::amd},                               // patch level
    {0x1A0, 0x1801, 1u << 0 | 1u << 22, 0, Only::intel},      // IA32_MISC_ENABLE
    {0x1D9, 0, 0, 0, Only::all},                              // IA32_DEBUGCTL
};

std::uint32_t characters(std::string_view text, std::size_t at) {
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < 4; ++i) word |= static_cast<std::uint32_t>(static_cast<unsigned char>(text[at + i])) << (8 * i);
    return word;
}

}  // namespace

VirtualCpuid::VirtualCpuid(const AskCpuid& host, const VirtualCpuOptions& options) {
    const std::string vendor = identify(host).vendor;
    const Identity* identity = kIdentities;
    while (!identity->host_vendor.empty() && identity->host_vendor != vendor) ++identity;
    is_intel_ = identity->is_intel;

    const std::uint32_t offered = kOffered | (options.pae ? kPae : 0);
    basic_[0] = {1, characters(identity->text, 0), characters(identity->text, 8), characters(identity->text, 4)};
    // The local APIC is the machine's own device, so the host need not have one.
    basic_[1] = {identity->signature, 0, options.hypervisor ? kHypervisor : 0, (host(1, 0).edx & offered) | (options.local_apic ? kApic : 0)};
    extended_[0].eax = 0x8000'0004;
    for (std::uint32_t i = 2; i < extended_.size(); ++i) extended_[i] = host(0x8000'0000 + i, 0);
}

CpuidLeaf VirtualCpuid::answer(std::uint32_t leaf, std::uint32_t) const {
    if (leaf < basic_.size()) return basic_[leaf];
    if (leaf >= 0x8000'0000 && leaf - 0x8000'0000 < extended_.size()) return extended_[leaf - 0x8000'0000];
    return is_intel_ ? basic_.back() : CpuidLeaf{};
}

VirtualMsrs::VirtualMsrs(bool is_intel, const VirtualCpuOptions& options) {
    for (const MsrRow& row : kMsrs)
        if (row.only == Only::all || (row.only == Only::intel && is_intel) || (row.only == Only::amd && !is_intel) ||
            (row.only == Only::apic && options.local_apic))
            registers_.push_back({row.index, row.value, row.writable, row.accepted});
}

bool VirtualMsrs::read(std::uint32_t index, std::uint64_t clock, std::uint64_t& value) const {
    if (index == kTscIndex) {
        value = tsc(clock);
        return true;
    }
    for (const Register& entry : registers_)
        if (entry.index == index) {
            value = entry.value;
            return true;
        }
    return false;
}

bool VirtualMsrs::write(std::uint32_t index, std::uint64_t clock, std::uint64_t value) {
    if (index == kTscIndex) {
        tsc_offset_ = value - clock;
        return true;
    }
    for (Register& entry : registers_)
        if (entry.index == index) {
            if (((value ^ entry.value) & ~(entry.writable | entry.accepted)) != 0) return false;
            entry.value = (entry.value & ~entry.writable) | (value & entry.writable);
            return true;
        }
    return false;
}

}  // namespace trapline::executor
