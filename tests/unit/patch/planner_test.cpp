// SPDX-License-Identifier: Apache-2.0
// One small image for each decision of the planner. Bytes are those of the manuals' encodings.
#include "planner_fixture.h"

using namespace trapline;
using namespace trapline::patch_test;
using scan_test::CodeImage;
using Origin = image::CodePointer::Origin;

namespace {

/// 64-bit code with a symbol and an entry at its start.
struct Code64 : CodeImage {
    explicit Code64(const std::string& hex) {
        text = add(".text", kText64, hex);
        symbol(text, kText64, "f", image::SymbolKind::function);
        pointer(text, kText64);
    }
    image::SectionIndex text;
};
struct Code32 : CodeImage {
    explicit Code32(const std::string& hex) {
        image.format = image::Format::elf32;
        image.architecture = "i386";
        text = add(".text", kText32, hex, image::CodeWidth::bits32);
        symbol(text, kText32, "f", image::SymbolKind::function);
        pointer(text, kText32);
    }
    image::SectionIndex text;
};

}  // namespace

TEST_CASE("a short site absorbs its neighbours", "[patch]") {
    const Code32 code("9c 58 89 c2 31 c0 c3");  // pushfd; pop eax; mov edx, eax; xor eax, eax; ret
    const PlanDocument document = plan(code);
    const PlannedSite& site = site_at(document, kText32);
    CHECK(site.technique == Technique::absorb);
    CHECK(site.operation == "get_flags");
    const PlanPatch& patch = patch_of(document, kText32);
    REQUIRE(patch.writes.size() == 1);
    CHECK(to_hex(patch.writes[0].old_bytes) == "9c5889c231c0");
    REQUIRE(patch.writes[0].new_bytes.size() == 6);
    CHECK(patch.writes[0].new_bytes[0] == 0xE9);
    CHECK(patch.writes[0].new_bytes[5] == 0xCC);
    CHECK(rel32_target(patch.writes[0].new_bytes, 5, kText32) == kStubs32);
    const PlanStub& stub = stub_of(document, kText32);
    CHECK(stub.address == kStubs32);
    CHECK(contains(stub.bytes, "5889c231c0e9"));  // the neighbours as they stood, then the way back
    CHECK((rel32_target(stub.bytes, stub.bytes.size(), stub.address) & 0xFFFFFFFF) == kText32 + 6);
    REQUIRE(patch.moved.size() == 3);
    CHECK(patch.moved[0].from == kText32 + 1);
    CHECK(patch.begin == kText32);
    CHECK(patch.end == kText32 + 6);
    REQUIRE(stub.steps.size() == 5);
    CHECK(stub.steps[0].guest_address == kText32);
    CHECK(stub.steps[4].guest_address == kText32 + 6);
}

TEST_CASE("no target is covered: a branch into the window moves it", "[patch]") {
    // 0: jmp 3; 2: nop; 3: pushfq (target); 4: pop rax; 5: test eax, eax; 7: je 4; 9: ret
    const Code64 code("eb 01 90 9c 58 85 c0 74 fb c3");
    const PlanDocument document = plan(code);
    for (const PlanPatch& patch : document.patches)
        for (const PlanWrite& write : patch.writes) {
            const std::uint64_t begin = write.address, end = begin + write.old_bytes.size();
            CHECK_FALSE((kText64 + 4 > begin && kText64 + 4 < end));
            CHECK_FALSE((kText64 + 3 > begin && kText64 + 3 < end));
        }
    const PlannedSite& site = site_at(document, kText64 + 3);
    CHECK(site.technique == Technique::breakpoint);
    CHECK_FALSE(site.refused.empty());
    REQUIRE(patch_of(document, kText64 + 3).writes.size() == 1);
    CHECK(to_hex(patch_of(document, kText64 + 3).writes[0].new_bytes) == "cc");
}

TEST_CASE("neighbours keep what they refer to", "[patch]") {
    // cli; mov rax, [rip + 0x10]; ret
    const Code64 relative("fa 48 8b 05 10 00 00 00 c3");
    {
        const PlanDocument document = plan(relative);
        const PlanStub& stub = stub_of(document, kText64);
        const std::size_t at = to_hex(stub.bytes).find("488b05") / 2;
        CHECK(rel32_target(stub.bytes, at + 7, stub.address) == kText64 + 8 + 0x10);
        REQUIRE(stub.fixups.size() == 2);
        CHECK(stub.fixups[0].offset == at + 3);
        CHECK(stub.fixups[0].kind == FixupKind::image_relative);
    }
    // 0: test eax, eax; 2: cli; 3: je 9; 5: xor eax, eax; 7: inc eax; 9: ret: the short branch becomes a near one
    const Code64 branch("85 c0 fa 74 04 31 c0 ff c0 c3");
    {
        const PlanDocument document = plan(branch);
        const PlanStub& stub = stub_of(document, kText64 + 2);
        const std::size_t at = to_hex(stub.bytes).find("0f84") / 2;
        CHECK(rel32_target(stub.bytes, at + 6, stub.address) == kText64 + 9);
    }
    // 0: cli; 1: call 8; 6: ret; 7: nop; 8: ret: the call pushes the return address that it has in place
    const Code64 call("fa e8 02 00 00 00 c3 90 c3");
    {
        const PlanDocument document = plan(call);
        const PlanStub& stub = stub_of(document, kText64);
        const std::size_t at = to_hex(stub.bytes).find("6806000081e9") / 2;
        REQUIRE(at < stub.bytes.size());
        CHECK(rel32_target(stub.bytes, at + 10, stub.address) == kText64 + 8);
        CHECK(stub.bytes.size() == at + 10);  // nothing comes back here
        CHECK(patch_of(document, kText64).end == kText64 + 6);
    }
}

TEST_CASE("sites that stand close share a window", "[patch]") {
    const Code32 code("9c 5b fa 89 d8 c3");  // pushfd; pop ebx; cli; mov eax, ebx; ret
    const PlanDocument document = plan(code);
    CHECK(site_at(document, kText32).patch == site_at(document, kText32 + 2).patch);
    CHECK(document.patches.size() == 1);
}

TEST_CASE("a long instruction needs no neighbour", "[patch]") {
    const Code64 code("0f 01 14 25 00 10 00 00 c3");  // lgdt [0x1000]; ret
    const PlanDocument document = plan(code);
    CHECK(site_at(document, kText64).technique == Technique::direct);
    CHECK(patch_of(document, kText64).moved.empty());
    CHECK(patch_of(document, kText64).writes[0].new_bytes.size() == 8);
}

TEST_CASE("the operation itself takes the place where NOPs make room", "[patch]") {
    const Code64 code("fa 0f 1f 80 00 00 00 00 c3");  // cli; nop dword [rax + 0]; ret
    const PlanDocument document = plan(code);
    CHECK(site_at(document, kText64).technique == Technique::inline_code);
    const PlanWrite& write = patch_of(document, kText64).writes.at(0);
    // mov byte ptr [vcpu.flags_if + 1], 0: C6 04 25 disp32 imm8, at 0xFFFFFFFFFFFF1009
    CHECK(to_hex(write.new_bytes) == "c604250910ffff00");
    CHECK(document.stubs.empty());
}

TEST_CASE("code of two instructions takes no place, whatever the room", "[patch]") {
    // sti; nop word [rax + rax]; nop word [rax + rax]; ret. Two stores of 8 bytes would fit, and an interrupt between them
    // would report an address inside a NOP.
    const Code64 code("fb 66 0f 1f 84 00 00 00 00 00 66 0f 1f 44 00 00 c3");
    const PlannedSite site = site_at(plan(code), kText64);
    CHECK(site.technique == Technique::absorb);
    REQUIRE_FALSE(site.refused.empty());
    CHECK(site.refused[0].reason == "its code has 2 instructions, and between two of them the guest is at none of its own");
}

TEST_CASE("what the kernel reads or rewrites is left alone", "[patch]") {
    SECTION("a jump label") {
        Code64 code("fa 0f 1f 44 00 00 c3");  // cli; 5-byte nop; ret
        code.table(image::TableKind::jump_label, code.text, kText64 + 1, kText64 + 2, VirtAddr{kText64 + 6});
        const PlanDocument document = plan(code);
        for (const PlanPatch& patch : document.patches)
            for (const PlanWrite& write : patch.writes) CHECK((write.address + write.old_bytes.size() <= kText64 + 1 || write.address > kText64 + 5));
    }
    SECTION("a neighbour in the exception table") {
        Code64 code("fa 48 8b 03 48 89 c2 c3");  // cli; mov rax, [rbx]; mov rdx, rax; ret
        code.table(image::TableKind::exception_table, code.text, kText64 + 1, kText64 + 2, VirtAddr{kText64 + 7});
        const PlanDocument document = plan(code);
        CHECK(site_at(document, kText64).technique == Technique::trap);
        const std::vector<Refusal>& refused = site_at(document, kText64).refused;
        CHECK(std::any_of(refused.begin(), refused.end(), [](const Refusal& r) { return r.reason.find("exception-table") != std::string::npos; }));
    }
    SECTION("a site in the exception table may move: the VMM raises its faults") {
        Code64 code("0f 32 48 89 c2 90 c3");  // rdmsr; mov rdx, rax; nop; ret
        code.table(image::TableKind::exception_table, code.text, kText64, kText64 + 1, VirtAddr{kText64 + 6});
        CHECK(site_at(plan(code), kText64).technique == Technique::absorb);
    }
}

TEST_CASE("a short jump finds filler that nothing leads to", "[patch]") {
    // 0: pushfq; 1: pop rax; 2: test eax, eax; 4: jne 2; 6: ret; 7: int3 x 9
    const Code64 code("9c 58 85 c0 75 fc c3 cc cc cc cc cc cc cc cc cc");
    const PlanDocument document = plan(code);
    const PlannedSite& site = site_at(document, kText64);
    CHECK(site.technique == Technique::springboard);
    const PlanPatch& patch = patch_of(document, kText64);
    REQUIRE(patch.writes.size() == 2);
    const PlanWrite &board = patch.writes[0], &jump = patch.writes[1];
    CHECK(jump.what == "short-jump");
    REQUIRE(to_hex(jump.old_bytes) == "9c58");
    CHECK(jump.new_bytes[0] == 0xEB);
    CHECK(kText64 + 2 + jump.new_bytes[1] == board.address);
    CHECK(board.address >= kText64 + 7);
    CHECK(to_hex(board.old_bytes) == "cccccccccc");
    CHECK(rel32_target(board.new_bytes, 5, board.address) == kStubs64);
}

namespace {

/// An original at the start of .text, and a replacement for its first `length` bytes at kText64 + 0x1000, with an entry of
/// 12 bytes in .altinstructions.
struct AlternativeCode : Code64 {
    AlternativeCode(const std::string& original, std::uint8_t length, const std::string& replacement, std::uint8_t replacement_length) : Code64(original) {
        const auto place = add(".altinstr_replacement", kText64 + 0x1000, replacement);
        std::vector<std::uint8_t> entry(12, 0);
        entry[10] = length;
        entry[11] = replacement_length;
        const auto entries = add(".altinstructions", kText64 + 0x2000, entry);
        image.sections[entries].executable = false;
        const auto add_entry = [&](image::TableKind kind, image::SectionIndex section, std::uint64_t begin, std::uint64_t size, std::uint64_t peer) {
            table(kind, section, begin, begin + size, VirtAddr{peer}, {image::TableDetail::Kind::feature, false, false, 1});
            image::TableEntry& added = image.tables.back();
            added.entry_section = entries;
            added.entry_address = VirtAddr{kText64 + 0x2000};
            added.entry_size = 12;
        };
        image.index_sections();
        add_entry(image::TableKind::alternative_original, text, kText64, length, kText64 + 0x1000);
        add_entry(image::TableKind::alternative_replacement, place, kText64 + 0x1000, replacement_length, kText64);
    }
};

}  // namespace

TEST_CASE("an alternative's replacement becomes a jump to a stub", "[patch]") {
    // The original: call [0x1000], 7 bytes; its replacement: cli.
    const AlternativeCode code("ff 14 25 00 10 00 00 c3", 7, "fa 9c 58", 1);
    const PlanDocument document = plan(code);
    const std::uint64_t site = kText64 + 0x1000;
    CHECK(site_at(document, site).technique == Technique::direct);
    const PlanPatch& patch = patch_of(document, site);
    REQUIRE(patch.writes.size() == 2);
    CHECK(patch.writes[0].address == kText64 + 0x2004);
    CHECK(rel32_target(patch.writes[0].new_bytes, 4, patch.writes[0].address - 0) - 4 == stub_of(document, site).address);  // from the field itself
    CHECK(patch.writes[1].address == kText64 + 0x200B);
    CHECK(to_hex(patch.writes[1].new_bytes) == "05");
    const PlanStub& stub = stub_of(document, site);
    CHECK(stub.bytes[0] == 0xE9);  // what the kernel copies
    CHECK(rel32_target(stub.bytes, stub.bytes.size(), stub.address) == kText64 + 7);
    CHECK(stub.steps.front().guest_address == kText64);  // where it runs
    CHECK(patch.begin == kText64);
    CHECK(patch.end == kText64 + 7);
}

TEST_CASE("a replacement says why it is not the operation itself", "[patch]") {
    const auto refusal = [](const Code64& code) -> std::string {
        const PlanDocument document = plan(code);
        const PlannedSite& site = site_at(document, kText64 + 0x1000);
        CHECK(site.technique == Technique::direct);
        REQUIRE(site.refused.size() == 1);
        CHECK(site.refused[0].technique == Technique::inline_code);
        return site.refused[0].reason;
    };
    // call [rip + x], as compilers write it: FF 15 rel32. The store is C6 04 25 disp32 00.
    CHECK(refusal(AlternativeCode("ff 15 00 10 00 00 c3", 6, "fa", 1)) ==
          "its 8 bytes of code have no room: the kernel copies no more than the 6 of the original at 0xffffffff81000000");
    // With 7 bytes C6 05 rel32 00 would fit.
    CHECK(refusal(AlternativeCode("ff 14 25 00 10 00 00 c3", 7, "fa", 1)) ==
          "its 8 bytes of code have no room: the kernel copies no more than the 7 of the original at 0xffffffff81000000, and kernel versions differ in "
          "whether they correct the rip-relative operand that would save a byte");
    // MOV RAX, [vcpu.cr3] is 48 8B 04 25 disp32, and MOV RCX, RAX 48 89 C1.
    CHECK(refusal(AlternativeCode("ff 15 00 10 00 00 c3", 6, "0f 20 d8 48 89 c1", 6)).find("its 11 bytes of code have no room") == 0);
    CHECK(refusal(AlternativeCode("ff 15 00 10 00 00 c3", 6, "0f 22 df", 3)) == "the operation needs the VMM");
    CHECK(refusal(AlternativeCode("ff 14 25 00 10 00 00 90 c3", 8, "fa", 1)) == "its code would fit, but no tactic puts other code than a jump into a replacement");
}

TEST_CASE("what cannot be written is said", "[patch]") {
    SECTION("real mode is interpreted") {
        CodeImage code;
        code.image.format = image::Format::bzimage_setup;
        code.image.architecture = "i386";
        const auto text = code.add("setup", 0x200, "fa 8c c8 c3", image::CodeWidth::bits16);
        code.image.sections[text].real_mode = true;
        code.pointer(text, 0x200);
        const PlanDocument document = plan(code);
        REQUIRE_FALSE(document.sites.empty());
        for (const PlannedSite& site : document.sites) CHECK(site.technique == Technique::interpret);
        CHECK(document.patches.empty());
    }
    SECTION("an overlapping decode") {
        // 0: mov eax, 0x909c5890; 5: ret; 6: jmp 2, into the immediate: pop rax; pushfq
        const Code64 code("b8 90 58 9c 90 c3 eb fa");
        CodeImage overlapping;
        const auto text = overlapping.add(".text", kText64, "b8 90 58 9c 90 c3 eb fa");
        overlapping.symbol(text, kText64, "f", image::SymbolKind::function);
        overlapping.symbol(text, kText64 + 6, "g", image::SymbolKind::function);
        overlapping.pointer(text, kText64);
        overlapping.pointer(text, kText64 + 6);
        const PlanDocument document = plan(overlapping);
        const PlannedSite& site = site_at(document, kText64 + 3);
        CHECK(site.evidence == Evidence::hidden);
        CHECK(site.technique == Technique::unplanned);
        CHECK_FALSE(site.why.empty());
    }
}

TEST_CASE("auto leaves alone what traps, until a profile calls it hot", "[patch]") {
    const Code64 code("fa 48 89 c2 48 89 d0 c3");  // cli; two moves; ret
    patch::PlanOptions options;
    options.technique = "auto";
    CHECK(site_at(plan(code, options), kText64).technique == Technique::trap);
    options.executions[{"", kText64}] = 100000;
    const PlanDocument hot = plan(code, options);
    CHECK(site_at(hot, kText64).technique == Technique::absorb);
    CHECK(site_at(hot, kText64).executions == 100000);
    CHECK(site_at(hot, kText64).cycles < site_at(hot, kText64).cycles_trap);
}

TEST_CASE("flags behind a site are followed", "[patch]") {
    CHECK(site_at(plan(Code64("9c 58 31 d2 c3")), kText64).flags == FlagsLiveness::dead);           // xor writes all
    CHECK(site_at(plan(Code64("9c 58 74 00 90 90 c3")), kText64).flags == FlagsLiveness::live);     // je reads
    CHECK(site_at(plan(Code64("9c 58 c3 90 90 90")), kText64).flags == FlagsLiveness::unknown);     // ret
}

TEST_CASE("an interface without code names what replaces a site", "[patch]") {
    const PlanDocument document = plan(Code64("9c 58 48 89 c2 c3"), {}, "xen-pv");
    const PlannedSite& site = site_at(document, kText64);
    CHECK(site.technique == Technique::by_hand);
    CHECK(site.call.find("evtchn_upcall_mask") != std::string::npos);
    CHECK(document.patches.empty());
}
