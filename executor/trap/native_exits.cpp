// SPDX-License-Identifier: Apache-2.0
// What the signals of native guest code mean, and the events that they become for the guest.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>
#include <x86intrin.h>

#include <utility>

#include "executor/trap/machine.h"
#include "executor/trap/user_calls.h"

namespace trapline::executor {
namespace {

constexpr std::uint32_t kErrorWrite = 2, kErrorFetch = 16;  // of the page-fault error code

}  // namespace

void Machine::take_signal() {
    const NativeSignal& signal = native_signal();
    if (signal.wide) {
        const std::string met = signal.number == SIGSYS ? fmt::format("asked the host for system call {}", signal.system_call) : fmt::format("met signal {}", signal.number);
        end(Ending::unsupported, fmt::format("the guest reached 64-bit code and {} at {:#x}; it is contained", met, native_frame().rip));
        return;
    }
    if (signal.number == kick_signal()) {
        // Set where the processor was interrupted between iterations of a string instruction.
        vcpu_.rflags |= native_frame().rflags & flag::rf;
        ++statistics_.kicks;
        native_frame().kick = 0;
        kick_due_ = look_again_ = kNever;
        spare_computing_code();
        read_input();
        return;
    }
    if (signal.number == SIGSYS) {
        // A system call of the host that no breakpoint stood on: the instruction has two bytes and is behind us.
        vcpu_.rip = static_cast<std::uint32_t>(vcpu_.rip - 2);
        interpret_site(Arrival::trap);
        return;
    }
    switch (static_cast<Vector>(signal.trap)) {
        case Vector::page_fault: take_page_fault(static_cast<std::uint32_t>(signal.address), signal.error_code); break;
        case Vector::breakpoint: take_breakpoint(); break;
        case Vector::debug:
            if (stepping_over_) {
                stepping_over_ = false;
                vcpu_.rflags &= ~flag::rf;
                finish_instruction(std::exchange(step_traps_, false));
                break;
            }
            // In patched kernel code POPF of a stub has set TF; the interpreter goes on and reports the steps.
            if (area_ != nullptr && vcpu_.cpl != 3) break;
            finish_instruction(true);
            break;
        case Vector::simd_fault:
            leave_stub();
            // Without CR4.OSXMMEXCPT the processor raises #UD instead; the host has the bit set.
            inject_fault({(vcpu_.cr4 & cr4::osxmmexcpt) != 0 ? Vector::simd_fault : Vector::invalid_opcode});
            break;
        case Vector::math_fault:
            leave_stub();
            if ((vcpu_.cr0 & cr0::ne) != 0) {
                inject_fault({Vector::math_fault, {}, 0});
            } else {
                // The processor stands still in front of the instruction until an interrupt comes (SDM vol. 1, "MS-DOS Compatibility").
                pc_->raise_math_error();
                vcpu_.halted = true;
            }
            break;
        case Vector::alignment_check:
            leave_stub();
            // Alignment is checked at CPL 3 only; the host's ring 3 is not always the guest's.
            if (vcpu_.cpl == 3)
                inject_fault({Vector::alignment_check, 0, 0});
            else
                interpret_one();
            break;
        default: take_fault(signal.trap, signal.error_code); break;
    }
}

/// Code that was still running when a kick came computes: where fetching is slower through a code segment with an end or a base, it gets one
/// without. User code for a while; code without paging as long as it stays where it can be run in place.
void Machine::spare_computing_code() {
    constexpr unsigned kEntries = 256;
    if (!limits_slow_code_) return;
    if (vcpu_.cpl == 3) {
        whole_code_ = kEntries;
    } else if (!vcpu_.is_paged() && vcpu_.cs().is_flat()) {
        if (const CodePage* const page = mmu_->code_at(linear_ip()); page != nullptr && page->is_plain()) mmu_->run_in_place();
    }
}

void Machine::take_page_fault(std::uint32_t address, std::uint32_t error_code) {
    bool after_sti = false;
    if (area_ != nullptr && MonitorArea::is_pending_access(address, after_sti) && is_in_stub()) return take_pending_store(after_sti);
    Fault fault;
    const bool fetch = (error_code & kErrorFetch) != 0, in_place = mmu_->runs_in_place();
    if (fetch) address -= mmu_->execution_offset();
    const Fill fill = mmu_->fill(address, (error_code & kErrorWrite) != 0, fetch, linear_ip(), fault);
    constexpr Nanoseconds kSoon = 100'000;
    if (in_place && !mmu_->runs_in_place()) look_again_ = now() + kSoon;
    switch (fill) {
        case Fill::mapped: break;
        case Fill::fault:
            if (vcpu_.cpl == 3 && !fetch) given_fault_ = {address, linear_ip(), (error_code & kErrorWrite) != 0, true};
            leave_stub();
            inject_fault(fault);
            break;
        case Fill::interpret:
            leave_stub();
            // A second refusal while the first is being answered: the instruction comes again.
            if (refused_access_) break;
            refused_access_ = address;
            interpret_one();
            refused_access_.reset();
            break;
        case Fill::exhausted: end(Ending::host_limit, "the host refused a mapping for the guest (vm.max_map_count)"); break;
    }
}

/// A fault that is neither a page's nor a breakpoint: a privileged instruction, a segment that the host's descriptors do not
/// allow, or the guest's own error. The interpreter knows which.
void Machine::take_fault(unsigned vector, std::uint32_t error_code) {
    leave_stub();
    const std::uint32_t linear = linear_ip();
    const CodePage* const page = mmu_->code_at(linear);
    const bool known_site = page != nullptr && page->sites[linear % kPageBytes];
    if (!known_site && vcpu_.cpl == 3 && tlb_.first_supervisor_page() != VirtualTlb::kPages) {
        // Perhaps user code has met the end of its segments, which is not the guest's. Without it the access shows what it is.
        Vcpu before = vcpu_;
        const StepResult result = interpret(vcpu_, *mmu_, *this);
        ++statistics_.interpreted;
        if (result.step == Step::fault) return inject_fault(result.fault);
        if (result.step == Step::done) {
            if (user_faults_++ % 16 == 15) tlb_.flush_supervisor_below(VirtualTlb::kPages);
            return;
        }
        vcpu_ = before;
        tlb_.flush_supervisor_below(VirtualTlb::kPages);
        return;
    }
    native_vector_ = vector;
    native_error_code_ = error_code;
    interpret_site(Arrival::trap);
}

void Machine::take_breakpoint() {
    vcpu_.rip = static_cast<std::uint32_t>(vcpu_.rip - 1);
    interpret_site(Arrival::breakpoint);
}

void Machine::interpret_site(Arrival arrival) {
    const std::uint64_t began = ticks_;
    const std::uint32_t linear = linear_ip();
    if (options_.trace >= 0) {
        const std::string line = fmt::format("{} {:08x} cpl {} eax {:08x} esp {:08x}\n", to_string(arrival), linear, vcpu_.cpl, vcpu_.reg32(kRax), vcpu_.reg32(kRsp));
        [[maybe_unused]] const ssize_t written = write(options_.trace, line.data(), line.size());
    }
    if (arrival != Arrival::hypercall) note_trip();
    SiteTally& site = site_tally(linear);
    statistics_.last.add({Happening::arrival, static_cast<std::uint32_t>(arrival), vcpu_.cpl, linear, vcpu_.reg32(kRax), 0});
    in_site_ = true;
    if (!is_plain() || stepping_over_ || interpret_known(1) == 0) interpret_one();
    Tally& tally = site.arrivals[static_cast<std::size_t>(arrival)];
    ++tally.count;
    ticks_ = __rdtsc();
    ticks_are_new_ = true;
    tally.ticks += ticks_ - began;
    note_execution(linear);
}

/// The counts of a place. A guest can make new code for ever; what comes beyond all reason is counted in one place, address 0.
SiteTally& Machine::site_tally(std::uint32_t linear) {
    constexpr std::size_t kMostSites = 200'000;
    const auto known = statistics_.sites.find(linear);
    if (known != statistics_.sites.end()) return known->second;
    SiteTally& site = statistics_.sites[statistics_.sites.size() < kMostSites ? linear : 0];
    if (site.length == 0 && statistics_.sites.size() <= kMostSites) {
        site.linear = linear;
        if (!mmu_->fetch(linear, site.bytes.data(), site.bytes.size(), Privilege::supervisor)) site.length = 1;
    }
    return site;
}

/// Under the technique auto, puts a patch in when its site has come here often enough.
void Machine::note_execution(std::uint32_t linear) {
    constexpr unsigned kHot = 4;  // arrivals that cost more than to prepare the page once more
    if (area_ == nullptr || options_.technique != RunTechnique::automatic) return;
    if (const auto page = plan_.count_execution(linear, kHot)) mmu_->forget_code_at(*page);
}

/// The gate: the stub has named a site, whose instruction stands at its place in memory as it was.
void Machine::take_hypercall() {
    if (area_->call_site() == MonitorArea::kUserCall) return take_user_call();
    const std::uint32_t number = area_->call_site();
    const PlanSite* const site = plan_.site(number);
    if (site == nullptr) return end(Ending::unsupported, fmt::format("the guest called for site {}, which the plan does not have", number));
    vcpu_.rip = site->address;
    const std::uint64_t delivered = events_;
    in_hypercall_ = true;
    interpret_site(Arrival::hypercall);
    in_hypercall_ = false;
    if (events_ == delivered && vcpu_.rip == site->address + site->length && site->resume != 0 && !is_dense_at(static_cast<std::uint32_t>(vcpu_.rip)))
        vcpu_.rip = site->resume;
}

/// The far call of user code has left its return address and selector on the stack: they tell where it came from. What stands there
/// in memory is what the guest wrote, a system call.
void Machine::take_user_call() {
    std::uint32_t pushed[2];
    const Privilege privilege = vcpu_.cpl == 3 ? Privilege::user : Privilege::supervisor;
    if (const MaybeFault fault = mmu_->read(vcpu_.ss().base + vcpu_.reg32(kRsp), pushed, sizeof pushed, privilege)) return inject_fault(*fault);
    vcpu_.set_reg32(kRsp, vcpu_.reg32(kRsp) + static_cast<std::uint32_t>(sizeof pushed));
    vcpu_.rip = pushed[0] - static_cast<std::uint32_t>(kFarCallBytes);
    interpret_site(Arrival::hypercall);
}

/// A stub has switched interrupts on while one waits. The store is not made: the guest goes on behind the instruction that the stub
/// stands for, after STI under its shadow.
void Machine::take_pending_store(bool after_sti) {
    const auto place = plan_.locate(static_cast<std::uint32_t>(vcpu_.rip));
    if (!place || place->next == 0) return end(Ending::unsupported, fmt::format("a stub at {:#x} ends without saying where the guest goes on", vcpu_.rip));
    vcpu_.rip = place->next;
    vcpu_.interrupt_shadow = after_sti;
}

/// What the guest gets to see is never an address in a stub.
void Machine::leave_stub() {
    if (!is_in_stub()) return;
    if (const auto place = plan_.locate(static_cast<std::uint32_t>(vcpu_.rip))) vcpu_.rip = place->guest;
}

void Machine::note_event(std::uint8_t vector) {
    ++events_;
    ++statistics_.delivered[vector];
}

void Machine::inject_fault(const Fault& fault) {
    inject({.kind = EventKind::fault, .vector = static_cast<std::uint8_t>(fault.vector), .error_code = fault.error_code, .address = fault.address});
}

void Machine::inject(const Event& event) {
    // The way into a handler saves and loads segments.
    constexpr unsigned kEntry = 40;
    if (vcpu_.cpl == 3) interpret_on_ = kEntry;
    leader_ = {};
    native_vector_ = 0;
    stepping_over_ = step_traps_ = false;
    ++events_;
    ++statistics_.delivered[event.vector];
    statistics_.last.add({Happening::event, event.vector, vcpu_.cpl, linear_ip(), event.error_code.value_or(0), static_cast<std::uint32_t>(event.address)});
    if (options_.trace >= 0) {
        const std::string line = fmt::format("event {} at {:08x} error {:x} cr2 {:08x}\n", event.vector, linear_ip(), event.error_code.value_or(0), event.address);
        [[maybe_unused]] const ssize_t written = write(options_.trace, line.data(), line.size());
    }
    if (deliver_watched(event) == Delivery::triple_fault)
        end(Ending::triple_fault, fmt::format("vector {} at {:#x}", event.vector, linear_ip()));
}

}  // namespace trapline::executor
