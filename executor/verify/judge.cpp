// SPDX-License-Identifier: Apache-2.0
// The judgement. Every excuse is a row of x86/cpu-differences.json or a feature that CPUID does not announce.
#include "executor/verify/judge.h"

#include <fmt/format.h>

#include <algorithm>

namespace trapline::executor {

namespace {

constexpr std::string_view kUndefined = "#UD";

Result<std::string_view> find_text(const std::vector<isa::SpecFile>& files, std::string_view path) {
    for (const isa::SpecFile& file : files)
        if (file.path == path) return file.text;
    return fail(ErrorCode::malformed, "the database lacks this file", std::string(path));
}

/// Of the rows that explain the outcomes the first; null when one outcome has none.
const CpuDifference* explain(const Host& host, const isa::Record* record, const isa::EncodingKey& key, const std::vector<Observation>& outcomes) {
    const CpuDifference* first = nullptr;
    for (const Observation& outcome : outcomes) {
        const CpuDifference* row = host.differences.find(record, key, outcome);
        if (row == nullptr) return nullptr;
        if (first == nullptr) first = row;
    }
    return first;
}

template <class Form>
std::optional<std::string> absence_of(const Host& host, const Form& form) {
    if (form.until < isa::Era::modern) return fmt::format("the form ended with the generation {}", isa::to_string(form.until));
    if (!form.vendor.empty() && form.vendor != host.cpu.vendor) return fmt::format("only {} makes the form", form.vendor);
    if (!form.feature.empty() && !host.features.present(form.feature)) return fmt::format("the CPU does not have {}", form.feature);
    return std::nullopt;
}

std::vector<Observation> all_but_undefined(const Tally& seen) {
    std::vector<Observation> out;
    for (const auto& [outcome, count] : seen.rows)
        if (outcome.word() != kUndefined) out.push_back(outcome);
    return out;
}

Judgement by_row(const CpuDifference& row) { return {Agreement::explained, row.reason, &row}; }

}  // namespace

Result<Host> describe_host(const isa::Database& database, const std::vector<isa::SpecFile>& files, const HostQuestions& questions) {
    Host out;
    out.cpu = identify(questions.cpuid);
    const auto features_text = find_text(files, CpuFeatures::kFile);
    if (!features_text) return tl::unexpected(features_text.error());
    auto features = CpuFeatures::parse(*features_text, questions.cpuid, questions.xcr0());
    if (!features) return tl::unexpected(features.error());
    out.features = std::move(*features);
    const auto differences_text = find_text(files, CpuDifferences::kFile);
    if (!differences_text) return tl::unexpected(differences_text.error());
    auto differences = CpuDifferences::parse(*differences_text, database, out.cpu, out.features);
    if (!differences) return tl::unexpected(differences.error());
    out.differences = std::move(*differences);
    out.state = read_host_state(questions);
    out.profile.id = "this-host";
    for (Mode mode : kAllModes) out.profile.modes.insert(mode);
    if (!out.cpu.vendor.empty()) out.profile.vendors.push_back(out.cpu.vendor);
    return out;
}

std::string_view to_string(Agreement agreement) {
    switch (agreement) {
        case Agreement::confirmed: return "confirmed";
        case Agreement::explained: return "explained";
        case Agreement::not_confirmable: return "not confirmable";
        case Agreement::unexplained: return "unexplained";
    }
    return "?";
}

void Tally::add(const Observation& observation) {
    for (auto& [outcome, count] : rows) {
        if (outcome.word() != observation.word()) continue;
        ++count;
        return;
    }
    rows.emplace_back(observation, 1);
}

std::string Tally::text() const {
    std::string out;
    for (const auto& [outcome, count] : rows) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", outcome.word(), count);
    return out;
}

bool Tally::only(std::string_view word) const {
    return !rows.empty() && std::all_of(rows.begin(), rows.end(), [&](const auto& row) { return row.first.word() == word; });
}

bool Tally::ran() const {
    return std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.first.kind == OutcomeKind::executes || row.first.kind == OutcomeKind::transfers; });
}

std::optional<std::string> absence(const Host& host, const isa::Record& record) { return absence_of(host, record); }
std::optional<std::string> absence(const Host& host, const isa::InnocuousForm& form) { return absence_of(host, form); }

Judgement judge_record(const Host& host, const isa::Record& record, const isa::EncodingKey& key, const Prediction& prediction, const Tally& seen) {
    if (const auto why = absence(host, record)) {
        if (seen.only(kUndefined)) return {Agreement::not_confirmable, *why};
        if (const CpuDifference* row = explain(host, &record, key, all_but_undefined(seen))) return by_row(*row);
        return {Agreement::unexplained, fmt::format("{}, and the CPU does not answer with #UD", *why)};
    }
    std::vector<Observation> unforeseen;
    bool spoofed = false;
    for (const auto& [outcome, count] : seen.rows) {
        if (outcome.kind == OutcomeKind::spoofed && prediction.privileged_here()) spoofed = true;
        else if (!prediction.allows(outcome)) unforeseen.push_back(outcome);
    }
    if (!unforeseen.empty()) {
        if (const CpuDifference* row = explain(host, &record, key, unforeseen)) return by_row(*row);
        return {Agreement::unexplained, fmt::format("derived: {}", prediction.text())};
    }
    if (spoofed) return {Agreement::explained, "CR4.UMIP is set and the CPU traps; Linux answers with dummies (arch/x86/kernel/umip.c)"};
    if (prediction.may_execute && !seen.ran()) {
        std::vector<Observation> outcomes;
        for (const auto& [outcome, count] : seen.rows) outcomes.push_back(outcome);
        if (const CpuDifference* row = explain(host, &record, key, outcomes)) return by_row(*row);
        return {Agreement::unexplained, fmt::format("derived: {}; it never ran", prediction.text())};
    }
    if (!prediction.may_execute) {
        const bool data = std::any_of(prediction.faults.begin(), prediction.faults.end(), [](const ExpectedFault& f) { return f.cause == isa::FaultCause::data; });
        return {Agreement::confirmed, prediction.privileged_here() ? "traps for privilege, whatever the operands" : data ? "faults for these operands" : "#UD, since a control bit keeps it off"};
    }
    return {Agreement::confirmed, "runs at CPL 3"};
}

Judgement judge_innocuous(const Host& host, const isa::InnocuousForm& form, const isa::EncodingKey& key, const Tally& seen) {
    if (const auto why = absence(host, form)) {
        if (seen.only(kUndefined)) return {Agreement::not_confirmable, *why};
        if (const CpuDifference* row = explain(host, nullptr, key, all_but_undefined(seen))) return by_row(*row);
        return {Agreement::unexplained, fmt::format("{}, and the CPU does not answer with #UD", *why)};
    }
    std::vector<Observation> outcomes;
    for (const auto& [outcome, count] : seen.rows) outcomes.push_back(outcome);
    // Operands may make it fault, but never make it undefined, hang or end the child.
    const bool sound = std::all_of(outcomes.begin(), outcomes.end(), [](const Observation& outcome) {
        return outcome.kind == OutcomeKind::executes || outcome.kind == OutcomeKind::transfers || (outcome.kind == OutcomeKind::faults && outcome.word() != kUndefined);
    });
    if (seen.ran() && sound) return {Agreement::confirmed, "runs at CPL 3"};
    const bool data = std::all_of(outcomes.begin(), outcomes.end(), [](const Observation& outcome) {
        static constexpr std::string_view kOfOperands[] = {"#DE", "#PF", "#MF", "#XM", "#BR"};
        return std::find(std::begin(kOfOperands), std::end(kOfOperands), outcome.word()) != std::end(kOfOperands);
    });
    if (data) return {Agreement::confirmed, "faults for its operands"};
    if (const CpuDifference* row = explain(host, nullptr, key, outcomes)) return by_row(*row);
    return {Agreement::unexplained, "derived: runs at CPL 3"};
}

Judgement judge_hole(const Host& host, const isa::EncodingKey& key, const Tally& seen) {
    if (seen.only(kUndefined)) return {Agreement::confirmed, "#UD, since no instruction is there"};
    if (const CpuDifference* row = explain(host, nullptr, key, all_but_undefined(seen))) return by_row(*row);
    return {Agreement::unexplained, "no instruction is there, and the CPU does not answer with #UD"};
}

}  // namespace trapline::executor
