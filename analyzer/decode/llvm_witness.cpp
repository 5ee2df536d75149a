// SPDX-License-Identifier: Apache-2.0
// LLVM MC as a witness: the X86 disassembler and the Intel-syntax printer, one set for each code width.
#include <algorithm>
#include <array>
#include <mutex>

#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCInstPrinter.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/MCTargetOptions.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/TargetParser/Triple.h>

#include "decode/decoder.h"
#include "decode/structure.h"
#include "decode/witness_text.h"

namespace trapline::decode {
namespace {

constexpr std::array kTriples = {"i386-unknown-unknown-code16", "i386-unknown-unknown", "x86_64-unknown-unknown"};
constexpr unsigned kIntelSyntax = 1;

std::size_t triple_index(Mode mode) {
    switch (mode) {
        case Mode::real16:
        case Mode::protected16: return 0;
        case Mode::protected32: return 1;
        case Mode::long64: return 2;
    }
    return 2;
}

/// The disassembler and printer of one code width, with everything they refer to. The X86 disassembler decodes
/// instructions of all features whatever the subtarget's feature string says, so none is given.
struct Target {
    llvm::Triple triple;
    llvm::MCTargetOptions options;
    std::unique_ptr<llvm::MCRegisterInfo> registers;
    std::unique_ptr<llvm::MCAsmInfo> assembler;
    std::unique_ptr<llvm::MCSubtargetInfo> subtarget;
    std::unique_ptr<llvm::MCInstrInfo> instructions;
    std::unique_ptr<llvm::MCContext> context;
    std::unique_ptr<llvm::MCDisassembler> disassembler;
    std::unique_ptr<llvm::MCInstPrinter> printer;
    std::vector<bool> is_prefix;  ///< by LLVM opcode: a prefix that LLVM gives as an instruction of its own

    explicit Target(const char* triple_name) : triple(triple_name) {
        std::string error;
        const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple_name, error);
        TRAPLINE_ASSERT(target != nullptr, "the LLVM that is linked has no X86 target");
        registers.reset(target->createMCRegInfo(triple_name));
        assembler.reset(target->createMCAsmInfo(*registers, triple_name, options));
        subtarget.reset(target->createMCSubtargetInfo(triple_name, "", ""));
        instructions.reset(target->createMCInstrInfo());
        context = std::make_unique<llvm::MCContext>(triple, assembler.get(), registers.get(), subtarget.get());
        disassembler.reset(target->createMCDisassembler(*subtarget, *context));
        printer.reset(target->createMCInstPrinter(triple, kIntelSyntax, *assembler, *instructions, *registers));
        TRAPLINE_ASSERT(disassembler && printer, "LLVM's X86 target has no disassembler or Intel printer");
        printer->setPrintImmHex(true);
        printer->setPrintBranchImmAsAddress(true);
        is_prefix.resize(instructions->getNumOpcodes());
        for (unsigned opcode = 0; opcode < is_prefix.size(); ++opcode)
            is_prefix[opcode] = instructions->getName(opcode).ends_with("_PREFIX");
    }
};

class LlvmWitness final : public Witness {
public:
    LlvmWitness() {
        static std::once_flag registered;
        std::call_once(registered, [] {
            LLVMInitializeX86TargetInfo();
            LLVMInitializeX86TargetMC();
            LLVMInitializeX86Disassembler();
        });
        for (std::size_t i = 0; i < kTriples.size(); ++i) targets_[i] = std::make_unique<Target>(kTriples[i]);
    }

    std::string_view name() const override { return "llvm-mc"; }

    int length(Bytes bytes, Mode mode) override {
        return walk(bytes, *targets_[triple_index(mode)], 0, [](const llvm::MCInst&, std::uint64_t) {});
    }

    Opinion decode(Bytes bytes, Mode mode, VirtAddr address) override {
        Target& target = *targets_[triple_index(mode)];
        Opinion opinion;
        raw_.clear();
        llvm::raw_string_ostream stream(raw_);
        unsigned last_prefix = 0;  // opcode 0 is PHI, which no bytes decode to
        const int length = walk(bytes, target, address.value, [&](const llvm::MCInst& insn, std::uint64_t at) {
            // LOCK LOCK ADD is one instruction with a redundant prefix: say the prefix once.
            const bool repeated = target.is_prefix[insn.getOpcode()] && insn.getOpcode() == last_prefix;
            last_prefix = insn.getOpcode();
            if (repeated) return;
            target.printer->printInst(&insn, at, "", *target.subtarget, stream);
            stream << ' ';
        });
        stream.flush();
        if (length == 0) return opinion;
        opinion.valid = true;
        opinion.length = length;
        opinion.text = single_spaced(raw_);
        opinion.mnemonic = std::string(mnemonic_of(opinion.text));
        return opinion;
    }

private:
    /// Decodes one instruction, joining prefixes that LLVM gives as instructions of their own (LOCK and REP in front
    /// of most opcodes) with what follows them. Returns the length, 0 when invalid; calls `visit` for each piece.
    template <class Visit>
    int walk(Bytes bytes, Target& target, std::uint64_t address, Visit visit) {
        const std::size_t limit = std::min<std::size_t>(bytes.size(), kMaxInstructionLength);
        std::size_t done = 0;
        while (done < limit) {
            insn_.clear();
            std::uint64_t size = 0;
            const llvm::ArrayRef<std::uint8_t> rest(bytes.data() + done, limit - done);
            const auto status = target.disassembler->getInstruction(insn_, size, rest, address + done, llvm::nulls());
            if (status != llvm::MCDisassembler::Success || size == 0 || size > limit - done) return 0;
            done += size;
            // The printer adds a branch displacement to the address it is given: that of the next instruction.
            visit(insn_, address + done);
            if (!target.is_prefix[insn_.getOpcode()]) return static_cast<int>(done);
        }
        return 0;
    }

    std::array<std::unique_ptr<Target>, kTriples.size()> targets_;
    llvm::MCInst insn_;
    std::string raw_;
};

}  // namespace

std::unique_ptr<Witness> make_llvm_witness() { return std::make_unique<LlvmWitness>(); }

}  // namespace trapline::decode
