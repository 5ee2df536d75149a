// SPDX-License-Identifier: Apache-2.0
// What is interpreted, how long, and what comes of it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "executor/cpu/execution.h"
#include "executor/trap/machine.h"

namespace trapline::executor {
namespace {

constexpr unsigned kInterpretedAtOnce = 256;  // instructions between looks at the devices in code that cannot run natively
// Going native for a few instructions costs two or three microseconds when a signal ends it: some hundred interpreted instructions.
constexpr std::uint8_t kFarthest = 64, kFurther = 8, kNearer = 2;
// Where none has followed so often in a row none is expected, but for a look now and then: to go native at once saves some 200 ns, and to
// be wrong may cost a signal.
constexpr std::uint16_t kLonely = 200, kLookAgain = 1024;

}  // namespace

/// Whether a sensitive instruction stands here or a little further on: then going native and coming back costs more than
/// interpreting what lies between, even where a patch makes the way short. What lies inside a patch cannot be entered at all.
bool Machine::is_dense(const CodePage& page, std::size_t offset) {
    constexpr std::size_t kAhead = 16;  // bytes
    if (page.sensitive[offset] || page.inside[offset]) return true;
    return page.sensitive._Find_next(offset) <= offset + kAhead;
}

bool Machine::is_dense_at(std::uint32_t linear) {
    const CodePage* const page = mmu_->code_at(linear);
    return page != nullptr && is_dense(*page, linear % kPageBytes);
}

/// The instruction at CS:RIP where it has been decoded before or can be kept: 32-bit code, on a page that has been run and that the
/// virtual TLB leads to. Holds until something else is decoded or the page changes.
/// `before`: what was asked for last, if nobody has asked for another since.
inline DecodedInstruction* Machine::decoded_here(DecodedInstruction* before) {
    const std::uint32_t linear = linear_ip(), page = linear / kPageBytes, offset = linear % kPageBytes;
    if (page != here_.page || tlb_.changes() != here_.tlb_changes || code_->changes() != here_.code_changes) [[unlikely]] {
        look_at_page(page);
        before = nullptr;
    }
    if (here_.decoded == nullptr || (vcpu_.cpl == 3 && !here_.user) || !vcpu_.cs().big) return nullptr;
    DecodedInstruction* known = before != nullptr ? here_.decoded->find_behind(before, offset) : here_.decoded->find(offset);
    if (known == nullptr) [[unlikely]] known = decode_here(offset);
    if (known == nullptr || static_cast<std::uint32_t>(vcpu_.rip) + std::uint64_t{known->instruction.length} - 1 > vcpu_.cs().limit) return nullptr;
    return known;
}

void Machine::look_at_page(std::uint32_t page) {
    const MappedPage mapped = tlb_.find(page);
    here_ = {.page = page, .tlb_changes = tlb_.changes(), .code_changes = code_->changes(), .user = mapped.user};
    if (mapped.present) here_.code = code_->find(mapped.frame);
    if (here_.code != nullptr) here_.decoded = &code_->decoded(*here_.code);
}

DecodedInstruction* Machine::decode_here(std::uint32_t offset) {
    DecodedInstruction fresh;
    const std::span bytes(code_->original_of(*here_.code), kPageBytes);
    if (decode(bytes.subspan(offset), true, fresh.instruction) != Decoding::done) return nullptr;
    fresh.fast = fast_handler(fresh.instruction);
    fresh.sensitive = here_.code->sensitive[offset];
    fresh.may_change = fresh.sensitive || !here_.code->starts[offset];
    fresh.dense = is_dense(*here_.code, offset);
    return &here_.decoded->add(offset, fresh);
}

bool Machine::goes_native() {
    if (interpret_on_ != 0 || !runs_natively()) return false;
    const DecodedInstruction* const known = decoded_here();
    return known != nullptr ? !known->dense : !is_dense_at(linear_ip());
}

/// Counts an instruction that is about to be interpreted; `known` may be null.
inline void Machine::count_interpreted(DecodedInstruction* known) {
    ++statistics_.interpreted;
    if (interpret_on_ != 0) --interpret_on_;
    const bool counted = std::exchange(in_site_, false);
    bool sensitive = false;
    if (known != nullptr) {
        sensitive = known->sensitive;
    } else if (const CodePage* page = mmu_->code_at(linear_ip())) {
        sensitive = page->sensitive[linear_ip() % kPageBytes];
    }
    if (sensitive) count_sensitive(known, linear_ip(), counted);
}

/// `counted`: as what brought it here.
inline void Machine::count_sensitive(DecodedInstruction* known, std::uint32_t linear, bool counted) {
    if (!in_hypercall_) begin_group(known);
    if (!counted) ++tally_of(known, linear).arrivals[static_cast<std::size_t>(Arrival::interpreted)].count;
}

/// Instructions behind a sensitive one are interpreted, too, unless none of them has turned out to be sensitive for long.
inline void Machine::begin_group(DecodedInstruction* known) {
    if (leader_.code_changes == code_->changes()) {
        if (DecodedInstruction* const last = leader_.decoded->find(leader_.offset)) last->lonely = 0;
    }
    interpret_on_ = known != nullptr ? known->reach : kGroup;
    leader_ = {};
    if (known == nullptr) return;
    if (known->lonely >= kLonely && ++known->lonely % kLookAgain != 0) interpret_on_ = 0;
    else leader_ = {code_->changes(), here_.decoded, known->offset};
}

/// The guest goes on natively, and only the first instruction of the last group was sensitive.
void Machine::note_lonely() {
    last_leader_ = {};
    if (leader_.code_changes != code_->changes()) return;
    if (DecodedInstruction* const first = leader_.decoded->find(leader_.offset)) {
        ++first->lonely;
        if (first->reach > kGroup) first->reach = static_cast<std::uint8_t>(first->reach - kNearer);
        last_leader_ = leader_;
    }
    leader_ = {};
}

/// A sensitive instruction has brought the guest back by a signal. Where that took hardly longer than the signal alone, the group before
/// has ended too early, and the next one after the same instruction goes further. Where going further does not get there, it is left alone.
void Machine::note_trip() {
    shortest_trip_ = std::min(shortest_trip_, trip_);
    if (trip_ > shortest_trip_ + shortest_trip_ / 4 || last_leader_.code_changes != code_->changes()) return;
    DecodedInstruction* const first = last_leader_.decoded->find(last_leader_.offset);
    if (first == nullptr || first->is_far) return;
    first->lonely = 0;
    first->reach = static_cast<std::uint8_t>(first->reach + kNearer + kFurther);
    if (first->reach <= kFarthest) return;
    first->is_far = true;
    first->reach = kGroup;
}

/// The counts of an instruction, which is kept with what is known of it.
SiteTally& Machine::tally_of(DecodedInstruction* known, std::uint32_t linear) {
    if (known == nullptr) return site_tally(linear);
    if (known->tally == nullptr || known->tally->linear != linear) known->tally = &site_tally(linear);
    return *known->tally;
}

/// Interprets as long as that is better than to go native, and nothing is due.
void Machine::interpret_run() {
    unsigned done = 0;
    while (done < kInterpretedAtOnce && !outcome_ && !vcpu_.halted && !takes_interrupt()) {
        if (done != 0 && goes_native()) return;
        const unsigned known = is_plain() && !stepping_over_ ? interpret_known(kInterpretedAtOnce - done) : 0;
        if (known == 0) interpret_one();
        done += known != 0 ? known : 1;
    }
}

/// The short way for instructions that have been decoded before, without debug exceptions to look for. Comes back when there is
/// something else to do. Gives how many it was.
unsigned Machine::interpret_known(unsigned most) {
    Execution x(vcpu_, *mmu_, *this);
    FastState fast(vcpu_, mmu_->direct());
    DecodedInstruction* known = nullptr;
    for (unsigned done = 0; done < most;) {
        known = decoded_here(known);
        if (known == nullptr || (done != 0 && interpret_on_ == 0 && !known->dense && runs_natively())) return done;
        if (known->fast != nullptr && fast.is_usable()) {
            if (const unsigned passed = interpret_fast(fast, known, most - done); passed != 0) {
                done += passed;
                if (takes_interrupt()) return done;
                continue;
            }
        }
        count_interpreted(known);
        const bool may_change = known->may_change, interrupts = (vcpu_.rflags & flag::interrupt) != 0;
        const std::uint64_t resume = vcpu_.rflags & flag::rf;
        x.begin(known->instruction);
        vcpu_.rflags &= ~flag::rf;
        const Step step = x.handler(x);
        ++done;
        if (step != Step::done || x.again) {
            take_result(conclude(x, step, resume), false, interrupts);
            return done;
        }
        vcpu_.interrupt_shadow = x.shadow;
        vcpu_.rip = x.next;
        native_vector_ = 0;
        if (takes_interrupt()) return done;
        // Only a sensitive instruction changes these.
        if (!may_change) continue;
        fast.look();
        debug_held_ = is_debug_held(interrupts);
        if (outcome_ || vcpu_.halted || !is_plain()) return done;
    }
    return most;
}

/// From `known` on, which has a fast handler, as long as instructions of the same page have one that takes them: nothing becomes due
/// meanwhile. Gives how many it was; `known` is the last of them.
unsigned Machine::interpret_fast(FastState& fast, DecodedInstruction*& known, unsigned most) {
    const bool native = runs_natively();
    if (vcpu_.interrupt_shadow) most = 1;  // what it holds back comes next
    std::uint32_t linear = linear_ip();
    const std::uint32_t page = linear - linear % kPageBytes;
    unsigned done = 0;
    for (DecodedInstruction* next = known; next != nullptr && next->fast != nullptr && next->fast(fast, next->instruction);) {
        known = next;
        ++done;
        if (interpret_on_ != 0) --interpret_on_;
        const bool counted = std::exchange(in_site_, false);
        if (known->sensitive) count_sensitive(known, linear, counted);
        linear = linear_ip();
        if (done == most || linear - page >= kPageBytes) break;
        next = here_.decoded->find_behind(known, linear - page);
        if (next != nullptr && interpret_on_ == 0 && !next->dense && native) break;
    }
    if (done == 0) return 0;
    statistics_.interpreted += done;
    vcpu_.rflags &= ~flag::rf;
    vcpu_.interrupt_shadow = false;
    native_vector_ = 0;
    return done;
}

void Machine::interpret_one() {
    count_interpreted(decoded_here());
    if (has_debug_work() && raises_debug_before()) return;
    const bool single_step = (vcpu_.rflags & flag::tf) != 0, interrupts = (vcpu_.rflags & flag::interrupt) != 0;
    take_result(step(), single_step, interrupts);
}

/// What becomes of an instruction that began with these TF and IF.
void Machine::take_result(const StepResult& result, bool single_step, bool interrupts) {
    switch (result.step) {
        case Step::fault:
            if (result.fault.after_task_switch && result.fault.vector == Vector::debug)
                inject({.kind = EventKind::trap, .vector = static_cast<std::uint8_t>(Vector::debug)});
            else
                inject_fault(result.fault);
            return;
        case Step::trap:
            if (result.software_vector == static_cast<std::uint8_t>(Vector::breakpoint) && result.length == 1 && vcpu_.cpl == 0 && mmu_->restore_copied_code(linear_ip())) return;
            // INT1 is no software interrupt but raises #DB as a trap.
            if (result.software_vector)
                inject({.kind = EventKind::software_interrupt, .vector = *result.software_vector, .instruction_length = result.length});
            else
                inject({.kind = EventKind::trap, .vector = static_cast<std::uint8_t>(Vector::debug)});
            return;
        case Step::not_here:
            interpret_on_ = 0;
            if (native_vector_ != 0) {
                // Only the processor knows the instruction, and it has said what it thinks of it.
                const auto vector = static_cast<Vector>(native_vector_);
                const bool has_code = vector == Vector::general_protection || vector == Vector::stack_fault || vector == Vector::not_present;
                inject_fault({vector, has_code ? std::optional<std::uint32_t>(native_error_code_) : std::nullopt, 0});
                return;
            }
            if (!refused_access_ || mmu_->open_for_step(*refused_access_, linear_ip())) {
                // Inside the window of a patch the copy has other bytes.
                mmu_->withdraw_overlays_at(linear_ip());
                stepping_over_ = true;
                step_traps_ = single_step;
                if (runs_natively()) return enter_natively();
                stepping_over_ = false;
            }
            {
                std::array<std::uint8_t, 15> bytes{};
                (void)mmu_->fetch(linear_ip(), bytes.data(), bytes.size(), Privilege::supervisor);
                end(Ending::unsupported, fmt::format("no way to run the instruction {:02x} at {:#x} {}", fmt::join(bytes, " "), linear_ip(),
                                                     refused_access_ ? "on what is no RAM" : "in this mode"));
            }
            return;
        case Step::halt:
        case Step::done: break;
    }
    native_vector_ = 0;
    stepping_over_ = false;
    debug_held_ = is_debug_held(interrupts);
    if (single_step || debug_due_ != 0) finish_instruction(single_step);
}


}  // namespace trapline::executor
