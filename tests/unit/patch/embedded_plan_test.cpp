// SPDX-License-Identifier: Apache-2.0
// The plan in a patched file: what it keeps of the document, and bytes that are none.
#include "patch/embedded_plan.h"

#include <random>

#include "planner_fixture.h"

using namespace trapline;
using namespace trapline::patch_test;
using scan_test::CodeImage;

namespace {

/// pushfd; pop eax; mov edx, eax; xor eax, eax; ret; cli; ret; hlt; ret
PlanDocument sample() {
    CodeImage code;
    code.image.format = image::Format::elf32;
    code.image.architecture = "i386";
    code.image.sha256 = std::string(64, '7');
    const auto text = code.add(".text", kText32, "9c 58 89 c2 31 c0 c3 fa c3 f4 c3", image::CodeWidth::bits32);
    code.symbol(text, kText32, "f", image::SymbolKind::function);
    code.pointer(text, kText32);
    return plan(code);
}

}  // namespace

TEST_CASE("an embedded plan keeps what a VMM needs", "[patch]") {
    const PlanDocument document = sample();
    REQUIRE_FALSE(document.patches.empty());
    const auto read = patch::decode_embedded_plan(patch::encode_embedded_plan(document), "test");
    if (!read) FAIL(read.error().describe());
    CHECK(read->sha256 == std::string(64, '7'));
    CHECK(read->abi == "trapline");
    CHECK(read->abi_version == document.abi_version);
    REQUIRE(read->parts.size() == 1);
    CHECK(read->parts[0].sha256 == document.parts[0].sha256);
    CHECK_FALSE(document.parts[0].sha256.empty());
    REQUIRE(read->stubs.size() == document.stubs.size());
    for (std::size_t i = 0; i < document.stubs.size(); ++i) {
        CHECK(read->stubs[i].address == document.stubs[i].address);
        CHECK(read->stubs[i].bytes == document.stubs[i].bytes);
        REQUIRE(read->stubs[i].steps.size() == document.stubs[i].steps.size());
        CHECK(read->stubs[i].steps.back().offset == document.stubs[i].steps.back().offset);
        CHECK(read->stubs[i].steps.back().guest_address == document.stubs[i].steps.back().guest_address);
    }
    REQUIRE(read->patches.size() == document.patches.size());
    for (std::size_t i = 0; i < document.patches.size(); ++i) {
        CHECK(read->patches[i].begin == document.patches[i].begin);
        CHECK(read->patches[i].end == document.patches[i].end);
        CHECK(read->patches[i].stubs == document.patches[i].stubs);
        REQUIRE(read->patches[i].writes.size() == document.patches[i].writes.size());
        CHECK(read->patches[i].writes[0].what == document.patches[i].writes[0].what);
        CHECK(read->patches[i].writes[0].address == document.patches[i].writes[0].address);
        CHECK(read->patches[i].writes[0].old_bytes == document.patches[i].writes[0].old_bytes);
        CHECK(read->patches[i].writes[0].new_bytes == document.patches[i].writes[0].new_bytes);
    }
    REQUIRE(read->sites.size() == document.sites.size());
    for (std::size_t i = 0; i < document.sites.size(); ++i) {
        CHECK(read->sites[i].number == document.sites[i].number);
        CHECK(read->sites[i].address == document.sites[i].address);
        CHECK(read->sites[i].operation == document.sites[i].operation);
        CHECK(read->sites[i].bytes == document.sites[i].bytes);
        CHECK(read->sites[i].patch == document.sites[i].patch);
        CHECK(read->sites[i].resume == document.sites[i].resume);
    }
}

TEST_CASE("an embedded plan that is cut, longer, or of another version is refused", "[patch]") {
    const patch::Buffer whole = patch::encode_embedded_plan(sample());
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(patch::decode_embedded_plan(Bytes(whole).first(size), "test"));
    patch::Buffer longer = whole;
    longer.push_back(0);
    CHECK_FALSE(patch::decode_embedded_plan(longer, "test"));
    patch::Buffer newer = whole;
    newer[8] = 3;
    REQUIRE_FALSE(patch::decode_embedded_plan(newer, "test"));
    CHECK(patch::decode_embedded_plan(newer, "test").error().code == ErrorCode::unsupported);
    const patch::Buffer endless(std::size_t{5} << 20, 0x80);
    CHECK_FALSE(patch::decode_embedded_plan(endless, "test"));
}

TEST_CASE("whatever an embedded plan holds, its numbers name what is there", "[patch]") {
    const patch::Buffer whole = patch::encode_embedded_plan(sample());
    std::mt19937 random(1);
    for (int round = 0; round < 20'000; ++round) {
        patch::Buffer changed = whole;
        for (int edits = 1 + static_cast<int>(random() % 3); edits != 0; --edits) changed[12 + random() % (changed.size() - 12)] = static_cast<std::uint8_t>(random());
        const auto read = patch::decode_embedded_plan(changed, "test");
        if (!read) continue;
        for (const PlannedSite& site : read->sites) {
            if (site.patch) REQUIRE(*site.patch < read->patches.size());
            REQUIRE((!site.bytes.empty() && site.bytes.size() <= 15));
        }
        for (const PlanPatch& one : read->patches) {
            REQUIRE(one.begin < one.end);
            for (const std::uint32_t stub : one.stubs) REQUIRE(stub < read->stubs.size());
            for (const PlanWrite& write : one.writes) REQUIRE((!write.old_bytes.empty() && write.old_bytes.size() == write.new_bytes.size()));
        }
    }
}
