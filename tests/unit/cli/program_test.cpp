// SPDX-License-Identifier: Apache-2.0
// The whole program in this process: exit codes, messages and files of cases that once went wrong.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "../image/elf_builder.h"
#include "../reports/schema_validator.h"
#include "cli/program.h"

using namespace trapline;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

struct Answer {
    int code;
    std::string output, errors;
};

/// A folder that goes with the test, and the program run with its output caught there.
struct Scratch {
    fs::path path;
    Scratch() {
        std::string name = (fs::temp_directory_path() / "program.XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Scratch() { fs::remove_all(path); }

    Answer run(std::vector<std::string> words) const {
        words.insert(words.begin(), "trapline");
        std::vector<const char*> pointers;
        for (const std::string& word : words) pointers.push_back(word.c_str());
        std::fflush(stdout);
        const int saved_output = ::dup(STDOUT_FILENO), saved_errors = ::dup(STDERR_FILENO);
        redirect("out", STDOUT_FILENO);
        redirect("err", STDERR_FILENO);
        const int code = cli::run_program(static_cast<int>(pointers.size()), pointers.data());
        std::fflush(stdout);
        ::dup2(saved_output, STDOUT_FILENO);
        ::dup2(saved_errors, STDERR_FILENO);
        ::close(saved_output);
        ::close(saved_errors);
        return {code, text("out"), text("err")};
    }
    std::string write(const std::string& name, const image::test::Buffer& bytes) const {
        std::ofstream(path / name, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        return (path / name).string();
    }

private:
    void redirect(const char* name, int descriptor) const {
        const int file = ::open((path / name).c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
        ::dup2(file, descriptor);
        ::close(file);
    }
    std::string text(const char* name) const {
        std::ifstream stream(path / name, std::ios::binary);
        return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    }
};

}  // namespace

TEST_CASE("A module without a finding that the user named is answered with its reports", "[cli]") {
    const Scratch scratch;
    image::test::ElfBuilder elf;
    elf.type = 1;  // ET_REL
    elf.add({".text", 1, 6, 0, {0x90, 0xC3}});
    const std::string module = scratch.write("quiet.ko", elf.build()), folder = (scratch.path / "audit").string();
    const Answer answer = scratch.run({"audit", module, "-o", folder});
    CHECK(answer.code == 0);
    CHECK_THAT(answer.output, Contains("quiet.ko") && Contains("report.html"));
    for (const char* name : {"scan.json", "plan.json", "patchlist.csv", "findings.sarif", "report.html"})
        CHECK(fs::is_regular_file(fs::path(folder) / "quiet.ko" / name));
}

TEST_CASE("A folder where a file is asked for is bad input, not an empty file", "[cli]") {
    const Scratch scratch;
    for (const std::vector<std::string>& words : {std::vector<std::string>{"classify", "--batch"}, {"scan"}, {"audit"}}) {
        std::vector<std::string> all = words;
        all.push_back(scratch.path.string());
        const Answer answer = scratch.run(all);
        CHECK(answer.code == 3);
        CHECK_THAT(answer.errors, StartsWith("trapline: error: " + scratch.path.string()) && Contains("found a folder"));
    }
}

TEST_CASE("A command or family that does not exist is named in the error", "[cli]") {
    const Scratch scratch;
    Answer answer = scratch.run({"frobnicate"});
    CHECK(answer.code == 2);
    CHECK_THAT(answer.errors, StartsWith("trapline: error: ") && Contains("\"frobnicate\""));
    answer = scratch.run({"isa", "list", "--family", "nonesuch"});
    CHECK(answer.code == 2);
    CHECK(answer.output.empty());
    CHECK_THAT(answer.errors, Contains("no family \"nonesuch\""));
}

TEST_CASE("Names from images reach the terminal without their escapes", "[cli]") {
    const Scratch scratch;
    image::test::ElfBuilder elf;
    elf.type = 1;  // ET_REL
    elf.add({".text", 1, 6, 0, {0x9D, 0xC3}});  // popfq; ret
    elf.add_symbols({{"evil\x1b[2Jname", 0, 1, 2, 2}});
    const std::string module = scratch.write("loud\x1b]0;title.ko", elf.build());
    Answer answer = scratch.run({"scan", module});
    CHECK(answer.code == 0);
    CHECK_THAT(answer.output, Contains("evil\\x1b[2Jname"));
    CHECK(answer.output.find('\x1b') == std::string::npos);
    answer = scratch.run({"scan", module + ".missing"});
    CHECK(answer.code == 3);
    CHECK_THAT(answer.errors, Contains("loud\\x1b]0;title.ko.missing"));
    CHECK(answer.errors.find('\x1b') == std::string::npos);
}

TEST_CASE("Every JSON answer validates against its schema in the tree", "[cli]") {
    const Scratch scratch;
    const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
        {"verdict", {"verdict", "--all", "--format", "json"}},
        {"isa-export", {"isa", "export", "--profile", "vmx"}},
        {"corpus-list", {"corpus", "--cache", scratch.path.string(), "list", "--format", "json"}},
        {"doctor", {"doctor", "--format", "json"}},
    };
    for (const auto& [schema, words] : cases) {
        const Answer answer = scratch.run(words);
        INFO(schema << " " << answer.errors);
        CHECK(answer.code == 0);
        CHECK(tests::schema_faults(schema, answer.output).empty());
        CHECK_FALSE(tests::schema_faults("error", answer.output).empty());
    }
}

TEST_CASE("A report that could not be written is not announced", "[cli]") {
    const Scratch scratch;
    const std::string guest = scratch.write("program.elf", image::test::tiny_program().build());
    const std::string in_the_way = scratch.write("file", {0});
    const Answer answer = scratch.run({"audit", guest, "-o", in_the_way});
    CHECK(answer.code == 3);
    CHECK_THAT(answer.output, Contains("program.elf") && !Contains("report.html"));
    CHECK_THAT(answer.errors, Contains("cannot create the folder"));
}

TEST_CASE("Encodings beside --batch are refused, not passed over", "[cli]") {
    const Scratch scratch;
    const std::string table = scratch.write("table.tsv", {});
    const Answer answer = scratch.run({"classify", "--batch", table, "fa"});
    CHECK(answer.code == 2);
    CHECK(answer.output.empty());
    CHECK(scratch.run({"classify", "--batch", table}).code == 0);
}
