// SPDX-License-Identifier: Apache-2.0
// See peers.h.
#include "bench/peers.h"

#include <Zydis/Zydis.h>
#include <capstone/capstone.h>

#include "support/error.h"

namespace trapline::bench {

struct CapstonePeer::Impl {
    csh handle = 0;
    cs_insn* insn = nullptr;
};

CapstonePeer::CapstonePeer(Mode mode, bool detail) : impl_(std::make_unique<Impl>()) {
    const int bits = width_bits(mode);
    const cs_mode width = bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16;
    TRAPLINE_ASSERT(cs_open(CS_ARCH_X86, width, &impl_->handle) == CS_ERR_OK, "Capstone was built with x86");
    cs_option(impl_->handle, CS_OPT_DETAIL, detail ? CS_OPT_ON : CS_OPT_OFF);
    impl_->insn = cs_malloc(impl_->handle);
}

CapstonePeer::~CapstonePeer() {
    cs_free(impl_->insn, 1);
    cs_close(&impl_->handle);
}

int CapstonePeer::length(Bytes bytes) {
    const std::uint8_t* code = bytes.data();
    std::size_t size = bytes.size();
    std::uint64_t address = 0;
    return cs_disasm_iter(impl_->handle, &code, &size, &address, impl_->insn) ? impl_->insn->size : 0;
}

struct ZydisPeer::Impl {
    ZydisDecoder decoder;
    bool minimal;
};

ZydisPeer::ZydisPeer(Mode mode, bool minimal) : impl_(std::make_unique<Impl>()) {
    const int bits = width_bits(mode);
    const ZydisMachineMode machine = bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                                     : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                                  : (mode == Mode::real16 ? ZYDIS_MACHINE_MODE_REAL_16 : ZYDIS_MACHINE_MODE_LEGACY_16);
    const ZydisStackWidth stack = bits == 64 ? ZYDIS_STACK_WIDTH_64 : bits == 32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
    ZydisDecoderInit(&impl_->decoder, machine, stack);
    ZydisDecoderEnableMode(&impl_->decoder, ZYDIS_DECODER_MODE_MINIMAL, minimal ? ZYAN_TRUE : ZYAN_FALSE);
    impl_->minimal = minimal;
}

ZydisPeer::~ZydisPeer() = default;

int ZydisPeer::length(Bytes bytes) {
    ZydisDecodedInstruction insn;
    if (impl_->minimal) return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&impl_->decoder, nullptr, bytes.data(), bytes.size(), &insn)) ? insn.length : 0;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&impl_->decoder, bytes.data(), bytes.size(), &insn, operands)) ? insn.length : 0;
}

}  // namespace trapline::bench
