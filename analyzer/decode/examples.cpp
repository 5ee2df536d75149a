// SPDX-License-Identifier: Apache-2.0
// Every example of the database through every decoder.
#include "decode/examples.h"

#include <map>
#include <memory>

#include "decode/decoder.h"

namespace trapline::decode {

namespace {

// Forms of old or single-vendor CPUs exist under few profiles. Two vendors may each have a record for the same bytes, so
// a profile of the record's vendor alone comes first; else the first that has the form and the mode will do.
const isa::Profile* profile_for(const isa::Database& database, const isa::Record& record, Mode mode) {
    const isa::Profile* found = nullptr;
    for (const isa::Profile& profile : database.profiles) {
        if (!isa::exists_in(record, profile) || !profile.modes.contains(mode)) continue;
        if (!record.vendor.empty() && profile.vendors.size() == 1) return &profile;
        if (found == nullptr) found = &profile;
    }
    return found;
}

}  // namespace

std::vector<Error> check_examples(const isa::Database& database) {
    std::vector<Error> errors;
    std::map<const isa::Profile*, std::unique_ptr<Reconciler>> reconcilers;
    for (const isa::Record& record : database.records) {
        for (std::size_t i = 0; i < record.examples.size(); ++i) {
            const isa::Example& example = record.examples[i];
            const auto refuse = [&](std::string message) {
                errors.push_back(Error{ErrorCode::inconsistent, record.id + ": example " + to_hex(example.bytes) + " (" + std::string(to_string(example.mode)) + ") " + std::move(message),
                                       record.file, std::nullopt, record.pointer + "/examples/" + std::to_string(i)});
            };
            const isa::Profile* profile = profile_for(database, record, example.mode);
            if (profile == nullptr) continue;  // a form of a CPU that no profile describes: only its structure is checked
            auto& reconciler = reconcilers[profile];
            if (!reconciler) reconciler = std::make_unique<Reconciler>(database, *profile);
            const Decoded decoded = reconciler->decode(example.bytes, example.mode, VirtAddr{0});
            if (!decoded.valid) {
                refuse("does not decode: " + decoded.invalid_reason);
                continue;
            }
            if (decoded.record != &record) refuse("decodes to " + (decoded.record != nullptr ? decoded.record->id : "a form the database does not list (" + decoded.mnemonic + ")"));
            if (decoded.length != static_cast<int>(example.bytes.size()))
                refuse("has " + std::to_string(example.bytes.size()) + " bytes, decoded " + std::to_string(decoded.length));
            // The witnesses describe current CPUs: of a form that ended before them they know nothing.
            if (record.until < isa::Era::modern) continue;
            for (const Disagreement& disagreement : decoded.disagreements)
                if (disagreement.reason.empty()) refuse("is " + disagreement.says + " to " + disagreement.decoder + ": find out why and add a row to x86/decoder-differences.json");
        }
    }
    return errors;
}

}  // namespace trapline::decode
