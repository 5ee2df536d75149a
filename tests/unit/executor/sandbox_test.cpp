// SPDX-License-Identifier: Apache-2.0
// Each way out is tried in a child that has been confined: SIGSYS is the kernel's own answer.
#include "executor/host/sandbox.h"

#if defined(__linux__) && defined(__x86_64__)

#include <asm/unistd_64.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>

#include "executor/host/seccomp_filter.h"
#include "executor/mmu/guest_memory.h"

using namespace trapline;
using namespace trapline::executor;

namespace {

constexpr unsigned long kLow = 0x2000'0000;  // an address of the guest's
constexpr int kNotConfined = 99;

struct Files {
    SharedPages ram, code;
    KeptDescriptors kept;
    Files() {
        ram = std::move(*SharedPages::create("ram", 1 << 20));
        code = std::move(*SharedPages::create("code", 1 << 20));
        kept.results = STDERR_FILENO;
        kept.ram = ram.descriptor();
        kept.code = code.descriptor();
    }
};

/// Runs `attempt` in a child behind the filter. Gives its wait status.
int behind_filter(const Files& files, const std::function<void()>& attempt) {
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGSYS, SIG_DFL);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!confine_calls(files.kept)) _exit(kNotConfined);
        attempt();
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

long map(unsigned long at, unsigned long size, int access, int flags, int file) { return syscall(SYS_mmap, at, size, access, flags, file, 0); }

struct Attempt {
    const char* what;
    std::function<void(const Files&)> call;
};

}  // namespace

TEST_CASE("Behind the filter nothing is answered that running a guest does not take", "[executor]") {
    const Files files;
    constexpr int kGuest = MAP_SHARED | MAP_FIXED, kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
    const Attempt refused[] = {
        {"open", [](const Files&) { syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY); }},
        {"socket", [](const Files&) { syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
        {"execve", [](const Files&) { syscall(SYS_execve, "/bin/true", nullptr, nullptr); }},
        {"fork", [](const Files&) { syscall(SYS_fork); }},
        {"clone", [](const Files&) { syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
        {"kill", [](const Files&) { syscall(SYS_kill, getppid(), 0); }},
        {"ptrace", [](const Files&) { syscall(SYS_ptrace, 0, 0, 0, 0); }},
        {"ioctl", [](const Files&) { syscall(SYS_ioctl, 0, 0x5412, "x"); }},
        {"process_vm_readv", [](const Files&) { syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); }},
        {"memfd_create", [](const Files&) { syscall(SYS_memfd_create, "x", 0); }},
        {"ftruncate of RAM", [](const Files& f) { syscall(SYS_ftruncate, f.kept.ram, 0); }},
        {"prctl", [](const Files&) { syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); }},
        {"io_uring_setup", [](const Files&) { syscall(425, 1, nullptr); }},
        {"sigaction", [](const Files&) { syscall(SYS_rt_sigaction, SIGSYS, nullptr, nullptr, 8); }},
        {"read of another descriptor", [](const Files& f) { char c; syscall(SYS_read, f.kept.ram, &c, 1); }},
        {"write to another descriptor", [](const Files& f) { syscall(SYS_write, f.kept.ram, "x", 1); }},
        {"write to input", [](const Files&) { syscall(SYS_write, 0, "x", 0); }},
        {"the LDT, old kind of entry", [](const Files&) { syscall(SYS_modify_ldt, 1, nullptr, 0); }},
        {"executable memory", [](const Files&) { map(0, 4096, PROT_READ | PROT_EXEC, kPrivate, -1); }},
        {"writable and executable memory", [](const Files&) { map(0, 4096, 7, kPrivate, -1); }},
        {"private memory at a fixed place", [](const Files&) { map(kLow, 4096, PROT_READ, kPrivate | MAP_FIXED, -1); }},
        {"RAM, executable", [&](const Files& f) { map(kLow, 4096, PROT_READ | PROT_EXEC, kGuest, f.kept.ram); }},
        {"RAM, two pages, writable and executable", [&](const Files& f) { map(kLow, 8192, 7, kGuest, f.kept.ram); }},
        {"RAM, writable and executable, above 4 GiB", [&](const Files& f) { map(0x1'0000'0000, 4096, 7, kGuest, f.kept.ram); }},
        {"code, writable", [&](const Files& f) { map(kLow, 4096, PROT_READ | PROT_WRITE, kGuest, f.kept.code); }},
        {"code, writable and executable", [&](const Files& f) { map(kLow, 4096, 7, kGuest, f.kept.code); }},
        {"RAM above 4 GiB", [&](const Files& f) { map(0x1'0000'0000, 4096, PROT_READ, kGuest, f.kept.ram); }},
        {"4 GiB of RAM and more", [&](const Files& f) { map(kLow, 0x1'0000'0000, PROT_READ, kGuest, f.kept.ram); }},
        {"another file", [&](const Files&) { map(kLow, 4096, PROT_READ, kGuest, 0); }},
        {"madvise: poison", [](const Files& f) { syscall(SYS_madvise, f.ram.data(), 4096, 100); }},
        {"madvise: punch a hole", [](const Files& f) { syscall(SYS_madvise, f.ram.data(), 4096, MADV_REMOVE); }},
        {"futex", [](const Files& f) { syscall(SYS_futex, f.ram.data(), 1, 1, nullptr, nullptr, 0); }},
        {"mprotect, executable", [](const Files& f) { syscall(SYS_mprotect, f.ram.data(), 4096, PROT_READ | PROT_EXEC); }},
        {"x32", [](const Files&) { syscall(0x4000'0000 + SYS_read, 0, nullptr, 0); }},
        {"INT 80h: getpid of i386", [](const Files&) { asm volatile("int $0x80" : : "a"(20) : "memory"); }},
    };
    for (const Attempt& attempt : refused) {
        INFO(attempt.what);
        const int status = behind_filter(files, [&] { attempt.call(files); });
        CHECK(WIFSIGNALED(status));
        CHECK(WTERMSIG(status) == SIGSYS);
    }
}

TEST_CASE("A filter without rules answers nothing", "[executor]") {
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGSYS, SIG_DFL);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!install_filter({})) _exit(kNotConfined);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGSYS);
}

// Sanitizers need calls, files and more memory than a monitor may have.
#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("Behind the filter what running a guest takes is answered", "[executor]") {
    const Files files;
    constexpr int kGuest = MAP_SHARED | MAP_FIXED;
    const auto must = [](bool good) {
        if (!good) _exit(1);
    };
    const Attempt allowed[] = {
        {"RAM for reading and writing", [&](const Files& f) {
             must(map(kLow, 4096, PROT_READ | PROT_WRITE, kGuest, f.kept.ram) == static_cast<long>(kLow));
             *reinterpret_cast<volatile int*>(kLow) = 1;
             must(syscall(SYS_mprotect, kLow, 4096, PROT_READ) == 0 && syscall(SYS_munmap, kLow, 4096) == 0);
         }},
        {"code for executing", [&](const Files& f) { must(map(kLow, 4096, PROT_READ | PROT_EXEC, kGuest, f.kept.code) == static_cast<long>(kLow)); }},
        {"code for executing and not for reading", [&](const Files& f) { must(map(kLow, 4096, PROT_EXEC, kGuest, f.kept.code) == static_cast<long>(kLow)); }},
        {"one page of RAM for everything", [&](const Files& f) { must(map(kLow, 4096, 7, kGuest, f.kept.ram) == static_cast<long>(kLow)); }},
        {"allocations", [&](const Files&) {
             for (std::size_t size = 16; size <= 64 << 20; size *= 2) {
                 void* const memory = std::malloc(size);
                 must(memory != nullptr);
                 void* const larger = std::realloc(memory, size * 3);
                 must(larger != nullptr);
                 std::free(larger);
             }
         }},
        {"the clock", [&](const Files&) {
             timespec now{};
             must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) == 0);
         }},
        {"output", [&](const Files&) { must(syscall(SYS_write, 2, "", 0) == 0); }},
    };
    for (const Attempt& attempt : allowed) {
        INFO(attempt.what);
        CHECK(behind_filter(files, [&] { attempt.call(files); }) == 0);
    }
}

TEST_CASE("A confined process has its descriptors and no others, no environment, and opens nothing", "[executor]") {
    const Files files;
    const int other = open("/dev/null", O_RDONLY);
    setenv("TRAPLINE_TEST_SECRET", "secret", 1);
    const pid_t child = fork();
    if (child == 0) {
        const char* const secret = getenv("TRAPLINE_TEST_SECRET");
        const auto layers = confine_process(files.kept);
        if (!layers) _exit(2);
        constexpr unsigned kNeeded = 1u << static_cast<unsigned>(Layer::no_new_privileges) | 1u << static_cast<unsigned>(Layer::no_tracing) | 1u << static_cast<unsigned>(Layer::limits);
        if ((*layers & kNeeded) != kNeeded) _exit(3);
        if (fcntl(other, F_GETFD) != -1 || fcntl(files.kept.ram, F_GETFD) == -1 || fcntl(files.kept.code, F_GETFD) == -1 || fcntl(2, F_GETFD) == -1) _exit(4);
        if (getenv("TRAPLINE_TEST_SECRET") != nullptr || secret[0] != 0) _exit(5);
        if (open("/dev/null", O_RDONLY) != -1 || dup(0) != -1) _exit(6);
        const bool landlocked = (*layers >> static_cast<unsigned>(Layer::landlock) & 1) != 0;
        if (landlocked && access("/", R_OK) == 0 && open("/", O_RDONLY | O_DIRECTORY) != -1) _exit(7);
        if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) _exit(8);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    close(other);
    CHECK(status == 0);
}

TEST_CASE("A confined process has the memory that it may have, and no more", "[executor]") {
    Files files;
    files.kept.heap_bytes = 64 << 20;
    const pid_t child = fork();
    if (child == 0) {
        constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        constexpr std::size_t kMebi = 1 << 20, kGibi = 1 << 30;
        const auto get = [](std::size_t size, int access) { return mmap(nullptr, size, access, kPrivate, -1, 0); };
        if (!confine_process(files.kept)) _exit(2);
        void* const some = get(16 * kMebi, PROT_READ | PROT_WRITE);
        if (some == MAP_FAILED) _exit(3);
        if (get(64 * kMebi, PROT_READ | PROT_WRITE) != MAP_FAILED) _exit(4);
        if (sbrk(64 * kMebi) != reinterpret_cast<void*>(-1)) _exit(5);
        // What can be read only costs page tables, which count for no limit of memory: 2 MiB of them for each GiB.
        void* const readable = get(256 * kMebi, PROT_READ);
        if (readable == MAP_FAILED) _exit(6);
        if (mprotect(readable, 256 * kMebi, PROT_READ | PROT_WRITE) == 0) _exit(7);
        munmap(readable, 256 * kMebi);
        if (get(64 * kGibi, PROT_READ) != MAP_FAILED) _exit(8);
        if (mremap(files.ram.data(), 0, 64 * kGibi, MREMAP_MAYMOVE) != MAP_FAILED) _exit(9);
        // The guest's own addresses are still to be had, all of them.
        for (std::uint64_t at = kMebi; at < 4 * kGibi; at += kMebi)
            if (mmap(reinterpret_cast<void*>(at), kMebi, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, files.kept.ram, 0) == MAP_FAILED) _exit(10);
        if (get(16 * kMebi, PROT_READ | PROT_WRITE) == MAP_FAILED) _exit(11);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}
#endif

#endif
