// SPDX-License-Identifier: Apache-2.0
// Laid out in rows of label, number and remark; every line is cut at 100 columns.
#include "reports/summary.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>
#include <vector>

#include "reports/abi_distance_text.h"
#include "reports/tally.h"
#include "reports/technique_table.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kBarWidth = 24;

enum class Ink { plain, heading, critical, good, faint };

/// Builds the text. Lines are cut before colour is put on, so escapes never count as columns.
class Page {
public:
    explicit Page(bool colour) : colour_(colour) {}
    void line(std::string_view text, Ink ink = Ink::plain) {
        while (text.ends_with(' ')) text.remove_suffix(1);
        const std::string cut = fitted(text, kWidth);
        const std::string_view code = colour_ ? escape(ink) : "";
        text_ += code.empty() ? cut + "\n" : fmt::format("{}{}\x1b[0m\n", code, cut);
    }
    void heading(std::string_view text) {
        text_ += "\n";
        line(text, Ink::heading);
    }
    /// A row: label, right-aligned number, remark.
    void row(std::string_view label, std::uint64_t count, std::string_view remark, Ink ink = Ink::plain) {
        line(fmt::format("  {:<20} {:>9}  {}", label, grouped(count), remark), ink);
    }
    /// Text of any length, wrapped at blanks, each line indented; all but the first by `hanging` more.
    void paragraph(std::string_view text, std::size_t indent, Ink ink = Ink::plain, std::size_t hanging = 0) {
        std::string current;
        const auto flush = [&] {
            if (!current.empty()) line(std::string(indent, ' ') + current, ink);
            if (!current.empty()) indent += std::exchange(hanging, 0);
            current.clear();
        };
        while (!text.empty()) {
            const std::size_t end = std::min(text.find(' '), text.size());
            const std::string_view word = text.substr(0, end);
            text.remove_prefix(std::min(end + 1, text.size()));
            if (word.empty()) continue;
            if (!current.empty() && indent + columns(current) + 1 + columns(word) > kWidth) flush();
            current += (current.empty() ? "" : " ") + std::string(word);
        }
        flush();
    }
    std::string take() { return std::move(text_); }

private:
    static std::string_view escape(Ink ink) {
        switch (ink) {
            case Ink::plain: return "";
            case Ink::heading: return "\x1b[1m";
            case Ink::critical: return "\x1b[1;31m";
            case Ink::good: return "\x1b[32m";
            case Ink::faint: return "\x1b[2m";
        }
        return "";
    }
    bool colour_;
    std::string text_;
};

std::string bar(std::uint64_t count, std::uint64_t most) {
    if (most == 0) return {};
    const std::uint64_t length = std::max<std::uint64_t>(count == 0 ? 0 : 1, count * kBarWidth / most);
    return std::string(static_cast<std::size_t>(length), '#');
}

/// Names counts in one line: "pushfq 4, cli 2".
std::string enumerate(const std::map<std::string, std::uint64_t>& counts, std::size_t most) {
    const auto sorted = most_first(counts);
    std::string text;
    for (std::size_t i = 0; i < sorted.size() && i < most; ++i)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", printable(sorted[i].first), grouped(sorted[i].second));
    if (sorted.size() > most) text += fmt::format(" and {} more", sorted.size() - most);
    return text;
}

std::string evidence_remark(const EvidenceCounts& counts) {
    return fmt::format("{} reached, {} swept, {} hidden", grouped(counts.reached), grouped(counts.swept), grouped(counts.hidden));
}

void facts(Page& page, const ScanDocument& scan) {
    std::string wrappers;
    for (const std::string& wrapper : scan.wrappers) wrappers += (wrappers.empty() ? ", inside " : " > ") + printable(wrapper);
    page.line(printable(scan.image), Ink::heading);
    page.paragraph(fmt::format("{} {}, {}{}; symbols: {}{}", printable(scan.format), printable(scan.architecture), readable_size(scan.size),
                               wrappers, scan.symbol_source.empty() ? "none" : printable(scan.symbol_source),
                               scan.relocatable ? "; relocatable: addresses are section-relative" : ""), 2);
    page.line(fmt::format("  sha256 {}", scan.sha256.empty() ? "-" : printable(scan.sha256)), Ink::faint);
    if (!scan.build_id.empty()) page.line(fmt::format("  build id {}", printable(scan.build_id)), Ink::faint);
    std::uint64_t instructions = 0, code = 0, padding = 0, undecodable = 0;
    for (const SectionSummary& section : scan.sections) {
        instructions += section.instructions;
        code += section.size;
        padding += section.padding_bytes;
        undecodable += section.undecodable_bytes;
    }
    page.line(fmt::format("  {} instructions in {} of code in {} section{}; padding {}, undecodable {}", grouped(instructions), readable_size(code),
                          scan.sections.size(), scan.sections.size() == 1 ? "" : "s", percentage(padding, code), percentage(undecodable, code)));
    page.line(fmt::format("  profile {}, database {}, {} tag{} forced by hand", printable(scan.profile), printable(scan.database_version), scan.overrides,
                          scan.overrides == 1 ? "" : "s"), scan.overrides == 0 ? Ink::plain : Ink::critical);
}

void tags(Page& page, const Tally& counts) {
    page.heading("Findings by tag");
    std::uint64_t conditional = 0;
    for (const auto& [token, count] : counts.conditional) conditional += count;
    page.row("critical", counts.critical.total(), "sensitive, and does not trap: each must be replaced or translated",
             counts.critical.total() == 0 ? Ink::good : Ink::critical);
    page.row("privileged", counts.privileged_always, "traps in user mode, whatever the state");
    page.row("conditional", conditional, enumerate(counts.conditional, 3));
    page.row("control-sensitive", counts.sets.control.sites, "changes the machine's mode or resources in some untrapped state");
    page.row("behavior-sensitive", counts.sets.behavior.sites,
             fmt::format("by mode {}, by location {}, by both {}", grouped(counts.behavior_mode), grouped(counts.behavior_location), grouped(counts.behavior_both)));
    page.row("all findings", counts.findings, evidence_remark(counts.all));
}

void critical_sites(Page& page, const Tally& counts, std::size_t top) {
    if (counts.critical.total() == 0) return;
    page.heading(fmt::format("Critical sites by mnemonic ({})", evidence_remark(counts.critical)));
    const std::uint64_t most = counts.mnemonics.front().critical.total();
    for (std::size_t i = 0; i < counts.mnemonics.size() && i < top; ++i) {
        const MnemonicCount& mnemonic = counts.mnemonics[i];
        page.row(fitted(printable(mnemonic.mnemonic), 20), mnemonic.critical.total(), bar(mnemonic.critical.total(), most));
    }
    if (counts.mnemonics.size() > top) {
        std::uint64_t rest = 0;
        for (std::size_t i = top; i < counts.mnemonics.size(); ++i) rest += counts.mnemonics[i].critical.total();
        page.row(fmt::format("{} more", counts.mnemonics.size() - top), rest, "", Ink::faint);
    }
    page.heading(fmt::format("Critical sites by function ({} functions)", grouped(counts.functions.size())));
    for (std::size_t i = 0; i < counts.functions.size() && i < top; ++i) {
        const FunctionCount& function = counts.functions[i];
        const std::string name = function.symbol.empty() ? fmt::format("({}, no symbol)", printable(function.section)) : printable(function.symbol);
        page.line(fmt::format("  {:>7}  {:<40} {}", grouped(function.critical), fitted(name, 40), enumerate(function.mnemonics, 3)));
    }
    if (counts.functions.size() > top) page.line(fmt::format("           {} more", grouped(counts.functions.size() - top)), Ink::faint);
    if (!counts.contexts.empty()) {
        page.heading("Where the kernel's own tables bear on critical sites");
        for (const auto& [kind, count] : counts.contexts) page.line(fmt::format("  {:>7}  {}", grouped(count), printable(kind)));
    }
}

/// Says what a whole plan reaches. A plan of intentions has proved nothing and reaches nothing.
void goals(Page& page, const PlanDocument& plan) {
    if (plan.patches.empty()) return;
    const TechniqueTable table = technique_table(plan);
    const PartTechniques& kernel = table.kernel();
    const bool parts = table.parts.size() > 1;
    page.heading(fmt::format("Without a trap or a breakpoint{}, beside E9Patch, and the goals", kernel.part.empty() ? "" : " in the payload"));
    for (const GroupCount& group : kernel.groups) {
        if (group.sites == 0) continue;
        const auto peer = e9patch_share(group.group, kernel);
        page.row(to_string(group.group), group.without_trap, fmt::format("of {}: {}{}", grouped(group.sites), percentage(group.without_trap, group.sites),
                                                                         peer ? fmt::format(" (E9Patch on amd64 6.1: {:.0f} %)", *peer) : ""));
    }
    for (std::size_t i = 0; i < kernel.goals.size(); ++i) {
        const TechniqueGoal &goal = kernel.goals[i], &all = table.all.goals[i];
        if (goal.whole == 0 && all.whole == 0) continue;
        const bool met = goal.met() && all.met();
        page.line(fmt::format("  {}, {} {} %: {}{}, {}", goal.what, goal.at_least ? "at least" : "at most", goal.wanted, percentage(goal.part, goal.whole),
                              parts ? fmt::format("; over all parts {}", percentage(all.part, all.whole)) : "", met ? "met" : "not met"),
                  met ? Ink::good : Ink::critical);
    }
}

void patching(Page& page, const PlanDocument& plan) {
    const PlanTally counts = tally(plan);
    page.heading(fmt::format("How each would be patched ({} sites, {} critical)", grouped(plan.sites.size()), grouped(counts.critical)));
    for (const auto& [technique, count] : counts.techniques) {
        const auto critical = counts.critical_techniques.find(technique);
        const std::uint64_t critical_count = critical == counts.critical_techniques.end() ? 0 : critical->second;
        page.row(to_string(technique), count, fmt::format("{} critical", grouped(critical_count)));
    }
    goals(page, plan);
    page.heading(fmt::format("Left: {} site{}, {} critical", grouped(counts.left_sites), counts.left_sites == 1 ? "" : "s", grouped(counts.left_critical)));
    if (counts.left.empty()) page.line("  Every site has a technique.", Ink::good);
    constexpr std::size_t kGroups = 8;
    for (std::size_t i = 0; i < counts.left.size() && i < kGroups; ++i) {
        const LeftCount& group = counts.left[i];
        page.line(fmt::format("  {:>7}  {}, first at {}", grouped(group.sites), printable(group.form), hex_address(group.example->address)), Ink::critical);
        page.paragraph(printable(group.why), 11, Ink::faint);
    }
    if (counts.left.size() > kGroups) page.line(fmt::format("           {} more reasons in the plan", counts.left.size() - kGroups), Ink::faint);
}

void port(Page& page, const AbiDistance& distance) {
    page.heading(distance_heading(distance));
    for (const DistanceLine& line : distance_totals(distance)) page.row(line.label, line.count, line.remark);
    for (const DistanceLine& line : distance_gaps(distance)) {
        page.line(fmt::format("  {:>7}  {}", grouped(line.count), line.label), Ink::critical);
        page.paragraph(line.remark, 11, Ink::faint);
    }
}

void remarks(Page& page, const ScanDocument& scan, const Tally& counts) {
    if (counts.disagreeing_findings > 0) {
        std::uint64_t unexplained = 0;
        for (const DisagreementCount& group : counts.disagreements) unexplained += group.reason.empty() ? group.count : 0;
        page.heading("Decoders");
        page.line(fmt::format("  {} findings that a decoder reads otherwise; {} difference{} unexplained", grouped(counts.disagreeing_findings), grouped(unexplained), unexplained == 1 ? "" : "s"));
    }
    if (scan.notes.empty()) return;
    page.heading("Notes");
    constexpr std::size_t kNotes = 20;
    for (std::size_t i = 0; i < scan.notes.size() && i < kNotes; ++i) page.paragraph("- " + printable(scan.notes[i]), 2, Ink::plain, 2);
    if (scan.notes.size() > kNotes) page.line(fmt::format("  {} more in scan.json", scan.notes.size() - kNotes), Ink::faint);
}

}  // namespace

std::string render_summary(const ScanDocument& scan, const PlanDocument* plan, const SummaryOptions& options) {
    Page page(options.colour);
    const Tally counts = tally(scan);
    facts(page, scan);
    tags(page, counts);
    critical_sites(page, counts, options.top);
    if (plan != nullptr) patching(page, *plan);
    if (options.distance != nullptr) port(page, *options.distance);
    remarks(page, scan, counts);
    return page.take();
}

}  // namespace trapline::reports
