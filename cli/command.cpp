// SPDX-License-Identifier: Apache-2.0
// Shared parts of the commands.
#include "cli/command.h"

#include <fmt/core.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "classify/compiled_database.h"
#include "reports/text_encoding.h"

namespace trapline::cli {

std::unique_ptr<LoadedDatabase> load(const GlobalOptions& global) {
    auto loaded = std::make_unique<LoadedDatabase>();
    if (global.isa_directory.empty()) {
        loaded->files = isa::embedded_spec_files();
        loaded->database = classify::compiled_database();
        return loaded;
    }
    auto files = isa::read_spec_directory(global.isa_directory, loaded->storage);
    if (!files) {
        print_error(files.error());
        return nullptr;
    }
    loaded->files = std::move(*files);
    isa::LoadOutcome outcome = isa::load_database(loaded->files);
    if (!outcome.errors.empty()) {
        for (const Error& error : outcome.errors) print_error(error);
        fmt::print(stderr, "trapline: the database has {} error(s)\n", outcome.errors.size());
        return nullptr;
    }
    loaded->database = std::move(outcome.database);
    return loaded;
}

const isa::Profile* find_profile(const isa::Database& database, const std::string& name) {
    if (const isa::Profile* profile = database.find_profile(name)) return profile;
    std::string known;
    for (const isa::Profile& profile : database.profiles) known += (known.empty() ? "" : ", ") + profile.id;
    fmt::print(stderr, "trapline: error: unknown profile \"{}\", expected one of {}\n", name, known);
    return nullptr;
}

const isa::Abi* find_abi(const isa::Database& database, const std::string& name) {
    if (const isa::Abi* abi = database.find_abi(name)) return abi;
    std::string known;
    for (const isa::Abi& abi : database.abis) known += (known.empty() ? "" : ", ") + abi.id;
    fmt::print(stderr, "trapline: error: unknown interface \"{}\", expected one of {}\n", name, known);
    return nullptr;
}

namespace {

// Diagnostics go to stderr at once, in the form "trapline: error: ...", whatever stdout is doing.
spdlog::logger& diagnostics() {
    static const std::shared_ptr<spdlog::logger> kLogger = [] {
        auto logger = spdlog::stderr_logger_st("trapline");
        logger->set_pattern("%n: %l: %v");
        logger->flush_on(spdlog::level::trace);
        return logger;
    }();
    return *kLogger;
}

}  // namespace

// Names of members, sections and files may hold terminal escapes.
void print_error(const Error& error) { diagnostics().error("{}", reports::printable(error.describe())); }
void print_warning(const std::string& text) { diagnostics().warn("{}", reports::printable(text)); }

int exit_code(const Error& error) { return error.code == ErrorCode::host_limit ? kHostLimit : kBadInput; }

namespace {

Status io_failure(const std::string& what, const std::string& path) {
    return fail(ErrorCode::io, what + ": " + std::strerror(errno), path);
}

Status write_all(int descriptor, std::string_view text, const std::string& path) {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return io_failure("cannot write", path);
        }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

}  // namespace

Status write_output(const std::string& path, std::string_view text) {
    if (path.empty() || path == "-") {
        std::fflush(stdout);
        return write_all(STDOUT_FILENO, text, "standard output");
    }
    struct stat existing {};
    if (::stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode)) {
        // A device or a pipe cannot be replaced by a rename: write into it.
        if (S_ISDIR(existing.st_mode)) return fail(ErrorCode::io, "is a folder, expected a file name", path);
        std::FILE* file = std::fopen(path.c_str(), "w");
        if (file == nullptr) return io_failure("cannot open for writing", path);
        Status status = write_all(fileno(file), text, path);
        std::fclose(file);
        return status;
    }
    std::string temporary = path + ".XXXXXX";
    const int descriptor = ::mkstemp(temporary.data());
    if (descriptor < 0) return io_failure("cannot create a file beside it", path);
    Status status = write_all(descriptor, text, path);
    // mkstemp makes 0600; results are for everyone the umask allows.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (status && ::fchmod(descriptor, 0666 & ~mask) != 0) status = io_failure("cannot set the mode", path);
    if (status && ::fsync(descriptor) != 0 && errno != EINVAL) status = io_failure("cannot write", path);
    if (::close(descriptor) != 0 && status) status = io_failure("cannot write", path);
    if (status && ::rename(temporary.c_str(), path.c_str()) != 0) status = io_failure("cannot rename the finished file", path);
    if (!status) ::unlink(temporary.c_str());
    return status;
}

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) != 0; }
bool use_colour() {
    const char* no_colour = std::getenv("NO_COLOR");
    return ::isatty(STDOUT_FILENO) != 0 && (no_colour == nullptr || *no_colour == 0);
}

struct Progress::Impl {
    using Clock = std::chrono::steady_clock;
    std::mutex mutex;
    Clock::time_point started = Clock::now();
    Clock::time_point drawn{};
    bool visible = false;
};

Progress::Progress(bool enabled) {
    if (enabled && stderr_is_terminal()) impl_ = std::make_unique<Impl>();
}
Progress::~Progress() { clear(); }

void Progress::update(std::string_view what, std::uint64_t done, std::uint64_t total) {
    using namespace std::chrono_literals;
    if (!impl_) return;
    const std::lock_guard lock(impl_->mutex);
    const auto now = Impl::Clock::now();
    if (now - impl_->started < 500ms || now - impl_->drawn < 100ms) return;
    impl_->drawn = now;
    impl_->visible = true;
    if (total == 0) {
        fmt::print(stderr, "\r\033[K{}", what);
    } else {
        const auto filled = static_cast<std::size_t>(done * 30 / total);
        fmt::print(stderr, "\r\033[K[{}{}] {:3}% {}", std::string(filled, '#'), std::string(30 - std::min<std::size_t>(30, filled), '.'), done * 100 / total, what);
    }
    std::fflush(stderr);
}

void Progress::clear() {
    if (!impl_) return;
    const std::lock_guard lock(impl_->mutex);
    if (impl_->visible) fmt::print(stderr, "\r\033[K");
    impl_->visible = false;
}

}  // namespace trapline::cli
