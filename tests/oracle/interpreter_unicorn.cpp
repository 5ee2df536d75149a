// SPDX-License-Identifier: Apache-2.0
// Holds the interpreter against Unicorn: random integer instructions, one at a time, in flat 32-bit protected mode at CPL 0
// and in real mode. Registers, defined flags, the next address and all memory that either side has written must be equal.
//
//   interpreter_unicorn [--count N] [--seed N]
//
// Exit codes: 0 all agree or are explained, 1 something differs, 2 usage.
#include <fmt/format.h>
#include <unicorn/unicorn.h>
#include <unicorn/x86.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "executor/cpu/interpreter.h"
#include "interpreter_samples.h"

using namespace trapline;
using namespace trapline::executor;

namespace {

constexpr std::uint64_t kMostPrinted = 20;
/// Instructions have places of their own: Unicorn keeps translations of code that was overwritten.
constexpr std::uint32_t kSlot = 32, kSlots = 8192;
constexpr std::uint32_t kCode = 0x20000, kCodeSize = kSlot * kSlots, kData = 0xA0000, kDataSize = 0x80000;
/// A NOP to run after an exception.
constexpr std::uint32_t kQuiet = kCode + kCodeSize;

void must(uc_err error, const char* what) {
    if (error == UC_ERR_OK) return;
    fmt::print(stderr, "unicorn: {}: {}\n", what, uc_strerror(error));
    std::exit(4);
}

struct Range {
    std::uint32_t address, size;
};

/// Code, which can be read, and data, which can be read and written. All else faults.
struct Space {
    std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(kData + kDataSize);
    static bool is_readable(std::uint64_t address, std::size_t size) { return address >= kCode && address + size <= kData + kDataSize; }
    static bool is_writable(std::uint64_t address, std::size_t size) { return address >= kData && address + size <= kData + kDataSize; }
};

class PlainMemory final : public LinearMemory {
public:
    Space space;
    std::vector<Range> written;
    MaybeFault read_any(std::uint64_t linear, void* to, std::size_t size, Privilege) override {
        if (!Space::is_readable(linear, size)) return Fault::page_fault(0, linear);
        std::memcpy(to, space.bytes.data() + linear, size);
        return {};
    }
    MaybeFault write_any(std::uint64_t linear, const void* from, std::size_t size, Privilege) override {
        if (!Space::is_writable(linear, size)) return Fault::page_fault(2, linear);
        std::memcpy(space.bytes.data() + linear, from, size);
        written.push_back({static_cast<std::uint32_t>(linear), static_cast<std::uint32_t>(size)});
        return {};
    }
    MaybeFault fetch(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) override { return read(linear, to, size, privilege); }
    MaybeFault check_write_any(std::uint64_t linear, std::size_t size, Privilege) override {
        if (Space::is_writable(linear, size)) return {};
        return Fault::page_fault(2, linear);
    }
};

class NoPlatform final : public Platform {
    std::uint32_t port_in(std::uint16_t, unsigned) override { return 0; }
    void port_out(std::uint16_t, unsigned, std::uint32_t) override {}
    CpuidLeaf cpuid(std::uint32_t, std::uint32_t) override { return {}; }
    bool read_msr(std::uint32_t, std::uint64_t&) override { return false; }
    bool write_msr(std::uint32_t, std::uint64_t) override { return false; }
    std::uint64_t read_tsc() override { return 0; }
    void control_register_loaded(unsigned, std::uint64_t) override {}
    void page_invalidated(std::uint64_t) override {}
};

constexpr int kGeneral[8] = {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX, UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI};
constexpr int kSegmentRegisters[6] = {UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS, UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS};

/// What both start from, and come to.
struct State {
    std::array<std::uint32_t, 8> general{};
    std::uint32_t ip = 0, flags = 2;
    std::array<std::uint16_t, 6> selectors{};
    bool operator==(const State&) const = default;
};

enum class Ended : std::uint8_t { done, fault, unknown /* Unicorn gave up */ };

/// No hook on writes: in 2.0.1 it disturbs temporaries of double shifts, shifts by CL and ENTER.
class UnicornSide {
public:
    UnicornSide(unsigned mode, const Space& start) : mode_(mode), space(start) {
        must(uc_open(UC_ARCH_X86, mode == 16 ? UC_MODE_16 : UC_MODE_32, &engine_), "cannot open");
        must(uc_mem_map_ptr(engine_, kCode, kData - kCode, UC_PROT_READ | UC_PROT_EXEC, space.bytes.data() + kCode), "cannot map code");
        must(uc_mem_map_ptr(engine_, kData, kDataSize, UC_PROT_READ | UC_PROT_WRITE, space.bytes.data() + kData), "cannot map data");
        uc_hook hook = 0;
        must(uc_hook_add(engine_, &hook, UC_HOOK_CODE, reinterpret_cast<void*>(&on_code), this, 1, 0), "cannot hook code");
        must(uc_hook_add(engine_, &hook, UC_HOOK_INTR, reinterpret_cast<void*>(&on_interrupt), this, 1, 0), "cannot hook interrupts");
        must(uc_context_alloc(engine_, &fresh_), "cannot save the state");
        must(uc_context_save(engine_, fresh_), "cannot save the state");
    }
    ~UnicornSide() {
        uc_context_free(fresh_);
        uc_close(engine_);
    }
    UnicornSide(const UnicornSide&) = delete;
    UnicornSide& operator=(const UnicornSide&) = delete;

    std::uint16_t selector(unsigned which) {
        std::uint16_t value = 0;
        must(uc_reg_read(engine_, kSegmentRegisters[which], &value), "cannot read a segment");
        return value;
    }

    /// Runs one instruction at a linear address.
    Ended run(State& state, std::uint32_t linear, bool repeats) {
        for (unsigned i = 0; i < 8; ++i) must(uc_reg_write(engine_, kGeneral[i], &state.general[i]), "cannot set a register");
        must(uc_reg_write(engine_, UC_X86_REG_EFLAGS, &state.flags), "cannot set flags");
        if (mode_ == 16)
            for (unsigned i = 0; i < 6; ++i) must(uc_reg_write(engine_, kSegmentRegisters[i], &state.selectors[i]), "cannot set a segment");
        begin_ = linear;
        repeats_ = repeats;
        steps_ = 0;
        vector.reset();
        const uc_err error = uc_emu_start(engine_, linear, 0x1FFFF0, 0, 0);
        reason = uc_strerror(error);
        for (unsigned i = 0; i < 8; ++i) must(uc_reg_read(engine_, kGeneral[i], &state.general[i]), "cannot read a register");
        must(uc_reg_read(engine_, UC_X86_REG_EFLAGS, &state.flags), "cannot read flags");
        must(uc_reg_read(engine_, mode_ == 16 ? UC_X86_REG_IP : UC_X86_REG_EIP, &state.ip), "cannot read the instruction pointer");
        if (mode_ == 16) state.ip &= 0xFFFF;
        for (unsigned i = 0; i < 6; ++i) state.selectors[i] = selector(i);
        const Ended ended = ended_with(error);
        if (error != UC_ERR_OK || vector) recover();
        return ended;
    }

    std::optional<std::uint32_t> vector;
    std::string reason;

private:
    Ended ended_with(uc_err error) const {
        // Where the jump has gone nothing can be fetched: it is done.
        if (error == UC_ERR_FETCH_UNMAPPED || error == UC_ERR_FETCH_PROT) return Ended::done;
        constexpr uc_err kFaults[] = {UC_ERR_READ_UNMAPPED, UC_ERR_WRITE_UNMAPPED, UC_ERR_WRITE_PROT, UC_ERR_INSN_INVALID, UC_ERR_EXCEPTION};
        if (vector || std::find(std::begin(kFaults), std::end(kFaults), error) != std::end(kFaults)) return Ended::fault;
        return error == UC_ERR_OK ? Ended::done : Ended::unknown;
    }

    /// The processor believes that it is still delivering an exception, and a request to stop may wait for the next run.
    void recover() {
        const std::optional<std::uint32_t> kept = vector;
        must(uc_context_restore(engine_, fresh_), "cannot restore the state");
        if (mode_ == 16) {
            const std::uint16_t zero = 0;
            must(uc_reg_write(engine_, UC_X86_REG_CS, &zero), "cannot set a segment");
        }
        begin_ = kQuiet;
        steps_ = 0;
        uc_emu_start(engine_, mode_ == 16 ? 0xFFFF : kQuiet, mode_ == 16 ? 0xFFFF : kQuiet + 1, 0, 0);
        must(uc_context_restore(engine_, fresh_), "cannot restore the state");
        vector = kept;
    }

    static void on_code(uc_engine* engine, std::uint64_t address, std::uint32_t, void* self) {
        auto& side = *static_cast<UnicornSide*>(self);
        if (side.steps_ != 0 && !(side.repeats_ && address == side.begin_)) uc_emu_stop(engine);
        ++side.steps_;
    }
    static void on_interrupt(uc_engine* engine, std::uint32_t number, void* self) {
        static_cast<UnicornSide*>(self)->vector = number;
        uc_emu_stop(engine);
    }

    unsigned mode_;
    uc_engine* engine_ = nullptr;
    uc_context* fresh_ = nullptr;
    std::uint64_t begin_ = 0, steps_ = 0;
    bool repeats_ = false;

public:
    Space space;
};

struct Outcome {
    const Sample& sample;
    const State& before;
    const State& ours;
    Step step;
    Fault fault;
    Ended theirs;
    std::optional<std::uint32_t> vector;
    unsigned mode;
};

/// What Unicorn 2.0.1 is known to get wrong or to leave out, and what the manual leaves open.
struct Known {
    bool (*applies)(const Outcome&);
    const char* reason;
};
bool faults_with(const Outcome& o, Vector vector) { return o.step == Step::fault && o.fault.vector == vector; }
const Known kKnown[] = {
    {[](const Outcome& o) { return o.sample.opcode >= 0xF6 && o.sample.opcode <= 0xF7 && o.sample.reg() == 1; },
     "F6 /1 and F7 /1 are TEST as /0 is (APM vol. 3, table A-6); Unicorn refuses them"},
    {[](const Outcome& o) { return o.sample.opcode == 0xC2 && (o.ours.ip != o.before.ip); },
     "Unicorn takes the number of bytes as signed (SDM vol. 2, RET: how many bytes are released)"},
    {[](const Outcome& o) {
         const bool one_of_group = o.sample.opcode == 0x8F || o.sample.opcode == 0xC6 || o.sample.opcode == 0xC7;
         return (one_of_group && o.sample.reg() != 0) || (o.sample.opcode == 0x1BA && o.sample.reg() < 4) || (o.sample.opcode == 0xFF && o.sample.reg() == 7);
     },
     "not defined, #UD (SDM vol. 2, table A-6); Unicorn takes 8F, C6 and C7 /1 to /7 for /0 and reads the operand of FF /7 and 0F BA first"},
    {[](const Outcome& o) { return (o.sample.opcode == 0x1BC || o.sample.opcode == 0x1BD) && o.sample.repeat == 0xF3; },
     "TZCNT and LZCNT are BSF and BSR on the virtual CPU"},
    {[](const Outcome& o) { return o.mode == 16 && o.sample.opcode == 0xC8 && o.sample.operand == 4 && (o.before.general[kRsp] & 0xFFFF) < 4; },
     "ENTER's frame pointer is ESP after a push that wraps SP (SDM vol. 2); Unicorn subtracts from ESP"},
    {[](const Outcome& o) { return o.sample.opcode == 0xC8 && faults_with(o, Vector::page_fault); },
     "ENTER faults where a write at the final stack pointer would (SDM vol. 2); Unicorn does not look"},
    {[](const Outcome& o) { return o.sample.opcode == 0x1C3 && o.step == Step::not_here; }, "the manual knows no MOVNTI with 66, F2 or F3: left to the CPU"},
    {[](const Outcome& o) { return o.sample.opcode >= 0x1C8 && o.sample.operand == 2; }, "BSWAP of 16 bits is undefined (SDM vol. 2)"},
    {[](const Outcome& o) { return (o.sample.opcode == 0x10D || o.sample.opcode == 0x118) && !o.sample.is_memory(); },
     "hint NOPs have register forms on P6; Unicorn knows them as prefetches alone"},
    {[](const Outcome& o) { return o.sample.has_lock && o.sample.opcode >= 0xF6 && o.sample.opcode <= 0xF7 && o.sample.reg() == 3; },
     "the flags of LOCK NEG are those of NEG; QEMU's before 8.1 took those of the value before"},
    {[](const Outcome& o) { return o.mode == 16 && (faults_with(o, Vector::general_protection) || faults_with(o, Vector::stack_fault)); },
     "offsets end at 0xFFFF in real mode (SDM vol. 3, 22.1.1); Unicorn checks no limits"},
    {[](const Outcome& o) { return o.mode == 32 && o.sample.has_cs && faults_with(o, Vector::general_protection); },
     "code is not writable (SDM vol. 3, 6.5.2); Unicorn checks no segment types"},
};

class Comparer {
public:
    Comparer(unsigned mode, std::uint64_t seed) : mode_(mode), generator_(mode, seed, kData, kDataSize) {}

    void run(std::uint64_t count) {
        while (compared < count) chain(std::min<std::uint64_t>(count - compared, kSlots));
    }

    std::uint64_t compared = 0, faulted = 0, failures = 0, left_out = 0;
    std::map<std::string, std::uint64_t> explained;

private:
    void chain(std::uint64_t count) {
        PlainMemory memory;
        for (std::uint32_t i = kCode; i < kData; ++i) memory.space.bytes[i] = 0xF4;
        memory.space.bytes[kQuiet] = 0x90;
        for (std::uint32_t i = kData; i < kData + kDataSize; ++i) memory.space.bytes[i] = static_cast<std::uint8_t>(generator_.next() >> 8);
        std::vector<Sample> samples;
        for (std::uint32_t slot = 0; slot < count; ++slot) {
            samples.push_back(generator_.draw());
            std::copy(samples.back().bytes.begin(), samples.back().bytes.end(), memory.space.bytes.begin() + kCode + slot * kSlot);
        }
        UnicornSide unicorn(mode_, memory.space);
        for (std::uint32_t slot = 0; slot < count; ++slot) one(memory, unicorn, samples[slot], kCode + slot * kSlot);
        // What Unicorn alone has written shows here at the latest.
        if (memory.space.bytes == unicorn.space.bytes) return;
        ++failures;
        fmt::print("mode {}: memory differs after {} instructions\n", mode_, compared);
    }

    State draw_state(UnicornSide& unicorn, const Sample& sample, std::uint32_t linear) {
        State state;
        for (std::uint32_t& value : state.general) value = mode_ == 32 && !generator_.one_in(3) ? generator_.data_address() : generator_.edge();
        if (mode_ == 32 || !generator_.one_in(4)) state.general[kRsp] = mode_ == 32 ? generator_.data_address() & ~3u : 0x1000 + generator_.next() % 0xE000;
        if ((sample.tail & kString) != 0) {
            state.general[kRcx] = generator_.next() & (generator_.one_in(8) ? 0xFFF : 0x3F);
            if (sample.address == 2 && generator_.one_in(2)) state.general[kRcx] |= generator_.next() << 16;
            // Near one another every now and then: runs that overlap.
            if (generator_.one_in(2)) state.general[kRdi] = state.general[kRsi] + generator_.next() % 64 - 32;
        }
        state.flags = 2 | (generator_.next() & static_cast<std::uint32_t>(flag::arithmetic));
        if (generator_.one_in(4)) state.flags |= static_cast<std::uint32_t>(flag::df);
        if (mode_ == 16) {
            for (std::uint16_t& selector : state.selectors) selector = static_cast<std::uint16_t>(kData / 16 + generator_.next() % 0x5000);
            state.selectors[kCs] = static_cast<std::uint16_t>((linear & ~0xFFFFu) / 16);
            state.ip = linear & 0xFFFF;
        } else {
            for (unsigned i = 0; i < 6; ++i) state.selectors[i] = unicorn.selector(i);
            state.ip = linear;
        }
        return state;
    }

    Vcpu make_vcpu(const State& state) const {
        Vcpu vcpu;
        for (unsigned i = 0; i < 8; ++i) vcpu.gpr[i] = state.general[i];
        vcpu.rip = state.ip;
        vcpu.rflags = state.flags;
        for (unsigned i = 0; i < 6; ++i) {
            Segment& segment = vcpu.segments[i];
            segment.selector = state.selectors[i];
            if (mode_ == 16) {
                segment.base = std::uint64_t{state.selectors[i]} * 16;
            } else {
                segment.limit = 0xFFFFFFFF;
                segment.big = true;
                segment.type = i == kCs ? 11 : 3;
            }
        }
        if (mode_ == 32) vcpu.cr0 |= cr0::pe;
        return vcpu;
    }

    static State read_state(const Vcpu& vcpu) {
        State state;
        for (unsigned i = 0; i < 8; ++i) state.general[i] = vcpu.reg32(i);
        state.ip = static_cast<std::uint32_t>(vcpu.rip);
        state.flags = static_cast<std::uint32_t>(vcpu.rflags);
        for (unsigned i = 0; i < 6; ++i) state.selectors[i] = vcpu.segments[i].selector;
        return state;
    }

    void one(PlainMemory& memory, UnicornSide& unicorn, const Sample& sample, std::uint32_t linear) {
        const State before = draw_state(unicorn, sample, linear);
        Vcpu vcpu = make_vcpu(before);
        NoPlatform platform;
        memory.written.clear();
        StepResult result;
        do {
            result = interpret(vcpu, memory, platform);
        } while (result.step == Step::done && sample.repeats() && vcpu.rip == before.ip);
        const State ours = read_state(vcpu);
        const std::uint64_t target = vcpu.segments[kCs].base + ours.ip;
        if (target != linear + result.length && target != linear && target >= kCode && target < kQuiet && target % kSlot < kSlot / 2) {
            // Unicorn would translate from inside another instruction, and aborts on some bytes.
            ++left_out;
            memory.space = unicorn.space;
            return;
        }
        State theirs = before;
        const Ended ended = unicorn.run(theirs, linear, sample.repeats());
        ++compared;
        const Outcome outcome{sample, before, ours, result.step, result.fault, ended, unicorn.vector, mode_};
        std::string difference = find_difference(outcome, theirs, memory, unicorn);
        if (difference.empty() && result.step == Step::fault) ++faulted;
        // PUSHA and ENTER write below the stack pointer before they fault; the interpreter looks first.
        const bool left_behind = result.step == Step::fault && (sample.opcode == 0x60 || sample.opcode == 0xC8);
        if (!difference.empty() || left_behind) memory.space = unicorn.space;
        if (difference.empty()) return;
        for (const Known& known : kKnown)
            if (known.applies(outcome)) {
                ++explained[known.reason];
                return;
            }
        if (++failures > kMostPrinted) return;
        std::string text;
        for (const std::uint8_t byte : sample.bytes) text += fmt::format("{:02x} ", byte);
        fmt::print("mode {} [{}]: {}\n  before {}\n  ours   {} step {} vector {}\n  theirs {} {}\n", mode_, text, difference, describe(before), describe(ours),
                   static_cast<int>(result.step), static_cast<int>(result.fault.vector), describe(theirs), unicorn.reason);
    }

    std::string find_difference(const Outcome& o, const State& theirs, const PlainMemory& memory, const UnicornSide& unicorn) const {
        if (o.step == Step::not_here || o.step == Step::halt) return "the interpreter has no entry";
        const bool repeats = (o.sample.tail & kString) != 0;
        if (o.step == Step::fault && !repeats && o.ours != o.before) return "a fault changed the state";
        if (o.step == Step::fault && !repeats && o.sample.opcode != 0xC8 && !memory.written.empty()) return "a fault wrote memory";
        if ((o.step == Step::fault) != (o.theirs == Ended::fault))
            return fmt::format("{}, expected {}", o.step == Step::fault ? "a fault" : "no fault", o.theirs == Ended::fault ? "one" : "none");
        if (o.step == Step::fault) {
            // Unmapped memory is Unicorn's page fault.
            const std::uint32_t vector = o.vector.value_or(unicorn.reason.find("UC_ERR_INSN_INVALID") != std::string::npos ? 6 : 14);
            if (repeats && o.ours.general != theirs.general) return "progress of a repeated instruction that faults";
            return vector == static_cast<std::uint32_t>(o.fault.vector) ? "" : fmt::format("vector {}, expected {}", static_cast<int>(o.fault.vector), vector);
        }
        for (unsigned i = 0; i < 8; ++i)
            if (o.ours.general[i] != theirs.general[i]) return fmt::format("register {} is {:#x}, expected {:#x}", i, o.ours.general[i], theirs.general[i]);
        if (o.ours.ip != theirs.ip) return fmt::format("the next address is {:#x}, expected {:#x}", o.ours.ip, theirs.ip);
        if (o.ours.selectors != theirs.selectors) return "a segment register";
        const std::uint64_t ignored = undefined_flags(o.sample, o.before.general[kRcx] & 0xFF);
        if (((o.ours.flags ^ theirs.flags) & ~ignored) != 0) return fmt::format("flags are {:#x}, expected {:#x}", o.ours.flags, theirs.flags);
        for (const Range& range : memory.written)
            for (std::uint32_t i = range.address; i < range.address + range.size; ++i)
                if (memory.space.bytes[i] != unicorn.space.bytes[i])
                    return fmt::format("memory at {:#x} is {:#x}, expected {:#x}", i, memory.space.bytes[i], unicorn.space.bytes[i]);
        return {};
    }

    static std::string describe(const State& state) {
        std::string out = fmt::format("ip {:x} flags {:x}", state.ip, state.flags);
        static const char* const kNames[8] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
        for (unsigned i = 0; i < 8; ++i) out += fmt::format(" {} {:x}", kNames[i], state.general[i]);
        for (const std::uint16_t selector : state.selectors) out += fmt::format(" {:x}", selector);
        return out;
    }

    const unsigned mode_;
    SampleGenerator generator_;
};

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t count = 100000, seed = 1;
    CLI::App app("Holds the interpreter against Unicorn");
    app.add_option("--count", count, "random instructions in each mode");
    app.add_option("--seed", seed, "of instructions and states");
    CLI11_PARSE(app, argc, argv);
    bool failed = false;
    for (const unsigned mode : {32u, 16u}) {
        Comparer comparer(mode, seed);
        comparer.run(count);
        fmt::print("{}-bit mode: {} instructions compared ({} faults, {} jumps into others left out), {} different\n", mode, comparer.compared,
                   comparer.faulted, comparer.left_out, comparer.failures);
        for (const auto& [reason, times] : comparer.explained) fmt::print("{:>8} explained: {}\n", times, reason);
        failed = failed || comparer.failures != 0;
    }
    return failed ? 1 : 0;
}
