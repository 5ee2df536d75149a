// SPDX-License-Identifier: Apache-2.0
// One guest machine: virtual processor, memory and devices, and the loop that runs it. Instructions run natively where that
// is possible; everything else comes back here.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "executor/cpu/interpreter.h"
#include "executor/cpu/protection.h"
#include "executor/cpu/virtual_cpuid.h"
#include "executor/device/pc.h"
#include "executor/host/host_clock.h"
#include "executor/host/host_segments.h"
#include "executor/host/native.h"
#include "executor/hypercall/monitor_area.h"
#include "executor/hypercall/plan_patches.h"
#include "executor/mmu/mmu.h"
#include "executor/trap/statistics.h"
#include "executor/trap/watched_memory.h"
#include "support/address.h"

namespace trapline::executor {

/// How sensitive instructions reach the monitor.
enum class RunTechnique : std::uint8_t {
    trap,        ///< what does not trap has become a breakpoint, the rest traps by itself
    breakpoint,  ///< every sensitive instruction has become a breakpoint
    hypercall,   ///< as trap, with the patches of a plan
    automatic,   ///< as trap; patches of a plan are put in where they are worth it
};

/// Why a run has ended.
enum class Ending : std::uint8_t {
    power_off,     ///< the guest switched the machine off
    halted,        ///< HLT with interrupts off: nothing can happen any more
    reset,         ///< the guest asked for a reset
    debug_exit,    ///< a write to the debug-exit port; `code` is the value
    triple_fault,
    interrupted,   ///< the user or a time limit
    unsupported,   ///< an instruction or a situation that the executor cannot carry out: see `detail`
    host_limit,    ///< the host refused something: see `detail`
};
std::string_view to_string(Ending ending);

struct RunOutcome {
    Ending ending = Ending::power_off;
    unsigned code = 0;
    std::string detail;  ///< for people; empty where the ending says it all
};

/// What the machine has, beside its RAM.
struct MachineOptions {
    RunTechnique technique = RunTechnique::trap;
    PcOptions pc;
    /// For the techniques hypercall and automatic: asked now and then until it gives a plan, which is used from then on.
    std::function<std::optional<PlanPatches>()> plan;
    int input = -1;         ///< descriptor that serial input comes from, -1 for none
    int trace = -1;         ///< descriptor that a line for each arrival goes to, -1 for none
    const volatile bool* stop = nullptr;  ///< becomes true when the run is to end
};

class Machine final : public Platform, public PhysicalDevices, public Clock {
public:
    /// Keeps references to decoder, forms, RAM and copies. One machine in a process at a time.
    static Result<std::unique_ptr<Machine>> create(const decode::InstructionDecoder& decoder, const SiteForms& forms, const SharedPages& ram,
                                                   const SharedPages& copies, const MachineOptions& options);

    Vcpu& vcpu() { return vcpu_; }
    /// Linear ranges that hold code alone, as a loader reports them.
    void set_text(std::vector<AddressRange> ranges) { code_->set_text(std::move(ranges)); }
    /// To be called when the process has given up privileges since `create`.
    void privileges_changed() { mmu_->look_at_host(); }
    /// Runs until something ends the run.
    RunOutcome run();
    const Statistics& statistics() const { return statistics_; }
    const Mmu& mmu() const { return *mmu_; }
    const CodePages& code() const { return *code_; }
    Pc& pc() { return *pc_; }

    // Platform
    std::uint32_t port_in(std::uint16_t port, unsigned size) override {
        if (watched_ != nullptr) watched_->note_port(port, size);
        return pc_->port_in(port, size);
    }
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override {
        if (watched_ != nullptr) watched_->note_port(port, size);
        pc_->port_out(port, size, value);
    }
    CpuidLeaf cpuid(std::uint32_t leaf, std::uint32_t subleaf) override;
    bool read_msr(std::uint32_t index, std::uint64_t& value) override;
    bool write_msr(std::uint32_t index, std::uint64_t value) override;
    std::uint64_t read_tsc() override;
    bool accepts_page_tables() override { return mmu_->accepts_page_tables(); }
    void control_register_loaded(unsigned number, std::uint64_t old_value) override { mmu_->control_register_loaded(number, old_value); }
    void page_invalidated(std::uint64_t linear) override { mmu_->invalidate_page(static_cast<std::uint32_t>(linear)); }
    // PhysicalDevices
    bool is_device_page(std::uint64_t frame) const override { return pc_->is_device_memory(frame * kPageBytes); }
    std::uint32_t physical_read(std::uint64_t address, unsigned size) override { return pc_->memory_read(address, size); }
    void physical_write(std::uint64_t address, unsigned size, std::uint32_t value) override { pc_->memory_write(address, size, value); }
    // Clock
    Nanoseconds now() override;

private:
    Machine() = default;

    std::uint32_t linear_ip() const { return static_cast<std::uint32_t>(vcpu_.cs().base + vcpu_.rip); }
    bool runs_natively() const;
    /// Traps of the instruction before go first (SDM vol. 3, "Priority Among Concurrent Events").
    bool takes_interrupt() const {
        return pc_->interrupt_waits() && (vcpu_.rflags & flag::interrupt) != 0 && !vcpu_.interrupt_shadow && debug_due_ == 0;
    }
    void serve_devices();
    void wait_for_event();
    void read_input();
    void enter_natively();
    void take_signal();
    void take_page_fault(std::uint32_t address, std::uint32_t error_code);
    void take_fault(unsigned vector, std::uint32_t error_code);
    void take_breakpoint();
    void take_hypercall();
    void take_user_call();
    void take_pending_store(bool after_sti);
    /// Whether AC is the real one: patched kernel code changes it by itself. A single instruction of the guest's is stepped without,
    /// for only CPL 3 checks alignment.
    bool has_real_ac() const { return area_ != nullptr && vcpu_.cpl != 3 && (!stepping_over_ || is_in_stub()); }
    bool is_in_stub() const { return area_ != nullptr && plan_.is_stub(static_cast<std::uint32_t>(vcpu_.rip)); }
    void leave_stub();
    void leave_relay();
    void spare_computing_code();
    bool left_user_code();
    void step_in_stub();
    void look_for_plan();
    void note_execution(std::uint32_t linear);
    SiteTally& site_tally(std::uint32_t linear);
    void interpret_site(Arrival arrival);
    void interpret_run();
    unsigned interpret_known(unsigned most);
    unsigned interpret_fast(FastState& fast, DecodedInstruction*& known, unsigned most);
    void interpret_one();
    void count_interpreted(DecodedInstruction* known);
    void count_sensitive(DecodedInstruction* known, std::uint32_t linear, bool counted);
    void begin_group(DecodedInstruction* known);
    void note_lonely();
    SiteTally& tally_of(DecodedInstruction* known, std::uint32_t linear);
    void take_result(const StepResult& result, bool single_step, bool interrupts);
    /// MOV SS and POP SS hold debug exceptions back too, STI (which has just switched interrupts on) does not.
    bool is_debug_held(bool interrupts_before) const {
        return vcpu_.interrupt_shadow && interrupts_before == ((vcpu_.rflags & flag::interrupt) != 0);
    }
    StepResult step();
    Delivery deliver_watched(const Event& event);
    bool has_debug_work() const { return debug_held_ || debug_due_ != 0 || vcpu_.has_breakpoints(); }
    /// Neither breakpoints nor single-stepping have to be thought of.
    bool is_plain() const { return !has_debug_work() && (vcpu_.rflags & flag::tf) == 0; }
    bool raises_debug_before();
    void finish_instruction(bool single_step);
    void raise_debug_trap();
    bool is_dense_at(std::uint32_t linear);
    static bool is_dense(const CodePage& page, std::size_t offset);
    DecodedInstruction* decoded_here(DecodedInstruction* before = nullptr);
    bool goes_native();
    void look_at_page(std::uint32_t page);
    void note_trip();
    DecodedInstruction* decode_here(std::uint32_t offset);
    void inject(const Event& event);
    void inject_fault(const Fault& fault);
    void note_event(std::uint8_t vector);
    void end(Ending ending, std::string detail = {}, unsigned code = 0);
    void load_frame();
    void store_frame();
    std::uint64_t user_end();

    MachineOptions options_;
    Vcpu vcpu_;
    std::unique_ptr<Pc> pc_;
    VirtualTlb tlb_;
    std::unique_ptr<CodePages> code_;
    std::unique_ptr<Mmu> mmu_;
    std::unique_ptr<MonitorArea> area_;   ///< null for techniques without a plan
    PlanPatches plan_;                    ///< empty until there is one
    HostSegments segments_;
    VirtualCpuid cpuid_{host_cpuid, {}};
    VirtualMsrs msrs_{cpuid_.is_intel(), {}};
    std::vector<std::uint8_t> input_;  ///< read and not yet taken by the serial port
    Statistics statistics_;
    std::optional<RunOutcome> outcome_;
    HostClock clock_;
    std::uint64_t ticks_ = 0;      ///< of the time-stamp counter, as it was read last: each reading takes some 10 ns
    bool ticks_are_new_ = false;   ///< and nothing to speak of has been done since
    Nanoseconds loop_time_ = 0;    ///< when the devices were looked at last
    Nanoseconds started_ = 0;
    Nanoseconds kick_due_ = kNever;
    Nanoseconds look_again_ = kNever;  ///< when to see whether code that was run in place a moment ago can be so again
    Nanoseconds input_due_ = 0;    ///< when to look for serial input next
    std::uint64_t events_ = 0;     ///< delivered so far
    unsigned native_vector_ = 0;   ///< what the processor raised for the instruction that is about to be interpreted, 0 for nothing
    std::uint32_t native_error_code_ = 0;
    bool in_hypercall_ = false;
    bool in_site_ = false;         ///< the next instruction has been counted
    /// The last page fault that user code was given. When its instruction is tried again the page is there mostly, and is mapped before
    /// the processor asks for it.
    struct GivenFault {
        std::uint32_t address = 0, instruction = 0;
        bool write = false, waits = false;
    } given_fault_;
    /// The page of code that was interpreted last, as long as neither the virtual TLB nor the pages of code have changed.
    struct InterpretedPage {
        std::uint32_t page = VirtualTlb::kPages;
        std::uint64_t tlb_changes = 0, code_changes = 0;
        bool user = false;                    ///< user code may fetch from it
        const CodePage* code = nullptr;       ///< null: none that instructions could be kept for
        DecodedPage* decoded = nullptr;
    } here_;
    /// The sensitive instruction that the group being interpreted began with, as long as no page of code has changed.
    struct GroupLeader {
        std::uint64_t code_changes = ~std::uint64_t{0};
        DecodedPage* decoded = nullptr;
        std::uint32_t offset = 0;
    } leader_, last_leader_;       ///< of the group before the native code that has come back last
    std::uint64_t trip_ = 0;       ///< ticks that native code has taken last, with the way there and back
    std::uint64_t shortest_trip_ = ~std::uint64_t{0};  ///< of those that the signal of a sensitive instruction has ended
    unsigned interpret_on_ = 0;    ///< so many instructions more are interpreted, since sensitive ones come in groups
    unsigned user_faults_ = 0;     ///< accesses of user code beyond its segments that were allowed to it
    unsigned whole_code_ = 0;      ///< so many entries more user code gets a code segment without end
    /// AMD's processors fetch at half the speed through a code segment that has a base or ends below 4 GiB - 8 KiB (measured on an EPYC).
    const bool limits_slow_code_ = identify(host_cpuid).vendor == "amd";
    bool stepping_over_ = false;   ///< one instruction runs natively under the trap flag, for the monitor
    std::optional<std::uint32_t> refused_access_;  ///< native code cannot make this access: only the interpreter can get further
    bool step_traps_ = false;      ///< that instruction began with the guest's own TF
    WatchedMemory* watched_ = nullptr;  ///< while an instruction is interpreted under breakpoints
    std::uint32_t debug_due_ = 0;  ///< bits of DR6 for a debug trap that is still to be raised
    bool debug_held_ = false;      ///< MOV SS or POP SS came last: no debug exception before one more instruction
};

}  // namespace trapline::executor
