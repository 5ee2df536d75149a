// SPDX-License-Identifier: Apache-2.0
// Capstone as a witness, in Intel syntax, one handle for each code width.
#include <algorithm>
#include <array>

#include <capstone/capstone.h>

#include "decode/decoder.h"
#include "decode/structure.h"
#include "decode/witness_text.h"

namespace trapline::decode {
namespace {

constexpr std::array kModes = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

std::size_t mode_index(Mode mode) {
    switch (mode) {
        case Mode::real16:
        case Mode::protected16: return 0;
        case Mode::protected32: return 1;
        case Mode::long64: return 2;
    }
    return 2;
}

class CapstoneWitness final : public Witness {
public:
    CapstoneWitness() {
        for (std::size_t i = 0; i < kModes.size(); ++i) {
            const cs_err error = cs_open(CS_ARCH_X86, kModes[i], &handles_[i]);
            TRAPLINE_ASSERT(error == CS_ERR_OK, "the Capstone that is linked has no x86 support");
        }
        insn_ = cs_malloc(handles_[0]);
        TRAPLINE_ASSERT(insn_ != nullptr, "out of memory for Capstone's instruction buffer");
    }
    ~CapstoneWitness() override {
        cs_free(insn_, 1);
        for (csh& handle : handles_) cs_close(&handle);
    }
    CapstoneWitness(const CapstoneWitness&) = delete;
    CapstoneWitness& operator=(const CapstoneWitness&) = delete;

    std::string_view name() const override { return "capstone"; }

    int length(Bytes bytes, Mode mode) override { return disassemble(bytes, mode, 0) ? insn_->size : 0; }

    Opinion decode(Bytes bytes, Mode mode, VirtAddr address) override {
        Opinion opinion;
        if (!disassemble(bytes, mode, address.value)) return opinion;
        opinion.valid = true;
        opinion.length = insn_->size;
        std::string raw = insn_->mnemonic;
        raw += ' ';
        raw += insn_->op_str;
        opinion.text = single_spaced(raw);
        opinion.mnemonic = std::string(mnemonic_of(opinion.text));
        return opinion;
    }

private:
    bool disassemble(Bytes bytes, Mode mode, std::uint64_t address) {
        const std::uint8_t* code = bytes.data();
        std::size_t size = std::min<std::size_t>(bytes.size(), kMaxInstructionLength);
        return cs_disasm_iter(handles_[mode_index(mode)], &code, &size, &address, insn_);
    }

    std::array<csh, kModes.size()> handles_{};
    cs_insn* insn_ = nullptr;
};

}  // namespace

std::unique_ptr<Witness> make_capstone_witness() { return std::make_unique<CapstoneWitness>(); }

}  // namespace trapline::decode
