// SPDX-License-Identifier: Apache-2.0
// The memory of the test machine, shared by the host program and the monitor: `equates` gives the monitor every number
// from here, so that there is one list.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace trapline::ring0 {

// Below 64 KiB, so that 16-bit code reaches it; linear is physical everywhere.
inline constexpr std::uint32_t kControl = 0x1000;    // Control, below
inline constexpr std::uint32_t kCode = 0x2000;       // the instruction under test, then INT kDoneVector
inline constexpr std::uint32_t kLanding = 0x2800;    // INT kDoneVector at each of 16 places, kLandingStride apart
inline constexpr std::uint32_t kLandingStride = 0x10;
inline constexpr std::uint32_t kTestBase = 8;        // of segments of the second GDT: there INT kStrayVector stands
inline constexpr std::uint32_t kData = 0x3000;       // memory operands
inline constexpr std::uint32_t kProbes = 0x3F00;     // each doubleword holds its own address: shows a segment's hidden base
inline constexpr std::uint32_t kStack = 0x4800;      // RSP of the instruction under test, in the middle of the window
inline constexpr std::uint32_t kGdt1 = 0x5000, kGdt2 = 0x5800;
inline constexpr std::uint32_t kIdt1 = 0x6000, kIdt2 = 0x7000;
inline constexpr std::uint32_t kVectors2 = kIdt2 + 0x800;  // real mode's second vector table; the first is at 0
inline constexpr std::uint32_t kMonitor = 0x8000;
inline constexpr std::uint32_t kTables = 0xD000;     // TSS and LDT, reset for each case like kCode..kMonitor
inline constexpr std::uint32_t kTss1 = 0xD000, kTss2 = 0xD100, kLdt1 = 0xD200, kLdt2 = 0xD280;
inline constexpr std::uint32_t kIoBitmap = 0x68, kTssBytes = kIoBitmap + 0x20;  // in the TSS: ports 0 to 0xF7, then the end byte
inline constexpr std::uint32_t kTablesEnd = 0xD400;
inline constexpr std::uint32_t kIncoming = 0xE000, kOutgoing = 0xE400;  // slots of the running case
inline constexpr std::uint32_t kMonitorStack = 0xFFF0;
inline constexpr std::uint32_t kPages1 = 0x10000, kPages2 = 0x13000;    // PML4, PDPT, PD each
inline constexpr std::uint32_t kVmcb = 0x20000, kVmHostSave = 0x21000;
inline constexpr std::uint32_t kMaster = 0x30000;    // pristine copies of [0, 0x400), [kCode, kMonitor), [kTables, kTablesEnd)
inline constexpr std::uint32_t kCases = 0x100000, kCaseStride = 0x1000;
inline constexpr std::uint32_t kResults = 0x600000, kResultStride = 0x1800;
inline constexpr std::uint32_t kMaxCases = 1024;     // of one start of the machine
inline constexpr std::uint32_t kMemorySize = 16 << 20;
static_assert(kCases + kMaxCases * kCaseStride <= kResults && kResults + kMaxCases * kResultStride <= kMemorySize);

inline constexpr std::uint32_t kCodeBytes = 64, kDataBytes = 0x680, kStackBytes = 512, kGdtBytes = 1024, kTablesBytes = 512;
inline constexpr std::uint32_t kPokes = 16;
inline constexpr std::uint32_t kVmcbState = 0x400;   // of a VMCB at kData: its state save area; other operands end before it
// Parts of a case (host to machine) after its slots, and of a result (machine to host).
inline constexpr std::uint32_t kCaseCode = 0x400, kCasePokes = 0x440, kCaseStack = 0x600, kCaseData = 0x800;
inline constexpr std::uint32_t kResultStack = 0x400, kResultTables = 0x600, kResultData = 0x800, kResultGdt1 = 0x1000, kResultGdt2 = 0x1400;

inline constexpr int kDoneVector = 0x40, kStrayVector = 0x41, kTimerVector = 0x20;
inline constexpr int kSecondIdt = 0x100;             // added to the vector by the stubs of the second IDT
inline constexpr std::uint16_t kPort = 0xE0;         // pc-testdev: four bytes that read back what was written, in any width

/// Words of the control block at kControl, doublewords each.
enum Control : std::uint32_t { kNext = 0x0, kCount = 0x4, kDone = 0x8, kQueryCount = 0xC, kQueries = 0x10, kAnswers = 0x200 };
inline constexpr std::uint32_t kMaxQueries = 60;     // CPUID: {leaf, subleaf} at kQueries, {eax, ebx, ecx, edx} at kAnswers

/// Fields of the machine's state, eight bytes each; the same for what a case loads and for what is saved after it.
enum Slot : std::uint8_t {
    rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15,
    rip, rflags, cs, ss, ds, es, fs, gs,
    cr0, cr2, cr3, cr4, cr8, efer, dr0, dr1, dr2, dr3, dr6, dr7,
    gdtr_base, gdtr_limit, idtr_base, idtr_limit, ldtr, tr, fs_base, gs_base, kernel_gs_base,
    star, lstar, cstar, fmask, sysenter_cs, sysenter_esp, sysenter_eip, tsc_aux, xcr0, pkru, pat, vm_hsave, io,
    vector, error, handler_rflags, handler_cs, handler_ss, handler_rsp,
    probe_ds, probe_es, probe_fs, probe_gs, probe_ss,
    real_mode, timer,  // only in cases: run in real mode; start a timer interrupt for what waits
    kSlotCount,
};
inline constexpr std::array<std::string_view, kSlotCount> kSlotNames = {
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "rip", "rflags", "cs", "ss", "ds", "es", "fs", "gs",
    "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7",
    "gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit", "ldtr", "tr", "fs_base", "gs_base", "kernel_gs_base",
    "star", "lstar", "cstar", "fmask", "sysenter_cs", "sysenter_esp", "sysenter_eip", "tsc_aux", "xcr0", "pkru", "pat", "vm_hsave", "io",
    "vector", "error", "handler_rflags", "handler_cs", "handler_ss", "handler_rsp",
    "probe_ds", "probe_es", "probe_fs", "probe_gs", "probe_ss", "real_mode", "timer"};
static_assert(kSlotCount * 8 <= kCaseCode);

/// Descriptors of both GDTs, by index. A name with a level in it stands for four, one for each DPL.
enum Descriptor : std::uint16_t {
    kMonitorCode32 = 1, kMonitorData32, kMonitorCode64, kMonitorCode16, kMonitorData16,
    kCode_ = 8, kStack_ = 12, kCodeOther_ = 16, kStackOther_ = 20,  // what a case runs in, and a second set of the same kind
    kTestData_ = 24, kTestDataUnaccessed_ = 28, kTestConforming_ = 32, kTestConformingUnaccessed_ = 36,
    kTestCode_ = 40, kTestCodeUnaccessed_ = 44, kTestAbsent_ = 48,
    kTss1Low = 52, kTss2Low = 54, kLdt1Low = 56, kLdt2Low = 58,     // two slots each, as in long mode
    kGates_ = 60,                 // call gates, two slots each: index kGates_ + 2 * (4 * gate DPL + DPL of the code)
    kFlat1 = 92, kFlat2 = 98,     // code 0, data 0, code32 3, data 3, code64 3, data 3: SYSENTER's and SYSCALL's order
    kDescriptorCount = 104,
};
static_assert(kDescriptorCount * 8 <= kGdtBytes);
constexpr std::uint16_t selector(unsigned index, unsigned rpl = 0) { return static_cast<std::uint16_t>(index * 8 | rpl); }

/// Gives the `.set` lines for the monitor: addresses, `s_<slot>` offsets, selectors.
std::string equates();

}  // namespace trapline::ring0
