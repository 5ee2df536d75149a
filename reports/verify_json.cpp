// SPDX-License-Identifier: Apache-2.0
// Must match reports/schema/verify.json.
#include "reports/verify_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "reports/json_document.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

Json finding_to_json(const VerifyFinding& finding) {
    return {{"kind", to_string(finding.kind)},
            {"part", finding.part},
            {"section", finding.section},
            {"address", hex_address(finding.address)},
            {"symbol", finding.symbol},
            {"symbol_offset", finding.symbol_offset},
            {"text", finding.text},
            {"report", finding.report}};
}

Json part_to_json(const VerifyPart& part) {
    return {{"part", part.part},
            {"patches", part.patches},
            {"proved", part.proved},
            {"critical_reached", part.critical_reached},
            {"critical_swept", part.critical_swept},
            {"interpreted", part.interpreted}};
}

Json goal_to_json(const VerifyGoal& goal) {
    return {{"part", goal.part}, {"what", goal.what}, {"wanted", goal.wanted}, {"at_least", goal.at_least}, {"sites", goal.sites}, {"of", goal.of}, {"met", goal.met}};
}

std::string parts_text(const VerifyReport& report) {
    std::string out;
    for (const VerifyPart& part : report.parts) {
        out += fmt::format("  {:<8} {} of {} patches proved; {} critical reached, {} swept or hidden", printable(part.part), part.proved, part.patches, part.critical_reached, part.critical_swept);
        out += part.interpreted == 0 ? "\n" : fmt::format("; {} of the reached in real-mode code, all of which an interpreter runs\n", part.interpreted);
    }
    out += "goals\n";
    for (const VerifyGoal& whole : report.goals) {
        if (!whole.part.empty()) continue;
        out += fmt::format("  {}, {} {} %:", whole.what, whole.at_least ? "at least" : "at most", whole.wanted);
        for (const VerifyGoal& goal : report.goals)
            if (!goal.part.empty() && goal.what == whole.what && goal.of != 0) out += fmt::format(" {} {} ({} of {}),", printable(goal.part), percentage(goal.sites, goal.of), goal.sites, goal.of);
        out += fmt::format(" all parts {} ({} of {}): {}\n", percentage(whole.sites, whole.of), whole.sites, whole.of, whole.met ? "met" : "NOT MET");
    }
    return out;
}

/// Failed proofs of one kind mostly have one cause: a few reports are enough to find it.
constexpr std::size_t kMostReports = 3;

std::string_view title(VerifyKind kind) {
    switch (kind) {
        case VerifyKind::write: return "bytes that are not the plan's";
        case VerifyKind::stub: return "stubs that are not the plan's";
        case VerifyKind::unpatched: return "critical instructions left as they are";
        case VerifyKind::unknown: return "critical instructions that the plan does not know";
        case VerifyKind::proof: return "patches that are not proved";
        case VerifyKind::image: return "parts of the image that were not found";
    }
    return "?";
}

}  // namespace

std::string render_verify_json(const VerifyReport& report) {
    std::string out;
    const Sink sink = [&](std::string_view piece) { out += piece; };
    DocumentWriter writer(sink);
    writer.member("schema", kVerifySchema);
    writer.member("image", report.image);
    writer.member("plan_sha256", report.plan_sha256);
    writer.member("verified", report.findings.empty());
    writer.member("seed", report.seed);
    writer.member("rounds_each", report.rounds_each);
    writer.member("writes", report.writes);
    writer.member("stubs", report.stubs);
    writer.member("patches", report.patches);
    writer.member("proved", report.proved);
    writer.member("rounds", report.rounds);
    writer.member("critical_reached", report.critical_reached);
    writer.member("critical_swept", report.critical_swept);
    writer.list("parts", report.parts.size(), [&](std::size_t i) { return part_to_json(report.parts[i]); });
    writer.list("goals", report.goals.size(), [&](std::size_t i) { return goal_to_json(report.goals[i]); });
    writer.list("findings", report.findings.size(), [&](std::size_t i) { return finding_to_json(report.findings[i]); });
    writer.member("notes", report.notes);
    writer.end();
    return out;
}

std::string render_verify_text(const VerifyReport& report, std::size_t most) {
    std::string out = fmt::format("{}: {} of {} patches proved in {} rounds (seed {}); {} writes and {} stubs compared\n", printable(report.image), report.proved, report.patches,
                                  report.rounds, report.seed, report.writes, report.stubs);
    out += fmt::format("re-scan: {} critical instructions are reached outside the stubs, {} more are only swept or hidden\n", report.critical_reached, report.critical_swept);
    if (report.parts.size() > 1) out += parts_text(report);
    std::size_t reports = 0;
    for (const VerifyKind kind : kAllVerifyKinds) {
        const auto count = static_cast<std::size_t>(std::count_if(report.findings.begin(), report.findings.end(), [&](const VerifyFinding& f) { return f.kind == kind; }));
        if (count == 0) continue;
        out += fmt::format("{}: {}\n", title(kind), count);
        std::size_t shown = 0;
        for (const VerifyFinding& finding : report.findings) {
            if (finding.kind != kind) continue;
            if (most != 0 && shown++ == most) {
                out += fmt::format("  and {} more (--all)\n", count - most);
                break;
            }
            out += "  ";
            if (!finding.part.empty()) out += finding.part + " ";
            if (kind != VerifyKind::image) out += fmt::format("{:#x} ", finding.address);
            if (!finding.symbol.empty()) out += fmt::format("{}+{:#x} ", printable(finding.symbol), finding.symbol_offset);
            out += printable(finding.text) + "\n";
            if (finding.report.empty() || reports++ >= kMostReports) continue;
            for (std::size_t at = 0; at < finding.report.size();) {
                const std::size_t end = std::min(finding.report.find('\n', at), finding.report.size());
                out += "    " + printable(finding.report.substr(at, end - at)) + "\n";
                at = end + 1;
            }
        }
    }
    for (const std::string& note : report.notes) out += "note: " + printable(note) + "\n";
    out += report.findings.empty() ? "verified\n" : fmt::format("not verified: {} findings\n", report.findings.size());
    return out;
}

}  // namespace trapline::reports
