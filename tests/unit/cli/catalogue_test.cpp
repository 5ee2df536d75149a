// SPDX-License-Identifier: Apache-2.0
// The catalogue that is compiled in, malformed ones, and the lock file.
#include <catch2/catch.hpp>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/catalogue.h"

using namespace trapline;
using namespace trapline::cli;

namespace {

/// A folder that goes with the test.
struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "catalogue.XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path / name, std::ios::binary) << text;
        return (path / name).string();
    }
};

std::string catalogue_of(const std::string& images) { return R"({"schema": "trapline.corpus/1", "title": "t", "images": [)" + images + "]}"; }

const std::string kImage =
    R"({"name": "x", "title": "t", "package": "p", "version": "*", "architecture": "amd64", "format": "elf"})";

}  // namespace

TEST_CASE("The compiled-in catalogue has the stock kernels of both architectures", "[cli]") {
    int stock = 0;
    for (const CatalogueEntry& entry : catalogue()) {
        CHECK_FALSE(entry.package.empty());
        CHECK((entry.architecture == "amd64" || entry.architecture == "i386"));
        stock += entry.name == "debian-12-amd64" || entry.name == "debian-12-i386-686" || entry.name == "debian-12-i386-686-pae";
    }
    CHECK(stock == 3);
}

TEST_CASE("A malformed catalogue is refused with the place", "[cli]") {
    CHECK(parse_catalogue(catalogue_of(kImage), "c"));
    const auto pointer = [](const std::string& text) {
        const auto parsed = parse_catalogue(text, "c");
        return parsed ? std::string("accepted") : parsed.error().pointer;
    };
    CHECK(pointer(catalogue_of(kImage + "," + kImage)) == "/images/1");
    CHECK(pointer(catalogue_of(R"({"name": "x"})")) == "/images/0");
    CHECK(pointer(catalogue_of(R"({"name": "../x", "title": "t", "package": "p", "version": "*", "architecture": "a", "format": "elf"})")) == "/images/0");
    CHECK(pointer(catalogue_of("7")) == "/images/0");
    CHECK(pointer(R"({"schema": "trapline.corpus/2", "title": "t", "images": []})") == "/");
    CHECK(pointer("{") == "");
    CHECK(pointer(R"({"schema": "trapline.corpus/1", "title": "t"})") == "/");
}

TEST_CASE("A lock file is read as it was written; a missing one is empty", "[cli]") {
    const Folder folder;
    const std::string path = (folder.path / "lock.json").string();
    const auto missing = read_lock(path);
    REQUIRE(missing);
    CHECK(missing->empty());
    const LockFile lock = {{"x", {"p", "1:2~3", "i386", "x/p.deb", "aa", "x/boot/vmlinuz", "bb"}}};
    REQUIRE(write_lock(path, lock));
    const auto read = read_lock(path);
    REQUIRE(read);
    REQUIRE(read->count("x") == 1);
    CHECK(read->at("x").version == "1:2~3");
    CHECK(read->at("x").file == "x/boot/vmlinuz");
    CHECK(read->at("x").sha256 == "bb");
    for (const char* bad : {"", "[]", R"({"schema": "trapline.corpus-lock/1", "images": []})", R"({"schema": "other", "images": {}})"})
        CHECK_FALSE(read_lock(folder.write("bad.json", bad)));
}

TEST_CASE("Files are named by their first bytes and hashed", "[cli]") {
    const Folder folder;
    // sha256sum of "abc" is the first example of FIPS 180-2.
    const auto hash = sha256_of_file(folder.write("abc", "abc"));
    REQUIRE(hash);
    CHECK(*hash == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(format_of_file(folder.write("raw", "abc")).value() == "raw");
    CHECK(format_of_file(folder.write("gz", std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10))).value() == "gzip");
    CHECK(format_of_file(folder.write("deb", "!<arch>\ndebian-binary   ")).value() == "ar");
    CHECK_FALSE(sha256_of_file((folder.path / "missing").string()));
}
