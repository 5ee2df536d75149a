// SPDX-License-Identifier: Apache-2.0
// See zydis_witness.h. Unlike the other peers Zydis tells real mode from 16-bit protected mode.
#include "tests/oracle/zydis_witness.h"

#include <algorithm>
#include <array>

#include <Zydis/Zydis.h>

#include "decode/structure.h"

namespace trapline::oracle {
namespace {

using decode::Opinion;

struct Machine {
    ZydisMachineMode mode;
    ZydisStackWidth stack;
};
/// In the order of trapline::Mode.
constexpr std::array<Machine, kAllModes.size()> kMachines = {{
    {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
    {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
    {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
    {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
}};

class ZydisWitness final : public decode::Witness {
public:
    ZydisWitness() {
        for (std::size_t i = 0; i < decoders_.size(); ++i) {
            const bool made = ZYAN_SUCCESS(ZydisDecoderInit(&decoders_[i], kMachines[i].mode, kMachines[i].stack)) &&
                              ZYAN_SUCCESS(ZydisDecoderEnableMode(&decoders_[i], ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE));
            TRAPLINE_ASSERT(made, "the Zydis that is linked lacks a machine mode");
        }
        TRAPLINE_ASSERT(ZYAN_SUCCESS(ZydisFormatterInit(&formatter_, ZYDIS_FORMATTER_STYLE_INTEL)), "the Zydis that is linked has no Intel formatter");
    }

    std::string_view name() const override { return "zydis"; }

    int length(Bytes bytes, Mode mode) override { return decode_instruction(bytes, mode) ? insn_.length : 0; }

    Opinion decode(Bytes bytes, Mode mode, VirtAddr address) override {
        Opinion opinion;
        if (!decode_instruction(bytes, mode)) return opinion;
        opinion.valid = true;
        opinion.length = insn_.length;
        opinion.mnemonic = ZydisMnemonicGetString(insn_.mnemonic);
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        char text[256];
        const ZydisDecoder* decoder = &decoders_[static_cast<std::size_t>(mode)];
        if (ZYAN_SUCCESS(ZydisDecoderDecodeOperands(decoder, &context_, &insn_, operands, insn_.operand_count)) &&
            ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter_, &insn_, operands, insn_.operand_count_visible, text, sizeof text, address.value, nullptr)))
            opinion.text = text;
        else
            opinion.text = opinion.mnemonic;
        return opinion;
    }

private:
    bool decode_instruction(Bytes bytes, Mode mode) {
        const std::size_t size = std::min<std::size_t>(bytes.size(), decode::kMaxInstructionLength);
        return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoders_[static_cast<std::size_t>(mode)], &context_, bytes.data(), size, &insn_));
    }

    std::array<ZydisDecoder, kMachines.size()> decoders_{};
    ZydisFormatter formatter_{};
    ZydisDecoderContext context_{};
    ZydisDecodedInstruction insn_{};
};

}  // namespace

std::unique_ptr<decode::Witness> make_zydis_witness() { return std::make_unique<ZydisWitness>(); }

}  // namespace trapline::oracle
