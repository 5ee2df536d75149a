// SPDX-License-Identifier: Apache-2.0
// LLVM's X86 opcode table as a list of mnemonics.
#include <memory>
#include <string_view>

#include <llvm/Config/llvm-config.h>
#include <llvm/MC/MCAsmInfo.h>
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

#include "decode/peer_table.h"
#include "decode/witness_text.h"
#include "support/error.h"

namespace trapline::decode {
namespace {

constexpr const char* kTriple = "x86_64-unknown-unknown";
constexpr unsigned kIntelSyntax = 1;
constexpr unsigned kConditions = 16;

/// The low bits of an X86 opcode's TSFlags say how it is encoded (X86BaseInfo.h, FormMask); these two are none.
constexpr std::uint64_t kFormMask = 0x7F, kFormPseudo = 0, kFormPrefix = 10;

class Table {
public:
    Table() {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86TargetMC();
        std::string error;
        const llvm::Target* target = llvm::TargetRegistry::lookupTarget(kTriple, error);
        TRAPLINE_ASSERT(target != nullptr, "the LLVM that is linked has no X86 target");
        registers_.reset(target->createMCRegInfo(kTriple));
        assembler_.reset(target->createMCAsmInfo(*registers_, kTriple, options_));
        subtarget_.reset(target->createMCSubtargetInfo(kTriple, "", ""));
        instructions_.reset(target->createMCInstrInfo());
        printer_.reset(target->createMCInstPrinter(llvm::Triple(kTriple), kIntelSyntax, *assembler_, *instructions_, *registers_));
        TRAPLINE_ASSERT(printer_ != nullptr, "LLVM's X86 target has no Intel printer");
    }

    PeerTable read() {
        PeerTable table;
        table.name = "llvm-mc";
        table.version = LLVM_VERSION_STRING;
        for (unsigned opcode = 0; opcode < instructions_->getNumOpcodes(); ++opcode) read_opcode(opcode, table);
        return table;
    }

private:
    void read_opcode(unsigned opcode, PeerTable& table) {
        const llvm::MCInstrDesc& description = instructions_->get(opcode);
        const std::uint64_t form = description.TSFlags & kFormMask;
        if (description.isPseudo() || form == kFormPseudo || form == kFormPrefix) return;
        llvm::MCInst insn;
        insn.setOpcode(opcode);
        const auto [fragment, ignored] = printer_->getMnemonic(&insn);
        if (fragment == nullptr) return;
        const std::string text = single_spaced(fragment);
        const std::string_view mnemonic = mnemonic_of(text);
        if (mnemonic.empty() || mnemonic.data() != text.data()) return;  // a prefix comes first
        ++table.entries;
        // The fragment ends where the first operand begins: without a blank between, that operand is the condition.
        const bool conditional = std::string_view(fragment) == mnemonic && description.getNumOperands() != 0;
        if (!conditional) {
            table.mnemonics.emplace(mnemonic);
            return;
        }
        for (unsigned condition = 0; condition < kConditions; ++condition) table.mnemonics.insert(print_mnemonic(opcode, description, condition));
    }

    /// Prints the opcode with this condition, any registers and zeros, and gives the mnemonic.
    std::string print_mnemonic(unsigned opcode, const llvm::MCInstrDesc& description, unsigned condition) {
        llvm::MCInst insn;
        insn.setOpcode(opcode);
        unsigned memory_part = 0;  // a memory operand is five: base, scale, index, displacement, segment
        for (const llvm::MCOperandInfo& operand : description.operands()) {
            if (operand.OperandType == llvm::MCOI::OPERAND_MEMORY) {
                const bool immediate = memory_part % 5 == 1 || memory_part % 5 == 3;
                insn.addOperand(immediate ? llvm::MCOperand::createImm(memory_part % 5 == 1) : llvm::MCOperand::createReg(0));
                ++memory_part;
            } else if (operand.RegClass >= 0) {
                insn.addOperand(llvm::MCOperand::createReg(registers_->getRegClass(static_cast<unsigned>(operand.RegClass)).getRegister(0)));
            } else if (operand.OperandType >= llvm::MCOI::OPERAND_FIRST_TARGET) {
                insn.addOperand(llvm::MCOperand::createImm(condition));
            } else {
                insn.addOperand(llvm::MCOperand::createImm(0));
            }
        }
        std::string printed;
        llvm::raw_string_ostream stream(printed);
        printer_->printInst(&insn, 0, "", *subtarget_, stream);
        stream.flush();
        const std::string text = single_spaced(printed);
        return std::string(mnemonic_of(text));
    }

    llvm::MCTargetOptions options_;
    std::unique_ptr<llvm::MCRegisterInfo> registers_;
    std::unique_ptr<llvm::MCAsmInfo> assembler_;
    std::unique_ptr<llvm::MCSubtargetInfo> subtarget_;
    std::unique_ptr<llvm::MCInstrInfo> instructions_;
    std::unique_ptr<llvm::MCInstPrinter> printer_;
};

}  // namespace

PeerTable llvm_table() { return Table().read(); }

}  // namespace trapline::decode
