// SPDX-License-Identifier: Apache-2.0
// Core files of guests with page tables made here by hand (SDM vol. 3, "Paging").
#include "executor/host/core_dump.h"

#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>

using namespace trapline;
using namespace trapline::executor;

namespace {

struct Guest {
    SharedPages ram = std::move(*SharedPages::create("ram", 16 << 20));
    RegisterDump registers;
    void put32(std::uint32_t at, std::uint32_t value) { std::memcpy(ram.data() + at, &value, 4); }
    void put64(std::uint32_t at, std::uint64_t value) { std::memcpy(ram.data() + at, &value, 8); }
    std::vector<Elf32_Phdr> segments() {
        const CoreFile core = make_core(registers, ram, "text");
        REQUIRE(core.head.size() % kPageBytes == 0);
        Elf32_Ehdr header;
        std::memcpy(&header, core.head.data(), sizeof header);
        REQUIRE(header.e_type == ET_CORE);
        std::vector<Elf32_Phdr> out(header.e_phnum);
        std::memcpy(out.data(), core.head.data() + header.e_phoff, out.size() * sizeof(Elf32_Phdr));
        REQUIRE(out[0].p_type == PT_NOTE);
        out.erase(out.begin());
        for (const Elf32_Phdr& one : out) CHECK(one.p_offset == core.head.size() + one.p_paddr);
        return out;
    }
};

void check(const Elf32_Phdr& segment, std::uint32_t linear, std::uint32_t physical, std::uint32_t size, bool writable) {
    CHECK(segment.p_vaddr == linear);
    CHECK(segment.p_paddr == physical);
    CHECK(segment.p_filesz == size);
    CHECK(((segment.p_flags & PF_W) != 0) == writable);
}

}  // namespace

TEST_CASE("Without paging a core file holds physical memory", "[executor]") {
    Guest guest;
    const auto segments = guest.segments();
    REQUIRE(segments.size() == 1);
    check(segments[0], 0, 0, 16 << 20, true);
}

TEST_CASE("32-bit paging: pages that lie together are one segment, beyond RAM there is none", "[executor]") {
    Guest guest;
    guest.registers.cr0 = 0x80000001;
    guest.registers.cr4 = 0x10;  // PSE
    guest.registers.cr3 = 0x1000;
    guest.put32(0x1000, 0x2000 | 3);                    // 0: a table
    guest.put32(0x2000 + 4 * 5, 0x7000 | 3);            // page 5 -> frame 7
    guest.put32(0x2000 + 4 * 6, 0x8000 | 3);            // page 6 -> frame 8
    guest.put32(0x2000 + 4 * 7, 0x9000 | 1);            // page 7 -> frame 9, read-only
    guest.put32(0x2000 + 4 * 8, 0x7FFFF000 | 3);        // beyond RAM
    guest.put32(0x1000 + 4 * 768, 0x00400000 | 0x83);   // C0000000: 4 MiB
    guest.put32(0x1000 + 4 * 769, 0x00800000 | 0x83);
    guest.put32(0x1000 + 4 * 1023, 0x1000 | 3);         // the directory as a table
    const auto segments = guest.segments();
    REQUIRE(segments.size() >= 4);
    check(segments[0], 0x5000, 0x7000, 0x2000, true);
    check(segments[1], 0x7000, 0x9000, 0x1000, false);
    check(segments[2], 0xC0000000, 0x400000, 0x800000, true);
    check(segments[3], 0xFFC00000, 0x2000, 0x1000, true);
}

TEST_CASE("PAE: four directories, 2 MiB pages", "[executor]") {
    Guest guest;
    guest.registers.cr0 = 0x80000001;
    guest.registers.cr4 = 0x20;
    guest.registers.cr3 = 0x1020;
    guest.put64(0x1020 + 8 * 3, 0x2001);
    guest.put64(0x2000 + 8 * 1, 0x600000 | 0x83);
    guest.put64(0x2000 + 8 * 2, 0x3000 | 3);
    guest.put64(0x3000 + 8 * 511, 0x8000000000005003);  // NX is no part of the address
    const auto segments = guest.segments();
    REQUIRE(segments.size() == 2);
    check(segments[0], 0xC0200000, 0x600000, 0x200000, true);
    check(segments[1], 0xC05FF000, 0x5000, 0x1000, true);
}

TEST_CASE("Tables that map more pieces than a core file has places for are cut", "[executor]") {
    Guest guest;
    guest.registers.cr0 = 0x80000001;
    guest.registers.cr3 = 0x1000;
    for (std::uint32_t i = 0; i < 1024; ++i) {
        guest.put32(0x1000 + 4 * i, 0x2000 | 3);
        guest.put32(0x2000 + 4 * i, (0x10000 + (1023 - i) * 0x1000) | 3);  // each page apart from the next
    }
    const CoreFile core = make_core(guest.registers, guest.ram, "");
    CHECK_FALSE(core.complete);
    CHECK(core.segments < 0x10000);
}

TEST_CASE("The notes: registers where debuggers look, and the text", "[executor]") {
    Guest guest;
    guest.registers.eip = 0x11223344;
    guest.registers.gpr[kRsp] = 0x55667788;
    guest.registers.gpr[kRbx] = 0xB0B0B0B0;
    const CoreFile core = make_core(guest.registers, guest.ram, "text");
    Elf32_Phdr note;
    std::memcpy(&note, core.head.data() + sizeof(Elf32_Ehdr), sizeof note);
    const std::uint8_t* const status = core.head.data() + note.p_offset + sizeof(Elf32_Nhdr) + 8;
    const auto word = [&](std::size_t at) {
        std::uint32_t value;
        std::memcpy(&value, status + at, 4);
        return value;
    };
    // struct elf_prstatus of i386: pr_reg at 72; EBX first, EIP the 13th, ESP the 16th (sys/user.h).
    CHECK(word(72) == 0xB0B0B0B0);
    CHECK(word(72 + 12 * 4) == 0x11223344);
    CHECK(word(72 + 15 * 4) == 0x55667788);
    CHECK(std::string(core.head.begin(), core.head.end()).find(std::string("TRAPLINE\0\0\0\0text", 16)) != std::string::npos);
}

TEST_CASE("The last happenings are told oldest first, however many there were", "[executor]") {
    LastHappenings last;
    for (std::uint32_t i = 0; i < 100; ++i) last.add({Happening::event, i, 0, 0x1000 + i, 0, 0});
    const std::string text = describe_end("what", {}, last);
    CHECK(text.find("The last of 100 ") != std::string::npos);
    CHECK(text.find("00001023 ") == std::string::npos);
    CHECK(text.find("00001024 ") < text.find("00001063 "));
    CHECK(text.find("00001063 ") != std::string::npos);
}
