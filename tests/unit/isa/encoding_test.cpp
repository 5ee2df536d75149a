// SPDX-License-Identifier: Apache-2.0
// Which instruction selects which form. Expected validity is that of the SDM's clauses on EVEX and VEX (volume 2, 2.3.11,
// 2.7.11 and the exception classes), the AMX and gather pages, and the APX specification.
#include <catch2/catch.hpp>

#include "isa/slot_notation.h"

using namespace trapline;
using namespace trapline::isa;

namespace {

Encoding form(std::string_view slot) {
    const auto parsed = parse_slot(slot);
    INFO(slot);
    if (!parsed) FAIL(parsed.error().message);
    return parsed->front();
}

/// A key that agrees with the form: registers 0, no mask, no broadcast, 128 bits.
EncodingKey key_for(const Encoding& encoding, Mode mode = Mode::long64) {
    EncodingKey key;
    key.mode = mode;
    key.map = encoding.map;
    key.opcode = encoding.opcode;
    key.has_modrm = encoding.has_modrm;
    key.asize = static_cast<std::uint8_t>(width_bits(mode));
    for (auto bit : {PrefixSet::f2, PrefixSet::f3, PrefixSet::p66, PrefixSet::np})
        if (encoding.prefix.bits & bit) key.prefix = bit;
    if (is_evex_map(key.map)) {
        // P0 with R, X, B, R' set (inverted: zero), P1 with U set, P2 with V' set.
        key.payload[0] = 0xF0;
        key.payload[1] = 0x7C;
        key.payload[2] = 0x08;
    } else if (is_vector_map(key.map)) {
        key.payload[0] = 0xE0;
        key.payload[1] = 0x78;
    }
    return key;
}

constexpr std::uint8_t kZ = 0x80, kB = 0x10, kVPrime = 0x08, kNd = 0x10, kNf = 0x04;

EncodingKey with_p2(EncodingKey key, unsigned set, unsigned clear = 0) {
    key.payload[2] = static_cast<std::uint8_t>((key.payload[2] | set) & ~clear);
    return key;
}
EncodingKey reg_form(EncodingKey key) {
    key.mod = 3;
    return key;
}
EncodingKey with_l(EncodingKey key, unsigned l) {
    key.l = static_cast<std::uint8_t>(l);
    return key;
}
EncodingKey with_sib(EncodingKey key, unsigned sib) {
    key.rm = 4;
    key.has_sib = true;
    key.sib = static_cast<std::uint8_t>(sib);
    return key;
}
EncodingKey with_vvvv(EncodingKey key, unsigned number) {
    key.vvvv = static_cast<std::uint8_t>(~number & 0xF);
    return key;
}
EncodingKey with_reg(EncodingKey key, unsigned reg) {
    key.reg = static_cast<std::uint8_t>(reg);
    return key;
}

}  // namespace

TEST_CASE("encoding: prefix, mode and ModRM select", "[isa]") {
    const Encoding addps = form("NP 0F 58 /r");
    EncodingKey key = key_for(addps);
    CHECK(matches(addps, key));
    key.prefix = PrefixSet::p66;
    CHECK_FALSE(matches(addps, key));
    const Encoding movlps_store = form("NP 0F 13 /r:m");
    CHECK(matches(movlps_store, key_for(movlps_store)));
    CHECK_FALSE(matches(movlps_store, reg_form(key_for(movlps_store))));
    const Encoding psrlw = form("NP 0F 71 /2:r ib");
    CHECK_FALSE(matches(psrlw, with_reg(key_for(psrlw), 2)));
    CHECK(matches(psrlw, with_reg(reg_form(key_for(psrlw)), 2)));
    CHECK(matches(psrlw, with_reg(reg_form(key_for(psrlw)), 10)));  // REX.R does not extend an opcode extension
    CHECK_FALSE(matches(psrlw, with_reg(reg_form(key_for(psrlw)), 3)));
    const Encoding daa = form("27 {not:64}");
    CHECK(matches(daa, key_for(daa, Mode::protected32)));
    CHECK_FALSE(matches(daa, key_for(daa)));
}

TEST_CASE("encoding: operand size by 66, REX.W and mode", "[isa]") {
    const Encoding cwde = form("98 {o32}"), cdqe = form("98 {o64}"), cbw = form("98 {o16}");
    const auto chosen = [&](Mode mode, bool has_66, bool w) {
        EncodingKey key = key_for(cwde, mode);
        key.has_66 = has_66;
        key.prefix = has_66 ? PrefixSet::p66 : PrefixSet::np;
        key.w = w;
        return (matches(cbw, key) ? 16 : 0) + (matches(cwde, key) ? 32 : 0) + (matches(cdqe, key) ? 64 : 0);
    };
    CHECK(chosen(Mode::long64, false, false) == 32);
    CHECK(chosen(Mode::long64, true, false) == 16);
    CHECK(chosen(Mode::long64, true, true) == 64);  // REX.W outranks 66
    CHECK(chosen(Mode::protected32, false, false) == 32);
    CHECK(chosen(Mode::protected32, true, false) == 16);
    CHECK(chosen(Mode::protected16, false, false) == 16);
    CHECK(chosen(Mode::real16, true, false) == 32);
}

TEST_CASE("encoding: REX.B, REX2, LOCK and address size", "[isa]") {
    const Encoding nop = form("90 {B=0}");
    EncodingKey key = key_for(nop);
    CHECK(matches(nop, key));
    key.rex_b = true;
    CHECK_FALSE(matches(nop, key));
    const Encoding jmpabs = form("A1 moffs {REX2} {in:64}");
    key = key_for(jmpabs);
    CHECK_FALSE(matches(jmpabs, key));
    key.rex2 = true;
    CHECK(matches(jmpabs, key));
    Encoding mov_cr8 = form("0F 20 /r:r");
    mov_cr8.requires_lock = true;
    key = reg_form(key_for(mov_cr8, Mode::protected32));
    CHECK_FALSE(matches(mov_cr8, key));
    key.lock = true;
    CHECK(matches(mov_cr8, key));
    const Encoding jecxz = form("E3 ib {a32}");
    key = key_for(jecxz);
    CHECK_FALSE(matches(jecxz, key));
    key.asize = 32;
    CHECK(matches(jecxz, key));
}

TEST_CASE("encoding: VEX.vvvv, VEX.L and VEX.W", "[isa]") {
    const Encoding vsqrtps = form("VEX.128,256.NP.0F 51 /r");
    CHECK(matches(vsqrtps, key_for(vsqrtps)));
    CHECK(matches(vsqrtps, with_l(key_for(vsqrtps), 1)));
    CHECK_FALSE(matches(vsqrtps, with_vvvv(key_for(vsqrtps), 3)));  // vvvv must be 1111b: #UD
    const Encoding vmovhlps = form("VEX.NDS.128.NP.0F 12 /r:r");
    CHECK(matches(vmovhlps, with_vvvv(reg_form(key_for(vmovhlps)), 3)));
    CHECK_FALSE(matches(vmovhlps, with_l(reg_form(key_for(vmovhlps)), 1)));
    const Encoding vpmaskmovd = form("VEX.NDS.128.66.0F38.W0 8C /r:m");
    EncodingKey key = key_for(vpmaskmovd);
    CHECK(matches(vpmaskmovd, key));
    key.w = true;
    CHECK_FALSE(matches(vpmaskmovd, key));
    CHECK_FALSE(matches(vpmaskmovd, key_for(vpmaskmovd, Mode::real16)));
}

TEST_CASE("encoding: EVEX masks and zeroing", "[isa]") {
    const Encoding plain = form("EVEX.NDS.66.0F38.W0 00 /r"), masked = form("EVEX.NDS.NP.0F.W0 58 /r {k} {z}"), store = form("EVEX.NP.0F.W0 29 /r {k} {z}");
    const Encoding gather = form("EVEX.66.0F38.W0 92 /r:m {K} {vsib}"), compress = form("EVEX.66.0F38.W0 8A /r {k} {mz}");
    CHECK(matches(plain, key_for(plain)));
    CHECK_FALSE(matches(plain, with_p2(key_for(plain), 1)));  // aaa must be 000b
    for (unsigned aaa = 0; aaa < 8; ++aaa) CHECK(matches(masked, with_p2(reg_form(key_for(masked)), aaa)));
    CHECK(matches(masked, with_p2(reg_form(key_for(masked)), kZ | 3)));
    CHECK_FALSE(matches(masked, with_p2(reg_form(key_for(masked)), kZ)));  // z without a mask: #UD
    CHECK_FALSE(matches(store, with_p2(key_for(store), kZ | 3)));          // zeroing needs a register destination
    CHECK(matches(store, with_p2(reg_form(key_for(store)), kZ | 3)));
    CHECK(matches(compress, with_p2(key_for(compress), kZ | 3)));
    CHECK_FALSE(matches(gather, with_sib(key_for(gather), 0x08)));                 // k0 is no mask for a gather: #UD
    CHECK(matches(gather, with_sib(with_p2(key_for(gather), 1), 0x08)));
    CHECK_FALSE(matches(gather, with_p2(key_for(gather), 1)));                     // and VSIB needs its SIB byte
}

TEST_CASE("encoding: EVEX.b and L'L", "[isa]") {
    const Encoding none = form("EVEX.NDS.66.0F38.W0 00 /r"), broadcast = form("EVEX.NDS.NP.0F.W0 14 /r {b}");
    const Encoding rounding = form("EVEX.NDS.NP.0F.W0 58 /r {b} {er}"), sae = form("EVEX.LIG.NP.0F.W0 2E /r {sae}");
    CHECK_FALSE(matches(none, with_p2(key_for(none), kB)));
    CHECK_FALSE(matches(none, with_p2(reg_form(key_for(none)), kB)));
    CHECK(matches(broadcast, with_p2(key_for(broadcast), kB)));
    CHECK_FALSE(matches(broadcast, with_p2(reg_form(key_for(broadcast)), kB)));
    CHECK_FALSE(matches(rounding, with_l(key_for(rounding), 3)));                            // L'L = 11 is reserved
    for (unsigned l = 0; l < 4; ++l) CHECK(matches(rounding, with_l(with_p2(reg_form(key_for(rounding)), kB), l)));  // then it is the rounding mode
    CHECK_FALSE(matches(rounding, with_l(with_p2(key_for(rounding), kB), 3)));
    CHECK(matches(sae, with_p2(reg_form(key_for(sae)), kB)));
    CHECK_FALSE(matches(sae, with_p2(key_for(sae), kB)));
    for (unsigned l = 0; l < 3; ++l) CHECK(matches(sae, with_l(key_for(sae), l)));           // scalar: LIG
    CHECK_FALSE(matches(sae, with_l(key_for(sae), 3)));                                      // #UD on Zen 5
    const Encoding only512 = form("EVEX.NDS.512.66.0F38.W0 50 /r");
    CHECK_FALSE(matches(only512, key_for(only512)));
    CHECK(matches(only512, with_l(key_for(only512), 2)));
}

TEST_CASE("encoding: EVEX.vvvv, V' and U", "[isa]") {
    const Encoding unary = form("EVEX.NP.0F.W0 51 /r"), binary = form("EVEX.NDS.NP.0F.W0 58 /r");
    CHECK_FALSE(matches(unary, with_p2(key_for(unary), 0, kVPrime)));
    CHECK_FALSE(matches(unary, with_vvvv(key_for(unary), 1)));
    CHECK(matches(binary, with_vvvv(with_p2(key_for(binary), 0, kVPrime), 5)));              // zmm21
    CHECK_FALSE(matches(binary, with_p2(key_for(binary, Mode::protected32), 0, kVPrime)));   // no register 16 outside 64-bit mode
    EncodingKey key = reg_form(key_for(binary));
    key.payload[1] = 0x78;  // U clear: reserved with a register operand
    CHECK_FALSE(matches(binary, key));
}

TEST_CASE("encoding: gathers want distinct registers", "[isa]") {
    // VPGATHERDD xmm1, [rax+xmm2*1], xmm3: destination, index and mask must differ (SDM volume 2, VPGATHERDD).
    const Encoding vex = form("VEX.NDS.128.66.0F38.W0 90 /r:m {vsib} {distinct}");
    const auto gather = [&](unsigned destination, unsigned index, unsigned mask) { return with_vvvv(with_reg(with_sib(key_for(vex), index << 3), destination), mask); };
    CHECK(matches(vex, gather(1, 2, 3)));
    CHECK_FALSE(matches(vex, gather(1, 1, 3)));
    CHECK_FALSE(matches(vex, gather(1, 2, 1)));
    CHECK_FALSE(matches(vex, gather(1, 2, 2)));
    // EVEX: the mask is a k register, so only destination and index count, the latter with V'.
    const Encoding evex = form("EVEX.66.0F38.W0 90 /r:m {K} {vsib} {distinct}");
    const auto wide = [&](unsigned destination, unsigned index) { return with_reg(with_sib(with_p2(key_for(evex), 1), index << 3), destination); };
    CHECK(matches(evex, wide(1, 2)));
    CHECK_FALSE(matches(evex, wide(2, 2)));
    CHECK(matches(evex, with_p2(wide(2, 2), 0, kVPrime)));  // zmm18 is the index
}

TEST_CASE("encoding: tiles and mask registers stop at 7", "[isa]") {
    // TDPBSSD tmm1, tmm2, tmm3: all three must differ (SDM volume 2, exception class AMX-E4).
    const Encoding product = form("VEX.NDS.128.F2.0F38.W0 5E /r:r {in:64} {tile} {distinct}");
    const auto tiles = [&](unsigned reg, unsigned rm, unsigned vvvv) {
        EncodingKey key = with_vvvv(with_reg(reg_form(key_for(product)), reg), vvvv);
        key.rm = static_cast<std::uint8_t>(rm);
        return key;
    };
    CHECK(matches(product, tiles(1, 2, 3)));
    CHECK_FALSE(matches(product, tiles(1, 1, 3)));
    CHECK_FALSE(matches(product, tiles(1, 2, 1)));
    CHECK_FALSE(matches(product, tiles(1, 2, 2)));
    CHECK_FALSE(matches(product, tiles(1, 2, 11)));
    EncodingKey high = tiles(1, 2, 3);
    high.payload[0] = 0x60;  // VEX.R clear: tmm9
    CHECK_FALSE(matches(product, high));
    const Encoding load = form("VEX.128.F2.0F38.W0 4B /r:m {in:64} {sib} {tile}");
    CHECK_FALSE(matches(load, key_for(load)));  // TILELOADD without a SIB byte is #UD
    CHECK(matches(load, with_sib(key_for(load), 0x20)));
    const Encoding kand = form("VEX.NDS.256.NP.0F.W0 41 /r:r {kreg} {kv} {krm}");
    const EncodingKey low = with_vvvv(with_l(reg_form(key_for(kand)), 1), 2);
    CHECK(matches(kand, low));
    CHECK_FALSE(matches(kand, with_vvvv(low, 10)));
    EncodingKey high_reg = low;
    high_reg.payload[0] = 0x60;
    CHECK_FALSE(matches(kand, high_reg));
}

TEST_CASE("encoding: APX map 4", "[isa]") {
    const Encoding add2 = form("EVEX.128.NP,66.MAP4 01 /r ND0 {nf}"), add3 = form("EVEX.NDS.128.NP,66.MAP4 01 /r ND1 {nf}");
    EncodingKey key = key_for(add2);
    CHECK(matches(add2, key));
    CHECK_FALSE(matches(add3, key));
    CHECK(matches(add3, with_vvvv(with_p2(key, kNd), 9)));
    CHECK_FALSE(matches(add2, with_p2(key, kNd)));
    CHECK(matches(add2, with_p2(key, kNf)));
    CHECK_FALSE(matches(add2, with_p2(key, 1)));      // the two low bits are reserved
    CHECK_FALSE(matches(add2, with_p2(key, kZ)));
    CHECK_FALSE(matches(add2, with_p2(key, 0x20)));   // L'L must be 0
    CHECK_FALSE(matches(add2, with_vvvv(key, 1)));    // without ND nobody reads vvvv
    const Encoding adc = form("EVEX.128.NP,66.MAP4 11 /r ND0");
    CHECK_FALSE(matches(adc, with_p2(key_for(adc), kNf)));
    const Encoding ccmp = form("EVEX.NDS.128.NP,66.MAP4 39 /r ND0 {scc}");
    for (unsigned condition = 0; condition < 16; ++condition) CHECK(matches(ccmp, with_p2(key_for(ccmp), condition, 0xF & ~condition)));
    CHECK_FALSE(matches(ccmp, with_p2(key_for(ccmp), kNd)));
    // pp takes the part of 66: 16 bits with it, 64 with W.
    const Encoding o16 = form("EVEX.128.NP,66.MAP4 88 /r ND0 {o16}");
    key = key_for(o16);
    key.prefix = PrefixSet::p66;
    CHECK(matches(o16, key));
    key.prefix = PrefixSet::np;
    CHECK_FALSE(matches(o16, key));
}

TEST_CASE("encoding: names of maps and immediates are those of the files", "[isa]") {
    for (int map = 0; map < kOpcodeMapCount; ++map) CHECK(parse_opcode_map(to_string(static_cast<OpcodeMap>(map))) == static_cast<OpcodeMap>(map));
    CHECK(parse_opcode_map("0f38") == OpcodeMap::m0f38);
    CHECK(parse_opcode_map("evex.map7") == OpcodeMap::evex_map7);
    CHECK_FALSE(parse_opcode_map("0F38").has_value());
    CHECK(parse_immediate("iw+ib") == Immediate::iw_ib);
    CHECK(parse_immediate("ptr") == Immediate::far_pointer);
    CHECK_FALSE(parse_immediate("is4").has_value());
}
