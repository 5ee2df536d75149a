// SPDX-License-Identifier: Apache-2.0
// Guest tables are read without trust: every entry is bounded by RAM, and each level is walked at most once.
#include "executor/host/core_dump.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace trapline::executor {
namespace {

constexpr std::uint64_t kPresent = 1, kWritable = 2, kLarge = 0x80;
constexpr std::size_t kMostSegments = 0xFFF0;  // e_phnum has 16 bits, and the notes take one

/// One run of linear addresses in RAM.
struct Piece {
    std::uint64_t linear = 0, physical = 0, size = 0;
    bool writable = false;
};

class Pieces {
public:
    explicit Pieces(std::uint64_t ram_size) : ram_size_(ram_size) {}
    void add(Piece piece) {
        if (piece.physical >= ram_size_) return;
        piece.size = std::min(piece.size, ram_size_ - piece.physical);
        if (!list.empty()) {
            Piece& last = list.back();
            if (last.linear + last.size == piece.linear && last.physical + last.size == piece.physical && last.writable == piece.writable) {
                last.size += piece.size;
                return;
            }
        }
        if (list.size() == kMostSegments) complete = false;
        else list.push_back(piece);
    }
    std::vector<Piece> list;
    bool complete = true;

private:
    std::uint64_t ram_size_;
};

std::uint64_t entry_at(const SharedPages& ram, std::uint64_t address, unsigned size) {
    std::uint64_t value = 0;
    if (address <= ram.size() && ram.size() - address >= size) std::memcpy(&value, ram.data() + address, size);
    return value;
}

/// The last two levels, which 32-bit and PAE paging share but for the entries' size: a directory that maps `linear` on.
void add_directory(const SharedPages& ram, std::uint64_t directory, std::uint64_t linear, unsigned entry_size, bool large_pages, Pieces& pieces) {
    const std::uint64_t entries = kPageBytes / entry_size, span = entries * kPageBytes;
    // Bits 12 to 51 of a PAE entry, 12 to 31 of the other kind.
    const std::uint64_t frame = entry_size == 8 ? 0x000F'FFFF'FFFF'F000 : 0xFFFF'F000;
    for (std::uint64_t i = 0; i < entries; ++i, linear += span) {
        const std::uint64_t upper = entry_at(ram, directory + i * entry_size, entry_size);
        if ((upper & kPresent) == 0) continue;
        if (large_pages && (upper & kLarge) != 0) {
            pieces.add({linear, upper & frame & ~(span - 1), span, (upper & kWritable) != 0});
            continue;
        }
        for (std::uint64_t j = 0; j < entries; ++j) {
            const std::uint64_t lower = entry_at(ram, (upper & frame) + j * entry_size, entry_size);
            if ((lower & kPresent) != 0) pieces.add({linear + j * kPageBytes, lower & frame, kPageBytes, (upper & lower & kWritable) != 0});
        }
    }
}

Pieces find_pieces(const RegisterDump& registers, const SharedPages& ram) {
    Pieces pieces(ram.size());
    if ((registers.cr0 & cr0::pg) == 0) {
        pieces.add({0, 0, ram.size(), true});
    } else if ((registers.cr4 & cr4::pae) != 0) {
        for (std::uint64_t i = 0; i < 4; ++i) {
            const std::uint64_t pointer = entry_at(ram, (registers.cr3 & ~31u) + 8 * i, 8);
            if ((pointer & kPresent) != 0) add_directory(ram, pointer & 0x000F'FFFF'FFFF'F000, i << 30, 8, true, pieces);
        }
    } else {
        add_directory(ram, registers.cr3 & ~0xFFFu, 0, 4, (registers.cr4 & cr4::pse) != 0, pieces);
    }
    return pieces;
}

// struct elf_prstatus of i386, whose layout is not that of this program's headers.
struct I386Status {
    std::int32_t signal[3] = {};
    std::int16_t current_signal = 0, padding = 0;
    std::uint32_t pending = 0, held = 0;
    std::int32_t pid = 1, ppid = 0, pgrp = 0, sid = 0;
    std::int32_t times[8] = {};
    std::uint32_t registers[17] = {};  // ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss
    std::int32_t fpu_valid = 0;
};
static_assert(sizeof(I386Status) == 144);

I386Status make_status(const RegisterDump& from) {
    I386Status status;
    status.current_signal = 5;  // SIGTRAP: debuggers want a reason
    const std::uint32_t registers[17] = {from.gpr[kRbx], from.gpr[kRcx], from.gpr[kRdx], from.gpr[kRsi], from.gpr[kRdi], from.gpr[kRbp], from.gpr[kRax],
                                         from.selectors[kDs], from.selectors[kEs], from.selectors[kFs], from.selectors[kGs], ~0u,
                                         from.bases[kCs] + from.eip, from.selectors[kCs], from.eflags, from.bases[kSs] + from.gpr[kRsp], from.selectors[kSs]};
    std::copy(std::begin(registers), std::end(registers), status.registers);
    return status;
}

void append(std::vector<std::uint8_t>& to, const void* from, std::size_t size) {
    const auto* bytes = static_cast<const std::uint8_t*>(from);
    to.insert(to.end(), bytes, bytes + size);
}

void append_note(std::vector<std::uint8_t>& to, std::string_view owner, std::uint32_t type, const void* description, std::size_t size) {
    const Elf32_Nhdr header{static_cast<std::uint32_t>(owner.size() + 1), static_cast<std::uint32_t>(size), type};
    append(to, &header, sizeof header);
    append(to, owner.data(), owner.size());
    to.resize((to.size() + 1 + 3) & ~std::size_t{3});
    append(to, description, size);
    to.resize((to.size() + 3) & ~std::size_t{3});
}

}  // namespace

CoreFile make_core(const RegisterDump& registers, const SharedPages& ram, const std::string& text) {
    const Pieces pieces = find_pieces(registers, ram);
    const I386Status status = make_status(registers);
    std::vector<std::uint8_t> notes;
    append_note(notes, "CORE", NT_PRSTATUS, &status, sizeof status);
    append_note(notes, "TRAPLINE", 1, text.data(), text.size());

    const std::size_t headers = sizeof(Elf32_Ehdr) + (pieces.list.size() + 1) * sizeof(Elf32_Phdr);
    const std::size_t ram_offset = (headers + notes.size() + kPageBytes - 1) & ~std::size_t{kPageBytes - 1};
    Elf32_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS32;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_CORE;
    header.e_machine = EM_386;
    header.e_version = EV_CURRENT;
    header.e_phoff = sizeof header;
    header.e_ehsize = sizeof header;
    header.e_phentsize = sizeof(Elf32_Phdr);
    header.e_phnum = static_cast<std::uint16_t>(pieces.list.size() + 1);
    CoreFile core;
    append(core.head, &header, sizeof header);
    Elf32_Phdr note{};
    note.p_type = PT_NOTE;
    note.p_offset = static_cast<std::uint32_t>(headers);
    note.p_filesz = static_cast<std::uint32_t>(notes.size());
    append(core.head, &note, sizeof note);
    for (const Piece& piece : pieces.list) {
        Elf32_Phdr load{};
        load.p_type = PT_LOAD;
        load.p_offset = static_cast<std::uint32_t>(ram_offset + piece.physical);
        load.p_vaddr = static_cast<std::uint32_t>(piece.linear);
        load.p_paddr = static_cast<std::uint32_t>(piece.physical);
        load.p_filesz = load.p_memsz = static_cast<std::uint32_t>(piece.size);
        load.p_flags = PF_R | PF_X | (piece.writable ? PF_W : 0);
        load.p_align = kPageBytes;
        append(core.head, &load, sizeof load);
    }
    append(core.head, notes.data(), notes.size());
    core.head.resize(ram_offset);
    core.segments = pieces.list.size();
    core.complete = pieces.complete;
    return core;
}

std::string describe_end(const std::string& what, const RegisterDump& r, const LastHappenings& last) {
    std::string out = what + "\n\n";
    out += fmt::format("eax {:08x}  ecx {:08x}  edx {:08x}  ebx {:08x}\nesp {:08x}  ebp {:08x}  esi {:08x}  edi {:08x}\n", r.gpr[0], r.gpr[1], r.gpr[2], r.gpr[3], r.gpr[4], r.gpr[5],
                       r.gpr[6], r.gpr[7]);
    out += fmt::format("eip {:08x}  eflags {:08x}  cpl {}\ncr0 {:08x}  cr2 {:08x}  cr3 {:08x}  cr4 {:08x}\n", r.eip, r.eflags, r.cpl, r.cr0, r.cr2, r.cr3, r.cr4);
    static constexpr const char* kNames[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (std::size_t i = 0; i < r.selectors.size(); ++i) out += fmt::format("{} {:04x} base {:08x}{}", kNames[i], r.selectors[i], r.bases[i], i % 3 == 2 ? "\n" : "  ");
    out += fmt::format("gdt {:08x} limit {:04x}  idt {:08x} limit {:04x}\n\nThe last of {} arrivals and events:\n", r.gdt_base, r.gdt_limit, r.idt_base, r.idt_limit, last.count);
    constexpr std::uint64_t kKept = LastHappenings::kKept;
    for (std::uint64_t i = last.count > kKept ? last.count - kKept : 0; i < last.count; ++i) {
        const Happening& one = last.ring[i % kKept];
        if (one.kind == Happening::event) out += fmt::format("  event {:3}    at {:08x} cpl {} error code {:x} cr2 {:08x}\n", one.what, one.linear, one.cpl, one.detail, one.address);
        else out += fmt::format("  {:11}  at {:08x} cpl {} eax {:08x}\n", one.what < kArrivals ? to_string(static_cast<Arrival>(one.what)) : "?", one.linear, one.cpl, one.detail);
    }
    return out;
}

}  // namespace trapline::executor
