// SPDX-License-Identifier: Apache-2.0
// Says which block stands where, and puts them into templates/report.html.
#include "reports/report_html.h"

#include <fmt/format.h>
#include <map>
#include <string_view>

#include "reports/abi_distance_text.h"
#include "reports/report_data.h"
#include "reports/report_tables.h"
#include "reports/run_blocks.h"
#include "reports/sets_figure.h"
#include "reports/template.h"
#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

/// Rows that stand in the page itself, for readers without scripts; the script replaces them by the whole table.
constexpr std::size_t kStaticRows = 25;

/// The page's sections as they are put together, with the list of contents that leads to them.
class Sections {
public:
    /// Adds a section; one without a body is left out. Without `contents` the list of contents does not name it.
    void add(std::string_view id, std::string_view contents, std::string_view heading, const std::string& body) {
        if (body.empty()) return;
        if (!contents.empty()) contents_ += fmt::format("<a href=\"#{}\">{}</a> ", id, contents);
        markup_ += fmt::format("<section aria-labelledby=\"{0}\"><h2 id=\"{0}\">{1}</h2>\n{2}</section>\n", id, heading, body);
    }
    /// Adds markup that is no section of its own.
    void add_markup(const std::string& markup) { markup_ += markup; }
    const std::string& contents() const { return contents_; }
    const std::string& markup() const { return markup_; }

private:
    std::string contents_, markup_;
};

/// The sites of a plan as findings, with what a plan knows: whether they are sensitive in which way it does not.
ScanDocument findings_of(const PlanDocument& plan) {
    ScanDocument scan;
    scan.profile = plan.profile;
    for (const PlannedSite& site : plan.sites) {
        Finding finding;
        finding.address = site.address;
        finding.file_offset = site.file_offset;
        finding.part = site.part;
        finding.section = site.section;
        finding.symbol = site.symbol;
        finding.symbol_offset = site.symbol_offset;
        finding.source_file = site.source_file;
        finding.source_line = site.source_line;
        finding.decode_mode = site.mode;
        finding.bytes = site.bytes;
        finding.text = site.text;
        finding.mnemonic = site.mnemonic;
        finding.form = site.form;
        finding.privileged = site.privileged;
        finding.critical = site.critical;
        finding.evidence = site.evidence;
        scan.findings.push_back(std::move(finding));
    }
    return scan;
}

std::string card_list(const std::string& cards) { return cards.empty() ? std::string() : "<ul class=\"cards\">\n" + cards + "</ul>\n"; }

void add_run(Sections& sections, const ReportDocuments& documents, std::size_t number, const RunTally& counts) {
    const RunStatistics& run = *documents.runs[number].statistics;
    const bool only = documents.runs.size() == 1;
    // What stands at the head of the page is not said twice.
    const bool alone = only && documents.scan == nullptr && documents.plan == nullptr;
    const std::string stem = fmt::format("run-{}", number + 1);
    // One run has its blocks in the list of contents; of several each has one entry.
    const auto add = [&](std::string_view id, std::string_view contents, std::string_view heading, const std::string& body) {
        sections.add(stem + std::string(id), only || id.empty() ? contents : std::string_view(), only ? std::string(heading) : fmt::format("Run {}: {}", number + 1, heading), body);
    };
    add("", only ? "Run" : fmt::format("Run {}", number + 1), "What ran", (only ? std::string() : "<p>" + html_text(fitted(printable(documents.runs[number].name), 200)) + "</p>\n") + (alone ? std::string() : card_list(render_run_cards(run, counts))) + render_run_facts(run));
    add("-time", "Time", "Where the time went", render_run_time(run));
    add("-ways", "Ways", "How instructions came to the monitor", render_run_ways(run) + render_run_mnemonics(run));
    add("-sites", "Hottest sites", "The hottest sites",
        fmt::format("<div id=\"{}-site-table\" class=\"hot-sites\">{}</div>\n", stem, render_run_sites(counts, kStaticRows)) +
            (counts.sites.size() > kEmbeddedRunSites ? fmt::format("<p>The table has the {} hottest of {} sites.</p>\n", grouped(kEmbeddedRunSites), grouped(counts.sites.size())) : "") +
            render_run_functions(counts));
    if (documents.plan != nullptr) add("-plan", "Plan and run", "The plan and the run", render_run_plan(run, counts, *documents.plan));
    add("-events", "Events", "Events delivered to the guest", render_run_events(run));
    add("-machine", "Machine", "Exits, memory and limits", render_run_machine(run));
}

std::string kind_of(const ReportDocuments& documents) {
    if (documents.runs.empty()) return documents.scan != nullptr ? "audit" : "plan";
    return documents.scan == nullptr && documents.plan == nullptr ? "run" : "report";
}

std::string title_of(const ReportDocuments& documents) {
    const std::string& title = documents.scan != nullptr ? documents.scan->image : documents.plan != nullptr ? documents.plan->image : documents.runs.empty() ? std::string() : documents.runs[0].statistics->image;
    // A path has 4,096 bytes at most, and few names of images more than 100.
    return html_text(fitted(printable(title), 400));
}

}  // namespace

std::string render_report_html(const ReportDocuments& documents, const ReportExtras& extras) {
    const ScanDocument* const scan = documents.scan;
    const PlanDocument* const plan = documents.plan;
    const bool has_sites = scan != nullptr || plan != nullptr;
    const ScanDocument planned = scan == nullptr && plan != nullptr ? findings_of(*plan) : ScanDocument{};
    const ScanDocument& listed = scan != nullptr ? *scan : planned;
    const Tally counts = tally(listed);
    std::vector<RunTally> runs;
    for (const ReportRun& run : documents.runs) runs.push_back(tally(*run.statistics, scan, plan));

    std::string cards;
    if (scan != nullptr) cards += render_cards(*scan, counts);
    if (plan != nullptr) cards += render_plan_cards(*plan, scan == nullptr);
    if (runs.size() == 1 && !has_sites) cards += render_run_cards(*documents.runs[0].statistics, runs[0]);

    Sections sections;
    sections.add_markup(render_verdict(extras.verdict_text));
    if (scan != nullptr) {
        sections.add("image", "", "Image", render_facts(*scan, extras));
        sections.add("sets", "Sets", "The Popek-Goldberg sets of this image",
                     "<div class=\"split\">\n<figure>" + render_sets_figure(counts.sets, scan->profile) +
                         "<figcaption>Sites, and distinct forms below, in each region. Areas are not proportional. Coloured: sensitive and not privileged.</figcaption></figure>\n<div>" +
                         render_tag_table(*scan, counts) + "</div>\n</div>");
    } else if (plan != nullptr) {
        sections.add("image", "", "Plan", render_plan_facts(*plan));
    }
    if (runs.size() > 1) sections.add("runs", "Runs", "The runs", render_run_comparison(documents.runs));
    for (std::size_t i = 0; i < runs.size(); ++i) add_run(sections, documents, i, runs[i]);
    if (has_sites) {
        sections.add("mnemonics", "By mnemonic", "Critical sites by mnemonic", render_mnemonic_bars(counts));
        sections.add("patching", "Patching", "How each would be patched", render_techniques(plan) + (extras.distance != nullptr ? render_distance_html(*extras.distance) : ""));
        sections.add("functions", "By function", "Critical sites by function", "<div id=\"function-table\">" + render_function_rows(counts, kStaticRows) + "</div>");
    }
    if (scan != nullptr) {
        sections.add("sections", "By section", "By section and evidence",
                     "<div id=\"section-table\">" + render_section_table(counts) + "</div><h3>Kernel tables that bear on critical sites</h3>\n" + render_context_table(counts));
        sections.add("decoders", "Decoders", "Decoder disagreements", render_disagreements(counts));
    }
    if (has_sites)
        sections.add("sites", "Every site", "Every site",
                     fmt::format("<div id=\"site-table\"><noscript><p>This table of {} sites needs scripts, which are off. The documents that it was made of hold the same.</p></noscript></div>", grouped(counts.findings)));
    if (scan != nullptr && !scan->notes.empty()) sections.add("notes", "", "Notes: what could not be understood", render_notes(scan->notes));
    if (plan != nullptr && !plan->notes.empty()) sections.add("plan-notes", "", "Notes of the plan", render_notes(plan->notes));
    sections.add("methods", "Definitions", "Methods and definitions",
                 "<div class=\"methods\">\n" + std::string(has_sites ? find_template("methods.html") : std::string_view()) + std::string(runs.empty() ? std::string_view() : find_template("run_methods.html")) + "</div>\n");

    std::map<std::string_view, std::string> values;
    values["title"] = title_of(documents);
    values["kind"] = kind_of(documents);
    values["about"] = has_sites ? "profile " + html_text(listed.profile) : documents.runs.size() == 1 ? "technique " + html_text(documents.runs[0].statistics->technique) : fmt::format("{} runs", documents.runs.size());
    values["css"] = find_template("report.css");
    values["js"] = std::string(find_template("paged_table.js")) + std::string(find_template("site_tables.js")) + std::string(find_template("run_tables.js"));
    values["skip"] = has_sites ? "sites" : "run-1-sites";
    values["cards"] = card_list(cards);
    values["contents"] = sections.contents();
    values["sections"] = sections.markup();
    values["data"] = make_report_data({listed, plan, counts, runs});
    return fill_template(find_template("report.html"), values);
}

}  // namespace trapline::reports
