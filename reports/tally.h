// SPDX-License-Identifier: Apache-2.0
// What the reports count: one pass over the findings of a scan, grouped in the ways that people ask about.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::reports {

/// Counts of sites by evidence.
struct EvidenceCounts {
    std::uint64_t reached = 0, swept = 0, hidden = 0;
    void add(Evidence evidence);
    std::uint64_t total() const { return reached + swept + hidden; }
};

/// A set of findings: its sites, and how many distinct forms they are of.
struct SetCount {
    std::uint64_t sites = 0;
    std::uint64_t forms = 0;
};

/// The memberships that make up the Popek-Goldberg sets, as bits of an index into SetRegions::regions.
enum SetBit : unsigned { kPrivilegedSet = 1, kControlSet = 2, kBehaviorSet = 4 };

/// The sets and the regions that they cut each other into. A form whose tags differ between modes counts as a form in
/// each region where it has sites, so forms of regions need not add up to forms of a set; sites always do.
struct SetRegions {
    std::array<SetCount, 8> regions;  ///< [0] is in no set: conditional, not sensitive
    SetCount privileged, control, behavior, sensitive, critical;
};

struct MnemonicCount {
    std::string mnemonic;
    EvidenceCounts critical;
};

/// Critical sites of one function. `symbol` is empty for the sites of a section that no symbol covers.
struct FunctionCount {
    std::string section, symbol;  ///< `section` is its section_label
    std::uint64_t critical = 0;
    std::uint64_t findings = 0;
    std::map<std::string, std::uint64_t> mnemonics;  ///< of the critical sites
};

/// Findings of one section beside the sweep's summary of it (SectionLookup says which findings those are).
struct SectionCount {
    SectionSummary summary;
    EvidenceCounts critical;
    std::uint64_t findings = 0;
};

/// Findings on which a decoder differs in one way, with the first of them as an example.
struct DisagreementCount {
    std::string decoder, form, says, reason;
    std::uint64_t count = 0;
    const Finding* example = nullptr;  ///< points into the tallied document
};

/// Names a section for people: ".text", and in a bzImage "setup:.text", for its parts have sections of the same names.
std::string section_label(const std::string& part, const std::string& section);

/// Finds the section summary that a finding stands in, by part, name and address. Views into the document.
class SectionLookup {
public:
    explicit SectionLookup(const ScanDocument& document);
    /// Relocatable files have many sections of one name, all at address 0: the first that can hold the finding is taken.
    std::optional<std::size_t> find(const Finding& finding) const;

private:
    const ScanDocument& document_;
    std::map<std::pair<std::string_view, std::string_view>, std::vector<std::size_t>> by_name_;  // part, name
};

/// The counts of one document. Holds views into it: the document must outlive the tally.
struct Tally {
    std::uint64_t findings = 0;
    std::uint64_t privileged_always = 0;                 ///< privileged = yes
    std::map<std::string, std::uint64_t> conditional;    ///< sites by TOKEN
    std::uint64_t conditional_covered = 0;               ///< conditional, sensitive, and the profile sets the bit
    std::uint64_t behavior_mode = 0, behavior_location = 0, behavior_both = 0;
    EvidenceCounts all, critical;
    SetRegions sets;
    std::vector<MnemonicCount> mnemonics;                ///< with critical sites; most first, then by name
    std::vector<FunctionCount> functions;                ///< with critical sites; most first, then section, symbol
    std::vector<SectionCount> sections;                  ///< in the document's order
    std::map<std::string, std::uint64_t> contexts;       ///< critical sites by kind of context
    std::uint64_t disagreeing_findings = 0;
    std::vector<DisagreementCount> disagreements;        ///< unexplained first, then most first
};

/// Counts a document.
Tally tally(const ScanDocument& document);

/// Says whether a finding traps under the document's profile: it is privileged, or conditional with the bit set by the
/// VMM. The document does not carry the bit; that a conditional, sensitive site is not critical says that it is set. For
/// a conditional site that is not sensitive nothing says so, and it counts as not trapping.
bool traps(const Finding& finding);
bool is_conditional(const Finding& finding);
bool is_sensitive(const Finding& finding);

/// Orders counts for people: most first, equals by name.
std::vector<std::pair<std::string, std::uint64_t>> most_first(const std::map<std::string, std::uint64_t>& counts);

/// One kind of work of a plan: what operation its sites ask for, and by which technique.
struct OperationCount {
    std::string operation;
    std::map<Technique, std::uint64_t> techniques;
    std::uint64_t sites = 0, critical = 0;
};
/// Sites a plan leaves as they are, for one reason.
struct LeftCount {
    std::string form, why;
    std::uint64_t sites = 0, critical = 0;
    const PlannedSite* example = nullptr;  ///< points into the tallied plan
};
struct PlanTally {
    std::map<Technique, std::uint64_t> techniques, critical_techniques;
    std::vector<OperationCount> operations;  ///< most critical sites first, then most sites, then by name
    std::vector<LeftCount> left;             ///< technique unplanned; most critical sites first
    std::uint64_t critical = 0, left_sites = 0, left_critical = 0;
};
PlanTally tally(const PlanDocument& plan);

}  // namespace trapline::reports
