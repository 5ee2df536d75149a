// SPDX-License-Identifier: Apache-2.0
// The one place where the executor asks the decoder what bytes are.
#include "executor/verify/slot_content.h"

namespace trapline::executor {

std::optional<SlotContent> SlotDecoder::present(Bytes bytes, Mode mode) const {
    const SlotContent content = content_of(here_.decode_full(bytes, mode));
    if (!content.valid()) return std::nullopt;
    const auto absent = content.record != nullptr ? absence(*host_, *content.record) : absence(*host_, *content.innocuous);
    return absent ? std::nullopt : std::optional(content);
}

SlotContent SlotDecoder::decode(Bytes bytes, Mode mode) const {
    const SlotContent here = content_of(here_.decode_full(bytes, mode));
    return here.valid() ? here : content_of(everywhere_.decode_full(bytes, mode));
}

SlotContent SlotDecoder::content_of(const decode::Insn& insn) const {
    if (insn.length == 0) return {};
    const std::size_t records = database_->records.size();
    if (insn.form <= records) return {insn.length, &database_->records[insn.form - 1u], nullptr};
    return {insn.length, nullptr, &database_->innocuous[insn.form - 1u - records]};
}

}  // namespace trapline::executor
