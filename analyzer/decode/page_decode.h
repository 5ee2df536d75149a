// SPDX-License-Identifier: Apache-2.0
// One instruction by the fast pages: two or three loads and hardly a branch. Included by the decoder only.
#pragma once

#include <array>
#include <cstring>

#include "decode/form_tables.h"
#include "decode/insn.h"

namespace trapline::decode {

/// Bytes that must be readable from an instruction's start on; the decode itself looks at fewer.
inline constexpr std::size_t kPageWindow = 24;
/// Prefixes before REX that a page decode takes. With two no instruction of a page is longer than the 15 bytes allowed:
/// prefixes 2, REX 1, escape and opcode 2, ModRM, SIB and displacement 6, immediate 4.
inline constexpr unsigned kPagePrefixes = 2;

/// What the page decoder reads: the pages of one mode, and which forms exist.
struct PageView {
    const FastEntry* pages;        ///< [prefix state][opcode]
    const FormIndex* leaves;
    const std::uint8_t* modrm_size;  ///< kModrmSize of the mode's address size
    std::uint8_t rex_mask;         ///< 0xF0 in 64-bit mode, where 40-4F is REX; 0 elsewhere
};

/// Bytes of ModRM, SIB and displacement by ModRM byte; kSibBase is added where a SIB whose base is 5 adds four more.
inline constexpr std::uint8_t kSibBase = 0x80;
using ByteTable = std::array<std::uint8_t, 256>;

constexpr ByteTable make_modrm_sizes(bool address16) {
    ByteTable table{};
    for (unsigned byte = 0; byte < 256; ++byte) {
        const unsigned mod = byte >> 6, rm = byte & 7;
        unsigned size = 1;
        if (mod != 3 && address16) size += mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0;
        if (mod != 3 && !address16) {
            size += rm == 4 ? 1 : 0;
            size += mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 5) ? 4 : 0;
            if (mod == 0 && rm == 4) size |= kSibBase;
        }
        table[byte] = static_cast<std::uint8_t>(size);
    }
    return table;
}
inline constexpr ByteTable kModrmSize32 = make_modrm_sizes(false), kModrmSize16 = make_modrm_sizes(true);

/// What a prefix byte adds to the state: 1, 2, 3 for 66, F3, F2, 8 for LOCK, with
/// kPlain; kPlain alone for those that change nothing here; kOther for those that the pages do not know.
inline constexpr std::uint8_t kPlain = 0x10, kOther = 0x20;
constexpr ByteTable make_prefixes() {
    ByteTable table{};
    for (unsigned byte : {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65}) table[byte] = kPlain;
    table[0x66] = kPlain | 1;
    table[0xF3] = kPlain | 2;
    table[0xF2] = kPlain | 3;
    table[0xF0] = kPlain | 8;
    table[0x67] = kOther;
    return table;
}
inline constexpr ByteTable kPrefixes = make_prefixes();

/// Decodes at `p`, of which kPageWindow bytes are readable. Length 0: the full decoder has to decide.
/// REX and the escape are shifted out of one loaded word: reloading behind each would put three more loads into the
/// chain from one instruction's start to the next, which is what bounds the speed.
[[gnu::always_inline]] inline Insn decode_by_page(const PageView& view, const std::uint8_t* p) {
    unsigned state = 0, n = 0;
    if (const std::uint8_t first = kPrefixes[p[0]]; first != 0) [[unlikely]] {
        for (std::uint8_t kind = first; kind != 0; kind = kPrefixes[p[++n]]) {
            const unsigned adds = kind & 0xFu;
            if (kind == kOther || n == kPagePrefixes || ((adds & 3) != 0 && (state & 3) != 0)) return {};
            state |= adds;
        }
    }
    std::uint64_t word;
    std::memcpy(&word, p + n, sizeof word);
    const unsigned rex = (word & view.rex_mask) == 0x40 ? 1 : 0;
    state |= rex * (static_cast<unsigned>(word) >> 1 & 4u);
    word >>= rex * 8;
    const unsigned escape = (word & 0xFF) == 0x0F ? 1 : 0;
    word >>= escape * 8;
    n += rex + escape;
    const std::uint32_t entry = view.pages[state * kPageOpcodes + escape * 256 + (word & 0xFF)].bits;
    const unsigned modrm = static_cast<unsigned>(word >> 8) & 0xFF;
    const unsigned size = view.modrm_size[modrm];
    const unsigned sib_base = (size & kSibBase) != 0 && (word >> 16 & 7) == 5 ? 4 : 0;
    const unsigned has_modrm = (entry & FastEntry::kModrm) != 0 ? ~0u : 0;
    const unsigned test = (modrm & 0x30) == 0 ? entry >> FastEntry::kTestShift & 7 : 0;
    const unsigned length = n + (entry >> FastEntry::kLengthShift & 15) + (has_modrm & ((size & 0x7F) + sib_base)) + test;
    const unsigned selected = (modrm >> 3 & 7) | (modrm >= 0xC0 ? 8u : 0u);
    const FormIndex form = view.leaves[(entry & FastEntry::kLeafBits) + (selected & entry >> FastEntry::kMaskShift)];
    if (form == kComplexLeaf) [[unlikely]] return {};
    return {static_cast<std::uint8_t>(length), form};
}

}  // namespace trapline::decode
