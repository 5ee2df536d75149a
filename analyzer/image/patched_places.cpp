// SPDX-License-Identifier: Apache-2.0
// Code that the kernel rewrites or looks up by address while it runs, besides what kernel_tables.cpp reads: static call
// trampolines, traced functions, BUG and WARN, and the handlers behind the IDT.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <iterator>

#include "image/kernel_tables.h"

namespace trapline::image {
namespace {

bool has_tables(const ElfWork& work) { return !work.image.tables.empty() || work.image.symbol_source == SymbolSource::kallsyms; }

/// Only a linked kernel keeps tables without a name; elsewhere a run of such entries would be chance.
bool may_hide_tables(const ElfWork& work) { return !work.image.relocatable && has_tables(work); }

void add_fact(ElfWork& work, std::string_view what, const TableSpan& span, std::uint64_t size) {
    const Section& in = work.image.sections[span.section];
    work.image.facts.push_back(fmt::format("{} found by its shape in {} at {:#x}, {} entries", what, in.name,
                                           (in.address + span.offset).value, span.size / size));
}

bool append_point(ElfWork& work, TableKind kind, const Place& code, std::uint64_t length = 1) {
    TableEntry entry;
    entry.kind = kind;
    entry.section = code.section;
    const Section& in = work.image.sections[code.section];
    entry.code = {code.address, code.address + std::min<std::uint64_t>(length, in.bytes.size() - (code.address - in.address))};
    return append_table_entry(work, entry);
}

ByteView code_at(const ElfWork& work, const Place& place) {
    const Section& in = work.image.sections[place.section];
    return ByteView(in.bytes.subspan(place.address - in.address));
}

std::vector<SectionIndex> data_sections(const ElfWork& work) {
    std::vector<SectionIndex> sections;
    for (SectionIndex i = 0; i < work.image.sections.size(); ++i)
        if (!work.image.sections[i].executable) sections.push_back(i);
    return sections;
}

/// Where tables lie that only the boot needs: the .init sections, or all data of a file that has none by that name.
std::vector<SectionIndex> boot_data_sections(const ElfWork& work) {
    const std::vector<SectionIndex> all = data_sections(work);
    std::vector<SectionIndex> init;
    std::copy_if(all.begin(), all.end(), std::back_inserter(init), [&](SectionIndex i) { return work.image.sections[i].name.starts_with(".init."); });
    return init.empty() ? all : init;
}

/// Finds the longest run of entries of `size` bytes, at least `fewest` of them. `is_entry(section, offset, first)` judges
/// one, `first` being the offset of the run's first.
template <class IsEntry>
std::optional<TableSpan> longest_run(const ElfWork& work, const std::vector<SectionIndex>& sections, std::uint64_t size, std::uint64_t align,
                                     std::uint64_t fewest, IsEntry is_entry) {
    std::optional<TableSpan> best;
    for (const SectionIndex i : sections) {
        const Section& section = work.image.sections[i];
        const std::uint64_t rest = section.address.value % align;
        for (std::uint64_t at = rest == 0 ? 0 : align - rest; at + size <= section.bytes.size();) {
            const std::uint64_t begin = at;
            while (at + size <= section.bytes.size() && is_entry(i, at, begin)) at += size;
            if (at - begin >= fewest * size && (!best || at - begin > best->size)) best = TableSpan{i, begin, at - begin};
            at = at == begin ? begin + align : at;
        }
    }
    return best;
}

// ---- static calls: include/linux/static_call_types.h gives the prefix, arch/x86/include/asm/static_call.h the code:
// a jump or a return of 5 bytes and a mark of 3.
void load_trampolines(ElfWork& work) {
    constexpr std::string_view kPrefix = "__SCT__";
    constexpr std::uint64_t kTrampolineBytes = 8;
    for (const Symbol& symbol : work.image.symbols) {
        if (!symbol.name.starts_with(kPrefix)) continue;
        const Place place{symbol.section, symbol.address};
        if (work.is_code(place) && !append_point(work, TableKind::static_call_trampoline, place, kTrampolineBytes)) return;
    }
}

// ---- ftrace: a list of addresses of the calls that the compiler puts at the start of functions.

/// The target of the call at a place; 0 for the NOP of 5 bytes that a build may put there instead; nothing for other code.
std::optional<std::uint64_t> traced_call(const ElfWork& work, const Place& place) {
    const ByteView code = code_at(work, place);
    const auto opcode = code.get<std::uint8_t>(0);
    const auto distance = code.get<std::uint32_t>(1);
    if (!opcode || !distance) return std::nullopt;
    if (*opcode == 0x0F) return *distance == 0x0000441F && code.get<std::uint8_t>(4) == 0 ? std::optional<std::uint64_t>(0) : std::nullopt;
    if (*opcode != 0xE8) return std::nullopt;
    const std::uint64_t target = place.address.value + 5 + static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(*distance)});
    return work.elf.is_64 ? target : target & 0xFFFFFFFF;
}

std::optional<TableSpan> find_mcount_loc(const ElfWork& work, const TableFields& fields) {
    // Other lists of functions exist, though sorted ones are short, and their entries may begin with other calls.
    constexpr std::uint64_t kFewest = 64;
    const std::uint64_t size = work.elf.is_64 ? 8 : 4;
    return longest_run(work, boot_data_sections(work), size, size, kFewest, [&](SectionIndex section, std::uint64_t at, std::uint64_t first) {
        const auto place = fields.pointer(section, at);
        if (!place || !fields.is_code(*place)) return false;
        const auto target = traced_call(work, *place);
        if (!target) return false;
        if (at == first) return true;
        const auto before = fields.pointer(section, at - size);  // the build sorts the list
        const auto start = fields.pointer(section, first);
        return before && start && before->address < place->address && traced_call(work, *start) == target;
    });
}

void load_function_trace(ElfWork& work, const TableFields& fields, const TableFinder& finder) {
    const std::uint64_t size = work.elf.is_64 ? 8 : 4;
    std::vector<TableSpan> spans = finder.find("__mcount_loc", "__start_mcount_loc", "__stop_mcount_loc");
    if (spans.empty() && may_hide_tables(work)) {
        if (const auto found = find_mcount_loc(work, fields)) {
            spans.push_back(*found);
            add_fact(work, "__mcount_loc", *found, size);
        }
    }
    for (const TableSpan& span : spans)
        for (std::uint64_t at = 0; at + size <= span.size; at += size)
            if (const auto place = fields.pointer(span.section, span.offset + at); place && fields.is_code(*place))
                if (!append_point(work, TableKind::function_trace, *place)) return;
}

// ---- BUG and WARN: struct bug_entry of include/asm-generic/bug.h begins with the address of the trapping instruction.

struct BugLayout {
    std::uint64_t size;
    bool relative;  // CONFIG_GENERIC_BUG_RELATIVE_POINTERS
};
// With the file's name and line; without (CONFIG_DEBUG_BUGVERBOSE off); with a format string as well.
constexpr std::array kBugLayouts = {
    BugLayout{12, true}, BugLayout{12, false}, BugLayout{8, true}, BugLayout{8, false}, BugLayout{16, true}, BugLayout{16, false}, BugLayout{24, false},
};

std::optional<Place> bug_address(const ElfWork& work, const TableFields& fields, const BugLayout& layout, SectionIndex section, std::uint64_t at) {
    const auto place = layout.relative ? fields.relative_code(section, at) : fields.pointer(section, at);
    if (!place || !fields.is_code(*place)) return std::nullopt;
    ByteView code = code_at(work, *place);
    if (code.get<std::uint8_t>(0) == 0x67) code = ByteView(code.bytes().subspan(1));  // UD1 with an address size prefix: ASM_UDB and UBSAN
    const auto opcode = code.get<std::uint16_t>(0);
    return opcode == 0x0B0F || opcode == 0xB90F ? place : std::nullopt;  // UD2, UD1
}

/// The layout under which at least 95 of 100 entries name a trapping instruction.
std::optional<BugLayout> detect_bug_layout(const ElfWork& work, const TableFields& fields, const TableSpan& span) {
    for (const BugLayout& layout : kBugLayouts) {
        const std::uint64_t count = span.size / layout.size;
        if (count == 0 || span.size % layout.size >= 8) continue;
        std::uint64_t good = 0;
        for (std::uint64_t i = 0; i < count; ++i)
            good += bug_address(work, fields, layout, span.section, span.offset + i * layout.size).has_value();
        if (good * 100 >= count * 95) return layout;
    }
    return std::nullopt;
}

void load_bugs(ElfWork& work, const TableFields& fields, const TableFinder& finder) {
    std::vector<TableSpan> spans = finder.find("__bug_table", "__start___bug_table", "__stop___bug_table");
    if (spans.empty() && may_hide_tables(work)) {
        constexpr std::uint64_t kFewest = 16;
        std::optional<TableSpan> best;
        std::uint64_t size = 0;
        for (const BugLayout& layout : kBugLayouts) {
            const auto found = longest_run(work, data_sections(work), layout.size, 4, kFewest, [&](SectionIndex section, std::uint64_t at, std::uint64_t) {
                return fields.data<std::uint32_t>(section, at).value_or(0) != 0 && bug_address(work, fields, layout, section, at).has_value();
            });
            if (found && (!best || found->size > best->size)) {
                best = found;
                size = layout.size;
            }
        }
        if (best) {
            spans.push_back(*best);
            add_fact(work, "__bug_table", *best, size);
        }
    }
    for (const TableSpan& span : spans) {
        const auto layout = detect_bug_layout(work, fields, span);
        if (!layout) {
            work.image.facts.push_back(fmt::format("__bug_table: {} bytes fit none of the known layouts", span.size));
            continue;
        }
        for (std::uint64_t at = 0; at + layout->size <= span.size; at += layout->size)
            if (const auto place = bug_address(work, fields, *layout, span.section, span.offset + at))
                if (!append_point(work, TableKind::bug, *place)) return;
    }
}

// ---- The IDT: struct idt_data of arch/x86/include/asm/desc_defs.h, {u32 vector, u32 segment, u16 bits, pointer}. The
// arrays bear a different name in each version, so that the shape is the better sign. The same handlers are known from
// relocations where the kernel has them.

bool is_gate(const TableFields& fields, SectionIndex section, std::uint64_t at, std::uint64_t pointer) {
    const auto vector = fields.data<std::uint32_t>(section, at);
    if (!vector || *vector > 255) return false;
    const auto selector = fields.data<std::uint32_t>(section, at + 4);
    if (!selector || (*selector != 0x10 && *selector != 0x60)) return false;  // __KERNEL_CS of 64-bit and 32-bit kernels
    const auto bits = fields.data<std::uint16_t>(section, at + 8);
    // ist 3 bits, zero 5, type 5, dpl 2, present 1: a present interrupt or trap gate.
    if (!bits || (*bits & 0x00F8) != 0 || (*bits & 0x9E00) != 0x8E00) return false;
    const auto handler = fields.pointer(section, at + (pointer == 8 ? 16 : 12));
    return handler && fields.is_code(*handler);
}

void load_gates(ElfWork& work, const TableFields& fields) {
    if (!may_hide_tables(work)) return;
    const std::uint64_t pointer = work.elf.is_64 ? 8 : 4, size = pointer == 8 ? 24 : 16;
    std::uint64_t found = 0;
    for (const SectionIndex i : boot_data_sections(work)) {
        const Section& section = work.image.sections[i];
        const std::uint64_t rest = section.address.value % pointer;
        for (std::uint64_t at = rest == 0 ? 0 : pointer - rest; at + size <= section.bytes.size();) {
            if (!is_gate(fields, i, at, pointer)) {
                at += pointer;
                continue;
            }
            const Place handler = *fields.pointer(i, at + size - pointer);
            if (!append_point(work, TableKind::interrupt_gate, handler)) return;
            ++found;
            at += size;
        }
    }
    if (found != 0) work.image.facts.push_back(fmt::format("{} interrupt gates found by their shape", found));
}

}  // namespace

void load_patched_places(ElfWork& work, const TableFields& fields, const TableFinder& finder) {
    load_trampolines(work);
    load_function_trace(work, fields, finder);
    load_bugs(work, fields, finder);
    load_gates(work, fields);
}

}  // namespace trapline::image
