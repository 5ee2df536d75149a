// SPDX-License-Identifier: Apache-2.0
// Coverage of small made-up tables: what is found, what a row explains, what has vanished, what stays unexplained.
#include <catch2/catch.hpp>

#include "decode/mnemonic_coverage.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

using Names = std::vector<std::string>;

isa::Database database_of(const Names& records, const Names& innocuous) {
    isa::Database database;
    for (const std::string& name : records) database.records.emplace_back().mnemonic = name;
    for (const std::string& name : innocuous) database.innocuous.emplace_back().mnemonic = name;
    return database;
}

PeerTable peer(std::string name, std::set<std::string> mnemonics) { return {std::move(name), "1", mnemonics.size(), std::move(mnemonics)}; }

Result<MnemonicDifferences> parse(const std::string& patterns, const std::string& rows) {
    return MnemonicDifferences::parse(R"({"schema": "trapline.mnemonic-differences/1", "words": {"cc": [["e", "z"], ["ne", "nz"]]}, "patterns": [)" + patterns +
                                          R"(], "rows": [)" + rows + "]}",
                                      "own.json");
}

MnemonicDifferences differences(const std::string& patterns, const std::string& rows) {
    auto parsed = parse(patterns, rows);
    if (!parsed) FAIL(parsed.error().describe());
    return *parsed;
}

DecoderDifferences spellings(const std::string& groups) {
    auto parsed = DecoderDifferences::parse(R"({"schema": "trapline.decoder-differences/1", "spellings": [)" + groups + R"(], "rows": []})", "own.json");
    if (!parsed) FAIL(parsed.error().describe());
    return std::move(*parsed);
}

std::string row(const std::string& mnemonic, const std::string& who) {
    return R"({"mnemonic": )" + mnemonic + R"(, "who": ")" + who + R"(", "reason": "r", "source": "s"})";
}

}  // namespace

TEST_CASE("coverage: own and equal spellings, records and innocuous forms", "[decode]") {
    const auto coverage = measure_coverage(database_of({"popfd"}, {"add", "je", "jne"}), {peer("llvm-mc", {"add", "jz", "popfl", "jnz"})},
                                           differences(R"({"pattern": "j{cc}"})", ""), spellings(R"(["popfd", "popfl"])"));
    REQUIRE(coverage.peers.size() == 1);
    CHECK(coverage.peers[0].mnemonics == 4);
    CHECK(coverage.peers[0].covered == 4);
    CHECK(coverage.peers[0].missing.empty());
    CHECK(coverage.mnemonics == 4);
    CHECK(coverage.known == 4);
    CHECK(coverage.unknown.empty());
    CHECK(coverage.vanished.empty());
}

TEST_CASE("coverage: conditions that mean something else are not equal", "[decode]") {
    const auto coverage = measure_coverage(database_of({}, {"je"}), {peer("llvm-mc", {"jne"})}, differences(R"({"pattern": "j{cc}"})", ""), spellings(""));
    CHECK(coverage.peers[0].missing == Names{"jne"});
    CHECK(coverage.unknown == Names{"je"});
}

TEST_CASE("coverage: a pattern with a meaning joins all its spellings", "[decode]") {
    const auto coverage = measure_coverage(database_of({}, {"ccmpcc"}), {peer("llvm-mc", {"ccmpe", "ccmpnz"})},
                                           differences(R"({"pattern": "ccmp{cc}", "means": "ccmpcc"})", ""), spellings(""));
    CHECK(coverage.peers[0].covered == 2);
    CHECK(coverage.known == 1);
}

TEST_CASE("coverage: spellings of both files are taken together", "[decode]") {
    const auto coverage = measure_coverage(database_of({}, {"jz"}), {peer("capstone", {"jequal"})}, differences(R"({"pattern": "j{cc}"})", ""), spellings(R"(["je", "jequal"])"));
    CHECK(coverage.peers[0].covered == 1);
}

TEST_CASE("coverage: what nobody knows and no row names is reported", "[decode]") {
    const auto coverage = measure_coverage(database_of({"frobr"}, {"frobi"}), {peer("llvm-mc", {"xyzzy"}), peer("capstone", {"plugh"})}, differences("", ""), spellings(""));
    CHECK(coverage.peers[0].missing == Names{"xyzzy"});
    CHECK(coverage.peers[1].missing == Names{"plugh"});
    CHECK(coverage.unknown == Names{"frobi", "frobr"});
}

TEST_CASE("coverage: a row explains for its own side only", "[decode]") {
    const auto rows = differences("", row(R"(["data16", "pcommit"])", "capstone") + "," + row(R"("umov")", "database"));
    const auto coverage = measure_coverage(database_of({"umov"}, {}), {peer("llvm-mc", {"pcommit"}), peer("capstone", {"data16", "pcommit"})}, rows, spellings(""));
    CHECK(coverage.peers[0].missing == Names{"pcommit"});
    CHECK(coverage.peers[1].explained == 2);
    CHECK(coverage.peers[1].covered == 0);
    CHECK(coverage.explained == 1);
    CHECK(coverage.vanished.empty());
}

TEST_CASE("coverage: a difference that has vanished is named with its row", "[decode]") {
    const auto rows = differences("", row(R"("add")", "capstone") + "," + row(R"(["umov", "add"])", "database"));
    const auto coverage = measure_coverage(database_of({}, {"add"}), {peer("capstone", {"add"})}, rows, spellings(""));
    CHECK(coverage.vanished == Names{"/rows/0: add (capstone)", "/rows/1: add (database)", "/rows/1: umov (database)"});
}

TEST_CASE("coverage: errors of the file name the place", "[decode]") {
    const auto refused = [](const Result<MnemonicDifferences>& result, const std::string& pointer, const std::string& words) {
        REQUIRE_FALSE(result.has_value());
        INFO(result.error().describe());
        CHECK(result.error().pointer == pointer);
        CHECK(result.error().message.find(words) != std::string::npos);
    };
    refused(parse("", row(R"("add")", "zydis")), "/rows/0", "found who \"zydis\", expected llvm-mc, capstone or database");
    refused(parse("", row(R"("add")", "capstone") + "," + row(R"(["sub", "add"])", "capstone")), "/rows/1", "\"add\" of capstone in a second row");
    refused(parse(R"({"pattern": "j{ee}"})", ""), "/patterns/0", "found pattern \"j{ee}\", expected one with a word of \"words\": {cc}");
    refused(parse(R"({"pattern": "jcc"})", ""), "/patterns/0", "found pattern \"jcc\"");
    refused(parse("", R"({"mnemonic": "add", "who": "capstone", "source": "s"})"), "/rows/0", "reason");
    refused(parse("", R"({"mnemonic": "add", "who": "capstone", "reason": "r", "source": "s", "note": ""})"), "/rows/0", "unknown key \"note\"");
    CHECK_FALSE(MnemonicDifferences::parse("[", "own.json").has_value());
}

TEST_CASE("coverage: the peers' tables hold what their manuals list", "[decode]") {
    const PeerTable llvm = llvm_table(), capstone = capstone_table();
    // One of each kind: an ordinary one, conditions, a condition in the middle, APX, AVX-512, a system instruction.
    for (const char* name : {"add", "jo", "jg", "setnp", "cmovle", "cmpbexadd", "ccmpt", "cfcmovs", "vpternlogd", "wbinvd", "jmpabs"}) {
        INFO(name);
        CHECK(llvm.mnemonics.contains(name));
    }
    for (const char* name : {"lock", "rep", "data16", "j", "ccmp", "", "rex64", "phi"}) {
        INFO(name);
        CHECK_FALSE(llvm.mnemonics.contains(name));
    }
    for (const char* name : {"add", "ljmp", "vaddps", "vmcall"}) {
        INFO(name);
        CHECK(capstone.mnemonics.contains(name));
    }
}
