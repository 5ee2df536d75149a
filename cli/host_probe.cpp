// SPDX-License-Identifier: Apache-2.0
// Children for experiments, and what can be asked without machine code.
#include "cli/host_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "executor/host/sandbox.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

namespace trapline::cli {

namespace {

using State = HostAnswer::State;

std::string reason() { return std::string(std::strerror(errno)); }

/// Answers by an experiment that gives "" for success and otherwise the reason.
HostAnswer by_experiment(std::string name, const std::string& success, std::string meaning, const std::function<std::string()>& work) {
    const ChildReport report = run_in_child(work);
    HostAnswer answer{State::no, "executor", std::move(name), {}, std::move(meaning)};
    if (!report.started) {
        answer.state = State::note;
        answer.found = "could not be tried: no child process";
    } else if (report.signal != 0) {
        answer.found = fmt::format("ended by signal {} ({})", report.signal, ::strsignal(report.signal));
    } else if (report.text.empty()) {
        answer.state = State::yes;
        answer.found = success;
    } else {
        answer.found = report.text;
    }
    return answer;
}

std::string try_low_mapping() {
    void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return page == MAP_FAILED ? reason() : std::string();
}

/// The guest's addresses are this process's first 4 GiB, above what vm.mmap_min_addr keeps, and the page behind them.
std::string try_guest_addresses() {
    constexpr std::uintptr_t kFirst = 0x10000, kEnd = (std::uintptr_t{1} << 32) + 0x1000;
    void* const range = ::mmap(reinterpret_cast<void*>(kFirst), kEnd - kFirst, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    return range == MAP_FAILED ? reason() : std::string();
}

std::string try_user_namespace() { return ::unshare(CLONE_NEWUSER) != 0 ? reason() : std::string(); }

std::string try_seccomp() {
    const std::uint32_t action = SECCOMP_RET_TRAP;
    return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0 ? reason() : std::string();
}

std::string try_user_dispatch() { return ::prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0) != 0 ? reason() : std::string(); }

std::string try_shared_memory() {
    const int file = ::memfd_create("probe", MFD_CLOEXEC);
    if (file < 0 || ::ftruncate(file, 4096) != 0) return reason();
    void* const writable = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    void* const executable = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    return writable == MAP_FAILED || executable == MAP_FAILED ? reason() : std::string();
}

/// The device node is there on hosts without VMX or SVM, too: only making a machine tells.
std::string try_kvm() {
    const int device = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (device < 0) return reason();
    const int machine = ::ioctl(device, KVM_CREATE_VM, 0);
    const std::string trouble = machine < 0 ? reason() : std::string();
    if (machine >= 0) ::close(machine);
    ::close(device);
    return trouble;
}

HostAnswer read_setting(std::string name, const std::string& path, std::string meaning) {
    const auto line = first_line(path);
    return {line ? State::note : State::no, "executor", std::move(name), line ? *line : "cannot read " + path, std::move(meaning)};
}

std::string gibibytes(std::uint64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1ull << 30)); }

/// A child must end with _exit: the parent's buffers and handlers are not its to run.
[[noreturn]] void be_child(int output, const std::function<std::string()>& work) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    for (const int number : {SIGSEGV, SIGILL, SIGBUS, SIGTRAP, SIGSYS, SIGALRM}) ::signal(number, SIG_DFL);
    ::alarm(2);
    std::string text;
    try {
        text = work();
    } catch (const std::exception& error) {
        text = error.what();
    }
    std::size_t written = 0;
    while (written < text.size()) {
        const ssize_t count = ::write(output, text.data() + written, text.size() - written);
        if (count <= 0) break;
        written += static_cast<std::size_t>(count);
    }
    ::_exit(0);
}

}  // namespace

ChildReport run_in_child(const std::function<std::string()>& work) {
    ChildReport report;
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return report;
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) be_child(ends[1], work);
    ::close(ends[1]);
    if (child > 0) {
        report.started = true;
        std::array<char, 4096> buffer;
        for (ssize_t count; (count = ::read(ends[0], buffer.data(), buffer.size())) != 0;) {
            if (count < 0 && errno != EINTR) break;
            if (count > 0) report.text.append(buffer.data(), static_cast<std::size_t>(count));
        }
        int status = 0;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        if (WIFSIGNALED(status)) report.signal = WTERMSIG(status);
    }
    ::close(ends[0]);
    return report;
}

std::optional<std::string> first_line(const std::string& path) {
    std::ifstream stream(path);
    std::string line;
    if (!std::getline(stream, line)) return std::nullopt;
    return line;
}

std::vector<HostAnswer> probe_executor() {
    std::vector<HostAnswer> answers;
    answers.push_back(read_setting("mmap_min_addr", "/proc/sys/vm/mmap_min_addr", "lowest address that an unprivileged process may map; guests use page 0"));
    answers.push_back(by_experiment("map_page_zero", "mapped", "a guest's page 0 runs as it is; without it accesses there are emulated", try_low_mapping));
    answers.push_back(by_experiment("guest_addresses", "free", "a 32-bit guest's addresses are those of the process that holds it", try_guest_addresses));
    answers.push_back(by_experiment("seccomp_trap", "available", "system calls of guest code become signals", try_seccomp));
    answers.push_back(by_experiment("syscall_user_dispatch", "available", "the same, cheaper, for 64-bit SYSCALL and INT 80h", try_user_dispatch));
    answers.push_back(by_experiment("memfd_alias", "mapped writable and executable", "guest memory seen at two places", try_shared_memory));
    answers.push_back(by_experiment("user_namespace", "created", "confines the process that holds the guest; not needed", try_user_namespace));
    answers.push_back(by_experiment("landlock", "available", "the same; not needed", executor::missing_landlock));
    answers.push_back(read_setting("max_map_count", "/proc/sys/vm/max_map_count", "mappings of one process: bounds the shadow page tables"));
    return answers;
}

std::vector<HostAnswer> probe_resources() {
    std::vector<HostAnswer> answers;
    cpu_set_t usable;
    CPU_ZERO(&usable);
    const int processors = ::sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable) : 0;
    answers.push_back({processors > 0 ? State::note : State::no, "host", "processors", fmt::format("{} of {} online", processors, ::sysconf(_SC_NPROCESSORS_ONLN)), "sections are scanned in parallel"});
    const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)), page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const auto limit = first_line("/sys/fs/cgroup/memory.max");
    std::string memory = gibibytes(pages * page);
    if (limit && *limit != "max") memory += ", this control group " + gibibytes(std::strtoull(limit->c_str(), nullptr, 10));
    answers.push_back({State::note, "host", "memory", memory, "a stock kernel needs about 0.5 GiB to scan"});
    const std::string trouble = try_kvm();
    answers.push_back({trouble.empty() ? State::yes : State::note, "host", "kvm", trouble.empty() ? "a virtual machine can be made" : "/dev/kvm: " + trouble, "not needed; a peer to measure against"});
    return answers;
}

}  // namespace trapline::cli
