// SPDX-License-Identifier: Apache-2.0
#include "executor/trap/code_finder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

namespace trapline::executor {
namespace {

constexpr std::size_t kLongest = 15;
constexpr std::size_t kMostBytes = kPageBytes + 256;  // of a page with what is around it

/// One-byte opcodes that compiled 32-bit code does not contain, and those that only kernels do.
constexpr std::array<std::uint8_t, 14> kNeverOpcodes = {0x27, 0x2F, 0x37, 0x3F, 0x62, 0x63, 0xC4, 0xC5, 0xC8, 0xCE, 0xD4, 0xD5, 0xD6, 0xD7};
constexpr std::array<std::uint8_t, 33> kKernelOpcodes = {0x06, 0x07, 0x0E, 0x16, 0x17, 0x1E, 0x1F, 0x6C, 0x6D, 0x6E, 0x6F, 0x9A, 0xCA, 0xCB, 0xCF, 0xE4, 0xE5,
                                                         0xE6, 0xE7, 0xEA, 0xEC, 0xED, 0xEE, 0xEF, 0xF1, 0xF4, 0xFA, 0xFB, 0x60, 0x61, 0x9C, 0x9D, 0xF5};

constexpr std::array<std::uint8_t, 256> make_rarity() {
    std::array<std::uint8_t, 256> rarity{};
    for (const std::uint8_t opcode : kKernelOpcodes) rarity[opcode] = 1;
    for (const std::uint8_t opcode : kNeverOpcodes) rarity[opcode] = 2;
    return rarity;
}
constexpr std::array<std::uint8_t, 256> kRarity = make_rarity();

constexpr std::array<bool, 256> make_prefixes() {
    std::array<bool, 256> prefixes{};
    for (const unsigned char prefix : {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}) prefixes[prefix] = true;
    return prefixes;
}
constexpr std::array<bool, 256> kPrefixes = make_prefixes();
bool is_prefix(std::uint8_t byte) { return kPrefixes[byte]; }

/// What the first opcode byte says about where control goes.
enum class Turn : std::uint8_t { none, near_call, near_jump, short_jump, short_branch, end, escape_0f, group_ff, prefix };

constexpr std::array<Turn, 256> make_turns() {
    std::array<Turn, 256> turns{};
    for (std::size_t opcode = 0; opcode < turns.size(); ++opcode) {
        if (kPrefixes[opcode]) turns[opcode] = Turn::prefix;
        else if ((opcode & 0xF0) == 0x70 || (opcode & 0xFC) == 0xE0) turns[opcode] = Turn::short_branch;
    }
    turns[0xE8] = Turn::near_call;
    turns[0xE9] = Turn::near_jump;
    turns[0xEB] = Turn::short_jump;
    turns[0x0F] = Turn::escape_0f;
    turns[0xFF] = Turn::group_ff;
    for (const unsigned char opcode : {0xC2, 0xC3, 0xCA, 0xCB, 0xCC, 0xCF, 0xEA}) turns[opcode] = Turn::end;
    return turns;
}
constexpr std::array<Turn, 256> kTurns = make_turns();

/// A set of offsets in the page.
class Offsets {
public:
    bool operator[](std::size_t at) const { return (words_[at / 64] >> at % 64 & 1) != 0; }
    void set(std::size_t at) { words_[at / 64] |= std::uint64_t{1} << at % 64; }
    /// Sets `count` of them, 63 at most, as far as they are in the page.
    void set(std::size_t first, std::size_t count) {
        const std::uint64_t bits = (std::uint64_t{1} << count) - 1;
        const std::size_t word = first / 64, shift = first % 64;
        words_[word] |= bits << shift;
        if (shift != 0) words_[word + 1] |= bits >> (64 - shift);
    }
    template <class Visit>
    void for_each(Visit visit) const {
        for (std::size_t word = 0; word < kPageBytes / 64; ++word)
            for (std::uint64_t bits = words_[word]; bits != 0; bits &= bits - 1) visit(word * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
    }

private:
    std::array<std::uint64_t, kPageBytes / 64 + 1> words_{};  // and room for what reaches over the end
};

class Finder {
public:
    Finder(const decode::InstructionDecoder& decoder, const PageOfCode& page) : decoder_(decoder), page_(page), data_(buffer_.data(), std::min(page.bytes.size(), kMostBytes)) {
        std::memcpy(buffer_.data(), page.bytes.data(), data_.size());
        std::memset(buffer_.data() + data_.size(), 0, buffer_.size() - data_.size());
    }

    FoundCode find(std::uint32_t entry) {
        first_start_ = find_first_start();
        decode_ahead();
        follow(page_.begin + entry);
        take_runs();
        FoundCode found;
        starts_.for_each([&](std::size_t at) {
            const Place& place = places_[page_.begin + at];
            found.starts.set(at);
            found.forms[at] = place.form;
            if (place.target != kNowhere) found.targets.set(place.target);
            if (!place.falls_through) found.ends.set(at);
        });
        return found;
    }

private:
    static constexpr std::uint16_t kNowhere = 0xFFFF;
    /// What begins at an offset of the bytes.
    struct Place {
        decode::FormIndex form;
        std::uint16_t target;  ///< offset in the page that a branch leads to
        std::uint8_t length;   ///< 0: no instruction
        bool falls_through;
    };

    std::size_t end() const { return page_.begin + kPageBytes; }
    /// Decodes the page from its likely beginning in one run, which is several times as fast as one instruction after the other: nearly
    /// all places that are looked at afterwards are among these.
    void decode_ahead() {
        for (std::size_t at = first_start_; at < end();) {
            decoder_.decode_run(Bytes(data_.data(), data_.size()), at, end(), Mode::protected32, [&](std::size_t offset, const decode::Insn& insn) {
                keep(offset, insn);
                at = offset + std::max<std::size_t>(insn.length, 1);
                return true;
            });
        }
    }

    /// Each place is decoded once, however often it is looked at.
    const Place& place_at(std::size_t at) {
        if (!decoded_[at]) keep(at, decoder_.decode(Bytes(data_.data() + at, data_.size() - at), Mode::protected32));
        return places_[at];
    }
    /// As the place's length, but an undefined form (an opcode that is a hole, operands that raise #UD) has the length that it would
    /// have: code may contain one on purpose. 1 where there is not even that.
    std::size_t stride_at(std::size_t at) {
        const std::size_t length = place_at(at).length;
        if (length != 0) return length;
        const std::size_t undefined = decode::parse_structure(decode::OpcodeMaps::generated(), Bytes(data_.data() + at, data_.size() - at), Mode::protected32).length;
        if (undefined != 0) return undefined;
        // Too many prefixes: the instruction behind them belongs to them.
        std::size_t behind = at;
        while (behind < data_.size() && is_prefix(byte(behind))) ++behind;
        return behind - at + std::max<std::size_t>(behind == at ? 0 : place_at(behind).length, 1);
    }
    /// 0 behind the end, as far as an instruction that begins before it can reach.
    std::uint8_t byte(std::size_t at) const { return buffer_[at]; }
    bool in_page(std::size_t at) const { return at - page_.begin < kPageBytes; }

    void keep(std::size_t at, const decode::Insn& insn) {
        decoded_[at] = true;
        Place& place = places_[at];
        place = {insn.form, kNowhere, insn.length, true};
        const Turn turn = kTurns[byte(at)];
        if (turn != Turn::none && insn.length != 0) find_flow(at, turn, place);
    }

    /// Where control goes behind an instruction.
    void find_flow(std::size_t at, Turn turn, Place& place) const {
        std::size_t opcode_at = at;
        if (turn == Turn::prefix) {
            while (opcode_at < at + place.length && is_prefix(byte(opcode_at))) ++opcode_at;
            turn = kTurns[byte(opcode_at)];
        }
        const std::uint8_t second = byte(opcode_at + 1);
        const std::size_t behind = at + place.length;
        const auto leads_to = [&](std::int32_t distance) {
            const std::size_t target = behind + static_cast<std::size_t>(static_cast<std::ptrdiff_t>(distance));
            if (in_page(target)) place.target = static_cast<std::uint16_t>(target - page_.begin);
        };
        const auto leads_near = [&] {
            std::int32_t distance = 0;
            std::memcpy(&distance, buffer_.data() + behind - sizeof distance, sizeof distance);
            leads_to(distance);
        };
        switch (turn) {
            case Turn::near_jump: place.falls_through = false; [[fallthrough]];
            case Turn::near_call: leads_near(); break;
            case Turn::short_jump: place.falls_through = false; [[fallthrough]];
            case Turn::short_branch: leads_to(static_cast<std::int8_t>(byte(behind - 1))); break;
            case Turn::escape_0f: {
                constexpr std::uint8_t kUd2 = 0x0B;
                if ((second & 0xF0) == 0x80) leads_near();
                place.falls_through = second != kUd2;
                break;
            }
            case Turn::group_ff: {
                const int reg = second >> 3 & 7;  // 4 and 5: JMP
                place.falls_through = reg != 4 && reg != 5;
                break;
            }
            case Turn::end: place.falls_through = false; break;
            case Turn::none:
            case Turn::prefix: break;
        }
    }

    /// Marks what is reached from an instruction that is known.
    void follow(std::size_t from) {
        std::vector<std::size_t> waiting;
        waiting.reserve(256);
        waiting.push_back(from);
        while (!waiting.empty()) {
            std::size_t next = waiting.back();
            waiting.pop_back();
            while (in_page(next) && !starts_[next - page_.begin]) {
                const Place& place = place_at(next);
                if (place.length == 0) break;
                mark(next, place.length);
                if (place.target != kNowhere && !starts_[place.target]) waiting.push_back(page_.begin + place.target);
                if (!place.falls_through) break;
                next += place.length;
            }
        }
    }

    void mark(std::size_t at, std::size_t length) {
        starts_.set(at - page_.begin);
        covered_.set(at - page_.begin, length);
    }

    /// Whether an instruction may stand in compiled code.
    bool is_likely(std::size_t at, std::size_t length) const {
        if (page_.trust == CodeTrust::text) return length != 0;
        if (length == 0) return false;
        std::size_t opcode_at = at;
        while (opcode_at < at + length && is_prefix(byte(opcode_at))) ++opcode_at;
        if (opcode_at - at > 2) return byte(opcode_at) == 0x0F || byte(opcode_at) == 0x2E;  // long no-operations have many
        const std::uint8_t opcode = byte(opcode_at);
        if (opcode == 0x00 && byte(opcode_at + 1) == 0x00) return false;
        return kRarity[opcode] < (page_.trust == CodeTrust::user ? 1 : 2);
    }

    struct Run {
        std::vector<std::pair<std::size_t, std::size_t>> instructions;  ///< offset and length of those that may stand in compiled code
        std::size_t end = 0;
        bool likely = false;
    };

    /// Decodes from `at` to an unconditional transfer, to known code, or to the page's end. One unlikely instruction makes all of
    /// it unlikely, but what follows is still in step.
    const Run& run_from(std::size_t at) {
        Run& run = run_;
        run.instructions.clear();
        run.likely = true;
        while (at < end() && !covered_[at - page_.begin]) {
            const Place place = place_at(at);
            const std::size_t stride = place.length != 0 ? place.length : stride_at(at);
            if (is_likely(at, place.length)) run.instructions.emplace_back(at, stride);
            else run.likely = false;
            at += stride;
            if (place.length != 0 && !place.falls_through) break;
        }
        run.end = at;
        // Known code must begin where the run meets it.
        run.likely &= at >= end() || !covered_[at - page_.begin] || starts_[at - page_.begin];
        return run;
    }

    /// The first offset in the page at which an instruction begins: where decoding from most places before it arrives. Without
    /// anything before, the page's first byte.
    std::size_t find_first_start() {
        constexpr std::size_t kVoters = 12;
        std::array<unsigned, kLongest + 1> votes{};
        for (std::size_t i = 0; i < kVoters && i + kLongest < page_.begin; ++i) {
            std::size_t at = i;
            while (at < page_.begin) at += stride_at(at);
            ++votes[std::min(at - page_.begin, kLongest)];
        }
        return page_.begin + static_cast<std::size_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
    }

    void take_runs() {
        const bool text = page_.trust == CodeTrust::text, begins_here = text && page_.text_begin >= page_.begin;
        const std::size_t stop = text ? std::min(page_.text_end, end()) : end();
        for (std::size_t at = begins_here ? page_.text_begin : first_start_; at < stop;) {
            if (covered_[at - page_.begin]) {
                at += starts_[at - page_.begin] ? places_[at].length : 1u;
                continue;
            }
            const Run& run = run_from(at);
            // In a section of code a few bytes that do not decode are padding or a table; what follows is code again.
            if (run.likely || text)
                for (const auto& [offset, length] : run.instructions) mark(offset, length);
            at = run.end;
        }
    }

    Run run_;  ///< the one being looked at, kept for its room
    const decode::InstructionDecoder& decoder_;
    const PageOfCode& page_;
    std::size_t first_start_ = 0;
    std::array<std::uint8_t, kMostBytes + 2 * kLongest + 2> buffer_;
    std::span<const std::uint8_t> data_;
    Offsets starts_, covered_;
    std::array<bool, kMostBytes> decoded_{};
    std::array<Place, kMostBytes> places_;
};

}  // namespace

FoundCode find_instructions(const decode::InstructionDecoder& decoder, const PageOfCode& page, std::uint32_t entry) {
    return Finder(decoder, page).find(entry);
}

}  // namespace trapline::executor
