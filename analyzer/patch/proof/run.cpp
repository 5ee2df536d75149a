// SPDX-License-Identifier: Apache-2.0
// The two runs of a window.
#include "patch/proof/run.h"

#include <fmt/format.h>

#include <algorithm>

#include "patch/proof/flags.h"

namespace trapline::patch::proof {
namespace {

/// No window comes near: a run this long is a loop inside a stub.
constexpr int kMaxInstructions = 4096;

/// When a waiting event is delivered.
enum class Armed : std::uint8_t { no, next_boundary, after_one };

bool only_computes(Action action) {
    return action == Action::alu || action == Action::alu_immediate || action == Action::test || action == Action::test_immediate || action == Action::increment;
}

/// What both runs do alike.
class Runner {
public:
    Runner(Window& window, const Start& start, bool deprivileged, std::vector<TraceLine>* trace)
        : window_(window), start_(start), layout_(*window.layout), run_(Machine(*window.layout, start.seed, deprivileged)), m_(run_.end), trace_(trace) {
        m_.cpu = start.cpu;
        m_.cpu.code = layout_.mode;
        m_.cpu.ip = start.entry;
        for (std::size_t i = 0; i < kSystemRegisters; ++i) m_.set_system(static_cast<SystemRegister>(i), start.system[i]);
        m_.set_guest_flags(start.cpu.flags);
        set_waiting(start.event_waits);
    }

    Run run() {
        for (int count = 0; !over_; ++count) {
            if (count == kMaxInstructions) {
                breaks(fmt::format("control has not left the window after {} instructions", kMaxInstructions));
                break;
            }
            step();
        }
        return std::move(run_);
    }

protected:
    virtual ~Runner() = default;
    /// Runs one instruction, or lets the VMM work, or ends the run.
    virtual void step() = 0;
    /// Called between two instructions of the guest.
    virtual void forget_scratch() {}

    void breaks(std::string why) {
        run_.broken = std::move(why);
        over_ = true;
    }
    bool guest_interrupts() const { return (m_.guest_flags() & kInterrupt) != 0; }
    void set_waiting(bool waits) {
        run_.event_waits = waits;
        if (!m_.deprivileged()) return;
        m_.set_vcpu_word(layout_.event_waits, 8, waits ? 1 : 0);
        m_.pending_traps = waits;
    }
    void arm(Armed when) {
        if (armed_ == Armed::no) armed_ = when;
    }
    void meet_events(std::uint64_t guest) {
        if (armed_ == Armed::after_one) {
            armed_ = Armed::next_boundary;
        } else if (armed_ == Armed::next_boundary) {
            armed_ = Armed::no;
            if (!run_.event_waits || !guest_interrupts()) return;
            run_.events.push_back({Event::Kind::delivery, behind_nops(guest), 0, m_.digest()});
            if (line_ != nullptr) line_->note += fmt::format("event delivered at {:#x} ", guest);
            set_waiting(false);
        }
    }
    /// A NOP of the window need not run anywhere: an event that is delivered in front of it may as well be so behind it. It
    /// counts for shadows all the same.
    std::uint64_t behind_nops(std::uint64_t guest) const {
        while (window_.is_guest(guest)) {
            const Instruction& insn = window_.original.at(guest, layout_.mode);
            if (!insn.valid() || insn.action != Action::nop) break;
            guest = insn.next;
        }
        return guest;
    }
    void boundary(std::uint64_t guest) {
        forget_scratch();
        meet_events(guest);
        run_.boundaries.push_back({guest, m_.digest()});
        if (line_ != nullptr) {
            line_->guest = guest;
            line_->boundary = true;
        }
    }
    void leave_to(std::uint64_t address) {
        forget_scratch();
        if (armed_ == Armed::after_one) run_.shadow = run_.event_waits && guest_interrupts();
        else meet_events(address);
        run_.exit = address;
        over_ = true;
    }
    void leave_by(Event::Kind kind, std::uint64_t address, std::uint64_t identity) {
        forget_scratch();
        run_.events.push_back({kind, address, identity, mix(m_.digest(), m_.system_digest())});
        run_.shadow = armed_ != Armed::no;
        run_.exit = address;
        run_.left = true;
        over_ = true;
    }

    /// Does a site's operation to the guest's view of the state. Says whether control goes on behind it.
    bool operate(const Instruction& insn, std::uint64_t guest) {
        const bool open = guest_interrupts();
        if (is_sensitive(insn.action)) {
            m_.operate(insn);
        } else if (insn.flow.falls_through() && insn.flow.kind != scan::Flow::indirect_call && insn.flow.kind != scan::Flow::call) {
            run_.events.push_back({Event::Kind::operation, guest, insn.identity, mix(m_.digest(), m_.system_digest())});
            apply_opaque(m_, insn.identity, true, guest);
        } else {
            leave_by(Event::Kind::operation, guest, insn.identity);
            return false;
        }
        if (run_.event_waits && guest_interrupts()) arm(insn.action == Action::sti && !open ? Armed::after_one : Armed::next_boundary);
        return true;
    }

    /// Runs a neighbour that the machine has no model of. `guest` is where the guest believes it stands.
    void run_opaque(const Instruction& insn, std::uint64_t guest) {
        switch (insn.flow.kind) {
            case scan::Flow::fallthrough:
                apply_opaque(m_, insn.identity, false, 0);
                m_.cpu.ip = insn.next;
                return;
            case scan::Flow::conditional: {
                const bool taken = (mix(insn.identity, m_.digest()) & 1) != 0;
                apply_opaque(m_, insn.identity, false, 0);
                m_.cpu.ip = taken ? insn.flow.target->value : insn.next;
                return;
            }
            case scan::Flow::jump:
                m_.cpu.ip = insn.flow.target->value;
                return;
            // These push the real instruction pointer: the guest must see its own.
            case scan::Flow::call: case scan::Flow::indirect_call: return leave_by(Event::Kind::left, insn.address, insn.identity);
            case scan::Flow::indirect_jump: case scan::Flow::leave: case scan::Flow::stop: case scan::Flow::breakpoint:
                return leave_by(Event::Kind::left, guest, insn.identity);
        }
    }

    void note(const Instruction& insn) {
        if (trace_ == nullptr) return;
        TraceLine& line = trace_->emplace_back();
        line.address = m_.cpu.ip;
        line.mode = m_.cpu.code;
        line.bytes.assign(insn.bytes.begin(), insn.bytes.begin() + insn.structure.length);
        line.cpu = m_.cpu;
        line_ = &line;
    }

    Window& window_;
    const Start& start_;
    const Layout& layout_;
    Run run_;
    Machine& m_;
    std::vector<TraceLine>* trace_;
    TraceLine* line_ = nullptr;   ///< of the current instruction; null without a trace
    Armed armed_ = Armed::no;
    bool over_ = false;
};

class OriginalRunner final : public Runner {
public:
    OriginalRunner(Window& window, const Start& start, std::vector<TraceLine>* trace) : Runner(window, start, false, trace) {}

private:
    void step() override {
        const std::uint64_t ip = m_.cpu.ip;
        if (!first_ && (!window_.is_guest(ip) || window_.is_entry(ip))) return leave_to(ip);
        first_ = false;
        const Instruction& insn = window_.original.at(ip, layout_.mode);
        if (!insn.valid()) return breaks(fmt::format("the original has no instruction at {:#x}", ip));
        note(insn);
        boundary(ip);
        const WindowSite* const site = window_.find_site(ip);
        if (site != nullptr || is_sensitive(insn.action)) {
            const std::uint64_t before = m_.cpu.general[kRsp];
            // A stack in the VMM's own pages is none that a stub could use, even where the original makes no use of it.
            if (site != nullptr && site->stack_bytes > 0 && layout_.is_reserved((before - site->stack_bytes) & layout_.address_mask(), site->stack_bytes)) {
                run_.outside_contract = true;
                over_ = true;
                return;
            }
            if (!operate(insn, ip)) return;
            m_.cpu.ip = insn.next;
            if (site != nullptr && site->stack_bytes > 0) {
                const std::uint64_t low = std::min(before, m_.cpu.general[kRsp]);
                m_.memory.forget(low - site->stack_bytes, site->stack_bytes);
            }
        } else if (start_.opaque_neighbours && only_computes(insn.action)) {
            run_opaque(insn, ip);
        } else if (m_.execute(insn) == Step::opaque) {
            run_opaque(insn, ip);
        }
        if (m_.forbidden_access() != 0) {
            run_.outside_contract = true;
            over_ = true;
        }
    }
    bool first_ = true;
};

class PatchedRunner final : public Runner {
public:
    PatchedRunner(Window& window, const Start& start, std::vector<TraceLine>* trace) : Runner(window, start, true, trace) {}

private:
    void step() override {
        const std::uint64_t ip = m_.cpu.ip;
        const bool wide = m_.cpu.code != layout_.mode;  // 64-bit code on behalf of a 32-bit guest
        if (ip == layout_.gate) return hypercall();
        const bool in_stub = window_.is_stub(ip), in_detour = !in_stub && window_.is_detour(ip);
        if (wide && !in_stub) return breaks(fmt::format("64-bit code goes on at {:#x}, which is neither the stub nor the gate", ip));
        const bool in_place = !in_stub && !in_detour;
        if (in_place && !first_ && (!window_.is_guest(ip) || window_.is_entry(ip))) {
            if (behind_ && *behind_ != ip) return breaks(fmt::format("the map says that control resumes at {:#x}, and it does at {:#x}", *behind_, ip));
            return leave_to(ip);
        }
        first_ = false;
        const Instruction& insn = window_.patched.at(ip, m_.cpu.code);
        if (!insn.valid()) return breaks(fmt::format("the patch has no instruction at {:#x}", ip));
        note(insn);
        at_.reset();
        if (in_place && insn.action != Action::jump) at_ = ip;
        const MapStep* const step = in_stub && !wide ? window_.find_step(ip) : nullptr;
        if (step != nullptr) {
            // An entry that is not this run's is where another run begins: control resumes there.
            const bool inside = window_.is_guest(step->guest) && (step->guest == start_.entry || !window_.is_entry(step->guest));
            (inside ? at_ : behind_) = step->guest;
        }
        if (at_) {
            behind_.reset();
            boundary(*at_);
        }
        const WindowSite* const site = at_ ? window_.find_site(*at_) : nullptr;
        if (site != nullptr) {
            site_ = site;
            sp_before_ = m_.cpu.general[kRsp];
        }
        execute(insn, site);
        if (!over_ && m_.forbidden_access() != 0)
            breaks(fmt::format("the instruction at {:#x} touches the VMM's pages at {:#x}, which the interface does not allow", ip, m_.forbidden_access()));
    }

    void execute(const Instruction& insn, const WindowSite* site) {
        if (insn.flow.kind == scan::Flow::breakpoint && site != nullptr) return trapped(*site, site->instruction.next);
        const bool neighbour = at_.has_value() && site == nullptr;
        if (neighbour && start_.opaque_neighbours && only_computes(insn.action)) return run_opaque(insn, *at_);
        switch (m_.execute(insn)) {
            case Step::done: break;
            case Step::privileged:
                if (site == nullptr || site->instruction.identity != insn.identity) return breaks(fmt::format("the instruction at {:#x} traps, and the VMM has no site for it", insn.address));
                return trapped(*site, insn.next);
            case Step::opaque:
                if (site == nullptr) return run_opaque(insn, at_.value_or(insn.address));
                if (site->instruction.identity != insn.identity || !site->traps)
                    return breaks(fmt::format("the sensitive instruction at {:#x} runs as it is and does not trap", insn.address));
                return trapped(*site, insn.next);
        }
        if (const auto offset = m_.take_pending_store()) {
            arm(*offset == layout_.after_sti ? Armed::after_one : Armed::next_boundary);
            if (line_ != nullptr) line_->note += *offset == layout_.after_sti ? "the VMM is asked for delivery after one instruction " : "the VMM is asked for delivery ";
        }
    }

    /// The VMM does a site's operation after a fault or an INT3.
    void trapped(const WindowSite& site, std::uint64_t resume) {
        if (line_ != nullptr) line_->note += fmt::format("trap for site {} ", site.number);
        if (operate(site.instruction, site.address)) m_.cpu.ip = resume;
    }

    void hypercall() {
        const auto number = static_cast<std::uint32_t>(m_.vcpu_word(layout_.call_site, 4));
        const bool wide_guest = layout_.mode == Mode::long64;
        const std::uint64_t resume = m_.vcpu_word(layout_.call_resume, wide_guest ? 8 : 4);
        if (m_.cpu.code != Mode::long64) return breaks("the gate is entered by 32-bit code");
        m_.cpu.code = layout_.mode;
        const WindowSite* const site = window_.find_numbered(number);
        if (site == nullptr) return breaks(fmt::format("a hypercall for site {}, which this patch does not have", number));
        if (line_ != nullptr) line_->note += fmt::format("hypercall for site {}, goes on at {:#x} ", number, resume);
        // An operation that sends control elsewhere does not use it, but one that fails may.
        if (site->resume != 0 && site->resume != resume) return breaks(fmt::format("the hypercall for site {} goes on at {:#x}, and the plan says {:#x}", number, resume, site->resume));
        if (operate(site->instruction, site->address)) m_.cpu.ip = resume;
    }

    /// What the site's stub may have left below the stack is worth nothing from now on.
    void forget_scratch() override {
        if (site_ == nullptr) return;
        const std::uint64_t low = std::min(sp_before_, m_.cpu.general[kRsp]);
        if (site_->stack_bytes > 0) m_.memory.forget(low - site_->stack_bytes, site_->stack_bytes);
        site_ = nullptr;
    }

    bool first_ = true;
    std::optional<std::uint64_t> at_;      ///< the guest's instruction that begins here
    std::optional<std::uint64_t> behind_;  ///< where the map says that control resumes
    const WindowSite* site_ = nullptr;     ///< whose stub runs
    std::uint64_t sp_before_ = 0;
};

}  // namespace

Run run_original(Window& window, const Start& start, std::vector<TraceLine>* trace) { return OriginalRunner(window, start, trace).run(); }
Run run_patched(Window& window, const Start& start, std::vector<TraceLine>* trace) { return PatchedRunner(window, start, trace).run(); }

}  // namespace trapline::patch::proof
