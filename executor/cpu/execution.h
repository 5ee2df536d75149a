// SPDX-License-Identifier: Apache-2.0
// One instruction on its way through the interpreter: its fields as decoded, and what its handler needs of registers, memory and
// stack, with every check. Handlers change no state before the last check that can fail.
#pragma once

#include <cstdint>

#include "executor/cpu/arithmetic.h"
#include "executor/cpu/instruction.h"
#include "executor/cpu/interpreter.h"
#include "executor/cpu/memory.h"
#include "executor/cpu/vcpu.h"

namespace trapline::executor {

enum class Access : std::uint8_t { read, write };

/// The functions that may fail give false, with `fault` set; a handler then returns Step::fault.
class Execution : public Instruction {
public:
    Execution(Vcpu& vcpu_in, LinearMemory& memory_in, Platform& platform_in) : vcpu(vcpu_in), memory(memory_in), platform(platform_in) {}
    Execution(const Instruction& instruction, Vcpu& vcpu_in, LinearMemory& memory_in, Platform& platform_in) : Execution(vcpu_in, memory_in, platform_in) {
        begin(instruction);
    }

    /// Takes up the instruction that stands at CS:RIP. What the one before it left here is gone.
    void begin(const Instruction& instruction) {
        static_cast<Instruction&>(*this) = instruction;
        start = static_cast<std::uint32_t>(vcpu.rip);
        next = start + instruction.length;
        software_vector.reset();
        shadow = again = false;
        privilege = vcpu.cpl == 3 ? Privilege::user : Privilege::supervisor;
        checks_rights = !vcpu.has_real_segments();
        checks_alignment = vcpu.cpl == 3 && (vcpu.rflags & flag::ac) != 0 && (vcpu.cr0 & cr0::am) != 0;
        // Of `instruction`, not of the copy, whose bytes are still on their way to memory.
        offset = instruction.displacement;
        if (!instruction.is_memory) return;
        if (instruction.base != kNoRegister) offset += vcpu.reg32(instruction.base);
        if (instruction.index != kNoRegister) offset += vcpu.reg32(instruction.index) << instruction.scale;
        offset &= instruction.address_mask();
    }

    Vcpu& vcpu;
    LinearMemory& memory;
    Platform& platform;

    std::uint32_t start = 0;              ///< its offset in CS
    std::uint32_t next = 0;               ///< where control goes; behind the instruction unless the handler changes it
    std::uint32_t offset = 0;             ///< effective address of the memory operand

    // What comes of it.
    Fault fault{};
    std::optional<std::uint8_t> software_vector;
    bool shadow = false;                  ///< interrupt_shadow afterwards
    bool again = false;                   ///< a REP slice is over: rip stays

    Privilege privilege = Privilege::supervisor;
    bool checks_rights = false;           ///< segments have types: protected mode without VM
    bool checks_alignment = false;

    Step raise(const Fault& what) {
        fault = what;
        return Step::fault;
    }
    Step invalid() { return raise(Fault::invalid_opcode()); }
    Step protection() { return raise(Fault::general_protection()); }

    // Registers, by operand size.
    std::uint32_t get(unsigned number, unsigned bytes) const { return vcpu.get(number, bytes); }
    void put(unsigned number, std::uint32_t value, unsigned bytes) { vcpu.put(number, value, bytes); }

    // Memory through a segment.
    /// Whether limit, type and presence allow the access (SDM vol. 3, "Limit Checking", "Type Checking").
    bool allows(unsigned which, std::uint32_t at, std::size_t bytes, Access access) const {
        const Segment& s = vcpu.segments[which];
        if (checks_rights && !(s.present && (access == Access::write ? s.is_writable() : s.is_readable()))) return false;
        // In a segment of 4 GiB an access may wrap; the manual leaves that to the implementation.
        if (s.limit == 0xFFFFFFFF && !s.is_expand_down()) return true;
        const std::uint64_t last = std::uint64_t{at} + bytes - 1;
        if (!s.is_expand_down()) return last <= s.limit;
        return at > s.limit && last <= (s.big ? 0xFFFFFFFFu : 0xFFFFu);
    }
    std::uint64_t linear_of(unsigned which, std::uint32_t at) const { return static_cast<std::uint32_t>(vcpu.segments[which].base + at); }
    /// Checks segment and alignment and gives the linear address.
    bool locate(unsigned which, std::uint32_t at, unsigned bytes, Access access, std::uint64_t& linear) {
        linear = linear_of(which, at);
        if (!allows(which, at, bytes, access)) return refuse(which);
        return !checks_alignment || (linear & (bytes - 1)) == 0 || misaligned();
    }
    bool read(unsigned which, std::uint32_t at, std::uint32_t& value, unsigned bytes) {
        std::uint64_t linear;
        return locate(which, at, bytes, Access::read, linear) && read_at(linear, value, bytes);
    }
    bool write(unsigned which, std::uint32_t at, std::uint32_t value, unsigned bytes) {
        std::uint64_t linear;
        return locate(which, at, bytes, Access::write, linear) && write_at(linear, value, bytes);
    }
    /// Raises what a write would raise.
    bool check_write(unsigned which, std::uint32_t at, unsigned bytes) {
        std::uint64_t linear;
        return locate(which, at, bytes, Access::write, linear) && passed(memory.check_write(linear, bytes, privilege));
    }
    bool passed(const MaybeFault& result) {
        if (!result) return true;
        fault = *result;
        return false;
    }

    // The r/m operand.
    bool load(std::uint32_t& value, unsigned bytes) {
        if (is_memory) return read(segment, offset, value, bytes);
        value = get(rm(), bytes);
        return true;
    }
    bool load(std::uint32_t& value) { return load(value, size); }
    bool store(std::uint32_t value, unsigned bytes) {
        if (is_memory) return write(segment, offset, value, bytes);
        put(rm(), value, bytes);
        return true;
    }
    bool store(std::uint32_t value) { return store(value, size); }
    /// Loads an operand that is going to be stored with `store_back`: the write's fault comes first.
    bool load_to_modify(std::uint32_t& value) {
        if (!is_memory) {
            value = get(rm(), size);
            return true;
        }
        return locate(segment, offset, size, Access::write, modified_) && passed(memory.check_write(modified_, size, privilege)) &&
               read_at(modified_, value, size);
    }
    bool store_back(std::uint32_t value) {
        if (is_memory) return write_at(modified_, value, size);
        put(rm(), value, size);
        return true;
    }

    // The stack.
    std::uint32_t stack_mask() const { return vcpu.ss().big ? 0xFFFFFFFF : 0xFFFF; }
    std::uint32_t stack_pointer() const { return vcpu.reg32(kRsp) & stack_mask(); }
    void set_stack_pointer(std::uint32_t value) { put(kRsp, value, vcpu.ss().big ? 4 : 2); }
    bool push(std::uint32_t value, unsigned bytes) {
        const std::uint32_t to = (stack_pointer() - bytes) & stack_mask();
        if (!write(kSs, to, value, bytes)) return false;
        set_stack_pointer(to);
        return true;
    }
    /// Reads the top of the stack; `release` moves the pointer when the rest has succeeded.
    bool peek(std::uint32_t& value, unsigned bytes) { return read(kSs, stack_pointer(), value, bytes); }
    void release(unsigned bytes) { set_stack_pointer(stack_pointer() + bytes); }

    /// Goes to an offset in CS, cut to the operand size; #GP(0) beyond the limit.
    bool jump(std::uint32_t target) {
        if (word_size == 2) target &= 0xFFFF;
        if (target > vcpu.cs().limit) {
            fault = Fault::general_protection();
            return false;
        }
        next = target;
        return true;
    }

private:
    bool read_at(std::uint64_t linear, std::uint32_t& value, unsigned bytes) {
        value = 0;
        return passed(memory.read(linear, &value, bytes, privilege));
    }
    bool write_at(std::uint64_t linear, std::uint32_t value, unsigned bytes) { return passed(memory.write(linear, &value, bytes, privilege)); }
    bool refuse(unsigned which);
    bool misaligned();

    std::uint64_t modified_ = 0;
};

/// Leaves the vCPU as the handler's answer wants it; `resume` is RF as it was before.
StepResult conclude(Execution& x, Step step, std::uint64_t resume);

}  // namespace trapline::executor
