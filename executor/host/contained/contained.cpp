// SPDX-License-Identifier: Apache-2.0
// What a child runs around the experiment. The only system calls made here are those the filter of nursery.cpp lets
// this text make: munmap of the nursery's text, mmap of one private page, rt_sigreturn and exit_group.
#include "executor/host/contained/contained.h"

#include <asm/unistd_64.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "executor/host/contained/system_call.h"

namespace trapline::executor {

namespace {

constexpr unsigned kMaxPagesGiven = 8;  // a string instruction with a huge count must come to an end
constexpr unsigned long kUserEnd = 0x7000'0000'0000;  // below libraries and stacks; those stay as they are
constexpr unsigned long kPageFault = 14, kErrorPresent = 1, kErrorFetch = 16;
constexpr unsigned long kFlagsFixed = 0x202;       // bit 1, IF
constexpr unsigned long kFlagsArithmetic = 0x8D5;  // CF PF AF ZF SF OF

unsigned char pattern_bytes[64];

ProbeSlot& slot() { return *reinterpret_cast<ProbeSlot*>(kSlotPage); }

/// Popped one by one, then IRETQ takes the rest. The order must match load_and_go.
struct EntryState {
    unsigned long rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    unsigned long rip, cs, rflags, rsp, ss;
};
EntryState entry;

extern "C" [[noreturn]] void load_and_go(EntryState* state, unsigned long data_selector);
asm(R"(
    .text
    .globl load_and_go
load_and_go:
    mov %esi, %ds
    mov %esi, %es
    mov %rdi, %rsp
    pop %rax
    pop %rcx
    pop %rdx
    pop %rbx
    pop %rbp
    pop %rsi
    pop %rdi
    pop %r8
    pop %r9
    pop %r10
    pop %r11
    pop %r12
    pop %r13
    pop %r14
    pop %r15
    iretq

    .globl contained_signal
contained_signal:
    pushfq
    btrq $18, (%rsp)
    popfq
    jmp contained_handle

    .globl contained_restorer
contained_restorer:
    mov $15, %eax
    syscall
)");  // 18: the experiment may have set EFLAGS.AC, and compiled code is not aligned for it; 15: rt_sigreturn

[[noreturn]] void finish() {
    for (;;) system_call(__NR_exit_group, 0);
}

/// Gives the experiment a page where it touched none. Says whether the instruction can be tried again.
bool give_page(unsigned long address) {
    if (slot().pages_given >= kMaxPagesGiven || address >= kUserEnd) return false;
    const unsigned long page = address & ~(kPageSize - 1);
    // Never where the code page ends: that gap is how an instruction's length shows.
    if (page == kCodePage + kPageSize) return false;
    const long got = system_call(__NR_mmap, page, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ul, 0);
    if (got != static_cast<long>(page)) return false;
    slot().pages_given = slot().pages_given + 1;
    fill_with_pattern(page, page + kPageSize);
    return true;
}

}  // namespace

void set_pattern(MemoryPattern pattern, unsigned short code_selector) {
    const auto put = [&](unsigned at, unsigned size, unsigned long value) {
        for (unsigned i = 0; i < size; ++i) pattern_bytes[at + i] = static_cast<unsigned char>(value >> (8 * i));
    };
    const auto frame = [&](unsigned size) {
        const unsigned long values[5] = {kLanding, code_selector, kFlagsFixed, size == 2 ? 0x2000 : kStackTop, kData};
        for (unsigned i = 0; i < 5; ++i) put(i * size, size, values[i]);
    };
    for (unsigned char& byte : pattern_bytes) byte = pattern == MemoryPattern::ones ? 0xFF : 0;
    switch (pattern) {
        case MemoryPattern::zeros:
        case MemoryPattern::ones: break;
        case MemoryPattern::selectors:
            for (unsigned i = 0; i < 32; ++i) put(2 * i, 2, kData);
            break;
        case MemoryPattern::frames16: frame(2); break;
        case MemoryPattern::frames32: frame(4); break;
        case MemoryPattern::frames64: frame(8); break;
        case MemoryPattern::mxcsr:
            for (unsigned i = 0; i < 16; ++i) put(4 * i, 4, 0x1F80);
            break;
    }
}

void fill_with_pattern(unsigned long begin, unsigned long end) {
    const auto* source = reinterpret_cast<const unsigned long*>(pattern_bytes);
    for (unsigned long at = begin; at < end; at += 8) {
        auto* target = reinterpret_cast<unsigned long*>(at);
        const unsigned long value = source[(at & 63) / 8];
        if (*target != value) *target = value;
    }
}

void enter_experiment(const ProbeJob& job, unsigned long start) {
    unsigned long value = kScratch, flags = kFlagsFixed;
    switch (job.registers) {
        case RegisterPattern::pointers: break;
        case RegisterPattern::selectors: value = kData, flags |= kFlagsArithmetic; break;
        case RegisterPattern::zeros: value = 0; break;
        case RegisterPattern::extremes: value = 3; break;
        case RegisterPattern::ports: value = 0x80; break;
    }
    // In 16-bit code DS starts at the scratch memory.
    if (job.width == 16 && value == kScratch) value = 0;
    auto* const registers = &entry.rax;
    for (int i = 0; i < 15; ++i) registers[i] = value;
    if (job.registers == RegisterPattern::extremes) entry.rax = entry.rdx = ~0ul;
    entry.rip = job.width == 16 ? start - kCodePage : start;
    entry.cs = job.width == 64 ? kCode64 : job.width == 32 ? kCode32 : kCode16;
    entry.rflags = flags;
    entry.rsp = kStackTop;
    entry.ss = kData;
    const unsigned long data = job.width == 16 ? kData16 : kData;
    if (system_call(__NR_munmap, word(nursery_text_begin), word(nursery_text_end) - word(nursery_text_begin)) != 0) finish();
    load_and_go(&entry, data);
}

extern "C" void contained_handle(int signal, siginfo_t* info, ucontext_t* context) {
    if (slot().done != 0) finish();  // a fault of the handler itself: the first report stands
    const auto& gregs = context->uc_mcontext.gregs;
    const auto trap = static_cast<unsigned long>(gregs[REG_TRAPNO]), error = static_cast<unsigned long>(gregs[REG_ERR]);
    const auto address = static_cast<unsigned long>(gregs[REG_CR2]);
    if (signal == SIGSEGV && trap == kPageFault && (error & (kErrorPresent | kErrorFetch)) == 0 && give_page(address)) return;

    static constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                       REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    ProbeSlot& out = slot();
    out.signal = signal;
    out.signal_code = info->si_code;
    out.trap = static_cast<unsigned>(trap);
    out.error = error;
    out.address = address;
    out.rip = static_cast<unsigned long>(gregs[REG_RIP]);
    out.rsp = static_cast<unsigned long>(gregs[REG_RSP]);
    out.rflags = static_cast<unsigned long>(gregs[REG_EFL]);
    for (int i = 0; i < 16; ++i) out.registers[i] = static_cast<unsigned long>(gregs[kOrder[i]]);
    if (signal == SIGSYS) {
        out.call_arch = static_cast<unsigned>(info->si_arch);
        out.call_number = static_cast<unsigned>(info->si_syscall);
    }
    const auto* memory = reinterpret_cast<const unsigned char*>(kScratch);
    for (int i = 0; i < 16; ++i) out.memory[i] = memory[i];
    asm volatile("" ::: "memory");
    out.done = 1;
    finish();
}

}  // namespace trapline::executor
