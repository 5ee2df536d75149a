// SPDX-License-Identifier: Apache-2.0
// trapline isa stats: how much the database holds, and how much of the peers' tables that is.
#include <fmt/core.h>

#include <map>
#include <set>

#include "cli/isa.h"
#include "decode/form_index.h"
#include "decode/mnemonic_coverage.h"

namespace trapline::cli {
namespace {

/// Prints whole numbers as a percentage that never rounds up to 100.
std::string percent(std::size_t part, std::size_t whole) {
    const std::size_t hundredths = whole == 0 ? 10000 : part * 10000 / whole;
    return fmt::format("{}.{:02} %", hundredths / 100, hundredths % 100);
}

void print_contents(const isa::Database& database) {
    std::set<std::string> mnemonics, families;
    std::size_t overrides = 0, examples = 0;
    for (const isa::Record& record : database.records) {
        mnemonics.insert(record.mnemonic);
        families.insert(record.family);
        overrides += record.overrides.size();
        examples += record.examples.size();
    }
    for (const isa::InnocuousForm& form : database.innocuous) {
        mnemonics.insert(form.mnemonic);
        families.insert(form.family);
    }
    const std::size_t records = database.records.size(), innocuous = database.innocuous.size();
    fmt::print("database version   {}\n", database.version);
    fmt::print("forms              {}   ({} records, {} innocuous)\nmnemonics          {}\nfamilies           {}\nexamples           {}\noverrides          {}\n",
               records + innocuous, records, innocuous, mnemonics.size(), families.size(), examples, overrides);
    fmt::print("resources          {}\nguard atoms        {}\nprofiles           {}\nVT-x controls      {}\nSVM intercepts     {}\n\n", database.resources.size(),
               database.atoms.size(), database.profiles.size(), database.vmx_controls.size(), database.svm_controls.size());
}

/// A database read from elsewhere has slots of its own; building them costs about half a second.
void print_slots(const isa::Database& database) {
    decode::OwnedFormTables own;
    decode::FormTables tables = decode::generated_form_tables();
    if (database.version != decode::generated_database_version()) {
        own = decode::build_form_tables(database, decode::OpcodeMaps::generated());
        tables = own.view();
    }
    const decode::SlotCount count = decode::count_slots(tables, database.records.size());
    fmt::print("slots (map x opcode x prefix x mode)  {}\n  claimed by records        {:>6}\n  by innocuous forms only   {:>6}\n  holes                     {:>6}\n\n",
               count.by_records + count.by_innocuous + count.holes, count.by_records, count.by_innocuous, count.holes);
}

void print_coverage(const isa::Database& database) {
    const auto coverage = decode::measure_coverage(database, {decode::llvm_table(), decode::capstone_table()}, decode::MnemonicDifferences::embedded(),
                                                   decode::DecoderDifferences::embedded());
    fmt::print("peer tables          entries mnemonics   covered explained   missing\n");
    for (const decode::PeerCoverage& peer : coverage.peers)
        fmt::print("  {:18} {:>7} {:>9} {:>9} {:>9} {:>9}   {}\n", peer.name + " " + peer.version, peer.entries, peer.mnemonics, peer.covered, peer.explained,
                   peer.missing.size(), percent(peer.covered, peer.mnemonics));
    fmt::print("  of the {} mnemonics here {} are known to a peer, {} are explained, {} are not\n\n", coverage.mnemonics, coverage.known, coverage.explained,
               coverage.unknown.size());
}

void print_tags(const isa::Database& database, const isa::Profile* profile) {
    const classify::TagTable tags(database, *profile);
    fmt::print("under {}:  {:>6} {:>10} {:>11} {:>9} {:>9} {:>9}\n", profile->id, "forms", "privileged", "conditional", "control", "behavior", "critical");
    for (Mode mode : kAllModes) {
        std::size_t forms = 0, privileged = 0, conditional = 0, control = 0, behavior = 0, critical = 0;
        for (const isa::Record& record : database.records) {
            if (!record.encoding.modes.contains(mode) || !isa::exists_in(record, *profile)) continue;
            const classify::Tags& t = tags.at(record, mode);
            ++forms;
            privileged += t.privileged == classify::Privileged::yes;
            conditional += t.privileged == classify::Privileged::conditional;
            control += t.control_sensitive;
            behavior += t.behavior != classify::Behavior::no;
            critical += t.critical();
        }
        fmt::print("  mode {:4}     {:>6} {:>10} {:>11} {:>9} {:>9} {:>9}\n", to_string(mode), forms, privileged, conditional, control, behavior, critical);
    }
    fmt::print("\n");
}

void print_families(const isa::Database& database) {
    std::map<std::string, std::size_t> records, innocuous;
    for (const isa::Record& record : database.records) ++records[record.family];
    for (const isa::InnocuousForm& form : database.innocuous) ++innocuous[form.family];
    fmt::print("family                               forms\n");
    for (const auto* families : {&records, &innocuous})
        for (const auto& [family, count] : *families) fmt::print("  {:34} {:>5}\n", family, count);
}

}  // namespace

int print_stats(const IsaQuery& query, const isa::Database& database) {
    const isa::Profile* profile = find_profile(database, query.profile);
    if (profile == nullptr) return kUsage;
    print_contents(database);
    print_slots(database);
    print_coverage(database);
    print_tags(database, profile);
    print_families(database);
    return kDone;
}

}  // namespace trapline::cli
