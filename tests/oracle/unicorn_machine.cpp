// SPDX-License-Identifier: Apache-2.0
// Random instructions out of the opcodes that the machine models: all operand sizes, addressing forms, prefixes and REX.
#include "unicorn_machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "decode/decoder.h"
#include "patch/proof/flags.h"
#include "patch/proof/machine.h"
#include "support/bytes.h"
#include "unicorn_guest.h"

namespace trapline {
namespace {

using namespace patch::proof;

constexpr std::uint64_t kPage = 4096, kMostPrinted = 10;
/// Instructions on one memory, before it is thrown away.
constexpr int kChain = 200;

/// What Unicorn is known to get wrong, or leaves open where the manual does too.
struct KnownDifference {
    bool (*applies)(const Instruction& insn, int cpl);
    const char* reason;
};
const KnownDifference kKnown[] = {
    {[](const Instruction& insn, int) { return insn.action == Action::smsw && insn.structure.key.mod == 3 && insn.bits() > 16; },
     "Unicorn writes 16 bits of the register; processors since the P6 fill it (SDM: the upper half is undefined)"},
    {[](const Instruction& insn, int) { return insn.action == Action::ret && insn.immediate() < 0; },
     "Unicorn takes the number of bytes as signed; SDM volume 2, RET: the operand specifies how many bytes are released"},
    {[](const Instruction& insn, int) { return insn.action == Action::test_immediate && insn.structure.key.has_modrm && (insn.structure.key.reg & 7) == 1; },
     "F6 /1 and F7 /1 are TEST as /0 is (AMD APM volume 3, table A-6); Unicorn refuses them"},
    {[](const Instruction& insn, int) { return insn.action == Action::mov_immediate_rm && (insn.structure.rex & 4) != 0; },
     "REX.R does not extend an opcode in ModRM.reg (SDM volume 2, 2.2.1.2); Unicorn refuses C6 and C7 with it"},
};

/// Opcodes of map one, and of map 0F from 0x100 on.
const std::vector<std::uint16_t>& opcodes(Mode mode) {
    static const auto make = [](bool wide) {
        std::vector<std::uint16_t> list;
        const auto add = [&](int first, int last) {
            for (int opcode = first; opcode <= last; ++opcode) list.push_back(static_cast<std::uint16_t>(opcode));
        };
        for (int row = 0; row < 8; ++row) add(row * 8, row * 8 + 5);
        if (!wide) add(0x40, 0x4F);
        add(0x50, 0x5F);
        for (const int one : {0x68, 0x6A, 0x80, 0x81, 0x83, 0x84, 0x85, 0x88, 0x89, 0x8A, 0x8B, 0x8D, 0x8F, 0x90, 0x9C, 0x9D, 0xA8, 0xA9, 0xC2, 0xC3, 0xC6, 0xC7, 0xE8, 0xE9, 0xEB,
                              0xF6, 0xF7, 0xFA, 0xFB, 0xFE, 0xFF, 0xFF, 0xFF, 0x100, 0x101, 0x11F, 0x120})
            list.push_back(static_cast<std::uint16_t>(one));
        add(0x70, 0x7F);
        add(0xA0, 0xA3);
        add(0xB0, 0xBF);
        add(0xE0, 0xE3);
        add(0x180, 0x18F);
        return list;
    };
    static const std::vector<std::uint16_t> narrow_list = make(false), wide_list = make(true);
    return mode == Mode::long64 ? wide_list : narrow_list;
}

class Comparer {
public:
    Comparer(const Layout& layout, int cpl, std::uint64_t seed)
        : layout_(layout), mode_(layout.mode), cpl_(cpl), hash_(mix(seed, static_cast<std::uint64_t>(cpl) * 2 + (layout.mode == Mode::long64))), guest_(layout.mode, cpl),
          text_(decode::make_llvm_witness()) {}

    MachineComparison run(std::uint64_t count) {
        while (result_.compared < count) chain();
        return result_;
    }

private:
    std::uint64_t next() { return hash_ = mix(hash_, 0x77); }
    /// Each instruction has a place of its own: Unicorn keeps translations of code that was overwritten or unmapped.
    std::uint64_t code_page() const { return (mode_ == Mode::long64 ? 0xFFFFFFFF81000000 : 0xC1000000) + chain_ % 0x4000 * kPage; }
    std::uint64_t code_address() const { return code_page() + static_cast<std::uint64_t>(place_) * 16; }

    Instruction random_instruction() {
        for (;;) {
            std::vector<std::uint8_t> bytes;
            const std::uint64_t choice = next();
            if ((choice & 3) == 0) bytes.push_back(0x66);
            if (mode_ != Mode::long64 && (choice >> 2 & 7) == 0) bytes.push_back(std::array<std::uint8_t, 4>{0x26, 0x2E, 0x36, 0x3E}[choice >> 5 & 3]);
            if (mode_ == Mode::long64 && (choice >> 2 & 7) == 0) bytes.push_back(0x67);
            if (mode_ == Mode::long64 && (choice >> 7 & 1) != 0) bytes.push_back(static_cast<std::uint8_t>(0x40 | (choice >> 8 & 0xF)));
            const std::uint16_t opcode = opcodes(mode_)[(choice >> 16) % opcodes(mode_).size()];
            if (opcode >= 0x100) bytes.push_back(0x0F);
            bytes.push_back(static_cast<std::uint8_t>(opcode));
            while (bytes.size() < decode::kMaxInstructionLength) bytes.push_back(static_cast<std::uint8_t>(next() >> 13));
            Instruction insn = decode_instruction(bytes, mode_, code_address());
            if (insn.valid() && insn.action != Action::opaque && insn.structure.valid()) return insn;
        }
    }

    void chain() {
        guest_.reset();
        ++chain_;
        Machine machine(layout_, next(), cpl_ == 3);
        guest_.fill_page = [&](std::uint64_t page, std::uint8_t* out, bool fetch) {
            if (fetch || page == code_page()) return static_cast<void>(std::fill_n(out, kPage, std::uint8_t{0xF4}));
            for (std::uint64_t i = 0; i < kPage; i += 8) {
                const std::uint64_t value = machine.memory.load(page + i, 8);
                for (unsigned byte = 0; byte < 8; ++byte) out[i + byte] = static_cast<std::uint8_t>(value >> (8 * byte));
            }
        };
        // The stack's pages first, as they are before anything is written.
        stack_ = mode_ == Mode::long64 ? 0xFFFFC90000000000 : 0xC2000000;
        guest_.write(stack_, {static_cast<std::uint8_t>(machine.memory.load(stack_, 1))});
        machine.set_system(SystemRegister::cr0, guest_.control(0));
        machine.set_system(SystemRegister::cr2, guest_.control(2));
        machine.set_system(SystemRegister::cr3, guest_.control(3));
        machine.set_system(SystemRegister::cr4, guest_.control(4));
        machine.set_system(SystemRegister::cr8, guest_.control(8));
        machine.set_system(SystemRegister::tr, guest_.task_register());
        machine.set_system(SystemRegister::ldtr, guest_.local_table());
        spoiled_ = false;
        for (place_ = 0; place_ < kChain && !spoiled_; ++place_) step(machine);
        if (!spoiled_) compare_memory(machine);
    }

    void step(Machine& machine) {
        const Instruction insn = random_instruction();
        const isa::EncodingKey& key = insn.structure.key;
        const bool memory = key.has_modrm && key.mod != 3;
        Cpu& cpu = machine.cpu;
        cpu.code = mode_;
        cpu.ip = code_address();
        for (std::size_t i = 0; i < (mode_ == Mode::long64 ? 16u : 8u); ++i) {
            std::uint64_t value = next();
            if ((value & 7) == 0) value = (value >> 3 & 1) != 0 ? ~std::uint64_t{0} : value >> 60;
            // Canonical addresses, whatever base, index and scale come together.
            if (memory && mode_ == Mode::long64) value = (value & 0x3FFFFFFFFF) + 0x100000000;
            cpu.general[i] = value & layout_.address_mask();
        }
        cpu.general[kRsp] = stack_ + 0x400 + (next() & 0x7FF);
        std::uint64_t flags = (next() & kPoppable & ~kTrap) | kAlwaysOne;
        if (cpl_ == 3) flags = (flags & ~kIopl) | kInterrupt;
        cpu.flags = flags;
        if (mode_ == Mode::long64 && insn.action == Action::mov_offset && key.asize == 64) return;  // an address of 64 random bits
        // A place that was run, if only to stop there, cannot hold another instruction later.
        if (insn.flow.target && (insn.flow.target->value & ~(kPage - 1)) == code_page()) return;
        // TF makes the next instruction trap, which the machine leaves to the VMM.
        if (insn.action == Action::popf && (machine.memory.load(cpu.general[kRsp], 8) & kTrap) != 0) return;

        // At CPL 3 these answer with the processor's own registers, which the machine replaces by a value that is no guest's.
        if (cpl_ == 3 && (insn.action == Action::smsw || insn.action == Action::str || insn.action == Action::sldt)) return;

        const Cpu before = cpu;
        guest_.write(code_address(), {insn.bytes.begin(), insn.bytes.begin() + insn.structure.length});
        guest_.set_general(cpu.general);
        guest_.set_flags(flags);
        // Pages are filled from the machine's memory when they are first touched: before the machine changes it.
        const UnicornEnd end = guest_.run(code_address(), 1);
        guest_.drop_fetched();
        const Step step = machine.execute(insn);
        if (step == Step::opaque) return;
        ++result_.compared;
        std::string difference;
        if (end == UnicornEnd::refused) difference = "Unicorn stops: " + guest_.reason();
        else if ((step == Step::privileged) != (end == UnicornEnd::exception)) difference = step == Step::privileged ? "Unicorn does not fault" : "Unicorn faults: " + guest_.reason();
        else if (step == Step::done) difference = compare(cpu);
        spoiled_ = !difference.empty();  // memory may differ from now on
        if (spoiled_) note(insn, before, difference);
    }

    std::string compare(const Cpu& cpu) {
        const GeneralRegisters general = guest_.general();
        for (std::size_t i = 0; i < (mode_ == Mode::long64 ? 16u : 8u); ++i)
            if (general[i] != cpu.general[i]) return fmt::format("register {}: Unicorn {:#x}, machine {:#x}", i, general[i], cpu.general[i]);
        if (guest_.flags() != cpu.flags) return fmt::format("flags: Unicorn {:#x}, machine {:#x}", guest_.flags(), cpu.flags);
        if (guest_.ip() != cpu.ip) return fmt::format("ip: Unicorn {:#x}, machine {:#x}", guest_.ip(), cpu.ip);
        return {};
    }

    void note(const Instruction& insn, const Cpu& before, const std::string& difference) {
        if (std::any_of(std::begin(kKnown), std::end(kKnown), [&](const KnownDifference& known) { return known.applies(insn, cpl_); })) {
            ++result_.explained;
            return;
        }
        if (++result_.failures > kMostPrinted) return;
        const Bytes bytes = Bytes(insn.bytes).first(insn.structure.length);
        fmt::print("mode {} cpl {} {} {}: {}\n  flags {:#x}", to_string(mode_), cpl_, to_hex(bytes), text_->decode(bytes, mode_, VirtAddr{insn.address}).text, difference, before.flags);
        for (const std::uint64_t value : before.general) fmt::print(" {:x}", value);
        fmt::print("\n");
    }

    void compare_memory(Machine& machine) {
        for (const std::uint64_t page : guest_.pages()) {
            if (page == code_page() || layout_.is_reserved(page, kPage)) continue;  // the VMM's pages take no store
            const std::vector<std::uint8_t> bytes = guest_.read_page(page);
            for (std::uint64_t i = 0; i < kPage; ++i)
                if (bytes[i] != machine.memory.load(page + i, 1)) {
                    if (++result_.failures <= kMostPrinted)
                        fmt::print("mode {} cpl {}: memory at {:#x}: Unicorn {:#x}, machine {:#x}\n", to_string(mode_), cpl_, page + i, bytes[i], machine.memory.load(page + i, 1));
                    break;
                }
        }
    }

    const Layout& layout_;
    const Mode mode_;
    const int cpl_;
    std::uint64_t hash_;
    UnicornGuest guest_;
    std::unique_ptr<decode::Witness> text_;
    std::uint64_t stack_ = 0;
    std::uint64_t chain_ = 0;
    int place_ = 0;
    bool spoiled_ = false;
    MachineComparison result_;
};

}  // namespace

MachineComparison compare_machine(const patch::proof::Layout& layout, int cpl, std::uint64_t count, std::uint64_t seed) { return Comparer(layout, cpl, seed).run(count); }

}  // namespace trapline
