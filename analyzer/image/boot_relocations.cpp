// SPDX-License-Identifier: Apache-2.0
// The relocation table behind the ELF in a kernel's payload. arch/x86/boot/compressed/misc.c (handle_relocations) reads
// it backwards from the end: 32-bit addresses of slots up to a zero; on x86-64 then, up to a zero each, the addresses of
// slots relative to a moving target (none since 6.15) and those of 64-bit slots.
#include <algorithm>
#include <fmt/format.h>

#include "image/elf.h"

namespace trapline::image {
namespace {

// The tables about code come next and add as many. Address space alone, where there are fewer.
constexpr std::size_t kUsualTablePointers = 160u << 10;
// Slots in code; a distribution's kernel has under 300,000 in all.
constexpr std::size_t kUsualSlots = 320u << 10;

// One list of the table: entries [begin, end), in words from the table's start.
struct List {
    std::uint64_t begin, end;
};

// The table is a sequence of lists, each led by its zero. Four lists or more are not a table of any version.
std::vector<List> split(ByteView table) {
    std::vector<List> lists;
    const std::uint64_t words = table.size() / 4;
    for (std::uint64_t i = 0; i < words; ++i) {
        if (*table.get<std::uint32_t>(4 * i) != 0) continue;
        if (!lists.empty()) lists.back().end = i;
        lists.push_back({i + 1, words});
        if (lists.size() > 3) return {};
    }
    return lists;
}

struct Slots {
    std::uint64_t known = 0;    // slots that lie in a section
    std::uint64_t code = 0;     // those that hold an address of code
    std::vector<Place> targets;
    std::vector<RelocationSlot> in_code;
};

Slots read_slots(const ElfWork& work, ByteView table, const List& list, std::uint8_t width) {
    Slots slots;
    slots.targets.reserve(list.end - list.begin);
    slots.in_code.reserve(std::min<std::size_t>(table.size() / 4, kUsualSlots));  // those of the other lists are put behind them
    for (std::uint64_t i = list.begin; i < list.end; ++i) {
        const std::uint32_t entry = *table.get<std::uint32_t>(4 * i);
        const std::uint64_t address =
            work.elf.is_64 ? static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(entry)}) : entry;
        const auto slot = work.place_of(address);
        if (!slot) continue;
        ++slots.known;
        if (work.is_code(*slot))
            slots.in_code.push_back({slot->section, slot->address, width, false, 0, 0, 0, work.elf.end + 4 * i, {}, 0});
        const Section& in = work.image.sections[slot->section];
        const ByteView view(in.bytes);
        const std::uint64_t at = slot->address - in.address;
        std::optional<std::uint64_t> value;
        if (width == 8)
            value = view.get<std::uint64_t>(at);
        else if (const auto narrow = view.get<std::uint32_t>(at))
            value = work.elf.is_64 ? static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(*narrow)}) : *narrow;
        if (!value) continue;
        const auto target = work.place_of(*value);
        if (!target || !work.is_code(*target)) continue;
        ++slots.code;
        slots.targets.push_back(*target);
    }
    return slots;
}

}  // namespace

BootRelocations read_boot_relocations(const ElfWork& work) {
    BootRelocations found;
    const Bytes file = work.layer.bytes();
    if (work.elf.type != elf::kEtExec || work.elf.end >= file.size()) return found;
    const std::uint64_t size = file.size() - work.elf.end;
    // Signatures and padding may follow an ELF file as well; a table is whole words and starts with a zero.
    const ByteView table(file.subspan(work.elf.end));
    if (size % 4 != 0 || table.get<std::uint32_t>(0) != 0u) return found;
    const std::vector<List> lists = split(table);
    const bool is_64 = work.elf.is_64;
    if (lists.empty() || (is_64 ? lists.size() < 2 : lists.size() != 1)) {
        found.note = fmt::format("{} bytes follow the ELF at {:#x}; they are not a relocation table", size, work.elf.end);
        return found;
    }
    // In the file's order: 64-bit slots, then (only when there are three) the inverse ones, then 32-bit slots.
    Slots wide = is_64 ? read_slots(work, table, lists.front(), 8) : Slots{};
    Slots narrow = read_slots(work, table, lists.back(), 4);
    const std::uint64_t entries =
        (is_64 ? lists.front().end - lists.front().begin : 0) + lists.back().end - lists.back().begin;
    const std::uint64_t known = wide.known + narrow.known;
    if (entries == 0 || known < entries - entries / 10) {
        found.note = fmt::format("{} bytes follow the ELF at {:#x}; as a relocation table only {} of its {} slots would lie in a section",
                                 size, work.elf.end, known, entries);
        return found;
    }
    // The narrow ones are nearly all: the others are put behind them.
    const auto keep = [&](const std::vector<RelocationSlot>& slots) { found.slots.insert(found.slots.end(), slots.begin(), slots.end()); };
    found.targets = std::move(narrow.targets);
    found.targets.insert(found.targets.end(), wide.targets.begin(), wide.targets.end());
    found.slots = std::move(narrow.in_code);
    keep(wide.in_code);
    // The list of pointers is sorted in the end; here, on a thread of its own, the largest part of that work is free.
    sort_by_place(found.targets);
    found.targets.erase(std::unique(found.targets.begin(), found.targets.end()), found.targets.end());
    if (lists.size() == 3) {
        Slots inverse = read_slots(work, table, lists[1], 4);
        for (RelocationSlot& slot : inverse.in_code) slot.pc_relative = true;
        keep(inverse.in_code);
    }
    found.fact = fmt::format("relocation table behind the ELF at {:#x}: {} slots in {} lists, {} hold addresses of code", work.elf.end,
                             entries, lists.size(), wide.code + narrow.code);
    return found;
}

bool keep_boot_relocations(ElfWork& work, BootRelocations found) {
    if (!found.note.empty()) work.image.notes.push_back(found.note);
    if (found.fact.empty()) return false;
    work.image.pointers.reserve(work.image.pointers.size() + found.targets.size() + kUsualTablePointers);
    for (const Place& target : found.targets) work.add_pointer(target, CodePointer::Origin::relocation);
    if (work.image.slots.empty())
        work.image.slots = std::move(found.slots);
    else
        work.image.slots.insert(work.image.slots.end(), found.slots.begin(), found.slots.end());
    work.image.facts.push_back(found.fact);
    return true;
}

}  // namespace trapline::image
