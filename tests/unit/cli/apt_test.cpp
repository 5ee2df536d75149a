// SPDX-License-Identifier: Apache-2.0
// What apt-cache prints, taken apart; what must never reach an apt configuration or command line.
#include <catch2/catch.hpp>

#include "cli/apt.h"

using namespace trapline;
using namespace trapline::cli;

TEST_CASE("Stanzas of apt-cache show give versions, hashes and names of dependencies", "[cli]") {
    // From `apt-cache show linux-image-686`, shortened; the second is made up for alternatives and architectures.
    const auto versions = parse_stanzas(
        "Package: linux-image-686\n"
        "Version: 6.1.176-1\n"
        "Depends: linux-image-6.1.0-50-686 (= 6.1.176-1)\n"
        "Description: Linux for older PCs (meta-package)\n"
        " Depends: not a field\n"
        "SHA256: 45457bcfc86c\n"
        "\n"
        "Package: other\n"
        "Version: 1:2~3\n"
        "Depends: a | b:any (>= 1), c [i386]\n");
    REQUIRE(versions.size() == 2);
    CHECK(versions[0].name == "linux-image-686");
    CHECK(versions[0].version == "6.1.176-1");
    CHECK(versions[0].sha256 == "45457bcfc86c");
    CHECK(versions[0].depends == std::vector<std::string>{"linux-image-6.1.0-50-686"});
    CHECK(versions[1].depends == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("Stanzas without a name or a version are passed over", "[cli]") {
    CHECK(parse_stanzas("").empty());
    CHECK(parse_stanzas("\n\n\n").empty());
    CHECK(parse_stanzas("Package: x\n\nVersion: 1\n").empty());
    CHECK(parse_stanzas("no colon\n: \n").empty());
}

TEST_CASE("A cache path that would break out of apt's configuration is refused", "[cli]") {
    if (!apt_version()) return;  // without apt, open fails earlier; nothing to see
    for (const char* path : {"/tmp/a\"b", "/tmp/a;b", "/tmp/a\nb", "/tmp/{a}", "/tmp/a\\b"}) {
        const auto apt = PrivateApt::open(path, "amd64");
        REQUIRE_FALSE(apt);
        CHECK(apt.error().code == ErrorCode::refused);
    }
}
