// SPDX-License-Identifier: Apache-2.0
// One pass over the instructions of a candidate; the first obstacle ends it.
#include "patch/window.h"

#include <fmt/format.h>

#include <algorithm>

#include "patch/self_moving.h"

namespace trapline::patch {
namespace {

using scan::CodePlace;
using scan::Flow;

std::string address_text(const scan::CodeFacts& facts, CodePlace place) {
    return fmt::format("{:#x}", facts.sections()[place.section].address_of(place.offset).value);
}

/// Whether control comes to the next instruction in memory and nowhere else, but for a conditional branch out.
bool passes_on(const GuestInstruction& insn) { return insn.flow.kind == Flow::fallthrough || insn.flow.kind == Flow::conditional; }

class Search {
public:
    Search(const PlanContext& context, CodePlace begin, std::uint64_t need, std::optional<std::uint64_t> must_hold)
        : context_(context), need_(need), must_hold_(must_hold), code_(context.facts.sections()[begin.section]) {
        window_.begin = begin;
        window_.end = begin.offset;
    }

    std::optional<Window> run(std::string& why) {
        while (!complete()) {
            if (why = add_next(); !why.empty()) return std::nullopt;
        }
        if (why = check_surroundings(); !why.empty()) return std::nullopt;
        const GuestInstruction& last = window_.items.back().insn;
        window_.falls_through = last.flow.kind == Flow::fallthrough || last.flow.kind == Flow::conditional;
        // NOPs at the end that count as filler belong to the window; dead filler only follows what does not fall through.
        window_.exit_address = window_.falls_through ? code_.address_of(window_.end).value : last.address + last.bytes.size();
        window_.evidence.insert(window_.evidence.begin(), fmt::format("no known target in ({}, {})", address_text(context_.facts, window_.begin),
                                                                     address_text(context_.facts, {window_.begin.section, window_.end})));
        return std::move(window_);
    }

private:
    bool complete() const {
        return window_.size() >= need_ && !window_.items.empty() && (!must_hold_ || window_.end > *must_hold_);
    }
    CodePlace here() const { return {window_.begin.section, window_.end}; }

    std::string add_next() {
        if (!window_.items.empty() && !passes_on(window_.items.back().insn)) return add_filler();
        if (window_.items.size() == kMostItems) return "more than two dozen instructions would have to move";
        if (window_.end >= code_.bytes.size()) return "the section ends";
        if (!window_.items.empty())
            if (const scan::CodeTarget* target = context_.facts.find_target(here(), window_.end + 1))
                return fmt::format("{} is a target ({})", address_text(context_.facts, here()), to_string(target->kind));
        // Single NOPs in a longer run count as filler, but control may well pass through them.
        if (code_.map.is_padding(window_.end)) {
            if (code_.bytes[window_.end] != 0x90 || window_.items.empty()) return fmt::format("filler at {}", address_text(context_.facts, here()));
            ++window_.end;
            return {};
        }
        auto insn = read_instruction(context_.facts, here());
        if (!insn) return fmt::format("no instruction at {}", address_text(context_.facts, here()));
        WindowItem item;
        if (moves_itself(context_.facts.image()))
            if (const std::string obstacle = obstacle_where_code_moves(*insn, code_.map.is_reached(window_.end)); !obstacle.empty())
                return fmt::format("{} cannot move: {}", address_text(context_.facts, here()), obstacle);
        if (const auto site = context_.sites.find(here()); site != context_.sites.end()) {
            insn->site = site->second;
            const PlannedSite& planned = context_.planned[site->second];
            if (planned.evidence == Evidence::hidden) return fmt::format("{} overlaps another instruction", address_text(context_.facts, here()));
            const auto code = context_.templates.find(*insn, planned.form, moves_itself(context_.facts.image()));
            if (!code) return code.error().describe();
            if (*code == nullptr) return fmt::format("the interface has no code for {} in {}-bit code", planned.form, width_bits(insn->mode));
            item.code = *code;
        } else if (insn->is_nop()) {
            item.dropped = !follows_site();
        } else if (std::string obstacle = obstacle_to_moving(*insn); !obstacle.empty()) {
            return fmt::format("{} cannot move: {}", address_text(context_.facts, here()), obstacle);
        }
        window_.end = insn->end();
        item.insn = std::move(*insn);
        window_.items.push_back(std::move(item));
        return {};
    }

    /// Behind an instruction that does not fall through only dead filler may be taken.
    std::string add_filler() {
        if (must_hold_ && window_.end <= *must_hold_)
            return fmt::format("{} does not hand control on to the site", address_text(context_.facts, window_.items.back().insn.place));
        const std::uint64_t end = window_.begin.offset + need_;
        if (!is_dead_filler(context_.facts, here(), end))
            return fmt::format("control ends before {}, and behind it lies no filler that nothing leads to", address_text(context_.facts, here()));
        window_.evidence.push_back(fmt::format("dead filler in [{}, {})", address_text(context_.facts, here()),
                                              address_text(context_.facts, {window_.begin.section, end})));
        window_.end = end;
        return {};
    }

    /// What follows STI or a load of SS runs before an interrupt may come, and be it a NOP.
    bool follows_site() const { return !window_.items.empty() && window_.items.back().code != nullptr; }

    bool is_site(CodePlace place) const {
        return std::any_of(window_.items.begin(), window_.items.end(), [&](const WindowItem& item) { return item.insn.place == place && item.code != nullptr; });
    }

    std::string check_surroundings() {
        for (const scan::ProtectedRange* range : context_.facts.find_protected(window_.begin, window_.end)) {
            const bool inside = range->begin.offset <= window_.begin.offset && window_.end <= range->end;
            // Whoever applies an alternative overwrites all of it; until then the window runs.
            if (range->kind == image::TableKind::alternative_original && inside) {
                window_.evidence.push_back(fmt::format("inside the original of an alternative [{}, {}), which is replaced whole or not at all",
                                                      address_text(context_.facts, range->begin),
                                                      address_text(context_.facts, {range->begin.section, range->end})));
                continue;
            }
            // A fault of a site is raised by the VMM, at the site's own address: the fixup is found.
            if (range->kind == image::TableKind::exception_table && is_site(range->begin)) {
                window_.evidence.push_back(fmt::format("{} is in the exception table: the VMM raises its faults at that address", address_text(context_.facts, range->begin)));
                continue;
            }
            return fmt::format("{}: {} speaks of it", address_text(context_.facts, range->begin), image::to_string(range->kind));
        }
        const auto slots = context_.facts.find_slots(window_.begin, window_.end);
        if (!slots.empty()) {
            if (context_.facts.image().relocatable) return fmt::format("a relocation fills {:#x}", slots.front().address.value);
            window_.evidence.push_back(fmt::format("the relocation of {:#x} goes with its instruction: the image has to be loaded where it is linked",
                                                  slots.front().address.value));
        }
        if (moves_itself(context_.facts.image())) window_.evidence.push_back("known control flow reaches each instruction, and none of the bytes hangs on where they are moved to");
        if (!context_.room.is_free(window_.begin, window_.end)) return "another patch has taken the room";
        return {};
    }

    const PlanContext& context_;
    std::uint64_t need_;
    std::optional<std::uint64_t> must_hold_;
    const scan::SectionCode& code_;
    Window window_;
};

}  // namespace

bool is_dead_filler(const scan::CodeFacts& facts, CodePlace begin, std::uint64_t end) {
    const scan::SectionCode& code = facts.sections()[begin.section];
    if (end > code.bytes.size()) return false;
    // Among data zeros are no filler.
    const bool zeros = !moves_itself(facts.image());
    for (std::uint64_t at = begin.offset; at < end; ++at)
        if (!code.map.is_padding(at) || (!zeros && code.bytes[at] == 0)) return false;
    return facts.find_target(begin, end) == nullptr;
}

bool is_free_filler(const PlanContext& context, CodePlace begin, std::uint64_t end) {
    return is_dead_filler(context.facts, begin, end) && context.room.is_free(begin, end) && context.facts.find_protected(begin, end).empty();
}

std::optional<Window> try_window(const PlanContext& context, CodePlace begin, std::uint64_t need, std::optional<std::uint64_t> must_hold,
                                 std::string& why) {
    return Search(context, begin, need, must_hold).run(why);
}

std::optional<Window> find_window(const PlanContext& context, CodePlace site, std::uint64_t need, std::string& why,
                                  const std::function<bool(const Window&)>& accept, std::uint64_t must_hold) {
    CodePlace begin = site;
    must_hold = std::max(must_hold, site.offset);
    why.clear();
    for (int before = 0; before <= kMostBefore; ++before) {
        std::string obstacle;
        auto window = try_window(context, begin, need, must_hold, obstacle);
        if (window && (!accept || accept(*window))) return window;
        if (why.empty()) why = obstacle;
        const auto previous = context.facts.find_previous(begin);
        // What stands before must hand control on, and nothing else may lead to what follows it.
        if (!previous || context.facts.find_target(begin, begin.offset + 1) != nullptr) break;
        begin.offset = *previous;
        const auto insn = read_instruction(context.facts, begin);
        if (!insn || !passes_on(*insn)) break;
    }
    return std::nullopt;
}

}  // namespace trapline::patch
