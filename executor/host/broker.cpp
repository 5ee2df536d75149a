// SPDX-License-Identifier: Apache-2.0
// One loop over four descriptors: the user's keys, the pipe to the guest's serial line, the monitor's messages, its last words.
#include "executor/host/broker.h"

#if defined(__linux__) && defined(__x86_64__)

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <optional>

#include "executor/host/descriptor.h"
#include "executor/host/monitor.h"
#include "executor/host/native.h"
#include "executor/host/terminal.h"

namespace trapline::executor {
namespace {

using Milliseconds = std::int64_t;
constexpr Milliseconds kGrace = 2000;            // between telling the monitor to end and killing it
constexpr Milliseconds kTwice = 300;             // between two signals of the user that are two
constexpr Milliseconds kNudge = 100;             // between signals that wake a monitor which is to end
constexpr Milliseconds kLeaving = 500;           // that a process may take to end once it has closed its descriptors
constexpr int kMostReads = 64;                   // of one channel in a row: a monitor that never stops writing must not keep the loop
constexpr std::size_t kMostKeys = 64 << 10;      // that wait for the guest
constexpr std::size_t kMostLastWords = 4 << 10;
constexpr std::array<int, 4> kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

volatile sig_atomic_t arrived_signal = 0;
volatile sig_atomic_t arrived_signals = 0;

void note_signal(int number) {
    arrived_signal = number;
    arrived_signals = arrived_signals + 1;
}

/// The user's signals, taken by this process while it lives: blocked but in ppoll with `while_waiting()`.
class UserSignals {
public:
    UserSignals() {
        arrived_signal = 0;
        arrived_signals = 0;
        sigset_t taken;
        sigemptyset(&taken);
        struct sigaction action {};
        action.sa_handler = note_signal;
        for (std::size_t i = 0; i < kSignals.size(); ++i) {
            sigaddset(&taken, kSignals[i]);
            sigaction(kSignals[i], nullptr, &before_[i]);
            // What nohup ignores stays ignored.
            if (before_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
        }
        sigprocmask(SIG_BLOCK, &taken, &mask_);
        // A monitor that has closed its input must not end this process.
        pipe_before_ = signal(SIGPIPE, SIG_IGN);
    }
    ~UserSignals() {
        signal(SIGPIPE, pipe_before_);
        // A second signal that is still pending has said nothing new.
        for (std::size_t i = 0; i < kSignals.size(); ++i) signal(kSignals[i], SIG_IGN);
        sigprocmask(SIG_SETMASK, &mask_, nullptr);
        for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
    }
    UserSignals(const UserSignals&) = delete;
    UserSignals& operator=(const UserSignals&) = delete;
    const sigset_t& while_waiting() const { return mask_; }

private:
    sigset_t mask_{};
    std::array<struct sigaction, kSignals.size()> before_{};
    void (*pipe_before_)(int) = SIG_DFL;
};

Milliseconds now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

struct Pipe {
    Descriptor read, write;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail(ErrorCode::host_limit, fmt::format("no pipe to the monitor: {}", std::strerror(errno)));
    return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

/// A page that broker and monitor share.
class SharedSignals {
public:
    SharedSignals() : page_(mmap(nullptr, sizeof(RunSignals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {}
    ~SharedSignals() {
        if (page_ != MAP_FAILED) munmap(page_, sizeof(RunSignals));
    }
    SharedSignals(const SharedSignals&) = delete;
    SharedSignals& operator=(const SharedSignals&) = delete;
    RunSignals* get() const { return page_ == MAP_FAILED ? nullptr : static_cast<RunSignals*>(page_); }

private:
    void* page_;
};

class Broker {
public:
    Broker(const RunRequest& request, const RunEvents& events, pid_t monitor, RunSignals& signals, const sigset_t& mask, Pipe input, Pipe results, Pipe diagnostics, PlanService& plan)
        : request_(request), events_(events), monitor_(monitor), signals_(signals), mask_(mask), input_(std::move(input.write)), results_(std::move(results.read)),
          diagnostics_(std::move(diagnostics.read)), plan_(plan), reads_input_(request.input >= 0) {
        is_terminal_ = reads_input_ && isatty(request.input) != 0;
        // A job in the background would be stopped for reading.
        if (is_terminal_ && !is_own_terminal(request.input)) reads_input_ = false;
        for (const int one : {input_.get(), results_.get(), diagnostics_.get()}) fcntl(one, F_SETFL, fcntl(one, F_GETFL) | O_NONBLOCK);
        if (request.timeout_seconds > 0) deadline_ = now() + static_cast<Milliseconds>(std::ceil(request.timeout_seconds * 1000));
    }
    ~Broker() {
        if (monitor_ > 0) end_monitor();
    }
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;

    Result<RunResult> run() {
        while (results_.get() >= 0) {
            wait();
            if (const Status received = receive_messages(); !received) return tl::unexpected(received.error());
            if (const Status planned = look_at_plan(); !planned) return tl::unexpected(planned.error());
            receive_last_words();
            take_keys();
            give_keys();
            look_at_time();
        }
        terminal_.reset();
        const int status = end_monitor();
        receive_last_words();
        return conclude(status);
    }

private:
    void wait() {
        const bool wants_keys = reads_input_ && keys_.size() < kMostKeys;
        std::array<pollfd, 5> polled = {{{results_.get(), POLLIN, 0},
                                         {diagnostics_.get(), POLLIN, 0},
                                         {wants_keys ? request_.input : -1, POLLIN, 0},
                                         {keys_.empty() ? -1 : input_.get(), POLLOUT, 0},
                                         {plan_.descriptor(), POLLIN, 0}}};
        Milliseconds until = -1;
        for (const auto& time : {deadline_, kill_at_, nudge_at_})
            if (time && (until < 0 || *time < until)) until = *time;
        const Milliseconds left = until < 0 ? -1 : std::max<Milliseconds>(until - now(), 0);
        const timespec limit{static_cast<time_t>(left / 1000), static_cast<long>(left % 1000 * 1'000'000)};
        keys_ready_ = ppoll(polled.data(), polled.size(), left < 0 ? nullptr : &limit, &mask_) > 0 && polled[2].revents != 0;
        plan_done_ = polled[4].revents != 0;
    }

    Status look_at_plan() {
        if (!std::exchange(plan_done_, false)) return {};
        const Status planned = plan_.finish();
        if (planned || request_.plan_required) return planned;
        if (events_.no_plan) events_.no_plan(planned.error());
        return {};
    }

    Status receive_messages() {
        std::array<char, 65536> buffer;
        for (int reads = 0;; ++reads) {
            const ssize_t got = reads < kMostReads ? read(results_.get(), buffer.data(), buffer.size()) : -1;
            if (got < 0) return {};
            if (got == 0) break;
            reader_.add(buffer.data(), static_cast<std::size_t>(got));
            for (;;) {
                const auto kind = reader_.next();
                if (!kind) return tl::unexpected(kind.error());
                if (*kind == 0) break;
                if (const Status taken = take_message(static_cast<MessageKind>(*kind)); !taken) return taken;
            }
        }
        results_ = Descriptor();
        return {};
    }

    Status take_message(MessageKind kind) {
        const bool in_order = kind == MessageKind::started ? !started_ : kind == MessageKind::ended ? started_ && !last_ : !last_;
        if (!in_order) return fail(ErrorCode::inconsistent, "the monitor sent messages out of order: it is broken, or the guest has taken it over (it is contained)");
        if (kind == MessageKind::started) {
            auto started = reader_.take_started();
            if (!started) return tl::unexpected(started.error());
            started_ = true;
            result_.started = std::move(*started);
            if (events_.started) events_.started(result_.started);
            if (is_terminal_ && reads_input_) terminal_.emplace(request_.input);
            return {};
        }
        last_ = true;
        reads_input_ = false;
        kill_at_ = now() + kGrace;
        deadline_.reset();
        if (kind == MessageKind::failed) {
            auto error = reader_.take_failed();
            return tl::unexpected(error ? *error : error.error());
        }
        auto ended = reader_.take_ended();
        if (!ended) return tl::unexpected(ended.error());
        if (ended->numbers.ending > static_cast<std::uint32_t>(Ending::host_limit)) return fail(ErrorCode::inconsistent, "the monitor sent an ending of no known kind");
        result_.ended = std::move(*ended);
        result_.why = static_cast<Ending>(result_.ended.numbers.ending);
        return {};
    }

    void receive_last_words() {
        std::array<char, 1024> buffer;
        ssize_t got = -1;
        for (int reads = 0; reads < kMostReads && diagnostics_.get() >= 0 && (got = read(diagnostics_.get(), buffer.data(), buffer.size())) > 0; ++reads)
            if (last_words_.size() < kMostLastWords) last_words_.append(buffer.data(), static_cast<std::size_t>(got));
        if (got == 0) diagnostics_ = Descriptor();
    }

    void take_keys() {
        if (!keys_ready_ || !reads_input_) return;
        std::array<char, 4096> buffer;
        const ssize_t got = read(request_.input, buffer.data(), buffer.size());
        if (got < 0) return;
        if (got == 0) {
            reads_input_ = false;
            return;
        }
        const std::span<const char> keys(buffer.data(), static_cast<std::size_t>(got));
        if (!is_terminal_) keys_.append(keys.data(), keys.size());
        else if (escapes_.feed(keys, keys_)) stop(StopCause::key);
    }

    void give_keys() {
        if (!keys_.empty() && input_.get() >= 0) {
            const ssize_t written = write(input_.get(), keys_.data(), keys_.size());
            if (written > 0) keys_.erase(0, static_cast<std::size_t>(written));
            else if (errno != EAGAIN && errno != EINTR) keys_.clear();
        }
        // The guest's line has no end of file, but the monitor need not wait for more.
        if (!reads_input_ && keys_.empty()) input_ = Descriptor();
    }

    void look_at_time() {
        if (arrived_signals != seen_signals_) {
            seen_signals_ = arrived_signals;
            // The second one is from somebody who does not want to wait; but who tells a process and its group (timeout of coreutils) tells it twice at once.
            if (result_.stopped != StopCause::none && now() - stopped_at_ >= kTwice) kill_at_ = now();
            result_.stop_signal = arrived_signal;
            stop(StopCause::signal);
        }
        const Milliseconds time = now();
        if (deadline_ && time >= *deadline_) stop(StopCause::timeout);
        if (nudge_at_ && time >= *nudge_at_) {
            // It may be waiting for a reader of the serial line, or go to wait for one just now.
            kill(monitor_, kick_signal());
            nudge_at_ = time + kNudge;
        }
        if (kill_at_ && time >= *kill_at_ && results_.get() >= 0) {
            kill(monitor_, SIGKILL);
            kill_at_ = time + kGrace;
        }
    }

    void stop(StopCause cause) {
        if (result_.stopped != StopCause::none || last_) return;
        result_.stopped = cause;
        deadline_.reset();
        stopped_at_ = nudge_at_.emplace(now());
        kill_at_ = stopped_at_ + kGrace;
        signals_.stop = true;
    }

    /// The monitor has closed its end or is not wanted any more: nothing that it does matters, so it is not waited for without force.
    int end_monitor() {
        // What it ended by itself with is worth knowing; by and by it is killed all the same.
        siginfo_t ended{};
        const Milliseconds until = now() + kLeaving;
        while (results_.get() < 0 && waitid(P_PID, static_cast<id_t>(monitor_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0) {
            if (now() >= until) {
                stayed_ = true;
                break;
            }
            constexpr timespec kMoment{0, 100'000};
            nanosleep(&kMoment, nullptr);
        }
        kill(monitor_, SIGKILL);
        int status = 0;
        rusage used{};
        while (wait4(monitor_, &status, 0, &used) < 0 && errno == EINTR) {
        }
        result_.peak_memory = static_cast<std::uint64_t>(used.ru_maxrss) << 10;  // the host counts in KiB
        monitor_ = -1;
        return status;
    }

    Result<RunResult> conclude(int status) {
        if (last_) return std::move(result_);
        if (result_.stopped != StopCause::none) {
            result_.killed = true;
            return std::move(result_);
        }
        std::string how = stayed_               ? std::string("told to end, since it had closed its channel")
                          : WIFSIGNALED(status) ? fmt::format("ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)))
                                                : fmt::format("ended with status {}", WEXITSTATUS(status));
        while (!last_words_.empty() && last_words_.back() == '\n') last_words_.pop_back();
        if (!last_words_.empty()) how += ": " + last_words_;
        return fail(ErrorCode::inconsistent, fmt::format("the monitor was {}; it is broken, or the guest has broken into it (it is contained)", how));
    }

    const RunRequest& request_;
    const RunEvents& events_;
    pid_t monitor_;
    RunSignals& signals_;
    const sigset_t& mask_;
    Descriptor input_, results_, diagnostics_;
    PlanService& plan_;
    bool plan_done_ = false;
    bool reads_input_;
    bool is_terminal_ = false, keys_ready_ = false;
    std::optional<RawTerminal> terminal_;
    EscapeFilter escapes_;
    std::string keys_;         ///< for the guest, not yet in the pipe
    MessageReader reader_;
    std::string last_words_;
    bool started_ = false, last_ = false;
    bool stayed_ = false;      ///< it went on when it had nothing to say any more
    RunResult result_;
    sig_atomic_t seen_signals_ = 0;
    std::optional<Milliseconds> deadline_, kill_at_, nudge_at_;
    Milliseconds stopped_at_ = 0;
};

}  // namespace

Result<RunResult> run_guest(const RunRequest& request, const SharedPages& ram, const decode::InstructionDecoder& decoder, const SiteForms& forms, const RunEvents& events) {
    auto input = make_pipe(), results = make_pipe(), diagnostics = make_pipe();
    for (const auto* one : {&input, &results, &diagnostics})
        if (!*one) return tl::unexpected(one->error());
    const SharedSignals signals;
    if (signals.get() == nullptr) return fail(ErrorCode::host_limit, fmt::format("no memory to share with the monitor: {}", std::strerror(errno)));
    PlanService plan;
    if (request.make_plan)
        if (const Status prepared = plan.prepare(); !prepared) return tl::unexpected(prepared.error());
    const UserSignals user;
    const pid_t broker = getpid(), monitor = fork();
    if (monitor < 0) return fail(ErrorCode::host_limit, fmt::format("no process for the monitor: {}", std::strerror(errno)));
    if (monitor == 0) be_monitor(request, {input->read.get(), results->write.get(), diagnostics->write.get(), signals.get(), broker, request.make_plan ? &plan : nullptr}, ram, decoder, forms);
    // Only the monitor holds its ends from now on, so that this process sees it go.
    for (Descriptor* theirs : {&input->read, &results->write, &diagnostics->write}) *theirs = Descriptor();
    Broker guest(request, events, monitor, *signals.get(), user.while_waiting(), std::move(*input), std::move(*results), std::move(*diagnostics), plan);
    if (request.make_plan)
        if (const Status started = plan.start(request.make_plan, request.plan_required); !started) return tl::unexpected(started.error());
    return guest.run();
}

}  // namespace trapline::executor

#endif
