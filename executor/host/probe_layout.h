// SPDX-License-Identifier: Apache-2.0
// What the program, the nursery and the contained children agree on: addresses, one experiment, its raw result.
// Plain data without constructors: the freestanding side (host/contained/) has no library at all.
#pragma once

#include <cstdint>

namespace trapline::executor {

/// Where a child's memory lies. Everything that 32-bit code can address is the experiment's; the program that watches
/// over it is linked far above 4 GiB (must match contained/contained.ld).
inline constexpr std::uint64_t kCodePage = 0x1000'0000;     ///< one page, readable and executable; the next is unmapped
inline constexpr std::uint64_t kCodeStart = kCodePage + 0x400;
inline constexpr std::uint64_t kPageSize = 0x1000;
inline constexpr std::uint64_t kScratch = 0x2000'0000;      ///< what memory operands point to
inline constexpr std::uint64_t kScratchBegin = kScratch - kPageSize, kScratchEnd = kScratch + 3 * kPageSize;
inline constexpr std::uint64_t kStackBegin = 0x2400'0000, kStackTop = kStackBegin + 0x2000, kStackEnd = kStackBegin + 4 * kPageSize;
inline constexpr std::uint64_t kSlotPage = 0x5F10'0000'0000;
inline constexpr std::uint64_t kJobArea = 0x5F20'0000'0000;
/// Offset that far pointers of the memory patterns lead to; nothing is mapped there.
inline constexpr std::uint64_t kLanding = 0x5678;

/// Selectors of a Linux process. The LDT ones are made by the nursery where modify_ldt works.
inline constexpr std::uint16_t kCode64 = 0x33, kCode32 = 0x23, kData = 0x2B;
inline constexpr std::uint16_t kCode16 = 0x07, kData16 = 0x0F;

/// Bytes a probe may carry, and how many experiments one request may hold.
inline constexpr int kMaxCode = 40;
inline constexpr std::uint32_t kMaxBatch = 2048;

/// Where the bytes stand in the code page.
enum class Placement : std::uint8_t {
    padded,    ///< At kCodeStart, int3 behind them: the end of an instruction that executes shows as #BP.
    page_end,  ///< Their last byte is the page's last: a CPU that wants more bytes faults on the next page.
};

/// What memory operands hold, repeated every 64 bytes.
enum class MemoryPattern : std::uint8_t {
    zeros,
    selectors,   ///< a data selector in every word
    frames16,    ///< far pointers and IRET frames of 2-byte elements: kLanding, the own CS, flags, stack, SS
    frames32,
    frames64,
    ones,
    mxcsr,       ///< MXCSR's reset value in every doubleword
};
inline constexpr int kMemoryPatternCount = 7;

/// What the general registers hold.
enum class RegisterPattern : std::uint8_t {
    pointers,   ///< kScratch
    selectors,  ///< a data selector; arithmetic flags set
    zeros,
    extremes,   ///< 3; RAX and RDX all ones
    ports,      ///< 0x80
};
inline constexpr int kRegisterPatternCount = 5;

/// Controls a process can change for itself, one bit each.
enum Setting : std::uint8_t { kSettingNone = 0, kSettingTsd = 1, kSettingCpuidFault = 2 };

/// One experiment: bytes, and the state they start from.
struct ProbeJob {
    std::uint8_t width;  ///< 16, 32 or 64: the code segment
    std::uint8_t code_size;
    Placement placement;
    MemoryPattern memory;
    RegisterPattern registers;
    std::uint8_t setting;  ///< Setting bits
    std::uint8_t code[kMaxCode];
};

/// What the contained handler saw when the experiment ended. A child can forge it, and no other child's: the page is
/// cleared before each, and read once the child is gone. Nothing in it is ever used as a size or an address.
struct ProbeSlot {
    std::uint32_t done;  ///< 1 once the other fields are filled
    std::int32_t signal;
    std::int32_t signal_code;
    std::uint32_t trap;      ///< vector, as Linux gives it in the signal frame
    std::uint64_t error;     ///< error code of the exception
    std::uint64_t address;   ///< CR2
    std::uint64_t rip;
    std::uint64_t rsp;
    std::uint64_t rflags;
    std::uint64_t registers[16];  ///< RAX RCX RDX RBX RSP RBP RSI RDI R8..R15
    std::uint32_t call_arch;      ///< AUDIT_ARCH_* of a system call that was stopped
    std::uint32_t call_number;
    std::uint32_t pages_given;    ///< pages that were mapped where the experiment touched nothing
    std::uint8_t memory[16];      ///< what stands at kScratch afterwards
};

/// A finished experiment.
struct ProbeResult {
    std::int32_t wait_status;  ///< as wait4 gives it
    std::uint32_t reserved;
    ProbeSlot slot;
};

/// The nursery's first word, when it is ready or has to give up.
struct NurseryGreeting {
    std::uint32_t magic;
    std::int32_t failed_step;   ///< 0 when ready; see nursery.cpp of both sides
    std::int32_t error;         ///< errno of the failed step
    std::uint8_t has_ldt;       ///< 16-bit protected mode can be had
    std::uint8_t has_tsd;       ///< PR_SET_TSC works
    std::uint8_t has_cpuid_fault;
    std::uint8_t reserved;
};
inline constexpr std::uint32_t kGreetingMagic = 0x7452'6C70;

/// Memory shared between the program and the nursery; children never see it.
struct JobArea {
    ProbeJob jobs[kMaxBatch];
    ProbeResult results[kMaxBatch];
};

}  // namespace trapline::executor
