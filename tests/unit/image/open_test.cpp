// SPDX-License-Identifier: Apache-2.0
// Raw code, unknown files, depth.
#include <catch2/catch.hpp>

#include "packed.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;
using Catch::Matchers::Contains;

TEST_CASE("raw code is one section at the base, whatever the bytes look like") {
    OpenOptions options;
    options.raw = CodeWidth::bits16;
    options.raw_base = {0x7C00};
    const auto opened = open_all(tiny_program().build(), options);
    REQUIRE(opened.images.size() == 1);
    const Image& image = opened.images[0];
    CHECK(image.format == Format::raw);
    REQUIRE(image.sections.size() == 1);
    CHECK(image.sections[0].address == VirtAddr{0x7C00});
    CHECK(image.sections[0].real_mode);
    CHECK(image.pointers.at(0).address == VirtAddr{0x7C00});
}

TEST_CASE("raw code must fit its address space") {
    OpenOptions options;
    options.raw = CodeWidth::bits32;
    options.raw_base = {0xFFFFFFFE};
    CHECK(open_all({0x90, 0x90}, options).status);
    CHECK(open_all({0x90, 0x90, 0x90}, options).status.error().code == ErrorCode::refused);
    options.raw = CodeWidth::bits64;
    options.raw_base = {~std::uint64_t{0}};
    CHECK(open_all({0x90}, options).status);
    CHECK_FALSE(open_all({0x90, 0x90}, options).status);
    CHECK(open_all({}, options).status.error().code == ErrorCode::truncated);
}

TEST_CASE("what is not understood is said, with the bytes found") {
    CHECK(open_all({}).status.error().code == ErrorCode::truncated);
    const auto unknown = open_all({'h', 'e', 'l', 'l', 'o'});
    CHECK(unknown.status.error().code == ErrorCode::unsupported);
    CHECK_THAT(unknown.status.error().message, Contains("68656c6c6f") && Contains("--raw"));
    const auto pe = open_all({'M', 'Z', 0, 0});
    CHECK(pe.status.error().code == ErrorCode::unsupported);
    CHECK_THAT(pe.status.error().message, Contains("PE"));
    Status missing = open_images("no/such/file", {}, [](Image&&) { return true; }, [](const Error&) {});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ErrorCode::io);
    CHECK(missing.error().file == "no/such/file");
}

TEST_CASE("streams inside streams end at the depth limit") {
    Buffer bytes = tiny_program().build();
    for (int i = 0; i < 8; ++i) bytes = compress(ARCHIVE_FILTER_GZIP, bytes);
    CHECK(open_all(bytes).images.size() == 1);
    const auto refused = open_all(compress(ARCHIVE_FILTER_GZIP, bytes));
    REQUIRE_FALSE(refused.status);
    CHECK(refused.status.error().code == ErrorCode::refused);
    CHECK_THAT(refused.status.error().message, Contains("layers"));
}

TEST_CASE("a file larger than the limit is refused before it is read whole") {
    OpenOptions options;
    options.max_decompressed = 1000;
    const Status status = open_images("/dev/zero", options, [](Image&&) { return true; }, [](const Error&) {});
    REQUIRE_FALSE(status);
    CHECK(status.error().code == ErrorCode::refused);
    CHECK_THAT(status.error().message, Contains("--max-size"));
}
