// SPDX-License-Identifier: Apache-2.0
// How a plan treats the sites that matter most, by part: per technique, and beside what is published for E9Patch and what
// this project asks of itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "patch/plan.h"

namespace trapline::reports {

/// Sites that are counted together.
enum class SiteGroup : std::uint8_t {
    pushf_popf,    ///< PUSHF, POPF of every operand size
    cli_sti,       ///< CLI, STI
    critical,      ///< every critical site
    flag_related,  ///< critical, or about the interrupt flag (is_flag_related): what the goal on breakpoints speaks of
};
inline constexpr std::array<SiteGroup, 4> kAllSiteGroups = {SiteGroup::pushf_popf, SiteGroup::cli_sti, SiteGroup::critical, SiteGroup::flag_related};
/// Names it for people: "pushf/popf", "cli/sti", "all critical", "critical or IF-related".
std::string_view to_string(SiteGroup group);

/// Whether an instruction reads or writes the interrupt flag by name: CLI, STI, PUSHF*, POPF*, IRET*. A trap or a
/// breakpoint for each of them is never worth it, they are so frequent.
bool is_flag_related(std::string_view mnemonic);

/// Sites of one technique.
struct TechniqueCount {
    Technique technique = Technique::unplanned;
    std::uint64_t sites = 0, critical = 0, flag_related = 0;
};

/// How the sites of one group fare.
struct GroupCount {
    SiteGroup group = SiteGroup::critical;
    std::uint64_t sites = 0;
    std::uint64_t covered = 0;       ///< not unplanned
    std::uint64_t without_trap = 0;  ///< neither trap nor breakpoint nor unplanned nor by hand
    std::uint64_t breakpoints = 0;
};

/// A goal of the project and what the plan reaches, in per cent of a part's sites.
struct TechniqueGoal {
    std::string_view what;                    ///< "critical sites covered"
    double wanted = 0;
    bool at_least = true;                     ///< false: at most
    std::uint64_t part = 0, whole = 0;        ///< the share that is measured; whole 0: nothing to reach
    bool met() const;
};

/// One part of an image, or all of it.
struct PartTechniques {
    std::string part;                         ///< "" for an image without parts and for the sum
    std::string architecture;                 ///< empty for the sum of several parts
    std::uint64_t sites = 0, critical = 0, flag_related = 0;
    std::vector<TechniqueCount> techniques;   ///< those with sites, in the order of kAllTechniques
    std::array<GroupCount, 4> groups;         ///< in the order of kAllSiteGroups
    std::array<TechniqueGoal, 3> goals;
};

struct TechniqueTable {
    bool written = false;                     ///< the plan has patches; otherwise it says intentions, and no goal is judged
    std::vector<PartTechniques> parts;        ///< in the plan's order; those without a site are left out
    PartTechniques all;

    /// The part that the goals were set for: of a bzImage the payload, which is the kernel, else all.
    const PartTechniques& kernel() const;
};

/// Counts a plan.
TechniqueTable technique_table(const PlanDocument& plan);

/// What E9Patch (without its trap fallback) patched of a group on the .text of Debian's 6.1 amd64 kernel, in per
/// cent; nothing for groups that were not measured, for the setup and the decompressor, and for 32- and 16-bit code, which it
/// does not support.
std::optional<double> e9patch_share(SiteGroup group, const PartTechniques& part);

/// Renders both tables for a terminal of 100 columns, each line with its line end. One table for each part, then the goals.
std::string render_technique_text(const TechniqueTable& table);
/// Renders them as markup, with a bar for each group: per cent without a trap.
std::string render_technique_html(const TechniqueTable& table);

}  // namespace trapline::reports
