// SPDX-License-Identifier: Apache-2.0
// The instructions that stubs are made of, and the sensitive ones, after SDM volume 2. Flags that the manual leaves
// undefined come out 0 (AF of the logic operations), as on the processors the tests run on.
#include <bit>

#include "patch/proof/flags.h"
#include "patch/proof/machine.h"

namespace trapline::patch::proof {
namespace {

constexpr std::uint64_t low_bits(int bits) { return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1; }

/// SF, ZF and PF of a result.
std::uint64_t result_flags(std::uint64_t value, int bits) {
    std::uint64_t flags = 0;
    if ((value >> (bits - 1) & 1) != 0) flags |= kSign;
    if ((value & low_bits(bits)) == 0) flags |= kZero;
    if ((std::popcount(value & 0xFF) & 1) == 0) flags |= kParity;
    return flags;
}

struct Computed {
    std::uint64_t value = 0;
    std::uint64_t flags = 0;  ///< all status flags
};

Computed add(std::uint64_t a, std::uint64_t b, std::uint64_t carry, int bits) {
    const std::uint64_t mask = low_bits(bits), value = (a + b + carry) & mask;
    std::uint64_t flags = result_flags(value, bits);
    const std::uint64_t carries = (a & b) | ((a | b) & ~value);
    if ((carries >> (bits - 1) & 1) != 0) flags |= kCarry;
    if ((carries >> 3 & 1) != 0) flags |= kAdjust;
    if (((~(a ^ b) & (a ^ value)) >> (bits - 1) & 1) != 0) flags |= kOverflow;
    return {value, flags};
}

Computed subtract(std::uint64_t a, std::uint64_t b, std::uint64_t borrow, int bits) {
    const std::uint64_t mask = low_bits(bits), value = (a - b - borrow) & mask;
    std::uint64_t flags = result_flags(value, bits);
    const std::uint64_t borrows = (~a & b) | ((~a | b) & value);
    if ((borrows >> (bits - 1) & 1) != 0) flags |= kCarry;
    if ((borrows >> 3 & 1) != 0) flags |= kAdjust;
    if ((((a ^ b) & (a ^ value)) >> (bits - 1) & 1) != 0) flags |= kOverflow;
    return {value, flags};
}

Computed logic(std::uint64_t value, int bits) { return {value & low_bits(bits), result_flags(value, bits)}; }

/// The eight operations of the rows 0 to 3 of the opcode map and of group 1.
enum AluOperation : unsigned { kAdd, kOr, kAdc, kSbb, kAnd, kSub, kXor, kCmp };
Computed compute(unsigned operation, std::uint64_t a, std::uint64_t b, std::uint64_t flags, int bits) {
    a &= low_bits(bits);
    b &= low_bits(bits);
    switch (operation) {
        case kAdd: return add(a, b, 0, bits);
        case kOr: return logic(a | b, bits);
        case kAdc: return add(a, b, flags & kCarry, bits);
        case kSbb: return subtract(a, b, flags & kCarry, bits);
        case kAnd: return logic(a & b, bits);
        case kXor: return logic(a ^ b, bits);
        default: return subtract(a, b, 0, bits);
    }
}

/// The sixteen conditions of Jcc, by the opcode's low four bits (SDM volume 1, appendix B).
bool condition_holds(unsigned code, std::uint64_t flags) {
    const bool sign_differs = ((flags & kSign) != 0) != ((flags & kOverflow) != 0);
    bool holds = false;
    switch (code >> 1) {
        case 0: holds = (flags & kOverflow) != 0; break;
        case 1: holds = (flags & kCarry) != 0; break;
        case 2: holds = (flags & kZero) != 0; break;
        case 3: holds = (flags & (kCarry | kZero)) != 0; break;
        case 4: holds = (flags & kSign) != 0; break;
        case 5: holds = (flags & kParity) != 0; break;
        case 6: holds = sign_differs; break;
        default: holds = (flags & kZero) != 0 || sign_differs; break;
    }
    return holds != ((code & 1) != 0);
}

/// What a processor whose VMM does not set UMIP answers at CPL 3: the machine's own registers, which are not the guest's.
constexpr std::uint64_t kHostValue = 0x00B0'57CA'FE57'A7E5u;

}  // namespace

/// One instruction under way.
class OrdinaryExecutor {
public:
    OrdinaryExecutor(Machine& machine, const Instruction& insn) : m_(machine), cpu_(machine.cpu), insn_(insn), bits_(insn.bits()) {}

    Step run();
    /// A sensitive instruction with the guest's view of the state.
    void operate();

private:
    int bytes() const { return bits_ / 8; }
    unsigned opcode() const { return insn_.structure.key.opcode; }
    /// Opcodes come in pairs: even for bytes, odd for the operand size.
    void take_byte_size() {
        if ((opcode() & 1) == 0) bits_ = 8;
    }
    std::uint64_t read_register(unsigned number) const;
    void write_register(unsigned number, std::uint64_t value);
    bool rm_is_register() const { return insn_.structure.key.mod == 3; }
    std::uint64_t effective_address() const;
    std::uint64_t linear_address(std::uint64_t offset, bool stack_default) const;
    std::uint64_t rm_address() const { return linear_address(effective_address(), uses_stack_segment()); }
    bool uses_stack_segment() const;
    std::uint64_t read_rm();
    void write_rm(std::uint64_t value);
    void set_status(std::uint64_t flags) { cpu_.flags = (cpu_.flags & ~kStatusFlags) | flags; }
    void branch(std::uint64_t target) { cpu_.ip = target & cpu_.mask(); }
    /// Near branches and stack operations are 64 bits wide in 64-bit code, or 16 with a 66 prefix for PUSH and POP.
    unsigned stack_size() const { return static_cast<unsigned>(bytes()); }
    Step sensitive();
    void alu();
    void pop_flags(std::uint64_t value, bool supervisor);
    std::uint64_t store_word_value(std::uint64_t full) const;

    Machine& m_;
    Cpu& cpu_;
    const Instruction& insn_;
    int bits_;
};

std::uint64_t OrdinaryExecutor::read_register(unsigned number) const {
    // Without REX the byte registers 4 to 7 are AH, CH, DH and BH.
    if (bits_ == 8 && insn_.structure.rex == 0 && number >= 4 && number < 8) return cpu_.general[number - 4] >> 8 & 0xFF;
    return cpu_.general[number] & low_bits(bits_);
}

void OrdinaryExecutor::write_register(unsigned number, std::uint64_t value) {
    value &= low_bits(bits_);
    if (bits_ == 8 && insn_.structure.rex == 0 && number >= 4 && number < 8) {
        std::uint64_t& whole = cpu_.general[number - 4];
        whole = (whole & ~std::uint64_t{0xFF00}) | value << 8;
        return;
    }
    std::uint64_t& whole = cpu_.general[number];
    whole = bits_ >= 32 ? value : (whole & ~low_bits(bits_)) | value;
}

std::uint64_t OrdinaryExecutor::effective_address() const {
    const decode::Structure& structure = insn_.structure;
    const isa::EncodingKey& key = structure.key;
    std::uint64_t address = static_cast<std::uint64_t>(insn_.displacement());
    if (insn_.is_rip_relative()) {
        address += insn_.next;
    } else if (key.has_sib) {
        const unsigned base = (key.sib & 7u) | ((structure.rex & 1u) << 3), index = (key.sib >> 3 & 7u) | ((structure.rex & 2u) << 2);
        if ((key.sib & 7u) != 5 || key.mod != 0) address += cpu_.general[base];
        if (index != 4) address += cpu_.general[index] << (key.sib >> 6);
    } else if (key.mod != 0 || key.rm != 5) {
        address += cpu_.general[insn_.rm()];
    }
    return address & low_bits(key.asize);
}

bool OrdinaryExecutor::uses_stack_segment() const {
    const isa::EncodingKey& key = insn_.structure.key;
    const unsigned base = key.has_sib ? key.sib & 7u : key.rm;
    if (base == 5 && key.mod == 0) return false;  // a displacement alone
    return base == 4 || base == 5;
}

std::uint64_t OrdinaryExecutor::linear_address(std::uint64_t offset, bool stack_default) const {
    Segment segment = stack_default ? Segment::ss : Segment::ds;
    switch (insn_.structure.segment) {
        case 0x26: segment = Segment::es; break;
        case 0x2E: segment = Segment::cs; break;
        case 0x36: segment = Segment::ss; break;
        case 0x3E: segment = Segment::ds; break;
        case 0x64: segment = Segment::fs; break;
        case 0x65: segment = Segment::gs; break;
        default: break;
    }
    if (cpu_.code == Mode::long64 && segment != Segment::fs && segment != Segment::gs) return offset;
    return (cpu_.segment_base[static_cast<std::size_t>(segment)] + offset) & cpu_.mask();
}

std::uint64_t OrdinaryExecutor::read_rm() {
    if (rm_is_register()) return read_register(insn_.rm());
    return m_.load(rm_address(), static_cast<unsigned>(bytes()));
}

void OrdinaryExecutor::write_rm(std::uint64_t value) {
    if (rm_is_register()) write_register(insn_.rm(), value);
    else m_.store(rm_address(), static_cast<unsigned>(bytes()), value & low_bits(bits_));
}

void OrdinaryExecutor::alu() {
    const bool immediate = insn_.action == Action::alu_immediate;
    const unsigned operation = immediate ? insn_.structure.key.reg & 7u : opcode() >> 3 & 7u;
    std::uint64_t left = 0, right = 0;
    const unsigned form = immediate ? 8 : opcode() & 7u;
    switch (form) {
        case 0: case 1: left = read_rm(); right = read_register(insn_.reg()); break;
        case 2: case 3: left = read_register(insn_.reg()); right = read_rm(); break;
        case 4: case 5: left = read_register(kRax); right = static_cast<std::uint64_t>(insn_.immediate()); break;
        default: left = read_rm(); right = static_cast<std::uint64_t>(insn_.immediate()); break;
    }
    const Computed result = compute(operation, left, right, cpu_.flags, bits_);
    if (operation != kCmp) {
        if (form == 2 || form == 3) write_register(insn_.reg(), result.value);
        else if (form == 4 || form == 5) write_register(kRax, result.value);
        else write_rm(result.value);
    }
    set_status(result.flags);
}

Step OrdinaryExecutor::run() {
    if (is_sensitive(insn_.action)) return sensitive();
    std::uint64_t next = insn_.next;
    switch (insn_.action) {
        case Action::alu: case Action::alu_immediate:
            take_byte_size();
            alu();
            break;
        case Action::test:
            take_byte_size();
            set_status(logic(read_rm() & read_register(insn_.reg()), bits_).flags);
            break;
        case Action::test_immediate: {
            take_byte_size();
            const std::uint64_t left = insn_.structure.key.has_modrm ? read_rm() : read_register(kRax);
            set_status(logic(left & static_cast<std::uint64_t>(insn_.immediate()), bits_).flags);
            break;
        }
        case Action::increment: {
            const bool short_form = !insn_.structure.key.has_modrm;
            if (!short_form) take_byte_size();
            const bool down = short_form ? (opcode() & 8u) != 0 : (insn_.structure.key.reg & 7u) == 1;
            const std::uint64_t left = short_form ? read_register(opcode() & 7u) : read_rm();
            const Computed result = down ? subtract(left, 1, 0, bits_) : add(left, 1, 0, bits_);
            if (short_form) write_register(opcode() & 7u, result.value);
            else write_rm(result.value);
            set_status((result.flags & ~kCarry) | (cpu_.flags & kCarry));
            break;
        }
        case Action::mov_store:
            take_byte_size();
            write_rm(read_register(insn_.reg()));
            break;
        case Action::mov_load:
            take_byte_size();
            write_register(insn_.reg(), read_rm());
            break;
        case Action::mov_offset: {
            take_byte_size();
            const std::uint64_t address = linear_address(static_cast<std::uint64_t>(insn_.immediate()) & low_bits(insn_.structure.key.asize), false);
            if (opcode() < 0xA2) write_register(kRax, m_.load(address, static_cast<unsigned>(bytes())));
            else m_.store(address, static_cast<unsigned>(bytes()), read_register(kRax));
            break;
        }
        case Action::mov_immediate:
            if (opcode() < 0xB8) bits_ = 8;
            write_register(insn_.opcode_register(), static_cast<std::uint64_t>(insn_.immediate()));
            break;
        case Action::mov_immediate_rm:
            take_byte_size();
            write_rm(static_cast<std::uint64_t>(insn_.immediate()));
            break;
        case Action::lea:
            if (rm_is_register()) return Step::opaque;
            write_register(insn_.reg(), effective_address());
            break;
        case Action::push_register: m_.push(read_register(insn_.opcode_register()), stack_size()); break;
        case Action::pop_register: write_register(insn_.opcode_register(), m_.pop(stack_size())); break;
        case Action::push_immediate: m_.push(static_cast<std::uint64_t>(insn_.immediate()), stack_size()); break;
        case Action::push_rm: m_.push(read_rm(), stack_size()); break;
        case Action::pop_rm: {
            // A destination that names the stack pointer is computed after it has moved (SDM volume 2, POP).
            const std::uint64_t value = m_.pop(stack_size());
            write_rm(value);
            break;
        }
        case Action::nop: break;
        case Action::conditional_jump:
            if (condition_holds(opcode() & 0xFu, cpu_.flags)) next = insn_.flow.target->value;
            break;
        case Action::loop: {
            const int counter_bits = insn_.structure.key.asize;
            const std::uint64_t old = cpu_.general[kRcx];
            std::uint64_t count = old & low_bits(counter_bits);
            if (opcode() != 0xE3) {
                count = (count - 1) & low_bits(counter_bits);
                cpu_.general[kRcx] = counter_bits >= 32 ? count : (old & ~low_bits(counter_bits)) | count;
            }
            const bool zero = (cpu_.flags & kZero) != 0;
            const bool taken = opcode() == 0xE3 ? count == 0 : count != 0 && (opcode() == 0xE2 || zero == (opcode() == 0xE1));
            if (taken) next = insn_.flow.target->value;
            break;
        }
        case Action::jump: next = insn_.flow.target->value; break;
        case Action::call:
            m_.push(insn_.next, cpu_.stack_bytes());
            next = insn_.flow.target->value;
            break;
        case Action::jump_rm:
        case Action::call_rm: {
            bits_ = cpu_.code == Mode::long64 ? 64 : 32;
            const std::uint64_t target = read_rm();
            if (insn_.action == Action::call_rm) m_.push(insn_.next, cpu_.stack_bytes());
            next = target;
            break;
        }
        case Action::ret:
            next = m_.pop(cpu_.stack_bytes());
            if (opcode() == 0xC2) cpu_.general[kRsp] = (cpu_.general[kRsp] + (static_cast<std::uint64_t>(insn_.immediate()) & 0xFFFF)) & cpu_.mask();
            break;
        case Action::far_jump: {
            // The VMM's flat 64-bit code segment is the one selector that stubs may load; any other transfer is opaque.
            constexpr std::uint64_t kWideCode = 0x33;
            const std::uint64_t pointer = static_cast<std::uint64_t>(insn_.immediate());
            if (insn_.structure.immediate_size != 6 || cpu_.code != Mode::protected32 || !m_.deprivileged() || (pointer >> 32 & 0xFFFF) != kWideCode) return Step::opaque;
            next = pointer & 0xFFFFFFFFu;
            cpu_.code = Mode::long64;
            break;
        }
        default: return Step::opaque;
    }
    branch(next);
    return Step::done;
}

void OrdinaryExecutor::pop_flags(std::uint64_t value, bool supervisor) {
    std::uint64_t writable = kPoppable;
    if (!supervisor) writable &= ~(kInterrupt | kIopl);  // IOPL is 0: IF is kept as well, without a fault
    const std::uint64_t old = supervisor ? m_.guest_flags() : cpu_.flags;
    std::uint64_t fresh = 0;
    if (bits_ == 16) fresh = (old & ~(writable & 0xFFFF)) | (value & writable & 0xFFFF);
    else fresh = ((old & ~writable) | (value & writable)) & ~kResume;
    if (supervisor) m_.set_guest_flags(fresh);
    else cpu_.flags = fresh;
}

/// SLDT, STR and SMSW store 16 bits to memory and to a 16-bit register; wider registers are filled, with zeroes by SLDT and
/// STR, with the whole of CR0 by SMSW (SDM: the upper half is undefined; all processors since the P6 give CR0).
std::uint64_t OrdinaryExecutor::store_word_value(std::uint64_t full) const { return insn_.action == Action::smsw ? full : full & 0xFFFF; }

void OrdinaryExecutor::operate() {
    switch (insn_.action) {
        case Action::cli: m_.set_guest_flags(m_.guest_flags() & ~kInterrupt); break;
        case Action::sti: m_.set_guest_flags(m_.guest_flags() | kInterrupt); break;
        case Action::pushf: m_.push(m_.guest_flags() & ~kHiddenByPush, stack_size()); break;
        case Action::popf: pop_flags(m_.pop(stack_size()), true); break;
        case Action::read_control: {
            bits_ = m_.layout().mode == Mode::long64 ? 64 : 32;
            SystemRegister which = SystemRegister::cr0;
            switch (insn_.reg()) {
                case 0: which = insn_.structure.key.lock ? SystemRegister::cr8 : SystemRegister::cr0; break;
                case 2: which = SystemRegister::cr2; break;
                case 3: which = SystemRegister::cr3; break;
                case 4: which = SystemRegister::cr4; break;
                default: which = SystemRegister::cr8; break;
            }
            write_register(insn_.rm(), m_.system(which));
            break;
        }
        case Action::smsw: case Action::str: case Action::sldt: {
            const std::uint64_t full = m_.system(insn_.action == Action::smsw ? SystemRegister::cr0 : insn_.action == Action::str ? SystemRegister::tr : SystemRegister::ldtr);
            if (!rm_is_register()) bits_ = 16;
            write_rm(store_word_value(full));
            break;
        }
        default: break;
    }
}

Step OrdinaryExecutor::sensitive() {
    if (!m_.deprivileged()) {
        operate();
        branch(insn_.next);
        return Step::done;
    }
    switch (insn_.action) {
        case Action::cli: case Action::sti: case Action::read_control: return Step::privileged;
        case Action::pushf: m_.push(cpu_.flags & ~kHiddenByPush, stack_size()); break;
        case Action::popf: pop_flags(m_.pop(stack_size()), false); break;
        default:
            if (!rm_is_register()) bits_ = 16;
            write_rm(store_word_value(kHostValue));
            break;
    }
    branch(insn_.next);
    return Step::done;
}

Step Machine::execute(const Instruction& insn) { return OrdinaryExecutor(*this, insn).run(); }

void Machine::operate(const Instruction& insn) { OrdinaryExecutor(*this, insn).operate(); }

}  // namespace trapline::patch::proof
