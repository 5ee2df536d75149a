// SPDX-License-Identifier: Apache-2.0
// Everything that needs the host happens before confine_calls, everything that is hostile after it.
#include "executor/host/monitor.h"

#if defined(__linux__) && defined(__x86_64__)

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>

#include "executor/device/vga_text.h"
#include "executor/host/sandbox.h"

namespace trapline::executor {
namespace {

constexpr int kFailed = 4;

std::int64_t clock_nanoseconds(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void send(int descriptor, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = write(descriptor, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) _exit(kFailed);
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

/// The guest's serial output. A write that fails ends the run: nobody would see what the guest still says.
class SerialOutput {
public:
    explicit SerialOutput(RunSignals& signals) : signals_(&signals) {}
    void write_all(std::string_view bytes) {
        while (!bytes.empty() && error_ == 0 && !abandoned_) {
            const ssize_t written = write(STDOUT_FILENO, bytes.data(), bytes.size());
            if (written >= 0) {
                bytes.remove_prefix(static_cast<std::size_t>(written));
            } else if (errno == EAGAIN || errno == EINTR) {
                // A reader that does not read must not keep the run from ending; the kick interrupts a write.
                abandoned_ = signals_->stop;
            } else {
                error_ = errno;
                signals_->stop = true;
            }
        }
    }
    int error() const { return error_; }

private:
    RunSignals* signals_;
    int error_ = 0;
    bool abandoned_ = false;  ///< nobody reads what is left, and the run is to end
};

void become_child(const MonitorChannels& channels, int output) {
    setsid();  // the terminal's signals are the broker's
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) signal(number, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    // The broker has seen to it that 0 to 2 are taken, so none of these is among them but perhaps `output`.
    if (dup2(output, STDOUT_FILENO) < 0 || dup2(channels.input, STDIN_FILENO) < 0 || dup2(channels.diagnostics, STDERR_FILENO) < 0) _exit(kFailed);
}

Ended describe(Machine& machine, const RunOutcome& outcome) {
    const Statistics& statistics = machine.statistics();
    const MappingCounts mappings = const_cast<Mmu&>(machine.mmu()).tlb().counts();
    Ended ended;
    EndedNumbers& numbers = ended.numbers;
    numbers.ending = static_cast<std::uint32_t>(outcome.ending);
    numbers.code = outcome.code;
    numbers.registers = dump_registers(machine.vcpu());
    numbers.guest_ticks = statistics.guest_ticks;
    numbers.monitor_ticks = statistics.monitor_ticks;
    numbers.idle_ticks = statistics.idle_ticks;
    numbers.entries = statistics.entries;
    numbers.signals = statistics.signals;
    numbers.hypercalls = statistics.hypercalls;
    numbers.kicks = statistics.kicks;
    numbers.interpreted = statistics.interpreted;
    numbers.fills = machine.mmu().fills();
    numbers.maps = mappings.maps;
    numbers.unmaps = mappings.unmaps;
    numbers.protects = mappings.protects;
    numbers.flushes = mappings.flushes;
    numbers.overflows = mappings.overflows;
    numbers.host_mappings = const_cast<Mmu&>(machine.mmu()).tlb().count_mappings();
    numbers.code_scans = machine.code().scans();
    numbers.code_writes = machine.mmu().code_writes();
    numbers.code_reads = machine.mmu().code_reads();
    numbers.delivered = statistics.delivered;
    numbers.last = statistics.last;
    ended.detail = outcome.detail;
    // More sites than this are no kernel's; those that came up most are kept.
    constexpr std::size_t kMostSites = 100'000;
    const auto executions = [](const SiteTally& site) {
        std::uint64_t sum = 0;
        for (const Tally& tally : site.arrivals) sum += tally.count;
        return sum;
    };
    std::vector<const SiteTally*> sites;
    sites.reserve(statistics.sites.size());
    for (const auto& [linear, site] : statistics.sites) sites.push_back(&site);
    if (sites.size() > kMostSites) {
        std::nth_element(sites.begin(), sites.begin() + kMostSites, sites.end(), [&](const SiteTally* a, const SiteTally* b) { return executions(*a) > executions(*b); });
        sites.resize(kMostSites);
    }
    ended.sites.reserve(sites.size());
    for (const SiteTally* site : sites) {
        SiteRecord record;
        record.linear = site->linear;
        record.bytes = site->bytes;
        for (std::size_t i = 0; i < kArrivals; ++i) {
            record.counts[2 * i] = site->arrivals[i].count;
            record.counts[2 * i + 1] = site->arrivals[i].ticks;
        }
        ended.sites.push_back(record);
    }
    return ended;
}

std::string run_machine(const RunRequest& request, const MonitorChannels& channels, const SharedPages& ram, const decode::InstructionDecoder& decoder, const SiteForms& forms) {
    auto copies = SharedPages::create("trapline-code", ram.size());
    if (!copies) return render_message(copies.error());
    SerialOutput serial(*channels.signals);
    MachineOptions options;
    options.technique = request.technique;
    options.pc.memory_size = ram.size();
    options.pc.apic = request.apic;
    options.pc.wall_time = clock_nanoseconds(CLOCK_REALTIME);
    options.pc.serial_output = [&serial](std::string_view bytes) { serial.write_all(bytes); };
    options.input = request.input < 0 ? -1 : STDIN_FILENO;
    options.trace = request.trace;
    options.stop = &channels.signals->stop;
    if (channels.plan != nullptr) options.plan = [plan = channels.plan] { return plan->take(); };
    auto machine = Machine::create(decoder, forms, ram, *copies, options);
    if (!machine) return render_message(machine.error());
    // The machine's own memory is there; from here on there is input that nobody knows.
    const KeptDescriptors kept{.results = channels.results, .trace = request.trace, .ram = ram.descriptor(), .code = copies->descriptor()};
    const auto layers = confine_process(kept);
    if (!layers) return render_message(layers.error());
    (*machine)->privileges_changed();
    // Behind the user namespace, which would take it away. A broker that has gone already cannot be missed any more.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != channels.broker) _exit(kFailed);
    BootRequest what = request.boot;
    if (request.apic) {
        const CpuidLeaf identity = (*machine)->cpuid(1, 0);
        what.processor = MpProcessor{identity.eax, identity.edx};
    }
    const auto booted = boot(what, ram, (*machine)->vcpu());
    if (!booted) return render_message(booted.error());
    (*machine)->set_text(booted->text);
    if (const Status confined = confine_calls(kept); !confined) return render_message(confined.error());
    send(channels.results, render_message(Started{booted->protocol, booted->command_line, booted->entry, *layers | 1u << static_cast<unsigned>(Layer::seccomp)}));

    const std::int64_t began = clock_nanoseconds(CLOCK_MONOTONIC);
    const std::uint64_t began_ticks = __rdtsc();
    const RunOutcome outcome = (*machine)->run();
    const std::uint64_t ticks = __rdtsc() - began_ticks;
    const auto wall = static_cast<std::uint64_t>(clock_nanoseconds(CLOCK_MONOTONIC) - began);
    (*machine)->pc().flush();
    Ended ended = describe(**machine, outcome);
    ended.numbers.wall_nanoseconds = wall;
    ended.numbers.wall_ticks = ticks;
    ended.numbers.output_error = serial.error();
    ended.screen = (*machine)->pc().screen(std::span<const std::uint8_t>(ram.data() + VgaText::kMemory, VgaText::kMemorySize));
    return render_message(ended);
}

}  // namespace

void be_monitor(const RunRequest& request, const MonitorChannels& channels, const SharedPages& ram, const decode::InstructionDecoder& decoder, const SiteForms& forms) {
    become_child(channels, request.output);
    std::string last_word;
    try {
        last_word = run_machine(request, channels, ram, decoder, forms);
    } catch (const std::bad_alloc&) {
        last_word = render_message(Error{ErrorCode::host_limit, "the monitor has used up the memory that it may have", {}, std::nullopt, {}});
    } catch (const std::exception& error) {
        last_word = render_message(Error{ErrorCode::inconsistent, fmt::format("the monitor failed: {}", error.what()), {}, std::nullopt, {}});
    }
    send(channels.results, last_word);
    _exit(0);
}

}  // namespace trapline::executor

#endif
