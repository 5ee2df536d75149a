// SPDX-License-Identifier: Apache-2.0
// A child process times rows of each event. The handlers only step over the instruction, so what is left is what the
// processor and the kernel take.
#include "executor/host/calibration.h"

#include <fmt/format.h>

#include <array>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>
#endif

namespace trapline::executor {

#if defined(__linux__) && defined(__x86_64__)

namespace {

constexpr int kRounds = 21;       ///< the median of these is taken
constexpr unsigned kTimeout = 10; ///< seconds a child may take

/// Steps over CLI and INT3. INT3 is reported behind itself, CLI at itself.
void step_over(int signal, siginfo_t*, void* context) {
    auto& ip = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
    if (signal == SIGSEGV) ip += 1;
}

/// The median over the rounds of the cycles that one event of `row` takes; `row` runs `count` of them.
template <class Row>
double median_cycles(int count, Row row) {
    std::array<double, kRounds> samples{};
    row();  // once to have all in the caches
    for (double& sample : samples) {
        _mm_lfence();
        const std::uint64_t begin = __rdtsc();
        row();
        _mm_lfence();
        sample = static_cast<double>(__rdtsc() - begin) / count;
    }
    std::nth_element(samples.begin(), samples.begin() + kRounds / 2, samples.end());
    return samples[kRounds / 2];
}

/// Code at an address that far pointers of 32 bits can name: enters 32-bit code by a far return and comes back by a far
/// jump, ECX times. RSP's upper half is not promised to survive 32-bit code, so it is kept in memory.
class FarCallCode {
public:
    static FarCallCode* make() {
        void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        if (page == MAP_FAILED) return nullptr;
        auto* code = static_cast<FarCallCode*>(page);
        code->write();
        return code;
    }
    void run(int count) { reinterpret_cast<void (*)(int)>(reinterpret_cast<std::uintptr_t>(bytes_))(count); }

private:
    void write() {
        const auto base = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(bytes_));
        at_ = 0;
        put({0x48, 0x89, 0x24, 0x25});  // mov [saved_sp], rsp
        put32(base + kSaved);
        const std::size_t loop = at_;
        put({0x6A, 0x23, 0x68});        // push 0x23; push narrow
        const std::size_t narrow_field = at_;
        put32(0);
        put({0x48, 0xCB});              // retfq, to 32-bit code
        const std::uint32_t narrow = base + static_cast<std::uint32_t>(at_);
        put({0xEA});                    // ljmp 0x33:wide
        put32(base + static_cast<std::uint32_t>(at_) + 6);
        put({0x33, 0x00});
        put({0x48, 0x8B, 0x24, 0x25});  // mov rsp, [saved_sp]
        put32(base + kSaved);
        put({0xFF, 0xCF});              // dec edi
        put({0x75, static_cast<std::uint8_t>(loop - (at_ + 2))});
        put({0xC3});
        at_ = narrow_field;
        put32(narrow);
    }
    void put(std::initializer_list<std::uint8_t> bytes) {
        for (const std::uint8_t byte : bytes) bytes_[at_++] = byte;
    }
    void put32(std::uint32_t value) {
        for (int i = 0; i < 4; ++i) bytes_[at_++] = static_cast<std::uint8_t>(value >> (8 * i));
    }

    static constexpr std::uint32_t kSaved = 1024;
    std::uint8_t bytes_[2048];
    std::size_t at_;
};

/// Stores to one word, as templates do; `Jumps` adds a jump away and back to each.
template <bool Jumps>
void store_row(int count) {
    volatile std::uint32_t word = 0;
    for (int i = 0; i < count; i += 8) {
        if constexpr (Jumps)
            asm volatile(".rept 8\n jmp 1f\n .skip 64\n 2: jmp 3f\n .skip 64\n 1: movl $0, %0\n jmp 2b\n 3:\n .endr" : "=m"(word));
        else
            asm volatile(".rept 8\n movl $0, %0\n .endr" : "=m"(word));
    }
}

void near_call_row(int count) {
    volatile std::uint64_t words[2] = {};
    for (int i = 0; i < count; ++i) {
        void* back = nullptr;
        asm volatile("movl $1, %0\n movl $2, %1\n leaq 1f(%%rip), %2\n jmp *%2\n .skip 64\n 1:" : "=m"(words[0]), "=m"(words[1]), "=&r"(back));
    }
}

EventCosts measure_here(FarCallCode& far_call) {
    EventCosts costs;
    costs.trap = median_cycles(200, [] {
        for (int i = 0; i < 200; ++i) asm volatile("cli" ::: "memory");
    });
    costs.breakpoint = median_cycles(200, [] {
        for (int i = 0; i < 200; ++i) asm volatile("int3" ::: "memory");
    });
    costs.instruction = median_cycles(8000, [] { store_row<false>(8000); });
    costs.jump_pair = std::max(0.0, median_cycles(8000, [] { store_row<true>(8000); }) - costs.instruction);
    costs.near_call = median_cycles(8000, [] { near_call_row(8000); });
    costs.far_call = median_cycles(1000, [&] { far_call.run(1000); });
    return costs;
}

[[noreturn]] void child(int out) {
    alarm(kTimeout);
    struct sigaction action {};
    action.sa_sigaction = step_over;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGTRAP, &action, nullptr);
    FarCallCode* far_call = FarCallCode::make();
    if (far_call == nullptr) _exit(2);
    const EventCosts costs = measure_here(*far_call);
    _exit(write(out, &costs, sizeof costs) == static_cast<ssize_t>(sizeof costs) ? 0 : 1);
}

}  // namespace

Result<EventCosts> measure_event_costs() {
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0) return fail(ErrorCode::host_limit, fmt::format("no pipe for the measuring process: {}", std::strerror(errno)));
    const pid_t pid = fork();
    if (pid == 0) {
        close(pipe_ends[0]);
        child(pipe_ends[1]);
    }
    close(pipe_ends[1]);
    EventCosts costs;
    ssize_t got = 0;
    if (pid > 0)
        do got = read(pipe_ends[0], &costs, sizeof costs);
        while (got < 0 && errno == EINTR);
    close(pipe_ends[0]);
    if (pid < 0) return fail(ErrorCode::host_limit, fmt::format("no process to measure in: {}", std::strerror(errno)));
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (got == static_cast<ssize_t>(sizeof costs)) return costs;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) return fail(ErrorCode::host_limit, "no page below 4 GiB for 32-bit code");
    return fail(ErrorCode::host_limit, WIFSIGNALED(status) ? fmt::format("the measuring process was ended by signal {}", WTERMSIG(status)) : "the measuring process gave no answer");
}

#else

Result<EventCosts> measure_event_costs() { return fail(ErrorCode::host_limit, "found another system, expected 64-bit x86 Linux"); }

#endif

}  // namespace trapline::executor
