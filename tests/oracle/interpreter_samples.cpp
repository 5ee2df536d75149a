// SPDX-License-Identifier: Apache-2.0
// Tables of what is drawn and what is undefined, and the generator.
#include "interpreter_samples.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "executor/cpu/vcpu.h"

namespace trapline {
namespace {

namespace flag = executor::flag;

enum class When : std::uint8_t { always, counted /* count is not 0 */, more /* count above 1 */, whole /* at least the operand's bits */ };

/// Flags that the manual calls undefined (SDM vol. 2, "Flags Affected"; vol. 1, appendix A): opcodes, 0x100 more in the 0F map,
/// and values of modrm.reg.
struct UndefinedFlags {
    std::uint16_t first, last;
    std::uint8_t regs;
    std::uint64_t flags;
    When when = When::always;
};
constexpr std::uint64_t kSzap = flag::sf | flag::zf | flag::af | flag::pf;
constexpr UndefinedFlags kUndefined[] = {
    {0x08, 0x0D, 0xFF, flag::af}, {0x20, 0x25, 0xFF, flag::af}, {0x30, 0x35, 0xFF, flag::af}, {0x84, 0x85, 0xFF, flag::af}, {0xA8, 0xA9, 0xFF, flag::af},
    {0x80, 0x83, 0x52, flag::af}, {0xF6, 0xF7, 0x03, flag::af},
    {0xF6, 0xF7, 0x30, kSzap}, {0x69, 0x69, 0xFF, kSzap}, {0x6B, 0x6B, 0xFF, kSzap}, {0x1AF, 0x1AF, 0xFF, kSzap},
    {0xF6, 0xF7, 0xC0, flag::arithmetic},
    {0xC0, 0xC1, 0x0F, flag::of, When::more}, {0xD0, 0xD3, 0x0F, flag::of, When::more},
    {0xC0, 0xC1, 0xF0, flag::of, When::more}, {0xD0, 0xD3, 0xF0, flag::of, When::more},
    {0xC0, 0xC1, 0xF0, flag::af, When::counted}, {0xD0, 0xD3, 0xF0, flag::af, When::counted},
    {0xC0, 0xC1, 0x70, flag::cf, When::whole}, {0xD0, 0xD3, 0x70, flag::cf, When::whole},
    {0x1A4, 0x1A5, 0xFF, flag::af, When::counted}, {0x1AC, 0x1AD, 0xFF, flag::af, When::counted},
    {0x1A4, 0x1A5, 0xFF, flag::of, When::more}, {0x1AC, 0x1AD, 0xFF, flag::of, When::more},
    {0x1A3, 0x1A3, 0xFF, flag::of | flag::sf | flag::af | flag::pf}, {0x1AB, 0x1AB, 0xFF, flag::of | flag::sf | flag::af | flag::pf},
    {0x1B3, 0x1B3, 0xFF, flag::of | flag::sf | flag::af | flag::pf}, {0x1BA, 0x1BB, 0xFF, flag::of | flag::sf | flag::af | flag::pf},
    {0x1BC, 0x1BD, 0xFF, flag::cf | flag::of | flag::sf | flag::af | flag::pf},
    {0x27, 0x27, 0xFF, flag::of}, {0x2F, 0x2F, 0xFF, flag::of},
    {0x37, 0x37, 0xFF, flag::of | flag::sf | flag::zf | flag::pf}, {0x3F, 0x3F, 0xFF, flag::of | flag::sf | flag::zf | flag::pf},
    {0xD4, 0xD5, 0xFF, flag::of | flag::af | flag::cf},
};

struct Drawn {
    std::uint16_t first, last;
    std::uint8_t tail = kNothing;
};
constexpr Drawn kDrawn[] = {
    {0x06, 0x06}, {0x07, 0x07, kRealOnly}, {0x0E, 0x0E}, {0x16, 0x16}, {0x17, 0x17, kRealOnly}, {0x1E, 0x1E}, {0x1F, 0x1F, kRealOnly},
    {0x27, 0x27}, {0x2F, 0x2F}, {0x37, 0x37}, {0x3F, 0x3F}, {0x40, 0x61}, {0x62, 0x62, kModrm}, {0x68, 0x68, kImmWord}, {0x69, 0x69, kModrm | kImmWord},
    {0x6A, 0x6A, kImm8}, {0x6B, 0x6B, kModrm | kImm8}, {0x70, 0x7F, kImm8}, {0x80, 0x80, kModrm | kImm8}, {0x81, 0x81, kModrm | kImmWord},
    {0x82, 0x83, kModrm | kImm8}, {0x84, 0x8D, kModrm}, {0x8E, 0x8E, kModrm | kRealOnly}, {0x8F, 0x8F, kModrm}, {0x90, 0x99}, {0x9C, 0x9F},
    {0xA0, 0xA3, kOffset}, {0xA4, 0xA7, kString}, {0xA8, 0xA8, kImm8}, {0xA9, 0xA9, kImmWord}, {0xAA, 0xAF, kString}, {0xB0, 0xB7, kImm8},
    {0xB8, 0xBF, kImmWord}, {0xC0, 0xC1, kModrm | kImm8}, {0xC2, 0xC2, kImm16}, {0xC3, 0xC3}, {0xC4, 0xC5, kModrm | kRealOnly}, {0xC6, 0xC6, kModrm | kImm8},
    {0xC7, 0xC7, kModrm | kImmWord}, {0xC8, 0xC8, kImm16 | kImm8}, {0xC9, 0xC9}, {0xD0, 0xD3, kModrm}, {0xD4, 0xD5, kImm8}, {0xD6, 0xD7},
    {0xE0, 0xE3, kImm8}, {0xE8, 0xE9, kImmWord}, {0xEB, 0xEB, kImm8}, {0xF5, 0xF5}, {0xF6, 0xF7, kModrm | kTest}, {0xF8, 0xFD}, {0xFE, 0xFF, kModrm},
    {0x10D, 0x10D, kModrm}, {0x118, 0x119, kModrm}, {0x11C, 0x11D, kModrm}, {0x11F, 0x11F, kModrm}, {0x140, 0x14F, kModrm}, {0x180, 0x18F, kImmWord},
    {0x190, 0x19F, kModrm}, {0x1A0, 0x1A0}, {0x1A1, 0x1A1, kRealOnly}, {0x1A3, 0x1A3, kModrm}, {0x1A4, 0x1A4, kModrm | kImm8}, {0x1A5, 0x1A5, kModrm},
    {0x1A8, 0x1A8}, {0x1A9, 0x1A9, kRealOnly}, {0x1AB, 0x1AB, kModrm}, {0x1AC, 0x1AC, kModrm | kImm8}, {0x1AD, 0x1AD, kModrm}, {0x1AF, 0x1B1, kModrm},
    {0x1B2, 0x1B2, kModrm | kRealOnly}, {0x1B3, 0x1B3, kModrm}, {0x1B4, 0x1B5, kModrm | kRealOnly}, {0x1B6, 0x1B7, kModrm}, {0x1BA, 0x1BA, kModrm | kImm8},
    {0x1BB, 0x1C1, kModrm}, {0x1C3, 0x1C3, kModrm}, {0x1C7, 0x1C7, kModrm}, {0x1C8, 0x1CF},
};
constexpr std::uint8_t alu_tail(unsigned form) { return form < 4 ? kModrm : form == 4 ? kImm8 : kImmWord; }

/// SDM vol. 2, LOCK: the instructions that it may stand before, by opcode and values of modrm.reg.
bool may_lock(const Sample& out) {
    struct Lockable {
        std::uint16_t first, last;
        std::uint8_t regs;
    };
    static constexpr Lockable kLockable[] = {{0x80, 0x83, 0x7F},   {0x86, 0x87, 0xFF},   {0xF6, 0xF7, 0x0C},   {0xFE, 0xFF, 0x03},
                                             {0x1AB, 0x1AB, 0xFF}, {0x1B0, 0x1B1, 0xFF}, {0x1B3, 0x1B3, 0xFF},
                                             {0x1BA, 0x1BA, 0xE0}, {0x1BB, 0x1BB, 0xFF}, {0x1C0, 0x1C1, 0xFF}, {0x1C7, 0x1C7, 0x02}};
    if (!out.is_memory()) return false;
    if (out.opcode < 0x38 && (out.opcode & 7) < 2) return true;
    return std::any_of(std::begin(kLockable), std::end(kLockable), [&](const Lockable& row) {
        return out.opcode >= row.first && out.opcode <= row.last && ((row.regs >> out.reg()) & 1) != 0;
    });
}

void append(Sample& out, std::uint32_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) out.bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

}  // namespace

unsigned Sample::size() const {
    static const std::string bytes_too = "\x80\x82\x84\x86\x88\x8A\xA0\xA2\xA4\xA6\xA8\xAA\xAC\xAE\xC0\xC6\xD0\xD2\xF6\xFE";
    if (opcode < 0x40 && (opcode & 7) < 6 && (opcode & 1) == 0) return 1;
    if ((opcode >= 0xB0 && opcode < 0xB8) || opcode == 0x1B0 || opcode == 0x1C0) return 1;
    return opcode < 0x100 && bytes_too.find(static_cast<char>(opcode)) != std::string::npos ? 1 : operand;
}

SampleGenerator::SampleGenerator(unsigned mode, std::uint64_t seed, std::uint32_t data, std::uint32_t data_size)
    : mode_(mode), data_(data), data_size_(data_size), random_(seed * 2 + (mode == 16)) {
    for (unsigned row = 0; row < 8; ++row)
        for (unsigned form = 0; form < 6; ++form) opcodes_.push_back({static_cast<std::uint16_t>(row * 8 + form), alu_tail(form)});
    for (const Drawn& drawn : kDrawn)
        for (std::uint16_t opcode = drawn.first; opcode <= drawn.last; ++opcode)
            if ((drawn.tail & kRealOnly) == 0 || mode == 16) opcodes_.push_back({opcode, drawn.tail});
    // What has many forms comes up as often as it deserves.
    for (int i = 0; i < 6; ++i)
        for (const std::uint16_t opcode : {0xF6, 0xF7}) opcodes_.push_back({opcode, kModrm | kTest});
    for (int i = 0; i < 3; ++i)
        for (const std::uint16_t opcode : {0xC0, 0xC1, 0x1BA}) opcodes_.push_back({opcode, kModrm | kImm8});
    for (int i = 0; i < 3; ++i)
        for (const std::uint16_t opcode : {0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAE, 0xAF}) opcodes_.push_back({opcode, kString});
}

Sample SampleGenerator::draw() {
    Sample out;
    std::tie(out.opcode, out.tail) = opcodes_[next() % opcodes_.size()];
    out.operand = out.address = mode_ / 8;
    prefixes(out);
    if (out.opcode >= 0x100) out.bytes.push_back(0x0F);
    out.bytes.push_back(static_cast<std::uint8_t>(out.opcode));
    if ((out.tail & kModrm) != 0) modrm(out);
    if ((out.tail & kOffset) != 0) append(out, out.address == 4 && mode_ == 32 ? data_address() : next() & 0xFFFF, out.address);
    if ((out.tail & kImm16) != 0) append(out, next(), 2);
    const bool tested = (out.tail & kTest) != 0 && out.reg() < 2;
    if ((out.tail & kImmWord) != 0 || (tested && out.size() > 1)) append(out, edge(), out.operand);
    if ((out.tail & kImm8) != 0 || (tested && out.size() == 1)) append(out, out.imm8 = static_cast<std::uint8_t>(next()), 1);
    // Elsewhere LOCK is the unit tests': Unicorn ignores it, or aborts as on LOCK CMP.
    if (may_lock(out) && one_in(6)) {
        out.bytes.insert(out.bytes.begin(), 0xF0);
        out.has_lock = true;
    }
    return out;
}

std::uint32_t SampleGenerator::edge() {
    static constexpr std::uint32_t kEdges[] = {0, 1, 0xFFFFFFFF, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0x99, 0x9A, 16, 31, 32};
    return one_in(3) ? kEdges[next() % std::size(kEdges)] : one_in(2) ? next() : next() >> (next() & 31);
}

void SampleGenerator::prefixes(Sample& out) {
    static constexpr std::uint8_t kOverrides[] = {0x26, 0x36, 0x3E, 0x64, 0x65, 0x2E};
    if (one_in(4)) out.bytes.push_back(0x66), out.operand ^= 6;
    if (one_in(6)) out.bytes.push_back(0x67), out.address ^= 6;
    if (one_in(6)) out.bytes.push_back(kOverrides[next() % 6]);
    out.has_cs = !out.bytes.empty() && out.bytes.back() == 0x2E;
    if ((out.tail & kString) != 0 ? !one_in(3) : one_in(50)) out.bytes.push_back(out.repeat = one_in(2) ? 0xF2 : 0xF3);
    std::shuffle(out.bytes.begin(), out.bytes.end(), random_);
}

void SampleGenerator::modrm(Sample& out) {
    out.modrm = static_cast<std::uint8_t>(next());
    if (one_in(3)) out.modrm |= 0xC0;
    // Far transfers are another program's; CMPXCHG8B is the one of its group.
    if (out.opcode == 0xFF && (out.reg() == 3 || out.reg() == 5)) out.modrm ^= 0x08;
    if (out.opcode == 0x1C7) out.modrm = static_cast<std::uint8_t>((out.modrm & 0xC7) | 8);
    out.bytes.push_back(out.modrm);
    if (out.modrm >= 0xC0) return;
    const unsigned mod = out.modrm >> 6, rm = out.modrm & 7;
    if (out.address == 2) {
        append(out, next(), mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0);
        return;
    }
    unsigned base = rm;
    if (rm == 4) {
        const std::uint8_t sib = static_cast<std::uint8_t>(next());
        base = sib & 7;
        out.bytes.push_back(sib);
    }
    if (mod == 1) append(out, next(), 1);
    // Without a base the displacement is the address, else a small step.
    if (mod == 0 && base == 5) append(out, mode_ == 32 ? data_address() : next() & 0x7FFF, 4);
    if (mod == 2) append(out, (next() & 0x1FFF) - 0x1000, 4);
}

std::uint64_t undefined_flags(const Sample& sample, unsigned cl) {
    const bool by_cl = sample.opcode == 0xD2 || sample.opcode == 0xD3 || sample.opcode == 0x1A5 || sample.opcode == 0x1AD;
    const unsigned count = (by_cl ? cl : sample.opcode == 0xD0 || sample.opcode == 0xD1 ? 1u : sample.imm8) & 31, bits = sample.size() * 8;
    std::uint64_t out = 0;
    for (const UndefinedFlags& row : kUndefined) {
        if (sample.opcode < row.first || sample.opcode > row.last || ((row.regs >> sample.reg()) & 1) == 0) continue;
        const bool applies = row.when == When::always || (row.when == When::counted && count != 0) || (row.when == When::more && count > 1) ||
                             (row.when == When::whole && count >= bits);
        if (applies) out |= row.flags;
    }
    return out;
}

}  // namespace trapline
