// SPDX-License-Identifier: Apache-2.0
// Theorems 1 to 3 over the tag table.
#include "classify/theorem.h"

#include <algorithm>
#include <cstdio>

namespace trapline::classify {

namespace {

std::string describe_exit(const isa::Database& database, const isa::Exit& exit, bool vmx) {
    const auto code_of = [&](const std::string& name) {
        const auto& controls = vmx ? database.vmx_controls : database.svm_controls;
        const auto found = std::find_if(controls.begin(), controls.end(), [&](const auto& c) { return c.control == name; });
        return found == controls.end() ? -1 : found->code;
    };
    const int code = exit.reason ? *exit.reason : exit.always ? -1 : code_of(exit.control);
    std::string text = exit.always ? "always exits" : exit.control;
    if (code < 0) return text;
    char number[32];
    std::snprintf(number, sizeof number, vmx ? " (reason %d)" : " (code %#x)", code);
    return text + number;
}

}  // namespace

Verdict judge(const isa::Database& database, const TagTable& tags, ModeSet modes) {
    const isa::Profile& profile = tags.profile();
    Verdict verdict;
    verdict.profile = &profile;
    for (Mode mode : kAllModes)
        if (modes.contains(mode) && profile.modes.contains(mode)) verdict.modes.insert(mode);

    for (const isa::Record& record : database.records) {
        if (!isa::exists_in(record, profile)) continue;
        Cover cover;
        for (Mode mode : kAllModes) {
            if (!verdict.modes.contains(mode) || !record.encoding.modes.contains(mode)) continue;
            const Tags& form = tags.at(record, mode);
            ++verdict.forms;
            verdict.overrides += form.overridden;
            verdict.privileged += form.privileged == Privileged::yes;
            verdict.conditional += form.privileged == Privileged::conditional;
            if (!form.sensitive()) continue;
            ++verdict.sensitive;
            verdict.user_sensitive += form.user_sensitive;
            if (form.critical()) {
                verdict.critical.push_back({&record, mode, form});
                if (form.user_sensitive) verdict.user_critical.push_back({&record, mode, form});
            } else if (profile.exits != isa::ExitModel::none) {
                cover.modes.push_back(mode);
            }
        }
        const auto& exit = profile.exits == isa::ExitModel::vmx ? record.vmx : record.svm;
        if (!cover.modes.empty() && exit) {
            cover.record = &record;
            cover.by = describe_exit(database, *exit, profile.exits == isa::ExitModel::vmx);
            verdict.covers.push_back(std::move(cover));
        }
    }

    const bool first = verdict.critical.empty();
    const bool third = verdict.user_critical.empty();
    const bool has_user_mode = verdict.modes.contains(Mode::protected16) || verdict.modes.contains(Mode::protected32) || verdict.modes.contains(Mode::long64);
    const std::string outside = std::to_string(verdict.critical.size()) + " sensitive form(s) do not trap";
    verdict.theorems.push_back({1, first, "if every sensitive form is privileged, a virtual machine monitor can be constructed",
                                first ? "every sensitive form is privileged, or conditional on a bit that the VMM sets" : outside});
    // A VMM without timing dependencies is assumed to be buildable: nothing in the instruction set decides that.
    verdict.theorems.push_back({2, first, "if it is virtualizable and a VMM without timing dependencies can be built, it is recursively virtualizable",
                                first ? "theorem 1 holds; that the VMM has no timing dependencies is assumed" : "theorem 1's condition is not met"});
    verdict.theorems.push_back({3, third, "if every user-sensitive form is privileged, a hybrid virtual machine monitor can be constructed",
                                third ? (first             ? "follows from theorem 1"
                                         : has_user_mode   ? "no critical form is sensitive from user mode"
                                                           : "vacuously: real mode has no user mode, so the theorem says nothing of this machine")
                                      : std::to_string(verdict.user_critical.size()) + " user-sensitive form(s) do not trap"});
    return verdict;
}

}  // namespace trapline::classify
