// SPDX-License-Identifier: Apache-2.0
// What a rewriter is told about code, each kind by a few bytes that were assembled by hand.
#include "scan_fixture.h"

#include <algorithm>
#include <tuple>

namespace trapline {
namespace {

using namespace scan_test;
using image::CodeWidth;
using image::TableKind;
using scan::CodeFacts;
using scan::CodePlace;
using Origin = image::CodePointer::Origin;

CodeFacts facts_of(const CodeImage& code) { return scan::scan_with_facts(code.image, database(), tags(), {}).facts; }

/// Renders targets as "address kind", after the section's number where there are several.
Lines targets_of(const CodeFacts& facts) {
    Lines lines;
    for (const scan::CodeTarget& target : facts.targets()) {
        char address[40];
        const scan::SectionCode& code = facts.sections()[target.place.section];
        std::snprintf(address, sizeof address, "%llx ", static_cast<unsigned long long>(code.address_of(target.place.offset).value));
        const std::string section = facts.sections().size() > 1 ? std::to_string(target.place.section) + ":" : "";
        lines.push_back(section + address + std::string(to_string(target.kind)));
    }
    return lines;
}

image::RelocationSlot slot_at(image::SectionIndex section, std::uint64_t address, std::uint8_t size, bool pc_relative,
                              std::optional<VirtAddr> target = std::nullopt, image::SectionIndex target_section = 0) {
    image::RelocationSlot slot;
    slot.section = section;
    slot.address = {address};
    slot.size = size;
    slot.pc_relative = pc_relative;
    slot.target = target;
    slot.target_section = target_section;
    return slot;
}

TEST_CASE("code facts: branches of code that nothing reaches count, and so does what a call comes back to") {
    CodeImage code;
    // 1000 call 100C; 1005 je 1009; 1007 jmp 1000; 1009 call rax; 100B ret; 100C ret
    code.add(".text", 0x1000, "E807000000 7402 EBF7 FFD0 C3 C3");
    CHECK(targets_of(facts_of(code)) == Lines{"1000 branch", "1005 return", "1009 branch", "100b return", "100c branch"});
}

TEST_CASE("code facts: a handler may come back behind UD2, but not into the letters of an emulation prefix") {
    CodeImage code;
    code.add(".text", 0x1000, "0F0B 90 0F0B78656E 0FA2 C3");  // ud2; nop; ud2 "xen"; cpuid; ret
    CHECK(targets_of(facts_of(code)) == Lines{"1002 return"});
}

TEST_CASE("code facts: the branch of an overlapping instruction counts once control flow leads to it") {
    CodeImage code;
    // 1000 jmp 1003; 1002 mov eax, 9090_02EB (B8 EB 02 90 90); 1007 ret. Inside the mov at 1003: jmp 1007.
    const auto text = code.add(".text", 0x1000, "EB01 B8EB029090 C3");
    CHECK(targets_of(facts_of(code)) == Lines{"1003 branch"});
    code.pointer(text, 0x1000);
    CHECK(targets_of(facts_of(code)) == Lines{"1000 pointer", "1003 branch", "1007 branch"});
}

TEST_CASE("code facts: symbols of any kind and pointers of any origin are targets") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, std::vector<std::uint8_t>(16, 0x90));
    code.symbol(text, 0x1001, "label");
    code.symbol(text, 0x1002, "object", image::SymbolKind::object);
    code.pointer(text, 0x1003, Origin::entry);
    code.pointer(text, 0x1004, Origin::symbol);
    code.pointer(text, 0x1005, Origin::relocation);
    code.pointer(text, 0x1006, Origin::table);
    code.pointer(text, 0x1007, Origin::data_pointer);
    code.pointer(text, 0x1010);  // behind the end
    CHECK(targets_of(facts_of(code)) == Lines{"1001 symbol", "1002 symbol", "1003 pointer", "1004 symbol", "1005 pointer", "1006 table", "1007 pointer"});
}

TEST_CASE("code facts: operands of 64-bit code that name code") {
    CodeImage code;
    // 10000000 lea rax,[rip+9] -> 10000010; 10000007 mov edi, 10000011; 1000000C push 10000012; 10000011..: nops
    code.add(".text", 0x10000000, "488D0509000000 BF11000010 6812000010 9090909090");
    CHECK(targets_of(facts_of(code)) == Lines{"10000010 reference", "10000011 reference", "10000012 reference"});

    CodeImage high;
    // mov rdi, FFFFFFFF81000013 (C7 /0 id); movabs rax, FFFFFFFF81000014; jmp [rax*8 + FFFFFFFF81000015]; ret
    high.add(".text", 0xFFFFFFFF81000000, "48C7C713000081 48B81400008 1FFFFFFFF FF24C515000081 C3");
    CHECK(targets_of(facts_of(high)) == Lines{"ffffffff81000013 reference", "ffffffff81000014 reference", "ffffffff81000015 reference"});
}

TEST_CASE("code facts: operands of 32-bit code that name code, and what only looks like one") {
    CodeImage code;
    // C1000000 push C1000010; C1000005 mov eax,[C1000011]; C100000A jmp [eax*4 + C1000012]; C1000011 ljmp 60:C1000013; ret
    code.add(".text", 0xC1000000, "68100000C1 A1110000C1 FF2485120000C1 EA130000C16000 C3", CodeWidth::bits32);
    CHECK(targets_of(facts_of(code)) == Lines{"c1000010 reference", "c1000011 reference", "c1000012 reference", "c1000013 reference"});

    CodeImage other;
    // mov dword [eax+0100], 00C10000: bytes 00 00 01 .. read across the fields would name nothing; add al, 5; ret
    other.add(".text", 0xC1000000, "C7800001000000 00C100 0405 C3", CodeWidth::bits32);
    CHECK(targets_of(facts_of(other)).empty());
}

TEST_CASE("code facts: a word of data that is the address of a switch's label is a target, aligned ones only") {
    CodeImage code;
    code.add(".text", 0x1000, std::vector<std::uint8_t>(16, 0x90));
    auto data = parse_hex("0610000000000000 00000000 0710000000000000 00000000");
    REQUIRE(data);
    image::Section section;
    section.name = ".rodata";
    section.address = {0x2000};
    section.bytes = *data;
    code.image.sections.push_back(section);
    CHECK(targets_of(facts_of(code)) == Lines{"1006 pointer"});  // the second one stands at 200C
}

TEST_CASE("code facts: kernel tables lead to fixups, labels, and the starts and ends of alternatives") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, std::vector<std::uint8_t>(0x20, 0x90));
    const auto other = code.add(".altinstr_replacement", 0x2000, std::vector<std::uint8_t>(8, 0x90));
    code.table(TableKind::exception_table, text, 0x1001, 0x1002, VirtAddr{0x1010});
    code.table(TableKind::jump_label, text, 0x1003, 0x1004, VirtAddr{0x1012});
    code.table(TableKind::alternative_original, text, 0x1005, 0x1008, VirtAddr{0x2001});
    code.table(TableKind::alternative_replacement, other, 0x2001, 0x2003, VirtAddr{0x1005});
    code.table(TableKind::interrupt_gate, text, 0x1014, 0x1015);
    code.table(TableKind::static_call, text, 0x1016, 0x1017, VirtAddr{0x1018});  // the peer is a key: data
    CHECK(targets_of(facts_of(code)) == Lines{"0:1005 table", "0:1008 table", "0:1010 table", "0:1012 table", "0:1014 table", "1:2001 table", "1:2003 table"});
}

TEST_CASE("code facts: in a relocatable image the relocations say where fields lead") {
    CodeImage code;
    code.image.relocatable = true;
    // 0 call (slot at 1 -> .init+2); 5 jmp 8 (no slot: local); 7 nop; 8 lea rax,[rip+slot at B -> .text+1]; F mov edi,(slot) ; ret
    const auto text = code.add(".text", 0, "E800000000 EB01 90 488D0500000000 BF00000000 C3 90");
    const auto init = code.add(".init.text", 0, std::vector<std::uint8_t>(8, 0x90));
    code.image.slots = {slot_at(text, 0x1, 4, true, VirtAddr{2 - std::uint64_t{4}}, init), slot_at(text, 0xB, 4, true, VirtAddr{1 - std::uint64_t{4}}, text),
                        slot_at(text, 0x10, 4, false, VirtAddr{0x15}, text)};
    // Without a slot the mov's 0 would be .text's own start; a relocatable file has no absolute values.
    CHECK(targets_of(facts_of(code)) == Lines{"0:1 reference", "0:5 return", "0:8 branch", "0:15 reference", "1:2 branch"});
}

TEST_CASE("code facts: i386 addresses of a relocatable image wrap at 4 GiB") {
    CodeImage code;
    code.image.relocatable = true;
    code.image.format = image::Format::elf32;
    const auto text = code.add(".text", 0, "90 E8FCFFFFFF C3", CodeWidth::bits32);
    code.image.slots = {slot_at(text, 2, 4, true, VirtAddr{0xFFFFFFFC}, text)};  // symbol at 0, addend -4
    CHECK(targets_of(facts_of(code)) == Lines{"0 branch", "6 return"});
}

TEST_CASE("code facts: what the kernel patches is protected as whole instructions") {
    CodeImage code;
    // 1000 nop; 1001 ds lock inc [rdi]; 1005 call; 100A ud2; 100C cli; 100D nop; 100E nop
    const auto text = code.add(".text", 0x1000, "90 3EF0FF07 E800000000 0F0B FA 90 90");
    code.table(TableKind::smp_lock, text, 0x1002, 0x1003);         // the LOCK behind a DS prefix
    code.table(TableKind::function_trace, text, 0x1005, 0x1006);
    code.table(TableKind::bug, text, 0x100A, 0x100B);
    code.table(TableKind::alternative_original, text, 0x100C, 0x100E);
    code.table(TableKind::interrupt_gate, text, 0x100E, 0x100F);   // only a pointer
    const CodeFacts facts = facts_of(code);
    const auto at = [&](std::uint64_t begin, std::uint64_t end) {
        std::vector<std::tuple<std::uint64_t, std::uint64_t, TableKind, std::size_t>> found;
        for (const scan::ProtectedRange* range : facts.find_protected({0, begin}, end))
            found.emplace_back(range->begin.offset, range->end, range->kind, range->table_entry);
        return found;
    };
    CHECK(at(0, 1).empty());
    CHECK(at(0, 2) == decltype(at(0, 0)){{1, 5, TableKind::smp_lock, 0}});
    CHECK(at(4, 6) == decltype(at(0, 0)){{1, 5, TableKind::smp_lock, 0}, {5, 10, TableKind::function_trace, 1}});
    CHECK(at(9, 13) == decltype(at(0, 0)){{5, 10, TableKind::function_trace, 1}, {10, 12, TableKind::bug, 2}, {12, 14, TableKind::alternative_original, 3}});
    CHECK(at(14, 15).empty());
}

TEST_CASE("code facts: nested ranges are all found, and one said twice is found once") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, std::vector<std::uint8_t>(0x40, 0x90));
    code.table(TableKind::alternative_original, text, 0x1000, 0x1020);
    code.table(TableKind::alternative_original, text, 0x1004, 0x1006);
    code.table(TableKind::paravirt_site, text, 0x1004, 0x1006);
    code.table(TableKind::alternative_original, text, 0x1004, 0x1006);
    code.table(TableKind::alternative_original, text, 0x1030, 0x1030 + (std::uint64_t{1} << 40));  // cut at the section's end
    const CodeFacts facts = facts_of(code);
    CHECK(facts.find_protected({0, 0x10}, 0x11).size() == 1);
    CHECK(facts.find_protected({0, 0x05}, 0x06).size() == 3);
    CHECK(facts.find_protected({0, 0x20}, 0x30).empty());
    REQUIRE(facts.find_protected({0, 0x3F}, 0x40).size() == 1);
    CHECK(facts.find_protected({0, 0x3F}, 0x40)[0]->end == 0x40);
}

TEST_CASE("code facts: look-ups of targets, slots and the instruction before, also after a move") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, "B844332211 7401 FA C3");  // mov eax, imm32; je 1008; cli; ret
    code.add(".other", 0x2000, "90 C3");
    code.image.slots = {slot_at(text, 0x1001, 4, false), slot_at(text, 0x1007, 1, false)};
    CodeFacts first = facts_of(code);
    const CodeFacts facts = std::move(first);
    REQUIRE(facts.find(text, {0x1005}) == CodePlace{0, 5});
    CHECK_FALSE(facts.find(text, {0x1009}));

    REQUIRE(facts.find_target({0, 0}, 9) != nullptr);
    CHECK(facts.find_target({0, 0}, 9)->place == CodePlace{0, 8});
    CHECK(facts.find_target({0, 8}, 9) != nullptr);
    CHECK(facts.find_target({0, 0}, 8) == nullptr);
    CHECK(facts.find_target({0, 9}, 100) == nullptr);  // does not run on into the next section
    CHECK(facts.find_target({1, 0}, 2) == nullptr);

    CHECK(facts.find_slots({0, 0}, 1).empty());
    CHECK(facts.find_slots({0, 4}, 5).size() == 1);
    CHECK(facts.find_slots({0, 5}, 7).empty());
    CHECK(facts.find_slots({0, 0}, 9).size() == 2);
    CHECK(facts.find_slots({1, 0}, 2).empty());

    CHECK(facts.find_previous({0, 5}) == 0);
    CHECK(facts.find_previous({0, 7}) == 5);
    CHECK(facts.find_previous({0, 9}) == 8);
    CHECK_FALSE(facts.find_previous({0, 6}));
    CHECK_FALSE(facts.find_previous({0, 0}));
}

TEST_CASE("code facts: the scan beside them is the same, and threads do not show") {
    CodeImage code;
    std::vector<std::uint8_t> bytes(700'000);
    std::uint32_t seed = 3;
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
    const auto text = code.add(".text", 0x100000, std::move(bytes), CodeWidth::bits32);
    code.pointer(text, 0x100000);
    scan::ScanOptions options;
    options.jobs = 1;
    const auto one = scan::scan_with_facts(code.image, database(), tags(), options);
    options.jobs = 3;
    const auto three = scan::scan_with_facts(code.image, database(), tags(), options);
    CHECK(one.facts.targets() == three.facts.targets());
    CHECK(std::is_sorted(one.facts.targets().begin(), one.facts.targets().end()));
    CHECK(brief(one.document) == brief(code.scan()));
}

}  // namespace
}  // namespace trapline
