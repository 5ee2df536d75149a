// SPDX-License-Identifier: Apache-2.0
// The boot stub of a bzImage: what is written into it holds at any address. Encodings are the manual's.
#include "patch/self_moving.h"

#include "patch/proof/placed_plan.h"
#include "patch/proof/window_builder.h"
#include "planner_fixture.h"

using namespace trapline;
using namespace trapline::patch_test;

namespace {

constexpr std::uint64_t kRoomBegin = 0x40, kText = 0x1000;

/// Head, the payload's room, and text: as open_bzimage_stub gives them.
struct BootStub : scan_test::CodeImage {
    explicit BootStub(const std::string& text, bool wide = false) {
        image.format = image::Format::bzimage_stub;
        image.name = "vmlinuz!stub";
        image.architecture = wide ? "x86_64" : "i386";
        const image::CodeWidth width = wide ? image::CodeWidth::bits64 : image::CodeWidth::bits32;
        add("head.text", 0, std::vector<std::uint8_t>(kRoomBegin, 0x90), width);
        pointer(add("text", kText, text, width), kText);
    }
};

std::optional<std::string> find_fault(const PlanDocument& plan, const BootStub& code, std::uint64_t distance) {
    const PlanDocument placed = patch::place_boot_stub(plan, distance);
    const isa::Abi& abi = *scan_test::database().find_abi("trapline");
    const auto read = [&](std::string_view section, std::uint64_t address, std::uint64_t size) {
        for (const image::Section& one : code.image.sections)
            if (one.name == section && address - distance >= one.address.value)
                if (const auto bytes = ByteView(one.bytes).slice(address - distance - one.address.value, size)) return *bytes;
        return Bytes{};
    };
    for (std::size_t i = 0; i < plan.patches.size(); ++i) {
        const patch::proof::Proof proof = patch::proof::prove_patch(placed, i, read, abi, {7, 16});
        if (!proof.holds) return proof.difference;
    }
    return std::nullopt;
}

}  // namespace

TEST_CASE("the payload's room is what no section of the boot stub holds", "[patch]") {
    const BootStub code("c3");
    REQUIRE(patch::payload_room(code.image));
    CHECK(*patch::payload_room(code.image) == AddressRange{VirtAddr{kRoomBegin}, VirtAddr{kText}});
    scan_test::CodeImage none;
    none.add("text", 0, "c3");
    CHECK_FALSE(patch::payload_room(none.image));
}

TEST_CASE("stubs of the boot stub stand at the end of the payload's room and hold wherever they come to lie", "[patch]") {
    // pushfd; pop eax; mov ecx, eax; push eax; popfd; xor eax, eax; cpuid; mov ebx, eax; ret
    const BootStub narrow("9c5889c1509d31c00fa289c3c3");
    // pushfq; pop rax; mov rcx, rax; push rax; popfq; xor eax, eax; cpuid; mov ebx, eax; nop; ret
    const BootStub wide("9c584889c1509d31c00fa289c390c3", true);
    for (const BootStub* code : {&narrow, &wide}) {
        const PlanDocument plan = patch_test::plan(*code);
        INFO(code->image.architecture);
        const ReservedRange* const range = find_boot_stubs(plan);
        REQUIRE(range != nullptr);
        CHECK(range->end == kText);
        CHECK(range->begin % patch::kBootStubAlignment == 0);
        CHECK(range->begin >= kRoomBegin);
        for (const PlannedSite& site : plan.sites)
            if (site.critical) {
                CHECK(site.part == "stub");
                CHECK(site.technique == Technique::absorb);
            }
        for (const PlanStub& stub : plan.stubs) {
            CHECK(is_boot_stub(plan, stub));
            CHECK(stub.address + stub.bytes.size() <= kText);
            for (const StubFixup& fixup : stub.fixups) CHECK(fixup.kind == FixupKind::image_relative);
        }
        for (const PlanPatch& patch : plan.patches) {
            const PlanWrite& write = patch.writes.back();
            CHECK(rel32_target(write.new_bytes, 5, write.address) == plan.stubs.at(patch.stubs.front()).address);
        }
        for (const std::uint64_t distance : {0x0ull, 0x100000ull, 0x1234560ull}) CHECK(find_fault(plan, *code, distance).value_or("") == "");
    }
}

TEST_CASE("a hypercall of code that moves itself learns where it stands when it runs", "[patch]") {
    const BootStub narrow("0fa289c389d890c3");  // cpuid; mov ebx, eax; mov eax, ebx; nop; ret
    const PlanDocument plan = patch_test::plan(narrow);
    // mov ss:[scratch0], eax; mov eax, [esp - 4]; mov ss:[scratch1], eax; jmp; pop ss:[call_resume]; mov eax, ss:[scratch1];
    // mov [esp - 4], eax; mov eax, ss:[scratch0]; mov dword ss:[call_site], 0; ljmp 33:FE000000; call
    const PlanStub& stub = stub_of(plan, kText);
    CHECK(contains(stub.bytes, "36a3c81000fe8b4424fc36a3d01000feeb"));
    CHECK(contains(stub.bytes, "368f05c01000fe36a1d01000fe894424fc36a1c81000fe36c705b81000fe00000000ea000000fe3300e8d2ffffff"));
    // Behind the call, whose return address is where the guest goes on.
    CHECK(site_at(plan, kText).resume == stub.address + 6 + 4 + 6 + 2 + 7 + 6 + 4 + 6 + 11 + 7 + 5);

    const BootStub wide("0fa289c389d890c3", true);
    // mov [scratch0], rax; lea rax, [rip + x]; mov [call_resume], rax; mov rax, [scratch0]; mov [call_site], 0; mov [scratch1], gate; jmp [scratch1]
    const PlanDocument other = patch_test::plan(wide);
    const std::vector<std::uint8_t>& bytes = stub_of(other, kText).bytes;
    CHECK(contains(bytes, "48890425c810ffff488d05"));
    CHECK(contains(bytes, "48c70425d010ffff0000ffffff2425d010ffff"));
}

TEST_CASE("what only the sweep meets in the boot stub is watched, never written over", "[patch]") {
    // ret; then bytes that read as pushfd; pop eax; cpuid; ret, to which nothing leads.
    const BootStub code("c39c580fa289c3c3");
    const PlanDocument plan = patch_test::plan(code);
    CHECK(plan.patches.empty());
    CHECK(find_boot_stubs(plan) == nullptr);
    REQUIRE(plan.sites.size() == 2);
    for (const PlannedSite& site : plan.sites) {
        CHECK(site.technique == Technique::watch);
        CHECK_FALSE(site.patch);
        CHECK(site.refused.size() == 3);
    }
}

TEST_CASE("a call is no neighbour where code moves itself", "[patch]") {
    // cpuid; call +1; ret; ret: the return address would be a number in the stub.
    const PlanDocument plan = patch_test::plan(BootStub("0fa2e801000000c3c3"));
    const PlannedSite& site = site_at(plan, kText);
    CHECK(site.technique == Technique::breakpoint);
    REQUIRE(site.patch);
    CHECK(plan.patches[*site.patch].writes.back().new_bytes == std::vector<std::uint8_t>{0xCC, 0xCC});
}

TEST_CASE("a boot stub's stub that does something else than the original is found out", "[patch]") {
    const BootStub code("0fa289c389d890c3");
    const PlanDocument plan = patch_test::plan(code);
    REQUIRE(plan.stubs.size() == 1);
    REQUIRE_FALSE(find_fault(plan, code, 0x100000));
    PlanDocument elsewhere = plan;  // the far jump leads 256 bytes behind the gate
    const std::string bytes = to_hex(plan.stubs[0].bytes);
    const std::size_t at = bytes.find("ea000000fe3300");
    REQUIRE(at != std::string::npos);
    elsewhere.stubs[0].bytes[at / 2 + 2] ^= 1;
    CHECK(find_fault(elsewhere, code, 0x100000));
    PlanDocument absolute = plan;  // a way back that holds at address 0 alone
    std::vector<std::uint8_t>& stub = absolute.stubs[0].bytes;
    stub[stub.size() - 2] ^= 0x10;
    CHECK(find_fault(absolute, code, 0x100000));
    PlanDocument outside = plan;
    outside.stubs[0].address = kText;
    CHECK(find_fault(outside, code, 0x100000));
}
