// SPDX-License-Identifier: Apache-2.0
#include "reports/run_tally.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <tuple>
#include <unordered_map>

namespace trapline::reports {
namespace {

bool is_kernel_part(std::string_view part) { return part.empty() || part == "payload"; }

/// The sites of a document by address. One address may have several, of which the one with the right bytes is meant.
template <class Site>
class SitesByAddress {
public:
    explicit SitesByAddress(const std::vector<Site>* sites) {
        if (sites == nullptr) return;
        for (const Site& site : *sites)
            if (is_kernel_part(site.part)) sites_.emplace(site.address, &site);
    }
    /// The site at the address with these bytes, and whether there is any at the address.
    std::pair<const Site*, bool> find(const RunSite& run) const {
        const auto [begin, end] = sites_.equal_range(run.address);
        for (auto at = begin; at != end; ++at)
            if (at->second->bytes == run.bytes) return {at->second, true};
        return {nullptr, begin != end};
    }

private:
    std::unordered_multimap<std::uint64_t, const Site*> sites_;
};

void add(RunCount& to, const RunCount& from) {
    to.count = saturating_sum(to.count, from.count);
    to.nanoseconds = saturating_sum(to.nanoseconds, from.nanoseconds);
}

}  // namespace

std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b) { return a > std::numeric_limits<std::uint64_t>::max() - b ? std::numeric_limits<std::uint64_t>::max() : a + b; }

RunCount total(const RunCounts& counts) {
    RunCount sum;
    for (const RunCount& one : counts) add(sum, one);
    return sum;
}

std::uint64_t by_signal(const RunCounts& counts) {
    static_assert(kRunArrivals[0] == "trap" && kRunArrivals[1] == "breakpoint");
    return saturating_sum(counts[0].count, counts[1].count);
}

void ExecutedGroup::add(const ExecutedSite& site) {
    ++sites;
    for (std::size_t i = 0; i < arrivals.size(); ++i) reports::add(arrivals[i], site.site->arrivals[i]);
    reports::add(total, site.total);
}

RunTally tally(const RunStatistics& run, const ScanDocument* scan, const PlanDocument* plan) {
    const SitesByAddress<Finding> findings(scan == nullptr ? nullptr : &scan->findings);
    const SitesByAddress<PlannedSite> planned(plan == nullptr ? nullptr : &plan->sites);
    RunTally counts;
    std::map<std::string_view, ExecutedFunction> functions;
    for (const RunSite& site : run.sites) {
        ExecutedSite executed{&site, nullptr, nullptr, SiteStanding::elsewhere, total(site.arrivals)};
        if (is_kernel_part(site.part)) {
            const auto [finding, any_finding] = findings.find(site);
            const auto [plan_site, any_planned] = planned.find(site);
            executed.finding = finding;
            executed.planned = plan_site;
            executed.standing = finding != nullptr || plan_site != nullptr ? SiteStanding::listed : any_finding || any_planned ? SiteStanding::rewritten : SiteStanding::unlisted;
        }
        add(counts.total, executed.total);
        if (executed.planned != nullptr) counts.by_technique[executed.planned->technique].add(executed);
        else counts.not_planned[executed.standing].add(executed);
        const std::string_view symbol = executed.planned != nullptr ? executed.planned->symbol : executed.finding != nullptr ? executed.finding->symbol : std::string_view();
        if (!symbol.empty()) {
            ExecutedFunction& function = functions[symbol];
            ++function.sites;
            add(function.total, executed.total);
        }
        counts.sites.push_back(executed);
    }
    std::sort(counts.sites.begin(), counts.sites.end(), [](const ExecutedSite& a, const ExecutedSite& b) {
        return std::tie(b.total.count, a.site->part, a.site->address) < std::tie(a.total.count, b.site->part, b.site->address);
    });
    for (auto& [symbol, function] : functions) {
        function.symbol = symbol;
        counts.functions.push_back(std::move(function));
    }
    std::stable_sort(counts.functions.begin(), counts.functions.end(), [](const ExecutedFunction& a, const ExecutedFunction& b) { return a.total.count > b.total.count; });
    return counts;
}

std::string_view text_of(const ExecutedSite& site) {
    if (site.planned != nullptr) return site.planned->text;
    if (site.finding != nullptr) return site.finding->text;
    return site.site->mnemonic;
}

std::string place_of(const ExecutedSite& site) {
    const auto name = [](const auto& one) { return one.symbol.empty() ? std::string() : fmt::format("{}+{:#x}", one.symbol, one.symbol_offset); };
    if (site.planned != nullptr) return name(*site.planned);
    return site.finding != nullptr ? name(*site.finding) : std::string();
}

}  // namespace trapline::reports
