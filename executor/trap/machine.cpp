// SPDX-License-Identifier: Apache-2.0
// The loop: due device work, deliverable interrupts, then guest code until it comes back.
#include "executor/trap/machine.h"

#include <fmt/format.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace trapline::executor {
namespace {

constexpr std::uint64_t kAddressSpace = std::uint64_t{1} << 32;
constexpr Nanoseconds kLongestStretch = 20'000'000;  // native code comes back at least this often: input, time limits
constexpr Nanoseconds kShortestStretch = 20'000;     // and gets this long: a device that always wants attention must not stop the guest

}  // namespace

std::string_view to_string(Arrival arrival) {
    switch (arrival) {
        case Arrival::trap: return "trap";
        case Arrival::breakpoint: return "breakpoint";
        case Arrival::hypercall: return "hypercall";
        case Arrival::interpreted: return "interpreted";
    }
    return "";
}

std::string_view to_string(Ending ending) {
    switch (ending) {
        case Ending::power_off: return "power-off";
        case Ending::halted: return "halted";
        case Ending::reset: return "reset";
        case Ending::debug_exit: return "debug-exit";
        case Ending::triple_fault: return "triple-fault";
        case Ending::interrupted: return "interrupted";
        case Ending::unsupported: return "unsupported";
        case Ending::host_limit: return "host-limit";
    }
    return "";
}

Result<std::unique_ptr<Machine>> Machine::create(const decode::InstructionDecoder& decoder, const SiteForms& forms, const SharedPages& ram,
                                                 const SharedPages& copies, const MachineOptions& options) {
    std::unique_ptr<Machine> machine(new Machine);
    machine->options_ = options;
    auto tlb = VirtualTlb::create(ram, copies, ram.pages());
    if (!tlb) return tl::unexpected(tlb.error());
    machine->tlb_ = std::move(*tlb);
    if (const Status native = start_native(); !native) return tl::unexpected(native.error());
    machine->cpuid_ = VirtualCpuid(host_cpuid, {.local_apic = options.pc.apic});
    machine->msrs_ = VirtualMsrs(machine->cpuid_.is_intel(), {.local_apic = options.pc.apic});
    machine->started_ = machine->clock_.now();
    machine->pc_ = std::make_unique<Pc>(*machine, options.pc);
    machine->code_ = std::make_unique<CodePages>(decoder, forms, ram, copies, options.technique == RunTechnique::breakpoint);
    PlanPatches* plan = nullptr;
    if (options.technique == RunTechnique::hypercall || options.technique == RunTechnique::automatic) {
        auto area = MonitorArea::create(machine->tlb_);
        if (!area) return tl::unexpected(area.error());
        machine->area_ = std::move(*area);
        machine->code_->set_user_gate(MonitorArea::user_gate());
        plan = &machine->plan_;
    }
    FindOverlays overlays = [plan, &ram](std::uint32_t linear_page, std::uint32_t frame) {
        return plan == nullptr ? std::span<const CodeOverlay* const>() : plan->overlays(linear_page, std::span(ram.page(frame), kPageBytes));
    };
    machine->mmu_ = std::make_unique<Mmu>(machine->vcpu_, ram, machine->tlb_, *machine->code_, *machine, std::move(overlays));
    // The state after FNINIT and the reset value of MXCSR (SDM vol. 3, "Processor State After Reset").
    std::uint8_t* const fpu = native_frame().fpu;
    fpu[0] = 0x7F;
    fpu[1] = 0x03;
    fpu[24] = 0x80;
    fpu[25] = 0x1F;
    return machine;
}

Nanoseconds Machine::now() { return clock_.now() - started_; }

CpuidLeaf Machine::cpuid(std::uint32_t leaf, std::uint32_t subleaf) { return cpuid_.answer(leaf, subleaf); }
bool Machine::read_msr(std::uint32_t index, std::uint64_t& value) { return msrs_.read(index, __rdtsc(), value); }
bool Machine::write_msr(std::uint32_t index, std::uint64_t value) { return msrs_.write(index, __rdtsc(), value); }
std::uint64_t Machine::read_tsc() { return msrs_.tsc(__rdtsc()); }

void Machine::end(Ending ending, std::string detail, unsigned code) {
    if (!outcome_) outcome_ = RunOutcome{ending, code, std::move(detail)};
}

RunOutcome Machine::run() {
    const std::uint64_t began = __rdtsc();
    // Under the technique hypercall every instruction is to run with its patch, under auto the guest does not wait for the plan.
    while (options_.plan && options_.technique == RunTechnique::hypercall && (options_.stop == nullptr || !*options_.stop)) {
        look_for_plan();
        constexpr timespec kMoment{0, 500'000};
        if (options_.plan) ppoll(nullptr, 0, &kMoment, nullptr);
    }
    statistics_.idle_ticks += __rdtsc() - began;  // what the plan takes is nobody's work here
    while (!outcome_) {
        serve_devices();
        if (outcome_) break;
        if ((takes_interrupt() || !runs_natively()) && is_in_stub()) {
            const auto place = plan_.locate(static_cast<std::uint32_t>(vcpu_.rip));
            if (!place || !place->exact) {
                // Between two of the guest's instructions there is no address to go on at.
                step_in_stub();
                continue;
            }
            vcpu_.rip = place->guest;
        }
        if (takes_interrupt()) {
            vcpu_.halted = false;
            inject({.kind = EventKind::external_interrupt, .vector = pc_->acknowledge_interrupt()});
            continue;
        }
        if (vcpu_.halted) {
            wait_for_event();
        } else if (vcpu_.interrupt_shadow && pc_->interrupt_waits()) {
            leave_stub();
            interpret_one();
        } else if (goes_native()) {
            enter_natively();
        } else {
            interpret_run();
        }
    }
    statistics_.monitor_ticks = __rdtsc() - began - statistics_.guest_ticks - statistics_.idle_ticks;
    std::copy(std::begin(native_frame().fpu), std::end(native_frame().fpu), vcpu_.fpu.begin());
    return *outcome_;
}

/// A springboard's second jump stands where bytes of an evicted instruction were: whoever is interrupted there is on the way from the
/// patched instruction to its stub, and stands for it.
void Machine::leave_relay() {
    if (area_ == nullptr || vcpu_.cpl != 0) return;
    constexpr std::uint8_t kJump = 0xE9;
    const std::uint32_t linear = linear_ip(), offset = linear % kPageBytes;
    const CodePage* const page = mmu_->code_at(linear);
    if (page == nullptr || !page->inside[offset] || offset + 5 > kPageBytes) return;
    const std::uint8_t* const code = code_->copy_of(*page) + offset;
    std::uint32_t distance = 0;
    std::memcpy(&distance, code + 1, sizeof distance);
    if (code[0] != kJump) return;
    if (const auto place = plan_.locate(linear + 5 + distance)) vcpu_.rip = place->guest;
}

/// One native step of a stub. The trap flag that does it is the monitor's: where the step is a PUSHF it must not stay in the
/// flags that were pushed.
void Machine::step_in_stub() {
    constexpr std::uint8_t kPushf = 0x9C;
    const std::uint8_t opcode = plan_.stubs()[static_cast<std::uint32_t>(vcpu_.rip) - plan_.stubs_begin()];
    stepping_over_ = true;
    const std::uint64_t rip = vcpu_.rip;
    enter_natively();
    if (opcode != kPushf || vcpu_.rip != rip + 1) return;
    std::uint32_t flags = 0;
    const std::uint64_t at = vcpu_.ss().base + vcpu_.reg32(kRsp);
    if (mmu_->read(at, &flags, sizeof flags, Privilege::supervisor)) return;
    flags = (flags & ~static_cast<std::uint32_t>(flag::tf)) | static_cast<std::uint32_t>(vcpu_.rflags & flag::tf);
    (void)mmu_->write(at, &flags, sizeof flags, Privilege::supervisor);
}

bool Machine::runs_natively() const {
    // Single-stepped kernel code is interpreted where there are patches: the guest must not see the steps of stubs.
    const bool stepped = area_ != nullptr && vcpu_.cpl != 3 && (vcpu_.rflags & flag::tf) != 0;
    if ((stepped || vcpu_.has_breakpoints() || debug_due_ != 0) && !stepping_over_) return false;
    return vcpu_.is_protected() && (vcpu_.rflags & flag::vm) == 0 && vcpu_.cs().big;
}

void Machine::serve_devices() {
    if (options_.stop != nullptr && *options_.stop) end(Ending::interrupted);
    if (options_.plan) look_for_plan();
    if (!std::exchange(ticks_are_new_, false)) ticks_ = __rdtsc();
    const Nanoseconds time = loop_time_ = clock_.now(ticks_) - started_;
    if (time >= pc_->next_event()) pc_->advance(time);
    // A guest that polls its serial port is interpreted on and on: no kick comes then.
    if (time >= input_due_) {
        input_due_ = time + kLongestStretch;
        read_input();
    }
    if (const auto request = pc_->exit_request()) {
        switch (request->kind) {
            case ExitRequest::Kind::power_off: end(Ending::power_off); break;
            case ExitRequest::Kind::reset: end(Ending::reset); break;
            case ExitRequest::Kind::debug_exit: end(Ending::debug_exit, {}, request->code); break;
        }
    }
}

/// A plan may come while the guest runs already: what it patches is prepared anew.
void Machine::look_for_plan() {
    auto plan = options_.plan();
    if (!plan) return;
    options_.plan = nullptr;
    plan_ = std::move(*plan);
    plan_.set_all(options_.technique == RunTechnique::hypercall);
    area_->install(plan_);
    for (const std::uint32_t page : plan_.pages()) mmu_->forget_code_at(page);
}

void Machine::read_input() {
    if (options_.input >= 0 && input_.empty()) {
        pollfd ready{options_.input, POLLIN, 0};
        if (poll(&ready, 1, 0) == 1) {
            input_.resize(256);
            const ssize_t got = read(options_.input, input_.data(), input_.size());
            input_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
            if (got == 0) options_.input = -1;
        }
    }
    if (!input_.empty()) input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(pc_->push_serial_input(input_)));
}

void Machine::wait_for_event() {
    if ((vcpu_.rflags & flag::interrupt) == 0) {
        end(Ending::halted, "the processor is halted with interrupts off");
        return;
    }
    const std::uint64_t began = __rdtsc();
    const Nanoseconds next = pc_->next_event(), time = now();
    if (next == kNever && options_.input < 0) {
        end(Ending::halted, "the processor waits for an interrupt that no device will raise");
        return;
    }
    const Nanoseconds wait = next <= time ? 0 : std::min<Nanoseconds>(next - time, 100'000'000);
    const timespec limit{static_cast<time_t>(wait / 1'000'000'000), static_cast<long>(wait % 1'000'000'000)};
    pollfd ready{options_.input, POLLIN, 0};
    ppoll(&ready, options_.input < 0 ? 0 : 1, &limit, nullptr);
    read_input();
    native_frame().kick = 0;
    statistics_.idle_ticks += __rdtsc() - began;
}

std::uint64_t Machine::user_end() {
    if (vcpu_.cpl != 3) return kAddressSpace;
    std::uint64_t end = std::uint64_t{tlb_.first_supervisor_page()} * kPageBytes;
    if (linear_ip() >= end) {
        // User code lies above pages of the supervisor: no limit can keep them apart, so the latter go.
        tlb_.flush_supervisor_below(VirtualTlb::kPages);
        end = kAddressSpace;
    }
    return end;
}

void Machine::load_frame() {
    NativeFrame& frame = native_frame();
    for (unsigned i = 0; i < 8; ++i) frame.gpr[i] = vcpu_.reg32(i);
    frame.rip = static_cast<std::uint32_t>(vcpu_.rip);
    // IF is on for the host's interrupts, IOPL 0; AC works at CPL 3 with CR0.AM only, which the host has set.
    constexpr std::uint64_t kReal = flag::arithmetic | flag::df | flag::tf | flag::nt | flag::id;
    const bool checks_alignment = vcpu_.cpl == 3 ? (vcpu_.cr0 & cr0::am) != 0 : has_real_ac();
    frame.rflags = (vcpu_.rflags & (kReal | (checks_alignment ? flag::ac : 0))) | flag::interrupt | flag::fixed | (stepping_over_ ? flag::tf : 0);
    const std::uint64_t end = user_end();
    if (area_ != nullptr) {
        if (vcpu_.cpl != 0) mmu_->withdraw_overlays();
        area_->publish(vcpu_);
        area_->set_event_waits(pc_->interrupt_waits() && (vcpu_.rflags & flag::interrupt) == 0);
    }
    Segment code = vcpu_.segments[kCs];
    code.base = static_cast<std::uint32_t>(code.base + mmu_->execution_offset());
    frame.cs = whole_code_ != 0 && vcpu_.cpl == 3 ? segments_.whole_code_selector(code, end) : segments_.selector(code, end);
    frame.ss = segments_.selector(vcpu_.segments[kSs], end);
    frame.ds = segments_.selector(vcpu_.segments[kDs], end);
    frame.es = segments_.selector(vcpu_.segments[kEs], end);
    frame.fs = segments_.selector(vcpu_.segments[kFs], end);
    frame.gs = segments_.selector(vcpu_.segments[kGs], end);
}

void Machine::store_frame() {
    const NativeFrame& frame = native_frame();
    for (unsigned i = 0; i < 8; ++i) vcpu_.gpr[i] = static_cast<std::uint32_t>(frame.gpr[i]);
    vcpu_.rip = static_cast<std::uint32_t>(frame.rip);
    constexpr std::uint64_t kReal = flag::arithmetic | flag::df | flag::nt | flag::id;
    const std::uint64_t taken = kReal | (stepping_over_ ? 0 : flag::tf) | (has_real_ac() ? flag::ac : 0);
    // An instruction that has run has cleared RF; one that is stepped over has not run yet.
    vcpu_.rflags = (vcpu_.rflags & ~(taken | (stepping_over_ ? 0 : flag::rf))) | (frame.rflags & taken);
    if (area_ != nullptr) area_->collect(vcpu_);
}

/// Whether code of CPL 3 has got into the supervisor's pages, as a code segment without end lets it: it gets the page fault then, if not
/// at its first instruction there.
bool Machine::left_user_code() {
    if (whole_code_ == 0 && !is_in_stub()) return false;
    leave_stub();
    if (const MappedPage here = tlb_.find(linear_ip() / kPageBytes); !here.present || here.user) return false;
    whole_code_ = 0;
    std::uint8_t byte = 0;
    const MaybeFault fault = mmu_->fetch(linear_ip(), &byte, 1, Privilege::user);
    if (fault) inject_fault(*fault);
    return fault.has_value();
}

void Machine::enter_natively() {
    if (given_fault_.waits && vcpu_.cpl == 3) {
        given_fault_.waits = false;
        Fault fault;
        if (linear_ip() == given_fault_.instruction) (void)mmu_->fill(given_fault_.address, given_fault_.write, false, given_fault_.instruction, fault);
    }
    note_lonely();
    const bool user = vcpu_.cpl == 3;
    if (user && whole_code_ != 0) --whole_code_;
    load_frame();
    if (segments_.refused()) {
        end(Ending::host_limit, "the host refused an entry of the local descriptor table");
        return;
    }
    const Nanoseconds time = loop_time_, due = std::clamp(std::min(pc_->next_event(), look_again_), time + kShortestStretch, time + kLongestStretch);
    if (kick_due_ == kNever || due < kick_due_ || kick_due_ <= time) {
        kick_due_ = due;
        kick_at(started_ + due);
    }
    ++statistics_.entries;
    const std::uint64_t began = __rdtsc();
    const NativeExit exit = enter_guest();
    ticks_ = __rdtsc();
    trip_ = ticks_ - began;
    statistics_.guest_ticks += trip_;
    mmu_->close_after_step();
    if (exit != NativeExit::kicked) vcpu_.interrupt_shadow = false;
    switch (exit) {
        case NativeExit::kicked:
            ++statistics_.kicks;
            native_frame().kick = 0;
            kick_due_ = look_again_ = kNever;
            read_input();
            break;
        case NativeExit::signal:
            ++statistics_.signals;
            store_frame();
            if (user && left_user_code()) break;
            leave_relay();
            take_signal();
            break;
        case NativeExit::gate:
            ++statistics_.hypercalls;
            store_frame();
            take_hypercall();
            break;
    }
}

}  // namespace trapline::executor
