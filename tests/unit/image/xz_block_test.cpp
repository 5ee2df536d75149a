// SPDX-License-Identifier: Apache-2.0
// XZ files as kernels' builds make them (`xz --check=crc32 --x86 --lzma2`), whole and damaged; liblzma's encoder makes them.
#include <lzma.h>

#include <catch2/catch.hpp>
#include <future>

#include "image/decompress.h"

using namespace trapline;
using namespace trapline::image;
using Catch::Matchers::Contains;
using Buffer = std::vector<std::uint8_t>;

namespace {

constexpr std::uint64_t kLimit = std::uint64_t{1} << 26;

Buffer contents() {
    Buffer out;
    for (std::uint32_t i = 0; out.size() < 700'000; ++i) {
        out.push_back(0xE8);  // call, which the x86 filter rewrites
        for (int byte = 0; byte < 4; ++byte) out.push_back(static_cast<std::uint8_t>(i * 37 >> (8 * byte)));
        out.insert(out.end(), i % 7, static_cast<std::uint8_t>(i));
    }
    return out;
}

Buffer pack(const Buffer& bytes, lzma_check check) {
    lzma_options_lzma options;
    REQUIRE_FALSE(lzma_lzma_preset(&options, 1));
    lzma_filter filters[] = {{LZMA_FILTER_X86, nullptr}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
    Buffer out(lzma_stream_buffer_bound(bytes.size()));
    std::size_t used = 0;
    REQUIRE(lzma_stream_buffer_encode(filters, check, nullptr, bytes.data(), bytes.size(), out.data(), &used, out.size()) == LZMA_OK);
    out.resize(used);
    return out;
}

}  // namespace

TEST_CASE("a block with a CRC32 expands, and others can follow", "[image]") {
    const Buffer bytes = contents();
    const Buffer file = pack(bytes, LZMA_CHECK_CRC32);
    ExpandingBytes out;
    std::future<Buffer> follower;
    const Finisher finisher(out);
    follower = std::async(std::launch::async, [&] {
        Buffer seen_bytes;
        out.follow([&](Bytes all, std::size_t seen) {
            seen_bytes.insert(seen_bytes.end(), all.begin() + static_cast<std::ptrdiff_t>(seen), all.end());
            return true;
        });
        return seen_bytes;
    });
    CHECK(expand_xz_block(file, kLimit, out));
    CHECK(follower.get() == bytes);
    CHECK(out.take() == bytes);
}

TEST_CASE("other XZ files are left alone", "[image]") {
    const Buffer bytes = contents();
    const auto refused = [](const Buffer& file, std::uint64_t limit) {
        ExpandingBytes out;
        return !expand_xz_block(file, limit, out) && out.size() == 0;
    };
    CHECK(refused(pack(bytes, LZMA_CHECK_CRC64), kLimit));
    CHECK(refused(pack({}, LZMA_CHECK_CRC32), kLimit));
    const Buffer one = pack(bytes, LZMA_CHECK_CRC32);
    CHECK(refused(one, bytes.size() - 1));
    Buffer two = one;
    two.insert(two.end(), one.begin(), one.end());
    CHECK(refused(two, kLimit));
    Buffer padded = one;
    padded.insert(padded.end(), 4, 0);
    CHECK(refused(padded, kLimit));
    // All of them expand the other way.
    CHECK(*decompress(Content::xz, pack(bytes, LZMA_CHECK_CRC64), kLimit, "a") == bytes);
    CHECK(decompress(Content::xz, two, kLimit, "a")->size() == 2 * bytes.size());
    CHECK(*decompress(Content::xz, padded, kLimit, "a") == bytes);
    CHECK(decompress(Content::xz, one, bytes.size() - 1, "a").error().code == ErrorCode::refused);
}

TEST_CASE("a damaged XZ file is an error wherever the damage is", "[image]") {
    const Buffer bytes = contents();
    const Buffer file = pack(bytes, LZMA_CHECK_CRC32);
    // Header, block header, data, check, index, footer.
    for (std::size_t at = 0; at < file.size(); at += at < 40 || at + 60 > file.size() ? 1 : file.size() / 23) {
        Buffer damaged = file;
        damaged[at] ^= 0x20;
        INFO("byte " << at << " of " << file.size());
        const auto out = decompress(Content::xz, damaged, kLimit, "a");
        CHECK((!out || *out == bytes));  // libarchive does not look at everything behind the data
        if (at >= 40 && at + 60 < file.size()) CHECK_FALSE(out);
    }
    for (const std::size_t size : {std::size_t{11}, std::size_t{24}, file.size() / 2, file.size() - 13}) {
        INFO("cut to " << size);
        const auto out = decompress(Content::xz, Bytes(file).first(size), kLimit, "a");
        CHECK((!out || *out == bytes));
    }
}

TEST_CASE("a wrong CRC32 is damage", "[image]") {
    const Buffer bytes = contents();
    Buffer file = pack(bytes, LZMA_CHECK_CRC32);
    // The stream ends with 12 bytes of footer; its third word says how long the index before it is, in words less one.
    const std::size_t index = file.size() - 12 - 4 * (*ByteView(file).get<std::uint32_t>(file.size() - 8) + std::size_t{1});
    file[index - 1] ^= 1;
    ExpandingBytes out;
    CHECK_FALSE(expand_xz_block(file, kLimit, out));
    CHECK(out.size() == bytes.size());
    const auto refused = decompress(Content::xz, file, kLimit, "a");
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Contains("damaged xz stream"));
}

TEST_CASE("what is appended beyond the room moves and stays whole", "[image]") {
    ExpandingBytes out;
    std::future<std::uint64_t> sum;
    const Finisher finisher(out);
    sum = std::async(std::launch::async, [&] {
        std::uint64_t total = 0;
        out.follow([&](Bytes all, std::size_t seen) {
            for (; seen < all.size(); ++seen) total += all[seen];
            return true;
        });
        return total;
    });
    std::uint64_t expected = 0;
    for (std::uint32_t i = 0; i < 300; ++i) {
        const Buffer piece(1000 + i * 17, static_cast<std::uint8_t>(i));
        expected += (1000 + i * 17) * std::uint64_t{i % 256};
        out.append(piece);
    }
    out.finish();
    CHECK(sum.get() == expected);
    CHECK(out.finished());
}
