// SPDX-License-Identifier: Apache-2.0
// The differential check of the generated decoder: LLVM MC, Capstone and Zydis are asked about the same bytes, and every
// difference in validity or length (with --systematic in the mnemonic too) must have a row in decoder-differences.json.
//
//   decode_sweep FILE...                 executable sections of ELF files, bzImages, .deb, .ko.xz; --raw MODE for flat code
//   decode_sweep --random N --biased N   N random windows for each mode, plain and with vector prefixes in front
//   decode_sweep --systematic MAP|all    every opcode and field value of a map; with --stale, rows that explain nothing
//
// Exit codes: 0 every difference is explained, 1 some are not or a row is stale, 2 usage, 3 bad input.
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "image/image.h"
#include "isa/loader.h"
#include "tests/oracle/comparison.h"
#include "tests/oracle/windows.h"

using namespace trapline;
using namespace trapline::oracle;

namespace {

struct Options {
    std::vector<std::string> files;
    std::string raw, systematic;
    std::vector<std::string> modes;
    std::uint64_t random = 0, biased = 0, seed = 1, every = 1;
    unsigned threads = 0, shown = 400;
    bool stale = false, rows = false;
};

using Task = std::function<void(Comparison&)>;

/// Runs the tasks on all threads and gives what they found.
Tally run_tasks(const std::vector<Task>& tasks, const decode::InstructionDecoder& decoder, unsigned threads) {
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    Tally total;
    const auto work = [&] {
        Comparison comparison(decoder);
        for (std::size_t i = next++; i < tasks.size(); i = next++) tasks[i](comparison);
        const std::lock_guard lock(mutex);
        total.add(comparison.tally());
    };
    std::vector<std::jthread> workers;
    for (unsigned i = 1; i < threads; ++i) workers.emplace_back(work);
    work();
    workers.clear();
    return total;
}

/// Adds the random windows, cut into tasks that have a seed each, so that the thread count changes nothing.
void add_random(const Options& options, Mode mode, std::vector<Task>& tasks) {
    constexpr std::uint64_t kSlice = 1 << 18;
    const auto add = [&](std::uint64_t count, bool biased) {
        for (std::uint64_t done = 0, slice = 0; done < count; done += kSlice, ++slice) {
            const std::uint64_t seed = ((options.seed * 8 + static_cast<std::uint64_t>(mode) * 2 + (biased ? 1 : 0)) << 32) + slice;
            tasks.push_back([=, size = std::min(kSlice, count - done)](Comparison& comparison) {
                const auto visit = [&](Bytes window) { comparison.check(window, mode, Compare::lengths); };
                if (biased)
                    visit_biased(size, mode, Random(seed), visit);
                else
                    visit_random(size, Random(seed), visit);
            });
        }
    };
    add(options.random, false);
    add(options.biased, true);
}

void add_systematic(const Options& options, isa::OpcodeMap map, Mode mode, std::vector<Task>& tasks) {
    for (unsigned first = 0; first < 256; first += 16)
        tasks.push_back([=, &options](Comparison& comparison) {
            std::uint64_t number = options.seed;
            visit_systematic(map, static_cast<std::uint8_t>(first), mode, [&](Bytes window) {
                if (++number % options.every == 0) comparison.check(window, mode, Compare::lengths_and_names);
            });
        });
}

Mode mode_of(const image::Section& section) {
    switch (section.width) {
        case image::CodeWidth::bits16: return section.real_mode ? Mode::real16 : Mode::protected16;
        case image::CodeWidth::bits32: return Mode::protected32;
        case image::CodeWidth::bits64: return Mode::long64;
    }
    return Mode::long64;
}

/// Goes through [begin, stop) of a section as a linear sweep does: one byte on after what is no instruction.
template <class Each>
std::size_t walk(const decode::InstructionDecoder& decoder, Bytes code, std::size_t begin, std::size_t stop, Mode mode, Each each) {
    std::size_t next = begin;
    while (next < stop) {
        decoder.decode_run(code, next, stop, mode, [&](std::size_t at, decode::Insn insn) {
            each(at, insn);
            next = at + std::max<std::size_t>(insn.length, 1);
            return true;
        });
    }
    return next;
}

/// Adds the executable sections of an image, each cut where an instruction begins.
void add_image(std::shared_ptr<const image::Image> image, const decode::InstructionDecoder& decoder, std::vector<Task>& tasks) {
    constexpr std::size_t kPiece = 1 << 18;
    for (const image::Section& section : image->sections) {
        if (!section.executable) continue;
        const Mode mode = mode_of(section);
        for (std::size_t begin = 0; begin < section.bytes.size();) {
            const std::size_t stop = std::min(begin + kPiece, section.bytes.size());
            tasks.push_back([image, bytes = section.bytes, begin, stop, mode](Comparison& comparison) {
                walk(comparison.decoder(), bytes, begin, stop, mode,
                     [&](std::size_t at, decode::Insn insn) { comparison.check(bytes.subspan(at), mode, insn, Compare::lengths); });
            });
            begin = walk(decoder, section.bytes, begin, stop, mode, [](std::size_t, decode::Insn) {});
        }
    }
}

void print_class(const DifferenceClass& entry, std::string_view title, std::string_view reason) {
    fmt::print("{:>10}  {}\n            {} {}: ours {}, theirs {}\n", entry.count, title, entry.mode, entry.bytes, entry.ours, entry.text.empty() ? "invalid" : entry.text);
    if (!reason.empty()) fmt::print("            {}\n", reason);
}

int report(const Tally& tally, const Options& options, double seconds) {
    const auto& rows = decode::DecoderDifferences::embedded().rows();
    std::size_t used = 0, stale = 0, shown = 0;
    for (std::size_t i = 0; i < tally.rows.size(); ++i) {
        used += tally.rows[i].count != 0;
        if (options.rows && tally.rows[i].count != 0) print_class(tally.rows[i], fmt::format("row {} {}", i, rows[i].decoder), rows[i].reason);
        // The base profile has no instructions of past generations.
        if (tally.rows[i].count != 0 || !options.stale || rows[i].until != isa::Era::modern) continue;
        fmt::print("STALE       row {}: {} {} ({})\n", i, rows[i].decoder, rows[i].reason, rows[i].truth);
        ++stale;
    }
    for (const auto& [title, entry] : tally.unexplained) {
        if (++shown > options.shown) break;
        print_class(entry, "UNEXPLAINED " + title, {});
    }
    fmt::print("{} windows, {} instructions of {} bytes; {} windows seen otherwise by a peer, explained by {} rows of {}; {} unexplained in {} classes{}; {:.1f} s\n",
               tally.instructions, tally.valid, tally.bytes, tally.differing, used, rows.size(), tally.unexplained_count(), tally.unexplained.size(),
               options.stale ? fmt::format("; {} stale rows", stale) : std::string(), seconds);
    return tally.unexplained.empty() && stale == 0 ? 0 : 1;
}

int run(const Options& options) {
    std::vector<Mode> modes;
    for (const std::string& word : options.modes)
        if (const auto mode = parse_mode(word)) modes.push_back(*mode);
    if (modes.empty()) modes.assign(kAllModes.begin(), kAllModes.end());

    const isa::LoadOutcome loaded = isa::load_database(isa::embedded_spec_files());
    if (!loaded.errors.empty()) {
        fmt::print(stderr, "{}\n", loaded.errors.front().describe());
        return 3;
    }
    const isa::Profile* profile = loaded.database.find_profile("base");
    if (profile == nullptr) {
        fmt::print(stderr, "found no profile base in the database\n");
        return 3;
    }
    const decode::InstructionDecoder decoder(loaded.database, *profile);
    const unsigned threads = options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
    const auto start = std::chrono::steady_clock::now();

    std::vector<Task> tasks;
    for (Mode mode : modes) {
        add_random(options, mode, tasks);
        for (int map = 0; map < isa::kOpcodeMapCount; ++map)
            if (options.systematic == "all" || options.systematic == isa::to_string(static_cast<isa::OpcodeMap>(map)))
                add_systematic(options, static_cast<isa::OpcodeMap>(map), mode, tasks);
    }
    Tally total = run_tasks(tasks, decoder, threads);

    image::OpenOptions open;
    const std::optional<Mode> raw = parse_mode(options.raw);
    if (raw) open.raw = *raw == Mode::long64 ? image::CodeWidth::bits64 : *raw == Mode::protected32 ? image::CodeWidth::bits32 : image::CodeWidth::bits16;
    bool failed = false;
    for (const std::string& file : options.files) {
        const auto take = [&](image::Image&& image) {
            for (image::Section& section : image.sections) section.real_mode |= raw == Mode::real16;
            std::vector<Task> pieces;
            add_image(std::make_shared<const image::Image>(std::move(image)), decoder, pieces);
            total.add(run_tasks(pieces, decoder, std::min<unsigned>(threads, static_cast<unsigned>(pieces.size()))));
            return true;
        };
        const auto on_error = [&](Error error) {
            fmt::print(stderr, "{}\n", error.describe());
            failed = true;
        };
        if (const Status status = image::open_images(file, open, take, on_error); !status) on_error(status.error());
    }
    const int code = report(total, options, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return failed ? 3 : code;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Compares the generated decoder with LLVM MC, Capstone and Zydis");
    const auto is_mode = CLI::IsMember({"16r", "16p", "32", "64"});
    app.add_option("files", options.files, "images, packages or flat code");
    app.add_option("--raw", options.raw, "take the files for flat code of this mode")->check(is_mode);
    app.add_option("--random", options.random, "random windows for each mode");
    app.add_option("--biased", options.biased, "random windows that begin with prefixes and escapes, for each mode");
    app.add_option("--systematic", options.systematic, "a map as the database names it, or all");
    app.add_option("--every", options.every, "of the systematic windows take each Nth only")->check(CLI::PositiveNumber);
    app.add_option("--seed", options.seed, "where the random bytes begin, and which of the systematic windows --every takes");
    app.add_option("--modes", options.modes, "modes of the random and systematic windows")->delimiter(',')->check(is_mode);
    app.add_option("--threads", options.threads, "threads; all processors when absent");
    app.add_option("--show", options.shown, "how many unexplained classes to print");
    app.add_flag("--rows", options.rows, "print the rows that explained something, with counts");
    app.add_flag("--stale", options.stale, "fail on rows that explained nothing");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (options.systematic != "" && options.systematic != "all" && !isa::parse_opcode_map(options.systematic)) {
        fmt::print(stderr, "decode_sweep: found map \"{}\", expected all or one of isa-specs/README.md\n", options.systematic);
        return 2;
    }
    return run(options);
}
