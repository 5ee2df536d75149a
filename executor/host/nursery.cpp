// SPDX-License-Identifier: Apache-2.0
// Starts the nurseries and feeds them. The freestanding program comes out of trapline's own image through a memory
// file, so that its processes hold nothing of this one: no heap, no library, no descriptors.
#include "executor/host/nursery.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "executor/host/descriptor.h"

namespace trapline::executor {

namespace {

bool receive(int channel, void* into, std::size_t size) {
    for (;;) {
        const ssize_t got = ::recv(channel, into, size, MSG_WAITALL);
        if (got < 0 && errno == EINTR) continue;
        return got == static_cast<ssize_t>(size);
    }
}

}  // namespace

struct Nurseries::Nursery {
    Descriptor channel;
    JobArea* area = nullptr;
    pid_t process = -1;
    NurseryGreeting greeting{};
    std::size_t begin = 0, count = 0;  ///< the batch it is working on

    Nursery() = default;
    Nursery(const Nursery&) = delete;
    Nursery& operator=(const Nursery&) = delete;
    ~Nursery() {
        if (process > 0) {
            ::kill(process, SIGKILL);
            while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
            }
        }
        if (area != nullptr) ::munmap(area, sizeof(JobArea));
    }
    bool send(std::span<const ProbeJob> jobs, std::size_t at) {
        begin = at;
        count = jobs.size();
        std::copy(jobs.begin(), jobs.end(), area->jobs);
        const auto number = static_cast<std::uint32_t>(count);
        // MSG_NOSIGNAL: a nursery that died must not take the program with it.
        return ::send(channel.get(), &number, sizeof number, MSG_NOSIGNAL) == sizeof number;
    }
};

Nurseries::Nurseries() = default;
Nurseries::Nurseries(Nurseries&&) noexcept = default;
Nurseries& Nurseries::operator=(Nurseries&&) noexcept = default;
Nurseries::~Nurseries() = default;

#if !defined(TRAPLINE_CONTAINED_CHILDREN)

Result<Nurseries> Nurseries::start(int) {
    return fail(ErrorCode::host_limit, "instructions can be executed on x86-64 Linux only; this is another host");
}

#else

extern "C" const char trapline_contained_program[], trapline_contained_program_end[];

namespace {

constexpr unsigned kMemoryFileExec = 0x10;  // MFD_EXEC; older headers lack it

tl::unexpected<Error> host_limit(std::string_view what, int error) {
    return fail(ErrorCode::host_limit, fmt::format("contained children cannot be made here: {}: {}", what, std::strerror(error)));
}

// Must match contained/nursery.cpp.
std::string_view step_text(int step) {
    static constexpr std::array<std::string_view, 5> kSteps = {"", "the experiment's fixed addresses", "signal handlers", "resource limits", "the seccomp filter"};
    return step > 0 && step < static_cast<int>(kSteps.size()) ? kSteps[static_cast<std::size_t>(step)] : "an unknown step";
}

/// Runs between fork and exec: nothing but system calls.
[[noreturn]] void become_nursery(int channel, int area, int program, pid_t parent) {
    constexpr int kFirstSpare = 10;  // above the descriptors that are given away
    const int spare_channel = ::fcntl(channel, F_DUPFD, kFirstSpare), spare_area = ::fcntl(area, F_DUPFD, kFirstSpare);
    const int spare_program = ::fcntl(program, F_DUPFD_CLOEXEC, kFirstSpare);
    // Standard input is the channel, 3 the job area (contained/nursery.cpp); 1 and 2 stay closed.
    if (spare_channel < 0 || spare_area < 0 || spare_program < 0 || ::dup2(spare_channel, 0) != 0 || ::dup2(spare_area, 3) != 3) ::_exit(126);
    for (int number = 1; number < 3; ++number) ::close(number);
    ::syscall(SYS_close_range, 4u, static_cast<unsigned>(spare_program) - 1, 0u);
    ::syscall(SYS_close_range, static_cast<unsigned>(spare_program) + 1, ~0u, 0u);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(126);
    for (const int signal : {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP, SIGSYS, SIGPROF, SIGCHLD}) ::signal(signal, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    char* const nothing[] = {nullptr};
    char name[] = "trapline-nursery";
    char* const arguments[] = {name, nullptr};
    ::syscall(SYS_execveat, spare_program, "", arguments, nothing, AT_EMPTY_PATH);
    ::_exit(127);
}

}  // namespace

Result<Nurseries> Nurseries::start(int count) {
    // Kernels with vm.memfd_noexec want to be told; those before 6.3 do not know the flag.
    int file = ::memfd_create("trapline-nursery", MFD_CLOEXEC | kMemoryFileExec);
    if (file < 0 && errno == EINVAL) file = ::memfd_create("trapline-nursery", MFD_CLOEXEC);
    const Descriptor program(file);
    if (program.get() < 0) return host_limit("memfd_create", errno);
    const auto size = static_cast<std::size_t>(trapline_contained_program_end - trapline_contained_program);
    if (::write(program.get(), trapline_contained_program, size) != static_cast<ssize_t>(size)) return host_limit("a file in memory", errno);

    Nurseries out;
    for (int i = 0; i < count; ++i) {
        auto nursery = std::make_unique<Nursery>();
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return host_limit("socketpair", errno);
        nursery->channel = Descriptor(ends[0]);
        Descriptor theirs(ends[1]);
        const Descriptor area(::memfd_create("trapline-jobs", MFD_CLOEXEC));
        if (area.get() < 0 || ::ftruncate(area.get(), sizeof(JobArea)) != 0) return host_limit("shared memory", errno);
        void* const mapped = ::mmap(nullptr, sizeof(JobArea), PROT_READ | PROT_WRITE, MAP_SHARED, area.get(), 0);
        if (mapped == MAP_FAILED) return host_limit("shared memory", errno);
        nursery->area = static_cast<JobArea*>(mapped);
        const pid_t parent = ::getpid();
        nursery->process = ::fork();
        if (nursery->process < 0) return host_limit("fork", errno);
        if (nursery->process == 0) become_nursery(theirs.get(), area.get(), program.get(), parent);
        theirs = Descriptor();
        out.nurseries_.push_back(std::move(nursery));
    }
    for (const auto& nursery : out.nurseries_) {
        NurseryGreeting& greeting = nursery->greeting;
        if (!receive(nursery->channel.get(), &greeting, sizeof greeting) || greeting.magic != kGreetingMagic)
            return fail(ErrorCode::host_limit, "contained children cannot be made here: their program does not start (a file in memory may not be executable)");
        if (greeting.failed_step != 0) return host_limit(step_text(greeting.failed_step), greeting.error);
    }
    const NurseryGreeting& first = out.nurseries_.front()->greeting;
    out.abilities_ = {first.has_ldt != 0, first.has_tsd != 0, first.has_cpuid_fault != 0};
    return out;
}

#endif

Result<std::vector<ProbeResult>> Nurseries::run(std::span<const ProbeJob> jobs, const Tick& tick) {
    // Batches small enough that no nursery idles at the end while another works, large enough to keep the talk short.
    const std::size_t batch = std::clamp<std::size_t>(jobs.size() / (nurseries_.size() * 8) + 1, 16, kMaxBatch);
    std::vector<ProbeResult> results(jobs.size());
    std::size_t given = 0, done = 0;
    const auto lost = [] { return fail(ErrorCode::host_limit, "a nursery of contained children was killed from outside"); };
    const auto give = [&](Nursery& nursery) {
        const std::size_t count = std::min(batch, jobs.size() - given);
        const std::size_t at = std::exchange(given, given + count);
        nursery.count = 0;
        return count == 0 || nursery.send(jobs.subspan(at, count), at);
    };
    for (const auto& nursery : nurseries_)
        if (!give(*nursery)) return lost();
    while (done < jobs.size()) {
        std::vector<pollfd> waiting;
        for (const auto& nursery : nurseries_) waiting.push_back({nursery->count != 0 ? nursery->channel.get() : -1, POLLIN, 0});
        if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return lost();
        for (std::size_t i = 0; i < waiting.size(); ++i) {
            if (waiting[i].revents == 0) continue;
            Nursery& nursery = *nurseries_[i];
            std::uint32_t count = 0;
            if (!receive(nursery.channel.get(), &count, sizeof count) || count != nursery.count) return lost();
            std::copy_n(nursery.area->results, nursery.count, results.begin() + static_cast<std::ptrdiff_t>(nursery.begin));
            done += nursery.count;
            if (!give(nursery)) return lost();
        }
        tick(done, jobs.size());
    }
    return results;
}

}  // namespace trapline::executor
