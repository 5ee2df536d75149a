// SPDX-License-Identifier: Apache-2.0
// What the CPU says of itself, and what single instructions do at CPL 3 on this host.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "cli/host_probe.h"

#if defined(__x86_64__)
#include <asm/ldt.h>
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace trapline::cli {

#if defined(__x86_64__)

namespace {

using State = HostAnswer::State;

// asm/prctl.h of older kernels lacks them.
constexpr int kArchSetCpuid = 0x1012;
constexpr int kArchShstkStatus = 0x5005;
constexpr std::uint16_t kUserCode32 = 0x23;  // Linux's __USER32_CS
constexpr std::uint64_t kTrapCycles = 500;   // SGDT costs tens of cycles untrapped, over a thousand through a #GP

struct Leaf {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(unsigned leaf, unsigned subleaf = 0) {
    Leaf out;
    if (__get_cpuid_count(leaf, subleaf, &out.eax, &out.ebx, &out.ecx, &out.edx) == 0) return {};
    return out;
}

std::string registers_text(std::initializer_list<unsigned> registers) {
    std::string text;
    for (const unsigned value : registers)
        for (int shift = 0; shift < 32; shift += 8)
            if (const char c = static_cast<char>(value >> shift & 0xFF); c >= ' ' && c < 0x7F) text += c;
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
}

std::string brand() {
    std::string text;
    for (unsigned leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
        const Leaf part = cpuid(leaf);
        text += registers_text({part.eax, part.ebx, part.ecx, part.edx}) + " ";
    }
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
}

HostAnswer feature(std::string name, bool present, std::string meaning) {
    return {present ? State::yes : State::no, "cpu", std::move(name), present ? "present" : "absent", std::move(meaning)};
}

/// What a child found out: its text, after '+' for "the host can" or '-' for "it cannot" where that is the question.
constexpr char kCan = '+', kCannot = '-';

/// A child's answer about one instruction; `on_fault` is the text for when SIGSEGV ended it.
HostAnswer instruction(std::string name, const ChildReport& report, const std::string& on_fault, std::string meaning) {
    HostAnswer answer{State::note, "ring-3", std::move(name), {}, std::move(meaning)};
    if (!report.started) answer.found = "could not be tried: no child process";
    else if (report.signal == SIGSEGV) answer.found = on_fault;
    else if (report.signal != 0) answer.found = fmt::format("{}ended by signal {} ({})", kCannot, report.signal, ::strsignal(report.signal));
    else answer.found = report.text;
    if (!answer.found.empty() && (answer.found[0] == kCan || answer.found[0] == kCannot)) {
        answer.state = answer.found[0] == kCan ? State::yes : State::no;
        answer.found.erase(0, 1);
    }
    return answer;
}

#pragma pack(push, 1)
struct TableRegister {
    std::uint16_t limit = 0;
    std::uint64_t base = 0;
};
#pragma pack(pop)

/// The least of several timings, in TSC ticks.
template <class Work>
std::uint64_t ticks(Work work) {
    std::uint64_t least = ~std::uint64_t{0};
    for (int i = 0; i < 16; ++i) {
        _mm_lfence();
        const std::uint64_t begin = __rdtsc();
        work();
        _mm_lfence();
        const std::uint64_t taken = __rdtsc() - begin;
        if (taken < least) least = taken;
    }
    return least;
}

std::string try_sgdt() {
    TableRegister gdtr;
    const std::uint64_t cost = ticks([&] { asm volatile("sgdt %0" : "=m"(gdtr)); });
    std::uint64_t msw = 0;
    asm volatile("smsw %0" : "=r"(msw));
    // Linux answers a trapped SGDT with limit 0 (arch/x86/kernel/umip.c); a GDT that is in use has at least one descriptor.
    const bool spoofed = gdtr.limit == 0 || cost > kTrapCycles;
    const std::uint64_t base = gdtr.base;  // SGDT writes 2 + 8 bytes: the field is not aligned, and fmt takes references
    const std::uint16_t limit = gdtr.limit;
    return fmt::format("{}: GDTR base {:#x} limit {:#x}, machine status word {:#x}, {} ticks", spoofed ? "trapped, answered with dummies by the host" : "not trapped", base,
                       limit, msw, cost);
}

std::string try_cpuid_fault() {
    if (::syscall(SYS_arch_prctl, kArchSetCpuid, 0) != 0) return fmt::format("-cannot be made to trap: ARCH_SET_CPUID: {}", std::strerror(errno));
    cpuid(0);
    return "-the host accepts ARCH_SET_CPUID, but CPUID did not trap";
}

std::string try_tsc_fault() {
    if (::prctl(PR_SET_TSC, PR_TSC_SIGSEGV) != 0) return fmt::format("-cannot be made to trap: PR_SET_TSC: {}", std::strerror(errno));
    __rdtsc();
    return "-the host accepts PR_SET_TSC, but RDTSC did not trap";
}

std::string try_rdfsbase() {
    std::uint64_t base = 0;
    asm volatile("rdfsbase %0" : "=r"(base));
    return fmt::format("+runs at CPL 3, FS base {:#x}", base);
}

std::string try_code32() {
    std::uint32_t rights = 0;
    bool valid = false;
    asm volatile("larl %2, %0" : "=r"(rights), "=@ccz"(valid) : "r"(static_cast<std::uint32_t>(kUserCode32)));
    // Bits as in a descriptor's second doubleword: 11 code, 15 present, 21 L, 22 D.
    const bool usable = valid && (rights & 1u << 11) != 0 && (rights & 1u << 15) != 0 && (rights & 1u << 21) == 0 && (rights & 1u << 22) != 0;
    return usable ? fmt::format("+selector {:#x} is a 32-bit code segment (LAR {:#x})", kUserCode32, rights)
                  : fmt::format("-selector {:#x} is no 32-bit code segment (LAR {})", kUserCode32, valid ? fmt::format("{:#x}", rights) : "refused");
}

std::string try_modify_ldt() {
    user_desc entry{};
    entry.base_addr = 0x1000;
    entry.limit = 0xFFF;
    entry.seg_32bit = 1;
    return ::syscall(SYS_modify_ldt, 1, &entry, sizeof entry) != 0 ? std::string("-refused: ") + std::strerror(errno) : "+a data segment was written";
}

}  // namespace

std::vector<HostAnswer> probe_cpu() {
    const Leaf zero = cpuid(0), one = cpuid(1), seven = cpuid(7), extended = cpuid(0x80000001);
    const unsigned base_family = one.eax >> 8 & 15, base_model = one.eax >> 4 & 15;
    const unsigned family = base_family == 15 ? base_family + (one.eax >> 20 & 0xFF) : base_family;
    const unsigned model = base_family == 6 || base_family == 15 ? base_model + (one.eax >> 12 & 0xF0) : base_model;
    std::vector<HostAnswer> answers;
    answers.push_back({State::note, "cpu", "cpu", fmt::format("{}, family {} model {} stepping {}, {}", registers_text({zero.ebx, zero.edx, zero.ecx}), family, model, one.eax & 15, brand()), "where CPUs differ, this is the one that is asked"});
    const bool guest = (one.ecx >> 31 & 1) != 0;
    std::string monitor = "none announced";
    if (guest) {
        unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
        __cpuid(0x40000000, eax, ebx, ecx, edx);  // __get_cpuid refuses leaves above the basic maximum
        monitor = "\"" + registers_text({ebx, ecx, edx}) + "\"";
    }
    answers.push_back({State::note, "cpu", "hypervisor", monitor, "a host that is a guest itself may see CPUID, RDTSC and MSRs made up"});
    answers.push_back(feature("umip", (seven.ecx >> 2 & 1) != 0, "with CR4.UMIP, SGDT SIDT SLDT STR SMSW trap at CPL 3"));
    answers.push_back(feature("fsgsbase", (seven.ebx & 1) != 0, "segment bases without a system call"));
    answers.push_back(feature("ospke", (seven.ecx >> 4 & 1) != 0, "protection keys, switched on by the kernel: guests that read the code they have run see what they wrote; WRPKRU is control-sensitive"));
    answers.push_back(feature("shstk", (seven.ecx >> 7 & 1) != 0, "shadow stacks"));
    answers.push_back(feature("uintr", (seven.edx >> 5 & 1) != 0, "user interrupts"));
    answers.push_back(feature("vmx", (one.ecx >> 5 & 1) != 0, "Intel's virtualization; not needed"));
    answers.push_back(feature("svm", (extended.ecx >> 2 & 1) != 0, "AMD's virtualization; not needed"));
    return answers;
}

std::vector<HostAnswer> probe_ring3() {
    std::vector<HostAnswer> answers;
    answers.push_back(instruction("sgdt", run_in_child(try_sgdt), "traps (SIGSEGV)", "a trapped SGDT that is answered with dummies is neither a fault nor the truth"));
    answers.push_back(instruction("cpuid", run_in_child(try_cpuid_fault), "+can be made to trap (ARCH_SET_CPUID)", "without CPUID faulting, a guest sees the host's identity unless it is patched"));
    answers.push_back(instruction("rdtsc", run_in_child(try_tsc_fault), "+can be made to trap (PR_SET_TSC)", "time is a resource; the VMM decides what the guest sees"));
    answers.push_back(instruction("rdfsbase", run_in_child(try_rdfsbase), "-traps (SIGSEGV)", "the executor sets segment bases at CPL 3"));
    answers.push_back(instruction("code32", run_in_child(try_code32), "-traps (SIGSEGV)", "32-bit guests run in a 64-bit process"));
    answers.push_back(instruction("modify_ldt", run_in_child(try_modify_ldt), "-ended by SIGSEGV", "segments with a base and a limit, the wall between guest kernel and guest user"));
    const bool shadow = ::syscall(SYS_arch_prctl, kArchShstkStatus, 0) == 0 || errno == EFAULT;
    answers.push_back({State::note, "ring-3", "user_shstk", shadow ? "the kernel offers user shadow stacks" : "the kernel offers none", "a guest's RET must match the host's shadow stack"});
    return answers;
}

#else

std::vector<HostAnswer> probe_cpu() {
    return {{HostAnswer::State::no, "cpu", "cpu", "not an x86-64 host", "images are analysed all the same; nothing can be asked of the CPU or run on it"}};
}
std::vector<HostAnswer> probe_ring3() { return {}; }

#endif

}  // namespace trapline::cli
