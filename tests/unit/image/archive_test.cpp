// SPDX-License-Identifier: Apache-2.0
// Packages: what is opened inside, unsafe names, bombs, other archives.
#include "image/archive.h"

#include <catch2/catch.hpp>

#include "packed.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;
using Catch::Matchers::Contains;

namespace {

Buffer text(const std::string& words) { return {words.begin(), words.end()}; }

}  // namespace

TEST_CASE("a package gives what is an image by content, in order, and passes over the rest") {
    const Buffer elf = tiny_program().build();
    const auto opened = open_all(make_deb({{"./boot/vmlinux", elf},
                                           {"./boot/config-6.1", text("CONFIG_X86=y\n")},
                                           {"./usr/share/doc/linux/changelog.gz", compress(ARCHIVE_FILTER_GZIP, text("changes"))},
                                           {"./boot/xen.gz", compress(ARCHIVE_FILTER_GZIP, elf)},
                                           {"./lib/modules/a.ko", elf},
                                           {"./lib/modules/b.ko.xz", compress(ARCHIVE_FILTER_XZ, elf)}}),
                                 {}, "/some/where/linux.deb");
    REQUIRE(opened.status);
    CHECK(opened.member_errors.empty());
    REQUIRE(opened.images.size() == 4);
    CHECK(opened.images[0].name == "linux.deb!boot/vmlinux");
    CHECK(opened.images[0].wrappers == std::vector<std::string>{"deb", "xz"});
    CHECK(opened.images[1].name == "linux.deb!boot/xen.gz");
    CHECK(opened.images[1].wrappers == std::vector<std::string>{"deb", "xz", "gzip"});
    CHECK(opened.images[2].name == "linux.deb!lib/modules/a.ko");
    CHECK(opened.images[3].wrappers == std::vector<std::string>{"deb", "xz", "xz"});
}

TEST_CASE("an error in one member leaves the others") {
    Buffer cut = tiny_program().build();
    cut.resize(100);
    const auto opened = open_all(make_deb({{"./lib/bad.ko", cut}, {"./lib/text.ko", text("no code")}, {"./lib/good.ko", tiny_program().build()}}));
    CHECK(opened.status);
    CHECK(opened.images.size() == 1);
    REQUIRE(opened.member_errors.size() == 2);
    CHECK(opened.member_errors[0].file == "test!lib/bad.ko");
    CHECK(opened.member_errors[1].code == ErrorCode::unsupported);
}

TEST_CASE("names that leave the package are refused and the rest is opened") {
    const Buffer elf = tiny_program().build();
    const auto opened = open_all(make_deb({{"../../etc/evil.ko", elf}, {"/etc/evil.ko", elf}, {"./lib/../../evil.ko", elf}, {"./lib/good.ko", elf}}));
    CHECK(opened.status);
    CHECK(opened.images.size() == 1);
    REQUIRE(opened.member_errors.size() == 3);
    for (const Error& error : opened.member_errors) CHECK(error.code == ErrorCode::refused);
    CHECK_THAT(opened.member_errors[0].message, Contains("'..'"));
    CHECK_THAT(opened.member_errors[1].message, Contains("absolute"));
}

TEST_CASE("which member names are unsafe") {
    CHECK(unsafe_member_name("") != nullptr);
    CHECK(unsafe_member_name("..") != nullptr);
    CHECK(unsafe_member_name("a/..") != nullptr);
    CHECK(unsafe_member_name("a/../b") != nullptr);
    CHECK(unsafe_member_name("a\\b") != nullptr);
    CHECK(unsafe_member_name(std::string_view("a\nb")) != nullptr);
    CHECK(unsafe_member_name("a/..b/c..") == nullptr);
    CHECK(unsafe_member_name("lib/modules/6.1.0/kernel/a.ko") == nullptr);
}

TEST_CASE("a package whose data expands beyond the limit is refused before it is expanded") {
    const Buffer bomb = make_deb({{"./usr/zeros", Buffer(4 << 20, 0)}, {"./lib/a.ko", tiny_program().build()}});
    OpenOptions options;
    options.max_decompressed = 1 << 20;
    const auto opened = open_all(bomb, options);
    REQUIRE_FALSE(opened.status);
    CHECK(opened.status.error().code == ErrorCode::refused);
    CHECK_THAT(opened.status.error().message, Contains("--max-size"));
    CHECK(opened.images.empty());
}

TEST_CASE("many members that each stay below the limit are stopped by their sum") {
    OpenOptions options;
    options.max_decompressed = 1 << 20;
    std::vector<Member> members;
    for (int i = 0; i < 20; ++i) members.push_back({"./lib/" + std::to_string(i) + ".ko.xz", compress(ARCHIVE_FILTER_XZ, Buffer(1 << 20, 0))});
    const auto opened = open_all(make_deb(members), options);
    REQUIRE(opened.member_errors.size() == 20);
    CHECK(opened.member_errors[7].code == ErrorCode::unsupported);  // expanded, and zeros are no image
    CHECK(opened.member_errors[8].code == ErrorCode::refused);
    CHECK_THAT(opened.member_errors[19].message, Contains("8 times") && Contains("--max-size"));
}

TEST_CASE("more members than the limit are refused") {
    OpenOptions options;
    options.max_members = 4;
    const auto opened = open_all(make_deb({{"./a", {1}}, {"./b", {1}}, {"./c", {1}}, {"./d", {1}}}), options);
    REQUIRE_FALSE(opened.status);
    CHECK_THAT(opened.status.error().message, Contains("--max-members"));
}

TEST_CASE("an ar archive that is no package, and a package cut anywhere, are errors") {
    const Buffer elf = tiny_program().build();
    const auto library = open_all(pack(ARCHIVE_FORMAT_AR, ARCHIVE_FILTER_NONE, {{"a.o", elf}}));
    REQUIRE_FALSE(library.status);
    CHECK(library.status.error().code == ErrorCode::unsupported);
    const Buffer whole = make_deb({{"./lib/a.ko", elf}});
    for (std::size_t size = 8; size + 32 < whole.size(); size += 7) {
        INFO("cut at " << size);
        CHECK_FALSE(open_all(Buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).status);
    }
}

TEST_CASE("the sink can stop") {
    const Buffer elf = tiny_program().build();
    int seen = 0;
    const Status status = open_image_bytes(
        "test", make_deb({{"./a.ko", elf}, {"./b.ko", elf}}), {},
        [&](Image&&) {
            ++seen;
            return false;
        },
        [](const Error&) {});
    CHECK(status);
    CHECK(seen == 1);
}
