// SPDX-License-Identifier: Apache-2.0
// Symbols of an ELF image, from its own tables or from the kallsyms inside a stripped kernel.
#include <algorithm>
#include <fmt/format.h>

#include "image/early_kallsyms.h"
#include "image/elf.h"
#include "image/kallsyms.h"
#include "image/sort_runs.h"

namespace trapline::image {
namespace {

// Names may share their bytes in the string table; this bounds what copying them can cost.
constexpr std::uint64_t kNameBudget = std::uint64_t{64} << 20;

SymbolKind kind_of(std::uint8_t type) {
    if (type == elf::kSttFunc || type == elf::kSttGnuIfunc) return SymbolKind::function;
    if (type == elf::kSttObject) return SymbolKind::object;
    return SymbolKind::other;
}

// The last of several symbols at one address is the one that find_symbol gives: functions before plain labels.
int rank(SymbolKind kind) {
    switch (kind) {
        case SymbolKind::other: return 0;
        case SymbolKind::object: return 1;
        case SymbolKind::function: return 2;
    }
    return 0;
}

// Sorts by place, and what stands at one place by rank and name. Kallsyms come sorted by address, but for per-CPU symbols
// in front, whose section lies in the middle: two sorted lists.
void sort_symbols(std::vector<Symbol>& symbols) {
    const auto place_before = [](const Symbol& a, const Symbol& b) { return std::pair(a.section, a.address) < std::pair(b.section, b.address); };
    sort_runs(symbols, place_before);
    for (auto begin = symbols.begin(); begin != symbols.end();) {
        const auto end = std::find_if(begin, symbols.end(), [&](const Symbol& other) { return place_before(*begin, other); });
        std::sort(begin, end, [](const Symbol& a, const Symbol& b) { return std::pair(rank(a.kind), a.name) < std::pair(rank(b.kind), b.name); });
        begin = end;
    }
}

void settle(ElfWork& work) {
    auto& symbols = work.image.symbols;
    sort_symbols(symbols);
    // A symbol without a size reaches to the next one, or to the end of its section.
    for (std::size_t i = symbols.size(); i-- > 0;) {
        if (symbols[i].size != 0) continue;
        const Section& section = work.image.sections[symbols[i].section];
        VirtAddr end = section.address + section.bytes.size();
        if (i + 1 < symbols.size() && symbols[i + 1].section == symbols[i].section) {
            const Symbol& next = symbols[i + 1];
            end = next.address == symbols[i].address ? next.address + next.size : next.address;
        }
        symbols[i].size = end - symbols[i].address;
    }
    for (const Symbol& symbol : symbols)
        if (symbol.kind == SymbolKind::function) work.add_pointer({symbol.section, symbol.address}, CodePointer::Origin::symbol);
}

Status load_table(ElfWork& work, std::uint32_t table) {
    const auto read = read_elf_symbols(work.layer.bytes(), table, work.layer.name);
    if (!read) return tl::unexpected(read.error());
    std::uint64_t budget = kNameBudget + 4 * work.image.size;
    for (const ElfSymbol& symbol : *read) {
        if (symbol.name.empty() || symbol.type == elf::kSttSection || symbol.type == elf::kSttFile) continue;
        auto section = work.image_section(symbol.section);
        // With program headers standing in for sections, or after a section table was rewritten, the address decides.
        if (!section && !work.image.relocatable && symbol.section != 0)
            if (const auto place = work.place_of(symbol.value)) section = place->section;
        if (!section) continue;
        const Section& in = work.image.sections[*section];
        if (symbol.value < in.address.value || symbol.value - in.address.value > in.bytes.size()) continue;
        if (symbol.name.size() > budget)
            return fail(ErrorCode::refused, fmt::format("symbol names of section {} share their bytes too often", table), work.layer.name);
        budget -= symbol.name.size();
        work.image.symbols.push_back({symbol.name, *section, {symbol.value}, symbol.size, kind_of(symbol.type)});
    }
    return {};
}

std::optional<std::uint32_t> find_table(const ElfFile& elf, std::uint32_t type) {
    for (std::size_t i = 1; i < elf.sections.size(); ++i)
        if (elf.sections[i].type == type && elf.sections[i].size != 0) return static_cast<std::uint32_t>(i);
    return std::nullopt;
}

// nm's letters, which kallsyms stores before each name.
SymbolKind kind_of_letter(char letter, bool executable) {
    switch (letter) {
        case 't': case 'T': case 'w': case 'W': case 'i': return executable ? SymbolKind::function : SymbolKind::other;
        case 'd': case 'D': case 'b': case 'B': case 'r': case 'R': case 'v': case 'V': case 'g': case 'G': case 's': case 'S':
            return SymbolKind::object;
        default: return SymbolKind::other;
    }
}

// Addresses that a symbol of this file may have: what is mapped, .bss and its like included.
std::vector<AddressRange> mapped_ranges(const ElfFile& elf) {
    std::vector<AddressRange> ranges;
    const auto add = [&](std::uint64_t begin, std::uint64_t size) {
        if (size != 0 && begin + size > begin) ranges.push_back({{begin}, {begin + size}});
    };
    for (const ElfSegment& segment : elf.segments)
        if (segment.type == elf::kPtLoad) add(segment.address, segment.memory_size);
    for (const ElfSection& section : elf.sections)
        if (section.flags & elf::kShfAlloc) add(section.address, section.size);
    return merge_ranges(std::move(ranges));
}

void load_kallsyms(ElfWork& work) {
    const std::vector<AddressRange> mapped = mapped_ranges(work.elf);
    std::string why = "no table of name tokens";
    std::uint64_t budget = kKallsymsBudget;
    // They are data; code is looked through only where the linker put all in one section.
    std::vector<const Section*> order;
    for (const Section& section : work.image.sections) order.push_back(&section);
    std::stable_partition(order.begin(), order.end(), [](const Section* section) { return !section->executable; });
    for (const Section* in : order) {
        const Section& section = *in;
        const EarlyKallsyms* const early = work.layer.kallsyms.get();
        std::optional<Kallsyms> searched;
        const Kallsyms* found = early != nullptr && early->holds_for(section, mapped) ? &early->found : nullptr;
        if (found == nullptr) {
            searched = find_kallsyms(section.bytes, work.elf.is_64 ? 8 : 4, mapped, why, budget);
            if (!searched) continue;
            found = &*searched;
        }
        work.image.symbols.reserve(found->entries.size());
        work.image.symbol_names = found->names;
        for (const KallsymsEntry& entry : found->entries) {
            const auto place = work.place_of(entry.address);
            if (!place) continue;
            const SymbolKind kind = kind_of_letter(entry.type, work.is_code(*place));
            work.image.symbols.push_back({entry.name, place->section, place->address, 0, kind});
        }
        work.image.symbol_source = SymbolSource::kallsyms;
        work.image.facts.push_back(fmt::format("kallsyms in {}: {} symbols, {} of them in loaded sections; {}", section.name,
                                               found->entries.size(), work.image.symbols.size(), found->layout));
        return;
    }
    work.image.notes.push_back("no symbols: no symbol table, and kallsyms not found: " + why);
}

}  // namespace

Status load_symbols(ElfWork& work) {
    for (const std::uint32_t type : {elf::kShtSymtab, elf::kShtDynsym}) {
        // The dynamic symbols of a stripped file are few, but they are what it has.
        const auto table = find_table(work.elf, type);
        if (!table) continue;
        if (Status done = load_table(work, *table); !done) return done;
        if (work.image.symbols.empty()) continue;
        work.image.symbol_source = SymbolSource::symtab;
        break;
    }
    if (work.image.symbol_source == SymbolSource::none && !work.image.relocatable) load_kallsyms(work);
    settle(work);
    return {};
}

}  // namespace trapline::image
