// SPDX-License-Identifier: Apache-2.0
// The byte tables of 256 entries are looked up with VPERMI2B, two halves of 128 entries each; everything else is
// arithmetic on bytes. Must give what decode_by_page gives (page_decode.h); the tests hold them equal.
#include "decode/block_decode.h"

#include <algorithm>

#include "decode/page_decode.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace trapline::decode {
namespace {

/// An opcode's class: its own byte and immediate, and what the rest depends on.
enum Class : std::uint8_t { size_bits = 0x0F, has_modrm = 0x10, wide_immediate = 0x20, shrinks_with_66 = 0x40, undecided = 0x80 };

std::array<std::uint8_t, 256> read_classes(const FormTables& tables, Mode mode, unsigned map) {
    std::array<std::uint8_t, 256> out{};
    const auto entry = [&](unsigned state, unsigned opcode) {
        return tables.pages[(static_cast<std::size_t>(mode) * kPrefixStates + state) * kPageOpcodes + map * 256 + opcode].bits;
    };
    const auto size = [](std::uint32_t bits) { return bits >> FastEntry::kLengthShift & 15; };
    constexpr unsigned kWith66 = 1, kWithW = 4;
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
        const std::uint32_t plain = entry(0, opcode), with_66 = entry(kWith66, opcode), with_w = entry(kWithW, opcode);
        if ((plain & FastEntry::kComplex) != 0) {
            out[opcode] = undecided;
            continue;
        }
        unsigned value = size(plain);
        if ((plain & FastEntry::kModrm) != 0) value |= has_modrm;
        if ((with_w & FastEntry::kComplex) == 0 && size(with_w) == size(plain) + 4) value |= wide_immediate;
        if ((with_66 & FastEntry::kComplex) == 0 && size(with_66) + 2 == size(plain)) value |= shrinks_with_66;
        // One class has to hold for every prefix. EXTRQ, which is VMREAD with 66 and two more bytes, has none.
        for (unsigned state = 0; state < kPrefixStates; ++state) {
            const std::uint32_t bits = entry(state, opcode);
            if ((bits & FastEntry::kComplex) != 0) continue;
            const unsigned grown = (state & kWithW) != 0 && (value & wide_immediate) != 0 ? 4 : 0;
            const unsigned shrunk = (state & 7) == kWith66 && (value & shrinks_with_66) != 0 ? 2 : 0;
            if (size(bits) + shrunk != size(plain) + grown || ((bits ^ plain) & FastEntry::kModrm) != 0) value = undecided;
        }
        out[opcode] = static_cast<std::uint8_t>(value);
    }
    return out;
}

#if defined(__x86_64__)
#define TRAPLINE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vbmi")))

/// A table of 256 bytes in four registers.
struct Table {
    __m512i part[4];
};

TRAPLINE_AVX512 inline Table load_table(const std::uint8_t* bytes) {
    return {{_mm512_loadu_si512(bytes), _mm512_loadu_si512(bytes + 64), _mm512_loadu_si512(bytes + 128), _mm512_loadu_si512(bytes + 192)}};
}

TRAPLINE_AVX512 inline __m512i look_up(const Table& table, __m512i index) {
    const __m512i low = _mm512_permutex2var_epi8(table.part[0], index, table.part[1]);
    const __m512i high = _mm512_permutex2var_epi8(table.part[2], index, table.part[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}

/// Bytes of ModRM, SIB and displacement where `modrm` and `sib` hold those bytes of each offset.
TRAPLINE_AVX512 inline __m512i operand_size(const Table& sizes, __m512i modrm, __m512i sib) {
    const __m512i size = look_up(sizes, modrm);
    const __mmask64 base5 = _mm512_cmpeq_epi8_mask(_mm512_and_si512(sib, _mm512_set1_epi8(7)), _mm512_set1_epi8(5));
    const __mmask64 extra = _mm512_movepi8_mask(size) & base5;
    const __m512i plain = _mm512_and_si512(size, _mm512_set1_epi8(0x7F));
    return _mm512_mask_add_epi8(plain, extra, plain, _mm512_set1_epi8(4));
}

/// Instructions as they are from the opcode on.
struct Bare {
    __m512i length, classes, opcode, modrm;
    __mmask64 escape, undecided, wide_test;
};

TRAPLINE_AVX512 inline Bare from_opcode(const Table& one, const Table& two, __m512i b0, __m512i b1, __m512i b2, __m512i operand1, __m512i operand2) {
    Bare out;
    out.escape = _mm512_cmpeq_epi8_mask(b0, _mm512_set1_epi8(0x0F));
    out.classes = _mm512_mask_blend_epi8(out.escape, look_up(one, b0), look_up(two, b1));
    out.opcode = _mm512_mask_blend_epi8(out.escape, b0, b1);
    out.modrm = _mm512_mask_blend_epi8(out.escape, b1, b2);
    const __m512i operand = _mm512_mask_blend_epi8(out.escape, operand1, operand2);
    __m512i length = _mm512_and_si512(out.classes, _mm512_set1_epi8(size_bits));
    length = _mm512_mask_add_epi8(length, out.escape, length, _mm512_set1_epi8(1));
    length = _mm512_mask_add_epi8(length, _mm512_test_epi8_mask(out.classes, _mm512_set1_epi8(has_modrm)), length, operand);
    // TEST, F6 and F7 with ModRM.reg 0 or 1, has an immediate.
    const __mmask64 test = ~out.escape & _mm512_cmpeq_epi8_mask(_mm512_and_si512(b0, _mm512_set1_epi8(static_cast<char>(0xFE))), _mm512_set1_epi8(static_cast<char>(0xF6))) &
                           _mm512_testn_epi8_mask(b1, _mm512_set1_epi8(0x30));
    out.wide_test = test & _mm512_test_epi8_mask(b0, _mm512_set1_epi8(1));
    length = _mm512_mask_add_epi8(length, test, length, _mm512_set1_epi8(1));
    out.length = _mm512_mask_add_epi8(length, out.wide_test, length, _mm512_set1_epi8(3));
    out.undecided = _mm512_movepi8_mask(out.classes);
    return out;
}

/// Prefixes that a page knows (all but 67) with the state each leaves: see form_tables.h.
struct KnownPrefix {
    std::uint8_t byte, state;
};
constexpr std::array<KnownPrefix, 10> kKnownPrefixes = {{{0x26, 0}, {0x2E, 0}, {0x36, 0}, {0x3E, 0}, {0x64, 0}, {0x65, 0}, {0x66, 1}, {0xF3, 2}, {0xF2, 3}, {0xF0, 8}}};

TRAPLINE_AVX512 void decode_avx512(const std::uint8_t* one_bytes, const std::uint8_t* two_bytes, bool long_mode, const std::uint8_t* bytes, BlockInsns& out) {
    const Table one = load_table(one_bytes), two = load_table(two_bytes), sizes = load_table(kModrmSize32.data());
    const __m512i b0 = _mm512_loadu_si512(bytes), b1 = _mm512_loadu_si512(bytes + 1), b2 = _mm512_loadu_si512(bytes + 2), b3 = _mm512_loadu_si512(bytes + 3),
                  b4 = _mm512_loadu_si512(bytes + 4);
    const __m512i operand1 = operand_size(sizes, b1, b2), operand2 = operand_size(sizes, b2, b3), operand3 = operand_size(sizes, b3, b4);
    const Bare bare = from_opcode(one, two, b0, b1, b2, operand1, operand2), prefixed = from_opcode(one, two, b1, b2, b3, operand2, operand3);

    __mmask64 prefix = 0, wide = 0;
    __m512i state = _mm512_setzero_si512();
    if (long_mode) {
        prefix = _mm512_cmpeq_epi8_mask(_mm512_and_si512(b0, _mm512_set1_epi8(static_cast<char>(0xF0))), _mm512_set1_epi8(0x40));
        const __mmask64 w = prefix & _mm512_test_epi8_mask(b0, _mm512_set1_epi8(8));
        state = _mm512_maskz_set1_epi8(w, 4);
        wide = w & _mm512_test_epi8_mask(prefixed.classes, _mm512_set1_epi8(wide_immediate));
    }
    for (const KnownPrefix known : kKnownPrefixes) {
        const __mmask64 here = _mm512_cmpeq_epi8_mask(b0, _mm512_set1_epi8(static_cast<char>(known.byte)));
        prefix |= here;
        if (known.state != 0) state = _mm512_mask_mov_epi8(state, here, _mm512_set1_epi8(static_cast<char>(known.state)));
    }
    const __mmask64 small = _mm512_cmpeq_epi8_mask(b0, _mm512_set1_epi8(0x66)) &
                            (_mm512_test_epi8_mask(prefixed.classes, _mm512_set1_epi8(shrinks_with_66)) | prefixed.wide_test);

    __m512i length = _mm512_mask_add_epi8(bare.length, prefix, prefixed.length, _mm512_set1_epi8(1));
    length = _mm512_mask_add_epi8(length, wide, length, _mm512_set1_epi8(4));
    length = _mm512_mask_sub_epi8(length, small, length, _mm512_set1_epi8(2));
    const __mmask64 decided = (prefix & ~prefixed.undecided) | (~prefix & ~bare.undecided);
    _mm512_store_si512(out.length.data(), _mm512_maskz_mov_epi8(decided, length));

    const __m512i modrm = _mm512_mask_blend_epi8(prefix, bare.modrm, prefixed.modrm);
    const __m512i reg = _mm512_and_si512(_mm512_srli_epi16(modrm, 3), _mm512_set1_epi8(7));
    const __mmask64 is_register = _mm512_cmpge_epu8_mask(modrm, _mm512_set1_epi8(static_cast<char>(0xC0)));
    _mm512_store_si512(out.select.data(), _mm512_mask_add_epi8(reg, is_register, reg, _mm512_set1_epi8(8)));

    // An entry's number is state * 512 + escape * 256 + opcode: two bytes, interleaved. The escape byte's own entry is complex.
    const __mmask64 escape = (prefix & prefixed.escape) | (~prefix & bare.escape);
    const __m512i opcode = _mm512_mask_blend_epi8(decided, _mm512_set1_epi8(0x0F), _mm512_mask_blend_epi8(prefix, bare.opcode, prefixed.opcode));
    __m512i high = _mm512_add_epi8(state, state);
    high = _mm512_mask_add_epi8(high, escape, high, _mm512_set1_epi8(1));
    high = _mm512_maskz_mov_epi8(decided, high);
    alignas(64) static constexpr auto kInterleave = [] {
        std::array<std::array<std::uint8_t, 64>, 2> order{};
        for (unsigned i = 0; i < 64; ++i)
            for (unsigned half = 0; half < 2; ++half) order[half][i] = static_cast<std::uint8_t>(half * 32 + i / 2 + (i % 2 != 0 ? 64 : 0));
        return order;
    }();
    for (unsigned half = 0; half < 2; ++half)
        _mm512_store_si512(out.entry.data() + half * 32, _mm512_permutex2var_epi8(opcode, _mm512_load_si512(kInterleave[half].data()), high));
}
#endif

}  // namespace

BlockDecoder::BlockDecoder(const FormTables& tables, Mode mode)
    : one_(read_classes(tables, mode, 0)), two_(read_classes(tables, mode, 1)), long_mode_(mode == Mode::long64) {
#if defined(__x86_64__)
    available_ = width_bits(mode) != 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi");
#endif
}

void BlockDecoder::decode(const std::uint8_t* bytes, BlockInsns& out) const {
#if defined(__x86_64__)
    decode_avx512(one_.data(), two_.data(), long_mode_, bytes, out);
#else
    (void)bytes;
    out = {};
#endif
}

}  // namespace trapline::decode
