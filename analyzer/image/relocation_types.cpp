// SPDX-License-Identifier: Apache-2.0
// Two tables, one character for each type number: its size, upper case where it is relative to its place. Sources:
// x86-64 psABI, table "Relocation Types" (1.0, with the APX types 43 to 50); i386 psABI, the same table.
#include "image/relocation_types.h"

#include <string_view>

namespace trapline::image {
namespace {

// b B: 1 byte, w W: 2, d D: 4, q Q: 8; 0: writes nothing; x: two words of the file's class; '.': no such type.
constexpr std::string_view kX86_64 =
    "0qDdD0qqqD"   // NONE 64 PC32 GOT32 PLT32 COPY GLOB_DAT JUMP_SLOT RELATIVE GOTPCREL
    "ddwWbBqqqD"   // 32 32S 16 PC16 8 PC8 DTPMOD64 DTPOFF64 TPOFF64 TLSGD
    "DdDdQqDqQQ"   // TLSLD DTPOFF32 GOTTPOFF TPOFF32 PC64 GOTOFF64 GOTPC32 GOT64 GOTPCREL64 GOTPC64
    "qqdqD0xqq."   // GOTPLT64 PLTOFF64 SIZE32 SIZE64 GOTPC32_TLSDESC TLSDESC_CALL TLSDESC IRELATIVE RELATIVE64 -
    ".DDDDDDDDD"   // - GOTPCRELX REX_GOTPCRELX CODE_4_GOTPCRELX CODE_4_GOTTPOFF CODE_4_GOTPC32_TLSDESC CODE_5_..., CODE_6_...
    "D";
constexpr std::string_view kI386 =
    "0dDdD0dddd"   // NONE 32 PC32 GOT32 PLT32 COPY GLOB_DAT JMP_SLOT RELATIVE GOTOFF
    "Dd..dddddd"   // GOTPC 32PLT - - TLS_TPOFF TLS_IE TLS_GOTIE TLS_LE TLS_GD TLS_LDM
    "wWbBd0d0d0"   // 16 PC16 8 PC8 TLS_GD_32 _PUSH _CALL _POP TLS_LDM_32 _PUSH
    "d0dddddddd"   // _CALL _POP TLS_LDO_32 TLS_IE_32 TLS_LE_32 TLS_DTPMOD32 TLS_DTPOFF32 TLS_TPOFF32 SIZE32 TLS_GOTDESC
    "0xdd";        // TLS_DESC_CALL TLS_DESC IRELATIVE GOT32X

}  // namespace

std::optional<RelocationField> relocation_field(std::uint32_t type, bool x86_64) {
    const std::string_view table = x86_64 ? kX86_64 : kI386;
    if (type >= table.size()) return std::nullopt;
    switch (table[type]) {
        case '0': return RelocationField{0, false};
        case 'b': return RelocationField{1, false};
        case 'B': return RelocationField{1, true};
        case 'w': return RelocationField{2, false};
        case 'W': return RelocationField{2, true};
        case 'd': return RelocationField{4, false};
        case 'D': return RelocationField{4, true};
        case 'q': return RelocationField{8, false};
        case 'Q': return RelocationField{8, true};
        case 'x': return RelocationField{static_cast<std::uint8_t>(x86_64 ? 16 : 8), false};
        default: return std::nullopt;
    }
}

}  // namespace trapline::image
