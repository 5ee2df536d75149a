// SPDX-License-Identifier: Apache-2.0
// trapline run: a guest on this processor, deprivileged. Opens and reads files, starts the broker, says how it ended.
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <future>

#include "cli/command.h"
#include "cli/guest_files.h"
#include "cli/guest_modules.h"
#include "cli/input_file.h"
#include "cli/run_plan.h"
#include "cli/update_plan.h"
#include "executor/host/broker.h"
#include "executor/host/collect_statistics.h"
#include "executor/host/descriptor.h"
#include "executor/trap/site_forms.h"
#include "reports/stats_json.h"
#include "reports/text_encoding.h"

namespace trapline::cli {

namespace {

using executor::Descriptor;
using executor::Ending;
using executor::RunTechnique;
using executor::StopCause;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20, kLeastMemory = 16 * kMiB, kMostMemory = 2048 * kMiB;

struct Options {
    std::string image, initrd, append, technique = "auto", plan, memory = "256M", serial = "stdio", stats, trace, crash_dump, new_plan;
    std::vector<std::string> modules;
    bool updates_plan = false, fresh_plan = false;
    double timeout = 0;
    bool exact = false, relocate = false, screen = false, apic = false;
};

// The techniques that this program has, by their names on the command line.
struct TechniqueName {
    const char* name;
    RunTechnique technique;
};
constexpr TechniqueName kTechniques[] = {
    {"trap", RunTechnique::trap}, {"breakpoint", RunTechnique::breakpoint}, {"hypercall", RunTechnique::hypercall}, {"auto", RunTechnique::automatic}};

/// Reads "64M", "1G" or a number of bytes; nothing for anything else.
std::optional<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return std::nullopt;
    const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
    unsigned shift = 0;
    if (suffix == "K" || suffix == "k") shift = 10;
    else if (suffix == "M" || suffix == "m") shift = 20;
    else if (suffix == "G" || suffix == "g") shift = 30;
    else if (!suffix.empty()) return std::nullopt;
    return value > (~std::uint64_t{0} >> shift) ? std::nullopt : std::optional(value << shift);
}

int report(const Error& error) {
    print_error(error);
    return exit_code(error);
}

/// The rate of the time-stamp counter, from two readings that are some time apart.
class TscRate {
public:
    unsigned khz() const {
        const auto nanoseconds = static_cast<double>(clock() - began_);
        return nanoseconds < 10e6 ? 0 : static_cast<unsigned>(static_cast<double>(__rdtsc() - ticks_) / nanoseconds * 1e6);
    }

private:
    static std::int64_t clock() {
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC_RAW, &now);
        return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    }
    std::int64_t began_ = clock();
    std::uint64_t ticks_ = __rdtsc();
};

/// How an ending is told, and the exit code for it.
struct Verdict {
    std::string text;
    int code = kDone;
};

Verdict judge(const executor::RunResult& result, const Options& options) {
    const executor::EndedNumbers& numbers = result.ended.numbers;
    const std::string detail = result.ended.detail.empty() ? "" : ": " + result.ended.detail;
    switch (result.why) {
        case Ending::power_off: return {"the guest switched its machine off", kDone};
        case Ending::halted: return {"the guest halted" + detail, kDone};
        case Ending::reset: return {"the guest asked for a reset, which ends the run", kDone};
        case Ending::debug_exit: {
            // The port answers as QEMU's does, whose exit code is 2 * value + 1.
            const std::uint32_t value = numbers.code >> 1;
            return {fmt::format("the guest ended with code {} (debug-exit port)", value), value == 0 ? kDone : kFindings};
        }
        case Ending::triple_fault: return {fmt::format("the guest met a triple fault{}", detail), kFindings};
        case Ending::unsupported: return {fmt::format("the guest cannot go on{}", detail), kFindings};
        case Ending::host_limit: return {fmt::format("the host gave up{}", detail), kHostLimit};
        case Ending::interrupted: break;
    }
    const std::string killed = result.killed ? "; the monitor did not answer and was killed" : "";
    switch (result.stopped) {
        case StopCause::signal: return {fmt::format("ended by {}{}", strsignal(result.stop_signal), killed), kHostLimit};
        case StopCause::key: return {"ended by Ctrl-A x" + killed, kHostLimit};
        case StopCause::timeout: return {fmt::format("the guest has not ended after {:g} s (--timeout){}", options.timeout, killed), kFindings};
        case StopCause::none: break;
    }
    return {"interrupted" + killed, kHostLimit};
}

Result<Descriptor> open_output(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0) return fail(ErrorCode::io, fmt::format("cannot open for writing: {}", std::strerror(errno)), path);
    return Descriptor(descriptor);
}

/// Descriptors 0 to 2 must be taken: the monitor puts its own there.
void open_standard_descriptors() {
    int descriptor = 0;
    do descriptor = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor >= 0) ::close(descriptor);
}

void say_start(const executor::Started& started, const Options& options, const GlobalOptions& global) {
    if (global.quiet) return;
    // What the user gave stands first, so the rest is what was added.
    const std::string_view line = started.command_line;
    const std::string_view added = line.substr(std::min(line.size(), options.append.size()));
    fmt::print(stderr, "trapline: {}, {} of memory\n", reports::printable(started.protocol), options.memory);
    if (!added.empty()) fmt::print(stderr, "trapline: added to the command line (--append-exact leaves it alone):{}{}\n", added.front() == ' ' ? "" : " ", reports::printable(added));
    if (::isatty(STDIN_FILENO) != 0) fmt::print(stderr, "trapline: Ctrl-A x ends the run, Ctrl-A Ctrl-A sends one Ctrl-A\n");
    std::fflush(stderr);
}

int write_results(const Options& options, const GlobalOptions& global, const GuestFiles& files, const executor::RunRequest& request, const executor::RunResult& result, const Verdict& verdict,
                  const executor::SharedPages& ram, const decode::InstructionDecoder& decoder, std::optional<PlanDocument>&& plan) {
    int code = kDone;
    const auto note = [&](const Status& status) {
        if (!status) code = std::max(code, report(status.error()));
    };
    if (options.screen) note(write_output("", printable_lines(result.ended.screen)));
    if (!options.crash_dump.empty()) note(write_crash_dump(options.crash_dump, verdict.text, result.ended.numbers.registers, result.ended.numbers.last, ram));
    if (!options.stats.empty()) {
        const ImageParts parts = find_parts(files, !options.relocate);
        RunStatistics statistics = executor::collect_statistics(request, result, ram.size(), decoder, [&](std::uint64_t linear) { return parts.part_of(linear); });
        statistics.image = options.image;
        statistics.sha256 = parts.sha256;
        if (const auto limit = read_input_file("/proc/sys/vm/max_map_count", 64)) std::from_chars(limit->data(), limit->data() + limit->size(), statistics.host.mappings_allowed);
        note(write_output(options.stats, reports::render_stats_json(statistics)));
    }
    if (options.updates_plan) note(update_plan(options.new_plan, std::move(plan), files, result.ended.sites, decoder.database(), global));
    return code;
}

/// What the executor knows of instructions. Loaded on a thread of its own while files are read.
struct Tools {
    std::unique_ptr<LoadedDatabase> loaded;
    std::unique_ptr<executor::SiteForms> forms;
    std::unique_ptr<decode::InstructionDecoder> decoder;
};

Tools load_tools(const GlobalOptions& global) {
    Tools tools{load(global), nullptr, nullptr};
    const isa::Profile* const profile = tools.loaded ? find_profile(tools.loaded->database, "ring3") : nullptr;
    if (profile == nullptr) return tools;
    tools.forms = std::make_unique<executor::SiteForms>(tools.loaded->database, *profile);
    tools.decoder = std::make_unique<decode::InstructionDecoder>(tools.loaded->database, *profile);
    return tools;
}

int run(const Options& options, const GlobalOptions& global) {
    open_standard_descriptors();
    const TscRate tsc;
    const auto memory = parse_size(options.memory);
    if (!memory || *memory < kLeastMemory || *memory > kMostMemory) {
        fmt::print(stderr, "trapline: error: --memory: found \"{}\", expected a size from 16M to 2G\n", options.memory);
        return kUsage;
    }
    std::future<Tools> loading = std::async(std::launch::async, [&global] { return load_tools(global); });
    auto files = read_guest_files(options.image, options.initrd, options.relocate);
    if (!files) return report(files.error());
    const auto modules = read_modules(options.modules);
    if (!modules) return report(modules.error());

    executor::RunRequest request;
    request.technique = std::find_if(std::begin(kTechniques), std::end(kTechniques), [&](const TechniqueName& one) { return options.technique == one.name; })->technique;
    request.timeout_seconds = options.timeout;
    request.apic = options.apic;
    if (request.technique == RunTechnique::hypercall || request.technique == RunTechnique::automatic) {
        request.make_plan = plan_maker({options.plan, options.fresh_plan}, *files, global);
        // A plan that was asked for has to be there; one that nobody gave only makes the guest faster.
        request.plan_required = !options.plan.empty() || request.technique == RunTechnique::hypercall;
    } else if (!options.plan.empty() && !options.updates_plan) {
        fmt::print(stderr, "trapline: error: --plan: the technique {} uses none, expected hypercall or auto (or --update-plan)\n", options.technique);
        return kUsage;
    }
    // One that cannot be updated at the end ends the run before it has begun.
    std::optional<PlanDocument> plan;
    if (options.updates_plan && !options.plan.empty()) {
        auto read = read_plan(options.plan, *files, true);
        if (!read) return report(read.error());
        plan = std::move(*read);
    }
    // Standard input that was the image, the initrd or a module has been read to its end.
    const bool is_module = std::any_of(modules->begin(), modules->end(), [](const GuestModule& module) { return module.file == "-"; });
    request.input = options.image == "-" || options.initrd == "-" || is_module ? -1 : STDIN_FILENO;
    request.output = STDOUT_FILENO;
    Descriptor serial, trace;
    if (options.serial != "stdio" && options.serial != "-") {
        auto opened = open_output(options.serial);
        if (!opened) return report(opened.error());
        serial = std::move(*opened);
        request.output = serial.get();
        request.input = -1;
    }
    if (!options.trace.empty()) {
        auto opened = options.trace == "-" ? Result<Descriptor>(Descriptor(::dup(STDOUT_FILENO))) : open_output(options.trace);
        if (!opened) return report(opened.error());
        trace = std::move(*opened);
        request.trace = trace.get();
    }

    // The thread has ended when this returns: the monitor is forked from a process that has one.
    const Tools tools = loading.get();
    if (tools.decoder == nullptr) return kBadInput;
    const executor::SiteForms& forms = *tools.forms;
    const decode::InstructionDecoder& decoder = *tools.decoder;
    auto ram = executor::SharedPages::create("trapline-ram", *memory & ~std::uint64_t{0xFFF});
    if (!ram) return report(ram.error());

    request.boot.image = files->image;
    request.boot.name = options.image == "-" ? "standard input" : options.image;
    request.boot.initrd = {files->initrd, options.initrd};
    request.boot.modules = boot_modules(*modules);
    request.boot.command_line = options.append;
    request.boot.exact_command_line = options.exact;
    request.boot.relocate = options.relocate;
    request.boot.tsc_khz = tsc.khz();
    std::fflush(nullptr);
    executor::RunEvents events;
    events.started = [&](const executor::Started& started) { say_start(started, options, global); };
    events.no_plan = [&](const Error& error) {
        if (!global.quiet) fmt::print(stderr, "trapline: no plan, so nothing gets patched: {}\n", reports::printable(error.describe()));
    };
    const auto result = executor::run_guest(request, *ram, decoder, forms, events);
    if (!result) {
        print_error(result.error());
        // Only a broken monitor contradicts itself: that is a bug here, or a guest that broke in.
        return result.error().code == ErrorCode::inconsistent ? kInternal : exit_code(result.error());
    }
    if (const int trouble = result->ended.numbers.output_error; trouble != 0) {
        if (trouble == EPIPE && request.output == STDOUT_FILENO) ::raise(SIGPIPE);  // as every filter ends
        return report(Error{ErrorCode::io, fmt::format("cannot write: {}", std::strerror(trouble)), options.serial == "stdio" ? "standard output" : options.serial, std::nullopt, {}});
    }
    const Verdict verdict = judge(*result, options);
    if (verdict.code != kDone || !global.quiet) fmt::print(stderr, "trapline: {}{}\n", verdict.code == kDone ? "" : "error: ", reports::printable(verdict.text));
    if (result->killed) {
        if (options.updates_plan) print_warning("the plan is left as it was: a monitor that was killed has counted nothing");
        return verdict.code;
    }
    return std::max(verdict.code, write_results(options, global, *files, request, *result, verdict, *ram, decoder, std::move(plan)));
}

}  // namespace

Run add_run(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("run", "Run a 32-bit guest deprivileged, in an ordinary process");
    std::vector<std::string> names;
    std::string list;
    for (const TechniqueName& one : kTechniques) {
        names.emplace_back(one.name);
        list += (list.empty() ? "" : "|") + names.back();
    }
    command->add_option("IMAGE", options->image, "vmlinuz, the kernel's ELF file, a Multiboot or plain ELF program, compressed or not; - is standard input")->required();
    command->add_option("--technique", options->technique, "how sensitive instructions reach the monitor: breakpoints where they do not trap, or everywhere; by the patches of a plan; or at first as trap, and patched where they are hot")
        ->type_name(list)->capture_default_str()->check(CLI::IsMember(names).description(""));
    command->add_option("--plan", options->plan, "plan of the image (trapline plan); without one it is made while the guest starts, and kept for the next run (${XDG_CACHE_HOME:-~/.cache}/trapline/plans)")->type_name("FILE");
    command->add_flag("--fresh-plan", options->fresh_plan, "without --plan: make the plan anew, and keep none");
    const CLI::Option* const update = command->add_option("--update-plan", options->new_plan, "write sites that the plan lacks, and how often each was executed, into it at the end: to FILE, else to that of --plan")
        ->type_name("[FILE]")->expected(0, 1);
    command->add_option("-m,--memory", options->memory, "RAM of the guest, 16M to 2G")->type_name("SIZE")->capture_default_str();
    command->add_option("--initrd", options->initrd, "initial RAM disk, or the first Multiboot module")->type_name("FILE");
    command->add_option("--module", options->modules, "a Multiboot module, behind the initrd; TEXT is its command line, FILE unless given. May be given several times")
        ->type_name("FILE[=TEXT]")->allow_extra_args(false);
    command->add_option("--append", options->append, "command line of the guest")->type_name("TEXT");
    command->add_flag("--append-exact", options->exact, "add nothing to the command line");
    command->add_flag("--relocate", options->relocate, "let a kernel choose its address (KASLR)");
    command->add_option("--timeout", options->timeout, "end the run after so many seconds")->type_name("SECONDS")->check(CLI::PositiveNumber.description(""));
    command->add_option("--serial", options->serial, "where the guest's serial port goes: stdio, or a file")->type_name("stdio|FILE")->capture_default_str();
    command->add_flag("--apic", options->apic, "give the machine a local APIC and an I/O APIC, and tell of them in an MP table; without it there are two 8259 alone");
    command->add_flag("--screen", options->screen, "print the VGA text screen at the end");
    command->add_option("--stats", options->stats, "write counts and times by site, mnemonic and technique (trapline.stats/1)")->type_name("FILE");
    command->add_option("--trace", options->trace, "write a line for each instruction and event that comes to the monitor")->type_name("FILE");
    command->add_option("--crash-dump", options->crash_dump, "write memory and registers at the end as an ELF core, and FILE.txt with what happened last")->type_name("FILE");
    command->footer("Ends with 0 when the guest switches off, resets, halts for good, or writes 0 to the debug-exit port (F4h); with 1 when the\n"
                    "guest fails: a triple fault, another code at that port, an instruction that cannot be run, --timeout; with 3 when the image or\n"
                    "another file is no good; with 5 when the host or the user ends it (SIGINT, SIGTERM, SIGHUP, Ctrl-A x on a terminal).\n"
                    "Example: trapline run vmlinuz --initrd initrd.img --append quiet");
    return [options, update, &global] {
        options->updates_plan = update->count() != 0;
        if (options->updates_plan && options->new_plan.empty()) options->new_plan = options->plan;
        if (options->updates_plan && (options->new_plan.empty() || options->new_plan == "-")) {
            fmt::print(stderr, "trapline: error: --update-plan: found no file to write, expected --update-plan=FILE, or --plan FILE to bring up to date\n");
            return static_cast<int>(kUsage);
        }
        return run(*options, global);
    };
}

}  // namespace trapline::cli
