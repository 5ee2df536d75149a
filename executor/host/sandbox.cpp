// SPDX-License-Identifier: Apache-2.0
// The order matters: a user namespace resets the parent-death signal, and Landlock and seccomp want PR_SET_NO_NEW_PRIVS.
#include "executor/host/sandbox.h"

#if defined(__linux__) && defined(__x86_64__)

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "executor/host/seccomp_filter.h"

namespace trapline::executor {
namespace {

// linux/landlock.h is newer than some systems' headers.
constexpr long kLandlockCreateRuleset = 444, kLandlockRestrictSelf = 446;
constexpr unsigned kLandlockVersion = 1;
/// Rights on files by version of the interface: all that it knows are handled, and none is granted.
constexpr std::array<std::uint64_t, 5> kLandlockRights = {(1u << 13) - 1, (1u << 14) - 1, (1u << 15) - 1, (1u << 15) - 1, (1u << 16) - 1};

struct LandlockRuleset {
    std::uint64_t handled_access_fs = 0;
};

tl::unexpected<Error> refused(std::string_view what) {
    return fail(ErrorCode::host_limit, fmt::format("the monitor cannot be confined: {}: {}", what, std::strerror(errno)));
}

int landlock_version() { return static_cast<int>(syscall(kLandlockCreateRuleset, nullptr, 0, kLandlockVersion)); }

bool restrict_files() {
    const int version = landlock_version();
    if (version < 1) return false;
    const LandlockRuleset ruleset{kLandlockRights[std::min<std::size_t>(static_cast<std::size_t>(version), kLandlockRights.size()) - 1]};
    const int descriptor = static_cast<int>(syscall(kLandlockCreateRuleset, &ruleset, sizeof ruleset, 0));
    if (descriptor < 0) return false;
    const bool done = syscall(kLandlockRestrictSelf, descriptor, 0) == 0;
    close(descriptor);
    return done;
}

/// Closes every descriptor above the standard three but those that are kept.
void close_others(const KeptDescriptors& kept) {
    std::array<int, 4> wanted = {kept.results, kept.trace, kept.ram, kept.code};
    std::sort(wanted.begin(), wanted.end());
    unsigned first = 3;
    for (const int one : wanted) {
        if (one < static_cast<int>(first)) continue;
        if (one > static_cast<int>(first)) syscall(SYS_close_range, first, static_cast<unsigned>(one) - 1, 0u);
        first = static_cast<unsigned>(one) + 1;
    }
    syscall(SYS_close_range, first, ~0u, 0u);
}

bool is_regular(int descriptor) {
    struct stat status {};
    return descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

bool limit(int resource, rlim_t value) {
    rlimit old{};
    if (getrlimit(static_cast<__rlimit_resource>(resource), &old) != 0) return false;
    value = std::min(value, old.rlim_max);
    const rlimit wanted{value, value};
    return setrlimit(static_cast<__rlimit_resource>(resource), &wanted) == 0;
}

/// Bytes of address space that the process has, 0 where /proc does not tell.
std::uint64_t address_space() {
    const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    std::array<char, 64> text{};
    const ssize_t got = read(file, text.data(), text.size() - 1);
    close(file);
    return got <= 0 ? 0 : std::strtoull(text.data(), nullptr, 10) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

bool set_limits(const KeptDescriptors& kept, std::uint64_t has) {
    // A new descriptor would be 3 or more: 0 to 2 are taken.
    bool done = limit(RLIMIT_CORE, 0) && limit(RLIMIT_NPROC, 0) && limit(RLIMIT_NOFILE, 3) && limit(RLIMIT_DATA, kept.heap_bytes);
    // Without it a guest that has broken in could make the host hold page tables for 128 TiB. What comes: the guest's addresses, the heap.
    constexpr std::uint64_t kGuest = std::uint64_t{4} << 30;
    if (has != 0) done = limit(RLIMIT_AS, has + kGuest + kept.heap_bytes) && done;
    if (!is_regular(STDOUT_FILENO) && !is_regular(kept.trace)) done = limit(RLIMIT_FSIZE, 0) && done;
    return done;
}

}  // namespace

std::string_view to_string(Layer layer) {
    switch (layer) {
        case Layer::no_new_privileges: return "no-new-privileges";
        case Layer::no_tracing: return "no-tracing";
        case Layer::limits: return "limits";
        case Layer::namespaces: return "namespaces";
        case Layer::landlock: return "landlock";
        case Layer::seccomp: return "seccomp";
    }
    return "";
}

std::string missing_landlock() {
    return landlock_version() >= 1 ? std::string() : std::string(std::strerror(errno));
}

Result<std::uint32_t> confine_process(const KeptDescriptors& kept) {
    std::uint32_t layers = 0;
    const std::uint64_t space = address_space();
    const auto has = [&](Layer layer) { layers |= 1u << static_cast<unsigned>(layer); };
    close_others(kept);
    // What the environment holds (tokens, agents' sockets) is none of the guest's business.
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) explicit_bzero(*variable, std::strlen(*variable));
    environ = nullptr;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("PR_SET_NO_NEW_PRIVS");
    has(Layer::no_new_privileges);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) == 0) has(Layer::namespaces);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return refused("PR_SET_DUMPABLE");
    has(Layer::no_tracing);
    if (restrict_files()) has(Layer::landlock);
    if (!set_limits(kept, space)) return refused("resource limits");
    has(Layer::limits);
    return layers;
}

Status confine_calls(const KeptDescriptors& kept) {
    constexpr std::uint64_t kHigh = ~std::uint64_t{0xFFFFFFFF};
    const auto descriptor = [](unsigned argument, int number) { return ArgumentCondition{argument, static_cast<std::uint32_t>(number), 0xFFFFFFFF}; };
    // The guest's own addresses, the memory file, shared: a mapping of one of the two files below 4 GiB.
    const auto guest_mapping = [&](int file, std::uint64_t access, std::uint64_t access_mask) {
        return CallRule{SYS_mmap, {{0, 0, kHigh}, {1, 0, kHigh}, {2, access, access_mask}, {3, MAP_SHARED | MAP_FIXED}, descriptor(4, file)}};
    };
    constexpr std::uint64_t kNotWrite = ~std::uint64_t{PROT_WRITE};
    std::vector<CallRule> rules = {
        guest_mapping(kept.ram, PROT_READ, kNotWrite),
        {SYS_munmap, {}},
        guest_mapping(kept.code, PROT_EXEC, ~std::uint64_t{PROT_READ}),
        {SYS_timer_settime, {}},
        {SYS_rt_sigreturn, {}},
        {SYS_modify_ldt, {{0, 0x11}}},
        {SYS_mprotect, {{2, 0, PROT_EXEC}}},
        {SYS_poll, {}},
        {SYS_ppoll, {}},
        {SYS_read, {descriptor(0, STDIN_FILENO)}},
        {SYS_write, {descriptor(0, STDOUT_FILENO)}},
        {SYS_write, {descriptor(0, STDERR_FILENO)}},
        {SYS_writev, {descriptor(0, STDERR_FILENO)}},  // the C library's own last words
        {SYS_write, {descriptor(0, kept.results)}},
        {SYS_clock_gettime, {}},
        {SYS_exit_group, {}},
        {SYS_close, {}},
        // Poll, when it goes on after the process was stopped.
        {SYS_restart_syscall, {}},
        // The allocator's.
        {SYS_brk, {}},
        {SYS_madvise, {{2, MADV_DONTNEED}}},
        {SYS_mremap, {{3, MREMAP_MAYMOVE}}},
        {SYS_mmap, {{2, 0, PROT_EXEC}, {3, MAP_PRIVATE | MAP_ANONYMOUS, ~std::uint64_t{MAP_NORESERVE}}}},
        // One page of RAM that is run and written at once: for an instruction that only the processor knows and that stores to its own page.
        // Nothing is lost by it: who is in here can write code through the monitor's own view of that file.
        {SYS_mmap, {{0, 0, kHigh}, {1, 4096}, {2, PROT_READ | PROT_WRITE | PROT_EXEC}, {3, MAP_SHARED | MAP_FIXED}, descriptor(4, kept.ram)}},
    };
    if (kept.trace >= 0) rules.push_back({SYS_write, {descriptor(0, kept.trace)}});
    return install_filter(rules);
}

}  // namespace trapline::executor

#endif
