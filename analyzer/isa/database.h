// SPDX-License-Identifier: Apache-2.0
// The loaded database: resources, atoms, records, profiles and the index that finds the record of an encoding.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "isa/abi.h"
#include "isa/profile.h"
#include "isa/record.h"

namespace trapline::isa {

/// A control or intercept of exits.json.
struct ExitControl {
    std::string control;
    int code = 0;  ///< VT-x basic exit reason, or SVM exit code
    std::string title;
};

class Database {
public:
    std::vector<Resource> resources;
    std::vector<Atom> atoms;
    std::vector<Record> records;
    std::vector<InnocuousForm> innocuous;  ///< every other instruction
    std::vector<Profile> profiles;
    std::vector<Abi> abis;                 ///< hypercall interfaces, by file name
    std::vector<ExitControl> vmx_controls;
    std::vector<ExitControl> svm_controls;
    std::vector<std::string> retired_ids;
    std::string version;  ///< first 16 hex digits of a hash over all database files

    /// Builds the slot index; call once after the vectors are filled.
    void index();

    const Record* find_record(std::string_view id) const;
    const Profile* find_profile(std::string_view id) const;
    const Abi* find_abi(std::string_view id) const;
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

/// Says whether a form exists under the profile's generation and vendors.
bool exists_in(const Record& record, const Profile& profile);
bool exists_in(const InnocuousForm& form, const Profile& profile);

}  // namespace trapline::isa
