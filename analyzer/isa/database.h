// SPDX-License-Identifier: Apache-2.0
// The loaded database: resources, atoms, records, profiles and the index that finds the record of an encoding.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "isa/profile.h"
#include "isa/record.h"

namespace trapline::isa {

/// A control or intercept of exits.json.
struct ExitControl {
    std::string control;
    int code = 0;  ///< VT-x basic exit reason, or SVM exit code
    std::string title;
};

/// The structural facts of one decoded instruction that select a record. Filled by decode/structure.
struct EncodingKey {
    Mode mode = Mode::long64;
    OpcodeMap map = OpcodeMap::one;
    std::uint8_t opcode = 0;
    PrefixSet::Bit prefix = PrefixSet::np;  ///< effective mandatory prefix: last of F2/F3, else 66, else none; pp for VEX
    bool has_66 = false;                    ///< a 66 prefix was met (legacy maps)
    bool lock = false;
    bool has_modrm = false;
    std::uint8_t mod = 0, reg = 0, rm = 0;  ///< ModRM fields; reg with REX.R as bit 3, rm without REX.B
    bool w = false;                         ///< REX.W or VEX.W
    std::uint8_t l = 0;                     ///< VEX.L or EVEX.L'L
    std::uint8_t vvvv = 0xF;                ///< inverted field as encoded
    std::uint8_t asize = 0;                 ///< effective address size in bits
};

class Database {
public:
    std::vector<Resource> resources;
    std::vector<Atom> atoms;
    std::vector<Record> records;
    std::vector<Profile> profiles;
    std::vector<ExitControl> vmx_controls;
    std::vector<ExitControl> svm_controls;
    std::vector<std::string> retired_ids;
    std::string version;  ///< first 16 hex digits of a hash over all database files

    /// Builds the slot index; call once after the vectors are filled.
    void index();

    const Record* find_record(std::string_view id) const;
    const Profile* find_profile(std::string_view id) const;
    std::optional<AtomIndex> find_atom(std::string_view id) const;
    std::optional<ResourceIndex> find_resource(std::string_view id) const;

    /// Records that claim an opcode slot, in file order; empty for an unclaimed slot.
    std::span<const RecordIndex> slot(OpcodeMap map, std::uint8_t opcode) const {
        return slots_[static_cast<std::size_t>(map) * 256 + opcode];
    }
    /// Finds the record whose encoding matches, of the forms that exist under `profile`; nothing when none does.
    /// A LOCK prefix the form does not take is not checked here: see lock_is_legal.
    const Record* match(const EncodingKey& key, const Profile& profile) const;

private:
    std::vector<std::vector<RecordIndex>> slots_;
    std::unordered_map<std::string_view, RecordIndex> by_id_;
};

/// Says whether one encoding matches one form, its modes included.
bool matches(const Encoding& encoding, const EncodingKey& key);
/// Computes the effective operand size in bits that the form sees.
int effective_operand_size(const Encoding& encoding, const EncodingKey& key);
/// Says whether a form exists under the profile's generation and vendors.
bool exists_in(const Record& record, const Profile& profile);

}  // namespace trapline::isa
