// SPDX-License-Identifier: Apache-2.0
// Compressed streams: each kind the kernel's build makes, limits, damage.
#include "image/decompress.h"

#include <catch2/catch.hpp>

#include "packed.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;
using Catch::Matchers::Contains;

namespace {

// The text of the vectors below.
Buffer sample() {
    Buffer out;
    const std::string words = "the quick brown fox jumps over the lazy dog; ";
    for (int i = 0; i < 6; ++i) out.insert(out.end(), words.begin(), words.end());
    for (int i = 0; i < 64; ++i) out.push_back(static_cast<std::uint8_t>(i));
    out.insert(out.end(), 300, 0);
    out.insert(out.end(), words.begin(), words.begin() + 19);
    return out;
}

// lz4 1.9.4: lz4 -l -9
constexpr const char* kLz4Legacy =
    "02214c1881000000f01074686520717569636b2062726f776e20666f78206a756d7073206f766572201f00af6c617a7920646f673b202d00ceff320001020304"
    "05060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f000100ff19"
    "0a9901506e20666f78";
// lzop 1.04: lzop -9
constexpr const char* kLzop =
    "894c5a4f000d0a1a0a104020a00940030903000009000081a46b0110cb0000000005762e62696e4d6205c00000028d0000007f79c7710c307468652071756963"
    "6b2062726f776e20666f78206a756d7073206f766572207803076c617a7920646f673b2020c0b000002f000102030405060708090a0b0c0d0e0f101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f0020000b000031600611000000000000";
// lzop 1.04: lzop -9 --crc32
constexpr const char* kLzopCrc32 =
    "894c5a4f000d0a1a0a104020a01001030903001100000081a46b0110cb0000000005762e62696e7f714c0a0000028d0000007f87dfab41307468652071756963"
    "6b2062726f776e20666f78206a756d7073206f766572207803076c617a7920646f673b2020c0b000002f000102030405060708090a0b0c0d0e0f101112131415"
    "161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f0020000b000031600611000000000000";
// The same with an extra field and all four checksums for the block, which no option of lzop makes: put together with
// Python's zlib. lzop 1.04 -t accepts it and refuses it with any byte after the magic changed.
constexpr const char* kLzopAllSums =
    "894c5a4f000d0a1a0a104020a01001030903001343000081a46b0110cb0000000005762e62696e5be150070000000565787472613dd97f650000028d0000007f"
    "79c7710c87dfab4111711a18e4ab7a2c3074686520717569636b2062726f776e20666f78206a756d7073206f766572207803076c617a7920646f673b2020c0b0"
    "00002f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c"
    "3d3e3f0020000b000031600611000000000000";
// XZ Utils 5.4.1: xz --format=lzma -9
constexpr const char* kLzma =
    "5d00000004ffffffffffffffff003a1a08ce76c7e5e9d60734c3d10ebfce55e1aabde0e48f9801dd8de507549e65255f273a6a7eb4d3490551235664f4450f0c"
    "e6277f2fc5ee76a40453c2a6f9ccb73e7d94b70a22a1270ece266264c19824bef706b9a87ccf787d912f52cb179f2b87b06545a7a4792f979c3a50567a65f462"
    "1c3bffffda144000";

Buffer from_hex(const char* text) { return *parse_hex(text); }

}  // namespace

TEST_CASE("streams of other tools expand to what was compressed") {
    const auto [hex, content] = GENERATE(table<const char*, Content>(
        {{kLz4Legacy, Content::lz4_legacy}, {kLzop, Content::lzo}, {kLzopCrc32, Content::lzo}, {kLzopAllSums, Content::lzo},
         {kLzma, Content::lzma}}));
    const Buffer packed = from_hex(hex);
    CHECK(identify(ByteView(packed)) == content);
    const auto expanded = decompress(content, packed, 1 << 20, "test");
    REQUIRE(expanded);
    CHECK(*expanded == sample());
    for (std::size_t size = 9; size < packed.size(); ++size) {
        INFO("cut at " << size);
        CHECK_FALSE(decompress(content, Bytes(packed).first(size), 1 << 20, "test"));
    }
}

TEST_CASE("libarchive's own streams come back, and a bomb stops at the limit with the option's name") {
    const auto [filter, content] = GENERATE(table<int, Content>({{ARCHIVE_FILTER_GZIP, Content::gzip},
                                                                 {ARCHIVE_FILTER_BZIP2, Content::bzip2},
                                                                 {ARCHIVE_FILTER_XZ, Content::xz},
                                                                 {ARCHIVE_FILTER_LZMA, Content::lzma},
                                                                 {ARCHIVE_FILTER_LZ4, Content::lz4_frame},
                                                                 {ARCHIVE_FILTER_ZSTD, Content::zstd}}));
    INFO(to_string(content));
    const Buffer packed = compress(filter, sample());
    REQUIRE(identify(ByteView(packed)) == content);
    CHECK(decompress(content, packed, sample().size(), "test").value() == sample());

    std::string accepted;
    for (std::size_t size = 6; size < packed.size(); ++size)
        if (decompress(content, Bytes(packed).first(size), 1 << 20, "test")) accepted += " " + std::to_string(size);
    CHECK(accepted == "");

    const Buffer bomb = compress(filter, Buffer(4 << 20, 0));
    const auto stopped = decompress(content, bomb, 1 << 20, "bomb");
    REQUIRE_FALSE(stopped);
    CHECK(stopped.error().code == ErrorCode::refused);
    CHECK_THAT(stopped.error().message, Contains("1048576 bytes") && Contains("--max-size"));
    CHECK(stopped.error().file == "bomb");
}

TEST_CASE("an lzop bomb stops at the limit") {
    const auto stopped = decompress(Content::lzo, from_hex(kLzop), 100, "bomb");
    REQUIRE_FALSE(stopped);
    CHECK(stopped.error().code == ErrorCode::refused);
}

TEST_CASE("damaged LZO blocks are refused, whatever is wrong") {
    const Buffer packed = from_hex(kLzop);
    for (std::size_t at = 60; at < packed.size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            Buffer changed = packed;
            changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1 << bit));
            const auto expanded = decompress(Content::lzo, changed, 1 << 20, "test");
            if (expanded) CHECK(*expanded == sample());
        }
    std::vector<std::uint8_t> out;
    // 17+4: four literals where two follow.
    CHECK(expand_lzo1x(Buffer{21, 1, 2}, 4, out) != nullptr);
    out.clear();
    // A match of distance 1 before anything was written (0100 0000: length 3).
    CHECK(expand_lzo1x(Buffer{0x40, 0x00, 0x11, 0, 0}, 3, out) != nullptr);
}

TEST_CASE("a failed LZO block leaves the output as it was") {
    std::vector<std::uint8_t> out = {7};
    CHECK(expand_lzo1x(Buffer{21, 1, 2}, 4, out) != nullptr);
    CHECK(out == std::vector<std::uint8_t>{7});
}

TEST_CASE("the checksums of lzop files are held against the bytes, and the error says which") {
    const auto [at, part, offset] = GENERATE(table<std::size_t, const char*, std::uint64_t>(
        {{34, "CRC-32 of the lzop header is", 9},  // a letter of the name
         {39, "CRC-32 of the lzop header is", 9},
         {47, "CRC-32 of the lzop header's extra field is", 43},  // a letter of the field
         {52, "CRC-32 of the lzop header's extra field is", 43},
         {64, "Adler-32 of the expanded lzop block is 0x79c7710c, expected 0x78c7710c", 80},
         {68, "CRC-32 of the expanded lzop block is 0x87dfab41, expected 0x86dfab41", 80},
         {72, "Adler-32 of the compressed lzop block is", 80},
         {76, "CRC-32 of the compressed lzop block is", 80},
         {90, "Adler-32 of the compressed lzop block is", 80}}));  // a literal
    INFO("byte " << at);
    Buffer changed = from_hex(kLzopAllSums);
    changed[at] = static_cast<std::uint8_t>(changed[at] ^ 1);
    const auto expanded = decompress(Content::lzo, changed, 1 << 20, "test");
    REQUIRE_FALSE(expanded);
    CHECK(expanded.error().code == ErrorCode::malformed);
    CHECK(expanded.error().offset == offset);
    CHECK_THAT(expanded.error().message, Contains(part) && Contains("expected 0x"));
}

TEST_CASE("no changed byte of an lzop file with all checksums goes unseen") {
    const Buffer packed = from_hex(kLzopAllSums);
    std::string accepted;
    for (std::size_t at = 9; at < packed.size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            Buffer changed = packed;
            changed[at] = static_cast<std::uint8_t>(changed[at] ^ (1 << bit));
            if (decompress(Content::lzo, changed, 1 << 20, "test")) accepted += " " + std::to_string(at);
        }
    CHECK(accepted == "");
}

TEST_CASE("no single byte makes .lzma of something else") {
    Buffer text(64, 0x5D);
    CHECK(identify(ByteView(text)) == Content::unknown);
}

TEST_CASE("an .lzma header that announces a huge dictionary is refused before anything is allocated") {
    // A fuzzer's find: 83 bytes made liblzma allocate 1.6 GB. Properties 5D, dictionary 0x60000000, length unknown.
    Buffer file{0x5D, 0x00, 0x00, 0x00, 0x60};
    file.insert(file.end(), 8, 0xFF);
    file.insert(file.end(), 70, 0x00);
    REQUIRE(identify(ByteView(file)) == Content::lzma);
    const auto expanded = decompress(Content::lzma, file, std::uint64_t{1} << 30, "test");
    REQUIRE_FALSE(expanded.has_value());
    CHECK(expanded.error().code == ErrorCode::refused);
    CHECK_THAT(expanded.error().message, Contains("1610612736") && Contains("--max-size"));
}
