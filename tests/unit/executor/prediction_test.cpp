// SPDX-License-Identifier: Apache-2.0
// What a handful of forms do at CPL 3 under IOPL 0: expected values are those of the SDM's exception lists.
#include <catch2/catch.hpp>
#include <sys/prctl.h>

#include "executor/verify/judge.h"
#include "isa/loader.h"

using namespace trapline;
using namespace trapline::executor;

namespace {

const isa::Database& database() {
    static const isa::Database kDatabase = [] {
        isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
        REQUIRE(outcome.errors.empty());
        outcome.database.index();
        return std::move(outcome.database);
    }();
    return kDatabase;
}

/// A machine made of answers: an AMD CPU with all CPUID bits set, or another vendor's, or nothing but a vendor.
HostQuestions machine(const char (&vendor)[13], bool features, bool umip, bool tsd) {
    HostQuestions out;
    out.cpuid = [vendor = std::string(vendor), features](std::uint32_t leaf, std::uint32_t) -> CpuidLeaf {
        const auto word = [&](std::size_t at) {
            std::uint32_t value = 0;
            for (std::size_t i = 0; i < 4; ++i) value |= static_cast<std::uint32_t>(static_cast<unsigned char>(vendor[at + i])) << (8 * i);
            return value;
        };
        if (leaf == 0) return {0x20, word(0), word(8), word(4)};
        return features ? CpuidLeaf{~0u, ~0u, ~0u, ~0u} : CpuidLeaf{};
    };
    out.xcr0 = [features] { return features ? ~std::uint64_t{0} : 0; };
    out.cpuinfo = [umip](std::string_view flag) { return flag == "umip" && umip; };
    out.setting = [](std::string_view) { return std::nullopt; };
    out.tsc_mode = [tsd]() -> std::optional<int> { return tsd ? PR_TSC_SIGSEGV : PR_TSC_ENABLE; };
    out.shadow_stack = [] { return false; };
    out.fsgsbase = [] { return true; };
    out.cpuid_faults = [] { return false; };
    return out;
}

Prediction predicted(std::string_view form, Mode mode, bool umip = false, bool tsd = false, std::vector<std::uint8_t> bytes = {}) {
    const isa::Record* record = database().find_record(form);
    REQUIRE(record != nullptr);
    PartialState state = state_in(database(), read_host_state(machine("AuthenticAMD", true, umip, tsd)), mode);
    fix_operands(database(), *record, bytes, state);
    return predict(database(), *record, state);
}

Observation seen(OutcomeKind kind, int vector = 0, std::uint64_t error = 0) { return {kind, static_cast<std::uint8_t>(vector), error, 0}; }
const Observation kRuns = seen(OutcomeKind::executes), kGp0 = seen(OutcomeKind::faults, 13), kUd = seen(OutcomeKind::faults, 6);

}  // namespace

TEST_CASE("Privileged forms must fault, whatever their operands", "[executor]") {
    for (const char* form : {"hlt", "cli", "sti", "rdmsr", "wrmsr", "clts", "invd", "wbinvd", "swapgs", "invlpg"}) {
        INFO(form);
        const Prediction prediction = predicted(form, Mode::long64);
        CHECK(prediction.privileged_here());
        CHECK(prediction.allows(kGp0));
        CHECK_FALSE(prediction.allows(kRuns));
        CHECK_FALSE(prediction.allows(kUd));
    }
}

TEST_CASE("Forms that run at CPL 3 may fault for their operands only", "[executor]") {
    const Prediction popf = predicted("popf_o64", Mode::long64);
    CHECK(popf.allows(kRuns));
    CHECK_FALSE(popf.privileged_here());
    CHECK(popf.allows(seen(OutcomeKind::faults, 14)));  // a stack access names one of #SS, #GP, #PF for all
    CHECK_FALSE(popf.allows(kUd));
    CHECK(predicted("cpuid", Mode::long64).allows(kRuns));
    CHECK_FALSE(predicted("cpuid", Mode::long64).allows(kGp0));
}

TEST_CASE("A control bit decides", "[executor]") {
    CHECK(predicted("rdtsc", Mode::long64).allows(kRuns));
    CHECK_FALSE(predicted("rdtsc", Mode::long64, false, true).allows(kRuns));
    CHECK(predicted("rdtsc", Mode::long64, false, true).allows(kGp0));
    CHECK(predicted("smsw_r", Mode::long64).allows(kRuns));
    CHECK(predicted("smsw_r", Mode::long64, true).privileged_here());
    CHECK(predicted("smsw_r", Mode::long64, true).hangs_on(database(), "cr4.umip"));
}

TEST_CASE("#UD for privilege: CLAC and STAC above CPL 0", "[executor]") {
    for (const char* form : {"clac", "stac"}) {
        const Prediction prediction = predicted(form, Mode::long64);
        CHECK(prediction.allows(kUd));
        CHECK(prediction.privileged_here());
    }
}

TEST_CASE("The gate that INT n names decides, not privilege as such", "[executor]") {
    const Prediction dos = predicted("int_imm8", Mode::long64, false, false, {0xCD, 0x21});
    CHECK_FALSE(dos.allows(kRuns));
    CHECK(dos.allows(seen(OutcomeKind::faults, 13, 0x21 * 8 + 2)));
    CHECK(predicted("int_imm8", Mode::long64, false, false, {0xCD, 0x80}).may_execute);
    CHECK(predicted("int3", Mode::long64, false, false, {0xCC}).may_execute);
}

TEST_CASE("Every feature that a form names has a row that says where CPUID announces it", "[executor]") {
    const auto host = describe_host(database(), isa::embedded_spec_files(), machine("AuthenticAMD", true, true, false));
    REQUIRE(host);
    for (const isa::Record& record : database().records) {
        INFO(record.id << " " << record.feature);
        CHECK((record.feature.empty() || host->features.knows(record.feature)));
    }
    for (const isa::InnocuousForm& form : database().innocuous) {
        INFO(form.mnemonic << " " << form.feature);
        CHECK((form.feature.empty() || host->features.knows(form.feature)));
    }
}

TEST_CASE("Absence: of a feature, of a vendor, of a generation", "[executor]") {
    const auto bare = describe_host(database(), isa::embedded_spec_files(), machine("AuthenticAMD", false, false, false));
    REQUIRE(bare);
    const auto why = [&](const char* form) { return absence(*bare, *database().find_record(form)).value_or("exists"); };
    CHECK(why("hlt") == "exists");
    CHECK(why("vmrun") == "the CPU does not have SVM");
    CHECK(why("vmcall") == "only intel makes the form");
    CHECK(why("smint").find("ended with the generation") != std::string::npos);
}

TEST_CASE("#UD where the feature is absent is not confirmed; where it is present it is a finding", "[executor]") {
    const isa::Record& record = *database().find_record("rdpid");
    isa::EncodingKey key;
    key.mode = Mode::long64;
    const auto judged = [&](bool features, const Observation& outcome) {
        const auto host = describe_host(database(), isa::embedded_spec_files(), machine("AuthenticAMD", features, false, false));
        REQUIRE(host);
        Tally tally;
        tally.add(outcome);
        return judge_record(*host, record, key, predict(database(), record, state_in(database(), host->state, Mode::long64)), tally).agreement;
    };
    CHECK(judged(true, kRuns) == Agreement::confirmed);
    CHECK(judged(true, kUd) == Agreement::unexplained);
    CHECK(judged(true, kGp0) == Agreement::unexplained);
    CHECK(judged(false, kUd) == Agreement::not_confirmable);
    CHECK(judged(false, kRuns) == Agreement::unexplained);
}

TEST_CASE("A hole is #UD; what runs in one is a finding", "[executor]") {
    const auto host = describe_host(database(), isa::embedded_spec_files(), machine("AuthenticAMD", true, false, false));
    REQUIRE(host);
    isa::EncodingKey key;
    key.map = isa::OpcodeMap::m0f;
    key.opcode = 0x04;
    Tally undefined, runs;
    undefined.add(kUd);
    runs.add(kRuns);
    CHECK(judge_hole(*host, key, undefined).agreement == Agreement::confirmed);
    CHECK(judge_hole(*host, key, runs).agreement == Agreement::unexplained);
}

TEST_CASE("An innocuous form may fault for its operands, and never for being undefined", "[executor]") {
    const auto host = describe_host(database(), isa::embedded_spec_files(), machine("AuthenticAMD", true, false, false));
    REQUIRE(host);
    const isa::InnocuousForm form;
    const auto judged = [&](std::initializer_list<Observation> outcomes) {
        Tally tally;
        for (const Observation& outcome : outcomes) tally.add(outcome);
        return judge_innocuous(*host, form, isa::EncodingKey{}, tally).agreement;
    };
    CHECK(judged({kRuns}) == Agreement::confirmed);
    CHECK(judged({kRuns, kGp0}) == Agreement::confirmed);
    CHECK(judged({seen(OutcomeKind::faults, 14)}) == Agreement::confirmed);
    CHECK(judged({kGp0}) == Agreement::unexplained);  // a privileged instruction that nobody listed looks like this
    CHECK(judged({kRuns, kUd}) == Agreement::unexplained);
    CHECK(judged({kRuns, seen(OutcomeKind::hangs)}) == Agreement::unexplained);
}
