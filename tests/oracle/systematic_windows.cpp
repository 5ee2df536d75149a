// SPDX-License-Identifier: Apache-2.0
// Every opcode of a map with every value of the fields that select a form, one after the other (windows.h).
#include <algorithm>
#include <initializer_list>
#include <span>

#include "tests/oracle/windows.h"

namespace trapline::oracle {
namespace {

using isa::OpcodeMap;
using Octets = std::initializer_list<std::uint8_t>;

/// Behind the opcode: bytes that differ, so that a wrong displacement or immediate size meets another opcode.
constexpr std::uint8_t kFiller[] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x08, 0x19, 0x2A, 0x3B, 0x4C};

/// ModRM's mod and rm with the SIB byte that follows where there is one.
struct Operand {
    std::uint8_t mod, rm, sib;
};
constexpr Operand kRegister{3, 1, 0}, kMemory{0, 0, 0}, kSib{0, 4, 0x88}, kNoBase{0, 4, 0x65};  // SIB: [rax + rcx*4], [disp32]
constexpr Operand kFewOperands[] = {kRegister, kMemory};
constexpr Operand kVectorOperands[] = {kRegister, {3, 5, 0}, kMemory, kSib};
constexpr Operand kAllOperands[] = {{3, 0, 0}, kRegister, {3, 2, 0}, {3, 3, 0}, {3, 4, 0}, {3, 5, 0}, {3, 6, 0}, {3, 7, 0},
                                    kMemory,   kSib,      {0, 5, 0}, kNoBase, {1, 2, 0}, {1, 4, 0x24}, {2, 3, 0}, {0, 6, 0}};

class Writer {
public:
    explicit Writer(const Visit& visit) : visit_(visit) {}

    Writer& start(Octets bytes = {}) {
        size_ = 0;
        return add(bytes);
    }
    Writer& add(Octets bytes) {
        for (std::uint8_t byte : bytes) window_[size_++] = byte;
        return *this;
    }
    /// Visits what was written with ModRM, SIB and filler behind it.
    void finish(std::uint8_t reg, const Operand& operand) {
        std::size_t at = size_;
        window_[at++] = static_cast<std::uint8_t>(operand.mod << 6 | reg << 3 | operand.rm);
        if (operand.mod != 3 && operand.rm == 4) window_[at++] = operand.sib;
        fill(at);
    }
    /// The same for 3DNow!, whose opcode follows the operand.
    void finish_suffix(std::uint8_t reg, const Operand& operand, std::uint8_t suffix) {
        std::size_t at = size_;
        window_[at++] = static_cast<std::uint8_t>(operand.mod << 6 | reg << 3 | operand.rm);
        if (operand.mod != 3 && operand.rm == 4) window_[at++] = operand.sib;
        window_[at++] = suffix;
        fill(at);
    }

private:
    void fill(std::size_t at) {
        for (std::size_t i = 0; at < kWindowSize; ++at, ++i) window_[at] = kFiller[i % std::size(kFiller)];
        visit_(window_);
    }

    const Visit& visit_;
    Window window_{};
    std::size_t size_ = 0;
};

// Legacy maps

constexpr std::array<std::array<std::uint8_t, 3>, 4> kUsualPrefixes = {{{}, {0x66}, {0xF3}, {0xF2}}};
constexpr std::array<std::array<std::uint8_t, 3>, 23> kRarePrefixes = {{
    {0x67}, {0xF0}, {0x2E}, {0x64}, {0x66, 0xF2}, {0xF3, 0x66}, {0xF2, 0xF3}, {0xF3, 0xF2}, {0xF0, 0x66}, {0xF0, 0xF2}, {0xF3, 0xF0},
    {0x66, 0x67}, {0x66, 0x66}, {0xF0, 0xF0}, {0x66, 0xF2, 0xF3}, {0xF2, 0x67}, {0xF3, 0x67}, {0xF2, 0x67, 0xF0}, {0x66, 0xF2, 0x67},
    {0x66, 0xF2, 0x2E}, {0x66, 0xF3, 0x2E}, {0x67, 0xF2, 0xF0}, {0xF3, 0xF0, 0x66}}};
/// In 64-bit mode, behind each usual prefix; the last three are cancelled by what follows.
constexpr std::array<std::array<std::uint8_t, 2>, 10> kRexes = {
    {{0x48}, {0x41}, {0x44}, {0x42}, {0x4F}, {0x67, 0x48}, {0x2E, 0x48}, {0x48, 0x66}, {0x48, 0x40}, {0x44, 0xF3}}};
/// REX2 payloads without the map bit: none, W, R3, B3, R4, B4, X4, all.
constexpr std::array<std::uint8_t, 8> kRex2 = {0x00, 0x08, 0x04, 0x01, 0x40, 0x10, 0x20, 0x7F};

void visit_legacy(OpcodeMap map, std::uint8_t opcode, Mode mode, const Visit& visit) {
    Writer writer(visit);
    const auto lead = [&](Writer& out) {
        switch (map) {
            case OpcodeMap::m0f: out.add({0x0F, opcode}); break;
            case OpcodeMap::m0f38: out.add({0x0F, 0x38, opcode}); break;
            case OpcodeMap::m0f3a: out.add({0x0F, 0x3A, opcode}); break;
            case OpcodeMap::m3dnow: out.add({0x0F, 0x0F}); break;
            default: out.add({opcode}); break;
        }
    };
    const auto add_prefixes = [&](auto prefixes) {
        for (std::uint8_t prefix : prefixes)
            if (prefix != 0) writer.add({prefix});
    };
    const auto operands = [&](bool all) {
        const std::span<const Operand> list = all ? std::span<const Operand>(kAllOperands) : std::span<const Operand>(kFewOperands);
        for (std::uint8_t reg = 0; reg < 8; ++reg)
            for (const Operand& operand : list) map == OpcodeMap::m3dnow ? writer.finish_suffix(reg, operand, opcode) : writer.finish(reg, operand);
    };
    for (const auto& prefixes : kUsualPrefixes) {
        writer.start();
        add_prefixes(prefixes);
        lead(writer);
        operands(map != OpcodeMap::m3dnow);
        for (const auto& rex : kRexes) {
            if (mode != Mode::long64) break;
            writer.start();
            add_prefixes(prefixes);
            add_prefixes(rex);
            lead(writer);
            operands(map == OpcodeMap::m0f && &rex == &kRexes[0]);
        }
    }
    for (const auto& prefixes : kRarePrefixes) {
        writer.start();
        add_prefixes(prefixes);
        lead(writer);
        operands((prefixes[0] == 0xF0 && prefixes[1] == 0) || prefixes[2] == 0xF0);
    }
    // The limit is 15 bytes with everything; what peers lose of the prefixes decides on which side they are.
    for (const auto& first : {std::array<std::uint8_t, 2>{0x2E, 0x2E}, {0x66, 0xF2}, {0xF2, 0x66}, {0x67, 0xF0}})
        for (int count = 7; count < 13; ++count) {
            writer.start();
            add_prefixes(first);
            for (int i = 0; i < count; ++i) writer.add({0x2E});
            lead(writer);
            writer.finish(0, kMemory);
            writer.finish(0, {2, 3, 0});
        }
    // Found by random bytes: prefixes that make Capstone pass the limit.
    if (map == OpcodeMap::one && opcode == 0xE8) writer.start({0xF3, 0x65, 0x66, 0x66, 0x67, 0x36, 0x64, 0x66, 0x36, 0x26, 0x3E, 0xF2, 0xE8}).finish(0, kMemory);
    if (map == OpcodeMap::one && opcode == 0xC2) writer.start({0xF2, 0x4C, 0x42, 0x4F, 0x47, 0x44, 0x65, 0x40, 0x64, 0xF2, 0x67, 0x4C, 0xC2}).finish(5, kMemory);
    if (map == OpcodeMap::m0f && opcode == 0x78) writer.start({0x45, 0x4D, 0x46, 0x48, 0x49, 0x4E, 0x65, 0x4A, 0x4F, 0x2E, 0x67, 0x4A, 0x0F, 0x78}).finish(1, kRegister);
    if (mode != Mode::long64 || (map != OpcodeMap::one && map != OpcodeMap::m0f)) return;
    const std::uint8_t map_bit = map == OpcodeMap::m0f ? 0x80 : 0;
    for (const auto& prefixes : kUsualPrefixes)
        for (std::uint8_t payload : kRex2) {
            writer.start();
            add_prefixes(prefixes);
            writer.add({0xD5, static_cast<std::uint8_t>(payload | map_bit), opcode});
            operands(opcode == 0x01);  // group 7 has an instruction in each rm
            writer.finish(0, kNoBase);
        }
    for (std::uint8_t before : {0x48, 0xF0, 0x67}) {
        writer.start({before, 0xD5, map_bit, opcode});
        operands(false);
    }
}

// VEX, EVEX and XOP

/// Inverted register fields as a form without extended registers has them.
constexpr std::uint8_t kNoHighBits = 0xE0, kNoVvvv = 0x78;

struct VectorMap {
    std::uint8_t first;   ///< 62, C4 or 8F
    std::uint8_t number;  ///< of the map in the payload
};

VectorMap vector_map(OpcodeMap map) {
    const auto number = static_cast<int>(map);
    if (map >= OpcodeMap::evex_0f) return {0x62, static_cast<std::uint8_t>(number - static_cast<int>(OpcodeMap::evex_0f) + 1)};
    if (map >= OpcodeMap::xop_8) return {0x8F, static_cast<std::uint8_t>(number - static_cast<int>(OpcodeMap::xop_8) + 8)};
    if (map == OpcodeMap::vex_map7) return {0xC4, 7};
    return {0xC4, static_cast<std::uint8_t>(number - static_cast<int>(OpcodeMap::vex_0f) + 1)};
}

void visit_vex(VectorMap map, std::uint8_t opcode, Mode mode, std::uint8_t w_l_pp, const Visit& visit) {
    Writer writer(visit);
    const auto p0 = static_cast<std::uint8_t>(kNoHighBits | map.number);
    const auto p1 = static_cast<std::uint8_t>((w_l_pp & 0x87) | kNoVvvv);
    for (std::uint8_t vvvv : {0x78, 0x70}) {
        writer.start({map.first, p0, static_cast<std::uint8_t>((p1 & 0x87) | vvvv), opcode});
        for (std::uint8_t reg = 0; reg < 8; ++reg)
            for (const Operand& operand : kVectorOperands) writer.finish(reg, operand);
    }
    const auto once = [&](Octets before, std::uint8_t p0_bits, std::uint8_t vvvv, std::uint8_t reg) {
        for (const Operand& operand : {kRegister, kSib}) {
            writer.start(before).add({map.first, static_cast<std::uint8_t>(p0 ^ p0_bits), static_cast<std::uint8_t>((p1 & 0x87) | vvvv), opcode});
            writer.finish(reg, operand);
        }
    };
    for (std::uint8_t vvvv : {0x78, 0x70}) {
        for (std::uint8_t high : {0x80, 0x40, 0x20, 0xE0}) {
            if (mode == Mode::long64 || (high & 0xC0) == 0) once({}, high, vvvv, 2);
        }
        once({0x67}, 0, vvvv, 2);
    }
    once({}, 0, 0x38, 2);  // vvvv names register 8: in 32-bit mode the bit is ignored
    once({}, 0, 0x40, 1);
    once({}, map.number, 0x78, 2);  // the reserved map 0
    for (std::uint8_t before : {0x66, 0xF2, 0xF3, 0xF0, 0x48, 0x2E}) once({before}, 0, 0x78, 2);
    if (map.first == 0xC4 && map.number == 1 && (w_l_pp & 0x80) == 0) {
        for (std::uint8_t reg = 0; reg < 8; ++reg)
            for (const Operand& operand : kFewOperands) writer.start({0xC5, static_cast<std::uint8_t>(p1 | 0x80), opcode}).finish(reg, operand);
        writer.start({0xC5, static_cast<std::uint8_t>(0x80 | (p1 & 0xF) | 0x70), opcode}).finish(2, kRegister);
        if (mode == Mode::long64) writer.start({0xC5, p1, opcode}).finish(2, kRegister);
    }
}

void visit_evex(VectorMap map, std::uint8_t opcode, Mode mode, std::uint8_t w_pp, std::uint8_t length, const Visit& visit) {
    Writer writer(visit);
    // Without APX: P0 is R X B R' 0 map, P1 W vvvv 1 pp, P2 z L'L b V' aaa.
    const auto p0 = static_cast<std::uint8_t>(kNoHighBits | 0x10 | map.number);
    const auto p1 = static_cast<std::uint8_t>(w_pp | kNoVvvv | 4);
    const auto p2 = static_cast<std::uint8_t>(length << 5 | 8);
    writer.start({0x62, p0, p1, p2, opcode});
    for (std::uint8_t reg = 0; reg < 8; ++reg)
        for (const Operand& operand : kVectorOperands) writer.finish(reg, operand);
    const auto once = [&](Octets before, std::uint8_t p0_bits, std::uint8_t p1_bits, std::uint8_t p2_bits, std::uint8_t reg) {
        for (const Operand& operand : {kRegister, kSib}) {
            writer.start(before).add({0x62, static_cast<std::uint8_t>(p0 ^ p0_bits), static_cast<std::uint8_t>(p1 ^ p1_bits),
                                      static_cast<std::uint8_t>(p2 ^ p2_bits), opcode});
            writer.finish(reg, operand);
        }
    };
    constexpr std::uint8_t kVvvv1 = 0x08, kZ = 0x80, kB = 0x10, kVHigh = 0x08;
    // Group opcodes and those that name mask registers need several ModRM.reg.
    for (std::uint8_t reg : {0, 2, 3, 4, 6}) {
        for (std::uint8_t p2_bits : {0x01, 0x81, 0x10, 0x11, 0x91, 0x80, 0x04, 0x06, 0x14}) once({}, 0, 0, p2_bits, reg);
        once({}, 0, kVvvv1, 0, reg);
        once({}, 0, kVvvv1, 0x01, reg);
        once({}, 0, kVvvv1, kB, reg);
        once({}, 0, kVvvv1, kZ | 1, reg);
    }
    for (std::uint8_t p1_bits : {0, 0x08}) {
        for (std::uint8_t high : {0x80, 0x40, 0x20, 0x10, 0xF0})
            if (mode == Mode::long64 || (high & 0xC0) == 0) {
                once({}, high, p1_bits, 0, 2);
                once({}, high, p1_bits, 1, 2);
            }
        once({}, 0, p1_bits, kVHigh, 2);
        once({}, 0, p1_bits, kVHigh | 1, 2);
        once({}, 0x08, p1_bits, 0, 2);  // B4
        writer.start({0x62, static_cast<std::uint8_t>(p0 ^ 0x08), static_cast<std::uint8_t>(p1 ^ p1_bits), p2, opcode}).finish(2, kNoBase);
        if (mode == Mode::long64)  // [r10 + r9*4 + disp8] with 67
            writer.start({0x67, 0x3E, 0x62, static_cast<std::uint8_t>(p0 ^ 0x60), static_cast<std::uint8_t>(p1 ^ p1_bits ^ 0x80), static_cast<std::uint8_t>(p2 | 1), opcode})
                .finish(2, {1, 4, 0x8A});
        once({}, 0, p1_bits | 4, 0, 2);  // X4
        once({}, 0x08, p1_bits | 4, 0, 2);
        once({0x67}, 0, p1_bits, 0, 2);
        once({0x67}, 0, p1_bits, 1, 2);
    }
    once({}, 0, 0x40, 0, 2);
    once({}, 0, 4, kVHigh | 1, 2);
    once({}, 0, 0, 1, 1);  // the index register of kSib is the destination
    for (std::uint8_t before : {0x66, 0xF2, 0xF3, 0xF0, 0x48, 0x2E}) once({before}, 0, 0, 0, 2);
}

bool is_prefix(OpcodeMap map, std::uint8_t opcode, Mode mode) {
    if (map == OpcodeMap::m0f) return opcode == 0x0F || opcode == 0x38 || opcode == 0x3A;
    if (map != OpcodeMap::one) return false;
    constexpr std::uint8_t kBytes[] = {0x0F, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3};
    return std::find(std::begin(kBytes), std::end(kBytes), opcode) != std::end(kBytes) || (mode == Mode::long64 && (opcode & 0xF0) == 0x40);
}

}  // namespace

void visit_systematic(OpcodeMap map, std::uint8_t first, Mode mode, const Visit& visit) {
    for (unsigned number = first; number < first + 16u; ++number) {
        const auto opcode = static_cast<std::uint8_t>(number);
        if (!isa::is_vector_map(map)) {
            if (!is_prefix(map, opcode, mode)) visit_legacy(map, opcode, mode, visit);
            continue;
        }
        const VectorMap where = vector_map(map);
        // Real mode has none of them, whatever the fields.
        const bool real = mode == Mode::real16;
        for (std::uint8_t w : {0x00, 0x80})
            for (std::uint8_t pp = 0; pp < 4; ++pp)
                for (std::uint8_t length = 0; length < (where.first == 0x62 ? 4 : 2); ++length) {
                    if (real && (w != 0 || length != 0)) continue;
                    if (where.first == 0x62)
                        visit_evex(where, opcode, mode, static_cast<std::uint8_t>(w | pp), length, visit);
                    else
                        visit_vex(where, opcode, mode, static_cast<std::uint8_t>(w | length << 2 | pp), visit);
                }
    }
}

}  // namespace trapline::oracle
