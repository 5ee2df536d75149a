// SPDX-License-Identifier: Apache-2.0
// Structural checks of the database.
#include "isa/lint.h"

#include <algorithm>
#include <map>
#include <set>

#include "isa/abi_lint.h"
#include "isa/format.h"

namespace trapline::isa {

namespace {

Error at(const Record& record, std::string message) {
    return Error{ErrorCode::inconsistent, record.id + ": " + std::move(message), record.file, std::nullopt, record.pointer};
}

void check_ids(const Database& database, std::vector<Error>& errors) {
    std::map<std::string, const Record*> seen;
    for (const Record& record : database.records) {
        const std::string expected = expected_id(record);
        if (record.id != expected) errors.push_back(at(record, "id is not what its parts give, expected \"" + expected + "\""));
        const auto [first, fresh] = seen.emplace(record.id, &record);
        if (!fresh) errors.push_back(at(record, "id is taken by " + first->second->file + first->second->pointer + ": add a \"variant\""));
        if (std::find(database.retired_ids.begin(), database.retired_ids.end(), record.id) != database.retired_ids.end())
            errors.push_back(at(record, "id is retired (x86/retired-ids.json) and must not be used again"));
    }
}

bool coexist(const Record& a, const Record& b) {
    const bool eras = !(a.until < b.since || b.until < a.since);
    return eras && (a.vendor.empty() || b.vendor.empty() || a.vendor == b.vendor);
}

// Says whether some encoding matches both, by trying every value of the few fields that select a form.
bool overlap(const Encoding& a, const Encoding& b) {
    if (a.requires_lock != b.requires_lock) return false;  // the one that needs LOCK outranks the other (Database::index)
    EncodingKey key;
    key.map = a.map;
    key.opcode = a.opcode;
    key.has_modrm = a.has_modrm || b.has_modrm;
    key.lock = a.requires_lock;
    const auto matched = [&] { return matches(a, key) && matches(b, key); };
    static constexpr PrefixSet::Bit kPrefixes[] = {PrefixSet::np, PrefixSet::p66, PrefixSet::f3, PrefixSet::f2};
    for (Mode mode : kAllModes) {
        key.mode = mode;
        if (!a.modes.contains(mode) || !b.modes.contains(mode)) continue;
        const bool has_rex = mode == Mode::long64 || a.map >= OpcodeMap::vex_0f;
        for (PrefixSet::Bit prefix : kPrefixes)
            for (int has_66 = prefix == PrefixSet::p66; has_66 <= (prefix != PrefixSet::np); ++has_66)
                for (int w = 0; w <= has_rex; ++w)
                    for (std::uint8_t l = 0; l <= 2; ++l)
                        for (std::uint8_t asize : {16, 32, 64})
                            for (int modrm = 0; modrm < (key.has_modrm ? 512 : 1); ++modrm) {
                                key.prefix = prefix;
                                key.has_66 = has_66 != 0;
                                key.w = w != 0;
                                key.l = l;
                                key.payload[2] = static_cast<std::uint8_t>(8 | l << 5);
                                key.asize = asize;
                                key.mod = static_cast<std::uint8_t>(modrm >> 6 & 3);
                                key.reg = static_cast<std::uint8_t>((modrm >> 3 & 7) | (modrm >> 8 << 3));
                                key.rm = static_cast<std::uint8_t>(modrm & 7);
                                if (matched()) return true;
                            }
    }
    return false;
}

void check_slots(const Database& database, std::vector<Error>& errors) {
    for (int map = 0; map < kOpcodeMapCount; ++map)
        for (int opcode = 0; opcode < 256; ++opcode) {
            const auto claimants = database.slot(static_cast<OpcodeMap>(map), static_cast<std::uint8_t>(opcode));
            for (std::size_t i = 0; i < claimants.size(); ++i)
                for (std::size_t j = i + 1; j < claimants.size(); ++j) {
                    const Record& a = database.records[claimants[i]];
                    const Record& b = database.records[claimants[j]];
                    if (coexist(a, b) && overlap(a.encoding, b.encoding))
                        errors.push_back(at(b, "claims bytes that " + a.id + " (" + a.file + a.pointer + ") claims too"));
                }
        }
}

void check_content(const Database& database, std::vector<Error>& errors) {
    for (const Record& record : database.records) {
        bool sensitive = false;
        for (const auto* effects : {&record.reads, &record.writes}) {
            std::set<std::pair<ResourceIndex, std::string>> seen;
            for (const Effect& effect : *effects) {
                sensitive |= database.resources[effect.resource].kind != ResourceKind::user;
                if (!seen.emplace(effect.resource, effect.when.text()).second)
                    errors.push_back(at(record, "lists " + database.resources[effect.resource].id + " twice under the same guard"));
            }
        }
        if (sensitive && record.virtualization.why.empty())
            errors.push_back(at(record, "touches what a VMM owns, expected \"virtualization\" with a \"why\""));
        if (sensitive && record.virtualization.hypercall.empty() && record.virtualization.emulate.empty())
            errors.push_back(at(record, "touches what a VMM owns, expected \"virtualization\" with a hypercall or emulate operation"));
        for (const Example& example : record.examples) {
            if (!record.encoding.modes.contains(example.mode))
                errors.push_back(at(record, "has an example in mode " + std::string(to_string(example.mode)) + ", which its encoding lacks"));
            if (example.bytes.size() > 15) errors.push_back(at(record, "has an example of more than 15 bytes"));
        }
        for (const Fault& fault : record.faults)
            if (fault.cause != FaultCause::data && fault.when.always())
                errors.push_back(at(record, "has an unconditional " + std::string(to_string(fault.cause)) + " fault: then it never executes"));
    }
}

}  // namespace

std::vector<Error> lint(const Database& database, const std::vector<SpecFile>& files) {
    std::vector<Error> errors;
    check_ids(database, errors);
    check_slots(database, errors);
    check_content(database, errors);
    for (Error& error : lint_abis(database)) errors.push_back(std::move(error));
    for (const SpecFile& file : files) {
        const auto formatted = format_spec(file.path, file.text);
        if (!formatted) {
            errors.push_back(formatted.error());
        } else if (*formatted != file.text) {
            const auto difference = std::mismatch(formatted->begin(), formatted->end(), file.text.begin(), file.text.end()).first;
            const auto line = std::count(formatted->begin(), difference, '\n') + 1;
            errors.push_back(Error{ErrorCode::malformed, "layout is not canonical from line " + std::to_string(line) + " on: run ./dev format", file.path,
                                   std::nullopt, {}});
        }
    }
    return errors;
}

}  // namespace trapline::isa
