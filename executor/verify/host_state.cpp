// SPDX-License-Identifier: Apache-2.0
// Control bits as a process can find them.
#include "executor/verify/host_state.h"

#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>

namespace trapline::executor {

namespace {

// asm/prctl.h of older kernels lacks them.
constexpr int kArchGetCpuid = 0x1011, kArchShstkStatus = 0x5005;
constexpr unsigned long kShstkEnabled = 1;
constexpr unsigned long kHwcap2Fsgsbase = 2;

/// What Linux fixes for every process and no process can ask. Each line names where it is done.
struct Fixed {
    const char* atom;
    int value;
    const char* how;
};
constexpr Fixed kFixedByLinux[] = {
    {"cpl", 3, "user code"},
    {"iopl", 0, "no process here called iopl; Linux has emulated it by the I/O bitmap since 5.5"},
    {"io_bitmap.allows", 0, "ioperm was not called"},
    {"cr4.pvi", 0, "Linux never sets it"},
    {"cr4.vme", 0, "a 64-bit kernel never sets it"},
    {"cr4.osfxsr", 1, "set at boot by every 64-bit kernel"},
    {"cr0.ts", 0, "x87 and vector state is switched eagerly since 4.6"},
    {"cr0.em", 0, "a 64-bit kernel needs the FPU"},
    {"cr0.mp", 1, "part of CR0_STATE"},
    {"efer.sce", 1, "the kernel's own system calls need it"},
    {"efer.lma", 1, "a 64-bit kernel"},
    {"efer.mcommit", 0, "Linux never sets it"},
    {"mon_mwait_user_en", 0, "Linux never sets it"},
    {"user_msr_ctl", 0, "Linux never sets it"},
    {"pasid_valid", 0, "set for processes with a shared virtual address device only"},
    {"cr4.uintr", 0, "not in mainline Linux"},
    {"cr4.smxe", 0, "Linux never sets it"},
    {"uintr.senduipi", 0, "not in mainline Linux"},
    {"bndcfg.en", 0, "MPX was removed in 5.6"},
    {"sysenter_cs_valid", 1, "written at boot by every 64-bit kernel"},
    {"cet.wrss", 0, "enabled by a process for itself only; none did"},
    {"sgx.enclave", 0, "not in an enclave"},
    {"seam", 0, "user code of an ordinary kernel"},
    {"smm", 0, "user code"},
    {"ccr1.smac", 0, "no Cyrix CPU runs 64-bit code"},
    {"rflags.nt_set", 0, "experiments start with NT clear"},
    {"vip_set", 0, "experiments start with VIP clear"},
    {"dr7.gd", 0, "no debugger"},
    {"lock_prefix", 0, "examples carry LOCK only where it is taken"},
};

}  // namespace

HostQuestions this_host() {
    HostQuestions out;
    out.cpuid = host_cpuid;
    out.xcr0 = host_xcr0;
    std::set<std::string, std::less<>> flags;
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);) {
        if (line.rfind("flags", 0) != 0) continue;
        std::istringstream words(line.substr(std::min(line.find(':'), line.size() - 1) + 1));
        for (std::string word; words >> word;) flags.insert(word);
        break;
    }
    out.cpuinfo = [flags](std::string_view flag) { return flags.find(flag) != flags.end(); };
    out.setting = [](std::string_view path) -> std::optional<int> {
        std::ifstream file{std::string(path)};
        int value = 0;
        return file >> value ? std::optional(value) : std::nullopt;
    };
    out.tsc_mode = []() -> std::optional<int> {
        int mode = 0;
        return ::prctl(PR_GET_TSC, &mode) == 0 ? std::optional(mode) : std::nullopt;
    };
    out.shadow_stack = [] {
        unsigned long status = 0;
        return ::syscall(SYS_arch_prctl, kArchShstkStatus, &status) == 0 && (status & kShstkEnabled) != 0;
    };
    out.fsgsbase = [] { return (::getauxval(AT_HWCAP2) & kHwcap2Fsgsbase) != 0; };
    out.cpuid_faults = [] { return ::syscall(SYS_arch_prctl, kArchGetCpuid, 0) == 0; };
    return out;
}

std::vector<KnownAtom> read_host_state(const HostQuestions& questions) {
    std::vector<KnownAtom> out;
    for (const Fixed& fixed : kFixedByLinux) out.push_back({fixed.atom, fixed.value, fixed.how});
    const auto note = [&](std::string atom, bool value, std::string how) { out.push_back({std::move(atom), value ? 1 : 0, std::move(how)}); };
    const CpuidLeaf one = questions.cpuid(1, 0), seven = questions.cpuid(7, 0);
    const CpuIdentity cpu = identify(questions.cpuid);

    note("cr4.osxsave", (one.ecx >> 27 & 1) != 0, "CPUID.1:ECX[27] mirrors it");
    note("cr4.pke", (seven.ecx >> 4 & 1) != 0, "CPUID.7:ECX[4] mirrors it");
    note("cr4.kl", (questions.cpuid(0x19, 0).ebx & 1) != 0, "CPUID.19H:EBX[0] mirrors it");
    // The kernel drops a flag from /proc/cpuinfo when it does not use the feature.
    for (const auto& [atom, flag] : {std::pair{"cr4.umip", "umip"}, {"cr4.smap", "smap"}, {"cr4.fred", "fred"}, {"cr4.pcide", "pcid"}, {"cr4.de", "de"}})
        note(atom, questions.cpuinfo(flag), fmt::format("/proc/cpuinfo {} {}", questions.cpuinfo(flag) ? "lists" : "does not list", flag));
    const bool cet = questions.cpuinfo("user_shstk") || questions.cpuinfo("ibt");
    note("cr4.cet", cet, fmt::format("/proc/cpuinfo {} user_shstk or ibt", cet ? "lists" : "lists neither"));
    const bool shadow_stack = questions.shadow_stack();
    note("cet.shstk", shadow_stack, "arch_prctl(ARCH_SHSTK_STATUS)");
    note("cet.u.rdssp", shadow_stack, "arch_prctl(ARCH_SHSTK_STATUS)");
    note("cr4.fsgsbase", questions.fsgsbase(), "AT_HWCAP2 bit 1");
    if (const auto mode = questions.tsc_mode()) note("cr4.tsd", *mode == PR_TSC_SIGSEGV, "prctl(PR_GET_TSC)");
    const auto rdpmc = questions.setting("/sys/bus/event_source/devices/cpu/rdpmc");
    note("cr4.pce", rdpmc == 2, rdpmc ? fmt::format("rdpmc of the CPU's event source is {}; 2 alone lets every process", *rdpmc) : "the CPU has no event source here");
    const auto c02 = questions.setting("/sys/devices/system/cpu/umwait_control/enable_c02");
    if (c02) note("umwait_c02_disable", *c02 == 0, "umwait_control/enable_c02");
    note("cpuid_fault", questions.cpuid_faults(), "arch_prctl(ARCH_GET_CPUID)");
    note("svm.guest", cpu.vendor == "amd" && cpu.hypervisor, "CPUID names the vendor and a hypervisor");
    // On Intel a process cannot tell whether VMX operation is on: unknown there.
    if (cpu.vendor != "intel")
        for (const char* atom : {"vmx.root", "vmx.nonroot", "cr4.vmxe"}) note(atom, false, "the vendor does not make VMX");
    note("snp.guest", questions.cpuinfo("sev_snp") && cpu.hypervisor, "/proc/cpuinfo and CPUID");
    note("snp.host", questions.cpuinfo("sev_snp") && !cpu.hypervisor, "/proc/cpuinfo and CPUID");
    return out;
}

void PartialState::fix(const isa::Database& database, std::string_view atom, int value) {
    const auto index = database.find_atom(atom);
    TRAPLINE_ASSERT(index.has_value(), "the host's state names an atom that atoms.json does not have");
    values[*index] = static_cast<std::uint8_t>(value);
    known[*index] = true;
}

PartialState state_in(const isa::Database& database, const std::vector<KnownAtom>& host, Mode mode) {
    PartialState out{isa::Assignment(database.atoms.size(), 0), std::vector<bool>(database.atoms.size(), false)};
    for (const KnownAtom& atom : host) out.fix(database, atom.atom, atom.value);
    out.fix(database, "real", mode == Mode::real16);
    out.fix(database, "protected", mode != Mode::real16);
    out.fix(database, "long", mode == Mode::long64);
    return out;
}

}  // namespace trapline::executor
