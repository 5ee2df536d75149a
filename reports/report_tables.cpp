// SPDX-License-Identifier: Apache-2.0
// Markup is written in place; every text that is not a literal goes through html_text.
#include "reports/report_tables.h"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>

#include "reports/markup.h"
#include "reports/technique_table.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
std::string render_cards(const ScanDocument& scan, const Tally& counts) {
    std::string out = card(counts.critical.total() == 0 ? "good" : "bad", grouped(counts.critical.total()), fmt::format("critical site{}", plural(counts.critical.total())));
    out += card("", grouped(counts.functions.size()), fmt::format("function{} with a critical site", plural(counts.functions.size())));
    out += card("", grouped(counts.sets.critical.forms), fmt::format("critical instruction form{}", plural(counts.sets.critical.forms)));
    out += card("", grouped(counts.sets.privileged.sites), fmt::format("site{} that trap{}", plural(counts.sets.privileged.sites), counts.sets.privileged.sites == 1 ? "s" : ""));
    return out + card(scan.overrides == 0 ? "good" : "bad", grouped(scan.overrides), fmt::format("tag{} forced by hand", plural(scan.overrides)));
}

std::string render_plan_cards(const PlanDocument& plan, bool alone) {
    const PlanTally planned = tally(plan);
    std::string out;
    if (alone) {
        out += card("", grouped(plan.sites.size()), fmt::format("site{}", plural(plan.sites.size())));
        out += card("", grouped(planned.critical), "of them critical");
        out += card("", grouped(plan.patches.size()), plan.patches.size() == 1 ? "patch" : "patches");
        out += card("", grouped(plan.stubs.size()), fmt::format("stub{}", plural(plan.stubs.size())));
    }
    return out + card(planned.left_critical == 0 ? "good" : "bad", grouped(planned.left_critical), fmt::format("critical site{} left without a technique", plural(planned.left_critical)));
}

std::string render_facts(const ScanDocument& scan, const ReportExtras& extras) {
    std::string wrappers;
    for (const std::string& wrapper : scan.wrappers) wrappers += (wrappers.empty() ? "" : " \xE2\x86\x92 ") + wrapper;
    std::uint64_t code = 0, instructions = 0;
    for (const SectionSummary& section : scan.sections) {
        code += section.size;
        instructions += section.instructions;
    }
    std::string out = "<dl class=\"facts\">\n";
    out += fact("Format", fmt::format("{} {}{}", scan.format, scan.architecture, scan.relocatable ? ", relocatable" : ""));
    out += fact("Taken out of", wrappers);
    out += fact("Size", fmt::format("{} ({} bytes)", readable_size(scan.size), grouped(scan.size)));
    out += fact("Code", fmt::format("{} instructions in {}, {} section{}", grouped(instructions), readable_size(code), scan.sections.size(), plural(scan.sections.size())));
    out += fact("Symbols", scan.symbol_source.empty() ? "none" : scan.symbol_source);
    out += fact("SHA-256", scan.sha256, true);
    out += fact("Build id", scan.build_id, true);
    out += fact("Profile", scan.profile);
    out += fact("Database", scan.database_version, true);
    out += fact("Program", scan.program_version.empty() ? "" : "trapline " + scan.program_version);
    for (const auto& [name, value] : extras.facts) out += fact(name, value);
    return out + "</dl>\n";
}

std::string render_plan_facts(const PlanDocument& plan) {
    std::string ranges;
    for (const ReservedRange& range : plan.reserved)
        ranges += fmt::format("{}{} {} to {}", ranges.empty() ? "" : ", ", range.what, hex_address(range.begin), hex_address(range.end));
    std::string parts;
    for (const PlanImage& part : plan.parts)
        parts += fmt::format("{}{}{}{}, {}", parts.empty() ? "" : "; ", part.part, part.part.empty() ? "" : ": ", part.architecture, readable_size(part.size));
    std::string out = "<dl class=\"facts\">\n";
    out += fact("Interface", plan.abi + (plan.abi_version.empty() ? "" : " " + plan.abi_version));
    out += fact("Technique", plan.technique);
    out += fact("Parts", parts);
    out += fact("SHA-256", plan.sha256, true);
    out += fact("Build id", plan.build_id, true);
    out += fact("Profile", plan.profile);
    out += fact("Reserved", ranges);
    out += fact("Database", plan.database_version, true);
    out += fact("Program", plan.program_version.empty() ? "" : "trapline " + plan.program_version);
    return out + "</dl>\n";
}

std::string render_verdict(const std::string& text) {
    if (text.empty()) return {};
    std::string out = "<section class=\"verdict\" aria-labelledby=\"verdict\"><h2 id=\"verdict\">Verdict</h2>\n";
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find("\n\n", at), text.size());
        std::string paragraph;
        for (std::size_t line = at; line < end;) {
            const std::size_t stop = std::min(text.find('\n', line), end);
            paragraph += (paragraph.empty() ? "" : "<br>") + html_text(std::string_view(text).substr(line, stop - line));
            line = stop + 1;
        }
        if (!paragraph.empty()) out += "<p>" + paragraph + "</p>\n";
        at = end + 2;
    }
    return out + "</section>\n";
}

std::string render_tag_table(const ScanDocument& scan, const Tally& counts) {
    std::string out = open_table("Sites and forms by tag", {{"Set"}, {"Sites", true}, {"Forms", true}, {"Meaning"}});
    const auto row = [&](std::string_view css_class, std::string_view name, const SetCount& count, std::string_view meaning) {
        out += fmt::format("<tr><th scope=\"row\"><span class=\"key {}\"></span>{}</th>{}{}<td>{}</td></tr>\n", css_class, name, number_cell(count.sites), number_cell(count.forms), meaning);
    };
    row("critical", "critical", counts.sets.critical, "sensitive and does not trap: must be replaced or translated");
    row("privileged", "privileged", counts.sets.privileged,
        fmt::format("traps in user mode: {} always, {} because the profile sets the control bit", grouped(counts.privileged_always), grouped(counts.conditional_covered)));
    row("control", "control-sensitive", counts.sets.control, "changes the mode or the resources of the machine, untrapped, in some state");
    row("behavior", "behavior-sensitive", counts.sets.behavior,
        fmt::format("its result shows the mode ({}), the resources ({}) or both ({})", grouped(counts.behavior_mode), grouped(counts.behavior_location), grouped(counts.behavior_both)));
    row("", "in no set", counts.sets.regions[0], "conditional and not sensitive: harmless where the bit is clear");
    out += kCloseTable;
    if (!counts.conditional.empty()) {
        out += "<p>Conditional sites by the control bit that decides: ";
        bool first = true;
        for (const auto& [token, count] : counts.conditional) {
            out += fmt::format("{}<code>{}</code> {}", first ? "" : ", ", html_text(token), grouped(count));
            first = false;
        }
        out += fmt::format(". Profile: {}.</p>\n", html_text(scan.profile));
    }
    return out;
}

std::string render_mnemonic_bars(const Tally& counts) {
    if (counts.mnemonics.empty()) return "<p>No critical site.</p>\n";
    constexpr std::size_t kRows = 40;
    const double most = static_cast<double>(counts.mnemonics.front().critical.total());
    std::string out = "<p class=\"legend\"><span class=\"key reached\"></span>reached <span class=\"key swept\"></span>swept <span class=\"key hidden-evidence\"></span>hidden</p>\n"
                      "<table class=\"bars\"><caption class=\"hidden\">Critical sites by mnemonic</caption><thead class=\"hidden\"><tr><th scope=\"col\">Mnemonic</th>"
                      "<th scope=\"col\">Reached, swept, hidden</th><th scope=\"col\">Sites</th></tr></thead><tbody>\n";
    for (std::size_t i = 0; i < counts.mnemonics.size() && i < kRows; ++i) {
        const MnemonicCount& mnemonic = counts.mnemonics[i];
        const EvidenceCounts& sites = mnemonic.critical;
        const std::string detail = fmt::format("{} reached, {} swept, {} hidden", grouped(sites.reached), grouped(sites.swept), grouped(sites.hidden));
        out += fmt::format("<tr>{}<td><div class=\"bar\" role=\"img\" aria-label=\"{}\" title=\"{}\">", row_head(mnemonic.mnemonic), detail, detail);
        const std::pair<std::string_view, std::uint64_t> parts[] = {{"reached", sites.reached}, {"swept", sites.swept}, {"hidden-evidence", sites.hidden}};
        for (const auto& [css_class, count] : parts)
            if (count != 0) out += fmt::format("<i class=\"{}\" style=\"width:{:.2f}%\"></i>", css_class, 100.0 * static_cast<double>(count) / most);
        out += fmt::format("</div></td>{}</tr>\n", number_cell(sites.total()));
    }
    out += "</tbody></table>\n";
    if (counts.mnemonics.size() > kRows) {
        std::uint64_t rest = 0;
        for (std::size_t i = kRows; i < counts.mnemonics.size(); ++i) rest += counts.mnemonics[i].critical.total();
        out += fmt::format("<p>{} more mnemonics with {} sites.</p>\n", counts.mnemonics.size() - kRows, grouped(rest));
    }
    return out;
}

std::string render_techniques(const PlanDocument* plan) {
    if (plan == nullptr) return "<p>No plan was made.</p>\n";
    const PlanTally counts = tally(*plan);
    if (plan->sites.empty()) return "<p>Nothing is to be patched.</p>\n";
    std::string out = "<h3>By technique</h3>\n" + render_technique_html(technique_table(*plan));
    out += "<h3>By operation</h3>\n" + open_table("Sites by operation", {{"Operation"}, {"Critical", true}, {"All", true}, {"Techniques"}});
    for (const OperationCount& operation : counts.operations) {
        std::string techniques;
        for (const auto& [technique, count] : operation.techniques) techniques += fmt::format("{}{} {}", techniques.empty() ? "" : ", ", to_string(technique), grouped(count));
        out += fmt::format("<tr>{}{}{}<td>{}</td></tr>\n", row_head(operation.operation.empty() ? "(none named)" : operation.operation), number_cell(operation.critical),
                           number_cell(operation.sites), techniques);
    }
    out += kCloseTable;
    out += "<h3>What is left</h3>\n";
    if (counts.left.empty()) return out + "<p>Nothing: every site has a technique.</p>\n";
    out += open_table("Sites that are left, with reasons", {{"Form"}, {"Sites", true}, {"Critical", true}, {"First at"}, {"Reason"}});
    constexpr std::size_t kRows = 200;
    for (std::size_t i = 0; i < counts.left.size() && i < kRows; ++i) {
        const LeftCount& group = counts.left[i];
        out += fmt::format("<tr>{}{}{}<td><code>{}</code></td><td class=\"prose\">{}</td></tr>\n", row_head(group.form), number_cell(group.sites),
                           number_cell(group.critical, "bad"), hex_address(group.example->address), html_text(group.why));
    }
    out += kCloseTable;
    if (counts.left.size() > kRows) out += fmt::format("<p>{} more reasons are in plan.json.</p>\n", counts.left.size() - kRows);
    return out;
}

std::string render_function_rows(const Tally& counts, std::size_t top) {
    if (counts.functions.empty()) return "<p>No critical site.</p>\n";
    std::string out = open_table("Functions with the most critical sites", {{"Function"}, {"Section"}, {"Critical", true}, {"All", true}});
    for (std::size_t i = 0; i < counts.functions.size() && i < top; ++i) {
        const FunctionCount& function = counts.functions[i];
        out += fmt::format("<tr>{}<td><code>{}</code></td>{}{}</tr>\n", row_head(function.symbol.empty() ? "(no symbol)" : function.symbol), html_text(function.section),
                           number_cell(function.critical), number_cell(function.findings));
    }
    return out + std::string(kCloseTable);
}

std::string render_section_table(const Tally& counts) {
    if (counts.sections.empty()) return "<p>No executable section.</p>\n";
    std::string out = open_table("Sections: code and critical sites by evidence", {{"Section"}, {"Address"}, {"Size", true}, {"Instructions", true}, {"Padding", true}, {"Reached", true},
                                                  {"Undecodable", true}, {"Findings", true}, {"Critical: reached / swept / hidden", true}});
    constexpr std::size_t kRows = 200;
    std::size_t shown = 0;
    for (const SectionCount& section : counts.sections) {
        if (shown == kRows) break;
        // In a file of thousands of sections only those with findings tell anything.
        if (counts.sections.size() > kRows && section.findings == 0) continue;
        ++shown;
        const SectionSummary& summary = section.summary;
        out += fmt::format("<tr>{}<td><code>{}</code></td><td class=\"number\">{}</td>{}<td class=\"number\">{}</td><td class=\"number\">{}</td>{}{}<td class=\"number\">{} / {} / {}</td></tr>\n", row_head(section_label(summary.part, summary.name)),
                           hex_address(summary.address), readable_size(summary.size), number_cell(summary.instructions), html_text(percentage(summary.padding_bytes, summary.size)),
                           html_text(percentage(summary.reached_bytes, summary.size)), number_cell(summary.undecodable_bytes), number_cell(section.findings),
                           grouped(section.critical.reached), grouped(section.critical.swept), grouped(section.critical.hidden));
    }
    out += kCloseTable;
    if (shown < counts.sections.size()) out += fmt::format("<p>{} of {} sections are shown; all are in scan.json.</p>\n", shown, grouped(counts.sections.size()));
    return out;
}

std::string render_context_table(const Tally& counts) {
    if (counts.contexts.empty()) return "<p>No kernel table bears on a critical site.</p>\n";
    std::string out = open_table("Critical sites by kernel table", {{"Table"}, {"Critical sites", true}});
    for (const auto& [kind, count] : counts.contexts) out += fmt::format("<tr>{}{}</tr>\n", row_head(kind, false), number_cell(count));
    return out + std::string(kCloseTable);
}

std::string render_disagreements(const Tally& counts) {
    if (counts.disagreements.empty()) return "<p>No decoder differs on a finding.</p>\n";
    std::uint64_t unexplained = 0;
    for (const DisagreementCount& group : counts.disagreements) unexplained += group.reason.empty() ? group.count : 0;
    std::string out = fmt::format("<p>{} finding{} on which a decoder differs; {} difference{} unexplained.</p>\n", grouped(counts.disagreeing_findings),
                                  plural(counts.disagreeing_findings), grouped(unexplained), plural(unexplained));
    out += open_table("Decoder disagreements", {{"Decoder"}, {"Form"}, {"Says"}, {"Sites", true}, {"First at"}, {"Reason"}});
    constexpr std::size_t kRows = 200;
    for (std::size_t i = 0; i < counts.disagreements.size() && i < kRows; ++i) {
        const DisagreementCount& group = counts.disagreements[i];
        out += fmt::format("<tr>{}<td><code>{}</code></td><td>{}</td>{}<td><code>{}</code></td><td class=\"prose\">{}</td></tr>\n", row_head(group.decoder, false), html_text(group.form),
                           html_text(group.says), number_cell(group.count), hex_address(group.example->address),
                           group.reason.empty() ? "<strong class=\"bad\">unexplained</strong>" : html_text(group.reason));
    }
    out += kCloseTable;
    if (counts.disagreements.size() > kRows) out += fmt::format("<p>{} more kinds are in scan.json.</p>\n", counts.disagreements.size() - kRows);
    return out;
}

std::string render_notes(const std::vector<std::string>& notes) {
    constexpr std::size_t kNotes = 200;
    std::string out = "<ul>\n";
    for (std::size_t i = 0; i < notes.size() && i < kNotes; ++i) out += "<li>" + html_text(notes[i]) + "</li>\n";
    if (notes.size() > kNotes) out += fmt::format("<li>{} more are in the document.</li>\n", notes.size() - kNotes);
    return out + "</ul>\n";
}

}  // namespace trapline::reports
