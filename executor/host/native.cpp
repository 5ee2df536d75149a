// SPDX-License-Identifier: Apache-2.0
// Signals of guest code become returns from enter_guest: the handler copies what the host saved and goes back to the
// monitor's stack itself, without sigreturn. Nothing is masked meanwhile (SA_NODEFER), so nothing has to be restored.
#include "executor/host/native.h"

#if defined(__linux__) && defined(__x86_64__)

#include <fmt/format.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

extern "C" {
__attribute__((visibility("hidden"))) trapline::executor::NativeFrame trapline_native_frame;
int trapline_enter_guest();
[[noreturn]] void trapline_leave_guest();
void trapline_signal_entry(int, siginfo_t*, void*);
void trapline_gate_entry();
extern const char trapline_enter_begin[], trapline_enter_end[], trapline_enter_kicked[];
void trapline_signal_arrived(int number, siginfo_t* info, void* context);
}

namespace trapline::executor {
namespace {

constexpr std::size_t kSignalStack = 256 * 1024;
constexpr std::uint64_t kGuestEnd = std::uint64_t{1} << 32;
constexpr unsigned kHwcapFsgsbase = 2;  // AT_HWCAP2 bit 1: RDFSBASE and WRFSBASE are enabled for programs
constexpr std::uint16_t kWideCode = 0x33;
constexpr unsigned kGeneralProtection = 13, kPageFault = 14;  // vectors

NativeSignal last_signal;
timer_t kick_timer;

std::uint64_t address_of(const char* label) { return reinterpret_cast<std::uint64_t>(label); }

/// A fault of the monitor itself: a bug of ours, or a guest that has broken in. Says where, and ends.
[[noreturn]] void monitor_fault(int number, std::uint64_t rip, std::uint64_t address, int system_call) {
    std::array<char, 160> text{};
    const auto end = number == SIGSYS ? fmt::format_to_n(text.data(), text.size(), "system call {} refused in the monitor's own code at {:#x}\n", system_call, rip)
                                      : fmt::format_to_n(text.data(), text.size(), "signal {} in the monitor's own code at {:#x}, address {:#x}\n", number, rip, address);
    [[maybe_unused]] const ssize_t written = write(2, text.data(), static_cast<std::size_t>(end.out - text.data()));
    _exit(4);
}

}  // namespace

NativeFrame& native_frame() { return trapline_native_frame; }
NativeExit enter_guest() { return static_cast<NativeExit>(trapline_enter_guest()); }
const NativeSignal& native_signal() { return last_signal; }
std::uint64_t gate_entry_address() { return reinterpret_cast<std::uint64_t>(&trapline_gate_entry); }
int kick_signal() { return SIGRTMIN; }

void kick_at(std::uint64_t nanoseconds) {
    itimerspec when{};
    when.it_value = {static_cast<time_t>(nanoseconds / 1'000'000'000), static_cast<long>(nanoseconds % 1'000'000'000)};
    timer_settime(kick_timer, TIMER_ABSTIME, &when, nullptr);
}

Status start_native() {
    if ((getauxval(AT_HWCAP2) & kHwcapFsgsbase) == 0)
        return fail(ErrorCode::host_limit, "found no WRFSBASE for programs, expected a processor and a kernel (5.9 or newer) that have FSGSBASE");
    asm volatile("rdfsbase %0" : "=r"(trapline_native_frame.monitor_fs));
    stack_t stack{};
    stack.ss_size = kSignalStack;
    stack.ss_sp = mmap(nullptr, kSignalStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, nullptr) != 0)
        return fail(ErrorCode::host_limit, fmt::format("no stack for signals: {}", std::strerror(errno)));
    struct sigaction action {};
    action.sa_sigaction = trapline_signal_entry;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (const int number : {SIGSEGV, SIGTRAP, SIGILL, SIGBUS, SIGFPE, SIGSYS, kick_signal()})
        if (sigaction(number, &action, nullptr) != 0) return fail(ErrorCode::host_limit, fmt::format("no handler for signal {}: {}", number, std::strerror(errno)));
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = kick_signal();
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
    if (timer_create(CLOCK_MONOTONIC, &event, &kick_timer) != 0) return fail(ErrorCode::host_limit, fmt::format("no timer: {}", std::strerror(errno)));
    return {};
}

}  // namespace trapline::executor

void trapline_signal_arrived(int number, siginfo_t* info, void* context) {
    using namespace trapline::executor;
    auto* const user = static_cast<ucontext_t*>(context);
    auto& registers = user->uc_mcontext.gregs;
    const auto rip = static_cast<std::uint64_t>(registers[REG_RIP]);
    const auto code = static_cast<std::uint16_t>(registers[REG_CSGSFS]);
    const bool kick = number == kick_signal();
    const int system_call = number == SIGSYS ? info->si_syscall : 0;
    NativeFrame& frame = trapline_native_frame;
    if (code == kWideCode && (rip >= kGuestEnd || kick)) {
        // The monitor's own code, or that of a stub on its way to the gate: both look at `kick` before they go on.
        if (!kick) monitor_fault(number, rip, static_cast<std::uint64_t>(registers[REG_CR2]), system_call);
        frame.kick = 1;
        if (rip >= address_of(trapline_enter_begin) && rip < address_of(trapline_enter_end)) registers[REG_RIP] = static_cast<greg_t>(address_of(trapline_enter_kicked));
        return;
    }
    static constexpr int kOrder[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
    for (int i = 0; i < 8; ++i) frame.gpr[i] = static_cast<std::uint32_t>(registers[kOrder[i]]);
    frame.rip = static_cast<std::uint32_t>(rip);
    frame.rflags = static_cast<std::uint64_t>(registers[REG_EFL]);
    std::memcpy(frame.fpu, user->uc_mcontext.fpregs, sizeof frame.fpu);
    // SYSCALL and SYSENTER of 32-bit code come back by the host's own way, and nothing tells any more where they stood.
    const bool wide = code == kWideCode || rip >= kGuestEnd;
    last_signal = {number, static_cast<unsigned>(registers[REG_TRAPNO]), static_cast<std::uint32_t>(registers[REG_ERR]),
                   static_cast<std::uint64_t>(registers[REG_CR2]), wide, system_call};
    // An access over the end of 4 GiB goes on behind it here, at 0 on a real processor: the interpreter's. Where it does not know the
    // instruction the guest gets #GP, which the manual allows (SDM vol. 3, "Limit Checking").
    if (last_signal.trap == kPageFault && last_signal.address >= kGuestEnd) {
        last_signal.trap = kGeneralProtection;
        last_signal.error_code = 0;
    }
    trapline_leave_guest();
}

#endif
