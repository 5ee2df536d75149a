// SPDX-License-Identifier: Apache-2.0
// Slots in the manuals' notation. Expected encodings are written down from the SDM's and APM's opcode columns.
#include <catch2/catch.hpp>

#include "isa/slot_notation.h"

using namespace trapline;
using namespace trapline::isa;

namespace {

Encoding one(std::string_view text) {
    const auto parsed = parse_slot(text);
    INFO(text);
    if (!parsed) FAIL(parsed.error().message);
    REQUIRE(parsed->size() == 1);
    return parsed->front();
}

constexpr std::uint8_t kAllFour = 0xF, kProtected = 0xE;  // mode sets: 16r 16p 32 64 from bit 0

}  // namespace

TEST_CASE("slot: legacy maps and mandatory prefixes", "[isa]") {
    const Encoding nop = one("90");
    CHECK(nop.map == OpcodeMap::one);
    CHECK(nop.opcode == 0x90);
    CHECK(nop.prefix.any());
    CHECK_FALSE(nop.has_modrm);
    CHECK(nop.imm == Immediate::none);
    CHECK(nop.modes.bits == kAllFour);

    const Encoding addps = one("NP 0F 58 /r");
    CHECK(addps.map == OpcodeMap::m0f);
    CHECK(addps.opcode == 0x58);
    CHECK(addps.prefix.bits == PrefixSet::np);
    CHECK(addps.has_modrm);
    CHECK(addps.mod == ModRequirement::any);
    CHECK(addps.reg_mask == 0xFFFF);
    CHECK(addps.rm_mask == 0xFF);

    CHECK(one("66 0F 7C /r").prefix.bits == PrefixSet::p66);
    CHECK(one("F3 0F 7E /r").prefix.bits == PrefixSet::f3);
    CHECK(one("F2 0F 7C /r").prefix.bits == PrefixSet::f2);
    CHECK(one("NP,66 0F 38 F0 /r:m").prefix.bits == (PrefixSet::np | PrefixSet::p66));
    CHECK(one("66 0F 38 37 /r").map == OpcodeMap::m0f38);
    CHECK(one("66 0F 3A 0F /r ib").map == OpcodeMap::m0f3a);
}

TEST_CASE("slot: the suffix of 3DNow! is its opcode", "[isa]") {
    const Encoding pfadd = one("0F 0F /r 9E");
    CHECK(pfadd.map == OpcodeMap::m3dnow);
    CHECK(pfadd.opcode == 0x9E);
    CHECK(pfadd.has_modrm);
    CHECK(pfadd.mod == ModRequirement::any);
}

TEST_CASE("slot: a range of opcodes gives an encoding for each", "[isa]") {
    const auto inc = parse_slot("40-47 {not:64}");
    REQUIRE(inc.has_value());
    REQUIRE(inc->size() == 8);
    for (std::size_t i = 0; i < 8; ++i) {
        CHECK((*inc)[i].opcode == 0x40 + i);
        CHECK((*inc)[i].modes.bits == 7);
    }
}

TEST_CASE("slot: ModRM", "[isa]") {
    const Encoding movlps = one("NP 0F 13 /r:m");
    CHECK(movlps.mod == ModRequirement::memory);
    const Encoding psrlw = one("NP 0F 71 /2:r ib");
    CHECK(psrlw.mod == ModRequirement::reg);
    CHECK(psrlw.reg_mask == 4);
    CHECK(one("0F 0D /4-7").reg_mask == 0xF0);
    // A ModRM byte: F2XM1 is D9 F0, mod 3, reg 6, rm 0.
    const Encoding f2xm1 = one("D9 F0");
    CHECK(f2xm1.mod == ModRequirement::reg);
    CHECK(f2xm1.reg_mask == 0x40);
    CHECK(f2xm1.rm_mask == 1);
    // FXCH D9 C8+i: reg 1, any rm. LFENCE and its aliases are one byte range as well.
    const Encoding fxch = one("D9 C8-CF");
    CHECK(fxch.reg_mask == 2);
    CHECK(fxch.rm_mask == 0xFF);
    const Encoding two_regs = one("DB C0-CF");
    CHECK(two_regs.reg_mask == 3);
    CHECK(two_regs.rm_mask == 0xFF);
    const Encoding some = one("0F 01 D0-D1");
    CHECK(some.reg_mask == 4);
    CHECK(some.rm_mask == 3);
}

TEST_CASE("slot: immediates", "[isa]") {
    const std::pair<const char*, Immediate> rows[] = {
        {"6A ib", Immediate::ib},       {"C2 iw", Immediate::iw},         {"68 iz", Immediate::iz},
        {"B8-B8 iv", Immediate::iv},    {"E8 jz", Immediate::jz},         {"C8 iw+ib", Immediate::iw_ib},
        {"9A ptr {not:64}", Immediate::far_pointer}, {"A0 moffs", Immediate::moffs},
        {"66 0F 78 /0:r ib+ib", Immediate::ib_ib}, {"VEX.NDS.128.66.0F3A.W0 4B /r /is4", Immediate::ib}, {"XOP.NP.A 10 /r id", Immediate::id}};
    for (const auto& [text, imm] : rows) {
        INFO(text);
        CHECK(one(text).imm == imm);
    }
}

TEST_CASE("slot: conditions", "[isa]") {
    CHECK(one("98 {o16}").osize == 16);
    CHECK(one("98 {o32}").osize == 32);
    CHECK(one("98 {o64}").osize == 64);
    CHECK(one("E3 ib {a16}").asize == 16);
    CHECK(one("E3 ib {a32}").asize == 32);
    CHECK(one("E3 ib {a64}").asize == 64);
    CHECK(one("NP 0F C7 /1:m {W0}").w == false);
    CHECK(one("NP 0F C7 /1:m {W1}").w == true);
    CHECK(one("90 {B=0}").rex_b == false);
    CHECK(one("90 {B=1}").rex_b == true);
    CHECK(one("A1 iv {REX2} {in:64}").requires_rex2);
    CHECK(one("27 {not:64}").modes.bits == 7);
    CHECK(one("63 /r {in:64}").modes.bits == 8);
    CHECK(one("63 /r {in:16p,32}").modes.bits == 6);
}

TEST_CASE("slot: VEX and XOP", "[isa]") {
    const Encoding vpmaskmovd = one("VEX.NDS.128.66.0F38.W0 8C /r:m");
    CHECK(vpmaskmovd.map == OpcodeMap::vex_0f38);
    CHECK(vpmaskmovd.opcode == 0x8C);
    CHECK(vpmaskmovd.prefix.bits == PrefixSet::p66);
    CHECK(vpmaskmovd.l_mask == 1);
    CHECK(vpmaskmovd.w == false);
    CHECK_FALSE(vpmaskmovd.vvvv_unused);
    CHECK(vpmaskmovd.modes.bits == kProtected);  // no VEX in real mode

    const Encoding vsqrtps = one("VEX.128,256.NP.0F 51 /r");
    CHECK(vsqrtps.map == OpcodeMap::vex_0f);
    CHECK(vsqrtps.l_mask == 3);
    CHECK(vsqrtps.vvvv_unused);
    CHECK_FALSE(vsqrtps.w.has_value());

    CHECK(one("VEX.NDS.LIG.F3.0F 58 /r").l_mask == 0xF);
    CHECK(one("VEX.256.66.0F3A.W1 00 /r ib").map == OpcodeMap::vex_0f3a);
    const Encoding urdmsr = one("VEX.128.F2.MAP7.W0 F8 /0:r id");
    CHECK(urdmsr.map == OpcodeMap::vex_map7);
    CHECK(urdmsr.modes.bits == 8);
    CHECK(one("XOP.NDS.128.NP.8.W0 CC /r ib").map == OpcodeMap::xop_8);
    CHECK(one("XOP.128.NP.9 80 /r").map == OpcodeMap::xop_9);
    CHECK(one("XOP.128.NP.A 10 /r id").map == OpcodeMap::xop_a);
}

TEST_CASE("slot: EVEX lengths, maps and rules", "[isa]") {
    const Encoding vaddps = one("EVEX.NDS.NP.0F.W0 58 /r {k} {z} {b} {er}");
    CHECK(vaddps.map == OpcodeMap::evex_0f);
    CHECK(vaddps.l_mask == 7);  // 128, 256, 512: L'L = 11 is reserved
    CHECK(vaddps.rules.bits == (OperandRules::mask | OperandRules::zeroing | OperandRules::broadcast | OperandRules::rounding));
    CHECK(vaddps.modes.bits == kProtected);
    CHECK(one("EVEX.NDS.512.66.0F38.W1 C4 /r").l_mask == 4);
    CHECK(one("EVEX.NDS.LIG.F3.0F.W0 58 /r").l_mask == 7);
    CHECK(one("EVEX.NP.MAP5.W0 5D /r").map == OpcodeMap::evex_map5);
    CHECK(one("EVEX.NP.MAP6.W0 4C /r").map == OpcodeMap::evex_map6);
    CHECK(one("EVEX.F2.MAP7.W0 F8 /0:r id").map == OpcodeMap::evex_map7);
    const Encoding map4 = one("EVEX.NDS.128.NP.MAP4 00 /r ND1 {nf}");
    CHECK(map4.map == OpcodeMap::evex_map4);
    CHECK(map4.modes.bits == 8);

    const std::pair<const char*, std::uint32_t> rules[] = {
        {"{k}", OperandRules::mask},          {"{K}", OperandRules::mask | OperandRules::mask_required},
        {"{z}", OperandRules::zeroing},       {"{mz}", OperandRules::zeroing | OperandRules::zeroing_memory},
        {"{b}", OperandRules::broadcast},     {"{er}", OperandRules::rounding},
        {"{sae}", OperandRules::sae},         {"{vsib}", OperandRules::vsib},
        {"{sib}", OperandRules::sib},         {"{kreg}", OperandRules::mask_reg},
        {"{krm}", OperandRules::mask_rm},     {"{kv}", OperandRules::mask_vvvv},
        {"{distinct}", OperandRules::distinct}, {"{tile}", OperandRules::tile},
        {"ND0", OperandRules::nd0},           {"ND1", OperandRules::nd1},
        {"{nf}", OperandRules::nf},           {"{NF}", OperandRules::nf | OperandRules::nf_required},
        {"{scc}", OperandRules::condition},   {"{egpr}", OperandRules::egpr}};
    for (const auto& [token, bits] : rules) {
        INFO(token);
        CHECK(one(std::string("EVEX.NP.0F 58 /r ") + token).rules.bits == bits);
    }
}

TEST_CASE("slot: an error names the bad token and the slot", "[isa]") {
    struct Row {
        const char* text;
        const char* token;
    };
    const Row row = GENERATE(values<Row>({
        {"", "the end"},
        {"NP 0F", "the end"},
        {"0F 0F /r", "the end"},
        {"0F 5 /r", "\"5\""},
        {"0F 5G /r", "\"5G\""},
        {"47-40", "\"47-40\""},
        {"F4 0F 58 /r /r", "\"0F\""},           // F4 is an opcode, no prefix
        {"NP 0F 58 /r /3", "\"/3\""},           // a second ModRM
        {"80 /8", "\"/8\""},
        {"80 /5-3", "\"/5-3\""},
        {"80 /0:x", "\"/0:x\""},
        {"D9 BF", "\"BF\""},                    // mod is not 3
        {"D9 C4-CB", "\"C4-CB\""},              // neither within one reg nor whole ones
        {"6A ib ib", "\"ib\""},
        {"6A ix", "\"ix\""},
        {"98 {o8}", "\"{o8}\""},
        {"98 {a24}", "\"{a24}\""},
        {"27 {in:63}", "\"{in:63}\""},
        {"27 {not:16r,16p,32,64}", "\"{not:16r,16p,32,64}\""},
        {"90 {k}", "\"{k}\""},                  // a rule of EVEX in a legacy map
        {"VEX.NDS.66.0F 58 /r {B=1}", "\"{B=1}\""},
        {"VEX.128.67.0F 58 /r", "\"67\""},
        {"VEX.128.66.0F39 58 /r", "\"0F39\""},
        {"XOP.128.NP.0F 80 /r", "\"0F\""},
        {"VEX.128.66.MAP5 58 /r", "\"MAP5\""},
        {"VEX.128.66.0F.W2 58 /r", "\"W2\""},
        {"VEX.128.66.0F.W0.L0 58 /r", "\"L0\""},
        {"EVEX.NDS.66", "\"EVEX.NDS.66\""},
        {"EVEX.NDS.66.0F 58 /r {q}", "\"{q}\""},
    }));
    INFO(row.text);
    const auto parsed = parse_slot(row.text);
    REQUIRE_FALSE(parsed.has_value());
    INFO(parsed.error().message);
    CHECK(parsed.error().code == ErrorCode::malformed);
    CHECK(parsed.error().message.find(std::string("found ") + row.token) == 0);
    CHECK(parsed.error().message.find(std::string("in slot \"") + row.text + "\"") != std::string::npos);
    CHECK(parsed.error().message.find(", expected ") != std::string::npos);
}
