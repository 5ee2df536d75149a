// SPDX-License-Identifier: Apache-2.0
#include "executor/trap/site_forms.h"

#include <algorithm>
#include <array>

namespace trapline::executor {
namespace {

/// The virtual processor lets the guest read the host's time-stamp counter, so these need no help. Forms of processors that
/// the guest is told it does not have raise #UD or compute; their state is not the guest's.
constexpr std::array<std::string_view, 1> kNativeOperations = {"read_time"};
/// What no deprivileged guest may execute whatever its tags: the host's kernel would answer.
constexpr std::array<std::string_view, 2> kHostOperations = {"software_interrupt", "system_call"};
/// Innocuous families that use general registers alone.
constexpr std::array<std::string_view, 11> kIntegerFamilies = {"innocuous-i8086",   "innocuous-i186",           "innocuous-i386",        "innocuous-i486-p6",
                                                               "innocuous-integer", "innocuous-x86-64",         "innocuous-bmi-vex",     "innocuous-tbm",
                                                               "innocuous-cmpccxadd", "innocuous-apx-integer", "innocuous-apx-conditional"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

FpuTrap fpu_trap_of(const isa::Database& database, const isa::Record& record) {
    const auto mp = database.find_atom("cr0.mp");
    for (const isa::Fault& fault : record.faults) {
        if (fault.vector != "#NM") continue;
        const std::vector<isa::AtomIndex>& atoms = fault.when.atoms();
        return mp && std::find(atoms.begin(), atoms.end(), *mp) != atoms.end() ? FpuTrap::ts_and_mp : FpuTrap::ts_or_em;
    }
    return FpuTrap::never;
}

}  // namespace

SiteForms::SiteForms(const isa::Database& database, const isa::Profile& profile)
    : kinds_(database.records.size() + 1, SiteKind::none), fpu_traps_(database.records.size() + 1 + database.innocuous.size(), FpuTrap::never) {
    for (std::size_t i = 0; i < database.innocuous.size(); ++i)
        if (!is_one_of(kIntegerFamilies, database.innocuous[i].family)) fpu_traps_[database.records.size() + 1 + i] = FpuTrap::ts_or_em;
    const classify::TagTable tags(database, profile);
    for (std::size_t i = 0; i < database.records.size(); ++i) {
        const isa::Record& record = database.records[i];
        const classify::Tags& derived = tags.at(record, Mode::protected32);
        fpu_traps_[i + 1] = fpu_trap_of(database, record);
        SiteKind& kind = kinds_[i + 1];
        if (derived.critical() || is_one_of(kHostOperations, record.virtualization.hypercall)) kind = SiteKind::critical;
        else if (derived.privileged != classify::Privileged::no) kind = SiteKind::privileged;
        if (is_one_of(kNativeOperations, record.virtualization.hypercall)) kind = SiteKind::none;
    }
}

}  // namespace trapline::executor
