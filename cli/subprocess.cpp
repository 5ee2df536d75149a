// SPDX-License-Identifier: Apache-2.0
// Sub-processes with posix_spawn.
#include "cli/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

extern char** environ;

namespace trapline::cli {

namespace {

constexpr std::size_t kMostOutput = std::size_t{64} << 20;
constexpr std::size_t kMostErrors = std::size_t{64} << 10;

/// A file descriptor that is closed when it goes.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int value) : value_(value) {}
    Descriptor(Descriptor&& other) noexcept : value_(other.value_) { other.value_ = -1; }
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    ~Descriptor() { close(); }
    int get() const { return value_; }
    void close() {
        if (value_ >= 0) ::close(value_);
        value_ = -1;
    }

private:
    int value_ = -1;
};

struct Pipe {
    Descriptor read, write;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(ErrorCode::host_limit, std::string("cannot make a pipe: ") + std::strerror(errno));
    return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

/// The caller's environment with messages in a language that can be read back.
std::vector<std::string> child_environment() {
    std::vector<std::string> variables = {"LC_ALL=C.UTF-8"};
    for (char** entry = environ; *entry != nullptr; ++entry)
        if (std::string_view(*entry).substr(0, 7) != "LC_ALL=") variables.emplace_back(*entry);
    return variables;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> list;
    for (std::string& word : words) list.push_back(word.data());
    list.push_back(nullptr);
    return list;
}

Result<pid_t> start(const Arguments& program, const std::string& directory, int input, int output, int errors) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    if (!directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    // A child must not inherit an ignored SIGPIPE: the writer of a pipe whose reader is done would never end.
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    std::vector<std::string> words = program, variables = child_environment();
    pid_t process = 0;
    const int failure = ::posix_spawnp(&process, program[0].c_str(), &actions, &attributes, pointers(words).data(), pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failure != 0) return fail(ErrorCode::host_limit, "cannot start " + program[0] + ": " + std::strerror(failure));
    return process;
}

/// Appends what can be read to `text`; closes the descriptor at its end. False when more than `most` has come.
bool drain(Descriptor& source, std::string& text, std::size_t most, bool keep_tail) {
    std::array<char, 65536> buffer;
    const ssize_t count = ::read(source.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) return true;
    if (count <= 0) {
        source.close();
        return true;
    }
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() <= most) return true;
    if (keep_tail) text.erase(0, text.size() - most);
    return keep_tail;
}

/// Reads both streams until they end. False when the output passed its limit.
bool collect(Descriptor& output, Descriptor& errors, ProcessOutcome& outcome) {
    while (output.get() >= 0 || errors.get() >= 0) {
        std::array<pollfd, 2> waiting = {pollfd{output.get(), POLLIN, 0}, pollfd{errors.get(), POLLIN, 0}};
        if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return true;
        if (waiting[0].revents != 0 && !drain(output, outcome.output, kMostOutput, false)) return false;
        if (waiting[1].revents != 0) drain(errors, outcome.errors, kMostErrors, true);
    }
    return true;
}

int wait_for(pid_t process) {
    int status = 0;
    while (::waitpid(process, &status, 0) < 0)
        if (errno != EINTR) return 127;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Result<ProcessOutcome> run_pipeline(const std::vector<Arguments>& programs, const std::string& directory) {
    TRAPLINE_ASSERT(!programs.empty(), "a pipeline has a program");
    Descriptor input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (input.get() < 0) return fail(ErrorCode::host_limit, std::string("cannot open /dev/null: ") + std::strerror(errno));
    auto errors = make_pipe();
    if (!errors) return tl::unexpected<Error>(errors.error());
    std::vector<pid_t> processes;
    Status started;
    for (const Arguments& program : programs) {
        auto output = make_pipe();
        const auto process = output ? start(program, directory, input.get(), output->write.get(), errors->write.get())
                                    : Result<pid_t>(tl::unexpected<Error>(output.error()));
        if (!process) {
            started = tl::unexpected<Error>(process.error());
            input.close();
            break;
        }
        processes.push_back(*process);
        input = std::move(output->read);
    }
    errors->write.close();
    ProcessOutcome outcome;
    if (!collect(input, errors->read, outcome)) {
        for (const pid_t process : processes) ::kill(process, SIGTERM);
        started = fail(ErrorCode::refused, programs.back()[0] + " wrote more than 64 MiB");
    }
    input.close();
    for (const pid_t process : processes) {
        const int status = wait_for(process);
        if (outcome.status == 0) outcome.status = status;
    }
    if (!started) return tl::unexpected<Error>(started.error());
    return outcome;
}

}  // namespace trapline::cli
