// SPDX-License-Identifier: Apache-2.0
#include "executor/host/plan_service.h"

#if defined(__linux__) && defined(__x86_64__)

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace trapline::executor {

/// What stands at the beginning of the shared memory; the plan, or the words of an error, behind it.
struct PlanService::Header {
    std::atomic<std::uint32_t> state;  ///< 0: not yet, 1: a plan, 2: an error
    std::uint32_t size;
    std::uint32_t code;                ///< ErrorCode
};

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;  // taken from the host as far as they are used
constexpr std::size_t kLongestWords = 64 << 10;              // of an error
constexpr std::uint32_t kPlan = 1, kError = 2;

}  // namespace

PlanService::Header* PlanService::header() const { return reinterpret_cast<Header*>(memory_.data()); }

PlanService::~PlanService() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

Status PlanService::prepare() {
    auto memory = SharedPages::create("trapline-plan", kMostBytes);
    if (!memory) return tl::unexpected(memory.error());
    memory_ = std::move(*memory);
    return {};
}

Status PlanService::start(const MakePlan& make_plan, bool awaited) {
    int ends[2];
    if (pipe(ends) != 0) return fail(ErrorCode::host_limit, fmt::format("no pipe for the planning process: {}", std::strerror(errno)));
    done_ = Descriptor(ends[0]);
    Descriptor write_end(ends[1]);
    const pid_t broker = getpid();
    process_ = fork();
    if (process_ < 0) return fail(ErrorCode::host_limit, fmt::format("no process for planning: {}", std::strerror(errno)));
    if (process_ > 0) return {};
    // The user's signals are the broker's affair, and what this process writes nobody reads; it ends with the broker.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != broker) _exit(1);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) std::signal(signal, SIG_IGN);
    // Where the guest runs meanwhile, and does not wait, a planner with as many threads as processors must not take its own.
    constexpr int kLast = 19;
    if (!awaited) setpriority(PRIO_PROCESS, 0, kLast);
    Header& shared = *header();
    std::vector<std::uint8_t> bytes;
    shared.code = static_cast<std::uint32_t>(ErrorCode::host_limit);
    std::uint32_t state = kError;
    try {
        if (auto plan = make_plan()) {
            bytes = std::move(*plan);
            state = kPlan;
        } else {
            const std::string text = plan.error().describe();
            shared.code = static_cast<std::uint32_t>(plan.error().code);
            bytes.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), kLongestWords)));
        }
    } catch (const std::exception& error) {
        const std::string_view text = std::string_view(error.what()).substr(0, kLongestWords);
        bytes.assign(text.begin(), text.end());
    }
    if (bytes.size() > kMostBytes - sizeof(Header)) {
        bytes.clear();
        state = kError;
    }
    std::copy(bytes.begin(), bytes.end(), memory_.data() + sizeof(Header));
    shared.size = static_cast<std::uint32_t>(bytes.size());
    shared.state.store(state, std::memory_order_release);
    _exit(0);  // the pipe closes
}

Status PlanService::finish() {
    done_ = Descriptor();
    const Header& shared = *header();
    // The monitor has this memory too, and may be the guest's by now: each field is read once, and what is read is held to its bounds.
    const std::uint32_t state = shared.state.load(std::memory_order_acquire);
    const std::uint32_t size = __atomic_load_n(&shared.size, __ATOMIC_RELAXED), code = __atomic_load_n(&shared.code, __ATOMIC_RELAXED);
    if (state == kPlan) return {};
    if (state != kError || size == 0 || size > kLongestWords || code > static_cast<std::uint32_t>(ErrorCode::host_limit))
        return fail(ErrorCode::host_limit, "the planning process ended without a plan");
    const char* const text = reinterpret_cast<const char*>(memory_.data() + sizeof(Header));
    return fail(static_cast<ErrorCode>(code), std::string(text, size));
}

std::optional<PlanPatches> PlanService::take() const {
    const Header& shared = *header();
    if (shared.state.load(std::memory_order_acquire) != kPlan || shared.size > kMostBytes - sizeof(Header)) return std::nullopt;
    auto plan = PlanPatches::decode(std::span<const std::uint8_t>(memory_.data() + sizeof(Header), shared.size));
    if (!plan) return std::nullopt;
    return std::move(*plan);
}

}  // namespace trapline::executor

#endif
