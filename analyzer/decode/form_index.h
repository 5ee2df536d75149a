// SPDX-License-Identifier: Apache-2.0
// Builds FormTables from the database and the opcode maps, and checks what claims the slots.
#pragma once

#include <vector>

#include "decode/form_tables.h"
#include "isa/database.h"
#include "support/error.h"

namespace trapline::decode {

/// The storage behind a FormTables.
struct OwnedFormTables {
    std::vector<SlotIndex> slots;
    std::vector<std::uint16_t> buckets;
    std::vector<Choice> choices;
    std::vector<std::uint16_t> claim_lists;
    std::vector<Claim> claims;
    std::vector<FastEntry> pages;
    std::vector<FormIndex> leaves;

    /// Views into this object; it must outlive them.
    FormTables view() const { return {slots, buckets, choices, claim_lists, claims, pages, leaves}; }
};

/// Gives the number of forms, the form 0 included.
inline std::size_t form_count(const isa::Database& database) { return 1 + database.records.size() + database.innocuous.size(); }

/// Builds the slot index and the fast pages. Cost: some 300,000 slot cases, about half a second.
OwnedFormTables build_form_tables(const isa::Database& database, const OpcodeMaps& maps);

/// Checks that every slot of the opcode maps is claimed by a form or marked a hole, that claims fit the slot's shape
/// (ModRM, immediate), and that no two innocuous forms claim the same bytes. Gives all errors.
std::vector<Error> check_claims(const isa::Database& database, const OpcodeMaps& maps);

/// Slots of the maps by what holds them; a slot here is map × opcode × mandatory prefix × mode.
struct SlotCount {
    std::size_t by_records = 0;    ///< a record claims some of it
    std::size_t by_innocuous = 0;  ///< only innocuous forms do
    std::size_t holes = 0;         ///< nothing does
};
SlotCount count_slots(const FormTables& tables, std::size_t record_count);

}  // namespace trapline::decode
