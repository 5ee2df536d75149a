// SPDX-License-Identifier: Apache-2.0
// Times were taken in ticks of the time-stamp counter; the run's own length in both units gives the rate.
#include "executor/host/collect_statistics.h"

#include <algorithm>
#include <map>

#include "executor/host/sandbox.h"

namespace trapline::executor {
namespace {

std::uint64_t executions(const RunCounts& counts) {
    std::uint64_t sum = 0;
    for (const RunCount& one : counts) sum += one.count;
    return sum;
}

void add(RunCounts& to, const RunCounts& from) {
    for (std::size_t i = 0; i < to.size(); ++i) {
        to[i].count += from[i].count;
        to[i].nanoseconds += from[i].nanoseconds;
    }
}

}  // namespace

std::string_view to_string(RunTechnique technique) {
    switch (technique) {
        case RunTechnique::trap: return "trap";
        case RunTechnique::breakpoint: return "breakpoint";
        case RunTechnique::hypercall: return "hypercall";
        case RunTechnique::automatic: return "auto";
    }
    return "";
}

RunStatistics collect_statistics(const RunRequest& request, const RunResult& result, std::uint64_t memory, const decode::InstructionDecoder& decoder, const PartOf& part_of) {
    static_assert(kRunArrivals.size() == kArrivals);
    const EndedNumbers& numbers = result.ended.numbers;
    const double rate = numbers.wall_ticks == 0 ? 0 : static_cast<double>(numbers.wall_nanoseconds) / static_cast<double>(numbers.wall_ticks);
    // Numbers of the monitor's: any are possible.
    const auto nanoseconds = [&](std::uint64_t ticks) { return static_cast<std::uint64_t>(std::min(rate * static_cast<double>(ticks), 1e18)); };

    RunStatistics out;
    out.protocol = result.started.protocol;
    out.command_line = result.started.command_line;
    out.memory = memory;
    out.technique = to_string(request.technique);
    for (unsigned i = 0; i < kLayers; ++i)
        if ((result.started.layers >> i & 1) != 0) out.containment.emplace_back(to_string(static_cast<Layer>(i)));
    out.ending = to_string(result.why);
    out.detail = result.ended.detail;
    out.code = numbers.code;
    out.wall = numbers.wall_nanoseconds;
    out.guest = nanoseconds(numbers.guest_ticks);
    out.monitor = nanoseconds(numbers.monitor_ticks);
    out.idle = nanoseconds(numbers.idle_ticks);
    out.host = {numbers.host_mappings, 0, numbers.overflows, result.peak_memory};
    out.exits = {{"entries", numbers.entries}, {"signals", numbers.signals}, {"hypercalls", numbers.hypercalls}, {"kicks", numbers.kicks}, {"interpreted", numbers.interpreted}};
    out.mmu = {{"fills_mapped", numbers.fills[0]}, {"fills_faulted", numbers.fills[1]}, {"fills_interpreted", numbers.fills[2]}, {"fills_refused", numbers.fills[3]},
               {"maps", numbers.maps}, {"unmaps", numbers.unmaps}, {"protects", numbers.protects}, {"flushes", numbers.flushes},
               {"code_pages_scanned", numbers.code_scans}, {"code_writes", numbers.code_writes}, {"code_reads", numbers.code_reads}};
    for (std::uint32_t vector = 0; vector < numbers.delivered.size(); ++vector)
        if (numbers.delivered[vector] != 0) out.events.emplace_back(vector, numbers.delivered[vector]);

    std::map<std::string, RunCounts> mnemonics;
    for (const SiteRecord& record : result.ended.sites) {
        RunSite site;
        site.part = part_of(record.linear);
        site.address = record.linear;
        const decode::Insn insn = decoder.decode(record.bytes, Mode::protected32);
        site.mnemonic = insn.length != 0 ? std::string(decoder.mnemonic(insn.form)) : std::string();
        if (site.mnemonic.empty()) site.mnemonic = "(unknown)";
        site.bytes.assign(record.bytes.begin(), record.bytes.begin() + std::max<std::size_t>(insn.length, 1));
        for (std::size_t i = 0; i < kArrivals; ++i) site.arrivals[i] = {record.counts[2 * i], nanoseconds(record.counts[2 * i + 1])};
        add(out.arrivals, site.arrivals);
        add(mnemonics[site.mnemonic], site.arrivals);
        out.sites.push_back(std::move(site));
    }
    // Each place once: what the monitor sends is not trusted to be so.
    const auto place = [](const RunSite& a) { return std::tie(a.part, a.address); };
    std::sort(out.sites.begin(), out.sites.end(), [&](const RunSite& a, const RunSite& b) { return place(a) < place(b); });
    out.sites.erase(std::unique(out.sites.begin(), out.sites.end(), [&](const RunSite& a, const RunSite& b) { return place(a) == place(b); }), out.sites.end());
    for (auto& [mnemonic, counts] : mnemonics) out.mnemonics.push_back({mnemonic, counts});
    std::stable_sort(out.mnemonics.begin(), out.mnemonics.end(), [](const RunMnemonic& a, const RunMnemonic& b) { return executions(a.arrivals) > executions(b.arrivals); });
    return out;
}

}  // namespace trapline::executor
