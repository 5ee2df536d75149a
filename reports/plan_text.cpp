// SPDX-License-Identifier: Apache-2.0
// Columns are wide enough for what is usual; what is longer pushes the rest to the right.
#include "reports/plan_text.h"

#include <fmt/format.h>

#include "reports/technique_table.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

std::string place_of(const PlannedSite& site) {
    std::string place = printable(site.symbol.empty() ? site.section : site.symbol);
    if (!site.symbol.empty() && site.symbol_offset != 0) place += fmt::format("+{:#x}", site.symbol_offset);
    if (!site.source_file.empty()) place += fmt::format(" {}:{}", printable(site.source_file), site.source_line);
    return place;
}

/// The first stub of a site's patch; empty without one.
std::string stub_of(const PlanDocument& plan, const PlannedSite& site) {
    if (!site.patch || *site.patch >= plan.patches.size() || plan.patches[*site.patch].stubs.empty()) return {};
    const std::uint32_t stub = plan.patches[*site.patch].stubs.front();
    return stub < plan.stubs.size() ? hex_address(plan.stubs[stub].address) : std::string();
}

std::string cost_of(const PlannedSite& site) {
    return site.cycles_trap == 0 && site.cycles == 0 ? std::string() : fmt::format("{:.0f} > {:.0f}", site.cycles_trap, site.cycles);
}

void write_head(const PlanDocument& plan, const Sink& sink) {
    sink(fmt::format("{}: {} sites under {}, interface {}, technique {}\n", printable(plan.image), grouped(plan.sites.size()), printable(plan.profile),
                     plan.abi.empty() ? "none" : printable(plan.abi + " " + plan.abi_version), printable(plan.technique)));
    for (const PlanImage& part : plan.parts)
        sink(fmt::format("  {}{}sha256 {}{}\n", printable(part.part), part.part.empty() ? "" : ": ", part.sha256.empty() ? "-" : printable(part.sha256),
                         part.relocatable ? "; addresses are section-relative" : ""));
    for (const ReservedRange& range : plan.reserved) sink(fmt::format("  reserved [{}, {}) {}\n", hex_address(range.begin), hex_address(range.end), printable(range.what)));
    std::size_t stub_bytes = 0;
    for (const PlanStub& stub : plan.stubs) stub_bytes += stub.bytes.size();
    if (!plan.patches.empty())
        sink(fmt::format("  {} patches, {} stubs of {}\n", grouped(plan.patches.size()), grouped(plan.stubs.size()), readable_size(stub_bytes)));
    sink("\n");
}

}  // namespace

void write_plan_text(const PlanDocument& plan, const Sink& sink) {
    write_head(plan, sink);
    if (!plan.sites.empty())
        sink(fmt::format("{:>18} {:<8} {:<11} {:>6} {:<18} {:>14}  {:<24} {:<24} {}\n", "address", "part", "technique", "patch", "stub", "cycles", "instruction", "operation", "place"));
    for (const PlannedSite& site : plan.sites) {
        sink(fmt::format("{:>18} {:<8} {:<11} {:>6} {:<18} {:>14}  {:<24} {:<24} {}\n", hex_address(site.address), printable(site.part), to_string(site.technique),
                         site.patch ? std::to_string(*site.patch) : "", stub_of(plan, site), cost_of(site), printable(site.text), printable(site.operation), place_of(site)));
        if (site.technique == Technique::unplanned || site.technique == Technique::breakpoint) sink(fmt::format("{:18} {}\n", "", printable(site.why)));
        if (site.technique == Technique::unplanned || site.technique == Technique::breakpoint)
            for (const Refusal& refusal : site.refused) sink(fmt::format("{:18} not {}: {}\n", "", to_string(refusal.technique), printable(refusal.reason)));
    }
    if (!plan.sites.empty()) sink("\n");
    sink(render_technique_text(technique_table(plan)));
    for (const std::string& note : plan.notes) sink("note: " + printable(note) + "\n");
}

}  // namespace trapline::reports
