// SPDX-License-Identifier: Apache-2.0
// How far a kernel is from a port to a hypercall interface: what the interface has for each of its sites. A result document
// and the function that makes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scan/finding.h"

namespace trapline {

namespace isa {
class Database;
struct Abi;
}  // namespace isa

/// The sites of one operation that the interface answers in one way.
struct AbiDistanceRow {
    std::string operation;         ///< "set_flags"; of sites whose form the database does not have: empty
    std::string fit;               ///< "exact", "partial", "unneeded" or "none" (isa::AbiFit)
    std::string call;              ///< what stands in; empty without anything
    std::string note;              ///< what differs; may be empty
    std::uint64_t critical = 0;    ///< sites that do not trap
    std::uint64_t privileged = 0;  ///< sites that trap, always or conditionally, and are not critical

    std::uint64_t sites() const { return critical + privileged; }
};

struct AbiDistance {
    std::string abi, name, version;         ///< "xen-pv", "Xen PV", "4.17"
    std::vector<AbiDistanceRow> rows;       ///< exact, partial, unneeded, none; in each the most sites first
    std::vector<std::string> skipped_parts; ///< of a bzImage, never run by a guest of the interface
    std::uint64_t skipped_sites = 0;        ///< in these parts; in no row

    /// The sum over the rows of one fit.
    AbiDistanceRow total(std::string_view fit) const;
    std::uint64_t sites() const;
};

namespace patch {

/// Counts the critical and the privileged sites of a scan by what an interface has for them. Pure. A site whose form the
/// database does not have, because the scan was made with another version of it, counts as one without equivalent.
AbiDistance measure_abi_distance(const ScanDocument& scan, const isa::Database& database, const isa::Abi& abi);

}  // namespace patch

}  // namespace trapline
