// SPDX-License-Identifier: Apache-2.0
// One instruction on its way through the interpreter: its fields as decoded, and what its handler needs of registers, memory and
// stack, with every check. Handlers change no state before the last check that can fail.
#pragma once

#include <array>
#include <cstdint>

#include "executor/cpu/arithmetic.h"
#include "executor/cpu/interpreter.h"
#include "executor/cpu/memory.h"
#include "executor/cpu/vcpu.h"

namespace trapline::executor {

struct OpcodeRow;

/// SDM vol. 2, 2.1 and 2.3.11: a longer instruction raises #GP(0).
inline constexpr unsigned kLongestInstruction = 15;

enum class Access : std::uint8_t { read, write };

/// The functions that may fail give false, with `fault` set; a handler then returns Step::fault.
class Execution {
public:
    Execution(Vcpu& vcpu_in, LinearMemory& memory_in, Platform& platform_in)
        : vcpu(vcpu_in),
          memory(memory_in),
          platform(platform_in),
          start(static_cast<std::uint32_t>(vcpu_in.rip)),
          privilege(vcpu_in.cpl == 3 ? Privilege::user : Privilege::supervisor),
          checks_rights(!vcpu_in.has_real_segments()),
          checks_alignment(vcpu_in.cpl == 3 && (vcpu_in.rflags & flag::ac) != 0 && (vcpu_in.cr0 & cr0::am) != 0) {}

    Vcpu& vcpu;
    LinearMemory& memory;
    Platform& platform;

    // The instruction.
    const std::uint32_t start;            ///< its offset in CS
    std::uint32_t next = 0;               ///< where control goes; behind the instruction unless the handler changes it
    const OpcodeRow* row = nullptr;
    std::uint16_t opcode = 0;             ///< the byte; 0x100 more in the 0F map
    std::uint8_t size = 4;                ///< operand size in bytes: 1, 2 or 4
    std::uint8_t word_size = 4;           ///< 2 or 4: the operand size attribute, also where `size` is 1
    std::uint8_t address_size = 4;        ///< 2 or 4
    std::uint8_t repeat = 0;              ///< 0xF2 or 0xF3, whichever came last, or 0
    bool lock = false;
    bool operand_prefix = false;          ///< 66 is there
    std::uint8_t segment = kDs;           ///< of the memory operand; with `has_override` from a prefix
    bool has_override = false;
    std::uint8_t modrm = 0;
    bool is_memory = false;               ///< mod is not 3
    bool base_is_esp = false;             ///< POP r/m adds to the address what it pops
    std::uint32_t offset = 0;             ///< effective address
    std::uint32_t imm = 0;                ///< bytes are sign-extended
    std::uint16_t imm2 = 0;               ///< the selector of a far pointer, ENTER's level
    std::uint8_t position = 0;            ///< bytes decoded so far

    // What comes of it.
    Fault fault{};
    std::optional<std::uint8_t> software_vector;
    bool shadow = false;                  ///< interrupt_shadow afterwards
    bool again = false;                   ///< a REP slice is over: rip stays

    const Privilege privilege;
    const bool checks_rights;             ///< segments have types: protected mode without VM
    const bool checks_alignment;

    unsigned reg() const { return (modrm >> 3) & 7; }
    unsigned rm() const { return modrm & 7; }

    /// Reads and decodes; sets `row`. Bytes behind a page's end are read when the instruction reaches them.
    bool decode();

    Step raise(const Fault& what) {
        fault = what;
        return Step::fault;
    }
    Step invalid() { return raise(Fault::invalid_opcode()); }
    Step protection() { return raise(Fault::general_protection()); }

    // Registers, by operand size.
    std::uint32_t get(unsigned number, unsigned bytes) const {
        if (bytes == 4) return vcpu.reg32(number);
        if (bytes == 2) return vcpu.reg32(number) & 0xFFFF;
        return (vcpu.reg32(number & 3) >> ((number & 4) * 2)) & 0xFF;
    }
    void put(unsigned number, std::uint32_t value, unsigned bytes) {
        if (bytes == 4) {
            vcpu.gpr[number] = value;
        } else if (bytes == 2) {
            vcpu.gpr[number] = (vcpu.gpr[number] & ~std::uint64_t{0xFFFF}) | (value & 0xFFFF);
        } else {
            const unsigned at = (number & 4) * 2;
            vcpu.gpr[number & 3] = (vcpu.gpr[number & 3] & ~(std::uint64_t{0xFF} << at)) | (std::uint64_t{value & 0xFF} << at);
        }
    }

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
        value = 0;
        return locate(which, at, bytes, Access::read, linear) && passed(memory.read(linear, &value, bytes, privilege));
    }
    bool write(unsigned which, std::uint32_t at, std::uint32_t value, unsigned bytes) {
        std::uint64_t linear;
        return locate(which, at, bytes, Access::write, linear) && passed(memory.write(linear, &value, bytes, privilege));
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
        value = 0;
        return locate(segment, offset, size, Access::write, modified_) && passed(memory.check_write(modified_, size, privilege)) &&
               passed(memory.read(modified_, &value, size, privilege));
    }
    bool store_back(std::uint32_t value) {
        if (is_memory) return passed(memory.write(modified_, &value, size, privilege));
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

    std::uint32_t address_mask() const { return address_size == 4 ? 0xFFFFFFFF : 0xFFFF; }
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
    bool refuse(unsigned which);
    bool misaligned();
    bool fetch(unsigned wanted);
    bool decode_modrm();
    bool decode_address32();
    bool decode_address16();
    bool decode_immediates();
    bool take(unsigned bytes, std::uint32_t& value);

    std::uint64_t modified_ = 0;
    std::uint8_t available_ = 0;          ///< bytes fetched
    std::array<std::uint8_t, kLongestInstruction> bytes_;
};

/// Executes a decoded instruction. `vcpu.rip` still is its start.
using Handler = Step (*)(Execution&);

}  // namespace trapline::executor
