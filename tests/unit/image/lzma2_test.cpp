// SPDX-License-Identifier: Apache-2.0
// LZMA2 streams: liblzma's encoder makes them, and its decoder says which damaged ones are streams all the same. Chunks by hand
// follow the description in Linux lib/xz/xz_dec_lzma2.c.
#include <lzma.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <random>

#include "image/lzma2.h"

using namespace trapline;
using namespace trapline::image;
using Buffer = std::vector<std::uint8_t>;

namespace {

struct Options {
    std::uint32_t dictionary = 1u << 16, context = 3, literal_position = 0, position = 2, preset = 6;
};

lzma_options_lzma liblzma_options(const Options& options) {
    lzma_options_lzma out;
    REQUIRE_FALSE(lzma_lzma_preset(&out, options.preset));
    out.dict_size = options.dictionary;
    out.lc = options.context;
    out.lp = options.literal_position;
    out.pb = options.position;
    return out;
}

Buffer pack(const Buffer& bytes, const Options& options) {
    lzma_options_lzma lzma2 = liblzma_options(options);
    lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &lzma2}, {LZMA_VLI_UNKNOWN, nullptr}};
    Buffer out(lzma_stream_buffer_bound(bytes.size()));
    std::size_t used = 0;
    REQUIRE(lzma_raw_buffer_encode(filters, nullptr, bytes.data(), bytes.size(), out.data(), &used, out.size()) == LZMA_OK);
    out.resize(used);
    return out;
}

/// What our decoder makes of a stream; nothing when it calls it damaged.
std::optional<Buffer> expand(const Buffer& stream, std::size_t size, std::uint64_t dictionary) {
    Lzma2Decoder decoder(stream, dictionary, size);
    Lzma2Decoder::State state;
    while ((state = decoder.next()) == Lzma2Decoder::State::more) CHECK(decoder.output().size() <= size);
    if (state == Lzma2Decoder::State::damaged) {
        CHECK(decoder.next() == Lzma2Decoder::State::damaged);
        return std::nullopt;
    }
    CHECK(decoder.consumed() <= stream.size());
    return Buffer(decoder.output().begin(), decoder.output().end());
}

std::optional<Buffer> expand_with_liblzma(const Buffer& stream, std::size_t size, const Options& options) {
    lzma_options_lzma lzma2 = liblzma_options(options);
    const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &lzma2}, {LZMA_VLI_UNKNOWN, nullptr}};
    Buffer out(size);
    std::size_t read = 0, used = 0;
    if (lzma_raw_buffer_decode(filters, nullptr, stream.data(), &read, stream.size(), out.data(), &used, size) != LZMA_OK) return std::nullopt;
    out.resize(used);
    return out;
}

/// Runs, repetitions near and far, words of a small alphabet and noise, in no order.
Buffer contents(std::size_t size, unsigned seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); };
    Buffer out;
    while (out.size() < size) {
        const std::uint32_t length = 1 + below(below(8) == 0 ? 600 : 20);
        switch (below(5)) {
            case 0: out.insert(out.end(), length, static_cast<std::uint8_t>(below(256))); break;
            case 1:
                for (std::uint32_t i = 0; i < length; ++i) out.push_back(static_cast<std::uint8_t>(below(256)));
                break;
            case 2:
                for (std::uint32_t i = 0; i < length; ++i) out.push_back(static_cast<std::uint8_t>("etaoin shrdlu"[below(13)]));
                break;
            default: {
                if (out.empty()) break;
                const std::size_t distance = 1 + below(static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), below(2) == 0 ? 40 : 1u << 20)));
                for (std::uint32_t i = 0; i < length; ++i) out.push_back(out[out.size() - distance]);
                if (below(3) == 0) out.back() ^= static_cast<std::uint8_t>(1 + below(255));
            }
        }
    }
    out.resize(size);
    return out;
}

}  // namespace

TEST_CASE("LZMA2 streams of every kind of contents and options expand", "[image]") {
    for (unsigned seed = 0; seed < 24; ++seed) {
        const std::size_t size = seed < 8 ? seed : seed < 16 ? 1000 * seed : 200'000 * (seed - 14);
        const Buffer bytes = contents(size, seed);
        Options options;
        options.dictionary = seed % 3 == 0 ? 4096 : 1u << 20;
        options.context = seed % 5;
        options.literal_position = std::min(seed % 4, 4 - options.context);
        options.position = seed / 2 % 5;
        options.preset = seed % 2 == 0 ? 0 : 6;
        INFO("seed " << seed);
        CHECK((expand(pack(bytes, options), size, options.dictionary) == bytes));
    }
}

TEST_CASE("what cannot be packed is kept as it is", "[image]") {
    std::mt19937 random(1);
    Buffer bytes(300'000);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    bytes.insert(bytes.end(), 100'000, 7);  // and packed chunks go on behind those that are not
    const Buffer stream = pack(bytes, {});
    CHECK(stream.size() > 300'000);
    CHECK((expand(stream, bytes.size(), Options{}.dictionary) == bytes));
}

TEST_CASE("an LZMA2 stream that is cut anywhere is damaged", "[image]") {
    const Buffer bytes = contents(3000, 5);
    const Buffer stream = pack(bytes, {});
    for (std::size_t size = 0; size < stream.size(); ++size) {
        INFO("cut to " << size);
        CHECK_FALSE(expand(Buffer(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size)), bytes.size(), Options{}.dictionary));
    }
    // Bytes behind the end are not the stream's.
    Buffer longer = stream;
    longer.insert(longer.end(), 100, 0xFF);
    Lzma2Decoder decoder(longer, Options{}.dictionary, bytes.size());
    while (decoder.next() == Lzma2Decoder::State::more) continue;
    CHECK(decoder.consumed() == stream.size());
}

TEST_CASE("no damaged LZMA2 stream expands to anything that liblzma does not say", "[image]") {
    const Buffer bytes = contents(1500, 9);
    const Buffer stream = pack(bytes, {});
    for (std::size_t at = 0; at < stream.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
            Buffer damaged = stream;
            damaged[at] ^= static_cast<std::uint8_t>(1u << bit);
            const auto ours = expand(damaged, bytes.size(), Options{}.dictionary);
            if (!ours) continue;
            INFO("byte " << at << " bit " << bit);
            CHECK((ours == expand_with_liblzma(damaged, bytes.size(), {})));
        }
    }
}

TEST_CASE("a match beyond the dictionary, or more than was announced, is damage", "[image]") {
    Buffer bytes = contents(40'000, 3);
    const Buffer first(bytes.begin(), bytes.begin() + 500);
    std::copy(first.begin(), first.end(), bytes.end() - 500);
    Options options;
    options.preset = 9;
    const Buffer stream = pack(bytes, options);
    CHECK((expand(stream, bytes.size(), options.dictionary) == bytes));
    CHECK_FALSE(expand(stream, bytes.size(), 4096));
    CHECK_FALSE(expand(stream, bytes.size() - 1, options.dictionary));
    CHECK((expand(stream, bytes.size() + 1, options.dictionary) == bytes));
}

TEST_CASE("LZMA2 chunks follow each other as the format allows", "[image]") {
    const auto state_of = [](const Buffer& stream) { return expand(stream, 1000, 4096); };
    CHECK((state_of({0x00}) == Buffer{}));
    CHECK((state_of({0x01, 0, 2, 'a', 'b', 'c', 0x00}) == Buffer{'a', 'b', 'c'}));
    CHECK((state_of({0x01, 0, 0, 'a', 0x02, 0, 0, 'b', 0x00}) == Buffer{'a', 'b'}));
    CHECK_FALSE(state_of({0x02, 0, 0, 'b', 0x00}));        // no dictionary yet
    CHECK_FALSE(state_of({0x01, 0, 2, 'a', 'b'}));         // cut
    CHECK_FALSE(state_of({0x01, 0, 0, 'a'}));              // no end
    CHECK_FALSE(state_of({0x01, 0x03, 0xE8, 'a', 0x00}));  // 1001 bytes, of which one is there
    for (const std::uint8_t control : {0x03, 0x40, 0x7F}) CHECK_FALSE(state_of({0x01, 0, 0, 'a', control, 0, 0, 'b', 0x00}));

    const Buffer packed = pack(Buffer(64, 'x'), {});
    REQUIRE(packed[0] >= 0xE0);  // everything anew
    CHECK(state_of(packed));
    for (const std::uint8_t control : {0x80, 0xA0, 0xC0}) {
        Buffer without_dictionary = packed;
        without_dictionary[0] = control;
        CHECK_FALSE(state_of(without_dictionary));
    }
    // Properties may not be left out once the dictionary is emptied.
    Buffer without_properties = {0x01, 0, 0, 'a'};
    without_properties.insert(without_properties.end(), packed.begin(), packed.end());
    without_properties[4] = 0xA0;
    without_properties.erase(without_properties.begin() + 9);
    CHECK_FALSE(state_of(without_properties));
    // (pb * 5 + lp) * 9 + lc: pb 4 at most, and LZMA2 has lc + lp 4 at most.
    for (const std::uint8_t properties : {225, 255, 4 + 9, 5}) {
        Buffer other = packed;
        other[5] = properties;
        CHECK_FALSE(state_of(other));
    }
}
