// SPDX-License-Identifier: Apache-2.0
// Enumerates the encodings of an opcode map.
#include <algorithm>
#include <array>
#include <functional>
#include <initializer_list>

#include "executor/verify/slots.h"

namespace trapline::executor {

namespace {

using isa::OpcodeMap;
using ByteList = std::vector<std::uint8_t>;

constexpr int kRegisterMod = 0xC0;
// Neither the destination, the first source nor the index of a gather may be one register.
constexpr std::uint8_t kVectorReg = 1, kVectorVvvv = 2, kVectorRm = 3;
constexpr std::uint8_t kMemoryRm = 0, kSibFollows = 4;
constexpr std::uint8_t kSibIndex4 = 0x20;  // [rax + index 4]: none for an integer index, vector register 4 for VSIB

ByteList join(std::initializer_list<ByteList> parts) {
    ByteList out;
    for (const ByteList& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

/// Says whether ModRM.rm may be part of the opcode with a register operand: x87, and the groups that hold instructions
/// without operands.
bool selects_by_rm(OpcodeMap map, std::uint8_t opcode, const decode::Slot& slot) {
    if (map == OpcodeMap::one) return opcode >= 0xD8 && opcode <= 0xDF;
    return slot.reg_field == decode::RegField::opcode;
}

/// Appends ModRM bytes of a legacy slot to `head`: register or memory, each reg, and each rm where it selects.
void add_operands(std::vector<SlotCase>& out, Mode mode, const ByteList& head, const ByteList& tail, bool each_rm) {
    for (int reg = 0; reg < 8; ++reg) {
        for (int rm = 0; rm < (each_rm ? 8 : 1); ++rm) out.push_back({mode, join({head, {static_cast<std::uint8_t>(kRegisterMod | reg << 3 | rm)}, tail})});
        out.push_back({mode, join({head, {static_cast<std::uint8_t>(reg << 3 | kMemoryRm)}, tail})});
    }
}

void add_legacy(std::vector<SlotCase>& out, const decode::OpcodeMaps& maps, OpcodeMap map) {
    const ByteList escape = map == OpcodeMap::one      ? ByteList{}
                            : map == OpcodeMap::m0f    ? ByteList{0x0F}
                            : map == OpcodeMap::m0f38  ? ByteList{0x0F, 0x38}
                            : map == OpcodeMap::m0f3a  ? ByteList{0x0F, 0x3A}
                                                       : ByteList{0x0F, 0x0F};
    const std::array<ByteList, 5> prefixes = {{{}, {0x66}, {0xF3}, {0xF2}, {0xF0}}};
    for (const Mode mode : {Mode::long64, Mode::protected32})
        for (int number = 0; number < 256; ++number) {
            const auto opcode = static_cast<std::uint8_t>(number);
            const decode::Slot& slot = maps.slot(map, opcode);
            if (slot.form == decode::SlotForm::prefix || slot.form == decode::SlotForm::escape) continue;
            if (mode == Mode::long64 && map == OpcodeMap::one && (opcode & 0xF0) == 0x40) continue;  // REX
            for (const ByteList& prefix : prefixes)
                for (int rex = 0; rex < (mode == Mode::long64 ? 2 : 1); ++rex) {
                    ByteList head = join({prefix, rex != 0 ? ByteList{0x48} : ByteList{}, escape});
                    if (map == OpcodeMap::m3dnow) {
                        // The opcode comes behind the operand; ModRM never selects.
                        for (const std::uint8_t modrm : {0xC0, 0x00}) out.push_back({mode, join({head, {modrm, opcode}})});
                        continue;
                    }
                    head.push_back(opcode);
                    // A hole is tried with ModRM as well: what is undocumented may have one.
                    if (slot.form == decode::SlotForm::plain) out.push_back({mode, head});
                    else add_operands(out, mode, head, {}, selects_by_rm(map, opcode, slot));
                }
        }
}

/// ModRM (and SIB) bytes of a vector slot.
std::vector<ByteList> vector_operands(const decode::Slot& slot) {
    std::vector<ByteList> out;
    const bool group = slot.reg_field == decode::RegField::opcode && slot.form == decode::SlotForm::modrm;
    for (int reg = group ? 0 : kVectorReg; reg <= (group ? 7 : kVectorReg); ++reg) {
        out.push_back({static_cast<std::uint8_t>(kRegisterMod | reg << 3 | kVectorRm)});
        out.push_back({static_cast<std::uint8_t>(reg << 3 | kSibFollows), kSibIndex4});
    }
    return out;
}

constexpr std::uint8_t inverted_vvvv(int number) { return static_cast<std::uint8_t>((~number & 15) << 3); }

void add_vex(std::vector<SlotCase>& out, const decode::OpcodeMaps& maps, OpcodeMap map, std::uint8_t first, int map_number) {
    for (const Mode mode : {Mode::long64, Mode::protected32})
        for (int opcode = 0; opcode < 256; ++opcode)
            for (int bits = 0; bits < 32; ++bits)  // pp, L, W, whether vvvv names a register
                for (const ByteList& operands : vector_operands(maps.slot(map, static_cast<std::uint8_t>(opcode)))) {
                    const int pp = bits & 3, l = bits >> 2 & 1, w = bits >> 3 & 1;
                    const std::uint8_t vvvv = inverted_vvvv((bits >> 4 & 1) != 0 ? kVectorVvvv : 0);
                    out.push_back({mode, join({{first, static_cast<std::uint8_t>(0xE0 | map_number), static_cast<std::uint8_t>(w << 7 | vvvv | l << 2 | pp),
                                                static_cast<std::uint8_t>(opcode)},
                                               operands})});
                }
}

void add_evex(std::vector<SlotCase>& out, const decode::OpcodeMaps& maps, OpcodeMap map, int map_number) {
    constexpr std::uint8_t kFixedBit = 4;  // bit 2 of the second payload byte
    constexpr std::uint8_t kHighVvvv = 8;  // V', inverted
    for (const Mode mode : {Mode::long64, Mode::protected32})
        for (int opcode = 0; opcode < 256; ++opcode)
            for (int bits = 0; bits < 128; ++bits)        // pp, L'L, W, b, whether vvvv names a register
                for (const int mask : {0x00, 0x01, 0x81})  // none, k1, k1 with zeroing
                    for (const ByteList& operands : vector_operands(maps.slot(map, static_cast<std::uint8_t>(opcode)))) {
                        const int pp = bits & 3, l = bits >> 2 & 3, w = bits >> 4 & 1, b = bits >> 5 & 1;
                        const std::uint8_t vvvv = inverted_vvvv((bits >> 6 & 1) != 0 ? kVectorVvvv : 0);
                        out.push_back({mode, join({{0x62, static_cast<std::uint8_t>(0xF0 | map_number), static_cast<std::uint8_t>(w << 7 | vvvv | kFixedBit | pp),
                                                    static_cast<std::uint8_t>(mask | l << 5 | b << 4 | kHighVvvv), static_cast<std::uint8_t>(opcode)},
                                                   operands})});
                    }
}

}  // namespace

std::vector<SlotCase> enumerate_cases(const decode::OpcodeMaps& maps, OpcodeMap map) {
    std::vector<SlotCase> out;
    const auto from = [&](OpcodeMap first) { return static_cast<int>(map) - static_cast<int>(first); };
    if (map <= OpcodeMap::m3dnow) add_legacy(out, maps, map);
    else if (map == OpcodeMap::vex_map7) add_vex(out, maps, map, 0xC4, 7);
    else if (map < OpcodeMap::vex_map7) add_vex(out, maps, map, 0xC4, 1 + from(OpcodeMap::vex_0f));
    else if (map <= OpcodeMap::xop_a) add_vex(out, maps, map, 0x8F, 8 + from(OpcodeMap::xop_8));
    else add_evex(out, maps, map, 1 + from(OpcodeMap::evex_0f));
    return out;
}

}  // namespace trapline::executor
