// SPDX-License-Identifier: Apache-2.0
// Executes the frequent instructions without the checks that the usual state makes needless.
#include "executor/cpu/fast_path.h"

#include <cstring>

#include "executor/cpu/arithmetic.h"
#include "executor/cpu/protection_detail.h"

namespace trapline::executor {

void FastState::look() {
    usable_ = vcpu.is_protected() && !vcpu.is_v86() && vcpu.cs().is_flat() && vcpu.cs().big;
    privilege_ = detail::privilege_of(vcpu.cpl);
    checks_alignment_ = vcpu.cpl == 3 && (vcpu.rflags & flag::ac) != 0 && (vcpu.cr0 & cr0::am) != 0;
}

namespace {

/// Reads `size` bytes, 1, 2 or 4, of the guest's memory.
std::uint32_t load(const std::uint8_t* from, unsigned size) {
    std::uint32_t value = 0;
    copy_operand(&value, from, size);
    return value;
}

void pass(Vcpu& vcpu, const Instruction& i) { vcpu.rip = static_cast<std::uint32_t>(vcpu.rip) + i.length; }

/// Effective address of a memory operand with 32-bit addressing.
std::uint32_t address_of(const Vcpu& vcpu, const Instruction& i) {
    std::uint32_t address = i.displacement;
    if (i.base != Instruction::kNoRegister) address += vcpu.reg32(i.base);
    if (i.index != Instruction::kNoRegister) address += vcpu.reg32(i.index) << i.scale;
    return address;
}

std::uint8_t* find_operand(const FastState& s, const Instruction& i, unsigned size, bool write) {
    return s.find(i.segment, address_of(s.vcpu, i), size, write);
}

/// The r/m operand, read; false where it cannot be had.
bool load_operand(const FastState& s, const Instruction& i, unsigned size, std::uint32_t& value) {
    if (!i.is_memory) {
        value = s.vcpu.get(i.rm(), size);
        return true;
    }
    const std::uint8_t* const place = find_operand(s, i, size, false);
    if (place == nullptr) return false;
    value = load(place, size);
    return true;
}

bool store_operand(FastState& s, const Instruction& i, std::uint32_t value) {
    if (!i.is_memory) {
        s.vcpu.put(i.rm(), value, i.size);
    } else {
        std::uint8_t* const place = find_operand(s, i, i.size, true);
        if (place == nullptr) return false;
        copy_operand(place, &value, i.size);
    }
    pass(s.vcpu, i);
    return true;
}

bool push(FastState& s, std::uint32_t value) {
    const std::uint32_t to = s.vcpu.reg32(kRsp) - 4;
    std::uint8_t* const place = s.find_stack(to, true);
    if (place == nullptr) return false;
    std::memcpy(place, &value, 4);
    s.vcpu.set_reg32(kRsp, to);
    return true;
}

bool push_and_pass(FastState& s, const Instruction& i, std::uint32_t value) {
    if (!push(s, value)) return false;
    pass(s.vcpu, i);
    return true;
}

/// What a pop would give; false where it cannot be had.
bool peek(const FastState& s, std::uint32_t& value) {
    const std::uint8_t* const place = s.find_stack(s.vcpu.reg32(kRsp), false);
    if (place == nullptr) return false;
    value = load(place, 4);
    return true;
}

void release(Vcpu& vcpu, std::uint32_t bytes) { vcpu.set_reg32(kRsp, vcpu.reg32(kRsp) + bytes); }

bool push_reg(FastState& s, const Instruction& i) { return push_and_pass(s, i, s.vcpu.reg32(i.opcode & 7)); }
bool push_imm(FastState& s, const Instruction& i) { return push_and_pass(s, i, i.imm); }
bool push_segment(FastState& s, const Instruction& i) { return push_and_pass(s, i, s.vcpu.segments[(i.opcode >> 3) & 7].selector); }

bool pop_reg(FastState& s, const Instruction& i) {
    std::uint32_t value;
    if (!peek(s, value)) return false;
    release(s.vcpu, 4);
    s.vcpu.set_reg32(i.opcode & 7, value);
    pass(s.vcpu, i);
    return true;
}

/// A data segment that is there, has been accessed and is open to CPL and RPL, or nothing.
bool load_segment(FastState& s, unsigned which, std::uint16_t selector) {
    Vcpu& vcpu = s.vcpu;
    Segment& segment = vcpu.segments[which];
    if (detail::is_null(selector)) {
        segment = detail::null_segment(selector);
    } else {
        std::uint32_t address = 0;
        if (!detail::locate(vcpu, selector, address)) return false;
        const std::uint8_t* const place = s.pages.find_to_read(address, 8);
        if (place == nullptr) return false;
        std::uint64_t raw = 0;
        std::memcpy(&raw, place, sizeof raw);
        // P and S are set, the type is data that has been accessed.
        constexpr std::uint64_t kLooked = 0x99ull << 40, kWanted = 0x91ull << 40;
        const unsigned dpl = raw >> 45 & 3;
        if ((raw & kLooked) != kWanted || dpl < vcpu.cpl || dpl < detail::rpl_of(selector)) return false;
        detail::parse_into(segment, raw);
        segment.selector = selector;
    }
    return true;
}

/// Never SS, which holds interrupts back.
bool pop_segment(FastState& s, const Instruction& i) {
    std::uint32_t value;
    if (!peek(s, value) || !load_segment(s, (i.opcode >> 3) & 7, static_cast<std::uint16_t>(value))) return false;
    release(s.vcpu, 4);
    pass(s.vcpu, i);
    return true;
}

bool mov_segment_rm(FastState& s, const Instruction& i) {
    std::uint32_t value;
    if (!load_operand(s, i, 2, value) || !load_segment(s, i.reg(), static_cast<std::uint16_t>(value))) return false;
    pass(s.vcpu, i);
    return true;
}

bool mov_reg_segment(FastState& s, const Instruction& i) { return store_operand(s, i, s.vcpu.segments[i.reg()].selector); }

bool mov_rm_reg(FastState& s, const Instruction& i) { return store_operand(s, i, s.vcpu.get(i.reg(), i.size)); }
bool mov_rm_imm(FastState& s, const Instruction& i) { return store_operand(s, i, i.imm); }

bool mov_reg_rm(FastState& s, const Instruction& i) {
    std::uint32_t value;
    if (!load_operand(s, i, i.size, value)) return false;
    s.vcpu.put(i.reg(), value, i.size);
    pass(s.vcpu, i);
    return true;
}

bool mov_reg_imm(FastState& s, const Instruction& i) {
    s.vcpu.put(i.opcode & 7, i.imm, i.size);
    pass(s.vcpu, i);
    return true;
}

bool mov_acc_memory(FastState& s, const Instruction& i) {
    const std::uint8_t* const place = find_operand(s, i, i.size, false);
    if (place == nullptr) return false;
    s.vcpu.put(kRax, load(place, i.size), i.size);
    pass(s.vcpu, i);
    return true;
}

bool mov_memory_acc(FastState& s, const Instruction& i) { return store_operand(s, i, s.vcpu.get(kRax, i.size)); }

template <unsigned From>
bool movzx(FastState& s, const Instruction& i) {
    std::uint32_t value;
    if (!load_operand(s, i, From, value)) return false;
    s.vcpu.put(i.reg(), value, i.size);
    pass(s.vcpu, i);
    return true;
}

bool lea(FastState& s, const Instruction& i) {
    if (!i.is_memory) return false;
    s.vcpu.put(i.reg(), address_of(s.vcpu, i), i.size);
    pass(s.vcpu, i);
    return true;
}

constexpr unsigned kAnd = 4, kCmp = 7;

/// Combines the r/m operand with `b`; the flags are left before the result, which can no longer fail.
bool combine_operand(FastState& s, const Instruction& i, unsigned operation, std::uint32_t b) {
    Vcpu& vcpu = s.vcpu;
    if (!i.is_memory) {
        const std::uint32_t result = arithmetic::combine(operation, vcpu.rflags, vcpu.get(i.rm(), i.size), b, i.size);
        if (operation != kCmp) vcpu.put(i.rm(), result, i.size);
    } else {
        std::uint8_t* const place = find_operand(s, i, i.size, operation != kCmp);
        if (place == nullptr) return false;
        const std::uint32_t result = arithmetic::combine(operation, vcpu.rflags, load(place, i.size), b, i.size);
        if (operation != kCmp) copy_operand(place, &result, i.size);
    }
    pass(vcpu, i);
    return true;
}

bool alu_rm_reg(FastState& s, const Instruction& i) { return combine_operand(s, i, (i.opcode >> 3) & 7, s.vcpu.get(i.reg(), i.size)); }
bool alu_rm_imm(FastState& s, const Instruction& i) { return combine_operand(s, i, i.reg(), i.imm & arithmetic::mask(i.size)); }

bool alu_reg_rm(FastState& s, const Instruction& i) {
    std::uint32_t b;
    if (!load_operand(s, i, i.size, b)) return false;
    s.vcpu.put(i.reg(), arithmetic::combine(i.opcode >> 3, s.vcpu.rflags, s.vcpu.get(i.reg(), i.size), b, i.size), i.size);
    pass(s.vcpu, i);
    return true;
}

bool alu_acc_imm(FastState& s, const Instruction& i) {
    s.vcpu.put(kRax, arithmetic::combine(i.opcode >> 3, s.vcpu.rflags, s.vcpu.get(kRax, i.size), i.imm & arithmetic::mask(i.size), i.size), i.size);
    pass(s.vcpu, i);
    return true;
}

bool test_operand(FastState& s, const Instruction& i, std::uint32_t b) {
    std::uint32_t a;
    if (!load_operand(s, i, i.size, a)) return false;
    arithmetic::combine(kAnd, s.vcpu.rflags, a, b, i.size);
    pass(s.vcpu, i);
    return true;
}

bool test_rm_reg(FastState& s, const Instruction& i) { return test_operand(s, i, s.vcpu.get(i.reg(), i.size)); }
bool test_rm_imm(FastState& s, const Instruction& i) { return test_operand(s, i, i.imm & arithmetic::mask(i.size)); }

bool test_acc_imm(FastState& s, const Instruction& i) {
    arithmetic::combine(kAnd, s.vcpu.rflags, s.vcpu.get(kRax, i.size), i.imm & arithmetic::mask(i.size), i.size);
    pass(s.vcpu, i);
    return true;
}

bool inc_reg(FastState& s, const Instruction& i) {
    s.vcpu.put(i.opcode & 7, arithmetic::increment(s.vcpu.rflags, s.vcpu.get(i.opcode & 7, i.size), i.size), i.size);
    pass(s.vcpu, i);
    return true;
}

bool dec_reg(FastState& s, const Instruction& i) {
    s.vcpu.put(i.opcode & 7, arithmetic::decrement(s.vcpu.rflags, s.vcpu.get(i.opcode & 7, i.size), i.size), i.size);
    pass(s.vcpu, i);
    return true;
}

bool cld(FastState& s, const Instruction& i) {
    s.vcpu.rflags &= ~flag::df;
    pass(s.vcpu, i);
    return true;
}

bool nop(FastState& s, const Instruction& i) {
    pass(s.vcpu, i);
    return true;
}

// CS is flat, so no target is beyond its limit.
bool jump(FastState& s, const Instruction& i) {
    s.vcpu.rip = static_cast<std::uint32_t>(s.vcpu.rip) + i.length + i.imm;
    return true;
}

bool jcc(FastState& s, const Instruction& i) { return arithmetic::holds(i.opcode & 15, s.vcpu.rflags) ? jump(s, i) : nop(s, i); }

bool call(FastState& s, const Instruction& i) { return push(s, static_cast<std::uint32_t>(s.vcpu.rip) + i.length) && jump(s, i); }

bool ret(FastState& s, const Instruction& i) {
    std::uint32_t target;
    if (!peek(s, target)) return false;
    release(s.vcpu, 4 + i.imm);
    s.vcpu.rip = target;
    return true;
}

bool push_rm(FastState& s, const Instruction& i) {
    std::uint32_t value;
    return load_operand(s, i, 4, value) && push_and_pass(s, i, value);
}

bool jmp_rm(FastState& s, const Instruction& i) {
    std::uint32_t target;
    if (!load_operand(s, i, 4, target)) return false;
    s.vcpu.rip = target;
    return true;
}

bool call_rm(FastState& s, const Instruction& i) {
    std::uint32_t target;
    if (!load_operand(s, i, 4, target) || !push(s, static_cast<std::uint32_t>(s.vcpu.rip) + i.length)) return false;
    s.vcpu.rip = target;
    return true;
}

/// A run of opcodes with one handler; `wide`: of 4-byte operands alone.
struct FastRun {
    std::uint16_t first, last;
    FastHandler handler;
    bool wide = false;
    std::uint8_t registers = 0xFF;  ///< by ModRM.reg: where the handler holds
};

// ES, DS, FS and GS: SS is followed by a shadow, CS is not loaded so.
constexpr std::uint8_t kDataSegments = 1u << kEs | 1u << kDs | 1u << kFs | 1u << kGs, kSegments = 0x3F;

constexpr FastRun kRuns[] = {
    {0x06, 0x06, push_segment, true}, {0x0E, 0x0E, push_segment, true}, {0x16, 0x16, push_segment, true}, {0x1E, 0x1E, push_segment, true},
    {0x07, 0x07, pop_segment, true},  {0x1F, 0x1F, pop_segment, true},
    {0x40, 0x47, inc_reg},            {0x48, 0x4F, dec_reg},            {0x50, 0x57, push_reg, true},     {0x58, 0x5F, pop_reg, true},
    {0x68, 0x68, push_imm, true},     {0x6A, 0x6A, push_imm, true},
    {0x70, 0x7F, jcc, true},
    {0x80, 0x83, alu_rm_imm},         {0x84, 0x85, test_rm_reg},
    {0x88, 0x89, mov_rm_reg},         {0x8A, 0x8B, mov_reg_rm},         {0x8D, 0x8D, lea},
    {0x8E, 0x8E, mov_segment_rm, false, kDataSegments},
    {0x90, 0x90, nop},
    {0xA0, 0xA1, mov_acc_memory},     {0xA2, 0xA3, mov_memory_acc},     {0xA8, 0xA9, test_acc_imm},
    {0xB0, 0xBF, mov_reg_imm},
    {0xC2, 0xC3, ret, true},
    {0xC6, 0xC7, mov_rm_imm, false, 1u << 0},
    {0xE8, 0xE8, call, true},         {0xE9, 0xE9, jump, true},         {0xEB, 0xEB, jump, true},
    {0xF6, 0xF7, test_rm_imm, false, 1u << 0 | 1u << 1},
    {0xFC, 0xFC, cld},
    {0x118, 0x11F, nop},
    {0x180, 0x18F, jcc, true},
    {0x1A0, 0x1A0, push_segment, true}, {0x1A1, 0x1A1, pop_segment, true}, {0x1A8, 0x1A8, push_segment, true}, {0x1A9, 0x1A9, pop_segment, true},
    {0x1B6, 0x1B6, movzx<1>},         {0x1B7, 0x1B7, movzx<2>},
};

/// The forms that one opcode's ModRM tells apart.
FastHandler handler_in_group(const Instruction& i) {
    if (i.opcode == 0x8C) return i.reg() <= kGs && !i.is_memory ? mov_reg_segment : nullptr;  // memory gets 16 bits whatever the size
    if (i.opcode != 0xFF || i.size != 4) return nullptr;
    switch (i.reg()) {
        case 2: return call_rm;
        case 4: return jmp_rm;
        case 6: return push_rm;
        default: return nullptr;
    }
}

}  // namespace

FastHandler fast_handler(const Instruction& i) {
    // LOCK needs the bus, and REP in front of these is a hint at best.
    if (i.lock || i.repeat != 0 || i.address_size != 4) return nullptr;
    if (i.opcode < 0x40 && (i.opcode & 7) < 6) {
        switch (i.opcode & 7) {
            case 0:
            case 1: return alu_rm_reg;
            case 2:
            case 3: return alu_reg_rm;
            default: return alu_acc_imm;
        }
    }
    if (const FastHandler handler = handler_in_group(i)) return handler;
    for (const FastRun& run : kRuns)
        if (i.opcode >= run.first && i.opcode <= run.last) return (!run.wide || i.size == 4) && (run.registers >> i.reg() & 1) != 0 ? run.handler : nullptr;
    return nullptr;
}

}  // namespace trapline::executor
