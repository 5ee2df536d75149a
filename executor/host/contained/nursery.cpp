// SPDX-License-Identifier: Apache-2.0
// The nursery: a small process without library, files or secrets that forks one child for each experiment and reports
// how it ended. Started through a memory file by host/nursery.cpp, told what to do over descriptor 0.
//
// Containment. One seccomp filter serves both sides, by the address of the calling instruction: the nursery's text may
// call anything, the children's text four things with fixed arguments, any other place nothing - the child gets SIGSYS,
// which is an outcome. A child unmaps the nursery's text before the experiment starts, and can never map anything
// executable again, so no address from which more is allowed exists in it. The filter asks for the architecture first:
// INT 80h and 32-bit SYSCALL come as AUDIT_ARCH_I386 whatever their address. Syscall User Dispatch would not do: 32-bit
// SYSCALL slips past it.
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <asm/unistd_64.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "executor/host/contained/contained.h"
#include "executor/host/contained/system_call.h"

namespace trapline::executor {

namespace {

constexpr int kChannel = 0, kAreaFile = 3;
constexpr int kArchSetCpuid = 0x1012;  // ARCH_SET_CPUID; older headers lack it
constexpr unsigned long kAlternateStackSize = 0x10000;
constexpr long kHangMicroseconds = 60'000;       // processor time: a busy machine must not look like a hang
constexpr unsigned long kProcessorSeconds = 1;   // for a child that blocked SIGPROF through a forged sigreturn
constexpr unsigned long kAddressSpace = 64ul << 20;

/// Where starting failed; must match the texts in host/nursery.cpp.
enum class Step : int { ready = 0, memory = 1, signals = 2, limits = 3, filter = 4 };

// The kernel's own layout; libc's struct sigaction is another.
struct KernelSignalAction {
    void (*handler)(int, void*, void*);
    unsigned long flags;
    void (*restorer)();
    unsigned long mask;
};
struct ResourceLimit {
    unsigned long soft, hard;
};

alignas(16) unsigned char alternate_stack[kAlternateStackSize];
ProbeJob current;
MemoryPattern filled_pattern;
unsigned short filled_selector;

JobArea& area() { return *reinterpret_cast<JobArea*>(kJobArea); }

[[noreturn]] void leave(int code) {
    for (;;) system_call(__NR_exit_group, static_cast<unsigned long>(code));
}

long map(unsigned long address, unsigned long size, int flags, int file) {
    const long got = system_call(__NR_mmap, address, size, PROT_READ | PROT_WRITE, static_cast<unsigned long>(flags | MAP_FIXED_NOREPLACE),
                                 static_cast<unsigned long>(file), 0);
    return got == static_cast<long>(address) ? 0 : got < 0 ? got : -17;
}

long map_memory() {
    long status = map(kJobArea, sizeof(JobArea), MAP_SHARED, kAreaFile);
    // Absent in every child, so that none can touch another's job or result.
    if (status == 0) status = system_call(__NR_madvise, kJobArea, sizeof(JobArea), MADV_DONTFORK);
    if (status == 0) status = map(kSlotPage, kPageSize, MAP_SHARED | MAP_ANONYMOUS, -1);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (status == 0) status = map(kCodePage, kPageSize, flags, -1);
    if (status == 0) status = map(kScratchBegin, kScratchEnd - kScratchBegin, flags, -1);
    if (status == 0) status = map(kStackBegin, kStackEnd - kStackBegin, flags, -1);
    if (status != 0) return status;
    for (unsigned long i = 0; i < kPageSize; ++i) reinterpret_cast<unsigned char*>(kCodePage)[i] = 0xCC;
    return 0;
}

long install_signals() {
    const stack_t stack = {.ss_sp = alternate_stack, .ss_flags = 0, .ss_size = kAlternateStackSize};
    long status = system_call(__NR_sigaltstack, word(&stack), 0);
    constexpr unsigned long kRestorer = 0x0400'0000;  // SA_RESTORER
    const KernelSignalAction action = {contained_signal, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | kRestorer, contained_restorer, 1ul << (SIGPROF - 1)};
    const int signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP, SIGSYS, SIGPROF};
    for (const int signal : signals)
        if (status == 0) status = system_call(__NR_rt_sigaction, static_cast<unsigned long>(signal), word(&action), 0, 8);
    return status;
}

long install_limits() {
    // READ_IMPLIES_EXEC, inherited, would make every page that a child is given executable.
    system_call(__NR_personality, 0);
    const ResourceLimit none = {0, 0}, space = {kAddressSpace, kAddressSpace};
    long status = system_call(__NR_prlimit64, 0, RLIMIT_CORE, word(&none), 0);
    if (status == 0) status = system_call(__NR_prlimit64, 0, RLIMIT_FSIZE, word(&none), 0);
    if (status == 0) status = system_call(__NR_prlimit64, 0, RLIMIT_AS, word(&space), 0);
    return status;
}

long install_filter() {
    const auto low = [](const void* address) { return static_cast<unsigned>(reinterpret_cast<unsigned long>(address)); };
    const auto high = static_cast<unsigned>(word(nursery_text_begin) >> 32);
    constexpr unsigned kNumber = offsetof(seccomp_data, nr), kArch = offsetof(seccomp_data, arch), kAddress = offsetof(seccomp_data, instruction_pointer);
    const auto argument = [](unsigned i) { return static_cast<unsigned>(offsetof(seccomp_data, args) + 8 * i); };
    constexpr unsigned kGiveFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    // Each line names its own place and where it goes on, by place.
    constexpr int kAllow = 26, kTrap = 27;
    const auto load = [](unsigned at) { return sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at); };
    const auto test = [](int place, unsigned kind, unsigned value, int yes, int no) {
        return sock_filter BPF_JUMP(BPF_JMP | kind | BPF_K, value, static_cast<unsigned char>(yes - place - 1), static_cast<unsigned char>(no - place - 1));
    };
    const auto answer = [](unsigned what) { return sock_filter BPF_STMT(BPF_RET | BPF_K, what); };
    // The address is that of the instruction behind SYSCALL: past the begin, at most the end.
    const sock_filter program[] = {
        /* 0*/ load(kArch),
        test(1, BPF_JEQ, AUDIT_ARCH_X86_64, 2, kTrap),
        /* 2*/ load(kAddress + 4),
        test(3, BPF_JEQ, high, 4, kTrap),
        /* 4*/ load(kAddress),
        test(5, BPF_JGT, low(nursery_text_begin), 6, kTrap),
        test(6, BPF_JGT, low(nursery_text_end), 7, kAllow),
        test(7, BPF_JGT, low(contained_text_end), kTrap, 8),
        /* 8*/ load(kNumber),
        test(9, BPF_JEQ, __NR_exit_group, kAllow, 10),
        test(10, BPF_JEQ, __NR_rt_sigreturn, kAllow, 11),
        test(11, BPF_JEQ, __NR_munmap, 12, 16),
        /*12*/ load(argument(0)),
        test(13, BPF_JEQ, low(nursery_text_begin), 14, kTrap),
        /*14*/ load(argument(1)),
        test(15, BPF_JEQ, low(nursery_text_end) - low(nursery_text_begin), kAllow, kTrap),
        test(16, BPF_JEQ, __NR_mmap, 17, kTrap),
        /*17*/ load(argument(1) + 4),
        test(18, BPF_JEQ, 0, 19, kTrap),
        /*19*/ load(argument(1)),
        test(20, BPF_JEQ, kPageSize, 21, kTrap),
        /*21*/ load(argument(2)),
        test(22, BPF_JEQ, PROT_READ | PROT_WRITE, 23, kTrap),
        /*23*/ load(argument(3)),
        test(24, BPF_JEQ, kGiveFlags, kAllow, kTrap),
        /*25*/ answer(SECCOMP_RET_TRAP),
        /*26*/ answer(SECCOMP_RET_ALLOW),
        /*27*/ answer(SECCOMP_RET_TRAP),
    };
    const sock_fprog filter = {sizeof program / sizeof *program, const_cast<sock_filter*>(program)};
    const long status = system_call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return status != 0 ? status : system_call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, word(&filter));
}

/// Makes a 16-bit code segment over the code page and a 16-bit data segment over the scratch memory.
bool install_ldt() {
    user_desc code{};
    code.base_addr = kCodePage;
    code.limit = 0xFFFF;
    code.contents = MODIFY_LDT_CONTENTS_CODE;
    user_desc data{};
    data.entry_number = 1;
    data.base_addr = kScratch;
    data.limit = 0xFFFF;
    return system_call(__NR_modify_ldt, 0x11, word(&code), sizeof code) == 0 && system_call(__NR_modify_ldt, 0x11, word(&data), sizeof data) == 0;
}

[[gnu::always_inline]] inline bool apply(std::uint8_t setting) {
    bool done = true;
    if (setting & kSettingTsd) done &= system_call(__NR_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0;
    if (setting & kSettingCpuidFault) done &= system_call(__NR_arch_prctl, kArchSetCpuid, 0) == 0;
    return done;
}

/// Says whether controls can be changed, in a child that changes them and ends.
bool can_set(std::uint8_t setting) {
    const long child = system_call(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) leave(apply(setting) ? 0 : 1);
    int status = -1;
    return child > 0 && system_call(__NR_wait4, static_cast<unsigned long>(child), word(&status), 0, 0) == child && status == 0;
}

[[noreturn]] void be_child() {
    system_call(__NR_close_range, 0, ~0u, 0);
    const ResourceLimit processor = {kProcessorSeconds, kProcessorSeconds};
    system_call(__NR_prlimit64, 0, RLIMIT_CPU, word(&processor), 0);
    const itimerval hang = {{0, 0}, {0, kHangMicroseconds}};
    system_call(__NR_setitimer, ITIMER_PROF, word(&hang), 0);
    if (!apply(current.setting)) leave(2);
    const unsigned long start = current.placement == Placement::padded ? kCodeStart : kCodePage + kPageSize - current.code_size;
    for (unsigned i = 0; i < current.code_size; ++i) reinterpret_cast<unsigned char*>(start)[i] = current.code[i];
    if (system_call(__NR_mprotect, kCodePage, kPageSize, PROT_READ | PROT_EXEC) != 0) leave(3);
    enter_experiment(current, start);
}

void prepare(const ProbeJob& job) {
    current = job;
    if (current.code_size > kMaxCode) current.code_size = kMaxCode;
    const unsigned short selector = job.width == 64 ? kCode64 : job.width == 32 ? kCode32 : kCode16;
    if (job.memory != filled_pattern || selector != filled_selector) {
        set_pattern(job.memory, selector);
        fill_with_pattern(kScratchBegin, kScratchEnd);
        fill_with_pattern(kStackBegin, kStackEnd);
        filled_pattern = job.memory;
        filled_selector = selector;
    }
    auto* words = reinterpret_cast<unsigned long*>(kSlotPage);
    for (unsigned i = 0; i < (sizeof(ProbeSlot) + 7) / 8; ++i) words[i] = 0;
}

void run(std::uint32_t index) {
    prepare(area().jobs[index]);
    ProbeResult& result = area().results[index];
    const long child = system_call(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) be_child();
    int status = -1;
    while (child > 0 && system_call(__NR_wait4, static_cast<unsigned long>(child), word(&status), 0, 0) == -4) {
    }
    result.wait_status = status;
    const auto* from = reinterpret_cast<const unsigned long*>(kSlotPage);
    auto* to = reinterpret_cast<unsigned long*>(&result.slot);
    for (unsigned i = 0; i < sizeof(ProbeSlot) / 8; ++i) to[i] = from[i];
}

}  // namespace

/// Entered by the kernel with an aligned stack: everything is set up here, and nothing returns.
extern "C" [[noreturn, gnu::force_align_arg_pointer]] void nursery_start() {
    NurseryGreeting greeting{};
    greeting.magic = kGreetingMagic;
    const auto attempt = [&](Step step, long status) {
        if (status == 0 || greeting.failed_step != 0) return;
        greeting.failed_step = static_cast<int>(step);
        greeting.error = static_cast<int>(-status);
    };
    attempt(Step::memory, map_memory());
    attempt(Step::signals, install_signals());
    attempt(Step::limits, install_limits());
    greeting.has_ldt = install_ldt();
    greeting.has_tsd = can_set(kSettingTsd);
    greeting.has_cpuid_fault = can_set(kSettingCpuidFault);
    attempt(Step::filter, install_filter());
    filled_selector = 0;  // none: the first job fills
    system_call(__NR_write, kChannel, word(&greeting), sizeof greeting);
    if (greeting.failed_step != 0) leave(1);
    for (;;) {
        std::uint32_t count = 0;
        if (system_call(__NR_read, kChannel, word(&count), sizeof count) != sizeof count) leave(0);
        if (count > kMaxBatch) leave(1);
        for (std::uint32_t i = 0; i < count; ++i) run(i);
        if (system_call(__NR_write, kChannel, word(&count), sizeof count) != sizeof count) leave(0);
    }
}

}  // namespace trapline::executor
