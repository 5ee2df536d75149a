// SPDX-License-Identifier: Apache-2.0
// What holds for every plan, on random code: blocks of instructions with branches between them.
#include <rapidcheck.h>

#include <map>
#include <set>

#include "planner_fixture.h"

using namespace trapline;
using namespace trapline::patch_test;

namespace {

struct Piece {
    const char* hex;
    bool branches = false;  ///< a rel8 follows
};

/// Sensitive and ordinary instructions of 1 to 10 bytes; the ordinary ones include all kinds that moving treats apart.
const std::vector<Piece> kPieces64 = {{"9c"}, {"9d"}, {"fa"}, {"fb"}, {"0fa2"}, {"0f20d8"}, {"0f01f8"}, {"8cd8"}, {"0f0114250010"  "0000"}, {"58"}, {"50"}, {"4889c2"},
    {"31c0"}, {"90"}, {"0f1f440000"}, {"488b0510000000"}, {"e800000000"}, {"c3"}, {"cccccccc"}, {"b8785634"  "12"}, {"eb", true}, {"74", true}, {"75", true}, {"e2", true}};
const std::vector<Piece> kPieces32 = {{"9c"}, {"9d"}, {"fa"}, {"fb"}, {"0fa2"}, {"0f20d8"}, {"1f"}, {"0fa1"}, {"8cd8"}, {"0f011500100000"}, {"58"}, {"50"}, {"89c2"},
    {"31c0"}, {"90"}, {"0f1f440000"}, {"cf"}, {"e800000000"}, {"c3"}, {"cccccccc"}, {"b878563412"}, {"eb", true}, {"74", true}, {"75", true}};

struct Sample {
    std::vector<std::uint8_t> bytes;
    std::set<std::uint64_t> targets;  ///< offsets that a branch of the sample leads to
};

/// Strings pieces together; branches lead to the start of a random piece in reach.
Sample make_sample(const std::vector<Piece>& pieces) {
    Sample sample;
    std::vector<std::size_t> starts, fields;
    const auto count = *rc::gen::inRange<std::size_t>(2, 60);
    for (std::size_t i = 0; i < count; ++i) {
        const Piece& piece = pieces[*rc::gen::inRange<std::size_t>(0, pieces.size())];
        starts.push_back(sample.bytes.size());
        const auto bytes = parse_hex(piece.hex);
        sample.bytes.insert(sample.bytes.end(), bytes->begin(), bytes->end());
        if (piece.branches) {
            fields.push_back(sample.bytes.size());
            sample.bytes.push_back(0);
        }
    }
    for (const std::size_t field : fields) {
        const std::size_t target = starts[*rc::gen::inRange<std::size_t>(0, starts.size())];
        const std::int64_t distance = static_cast<std::int64_t>(target) - static_cast<std::int64_t>(field + 1);
        if (distance < -128 || distance > 127) {
            sample.targets.insert(field + 1);  // rel8 of 0
            continue;
        }
        sample.bytes[field] = static_cast<std::uint8_t>(distance);
        sample.targets.insert(target);
    }
    return sample;
}

void check_plan(const Sample& sample, bool is_64) {
    const std::uint64_t base = is_64 ? kText64 : kText32;
    scan_test::CodeImage code;
    if (!is_64) {
        code.image.format = image::Format::elf32;
        code.image.architecture = "i386";
    }
    const auto text = code.add(".text", base, sample.bytes, is_64 ? image::CodeWidth::bits64 : image::CodeWidth::bits32);
    code.symbol(text, base, "f", image::SymbolKind::function);
    code.pointer(text, base);
    const PlanDocument document = plan(code);

    // No two writes share a byte, each says what stood there, and taking them back restores every byte.
    std::vector<std::uint8_t> bytes = sample.bytes;
    std::map<std::uint64_t, std::uint64_t> taken;
    for (const PlanPatch& patch : document.patches)
        for (const PlanWrite& write : patch.writes) {
            const std::uint64_t begin = write.address - base, end = begin + write.new_bytes.size();
            RC_ASSERT(write.new_bytes.size() == write.old_bytes.size());
            RC_ASSERT(end <= bytes.size());
            const auto next = taken.lower_bound(begin);
            RC_ASSERT((next == taken.end() || next->first >= end));
            RC_ASSERT((next == taken.begin() || std::prev(next)->second <= begin));
            taken[begin] = end;
            RC_ASSERT(std::equal(write.old_bytes.begin(), write.old_bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(begin)));
            std::copy(write.new_bytes.begin(), write.new_bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(begin));
        }
    for (const PlanPatch& patch : document.patches)
        for (const PlanWrite& write : patch.writes) std::copy(write.old_bytes.begin(), write.old_bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(write.address - base));
    RC_ASSERT(bytes == sample.bytes);

    // No write covers a target, but with its first byte.
    for (const PlanPatch& patch : document.patches)
        for (const PlanWrite& write : patch.writes)
            for (const std::uint64_t target : sample.targets) RC_ASSERT(!(base + target > write.address && base + target < write.address + write.new_bytes.size()));

    // Every critical site is covered or says why not; every stub lies in its area and none overlap.
    for (const PlannedSite& site : document.sites) {
        RC_ASSERT((!site.critical || site.patch || site.technique == Technique::trap || site.technique == Technique::unplanned));
        RC_ASSERT(!site.why.empty());
    }
    std::uint64_t last = is_64 ? kStubs64 : kStubs32;
    for (const PlanStub& stub : document.stubs) {
        RC_ASSERT(stub.address >= last);
        last = stub.address + stub.bytes.size();
    }
    // Control comes back to what still stands: the last jump of a stub never leads into the middle of overwritten bytes.
    for (const PlanStub& stub : document.stubs) {
        if (stub.bytes.size() < 5 || stub.bytes[stub.bytes.size() - 5] != 0xE9) continue;
        std::uint64_t target = rel32_target(stub.bytes, stub.bytes.size(), stub.address);
        if (!is_64) target &= 0xFFFFFFFF;
        for (const PlanPatch& patch : document.patches)
            for (const PlanWrite& write : patch.writes) RC_ASSERT(!(target > write.address && target < write.address + write.new_bytes.size()));
    }
    // The same input gives the same plan.
    const PlanDocument again = plan(code);
    RC_ASSERT(again.stubs.size() == document.stubs.size());
    for (std::size_t i = 0; i < document.stubs.size(); ++i) RC_ASSERT(again.stubs[i].bytes == document.stubs[i].bytes);
}

}  // namespace

TEST_CASE("plans of random 64-bit code keep their promises", "[patch]") {
    CHECK(rc::check("64-bit plans", [] { check_plan(make_sample(kPieces64), true); }));
}

TEST_CASE("plans of random 32-bit code keep their promises", "[patch]") {
    CHECK(rc::check("32-bit plans", [] { check_plan(make_sample(kPieces32), false); }));
}
