// SPDX-License-Identifier: Apache-2.0
// Runs the encodings of an opcode map and judges each by what the database says stands there.
#include "executor/verify/slots.h"

#include <fmt/format.h>

#include <algorithm>

#include "executor/verify/umip.h"

namespace trapline::executor {

namespace {

constexpr std::size_t kChunk = 16384;  // bounds the memory that results take

/// One case with all that is needed to judge it.
struct Trial {
    const SlotCase* slot = nullptr;
    SlotContent content;
    decode::Structure structure;
    Prediction prediction;  ///< of a record
    ProbeJob job{};
    Tally seen;
    int consumed = 0;       ///< bytes the CPU took where it executes; 0 when it never did
    Judgement judgement;
};

/// Encodings that need a feature whatever stands in them.
std::optional<std::string> encoding_absence(const Host& host, const decode::Structure& structure) {
    if (structure.space == decode::EncodingSpace::rex2 && !host.features.present("APX_F")) return "the CPU does not have APX_F";
    return std::nullopt;
}

class MapCheck {
public:
    MapCheck(const isa::Database& database, const Host& host, Nurseries& nurseries, isa::OpcodeMap map)
        : database_(database), host_(host), nurseries_(nurseries), decoder_(database, host, *database.find_profile("base")) {
        out.map = map;
    }

    /// Runs one chunk; false (and `error`) when a nursery is lost.
    bool run(std::span<const SlotCase> cases, const Nurseries::Tick& tick, std::size_t& experiments) {
        std::vector<Trial> trials;
        for (const SlotCase& slot : cases) trials.push_back(prepare(slot));
        std::vector<ProbeJob> jobs;
        for (const Trial& trial : trials) jobs.push_back(trial.job);
        std::vector<std::size_t> owners(jobs.size());
        for (std::size_t i = 0; i < owners.size(); ++i) owners[i] = i;
        if (!run_jobs(jobs, owners, trials, tick)) return false;
        experiments += jobs.size();

        // What the first operands did not settle gets all others.
        jobs.clear();
        owners.clear();
        for (int memory = 0; memory < kMemoryPatternCount; ++memory)
            for (std::size_t i = 0; i < trials.size(); ++i) {
                if (trials[i].judgement.agreement != Agreement::unexplained) continue;
                for (int registers = 0; registers < kRegisterPatternCount; ++registers) {
                    if (memory == 0 && registers == 0) continue;
                    ProbeJob job = trials[i].job;
                    job.memory = static_cast<MemoryPattern>(memory);
                    job.registers = static_cast<RegisterPattern>(registers);
                    jobs.push_back(job);
                    owners.push_back(i);
                }
            }
        if (!run_jobs(jobs, owners, trials, [](std::size_t, std::size_t) {})) return false;
        experiments += jobs.size();
        for (Trial& trial : trials) file(trial);
        return true;
    }

    CheckedMap out;
    Error error;

private:
    Trial prepare(const SlotCase& slot) const {
        Trial trial;
        trial.slot = &slot;
        std::vector<std::uint8_t> bytes = slot.bytes;
        bytes.resize(decode::kMaxInstructionLength, 0);
        trial.content = decoder_.decode(bytes, slot.mode);
        trial.structure = decode::parse_structure(decode::OpcodeMaps::generated(), bytes, slot.mode);
        // Of a hole only what selects it: the padding behind shows how much a CPU takes that knows better.
        const std::size_t size = trial.content.valid() ? static_cast<std::size_t>(trial.content.length) : slot.bytes.size();
        trial.job.width = static_cast<std::uint8_t>(width_bits(slot.mode));
        trial.job.code_size = static_cast<std::uint8_t>(size);
        std::copy_n(bytes.begin(), size, trial.job.code);
        // A far pointer of zeros names the null selector, which faults for its value.
        if (trial.content.valid() && trial.structure.slot->imm == isa::Immediate::far_pointer) trial.job.code[size - 2] = kCode32;
        if (trial.content.record != nullptr) {
            PartialState state = state_in(database_, host_.state, slot.mode);
            fix_operands(database_, *trial.content.record, std::span(trial.job.code, size), state);
            trial.prediction = predict(database_, *trial.content.record, state);
        }
        return trial;
    }

    bool run_jobs(const std::vector<ProbeJob>& jobs, const std::vector<std::size_t>& owners, std::vector<Trial>& trials, const Nurseries::Tick& tick) {
        const auto results = nurseries_.run(jobs, tick);
        if (!results) {
            error = results.error();
            return false;
        }
        for (std::size_t i = 0; i < jobs.size(); ++i) {
            Trial& trial = trials[owners[i]];
            Observation outcome = observe(jobs[i], (*results)[i]);
            if (outcome.kind == OutcomeKind::executes) {
                if (trial.consumed == 0 || outcome.length != trial.content.length) trial.consumed = outcome.length;
                if (trial.content.record != nullptr && trial.prediction.privileged_here() &&
                    is_umip_dummy(*trial.content.record, trial.structure, jobs[i], (*results)[i]))
                    outcome.kind = OutcomeKind::spoofed;
            }
            trial.seen.add(outcome);
        }
        for (Trial& trial : trials) trial.judgement = judge(trial);
        return true;
    }

    Judgement judge(const Trial& trial) const {
        const isa::EncodingKey& key = trial.structure.key;
        if (!trial.content.valid()) return judge_hole(host_, key, trial.seen);
        if (const auto why = encoding_absence(host_, trial.structure); why && trial.seen.only("#UD")) return {Agreement::not_confirmable, *why, nullptr};
        Judgement judgement = trial.content.record != nullptr ? judge_record(host_, *trial.content.record, key, trial.prediction, trial.seen)
                                                              : judge_innocuous(host_, *trial.content.innocuous, key, trial.seen);
        if (judgement.agreement == Agreement::confirmed && trial.consumed != 0 && trial.consumed != trial.content.length)
            return {Agreement::unexplained, fmt::format("derived: {} bytes long; the CPU consumes {}", trial.content.length, trial.consumed), nullptr};
        return judgement;
    }

    void file(Trial& trial) {
        ++out.cases;
        ++out.counts[{trial.judgement.agreement, trial.judgement.reason}];
        const SlotFinding finding{*trial.slot, trial.content.name(), trial.seen, trial.judgement};
        if (trial.judgement.agreement == Agreement::unexplained) out.unexplained.push_back(finding);
        if (trial.judgement.row != nullptr &&
            std::none_of(out.explained.begin(), out.explained.end(), [&](const SlotFinding& f) { return f.judgement.row == finding.judgement.row; }))
            out.explained.push_back(finding);
    }

    const isa::Database& database_;
    const Host& host_;
    Nurseries& nurseries_;
    SlotDecoder decoder_;
};

}  // namespace

Result<CheckedMap> check_map(const isa::Database& database, const Host& host, Nurseries& nurseries, isa::OpcodeMap map, const Nurseries::Tick& tick,
                             std::size_t& experiments) {
    const std::vector<SlotCase> cases = enumerate_cases(decode::OpcodeMaps::generated(), map);
    MapCheck check(database, host, nurseries, map);
    for (std::size_t begin = 0; begin < cases.size(); begin += kChunk) {
        const auto chunk = std::span(cases).subspan(begin, std::min(kChunk, cases.size() - begin));
        if (!check.run(chunk, [&](std::size_t done, std::size_t) { tick(begin + done, cases.size()); }, experiments)) return tl::unexpected(std::move(check.error));
    }
    return std::move(check.out);
}

}  // namespace trapline::executor
