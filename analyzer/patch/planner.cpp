// SPDX-License-Identifier: Apache-2.0
// Two passes: the first chooses drafts and claims room, the second writes bytes in the order of addresses, so that stubs lie
// as their sites do whatever order the sites were served in.
#include "patch/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "patch/draft_writer.h"
#include "patch/flags_liveness.h"
#include "patch/planned_site.h"
#include "patch/self_moving.h"
#include "patch/tactics/tactic.h"

namespace trapline::patch {
namespace {

/// Operations on the interrupt flag. They are so frequent that a trap for each is never worth it.
constexpr std::array<std::string_view, 5> kInterruptFlagOperations = {"get_flags", "set_flags", "interrupts_off", "interrupts_on", "interrupt_return"};

/// Sections whose code runs once, at boot or on unload.
bool runs_once(std::string_view section) { return section.starts_with(".init.") || section.starts_with(".exit."); }

std::string technique_reason(const Draft& draft) {
    switch (draft.entry) {
        case Entry::in_place: return "The operation itself fits the room at the site.";
        case Entry::alternative: return "It stands in the replacement of an alternative, which becomes a jump to a stub.";
        case Entry::short_jump:
            if (draft.punned) return "A short jump whose displacement is the next instruction's first byte leads to a jump to the stub.";
            return draft.evicted ? "A short jump leads to room from which neighbours were evicted." : "A short jump leads to a jump in filler.";
        case Entry::breakpoint: return "Only INT3 fits.";
        case Entry::jump: break;
    }
    if (draft.technique == Technique::direct) return "The instruction holds a jump to a stub.";
    std::size_t neighbours = 0, sites = 0;
    for (const WindowItem& item : draft.window.items) ++(item.code != nullptr ? sites : neighbours);
    return sites > 1 ? fmt::format("A jump takes the room of {} sites and {} neighbours.", sites, neighbours)
                     : fmt::format("A jump takes the room of the instruction and {} neighbours.", neighbours);
}

}  // namespace

/// Plans one part.
class PartPlanner {
public:
    PartPlanner(const isa::Database& database, const PlanOptions& options, TemplateAssembler& templates, decode::Witness& text, PlanDocument& plan,
                std::map<Mode, std::uint64_t>& next_stub)
        : database_(database), options_(options), templates_(templates), text_(text), plan_(plan), next_stub_(next_stub) {}

    void run(const ScanDocument& scan, const scan::CodeFacts& facts) {
        facts_ = &facts;
        first_ = plan_.sites.size();
        for (const Finding& finding : scan.findings)
            if (finding.critical || finding.privileged != "no") add_site(finding);
        const PlanContext context{facts, room_, sites_, plan_.sites, templates_, [this](scan::CodePlace at) { return planned_byte(at); }};
        std::vector<std::uint32_t> order;
        for (std::uint32_t i = static_cast<std::uint32_t>(first_); i < plan_.sites.size(); ++i) order.push_back(i);
        // Hot sites choose first, then what has to be patched, each in the order of the file.
        std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
            return std::pair(plan_.sites[a].executions, plan_.sites[a].critical) > std::pair(plan_.sites[b].executions, plan_.sites[b].critical);
        });
        // Springboards take room away from the sites themselves, so they come when all others have theirs.
        std::vector<std::uint32_t> left;
        for (const std::uint32_t number : order)
            if (!choose(context, number)) left.push_back(number);
        std::erase_if(left, [&](std::uint32_t number) { return plan_.sites[number].patch || try_tactic(context, number, {Technique::springboard, propose_springboard}); });
        // Puns come last and from the end to the beginning: each needs to know what becomes of the byte behind it.
        std::stable_sort(left.begin(), left.end(), [&](std::uint32_t a, std::uint32_t b) { return *place(a) > *place(b); });
        for (const std::uint32_t number : left)
            if (!plan_.sites[number].patch && !try_tactic(context, number, {Technique::springboard, propose_pun})) give_up(context, number, *place(number));
        write();
    }

private:
    void add_site(const Finding& finding) {
        const auto number = static_cast<std::uint32_t>(plan_.sites.size());
        PlannedSite site = planned_site(finding, database_, templates_.abi());
        site.number = number;
        if (const auto found = options_.executions.find({site.part, site.address}); found != options_.executions.end()) site.executions = found->second;
        if (const auto place = place_of(finding)) {
            if (finding.evidence != Evidence::hidden) sites_.emplace(*place, number);
            const int length = static_cast<int>(finding.bytes.size());
            site.flags = flags_liveness(*facts_, {place->section, place->offset + static_cast<std::uint64_t>(length)});
        }
        places_.push_back(place_of(finding));
        plan_.sites.push_back(std::move(site));
    }

    /// Sections may share a name and, in a relocatable file, addresses; the offset in the file tells them apart.
    std::optional<scan::CodePlace> place_of(const Finding& finding) const {
        for (std::size_t i = 0; i < facts_->sections().size(); ++i) {
            const image::Section& section = *facts_->sections()[i].section;
            if (finding.file_offset < section.file_offset.value || finding.file_offset - section.file_offset.value >= section.bytes.size()) continue;
            if (section.address + (finding.file_offset - section.file_offset.value) == VirtAddr{finding.address}) return scan::CodePlace{i, finding.file_offset - section.file_offset.value};
        }
        return std::nullopt;
    }

    std::optional<scan::CodePlace> place(std::uint32_t number) const { return places_[number - first_]; }

    /// Whether the site shall be made to call instead of trapping.
    bool wants_code(const PlannedSite& site) const {
        if (site.critical) return true;
        if (site.operation.empty()) return false;
        if (options_.technique == "auto") return site.executions >= kHotExecutions;
        if (std::find(kInterruptFlagOperations.begin(), kInterruptFlagOperations.end(), site.operation) != kInterruptFlagOperations.end()) return true;
        return !(runs_once(site.section) || moves_itself(facts_->image())) || site.executions >= kHotExecutions;
    }

    /// Gives a site its technique. False where only tactics remain that make room elsewhere.
    bool choose(const PlanContext& context, std::uint32_t number) {
        PlannedSite& site = plan_.sites[number];
        if (site.patch) return true;  // an earlier site's window holds it
        site.fallback = site.critical ? Technique::breakpoint : Technique::trap;
        const auto where = place(number);
        if (!where) return settle(site, Technique::unplanned, "No section under scan holds it.");
        // The setup code ends with a few instructions on the way to protected mode.
        if (site.mode == "16r" || facts_->image().format == image::Format::bzimage_setup) {
            site.fallback = Technique::interpret;
            return settle(site, Technique::interpret, "Real-mode code is not run on a deprivileged processor: an interpreter does.");
        }
        if (site.evidence == Evidence::hidden)
            return site.critical ? settle(site, Technique::unplanned, "It shares its bytes with another instruction, so neither can be rewritten alone.")
                                 : settle(site, Technique::trap, trap_reason(site));
        if (site.form == "int3") return settle(site, Technique::trap, "It is a breakpoint itself: the VMM meets it as it stands.");
        if (!wants_code(site)) return settle(site, Technique::trap, trap_reason(site));
        if (templates_.abi().find_area(*parse_mode(site.mode)) == nullptr) return choose_without_code(context, number, *where);
        if (is_uncertain(site)) return watch(site);
        if (is_replacement(*where)) {
            Proposal proposal = propose_alternative(context, *where);
            if (!proposal.draft) return refuse_code(context, number, *where, proposal.refusal);
            const std::string why_not_inline = refuse_inline_replacement(*proposal.draft);
            for (const WindowItem& item : proposal.draft->window.items)
                if (item.insn.site) plan_.sites[*item.insn.site].refused.push_back({Technique::inline_code, why_not_inline});
            return accept(std::move(*proposal.draft));
        }
        for (const Tactic& tactic : code_tactics())
            if (try_tactic(context, number, tactic)) return true;
        return merge(context, *where);
    }

    /// Where data stand beside the code, what only the sweep meets may be either: not a byte is written there.
    bool is_uncertain(const PlannedSite& site) const { return moves_itself(facts_->image()) && site.evidence != Evidence::reached; }

    static bool watch(PlannedSite& site) {
        if (!site.critical) return settle(site, Technique::trap, trap_reason(site));
        for (const Tactic& tactic : code_tactics())
            site.refused.push_back({tactic.technique, "no known control flow leads to it, and where the boot stub's code ends and its data begin is not told"});
        return settle(site, Technique::watch, "Only the sweep meets it, among code and data: the VMM looks at the page when it is first executed, and sets a breakpoint if this is code.");
    }

    bool try_tactic(const PlanContext& context, std::uint32_t number, const Tactic& tactic) {
        Proposal proposal = tactic.propose(context, *place(number));
        if (proposal.draft) return accept(std::move(*proposal.draft));
        plan_.sites[number].refused.push_back({tactic.technique, std::move(proposal.refusal)});
        return false;
    }

    /// An interface without code for this mode: what replaces the site is written by hand, if there is anything.
    bool choose_without_code(const PlanContext& context, std::uint32_t number, scan::CodePlace where) {
        PlannedSite& site = plan_.sites[number];
        const isa::AbiOperation* operation = templates_.abi().find_operation(site.operation, site.form);
        if (!templates_.abi().areas.empty() || operation == nullptr || operation->fit == isa::AbiFit::none)
            return refuse_code(context, number, where, fmt::format("{} has no code for {}-bit code", templates_.abi().id, width_bits(*parse_mode(site.mode))));
        return settle(site, Technique::by_hand, fmt::format("{}: {}.{}", templates_.abi().id, site.call.empty() ? "the guest has no reason for it" : site.call,
                                                    operation->note.empty() ? "" : " " + operation->note));
    }

    bool refuse_code(const PlanContext& context, std::uint32_t number, scan::CodePlace where, const std::string& reason) {
        for (const Tactic& tactic : code_tactics()) plan_.sites[number].refused.push_back({tactic.technique, reason});
        plan_.sites[number].refused.push_back({Technique::springboard, reason});
        return give_up(context, number, where);
    }

    bool give_up(const PlanContext& context, std::uint32_t number, scan::CodePlace where) {
        PlannedSite& site = plan_.sites[number];
        if (!site.critical) return settle(site, Technique::trap, trap_reason(site));
        if (is_uncertain(site)) return watch(site);
        Proposal proposal = propose_breakpoint(context, where);
        if (proposal.draft) return accept(std::move(*proposal.draft));
        site.refused.push_back({Technique::breakpoint, proposal.refusal});
        return settle(site, Technique::unplanned, "Nothing fits: " + proposal.refusal + ".");
    }

    /// What a byte will be: nothing where that is open, because a site may still be patched there.
    std::optional<std::uint8_t> planned_byte(scan::CodePlace at) const {
        if (const auto owner = room_.find_owner(at, at.offset + 1)) {
            const Draft& draft = drafts_[*owner];
            return draft.window.begin == at ? first_byte(draft.entry) : std::nullopt;
        }
        const auto site = sites_.find(at);
        if (site != sites_.end() && plan_.sites[site->second].technique == Technique::unplanned) return std::nullopt;
        return facts_->sections()[at.section].bytes[at.offset];
    }

    bool is_replacement(scan::CodePlace where) const {
        for (const scan::ProtectedRange* range : facts_->find_protected(where, where.offset + 1))
            if (range->kind == image::TableKind::alternative_replacement) return true;
        return false;
    }

    /// True, so that it ends a choice.
    static bool settle(PlannedSite& site, Technique technique, std::string why) {
        site.technique = technique;
        site.why = std::move(why);
        return true;
    }

    /// Claims the room of a draft and gives its sites their technique. True.
    bool accept(Draft&& draft) {
        const auto id = static_cast<std::uint32_t>(drafts_.size());
        room_.claim(draft.window.begin, draft.claim_end(), id);
        if (draft.evicted) room_.claim(draft.evicted->begin, draft.evicted->end, id);
        else if (draft.springboard) room_.claim(*draft.springboard, draft.springboard->offset + kJumpBytes, id);
        assign(draft, id, draft.technique);
        drafts_.push_back(std::move(draft));
        return true;
    }

    void assign(const Draft& draft, std::uint32_t id, Technique technique) {
        const auto set = [&](const Window& window) {
            for (const WindowItem& item : window.items) {
                if (!item.insn.site) continue;
                PlannedSite& site = plan_.sites[*item.insn.site];
                site.patch = id;
                site.technique = technique;
                site.fallback = site.critical ? Technique::breakpoint : Technique::trap;
                site.why = technique_reason(draft);
            }
        };
        set(draft.window);
        if (draft.evicted) set(*draft.evicted);
    }

    /// Where an earlier patch took the room that a site needs, tries one window for both; otherwise all stays as it was.
    bool merge(const PlanContext& context, scan::CodePlace where) {
        const std::uint64_t from = where.offset < kJumpBytes ? 0 : where.offset - kJumpBytes;
        const auto owner = room_.find_owner({where.section, from}, where.offset + 2 * kJumpBytes);
        if (!owner) return false;
        Draft& old = drafts_[*owner];
        if (old.entry != Entry::jump && old.entry != Entry::in_place) return false;
        room_.release(*owner);
        const std::uint64_t last = old.window.items.back().insn.place.offset;
        const std::uint64_t hold = std::max(last, where.offset);
        const scan::CodePlace start{where.section, std::min(old.window.begin.offset, where.offset)};
        std::string why;
        auto window = find_window(context, start, kJumpBytes, why, {}, hold);
        if (!window) {
            room_.claim(old.window.begin, old.window.end, *owner);
            return false;
        }
        old.window = std::move(*window);
        old.technique = Technique::absorb;
        old.entry = Entry::jump;
        old.window.evidence.push_back("one window for sites that are too close for two");
        room_.claim(old.window.begin, old.window.end, *owner);
        assign(old, *owner, old.technique);
        return true;
    }

    void write() {
        std::vector<std::uint32_t> order(drafts_.size());
        for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
        std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return drafts_[a].window.begin < drafts_[b].window.begin; });
        const DraftWriter writer(*facts_, text_, templates_.abi());
        if (moves_itself(facts_->image())) reserve_boot_stubs(writer, order);
        for (const std::uint32_t id : order) {
            const Draft& draft = drafts_[id];
            std::uint64_t& next = next_address(draft);
            auto written = writer.write(draft, next);
            if (!written) {
                undo(draft, written.error());
                continue;
            }
            const auto index = static_cast<std::uint32_t>(plan_.patches.size());
            written->patch.part = plan_.sites[first_].part;
            for (PlanStub& stub : written->stubs) {
                next = (stub.address + stub.bytes.size() + 7) & ~std::uint64_t{7};
                written->patch.stubs.push_back(static_cast<std::uint32_t>(plan_.stubs.size()));
                plan_.stubs.push_back(std::move(stub));
            }
            finish_sites(draft, index, *written);
            plan_.patches.push_back(std::move(written->patch));
        }
        for (std::size_t i = first_; i < plan_.sites.size(); ++i)
            if (!plan_.sites[i].patch) estimate(options_.costs, plan_.sites[i], 0, false);
    }

    /// Stubs of code that moves itself stand at the end of the payload's room. How long they are does not hang on where they stand,
    /// so a first pass tells how much that takes.
    void reserve_boot_stubs(const DraftWriter& writer, const std::vector<std::uint32_t>& order) {
        std::uint64_t size = 0;
        for (const std::uint32_t id : order) {
            const auto written = writer.write(drafts_[id], size);
            if (!written || written->stubs.empty()) continue;
            size = (written->stubs.back().address + written->stubs.back().bytes.size() + 7) & ~std::uint64_t{7};
            // The pages of the interface are the VMM's from here on.
            next_stub_.try_emplace(drafts_[id].window.items.front().insn.mode, templates_.abi().find_area(drafts_[id].window.items.front().insn.mode)->stubs.begin.value);
        }
        const auto room = payload_room(facts_->image());
        if (size == 0 || !room) return;
        next_boot_stub_ = (std::max(room->end.value, size) - size) & ~(kBootStubAlignment - 1);
        plan_.reserved.push_back({next_boot_stub_, room->end.value, std::string(kBootStubRange)});
        plan_.notes.emplace_back("boot stub: its jump tables are not read, so a window takes only instructions that known control flow reaches");
    }

    std::uint64_t& next_address(const Draft& draft) {
        if (moves_itself(facts_->image())) return next_boot_stub_;
        const Mode mode = draft.window.items.front().insn.mode;
        const isa::AbiArea* area = templates_.abi().find_area(mode);
        const bool relocatable = facts_->image().relocatable;
        return next_stub_.try_emplace(mode, relocatable || area == nullptr ? 0 : area->stubs.begin.value).first->second;
    }

    void finish_sites(const Draft& draft, std::uint32_t index, const WrittenDraft& written) {
        const auto finish = [&](const Window& window) {
            for (const WindowItem& item : window.items) {
                if (!item.insn.site) continue;
                PlannedSite& site = plan_.sites[*item.insn.site];
                site.patch = index;
                if (item.code != nullptr && item.code->source->stack_bytes != 0)
                    site.clobbers.push_back(fmt::format("{} bytes below the stack pointer", item.code->source->stack_bytes));
                estimate(options_.costs, site, item.code == nullptr ? 0 : item.code->source->lines.size(), item.code != nullptr && item.code->source->calls_vmm);
            }
        };
        finish(draft.window);
        if (draft.evicted) finish(*draft.evicted);
        for (const auto& [number, resume] : written.resumes) plan_.sites[number].resume = resume;
    }

    /// A draft whose bytes cannot be written leaves no trace but the reason.
    void undo(const Draft& draft, const std::string& reason) {
        const auto drop = [&](const Window& window) {
            for (const WindowItem& item : window.items) {
                if (!item.insn.site) continue;
                PlannedSite& site = plan_.sites[*item.insn.site];
                site.patch.reset();
                site.refused.push_back({draft.technique, reason});
                settle(site, site.critical ? Technique::unplanned : Technique::trap, site.critical ? "Its stub cannot be written: " + reason + "." : trap_reason(site));
            }
        };
        drop(draft.window);
        if (draft.evicted) drop(*draft.evicted);
    }

    const isa::Database& database_;
    const PlanOptions& options_;
    TemplateAssembler& templates_;
    decode::Witness& text_;
    PlanDocument& plan_;
    std::map<Mode, std::uint64_t>& next_stub_;
    const scan::CodeFacts* facts_ = nullptr;
    std::size_t first_ = 0;
    SiteIndex sites_;
    std::vector<std::optional<scan::CodePlace>> places_;  ///< of the sites from first_ on
    Room room_;
    std::vector<Draft> drafts_;
    std::uint64_t next_boot_stub_ = 0;
};

struct Planner::Impl {
    Impl(const isa::Database& the_database, const isa::Abi& abi, PlanOptions&& the_options)
        : database(the_database), options(std::move(the_options)), templates(abi), text(decode::make_llvm_witness()) {}
    const isa::Database& database;
    PlanOptions options;
    TemplateAssembler templates;
    std::unique_ptr<decode::Witness> text;
    PlanDocument plan;
    std::map<Mode, std::uint64_t> next_stub;
    std::uint64_t physical_offset = 0;
};

Planner::Planner(const isa::Database& database, const isa::Abi& abi, PlanOptions options) : impl_(std::make_unique<Impl>(database, abi, std::move(options))) {}
Planner::~Planner() = default;

void Planner::add(const ScanDocument& scan, const scan::CodeFacts& facts) {
    PlanDocument& plan = impl_->plan;
    const image::Image& image = facts.image();
    const std::size_t mark = image.name.rfind('!');
    const std::string part = image.format == image::Format::bzimage_setup ? "setup" : image.format == image::Format::bzimage_stub ? "stub"
                             : mark != std::string::npos && image.name.substr(mark) == "!payload" ? "payload" : "";
    plan.parts.push_back({part, image.sha256, image.build_id, image.architecture, image.size, image.relocatable});
    plan.sha256 = image.sha256;  // the last part is the innermost
    plan.build_id = image.build_id;
    plan.profile = scan.profile;
    plan.database_version = scan.database_version;
    plan.program_version = scan.program_version;
    // Stubs of a relocatable file are a section of its own, counted from 0.
    ScanDocument named;
    const ScanDocument* source = &scan;
    if (!part.empty() && !scan.findings.empty() && scan.findings.front().part.empty()) {
        named = scan;
        for (Finding& finding : named.findings) finding.part = part;
        source = &named;
    }
    PartPlanner(impl_->database, impl_->options, impl_->templates, *impl_->text, plan, impl_->next_stub).run(*source, facts);
}

PlanDocument Planner::finish(const std::string& image) {
    PlanDocument plan = std::exchange(impl_->plan, {});
    const auto next_stub = std::exchange(impl_->next_stub, {});
    const std::uint64_t physical_offset = std::exchange(impl_->physical_offset, 0);
    const isa::Abi& abi = impl_->templates.abi();
    plan.image = image;
    plan.abi = abi.id;
    plan.abi_version = abi.version();
    plan.technique = impl_->options.technique;
    for (const auto& [mode, end] : next_stub) {
        const isa::AbiArea* area = abi.find_area(mode);
        if (area == nullptr) continue;
        plan.reserved.push_back({area->stubs.begin.value, area->stubs.end.value, "stubs"});
        if (physical_offset != 0) {
            const std::uint64_t begin = area->stubs.begin.value - physical_offset;
            plan.reserved.push_back({begin, begin + area->stubs.size(), "stubs-before-paging"});
        }
        plan.reserved.push_back({area->gate.value, area->gate.value + isa::kAbiPageBytes, "gate"});
        plan.reserved.push_back({area->vcpu.value, area->vcpu.value + isa::kAbiPageBytes, "vcpu"});
        plan.reserved.push_back({area->pending.value, area->pending.value + isa::kAbiPageBytes, "pending"});
    }
    for (const PlannedSite& site : plan.sites) ++plan.by_technique[std::string(to_string(site.technique))];
    return plan;
}

}  // namespace trapline::patch
