// SPDX-License-Identifier: Apache-2.0
// Sites that a run has met, in small images. Bytes are those of the manuals' encodings; what the scan does not find stands inside the
// immediate of another instruction.
#include "patch/plan_update.h"

#include "planner_fixture.h"
#include "reports/plan_json.h"

using namespace trapline;
using namespace trapline::patch_test;
using patch::ExecutedPlace;
using scan_test::CodeImage;

namespace {

struct Code32 : CodeImage {
    explicit Code32(const std::string& hex) {
        image.format = image::Format::elf32;
        image.architecture = "i386";
        text = add(".text", kText32, hex, image::CodeWidth::bits32);
        symbol(text, kText32, "f", image::SymbolKind::function);
        pointer(text, kText32, image::CodePointer::Origin::entry);
        image.index_sections();
    }
    image::SectionIndex text;
};

patch::PlanUpdate update(PlanDocument& document, const CodeImage& code, std::vector<ExecutedPlace> places) {
    patch::PlanUpdater updater(document, scan_test::database(), scan_test::tags(), *scan_test::database().find_abi("trapline"), std::move(places));
    updater.add(code.image, "");
    return updater.finish();
}

ExecutedPlace place(std::uint64_t address, const std::string& hex, std::uint64_t executions = 1) {
    std::vector<std::uint8_t> bytes = *parse_hex(hex);
    bytes.resize(15, 0x90);  // what stands behind it in memory
    return {address, bytes, executions};
}

void check_document(const PlanDocument& document) {
    const auto read = reports::parse_plan_json(reports::render_plan_json(document), "plan");
    if (!read) FAIL(read.error().describe());
    CHECK(read->sites.size() == document.sites.size());
}

}  // namespace

TEST_CASE("a critical site that the plan lacks gets a breakpoint, once", "[patch]") {
    const Code32 code("b8 9c 58 c3 00 c3");  // mov eax, 0xc3589c; ret: pushfd, pop eax, ret inside
    PlanDocument document = plan(code);
    REQUIRE(document.sites.empty());
    const std::vector<ExecutedPlace> places = {place(kText32 + 1, "9c58c3", 7)};
    const patch::PlanUpdate first = update(document, code, places);
    CHECK(first.added == 1);
    CHECK(first.known == 0);
    const PlannedSite& site = site_at(document, kText32 + 1);
    CHECK(site.number == 0);
    CHECK(to_hex(site.bytes) == "9c");
    CHECK(site.operation == "get_flags");
    CHECK(site.critical);
    CHECK(site.evidence == Evidence::executed);
    CHECK(site.technique == Technique::breakpoint);
    CHECK(site.symbol == "f");
    CHECK(site.symbol_offset == 1);
    CHECK(site.executions == 7);
    const PlanPatch& patch = patch_of(document, kText32 + 1);
    REQUIRE(patch.writes.size() == 1);
    CHECK(to_hex(patch.writes[0].old_bytes) == "9c");
    CHECK(to_hex(patch.writes[0].new_bytes) == "cc");
    CHECK(document.by_technique.at("breakpoint") == 1);
    check_document(document);

    const patch::PlanUpdate second = update(document, code, places);
    CHECK(second.added == 0);
    CHECK(second.known == 1);
    CHECK(document.sites.size() == 1);
    CHECK(document.patches.size() == 1);
    CHECK(document.sites[0].executions == 14);
}

TEST_CASE("a privileged site that the plan lacks is left to its trap", "[patch]") {
    const Code32 code("b8 f4 c3 00 00 c3");  // mov eax, 0xc3f4: hlt, ret inside
    PlanDocument document = plan(code);
    CHECK(update(document, code, {place(kText32 + 1, "f4c3")}).added == 1);
    const PlannedSite& site = site_at(document, kText32 + 1);
    CHECK(site.technique == Technique::trap);
    CHECK(site.privileged == "yes");
    CHECK_FALSE(site.patch);
    check_document(document);
}

TEST_CASE("a new patch stands in order, and the sites behind it still name theirs", "[patch]") {
    // mov eax, 0xc3589c; ret, then pushfd; pop eax; mov edx, eax; xor eax, eax; ret, which absorbs its neighbours
    const Code32 code("b8 9c 58 c3 00 c3 9c 58 89 c2 31 c0 c3");
    PlanDocument document = plan(code);
    REQUIRE(document.patches.size() == 1);
    REQUIRE(document.sites.size() == 1);
    CHECK(update(document, code, {place(kText32 + 1, "9c58c3")}).added == 1);
    REQUIRE(document.patches.size() == 2);
    CHECK(document.patches[0].begin == kText32 + 1);
    CHECK(document.sites[0].address == kText32 + 6);
    CHECK(document.sites[0].number == 0);
    CHECK(patch_of(document, kText32 + 6).begin == kText32 + 6);
    CHECK(patch_of(document, kText32 + 1).technique == Technique::breakpoint);
    check_document(document);
}

TEST_CASE("what another patch holds, or the kernel rewrites, stays unplanned with the reason", "[patch]") {
    // pushfd; mov eax, 0xc3589c; ret: the window of the first covers the second's immediate
    const Code32 taken("9c b8 9c 58 c3 00 c3");
    PlanDocument document = plan(taken);
    REQUIRE(document.patches.size() == 1);
    REQUIRE(document.patches[0].end > kText32 + 2);
    CHECK(update(document, taken, {place(kText32 + 2, "9c58c3")}).added == 1);
    CHECK(site_at(document, kText32 + 2).technique == Technique::unplanned);
    CHECK(site_at(document, kText32 + 2).refused.back().reason == "another patch has taken the room");
    check_document(document);

    Code32 label("b8 9c 58 c3 00 c3");
    document = plan(label);
    label.table(image::TableKind::jump_label, label.text, kText32 + 1, kText32 + 2, VirtAddr{kText32 + 5});
    CHECK(update(document, label, {place(kText32 + 1, "9c58c3")}).added == 1);
    CHECK(site_at(document, kText32 + 1).technique == Technique::unplanned);
    CHECK(site_at(document, kText32 + 1).refused.back().reason == "the kernel checks and rewrites its bytes (jump-label)");
}

TEST_CASE("places that are not the image's are counted and not written", "[patch]") {
    const Code32 code("31 c0 b8 9c 58 c3 00 c3");
    PlanDocument document = plan(code);
    const patch::PlanUpdate counts = update(document, code,
                                            {place(0x8048000, "cd80"),             // a program
                                             place(kText32 + 0x1000, "9c"),        // behind the section
                                             place(kText32 + 3, "cc"),             // other code than the file has
                                             place(kText32, "31c0")});             // xor eax, eax
    CHECK(counts.added == 0);
    CHECK(counts.elsewhere == 2);
    CHECK(counts.changed == 1);
    CHECK(counts.harmless == 1);
    CHECK(document.sites.empty());
}

TEST_CASE("an image that the guest has moved is found by the sites that are known", "[patch]") {
    constexpr std::uint64_t kMoved = 0x7000000;
    // ten times cli; mov eax, 0xc3589c; ret
    const Code32 code("fa fa fa fa fa fa fa fa fa fa b8 9c 58 c3 00 c3");
    PlanDocument document = plan(code);
    REQUIRE(document.sites.size() == 10);
    std::vector<ExecutedPlace> places = {place(kText32 + kMoved + 11, "9c58c3")};
    for (std::uint64_t i = 0; i < 10; ++i) places.push_back(place(kText32 + kMoved + i, "fa", 2));
    const patch::PlanUpdate counts = update(document, code, places);
    CHECK(counts.known == 10);
    CHECK(counts.added == 1);
    CHECK(site_at(document, kText32 + 11).evidence == Evidence::executed);
    CHECK(site_at(document, kText32 + 9).executions == 2);
}

TEST_CASE("before paging a kernel runs at its physical address", "[patch]") {
    Code32 code("b8 9c 58 c3 00 c3");
    code.image.physical_offset = 0xC0000000;
    PlanDocument document = plan(code);
    CHECK(update(document, code, {place(kText32 - 0xC0000000 + 1, "9c58c3")}).added == 1);
    CHECK(site_at(document, kText32 + 1).executions == 1);
}

TEST_CASE("an address inside an instruction may have moved with the image, and by nothing else", "[patch]") {
    constexpr std::uint64_t kMoved = 0x1000000;
    Code32 code("fa fa fa fa fa fa fa fa fa 0f 01 15 00 00 00 c1 c3");  // nine times cli; lgdt [0xc1000000]; ret
    image::RelocationSlot slot;
    slot.section = code.text;
    slot.address = VirtAddr{kText32 + 12};
    slot.size = 4;
    code.image.slots.push_back(slot);
    std::vector<ExecutedPlace> places;
    for (std::uint64_t i = 0; i < 9; ++i) places.push_back(place(kText32 + kMoved + i, "fa"));
    PlanDocument document = plan(code);
    const std::uint64_t lgdt = kText32 + 9;
    places.push_back(place(lgdt + kMoved, "0f0115000000c2"));
    CHECK(update(document, code, places).known == 10);
    CHECK(site_at(document, lgdt).executions == 1);
    places.back() = place(lgdt + kMoved, "0f0115000000c3");
    const patch::PlanUpdate counts = update(document, code, places);
    CHECK(counts.known == 9);
    CHECK(counts.changed == 1);
}

TEST_CASE("a monitor that lies makes no plan without end", "[patch]") {
    CodeImage code;
    code.image.format = image::Format::elf32;
    code.image.architecture = "i386";
    code.add(".text", kText32, std::vector<std::uint8_t>(12'000, 0xF4), image::CodeWidth::bits32);
    code.image.index_sections();
    PlanDocument document = plan(Code32("c3"));
    std::vector<ExecutedPlace> places;
    for (std::uint64_t i = 0; i < 11'000; ++i) places.push_back(place(kText32 + i, "f4", ~std::uint64_t{0}));
    places.push_back(places.front());
    places.push_back({kText32, {}, 1});
    const patch::PlanUpdate counts = update(document, code, places);
    CHECK(counts.added == 10'000);
    CHECK(counts.left_out == 1'000);
    CHECK(site_at(document, kText32).executions == ~std::uint64_t{0});
}
