// SPDX-License-Identifier: Apache-2.0
// What the build compiled in is what the JSON files say, and what is derived from them now.
#include "classify/compiled_database.h"

#include <catch2/catch.hpp>

#include "isa/loader.h"
#include "isa/snapshot.h"
#include "isa/snapshot_archive.h"

using namespace trapline;

namespace {

const isa::Database& loaded() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    return outcome.database;
}

bool equal(const classify::Tags& a, const classify::Tags& b) {
    return a.privileged == b.privileged && a.token == b.token && a.vmm_sets_token == b.vmm_sets_token && a.control_sensitive == b.control_sensitive &&
           a.behavior == b.behavior && a.user_sensitive == b.user_sensitive && a.executable == b.executable && a.overridden == b.overridden;
}

}  // namespace

TEST_CASE("the compiled database is the one that the JSON files give") {
    const isa::Database compiled = classify::compiled_database();
    CHECK(compiled.version == loaded().version);
    REQUIRE(compiled.records.size() == loaded().records.size());
    REQUIRE(compiled.innocuous.size() == loaded().innocuous.size());
    CHECK(isa::write_snapshot(compiled) == isa::write_snapshot(loaded()));
    // A member that both directions forget would not be seen by that; these are the ones that look-ups and verdicts hang on.
    for (std::size_t i = 0; i < compiled.records.size(); ++i) {
        const isa::Record &a = compiled.records[i], &b = loaded().records[i];
        REQUIRE(compiled.find_record(b.id) == &a);
        CHECK(a.pointer == b.pointer);
        CHECK(a.sources.size() == b.sources.size());
        REQUIRE(a.faults.size() == b.faults.size());
        for (std::size_t k = 0; k < a.faults.size(); ++k) {
            CHECK(a.faults[k].when.text() == b.faults[k].when.text());
            CHECK(a.faults[k].when.atoms() == b.faults[k].when.atoms());
        }
        for (int map = 0, opcode = b.encoding.opcode; map < isa::kOpcodeMapCount; ++map) {
            const auto mine = compiled.slot(static_cast<isa::OpcodeMap>(map), static_cast<std::uint8_t>(opcode)), other = loaded().slot(static_cast<isa::OpcodeMap>(map), static_cast<std::uint8_t>(opcode));
            CHECK(std::equal(mine.begin(), mine.end(), other.begin(), other.end()));
        }
    }
}

TEST_CASE("a database survives the way through a snapshot whole") {
    // Held against what the JSON files gave, member by member where verdicts hang on it.
    const isa::Database again = isa::read_snapshot(isa::write_snapshot(loaded()));
    for (const char* profile : {"base", "vmx", "svm", "ring1"}) {
        const isa::Profile *a = again.find_profile(profile), *b = loaded().find_profile(profile);
        REQUIRE(a != nullptr);
        CHECK(a->guest_owned == b->guest_owned);
        CHECK(a->guest_loaded == b->guest_loaded);
        CHECK(a->exit_controls == b->exit_controls);
        CHECK(a->fixed == b->fixed);
        CHECK(a->vmm == b->vmm);
        // The derivation reads effects, guards, exits, features, vendors and eras.
        const classify::TagsByRecord mine = classify::derive_all(again, *a), others = classify::derive_all(loaded(), *b);
        for (std::size_t i = 0; i < mine.size(); ++i)
            for (std::size_t mode = 0; mode < mine[i].size(); ++mode) CHECK(equal(mine[i][mode], others[i][mode]));
    }
    const isa::Abi *a = again.find_abi("trapline"), *b = loaded().find_abi("trapline");
    REQUIRE(a != nullptr);
    CHECK(a->templates.size() == b->templates.size());
    CHECK(a->find_area(Mode::protected32)->stubs == b->find_area(Mode::protected32)->stubs);
    CHECK(a->find_operation("set_flags")->call() == b->find_operation("set_flags")->call());
}

TEST_CASE("the compiled tags of every profile are those that are derived now") {
    for (const isa::Profile& profile : loaded().profiles) {
        INFO(profile.id);
        const auto compiled = classify::compiled_tags(loaded().version, profile.id);
        REQUIRE(compiled);
        REQUIRE(compiled->size() == loaded().records.size());
        for (std::size_t i = 0; i < compiled->size(); ++i)
            for (Mode mode : kAllModes) {
                if (!loaded().records[i].encoding.modes.contains(mode)) continue;
                INFO(loaded().records[i].id << " in mode " << to_string(mode));
                CHECK(equal((*compiled)[i][static_cast<std::size_t>(mode)], classify::derive(loaded(), loaded().records[i], profile, mode)));
            }
    }
}

TEST_CASE("tags of another database are derived, not taken from the compiled one") {
    CHECK_FALSE(classify::compiled_tags("0000000000000000", "base"));
    CHECK_FALSE(classify::compiled_tags(loaded().version, "no such profile"));
    isa::Database other = isa::read_snapshot(isa::write_snapshot(loaded()));
    other.version = "0000000000000000";
    // CLI without its fault is not privileged; the table must see that.
    const auto cli = std::find_if(other.records.begin(), other.records.end(), [](const isa::Record& record) { return record.mnemonic == "cli"; });
    REQUIRE(cli != other.records.end());
    cli->faults.clear();
    const classify::TagTable tags(other, *other.find_profile("base"));
    CHECK(tags.at(*cli, Mode::protected32).privileged == classify::Privileged::no);
}
