// SPDX-License-Identifier: Apache-2.0
// The derivation on small made-up forms, one for each clause of the definitions in the model.
#include <catch2/catch.hpp>

#include "classify/theorem.h"
#include "isa/loader.h"

using namespace trapline;
using classify::Behavior;
using classify::Privileged;

namespace {

constexpr std::string_view kResources = R"({"schema": "trapline.resources/1", "resources": [
  {"id": "cpl", "kind": "mode", "title": "CPL"}, {"id": "gdtr", "kind": "relocation", "title": "GDTR"}, {"id": "rflags.if", "kind": "interrupt", "title": "IF"},
  {"id": "io.port", "kind": "io", "title": "ports"}, {"id": "gpr", "kind": "user", "title": "registers"}]})";
constexpr std::string_view kAtoms = R"({"schema": "trapline.atoms/1", "atoms": [
  {"id": "cpl", "axis": "mode", "domain": 4, "title": "CPL"}, {"id": "iopl", "axis": "mode", "domain": 4, "title": "IOPL", "token": "EFLAGS.IOPL", "vmm": 0},
  {"id": "real", "axis": "operating_mode", "domain": 2, "title": "real"}, {"id": "protected", "axis": "operating_mode", "domain": 2, "title": "protected"},
  {"id": "long", "axis": "operating_mode", "domain": 2, "title": "long"},
  {"id": "tsd", "axis": "control", "domain": 2, "title": "TSD", "token": "CR4.TSD", "vmm": 1},
  {"id": "umip", "axis": "control", "domain": 2, "title": "UMIP", "token": "CR4.UMIP", "vmm": 1},
  {"id": "fsgsbase", "axis": "gate", "domain": 2, "title": "FSGSBASE", "token": "CR4.FSGSBASE"},
  {"id": "dpl", "axis": "data", "domain": 4, "title": "DPL"}, {"id": "bad", "axis": "data", "domain": 2, "title": "bad operand"}]})";
constexpr std::string_view kExits = R"({"schema": "trapline.exits/1", "vmx": [{"control": "HLT_EXITING", "reason": 12}], "svm": []})";
constexpr std::string_view kBase = R"({"schema": "trapline.profile/1", "id": "base", "title": "b", "deprivileged_cpl": 3, "modes": ["16r", "32", "64"], "era": "modern", "atoms": {"umip": 0}})";
constexpr std::string_view kUmip = R"({"schema": "trapline.profile/1", "id": "umip", "title": "u", "deprivileged_cpl": 3, "modes": ["16r", "32", "64"], "era": "modern"})";
constexpr std::string_view kRing1 = R"({"schema": "trapline.profile/1", "id": "ring1", "title": "r", "deprivileged_cpl": 1, "modes": ["32"], "era": "modern", "vmm": {"tsd": 0}})";
constexpr std::string_view kVmx = R"({"schema": "trapline.profile/1", "id": "vmx", "title": "v", "deprivileged_cpl": 3, "modes": ["16r", "32"], "era": "modern", "exits": "vmx",
  "exit_controls": "all", "guest_owned": ["gdtr", "rflags.*", "cpl"]})";

/// A form with the given effects and faults, in all modes of the profiles above.
class Form {
public:
    explicit Form(const std::string& body) {
        text_ = R"({"schema": "trapline.isa-family/1", "family": "f", "title": "f", "records": [{"id": "x", "mnemonic": "x",
          "encoding": {"map": "one", "opcode": "F4", "modes": ["16r", "32", "64"]}, "examples": [{"bytes": "F4", "mode": "64", "text": "x"}],
          "virtualization": {"hypercall": "h", "why": "w"}, "sources": [{"doc": "intel-sdm-2", "section": "X"}], )" + body + "}]}";
        outcome_ = isa::load_database({{"r", kResources}, {"a", kAtoms}, {"e", kExits}, {"f.json", text_}, {"p1", kBase}, {"p2", kUmip}, {"p3", kRing1}, {"p4", kVmx}});
        for (const Error& error : outcome_.errors) UNSCOPED_INFO(error.describe());
        REQUIRE(outcome_.errors.empty());
    }
    classify::Tags tags(const std::string& profile, Mode mode = Mode::protected32) const {
        return classify::derive(database(), database().records[0], *database().find_profile(profile), mode);
    }
    const isa::Database& database() const { return outcome_.database; }

private:
    std::string text_;
    isa::LoadOutcome outcome_;
};

}  // namespace

TEST_CASE("traps at every state of user mode and not in supervisor mode: privileged", "[classify]") {
    const Form hlt(R"("writes": [{"resource": "rflags.if"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "cpl > 0"}])");
    CHECK(hlt.tags("base").privileged == Privileged::yes);
    CHECK(hlt.tags("base").control_sensitive);
    CHECK_FALSE(hlt.tags("base").critical());
    CHECK_FALSE(hlt.tags("base").user_sensitive);
}

TEST_CASE("real mode has no user mode: nothing is privileged, all that is sensitive is critical", "[classify]") {
    const Form hlt(R"("writes": [{"resource": "rflags.if"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "cpl > 0"}])");
    CHECK(hlt.tags("base", Mode::real16).privileged == Privileged::no);
    CHECK(hlt.tags("base", Mode::real16).critical());
}

TEST_CASE("a trap for some operands only is no privilege", "[classify]") {
    const Form form(R"("writes": [{"resource": "rflags.if"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "cpl > dpl"}])");
    CHECK(form.tags("base").privileged == Privileged::no);
    CHECK(form.tags("base").critical());
}

TEST_CASE("traps of operands or of a missing feature do not count", "[classify]") {
    const Form operands(R"("writes": [{"resource": "rflags.if"}], "faults": [{"vector": "#GP", "cause": "data", "when": "cpl > 0 && bad"}])");
    CHECK(operands.tags("base").privileged == Privileged::no);
    const Form gated(R"("writes": [{"resource": "gdtr"}], "faults": [{"vector": "#UD", "cause": "feature", "when": "!fsgsbase"}])");
    CHECK(gated.tags("base").privileged == Privileged::no);
    CHECK(gated.tags("base").token.empty());
    CHECK(gated.tags("base").critical());
}

TEST_CASE("a control bit makes it conditional, and critical only where the VMM leaves the bit alone", "[classify]") {
    const Form rdtsc(R"("reads": [{"resource": "io.port"}], "writes": [{"resource": "gpr"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "tsd && cpl > 0"}])");
    CHECK(rdtsc.tags("base").privileged_text() == "cond:CR4.TSD");
    CHECK_FALSE(rdtsc.tags("base").critical());
    CHECK(rdtsc.tags("ring1").privileged_text() == "cond:CR4.TSD");
    CHECK(rdtsc.tags("ring1").critical());  // this profile's VMM clears TSD
}

TEST_CASE("a bit that a profile lacks is no condition there", "[classify]") {
    const Form sgdt(R"("reads": [{"resource": "gdtr"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "umip && cpl > 0"}])");
    CHECK(sgdt.tags("base").privileged == Privileged::no);
    CHECK(sgdt.tags("base").behavior == Behavior::location);
    CHECK(sgdt.tags("base").critical());
    CHECK(sgdt.tags("umip").privileged_text() == "cond:CR4.UMIP");
    CHECK_FALSE(sgdt.tags("umip").critical());
}

TEST_CASE("IOPL is the VMM's: it keeps it below the deprivileged level", "[classify]") {
    const Form cli(R"("writes": [{"resource": "rflags.if"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "protected && cpl > iopl"}])");
    CHECK(cli.tags("base").privileged_text() == "cond:EFLAGS.IOPL");
    CHECK_FALSE(cli.tags("base").critical());
    CHECK(cli.tags("ring1").privileged_text() == "cond:EFLAGS.IOPL");
    CHECK(cli.tags("base").user_sensitive);  // with IOPL 3 it would act from user mode
}

TEST_CASE("a write that is silently ignored by level is a difference of mode", "[classify]") {
    const Form popf(R"("writes": [{"resource": "gpr"}, {"resource": "rflags.if", "when": "cpl <= iopl", "else": "ignored"}])");
    CHECK(popf.tags("base").behavior == Behavior::mode);
    CHECK(popf.tags("base").control_sensitive);
    CHECK(popf.tags("base").critical());
    CHECK(popf.tags("base", Mode::real16).behavior == Behavior::no);  // one level only
}

TEST_CASE("reads of the level and of the VMM's registers are mode and location", "[classify]") {
    CHECK(Form(R"("reads": [{"resource": "cpl"}])").tags("base").behavior == Behavior::mode);
    CHECK(Form(R"("reads": [{"resource": "gdtr"}])").tags("base").behavior == Behavior::location);
    CHECK(Form(R"("reads": [{"resource": "gdtr"}, {"resource": "cpl", "when": "protected"}])").tags("base").behavior == Behavior::both);
    CHECK(Form(R"("reads": [{"resource": "gpr"}], "writes": [{"resource": "gpr"}])").tags("base").behavior == Behavior::no);
    // A result that depends on CPL against a descriptor's DPL: LAR. The descriptor is held equal between the two states.
    CHECK(Form(R"("writes": [{"resource": "gpr", "when": "cpl <= dpl", "else": "other"}])").tags("base").behavior == Behavior::mode);
    CHECK(Form(R"("writes": [{"resource": "gpr", "when": "dpl == 0", "else": "other"}])").tags("base").behavior == Behavior::no);
    // A control bit that changes the result without a trap.
    CHECK(Form(R"("writes": [{"resource": "gpr", "when": "tsd", "else": "zero"}])").tags("base").behavior == Behavior::location);
}

TEST_CASE("trapping in user mode alone makes nothing behavior-sensitive", "[classify]") {
    const Form form(R"("writes": [{"resource": "gpr"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "cpl > 0"}])");
    CHECK(form.tags("base").behavior == Behavior::no);
    CHECK_FALSE(form.tags("base").sensitive());
}

TEST_CASE("under VT-x privileged means an exit, and a guest's own copy is not sensitive", "[classify]") {
    const Form hlt(R"("writes": [{"resource": "io.port"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "cpl > 0"}], "exits": {"vmx": {"control": "HLT_EXITING"}})");
    CHECK(hlt.tags("vmx").privileged_text() == "cond:HLT_EXITING");
    CHECK_FALSE(hlt.tags("vmx").critical());
    CHECK(hlt.tags("vmx", Mode::real16).privileged_text() == "cond:HLT_EXITING");
    const Form sgdt(R"("reads": [{"resource": "gdtr"}])");
    CHECK(sgdt.tags("vmx").privileged == Privileged::no);
    CHECK_FALSE(sgdt.tags("vmx").sensitive());
    const Form always(R"("reads": [{"resource": "io.port"}], "exits": {"vmx": {"always": true, "reason": 10}})");
    CHECK(always.tags("vmx").privileged == Privileged::yes);
    CHECK_FALSE(always.tags("vmx").critical());
}

TEST_CASE("an explanation names the states that show a tag", "[classify]") {
    const Form popf(R"("writes": [{"resource": "rflags.if", "when": "cpl <= iopl", "else": "ignored"}])");
    const auto& database = popf.database();
    const auto explanation = classify::explain(database, database.records[0], *database.find_profile("base"), Mode::protected32);
    const auto mode = std::find_if(explanation.witnesses.begin(), explanation.witnesses.end(), [](const auto& w) { return w.tag == "mode"; });
    REQUIRE(mode != explanation.witnesses.end());
    CHECK(mode->states[0].outcome != mode->states[1].outcome);
    int differing = 0;
    for (std::size_t i = 0; i < mode->states[0].atoms.size(); ++i) differing += mode->states[0].atoms[i] != mode->states[1].atoms[i];
    CHECK(differing == 1);
}

TEST_CASE("theorem 1 falls with one critical form, theorem 3 only with a user-sensitive one", "[classify]") {
    const auto judge = [](const Form& form) {
        const auto& database = form.database();
        const classify::TagTable tags(database, *database.find_profile("base"));
        ModeSet modes;
        modes.insert(Mode::protected32);
        return classify::judge(database, tags, modes);
    };
    const auto privileged = judge(Form(R"("writes": [{"resource": "rflags.if"}], "faults": [{"vector": "#GP", "cause": "privilege", "when": "cpl > 0"}])"));
    CHECK(privileged.theorems[0].met);
    CHECK(privileged.theorems[1].met);
    CHECK(privileged.theorems[2].met);
    // Sensitive for the supervisor only, and silent in user mode: the PDP-10's JRST 1 of the paper.
    const auto supervisor_only = judge(Form(R"("writes": [{"resource": "rflags.if", "when": "cpl < 3", "else": "ignored"}])"));
    CHECK_FALSE(supervisor_only.theorems[0].met);
    CHECK_FALSE(supervisor_only.theorems[1].met);
    const auto user = judge(Form(R"("reads": [{"resource": "gdtr"}])"));
    CHECK_FALSE(user.theorems[0].met);
    CHECK_FALSE(user.theorems[2].met);
    CHECK(user.critical.size() == 1);
}
