// SPDX-License-Identifier: Apache-2.0
// Runs the witnesses of every sensitive form at ring 0 and ring 3 of an emulated machine (QEMU's TCG) and holds what
// happens against the derivation under the profile base. What the emulator gets wrong stands in tcg-differences.json.
//
//   ring0_oracle --sources FOLDER --scratch FOLDER [--mode 16r|16p|32|64] [--form ID] [--specs FOLDER] [--verbose]
//
// Exit codes: 0 all agrees or is explained, 1 something does not, 2 usage, 3 bad input, 77 no emulator here.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include <fmt/format.h>

#include "isa/loader.h"
#include "observe.h"
#include "trial.h"

using namespace trapline;
using namespace trapline::ring0;

namespace {

constexpr int kSkipped = 77;

struct Options {
    std::string sources, scratch;
    std::string specs;  ///< another database than the one compiled in
    std::string form;   ///< this form alone
    std::vector<Mode> modes = {Mode::real16, Mode::protected16, Mode::protected32, Mode::long64};
    bool verbose = false;
};

/// Counts of one mode, the rows of the table.
struct Tally {
    std::size_t sensitive = 0, run = 0, confirmed = 0, explained = 0, contradicted = 0, no_feature = 0, not_covered = 0;
    std::size_t cases = 0, witnesses = 0, shown = 0, unobservable = 0, unreachable = 0, effects = 0, effects_shown = 0;
    std::map<std::string, std::vector<std::string>> features, reasons;
};

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

class Oracle {
public:
    Oracle(const isa::Database& database, Options options) : database_(database), options_(std::move(options)) { emulator_.scratch = options_.scratch; }

    Result<int> run() {
        const auto version = emulator_.version();
        if (!version) {
            fmt::print("skipped: {}\n", version.error().describe());
            return kSkipped;
        }
        version_ = *version;
        fmt::print("{}, TCG\n", version_);
        if (Status loaded = load(); !loaded) return tl::unexpected(loaded.error());
        for (const Mode mode : options_.modes)
            if (Status done = run_mode(mode); !done) return tl::unexpected(Error(done.error()).within(fmt::format("mode {}", to_string(mode))));
        print_table();
        return check_rows() ? 0 : 1;
    }

private:
    Status load() {
        auto setups = Setups::parse(read_text(options_.sources + "/setups.json"));
        if (!setups) return tl::unexpected(Error(setups.error()).within("setups.json"));
        setups_ = std::move(*setups);
        auto differences = parse_differences(read_text(options_.sources + "/tcg-differences.json"));
        if (!differences) return tl::unexpected(Error(differences.error()).within("tcg-differences.json"));
        differences_ = std::move(*differences);
        for (const TcgDifference& row : differences_) {
            auto guard = isa::Guard::parse(row.state, database_.atoms);
            if (row.state.empty()) guard = isa::Guard();
            if (!guard) return tl::unexpected(Error(guard.error()).within("tcg-differences.json"));
            guards_.push_back(std::move(*guard));
        }
        for (const isa::SpecFile& file : isa::embedded_spec_files()) {
            if (file.path != "x86/cpuid-features.json") continue;
            auto features = parse_features(file.text);
            if (!features) return tl::unexpected(Error(features.error()).within(file.path));
            features_ = std::move(*features);
        }
        std::vector<std::string> forms;
        for (const isa::Record& record : database_.records) forms.push_back(record.id);
        for (const std::string& pattern : setups_.stale_patterns(forms)) {
            fmt::print("setups.json: {} names no form\n", pattern);
            failed_ = true;
        }
        std::set<CpuidQuery, bool (*)(const CpuidQuery&, const CpuidQuery&)> queries(
            [](const CpuidQuery& a, const CpuidQuery& b) { return std::pair(a.leaf, a.subleaf) < std::pair(b.leaf, b.subleaf); });
        for (const auto& [name, feature] : features_)
            if (feature.query) queries.insert(*feature.query);
        queries_.assign(queries.begin(), queries.end());
        return {};
    }

    bool has_feature(const isa::Record& record) {
        if (record.feature.empty()) return true;
        const auto found = features_.find(record.feature);
        if (found == features_.end()) {
            fmt::print("{}: the feature {} has no row in x86/cpuid-features.json\n", record.id, record.feature);
            failed_ = true;
            return false;
        }
        if (!found->second.query) return found->second.present;
        // Leaves past the highest of their range answer with those of another leaf.
        const std::uint32_t range = found->second.query->leaf & 0xC0000000;
        const auto highest = answer({range, 0});
        if (highest && (*highest)[0] < found->second.query->leaf) return false;
        const auto words = answer(*found->second.query);
        return words && ((*words)[static_cast<std::size_t>(found->second.reg)] >> found->second.bit & 1) != 0;
    }
    std::optional<std::array<std::uint32_t, 4>> answer(CpuidQuery query) const {
        const auto place = std::find(queries_.begin(), queries_.end(), query);
        if (place == queries_.end()) return std::nullopt;
        return answers_[static_cast<std::size_t>(place - queries_.begin())];
    }

    Status run_mode(Mode mode) {
        const isa::Profile *base = database_.find_profile("base"), *umip = database_.find_profile("umip");
        TRAPLINE_ASSERT(base != nullptr && umip != nullptr, "the profiles base and umip are part of the database");
        const std::string monitor = mode == Mode::long64 ? "/monitor64.s" : "/monitor32.s";
        const auto image = build_image(mode, read_text(options_.sources + "/boot.s") + read_text(options_.sources + monitor));
        if (!image) return tl::unexpected(image.error());
        const CaseBuilder builder(database_, *image);
        for (const std::uint32_t range : {0u, 0x80000000u})
            if (std::find(queries_.begin(), queries_.end(), CpuidQuery{range, 0}) == queries_.end()) queries_.push_back({range, 0});
        emulator_.cpu = "max,vendor=AuthenticAMD";
        if (const auto asked = emulator_.run(*image, {}, queries_, &answers_); !asked) return tl::unexpected(asked.error());

        Tally& tally = tallies_[mode];
        const auto cr4_umip = database_.find_atom("cr4.umip");
        for (const std::string vendor : {"AuthenticAMD", "GenuineIntel"}) {
            std::vector<Case> cases;
            for (const int cpl : {0, 3})
                if (cpl == 0 || mode != Mode::real16) cases.push_back(builder.build_nop(cpl));
            const std::size_t nops = cases.size();
            std::vector<Trial> trials;
            for (const isa::Record& record : database_.records) {
                if ((record.vendor == "intel") != (vendor == "GenuineIntel")) continue;
                if (!options_.form.empty() && record.id != options_.form) continue;
                if (!record.encoding.modes.contains(mode) || !isa::exists_in(record, *base)) continue;
                if (!classify::derive(database_, record, *base, mode).sensitive()) continue;
                ++tally.sensitive;
                if (!has_feature(record)) {
                    ++tally.no_feature;
                    tally.features[record.feature].push_back(record.id);
                    continue;
                }
                if (const auto why = setups_.why_not_covered(record.id, mode)) {
                    ++tally.not_covered;
                    tally.reasons[*why].push_back(record.id);
                    continue;
                }
                std::vector<const isa::Profile*> profiles = {base};
                if (std::any_of(record.faults.begin(), record.faults.end(), [&](const isa::Fault& fault) {
                        return std::binary_search(fault.when.atoms().begin(), fault.when.atoms().end(), *cr4_umip);
                    }))
                    profiles.push_back(umip);
                Trial trial(database_, record, profiles, mode, setups_);
                if (!trial.plan(builder, cases)) {
                    ++tally.not_covered;
                    tally.reasons[trial.reason()].push_back(record.id);
                    continue;
                }
                ++tally.run;
                trials.push_back(std::move(trial));
            }
            emulator_.cpu = "max,vendor=" + vendor;
            std::vector<MachineCase> inputs;
            for (const Case& one : cases) inputs.push_back(one.input);
            const auto results = emulator_.run(*image, inputs, {}, nullptr);
            if (!results) return tl::unexpected(results.error());
            tally.cases += cases.size();
            for (std::size_t i = 0; i < nops; ++i) check_nop(mode, cases[i], (*results)[i]);
            for (Trial& trial : trials) {
                trial.judge(cases, *results);
                count(mode, trial, tally);
            }
        }
        return {};
    }

    // The harness itself: NOP completes and changes nothing that can be seen.
    void check_nop(Mode mode, const Case& input, const MachineResult& result) {
        const bool done = result.reached && result.slots[vector] == kDoneVector && result.slots[rip] == input.done_rip;
        if (!done) {
            fmt::print("mode {}: NOP does not complete: {}\n", to_string(mode), result.reached ? fault_text(result.slots[vector], result.slots[error]) : result.ended);
            failed_ = true;
            return;
        }
        for (const std::string& name : observable_resources())
            if (changed(name, input, result)) {
                fmt::print("mode {}: NOP changes {}: the monitor does not restore or save it\n", to_string(mode), name);
                failed_ = true;
            }
    }

    void count(Mode mode, const Trial& trial, Tally& tally) {
        bool unexplained = false;
        std::set<std::string> told;
        for (const Contradiction& contradiction : trial.contradictions()) {
            bool explained = false;
            for (std::size_t i = 0; i < differences_.size(); ++i) {
                TcgDifference& row = differences_[i];
                if (!names_form(row.forms, trial.record().id) || std::find(row.modes.begin(), row.modes.end(), mode) == row.modes.end()) continue;
                if (row.says != contradiction.says || !guards_[i].evaluate(contradiction.state)) continue;
                ++row.used;
                explained = true;
            }
            if (explained) continue;
            unexplained = true;
            if (told.insert(contradiction.says).second || options_.verbose)
                fmt::print("{} {}: the machine: {}; the record: {}\n    {}\n", to_string(mode), trial.record().id, contradiction.says, contradiction.expected, contradiction.place);
        }
        if (unexplained) {
            ++tally.contradicted;
            failed_ = true;
        } else if (!trial.contradictions().empty()) {
            ++tally.explained;
        } else {
            ++tally.confirmed;
        }
        for (const WitnessReport& witness : trial.witnesses()) {
            ++tally.witnesses;
            switch (witness.fate) {
                case WitnessFate::shown: ++tally.shown; break;
                case WitnessFate::contradicted: break;
                case WitnessFate::unobservable: ++tally.unobservable; break;
                case WitnessFate::unreachable: ++tally.unreachable; break;
            }
            if (options_.verbose && witness.fate != WitnessFate::shown)
                fmt::print("{} {}: {} not shown: {}\n", to_string(mode), trial.record().id, witness.tag, witness.why);
        }
        tally.effects += trial.effects_listed();
        tally.effects_shown += trial.effects_shown();
        if (options_.verbose && !trial.effects_not_shown().empty())
            fmt::print("{} {}: listed and not seen: {}\n", to_string(mode), trial.record().id, joined(trial.effects_not_shown()));
    }

    void print_table() const {
        fmt::print("\n{:<6}{:>10}{:>7}{:>11}{:>11}{:>14}{:>12}{:>13}{:>8}{:>11}{:>7}{:>14}{:>13}{:>15}\n", "mode", "sensitive", "run", "confirmed", "explained", "contradicted",
                   "no feature", "not covered", "cases", "witnesses", "shown", "unobservable", "unreachable", "effects seen");
        for (const auto& [mode, t] : tallies_)
            fmt::print("{:<6}{:>10}{:>7}{:>11}{:>11}{:>14}{:>12}{:>13}{:>8}{:>11}{:>7}{:>14}{:>13}{:>15}\n", to_string(mode), t.sensitive, t.run, t.confirmed, t.explained, t.contradicted,
                       t.no_feature, t.not_covered, t.cases, t.witnesses, t.shown, t.unobservable, t.unreachable, fmt::format("{}/{}", t.effects_shown, t.effects));
        for (const auto& [mode, t] : tallies_) {
            fmt::print("\nmode {}\n", to_string(mode));
            for (const auto& [feature, forms] : t.features) fmt::print("  not confirmable here, no {}: {}\n", feature, joined(forms));
            for (const auto& [why, forms] : t.reasons) fmt::print("  not covered, {}: {}\n", why, joined(forms));
        }
    }

    // A row that explains nothing is a difference that has vanished, or was never there.
    bool check_rows() {
        if (!options_.form.empty()) return !failed_;
        for (const TcgDifference& row : differences_) {
            if (row.used != 0) continue;
            const bool asked = std::any_of(row.modes.begin(), row.modes.end(), [&](Mode mode) { return tallies_.count(mode) != 0; });
            if (!asked) continue;
            fmt::print("tcg-differences.json: \"{}\" of {} was not met: {} does as the manual says, or another version does\n", row.says, joined(row.forms), version_);
            failed_ = true;
        }
        return !failed_;
    }

    const isa::Database& database_;
    Options options_;
    Emulator emulator_;
    std::string version_;
    Setups setups_;
    std::vector<TcgDifference> differences_;
    std::vector<isa::Guard> guards_;
    std::map<std::string, FeatureBit, std::less<>> features_;
    std::vector<CpuidQuery> queries_;
    std::vector<std::array<std::uint32_t, 4>> answers_;
    std::map<Mode, Tally> tallies_;
    bool failed_ = false;
};

std::optional<Options> parse_options(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const bool last = i + 1 == argc;
        if (word == "--verbose") options.verbose = true;
        else if (word == "--sources" && !last) options.sources = argv[++i];
        else if (word == "--scratch" && !last) options.scratch = argv[++i];
        else if (word == "--specs" && !last) options.specs = argv[++i];
        else if (word == "--form" && !last) options.form = argv[++i];
        else if (word == "--mode" && !last) {
            const auto mode = parse_mode(argv[++i]);
            if (!mode) return std::nullopt;
            options.modes = {*mode};
        } else return std::nullopt;
    }
    if (options.sources.empty() || options.scratch.empty()) return std::nullopt;
    return options;
}

}  // namespace

int main(int argc, char** argv) {
    const auto options = parse_options(argc, argv);
    if (!options) {
        fmt::print(stderr, "usage: ring0_oracle --sources FOLDER --scratch FOLDER [--mode 16r|16p|32|64] [--form ID] [--specs FOLDER] [--verbose]\n");
        return 2;
    }
    std::filesystem::create_directories(options->scratch);
    std::vector<std::string> storage;
    std::vector<isa::SpecFile> files = isa::embedded_spec_files();
    if (!options->specs.empty()) {
        auto read = isa::read_spec_directory(options->specs, storage);
        if (!read) {
            fmt::print(stderr, "{}\n", read.error().describe());
            return 3;
        }
        files = std::move(*read);
    }
    const isa::LoadOutcome loaded = isa::load_database(files);
    for (const Error& error : loaded.errors) fmt::print(stderr, "{}\n", error.describe());
    if (!loaded.errors.empty()) return 3;
    const auto code = Oracle(loaded.database, *options).run();
    if (code) return *code;
    fmt::print(stderr, "{}\n", code.error().describe());
    return 3;
}
