// SPDX-License-Identifier: Apache-2.0
// One example becomes 35 experiments with different operands and two at the end of a page.
#include "executor/verify/examples.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "executor/verify/slot_content.h"
#include "executor/verify/umip.h"

namespace trapline::executor {

namespace {

constexpr int kVariants = kMemoryPatternCount * kRegisterPatternCount;
constexpr int kAtPageEnd = kVariants, kTruncated = kVariants + 1, kProbesEach = kVariants + 2;

struct Candidate {
    CheckedExample* checked;
    decode::Structure structure;
    Prediction prediction;
    std::array<Observation, kProbesEach> outcomes{};
    bool dummies = true;  ///< every answer that could be compared was UMIP's dummy
};

/// Where a probe's outcome belongs.
struct Place {
    std::size_t candidate;
    int probe;
};

ProbeJob make_job(const isa::Example& example, std::uint8_t setting, int probe) {
    ProbeJob job{};
    job.width = static_cast<std::uint8_t>(width_bits(example.mode));
    job.setting = setting;
    std::size_t size = example.bytes.size();
    if (probe < kVariants) {
        job.memory = static_cast<MemoryPattern>(probe / kRegisterPatternCount);
        job.registers = static_cast<RegisterPattern>(probe % kRegisterPatternCount);
    } else {
        job.placement = Placement::page_end;
        if (probe == kTruncated) --size;
    }
    job.code_size = static_cast<std::uint8_t>(std::min<std::size_t>(size, kMaxCode));
    std::copy_n(example.bytes.begin(), job.code_size, job.code);
    return job;
}

/// Says what is wrong with the length; nothing when the CPU agrees or does not tell.
std::optional<std::string> length_trouble(const Candidate& candidate) {
    const auto size = candidate.checked->example->bytes.size();
    if (candidate.outcomes[kAtPageEnd].kind == OutcomeKind::wants_more) return fmt::format("derived: {} bytes long; the CPU fetches more", size);
    if (size > 1 && candidate.outcomes[kTruncated].kind == OutcomeKind::executes) return fmt::format("derived: {} bytes long; the CPU is content with less", size);
    for (int probe = 0; probe < kVariants; ++probe) {
        const Observation& outcome = candidate.outcomes[static_cast<std::size_t>(probe)];
        // A longer way is a short jump over the padding: had the CPU wanted more bytes, the page's end would have shown it.
        if (outcome.kind == OutcomeKind::executes && outcome.length < size) return fmt::format("derived: {} bytes long; the CPU consumes {}", size, outcome.length);
    }
    return std::nullopt;
}

std::optional<std::string> reason_not_to_run(const Nurseries& nurseries, const isa::Example& example) {
    if (example.mode == Mode::real16) return "no process can be in real mode";
    if (example.mode == Mode::protected16 && !nurseries.abilities().code16) return "modify_ldt is refused: no 16-bit code segment";
    return std::nullopt;
}

/// The settings under which a form is run: the host's own, and what a process can change of what the guards mention.
std::vector<std::uint8_t> settings_of(const isa::Database& database, const Prediction& prediction, const NurseryAbilities& abilities) {
    std::vector<std::uint8_t> out = {kSettingNone};
    if (abilities.tsd && prediction.hangs_on(database, "cr4.tsd")) out.push_back(kSettingTsd);
    if (abilities.cpuid_fault && prediction.hangs_on(database, "cpuid_fault")) out.push_back(kSettingCpuidFault);
    return out;
}

Prediction predict_example(const isa::Database& database, const Host& host, const isa::Record& record, const isa::Example& example, std::uint8_t setting) {
    PartialState state = state_in(database, host.state, example.mode);
    if (setting == kSettingTsd) state.fix(database, "cr4.tsd", 1);
    if (setting == kSettingCpuidFault) state.fix(database, "cpuid_fault", 1);
    fix_operands(database, record, example.bytes, state);
    return predict(database, record, state);
}

/// A form that this CPU lacks, whose bytes are another one's here: they must behave as that one.
std::optional<Judgement> judge_as_other(const isa::Database& database, const Host& host, const SlotDecoder& decoder, const Candidate& candidate) {
    const CheckedExample& checked = *candidate.checked;
    const auto why = absence(host, *checked.record);
    if (!why || checked.seen.only("#UD")) return std::nullopt;
    // The CPU goes on into the padding where the other form is longer.
    std::vector<std::uint8_t> bytes = checked.example->bytes;
    constexpr std::uint8_t kPadding = 0xCC;
    bytes.resize(std::max<std::size_t>(bytes.size(), decode::kMaxInstructionLength), kPadding);
    const Mode mode = checked.example->mode;
    const auto other = decoder.present(bytes, mode);
    if (!other) return std::nullopt;
    const isa::EncodingKey key = decode::parse_structure(decode::OpcodeMaps::generated(), bytes, mode).key;
    Judgement judgement;
    if (other->record != nullptr) {
        PartialState state = state_in(database, host.state, mode);
        fix_operands(database, *other->record, checked.example->bytes, state);
        judgement = judge_record(host, *other->record, key, predict(database, *other->record, state), checked.seen);
    } else {
        judgement = judge_innocuous(host, *other->innocuous, key, checked.seen);
    }
    if (judgement.agreement == Agreement::unexplained) return std::nullopt;
    return Judgement{Agreement::not_confirmable, fmt::format("{}; its bytes are {} here, and behave so", *why, other->name()), judgement.row};
}

void judge(const isa::Database& database, const Host& host, const SlotDecoder& decoder, Candidate& candidate) {
    CheckedExample& checked = *candidate.checked;
    const bool spoofed = candidate.dummies && candidate.prediction.privileged_here() && candidate.prediction.hangs_on(database, "cr4.umip");
    for (int probe = 0; probe < kVariants; ++probe) {
        Observation outcome = candidate.outcomes[static_cast<std::size_t>(probe)];
        if (spoofed && outcome.kind == OutcomeKind::executes) outcome.kind = OutcomeKind::spoofed;
        checked.seen.add(outcome);
    }
    if (const auto other = judge_as_other(database, host, decoder, candidate)) {
        checked.judgement = *other;
        return;
    }
    checked.judgement = judge_record(host, *checked.record, candidate.structure.key, candidate.prediction, checked.seen);
    if (checked.judgement.agreement != Agreement::confirmed) return;
    if (const auto trouble = length_trouble(candidate)) checked.judgement = {Agreement::unexplained, *trouble, nullptr};
}

}  // namespace

Result<std::vector<CheckedExample>> check_examples(const isa::Database& database, const Host& host, Nurseries& nurseries,
                                                   const std::vector<const isa::Record*>& records, const Nurseries::Tick& tick, std::size_t& probes) {
    std::vector<CheckedExample> out;
    for (const isa::Record* record : records)
        for (const isa::Example& example : record->examples) {
            const auto reason = reason_not_to_run(nurseries, example);
            if (reason) {
                out.push_back({record, &example, kSettingNone, {}, {}, {Agreement::not_confirmable, *reason, nullptr}});
                continue;
            }
            const Prediction prediction = predict_example(database, host, *record, example, kSettingNone);
            for (const std::uint8_t setting : settings_of(database, prediction, nurseries.abilities())) out.push_back({record, &example, setting, {}, {}, {}});
        }

    std::vector<Candidate> candidates;
    const decode::OpcodeMaps& maps = decode::OpcodeMaps::generated();
    for (CheckedExample& checked : out) {
        if (!checked.judgement.reason.empty()) continue;
        Candidate candidate{&checked, decode::parse_structure(maps, checked.example->bytes, checked.example->mode),
                            predict_example(database, host, *checked.record, *checked.example, checked.setting)};
        checked.expected = candidate.prediction.text();
        candidates.push_back(std::move(candidate));
    }
    std::vector<ProbeJob> jobs;
    std::vector<Place> places;
    // Same memory pattern and width side by side: the nursery fills memory only when they change.
    for (const Mode mode : kAllModes)
        for (int memory = 0; memory <= kMemoryPatternCount; ++memory)
            for (std::size_t i = 0; i < candidates.size(); ++i) {
                const isa::Example& example = *candidates[i].checked->example;
                if (example.mode != mode) continue;
                const int begin = memory * kRegisterPatternCount, end = memory < kMemoryPatternCount ? begin + kRegisterPatternCount : kProbesEach;
                for (int probe = begin; probe < end; ++probe) {
                    if (probe == kTruncated && example.bytes.size() < 2) continue;
                    jobs.push_back(make_job(example, candidates[i].checked->setting, probe));
                    places.push_back({i, probe});
                }
            }
    const auto results = nurseries.run(jobs, tick);
    if (!results) return tl::unexpected(results.error());
    probes += jobs.size();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        Candidate& candidate = candidates[places[i].candidate];
        const Observation outcome = observe(jobs[i], (*results)[i]);
        candidate.outcomes[static_cast<std::size_t>(places[i].probe)] = outcome;
        const bool comparable = candidate.structure.key.mod == 3 || jobs[i].registers == RegisterPattern::pointers;
        if (outcome.kind == OutcomeKind::executes && comparable && places[i].probe < kVariants)
            candidate.dummies &= is_umip_dummy(*candidate.checked->record, candidate.structure, jobs[i], (*results)[i]);
    }
    const SlotDecoder decoder(database, host, *database.find_profile("base"));
    for (Candidate& candidate : candidates) judge(database, host, decoder, candidate);
    return out;
}

}  // namespace trapline::executor
