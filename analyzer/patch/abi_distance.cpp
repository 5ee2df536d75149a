// SPDX-License-Identifier: Apache-2.0
// Sites by operation and fit.
#include "patch/abi_distance.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "isa/database.h"

namespace trapline {

AbiDistanceRow AbiDistance::total(std::string_view fit) const {
    AbiDistanceRow sum;
    sum.fit = fit;
    for (const AbiDistanceRow& row : rows) {
        if (row.fit != fit) continue;
        sum.critical += row.critical;
        sum.privileged += row.privileged;
    }
    return sum;
}

std::uint64_t AbiDistance::sites() const {
    std::uint64_t sum = 0;
    for (const AbiDistanceRow& row : rows) sum += row.sites();
    return sum;
}

namespace patch {

AbiDistance measure_abi_distance(const ScanDocument& scan, const isa::Database& database, const isa::Abi& abi) {
    AbiDistance distance;
    distance.abi = abi.id;
    distance.name = abi.name;
    distance.version = abi.version();
    distance.skipped_parts = abi.skipped_parts;
    // One row for each entry of the interface: null for what it, or the database, does not know.
    std::map<const isa::AbiOperation*, AbiDistanceRow> rows;
    for (const Finding& finding : scan.findings) {
        if (!finding.critical && finding.privileged == "no") continue;
        if (!finding.part.empty() && std::find(abi.skipped_parts.begin(), abi.skipped_parts.end(), finding.part) != abi.skipped_parts.end()) {
            ++distance.skipped_sites;
            continue;
        }
        const isa::Record* record = database.find_record(finding.form);
        const isa::AbiOperation* entry = record == nullptr ? nullptr : abi.find_operation(record->virtualization.hypercall, finding.form);
        const auto [at, fresh] = rows.try_emplace(entry);
        AbiDistanceRow& row = at->second;
        if (fresh) {
            row.fit = to_string(entry == nullptr ? isa::AbiFit::none : entry->fit);
            if (entry != nullptr) {
                row.operation = entry->operation;
                row.call = entry->call();
                row.note = entry->note;
            }
        }
        ++(finding.critical ? row.critical : row.privileged);
    }
    for (auto& [entry, row] : rows) distance.rows.push_back(std::move(row));
    // By content, not by the map's order of addresses: the same scan gives the same document.
    const auto rank = [](const AbiDistanceRow& row) {
        const auto fit = isa::parse_abi_fit(row.fit);
        return std::tuple(fit, ~row.sites(), std::string_view(row.operation), std::string_view(row.call));
    };
    std::sort(distance.rows.begin(), distance.rows.end(), [&](const AbiDistanceRow& a, const AbiDistanceRow& b) { return rank(a) < rank(b); });
    return distance;
}

}  // namespace patch

}  // namespace trapline
