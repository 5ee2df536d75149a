// SPDX-License-Identifier: Apache-2.0
// Where the fields are is for the structure; here they are only read.
#include "scan/operand_values.h"

#include <algorithm>
#include <cstring>

#include "decode/structure.h"

namespace trapline::scan {
namespace {

constexpr std::uint64_t sign_extended(std::uint32_t value) {
    return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(value)});
}

void add_absolute(OperandValues& out, ByteView view, std::uint8_t offset, std::uint8_t size, Mode mode) {
    // 6 bytes are a far pointer, ptr16:32: the offset comes first.
    if (size == 4 || size == 6) {
        const auto value = view.get<std::uint32_t>(offset);
        if (!value) return;
        out.add({{*value}, false, offset, 4});
        if (mode == Mode::long64 && (*value & 0x80000000) != 0) out.add({{sign_extended(*value)}, false, offset, 4});
    } else if (size == 8) {
        if (const auto value = view.get<std::uint64_t>(offset)) out.add({{*value}, false, offset, 8});
    }
}

}  // namespace

OperandValues operand_values(Bytes insn, Mode mode, VirtAddr address) {
    OperandValues out;
    if (width_bits(mode) == 16) return out;
    const decode::Structure structure = decode::parse_structure(decode::OpcodeMaps::generated(), insn, mode);
    if (structure.length == 0) return out;
    const ByteView view(insn);
    const bool rip_relative = mode == Mode::long64 && structure.key.has_modrm && structure.key.mod == 0 && (structure.key.rm & 7) == 5;
    if (rip_relative && structure.displacement_size == 4) {
        if (const auto displacement = view.get<std::uint32_t>(structure.displacement_offset)) {
            const std::uint64_t target = address.value + structure.length + sign_extended(*displacement);
            out.add({{structure.has_67 ? target & 0xFFFFFFFF : target}, true, structure.displacement_offset, 4});
        }
    } else {
        add_absolute(out, view, structure.displacement_offset, structure.displacement_size, mode);
    }
    add_absolute(out, view, structure.immediate_offset, structure.immediate_size, mode);
    return out;
}

CodeRange::CodeRange(const std::vector<SectionCode>& sections) {
    if (sections.empty()) return;
    std::uint64_t begin = ~std::uint64_t{0}, last = 0;
    for (const SectionCode& code : sections) {
        begin = std::min(begin, code.section->address.value);
        last = std::max(last, code.section->address.value + (code.bytes.size() - 1));
    }
    begin_ = begin;
    size_ = last >= begin ? std::max(last - begin + 1, last - begin) : ~std::uint64_t{0};
}

bool CodeRange::may_be_named_by(Bytes insn, Mode mode, VirtAddr next) const {
    // Opcode and a field of 4 bytes are the least.
    for (std::size_t at = 1; at + 4 <= insn.size(); ++at) {
        std::uint32_t word;
        std::memcpy(&word, insn.data() + at, sizeof word);
        if (contains({word})) return true;
        if (mode != Mode::long64) continue;
        if (contains({sign_extended(word)})) return true;
        // Before a rip-relative displacement stands a ModRM byte with mod 0 and rm 5.
        if ((insn[at - 1] & 0xC7) == 0x05) {
            const VirtAddr target{next.value + sign_extended(word)};
            if (contains(target) || contains({target.value & 0xFFFFFFFF})) return true;
        }
        if (at + 8 <= insn.size()) {
            std::uint64_t wide;
            std::memcpy(&wide, insn.data() + at, sizeof wide);
            if (contains({wide})) return true;
        }
    }
    return false;
}

}  // namespace trapline::scan
