// SPDX-License-Identifier: Apache-2.0
#include "cli/scan_report.h"

#include <fmt/core.h>

#include "classify/theorem.h"

namespace trapline::cli {

namespace {

/// The interface that reports measure the distance to.
constexpr std::string_view kPort = "xen-pv";

std::string verdict_text(const classify::Verdict& verdict) {
    std::string modes;
    for (Mode mode : kAllModes)
        if (verdict.modes.contains(mode)) modes += (modes.empty() ? "" : ", ") + std::string(to_string(mode));
    std::string text = fmt::format("Asked of every form that the database lists for the modes of this image's code ({}), under {}.", modes, verdict.profile->id);
    for (const classify::TheoremAnswer& answer : verdict.theorems)
        text += fmt::format("\n\nTheorem {}: {}. Here the condition {}: {}.", answer.theorem, answer.statement, answer.met ? "holds" : "is not met", answer.why);
    return text;
}

}  // namespace

const std::string& ScanCommentary::verdict_of(const ScanDocument& scan) {
    ModeSet modes;
    for (const Finding& finding : scan.findings)
        if (const auto mode = parse_mode(finding.decode_mode)) modes.insert(*mode);
    if (modes.bits == 0) modes.insert(scan.architecture == "x86_64" ? Mode::long64 : Mode::protected32);
    std::string& text = verdicts_[modes.bits];
    if (text.empty()) text = verdict_text(classify::judge(database_, tags_, modes));
    return text;
}

std::optional<AbiDistance> ScanCommentary::distance_of(const ScanDocument& scan) const {
    const isa::Abi* port = database_.find_abi(kPort);
    if (port == nullptr) return std::nullopt;
    return patch::measure_abi_distance(scan, database_, *port);
}

}  // namespace trapline::cli
