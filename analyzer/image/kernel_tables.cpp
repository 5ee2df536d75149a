// SPDX-License-Identifier: Apache-2.0
// The tables about code in a kernel or module. Most are lists of points with nothing else; they differ in entry size
// and in what a second field means.
#include "image/kernel_tables.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>

#include "image/sort_by_key.h"

namespace trapline::image {
namespace {

// Bounds the list of entries; a distribution's kernel has 140,000.
constexpr std::size_t kMaxEntries = 4u << 20;
// Room for a kernel's entries at once: a list that doubles is copied, and each copy faults all its pages in again.
constexpr std::size_t kUsualEntries = 160u << 10;

// A table whose entries begin with the address of code.
struct PointTable {
    std::string_view section, start, stop;  // section name; or the symbols around it where the linker merged it
    TableKind kind;
    std::uint32_t size_64, size_32;         // bytes of an entry
    bool has_peer;                          // the second s32 is a place too
};

// include/asm-generic/vmlinux.lds.h and arch/x86/kernel/vmlinux.lds.S name the sections and symbols.
constexpr std::array kPointTables = {
    // arch/x86/include/asm/extable.h: {s32 insn, s32 fixup, s32 handler or data}; before 4.6 without the third.
    PointTable{"__ex_table", "__start___ex_table", "__stop___ex_table", TableKind::exception_table, 12, 12, true},
    // include/linux/jump_label.h: {s32 code, s32 target, long key}.
    PointTable{"__jump_table", "__start___jump_table", "__stop___jump_table", TableKind::jump_label, 16, 12, true},
    PointTable{".smp_locks", "__smp_locks", "__smp_locks_end", TableKind::smp_lock, 4, 4, false},
    PointTable{".retpoline_sites", "__retpoline_sites", "__retpoline_sites_end", TableKind::retpoline_site, 4, 4, false},
    PointTable{".return_sites", "__return_sites", "__return_sites_end", TableKind::return_site, 4, 4, false},
    PointTable{".call_sites", "__call_sites", "__call_sites_end", TableKind::call_site, 4, 4, false},
    PointTable{".ibt_endbr_seal", "__ibt_endbr_seal", "__ibt_endbr_seal_end", TableKind::ibt_endbr, 4, 4, false},
    // include/linux/static_call_types.h: {s32 addr, s32 key}; the key is data.
    PointTable{".static_call_sites", "__start_static_call_sites", "__stop_static_call_sites", TableKind::static_call, 8, 8, false},
};

void load_points(ElfWork& work, const TableFields& fields, const PointTable& table, const TableSpan& span) {
    std::uint64_t size = work.is_64_bit_code() ? table.size_64 : table.size_32;
    if (table.kind == TableKind::exception_table && span.size % size != 0 && span.size % 8 == 0) size = 8;
    if (span.size % size != 0)
        work.image.notes.push_back(fmt::format("{}: {} bytes are not whole entries of {}", table.section, span.size, size));
    std::uint64_t lost = 0;
    for (std::uint64_t at = 0; at + size <= span.size; at += size) {
        const std::uint64_t offset = span.offset + at;
        const auto code = fields.relative_code(span.section, offset);
        if (!code) {
            // .smp_locks is filled up to a page with zeros.
            if (work.image.relocatable || fields.data<std::uint32_t>(span.section, offset) != 0u) ++lost;
            continue;
        }
        std::optional<Place> peer;
        if (table.has_peer) peer = fields.relative_code(span.section, offset + 4);
        if (!add_table_entry(work, table.kind, *code, 1, peer)) return;
    }
    if (lost != 0)
        work.image.notes.push_back(fmt::format("{}: {} of {} entries do not point to code", table.section, lost, span.size / size));
}

// arch/x86/include/asm/paravirt_types.h: {u8 *instr, u8 type, u8 len}, padded to a pointer; gone in 6.8.
void load_paravirt(ElfWork& work, const TableFields& fields, const TableSpan& span) {
    const std::uint64_t pointer = work.elf.is_64 ? 8 : 4;
    const std::uint64_t size = 2 * pointer;
    std::uint64_t lost = 0;
    for (std::uint64_t at = 0; at + size <= span.size; at += size) {
        const auto code = fields.pointer(span.section, span.offset + at);
        const auto type = fields.data<std::uint8_t>(span.section, span.offset + at + pointer);
        const auto length = fields.data<std::uint8_t>(span.section, span.offset + at + pointer + 1);
        if (!code || !fields.is_code(*code) || !type || !length) {
            ++lost;
            continue;
        }
        if (!add_table_entry(work, TableKind::paravirt_site, *code, std::max<std::uint64_t>(*length, 1), std::nullopt,
                             {TableDetail::Kind::operation, false, false, *type}))
            return;
    }
    if (lost != 0)
        work.image.notes.push_back(fmt::format(".parainstructions: {} of {} entries do not point to code", lost, span.size / size));
}

/// Says whether the kernel's tables prove that code of this kind is executed.
bool makes_pointers(TableKind kind) {
    switch (kind) {
        case TableKind::alternative_original:
        case TableKind::alternative_replacement:
        case TableKind::paravirt_site:
        case TableKind::exception_table:
        case TableKind::jump_label:
        case TableKind::smp_lock:
        case TableKind::retpoline_site:
        case TableKind::return_site:
        case TableKind::call_site:
        case TableKind::ibt_endbr:
        case TableKind::static_call:
            return true;
        case TableKind::static_call_trampoline:
        case TableKind::function_trace:
        case TableKind::bug:
        case TableKind::interrupt_gate:
            return false;
    }
    return false;
}

/// Sorts by place, stably. Entries are large: their places are sorted, then each entry is copied once.
void sort_tables(std::vector<TableEntry>& tables) {
    struct Key {
        SectionIndex section = 0;
        std::uint32_t index = 0;
        std::uint64_t begin = 0;
    };
    static_assert(kMaxEntries <= std::numeric_limits<std::uint32_t>::max());
    std::vector<Key> keys;
    keys.reserve(tables.size());
    for (const TableEntry& entry : tables) keys.push_back({entry.section, static_cast<std::uint32_t>(keys.size()), entry.code.begin.value});
    sort_by_key(keys, [](const Key& key) { return key.begin; });
    sort_by_key(keys, [](const Key& key) { return key.section; });
    // A second list, not moves along the cycles of the permutation: there each place to go to is known only at the one before.
    std::vector<TableEntry> sorted;
    sorted.reserve(tables.size());
    for (const Key& key : keys) sorted.push_back(tables[key.index]);
    tables.swap(sorted);
}

/// Makes code pointers of the sorted entries: those of the code come in order, so that they need no sorting again.
void add_pointers(ElfWork& work) {
    std::vector<Place> peers;
    for (const TableEntry& entry : work.image.tables) {
        if (!makes_pointers(entry.kind)) continue;
        work.add_pointer({entry.section, entry.code.begin}, CodePointer::Origin::table);
        if (entry.peer) peers.push_back({entry.peer_section, *entry.peer});
    }
    sort_by_place(peers);
    for (const Place& peer : peers) work.add_pointer(peer, CodePointer::Origin::table);
}

}  // namespace

TableFinder::TableFinder(const ElfWork& work) : work_(work) {
    for (SectionIndex i = 0; i < work.image.sections.size(); ++i)
        if (!work.image.sections[i].executable) sections_[work.image.sections[i].name].push_back(i);
    if (work.image.relocatable) return;
    for (const Symbol& symbol : work.image.symbols)
        if (symbol.name.starts_with("__")) symbols_.push_back(&symbol);
}

const Symbol* TableFinder::find_symbol(std::string_view name) const {
    const auto found = std::find_if(symbols_.begin(), symbols_.end(), [&](const Symbol* symbol) { return symbol->name == name; });
    return found == symbols_.end() ? nullptr : *found;
}

std::vector<TableSpan> TableFinder::find(std::string_view section, std::string_view start, std::string_view stop) const {
    std::vector<TableSpan> spans;
    if (const auto named = sections_.find(section); named != sections_.end()) {
        for (const SectionIndex i : named->second) spans.push_back({i, 0, work_.image.sections[i].bytes.size()});
        return spans;
    }
    const Symbol* const first = find_symbol(start);
    const Symbol* const last = find_symbol(stop);
    if (first == nullptr || last == nullptr) return spans;
    const Section& in = work_.image.sections[first->section];
    const std::uint64_t offset = first->address - in.address;
    const std::uint64_t end = last->address - in.address;  // wraps, and then fails the test, if it is before
    if (end > offset && end <= in.bytes.size()) spans.push_back({first->section, offset, end - offset});
    return spans;
}

std::optional<Place> TableFields::relocated(SectionIndex section, std::uint64_t offset) const {
    const Place field{section, {offset}};
    const auto found = std::lower_bound(work_.fields.begin(), work_.fields.end(), field,
                                        [](const FieldTarget& entry, const Place& wanted) { return entry.field < wanted; });
    if (found == work_.fields.end() || found->field != field) return std::nullopt;
    return found->target;
}

std::optional<Place> TableFields::relative32(SectionIndex section, std::uint64_t offset) const {
    if (work_.image.relocatable) return relocated(section, offset);
    const auto value = data<std::uint32_t>(section, offset);
    if (!value) return std::nullopt;
    const auto distance = static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(*value)});
    return work_.place_of(work_.image.sections[section].address.value + offset + distance);
}

std::optional<Place> TableFields::pointer(SectionIndex section, std::uint64_t offset) const {
    if (work_.image.relocatable) return relocated(section, offset);
    std::optional<std::uint64_t> value;
    if (work_.elf.is_64)
        value = data<std::uint64_t>(section, offset);
    else if (const auto narrow = data<std::uint32_t>(section, offset))
        value = *narrow;
    if (!value) return std::nullopt;
    return work_.place_of(*value);
}

std::optional<Place> TableFields::relative_code(SectionIndex section, std::uint64_t offset) const {
    const auto place = relative32(section, offset);
    if (!place || !work_.is_code(*place)) return std::nullopt;
    return place;
}

bool append_table_entry(ElfWork& work, const TableEntry& entry) {
    if (work.image.tables.size() >= kMaxEntries) {
        constexpr std::string_view kFull = "kernel tables: more entries than are kept";
        if (work.image.notes.empty() || work.image.notes.back() != kFull) work.image.notes.emplace_back(kFull);
        return false;
    }
    work.image.tables.push_back(entry);
    return true;
}

bool add_table_entry(ElfWork& work, TableKind kind, const Place& code, std::uint64_t length, std::optional<Place> peer,
                     TableDetail detail) {
    TableEntry entry;
    entry.kind = kind;
    entry.section = code.section;
    entry.code = {code.address, code.address + length};
    if (peer) {
        entry.peer = peer->address;
        entry.peer_section = peer->section;
    }
    entry.detail = detail;
    return append_table_entry(work, entry);
}

void load_kernel_tables(ElfWork& work) {
    if (work.image.symbol_source == SymbolSource::kallsyms) work.image.tables.reserve(kUsualEntries);
    const TableFinder finder(work);
    const TableFields fields(work);
    for (const TableSpan& span : finder.find(".altinstructions", "__alt_instructions", "__alt_instructions_end"))
        load_alternatives(work, fields, span);
    for (const TableSpan& span : finder.find(".parainstructions", "__parainstructions", "__parainstructions_end"))
        load_paravirt(work, fields, span);
    for (const PointTable& table : kPointTables) {
        std::vector<TableSpan> spans = finder.find(table.section, table.start, table.stop);
        // Only kernels have kallsyms; elsewhere a run of such entries would be chance.
        if (spans.empty() && table.kind == TableKind::jump_label && work.image.symbol_source == SymbolSource::kallsyms) {
            if (const auto found = find_jump_table(work, fields)) {
                spans.push_back(*found);
                const Section& in = work.image.sections[found->section];
                work.image.facts.push_back(fmt::format("__jump_table found by its shape in {} at {:#x}, {} bytes", in.name,
                                                       (in.address + found->offset).value, found->size));
            }
        }
        for (const TableSpan& span : spans) load_points(work, fields, table, span);
    }
    load_patched_places(work, fields, finder);
    sort_tables(work.image.tables);
    add_pointers(work);
}

}  // namespace trapline::image
