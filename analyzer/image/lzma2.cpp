// SPDX-License-Identifier: Apache-2.0
// The range coder's bits are of two kinds. Those that say what comes next are nearly always the same, and the processor predicts
// them. Those of literals, lengths and distances are as good as random: a wrong guess would cost more than the whole bit, so
// both outcomes are computed and one is taken.
#include "image/lzma2.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "support/error.h"

namespace trapline::image {
namespace {

using Probability = std::uint16_t;  // of a zero, in 2048ths

constexpr std::uint32_t kTop = 1u << 24;  // below it the range takes in a byte
constexpr unsigned kModelBits = 11, kMoveBits = 5;
constexpr Probability kEven = 1u << (kModelBits - 1);
constexpr unsigned kStates = 12, kLiteralStates = 7, kPositionStates = 16;
constexpr unsigned kLiteralSize = 0x300, kLiteralContexts = 16;  // LZMA2 allows four bits of context at most
constexpr unsigned kMinMatch = 2;
constexpr unsigned kLengthContexts = 4, kSlotBits = 6, kFirstModelSlot = 4, kFirstDirectSlot = 14, kAlignBits = 4;
constexpr unsigned kSpecialDistances = 128;  // those below slot 14
/// Bytes that the coder may take in for one symbol: 22 modelled bits of at most 6.05 bits each and 26 direct ones, plus the one
/// that is taken in when a chunk ends.
constexpr std::size_t kSymbolInput = 21;

struct LengthModel {
    Probability choice = kEven, choice2 = kEven;
    std::array<std::array<Probability, 8>, kPositionStates> low, mid;
    std::array<Probability, 256> high;
};

/// The range coder at one place of its input.
struct Coder {
    std::uint32_t range, code;
    const std::uint8_t* in;

    [[gnu::always_inline]] void normalize() {
        if (range >= kTop) return;
        range <<= 8;
        code = code << 8 | *in++;
    }
    /// A bit that is often the same.
    [[gnu::always_inline]] bool likely_bit(Probability& p) {
        normalize();
        const std::uint32_t bound = (range >> kModelBits) * p;
        if (code < bound) {
            range = bound;
            p = static_cast<Probability>(p + (((1u << kModelBits) - p) >> kMoveBits));
            return false;
        }
        range -= bound;
        code -= bound;
        p = static_cast<Probability>(p - (p >> kMoveBits));
        return true;
    }
    /// A bit of a number, whose probability `p` was loaded from `from` ahead of time. `next` is the probability that is asked for
    /// after a one, and becomes the one after a zero, `next_zero`, if that is what the bit is.
    [[gnu::always_inline]] std::uint32_t number_bit(std::uint32_t p, Probability& from, std::uint32_t& next, std::uint32_t next_zero) {
        normalize();
        const std::uint32_t bound = (range >> kModelBits) * p;
        std::uint32_t zero = 0;  // all bits of it when the bit is zero
#if defined(__x86_64__)
        // The compiler would jump: it takes what is loaded early for expensive.
        std::uint32_t above = range - bound, rest = code;
        __asm__("subl %[bound], %[rest]\n\t"
                "cmovbl %[next_zero], %[next]\n\t"
                "cmovbl %[bound], %[above]\n\t"
                "cmovbl %[code], %[rest]\n\t"
                "sbbl %[zero], %[zero]"
                : [rest] "+&r"(rest), [next] "+&r"(next), [above] "+&r"(above), [zero] "=&r"(zero)
                : [bound] "r"(bound), [next_zero] "r"(next_zero), [code] "r"(code)
                : "cc");
        range = above;
        code = rest;
#else
        zero = 0u - static_cast<std::uint32_t>(code < bound);
        next ^= (next ^ next_zero) & zero;
        range = zero != 0 ? bound : range - bound;
        code -= bound & ~zero;
#endif
        // p moves by (2048 - p) / 32 up after a zero and by p / 32 down after a one, both rounded down.
        constexpr std::uint32_t kZero = (1u << kMoveBits) - 1 - (1u << kModelBits);
        from = static_cast<Probability>(p - static_cast<std::uint32_t>(static_cast<std::int32_t>(p + (zero & kZero)) >> kMoveBits));
        return 1 + zero;
    }
    [[gnu::always_inline]] std::uint32_t number_bit(Probability& model) {
        std::uint32_t next = 0;
        return number_bit(model, model, next, 0);
    }
    /// A number of `Bits` bits, the highest first; with the leading one that the walk through the tree begins with.
    template <unsigned Bits>
    [[gnu::always_inline]] std::uint32_t number(Probability* tree) {
        std::uint32_t at = 1, p = tree[1];
        for (unsigned i = 0; i < Bits - 1; ++i) {
            // Both probabilities that may be next are loaded while this bit is still computed.
            std::uint32_t next = tree[2 * at + 1];
            const std::uint32_t bit = number_bit(p, tree[at], next, tree[2 * at]);
            p = next;
            at = 2 * at + bit;
        }
        return 2 * at + number_bit(tree[at]);
    }
    /// A number of so many bits, the lowest first.
    [[gnu::always_inline]] std::uint32_t reversed(Probability* tree, unsigned bits) {
        std::uint32_t at = 1, value = 0;
        for (unsigned i = 0; i < bits; ++i) {
            const std::uint32_t bit = number_bit(tree[at]);
            at = 2 * at + bit;
            value |= bit << i;
        }
        return value;
    }
    /// Bits that have no model, appended to `value`.
    [[gnu::always_inline]] std::uint32_t direct(std::uint32_t value, unsigned bits) {
        for (; bits != 0; --bits) {
            normalize();
            range >>= 1;
            // The code is below the range as it was, twice what it is now: the highest bit tells the sign of the difference.
            const std::uint32_t rest = code - range, zero = 0u - (rest >> 31);
            code = rest + (range & zero);
            value = 2 * value + 1 + zero;
        }
        return value;
    }
    /// A literal where the byte that the last match would go on with is known: as long as bits agree, their model is chosen by
    /// that byte's bit as well.
    [[gnu::always_inline]] std::uint32_t matched_literal(Probability* tree, std::uint32_t expected) {
        std::uint32_t at = 1, agreeing = 0x100;
        for (int i = 0; i < 8; ++i) {
            expected <<= 1;
            const std::uint32_t bit_there = expected & agreeing;
            const std::uint32_t bit = number_bit(tree[agreeing + bit_there + at]);
            at = 2 * at + bit;
            agreeing &= bit_there ^ (bit - 1);
        }
        return at;
    }
    /// The length of a match, less kMinMatch.
    [[gnu::always_inline]] std::uint32_t length(LengthModel& model, std::uint32_t position) {
        if (!likely_bit(model.choice)) return number<3>(model.low[position].data()) - 8;
        if (!likely_bit(model.choice2)) return number<3>(model.mid[position].data());  // - 8 + 8
        return number<8>(model.high.data()) - 256 + 16;
    }
};

/// Copies what stands `distance` bytes before `out`, and may write up to 15 bytes behind it.
[[gnu::always_inline]] inline void copy_match(std::uint8_t* out, std::size_t distance, std::size_t length) {
    constexpr std::size_t kWord = 16;
    std::uint8_t* const end = out + length;
    if (distance < kWord) {
        const std::size_t head = std::min(length, kWord);
        for (std::size_t i = 0; i < head; ++i) out[i] = out[static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(distance)];
        if (length <= kWord) return;
        out += kWord;
        // What repeats after `distance` bytes repeats after a multiple of them too.
        distance *= (kWord + distance - 1) / distance;
    }
    for (; out < end; out += kWord) std::memcpy(out, out - distance, kWord);
}

}  // namespace

struct Lzma2Decoder::Model {
    unsigned literal_context_bits = 0, literal_position_mask = 0, position_mask = 0;
    unsigned state = 0;
    std::array<std::uint32_t, 4> distances{};  // of the last matches, less one

    std::array<std::array<Probability, kPositionStates>, kStates> is_match, is_long_last;
    std::array<Probability, kStates> is_again, is_older, is_second_older, is_oldest;
    LengthModel match_length, again_length;
    std::array<std::array<Probability, 1u << kSlotBits>, kLengthContexts> slots;
    std::array<Probability, kSpecialDistances> special;
    std::array<Probability, 1u << kAlignBits> align;
    std::array<Probability, kLiteralSize * kLiteralContexts> literals;

    void reset() {
        state = 0;
        distances.fill(0);
        for (auto* table : {&is_match, &is_long_last})
            for (auto& row : *table) row.fill(kEven);
        for (auto* row : {&is_again, &is_older, &is_second_older, &is_oldest}) row->fill(kEven);
        for (LengthModel* model : {&match_length, &again_length}) {
            model->choice = model->choice2 = kEven;
            for (auto* table : {&model->low, &model->mid})
                for (auto& row : *table) row.fill(kEven);
            model->high.fill(kEven);
        }
        for (auto& row : slots) row.fill(kEven);
        special.fill(kEven);
        align.fill(kEven);
        literals.fill(kEven);
    }
};

Lzma2Decoder::Lzma2Decoder(Bytes in, std::uint64_t dictionary, std::size_t size)
    : in_(in), dictionary_(dictionary), size_(size), out_(kBefore + size + kBehind), model_(std::make_unique<Model>()) {}
Lzma2Decoder::~Lzma2Decoder() = default;

Lzma2Decoder::State Lzma2Decoder::stop() {
    damaged_ = true;
    return State::damaged;
}

Lzma2Decoder::State Lzma2Decoder::next() {
    if (damaged_ || at_ >= in_.size()) return stop();
    const std::uint8_t control = in_[at_];
    if (control == 0) {
        ++at_;
        return State::end;
    }
    const bool packed = control >= 0x80;
    const bool empties_dictionary = control == 1 || control >= 0xE0;
    if (!packed && control > 2) return stop();
    if (needs_dictionary_ && !empties_dictionary) return stop();
    if (empties_dictionary) {
        start_ = used_;
        needs_dictionary_ = false;
        needs_properties_ = true;
    }
    const ByteView view(in_.subspan(at_));
    const auto big_endian = [&](std::size_t at) { return std::size_t{view.bytes()[at]} << 8 | view.bytes()[at + 1]; };
    const bool new_properties = control >= 0xC0;
    const std::size_t header = !packed ? 3 : new_properties ? 6 : 5;
    if (view.size() < header) return stop();
    const std::size_t size = (packed ? std::size_t{control & 0x1Fu} << 16 : 0) + big_endian(1) + 1;
    if (size > size_ - used_) return stop();
    at_ += header;
    if (!packed) return copy_chunk(size) ? State::more : stop();

    const std::size_t packed_size = big_endian(3) + 1;
    if (packed_size > in_.size() - at_) return stop();
    if (new_properties && !set_properties(view.bytes()[5])) return stop();
    if (needs_properties_) return stop();
    if (control >= 0xA0) model_->reset();
    Bytes chunk = in_.subspan(at_, packed_size);
    if (in_.size() - at_ - packed_size < kSymbolInput) {
        padded_.assign(chunk.begin(), chunk.end());
        padded_.resize(packed_size + kSymbolInput);
        chunk = Bytes(padded_).first(packed_size);
    }
    at_ += packed_size;
    return lzma_chunk(chunk, size) ? State::more : stop();
}

bool Lzma2Decoder::set_properties(std::uint8_t byte) {
    constexpr unsigned kMaxLiteralBits = 4, kMaxPositionBits = 4;
    const unsigned context = byte % 9u, literal_position = byte / 9u % 5u, position = byte / 45u;
    if (position > kMaxPositionBits || context + literal_position > kMaxLiteralBits) return false;
    model_->literal_context_bits = context;
    model_->literal_position_mask = (1u << literal_position) - 1;
    model_->position_mask = (1u << position) - 1;
    needs_properties_ = false;
    return true;
}

bool Lzma2Decoder::copy_chunk(std::size_t size) {
    if (size > in_.size() - at_) return false;
    std::memcpy(out_.data() + kBefore + used_, in_.data() + at_, size);
    at_ += size;
    used_ += size;
    return true;
}

/// Expands one chunk to `size` bytes exactly; kSymbolInput bytes behind it can be read.
bool Lzma2Decoder::lzma_chunk(Bytes packed, std::size_t size) {
    // The first byte is always zero; four more fill the code.
    constexpr std::size_t kCoderHead = 5;
    if (packed.size() < kCoderHead || packed[0] != 0) return false;
    Coder coder{0xFFFFFFFF, 0, packed.data() + kCoderHead};
    for (std::size_t i = 1; i < kCoderHead; ++i) coder.code = coder.code << 8 | packed[i];
    const std::uint8_t* const in_end = packed.data() + packed.size();

    // Locals, so that the compiler keeps them in registers across the writes of bytes.
    Model& m = *model_;
    std::uint8_t* const begin = out_.data() + kBefore + start_;
    std::uint8_t* out = out_.data() + kBefore + used_;
    std::uint8_t* const end = out + size;
    const std::uint64_t dictionary = dictionary_;
    const unsigned position_mask = m.position_mask, literal_position_mask = m.literal_position_mask, context_bits = m.literal_context_bits;
    unsigned state = m.state;
    std::uint32_t last = m.distances[0], older = m.distances[1], second_older = m.distances[2], oldest = m.distances[3];
    std::uint32_t before = out == begin ? 0 : out[-1];
    constexpr std::array<std::uint8_t, kStates> kAfterLiteral = {0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5};

    while (out < end && coder.in <= in_end) {
        const auto at = static_cast<unsigned>(out - begin);
        const unsigned position = at & position_mask;
        if (!coder.likely_bit(m.is_match[state][position])) {
            Probability* const tree = m.literals.data() + kLiteralSize * (((at & literal_position_mask) << context_bits) + (before >> (8 - context_bits)));
            const bool after_match = state >= kLiteralStates;
            state = kAfterLiteral[state];
            before = (after_match ? coder.matched_literal(tree, out[-1 - static_cast<std::ptrdiff_t>(last)]) : coder.number<8>(tree)) & 0xFF;
            *out++ = static_cast<std::uint8_t>(before);
            continue;
        }
        std::uint32_t length = 0;
        const bool after_literal = state < kLiteralStates;
        if (!coder.likely_bit(m.is_again[state])) {
            oldest = second_older;
            second_older = older;
            older = last;
            state = after_literal ? 7 : 10;
            length = coder.length(m.match_length, position) + kMinMatch;
            const std::uint32_t slot = coder.number<kSlotBits>(m.slots[std::min(length - kMinMatch, kLengthContexts - 1)].data()) - (1u << kSlotBits);
            last = slot;
            if (slot >= kFirstModelSlot) {
                const unsigned bits = (slot >> 1) - 1;
                last = (2 | (slot & 1)) << bits;
                if (slot < kFirstDirectSlot)
                    // Trees of slots stand behind each other: one with n leaves begins where its distances do.
                    last += coder.reversed(m.special.data() + last - slot, bits);
                else
                    last = (coder.direct(2 | (slot & 1), bits - kAlignBits) << kAlignBits) + coder.reversed(m.align.data(), kAlignBits);
            }
        } else {
            bool is_one_byte = false;
            if (!coder.likely_bit(m.is_older[state])) {
                is_one_byte = !coder.likely_bit(m.is_long_last[state][position]);
            } else {
                std::uint32_t chosen = older;
                if (coder.likely_bit(m.is_second_older[state])) {
                    chosen = second_older;
                    if (coder.likely_bit(m.is_oldest[state])) {
                        chosen = oldest;
                        oldest = second_older;
                    }
                    second_older = older;
                }
                older = last;
                last = chosen;
            }
            state = is_one_byte ? (after_literal ? 9 : 11) : (after_literal ? 8 : 11);
            length = is_one_byte ? 1 : coder.length(m.again_length, position) + kMinMatch;
        }
        // The end marker of other streams is the largest distance, and none of this one.
        const std::uint64_t distance = std::uint64_t{last} + 1;
        if (distance > static_cast<std::uint64_t>(out - begin) || distance > dictionary || length > static_cast<std::size_t>(end - out)) return false;
        copy_match(out, distance, length);
        out += length;
        before = out[-1];
    }
    coder.normalize();
    if (out != end || coder.in != in_end || coder.code != 0) return false;
    m.state = state;
    m.distances = {last, older, second_older, oldest};
    used_ += size;
    return true;
}

}  // namespace trapline::image
