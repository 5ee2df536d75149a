// SPDX-License-Identifier: Apache-2.0
// What a run executed, joined with what a scan and a plan of the same image say about each place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "executor/host/run_statistics.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::reports {

/// Adds counts of documents; what passes 64 bits stays at the largest number.
std::uint64_t saturating_sum(std::uint64_t a, std::uint64_t b);
RunCount total(const RunCounts& counts);
/// Executions that came by a signal of the host: trapped or by a breakpoint.
std::uint64_t by_signal(const RunCounts& counts);

/// How a place that ran stands to the documents of the image.
enum class SiteStanding : std::uint8_t {
    listed,     ///< a finding or a planned site with the bytes that ran
    rewritten,  ///< one at this address, with other bytes: the guest patches itself (alternatives, jump labels), or an address serves twice
    unlisted,   ///< code of the image that neither document names
    elsewhere,  ///< code that the image does not hold at that address: programs, modules, decompressors, relocated kernels
};

/// One place that ran. Points into the documents, which must outlive it.
struct ExecutedSite {
    const RunSite* site = nullptr;
    const Finding* finding = nullptr;     ///< of the scan, where it is listed
    const PlannedSite* planned = nullptr; ///< of the plan, where it is listed
    SiteStanding standing = SiteStanding::elsewhere;
    RunCount total;
};

/// Executions in one function, as far as the documents name one.
struct ExecutedFunction {
    std::string symbol;
    std::uint64_t sites = 0;
    RunCount total;
};

/// Executed sites of one planned technique, or of one standing without a plan.
struct ExecutedGroup {
    std::uint64_t sites = 0;
    RunCounts arrivals;
    RunCount total;
    void add(const ExecutedSite& site);
};

struct RunTally {
    std::vector<ExecutedSite> sites;                     ///< most executions first, then by part and address
    std::vector<ExecutedFunction> functions;             ///< most executions first; sites without a name are left out
    std::map<Technique, ExecutedGroup> by_technique;     ///< of the sites in the plan
    std::map<SiteStanding, ExecutedGroup> not_planned;   ///< of the sites that the plan lacks; all sites when there is no plan
    RunCount total;
};

/// Joins one run with the documents that there are. Sites go by address within the kernel: the innermost file, which scans
/// and plans call "payload" in a bzImage and nothing in an ELF file.
RunTally tally(const RunStatistics& run, const ScanDocument* scan, const PlanDocument* plan);

/// The text of an executed site: the instruction with operands where a document has it, else the mnemonic.
std::string_view text_of(const ExecutedSite& site);
/// Function of an executed site and the offset in it: "native_irq_disable+0x1"; empty when no document names one.
std::string place_of(const ExecutedSite& site);

}  // namespace trapline::reports
