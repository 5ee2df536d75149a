// SPDX-License-Identifier: Apache-2.0
// Sweep and descent over hand-assembled code. Each test writes its layout beside the bytes.
#include "scan_fixture.h"

namespace trapline {
namespace {

using namespace scan_test;
using image::CodeWidth;
using image::SymbolKind;
using image::TableKind;
using Origin = image::CodePointer::Origin;

TEST_CASE("scan: the embedded database is usable here") {
    const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    REQUIRE(outcome.errors.empty());
}

TEST_CASE("scan: what a jump skips is swept, what it reaches is reached") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, "EB01 FA F4 C3");  // jmp 1003; cli; hlt; ret
    code.pointer(text, 0x1000);
    const ScanDocument document = code.scan();
    CHECK(brief(document) == Lines{"1002 cli swept", "1003 hlt reached"});
    REQUIRE(document.sections.size() == 1);
    CHECK(document.sections[0].instructions == 4);
    CHECK(document.sections[0].reached_bytes == 4);
    CHECK(document.findings[0].file_offset == 0x1402);
    CHECK(document.findings[0].bytes == std::vector<std::uint8_t>{0xFA});
    CHECK(document.findings[0].decode_mode == "64");
    CHECK(document.findings[0].mode == "64");
    CHECK(document.findings[0].text == "cli");
    CHECK(document.findings[0].form == "cli");
}

TEST_CASE("scan: a branch into an instruction uncovers hidden ones") {
    CodeImage code;
    // jmp 1003; mov eax, 90C3F4FA (B8 FA F4 C3 90); pop rax; ret. Inside the mov: cli; hlt; ret.
    const auto text = code.add(".text", 0x1000, "EB01 B8FAF4C390 58 C3");
    code.pointer(text, 0x1000);
    const ScanDocument document = code.scan();
    CHECK(brief(document) == Lines{"1003 cli hidden", "1004 hlt hidden"});
    CHECK(has_note(document, "3 instructions overlap others"));
    CHECK(document.sections[0].reached_bytes == 2);  // the jump; hidden bytes belong to the mov
}

TEST_CASE("scan: bytes inside an instruction to which nothing leads are no finding") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, "B8FAF4C390 C3");
    code.pointer(text, 0x1000);
    CHECK(brief(code.scan()).empty());
}

TEST_CASE("scan: a jump over a LOCK prefix overlaps and rejoins") {
    CodeImage code;
    // je 1003; lock cmpxchg [rdi], ecx; cli; ret
    const auto text = code.add(".text", 0x1000, "7401 F00FB10F FA C3");
    code.pointer(text, 0x1000);
    const ScanDocument document = code.scan();
    CHECK(brief(document) == Lines{"1006 cli reached"});
    CHECK(has_note(document, "1 instructions overlap others"));
}

TEST_CASE("scan: a symbol inside an instruction starts decoding anew") {
    CodeImage code;
    // F6 C3 CC is test bl, CCh; a symbol at its second byte makes it ret; int3, as Linux's untrain_ret does.
    const auto text = code.add(".text", 0x1000, "F6C3CC");
    code.symbol(text, 0x1000, "untrain_ret", SymbolKind::function);
    code.symbol(text, 0x1001, "return_thunk", SymbolKind::function);
    const ScanDocument document = code.scan();
    CHECK(document.sections[0].straddling_bytes == 1);
    CHECK(document.sections[0].instructions == 1);
    CHECK(document.sections[0].padding_bytes == 1);
    CHECK(has_note(document, "1 instructions run over a symbol"));
    CHECK(has_note(document, "1 instructions overlap others"));  // the test, met by descent from its own symbol
}

TEST_CASE("scan: a sensitive instruction that a symbol cuts off is still found") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, "0F22D8 C3");  // mov cr3, rax; from 1002: fcomp st(3)
    code.symbol(text, 0x1002, "inside");
    const ScanDocument document = code.scan();
    REQUIRE(brief(document) == Lines{"1000 mov hidden"});
    CHECK(document.findings[0].privileged == "yes");
    code.pointer(text, 0x1000);  // that descent meets it too changes nothing
    CHECK(brief(code.scan()) == Lines{"1000 mov hidden"});
}

TEST_CASE("scan: filler is skipped and counted, and no path goes on into it") {
    CodeImage code;
    // ret; 13 x int3; cli; ret; nopl; two zero bytes
    const auto text = code.add(".text", 0x1000, "C3 CCCCCCCCCCCCCCCCCCCCCCCCCC FA C3 0F1F4000 0000");
    code.pointer(text, 0x1000);
    const ScanDocument document = code.scan();
    CHECK(brief(document) == Lines{"100e cli swept"});
    CHECK(document.sections[0].padding_bytes == 13 + 4 + 2);
    CHECK(document.sections[0].instructions == 3);
    CHECK(document.sections[0].undecodable_bytes == 0);
}

TEST_CASE("scan: a call is taken to return, UD2 is not, and INT3 behind a call ends the path") {
    CodeImage code;
    // call 1008; cli; hlt; ud2 | sti at 1009 is behind UD2
    const auto text = code.add(".text", 0x1000, "E804000000 FA 0F0B FB C3 E8FAFFFFFF CC FA C3");
    code.pointer(text, 0x1000);
    code.pointer(text, 0x100A);
    // 1000 call 1009; 1005 cli; 1006 ud2; 1008 sti; 1009 ret; 100A call 1009; 100F int3; 1010 cli; 1011 ret
    CHECK(brief(code.scan()) == Lines{"1005 cli reached", "1008 sti swept", "1010 cli swept"});
}

TEST_CASE("scan: the letters of Xen's emulation prefix are not OUTSB") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, "0F0B 78656E 0FA2 C3");  // ud2; "xen"; cpuid; ret
    code.pointer(text, 0x1000);
    CHECK(brief(code.scan()) == Lines{"1005 cpuid reached"});
}

TEST_CASE("scan: undecodable bytes are counted one at a time") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, "06 06 FA 0F");  // PUSH ES is no instruction in 64-bit mode; 0F is cut
    code.pointer(text, 0x1000);
    const ScanDocument document = code.scan();
    CHECK(brief(document) == Lines{"1002 cli swept"});
    CHECK(document.sections[0].undecodable_bytes == 3);
    CHECK(document.sections[0].instructions == 1);
}

TEST_CASE("scan: what its prefixes make longer than 15 bytes is passed as a whole") {
    CodeImage code;
    // 15 x 66, nop; cli | 6 x 2e, mov dword ptr [rip], imm32: 16 bytes; sti | 5 x 2e and the same: 15 bytes; ret
    const auto text = code.add(".text", 0x1000,
                               "666666666666666666666666666666 90 FA 2E2E2E2E2E2E C70500000000FAFAFAFA FB 2E2E2E2E2E C70500000000FAFAFAFA C3");
    code.pointer(text, 0x1000);
    const ScanDocument document = code.scan();
    CHECK(brief(document) == Lines{"1010 cli swept", "1021 sti swept"});
    CHECK(document.sections[0].undecodable_bytes == 16 + 16);
    CHECK(document.sections[0].instructions == 4);
}

TEST_CASE("scan: prefixes without an instruction take time by their number") {
    CodeImage code;
    std::string bytes;
    for (int i = 0; i < 1 << 20; ++i) bytes += "66";
    code.add(".text", 0x1000, bytes + "06 FA");  // PUSH ES, which is none in 64-bit mode
    const ScanDocument document = code.scan();
    CHECK(brief(document) == Lines{"101001 cli swept"});
    CHECK(document.sections[0].undecodable_bytes == (1 << 20) + 1);
}

TEST_CASE("scan: an alternative's replacement is reached with its original and returns behind it") {
    CodeImage code;
    // push rax; nop; nop | hlt; ret. Nothing leads to 1010.
    const auto text = code.add(".text", 0x1000, "50 9090 F4 C3 CCCCCCCCCCCCCCCCCCCCCC 9090 C3");
    const auto body = code.add(".altinstr_replacement", 0x2000, "FA FB");
    code.pointer(text, 0x1000);
    code.table(TableKind::alternative_original, text, 0x1001, 0x1003);
    code.table(TableKind::alternative_original, text, 0x1010, 0x1012);
    code.table(TableKind::alternative_replacement, body, 0x2000, 0x2001, VirtAddr{0x1001}, {image::TableDetail::Kind::feature, false, false, 9 * 32 + 20});
    code.table(TableKind::alternative_replacement, body, 0x2001, 0x2002, VirtAddr{0x1010});
    const ScanDocument document = code.scan();
    // cli is copied over 1001; it does not fall through into the sti of the other replacement.
    CHECK(brief(document) == Lines{"1003 hlt reached", "2000 cli reached", "2001 sti swept"});
    REQUIRE(document.findings[1].context.size() == 1);
    CHECK(document.findings[1].context[0].kind == "alternative-replacement");
    CHECK(document.findings[1].context[0].detail == "for 0x1001, feature 9*32+20");
}

TEST_CASE("scan: exception fixups and jump-label targets are reached with their sites") {
    CodeImage code;
    // 1000 wrmsr; 1002 ret | 1003 cli; 1004 ret | 1005 nopl; 100A ret | 100B sti; 100C ret
    const auto text = code.add(".text", 0x1000, "0F30 C3 FA C3 0F1F440000 C3 FB C3");
    code.pointer(text, 0x1000);
    code.table(TableKind::exception_table, text, 0x1000, 0x1001, VirtAddr{0x1003});
    code.table(TableKind::jump_label, text, 0x1005, 0x1006, VirtAddr{0x100B});
    const ScanDocument document = code.scan();
    CHECK(brief(document) == Lines{"1000 wrmsr reached", "1003 cli reached", "100b sti swept"});
    REQUIRE(document.findings[0].context.size() == 1);
    CHECK(document.findings[0].context[0].kind == "exception-table");
    CHECK(document.findings[0].context[0].detail == "fixup 0x1003");
}

TEST_CASE("scan: code behind a jump that the kernel may turn into NOPs is reached") {
    // jmp 1003; cli; ret
    SECTION("an alternative without replacement") {
        CodeImage code;
        const auto text = code.add(".text", 0x1000, "EB01 FA C3");
        code.pointer(text, 0x1000);
        code.table(TableKind::alternative_original, text, 0x1000, 0x1002);
        CHECK(brief(code.scan()) == Lines{"1002 cli reached"});
    }
    SECTION("a jump label") {
        CodeImage code;
        const auto text = code.add(".text", 0x1000, "EB01 FA C3");
        code.pointer(text, 0x1000);
        code.table(TableKind::jump_label, text, 0x1000, 0x1001, VirtAddr{0x1003});
        CHECK(brief(code.scan()) == Lines{"1002 cli reached"});
    }
}

TEST_CASE("scan: .init sections and LOCK sites show in the context") {
    CodeImage code;
    const auto text = code.add(".init.text", 0x1000, "FA C3");
    code.table(TableKind::smp_lock, text, 0x1000, 0x1001);
    const ScanDocument document = code.scan();
    REQUIRE(document.findings.size() == 1);
    REQUIRE(document.findings[0].context.size() == 2);
    CHECK(document.findings[0].context[0].kind == "smp-lock");
    CHECK(document.findings[0].context[1].kind == "init");
}

TEST_CASE("scan: data words that point inside an instruction are not believed, entries are") {
    for (const Origin origin : {Origin::entry, Origin::symbol, Origin::table, Origin::relocation, Origin::data_pointer}) {
        CodeImage code;
        const auto text = code.add(".text", 0x1000, "B8FAF4C390 C3");
        code.pointer(text, 0x1001, origin);
        const ScanDocument document = code.scan();
        const bool believed = origin == Origin::entry || origin == Origin::symbol || origin == Origin::table;
        CHECK(brief(document) == (believed ? Lines{"1001 cli hidden", "1002 hlt hidden"} : Lines{}));
        CHECK(has_note(document, "1 pointers from relocations or data") == !believed);
    }
}

TEST_CASE("scan: unresolved displacements of relocatable files lead nowhere") {
    SECTION("x86-64: the field is 0 and the addend is in the relocation") {
        CodeImage code;
        const auto text = code.add(".text", 0, "E900000000 FA C3");  // jmp somewhere; cli
        code.image.relocatable = true;
        code.pointer(text, 0);
        CHECK(brief(code.scan()) == Lines{"5 cli swept"});
    }
    SECTION("i386: the field holds the addend -4, which is inside the call") {
        CodeImage code;
        const auto text = code.add(".text", 0, "E8FCFFFFFF FA C3", CodeWidth::bits32);
        code.image.relocatable = true;
        code.pointer(text, 0);
        const ScanDocument document = code.scan();
        CHECK(brief(document) == Lines{"5 cli reached"});
        CHECK_FALSE(has_note(document, "overlap others"));
    }
    SECTION("resolved ones are followed") {
        CodeImage code;
        const auto text = code.add(".text", 0, "E901000000 FB FA C3");
        code.image.relocatable = true;
        code.pointer(text, 0);
        CHECK(brief(code.scan()) == Lines{"5 sti swept", "6 cli reached"});
    }
}

TEST_CASE("scan: addresses of a relocatable file do not lead from one section to another") {
    CodeImage code;
    const auto text = code.add(".text", 0, "EB10 FA");
    code.add(".text.unlikely", 0, std::string("9090909090909090909090909090909090909090 FB C3"));
    code.image.relocatable = true;
    code.pointer(text, 0);
    CHECK(brief(code.scan()) == Lines{"2 cli swept", "14 sti swept"});
}

TEST_CASE("scan: branches lead from section to section of a linked image") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, "E9FB0F0000");  // jmp 2000
    code.add(".init.text", 0x2000, "FA C3");
    code.pointer(text, 0x1000);
    CHECK(brief(code.scan()) == Lines{"2000 cli reached"});
    scan::ScanOptions only;
    only.section = ".init.text";
    CHECK(brief(code.scan(only)) == Lines{"2000 cli swept"});
}

TEST_CASE("scan: findings carry the symbol that covers them") {
    CodeImage code;
    const auto text = code.add(".text", 0x1000, "C3 CC C3 9C 58 FA C3");
    code.symbol(text, 0x1000, "first");
    code.symbol(text, 0x1002, "second", SymbolKind::function);
    const ScanDocument document = code.scan();
    REQUIRE(brief(document) == Lines{"1003 pushfq swept", "1005 cli swept"});
    CHECK(document.findings[1].symbol == "second");
    CHECK(document.findings[1].symbol_offset == 3);
}

TEST_CASE("scan: sixteen-bit code is real mode where the image says so") {
    for (const bool real : {false, true}) {
        CodeImage code;
        code.add(".text", 0, "FA C3", CodeWidth::bits16);
        code.image.sections[0].real_mode = real;
        const ScanDocument document = code.scan();
        REQUIRE(document.findings.size() == 1);
        CHECK(document.findings[0].mode == "16");
        CHECK(document.findings[0].decode_mode == (real ? "16r" : "16p"));
        CHECK(document.findings[0].critical == real);  // real mode has no user mode in which CLI could trap
    }
}

TEST_CASE("scan: innocuous instructions are no findings but can be counted") {
    CodeImage code;
    code.add(".text", 0x1000, "F30F1EFA 55 F390 0FC7F0 5D C3");  // endbr64; push; pause; rdrand; pop; ret
    scan::ScanOptions options;
    CHECK(code.scan(options).all_mnemonics.empty());
    options.count_all = true;
    const ScanDocument document = code.scan(options);
    CHECK(brief(document).empty());
    CHECK(document.all_mnemonics == std::map<std::string, std::uint64_t>{
                                        {"endbr64", 1}, {"pause", 1}, {"pop", 1}, {"push", 1}, {"rdrand", 1}, {"ret", 1}});
}

TEST_CASE("scan: sections that all map the same bytes are not scanned over and over") {
    CodeImage code;
    for (int i = 0; i < 100; ++i) code.add(".text", 0x1000, "FAC3FAC3");
    code.image.size = 8;
    const ScanDocument document = code.scan();
    CHECK(document.sections.size() == 4);  // twice the file's size
    CHECK(has_note(document, "96 sections not scanned"));
}

}  // namespace
}  // namespace trapline
