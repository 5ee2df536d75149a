// SPDX-License-Identifier: Apache-2.0
// Where a kernel's tables about code lie in an image, and how their fields are read: in a linked kernel from the
// fields, in a module from the relocations that will fill them.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "image/elf.h"

namespace trapline::image {

/// A table's bytes: part of one section.
struct TableSpan {
    SectionIndex section = 0;
    std::uint64_t offset = 0, size = 0;  ///< inside the section's bytes
};

/// Finds tables by section name, else between two symbols.
class TableFinder {
public:
    explicit TableFinder(const ElfWork& work);
    /// A relocatable file may hold several sections of one name; otherwise there is one span at most.
    std::vector<TableSpan> find(std::string_view section, std::string_view start, std::string_view stop) const;

private:
    const ElfWork& work_;
    std::unordered_map<std::string_view, std::vector<SectionIndex>> sections_;
    /// The first symbol of that name; null when there is none.
    const Symbol* find_symbol(std::string_view name) const;
    std::vector<const Symbol*> symbols_;  ///< the twentieth of all that may bound a table; two dozen are looked for
};

/// Reads the fields of one image's tables.
class TableFields {
public:
    explicit TableFields(const ElfWork& work) : work_(work) {}

    /// Reads raw data; nothing past the end of the section.
    template <class T>
    std::optional<T> data(SectionIndex section, std::uint64_t offset) const {
        return ByteView(work_.image.sections[section].bytes).get<T>(offset);
    }
    /// Resolves an s32 that is relative to its own place. Nothing when it points to no section.
    std::optional<Place> relative32(SectionIndex section, std::uint64_t offset) const;
    /// Resolves a pointer-sized address.
    std::optional<Place> pointer(SectionIndex section, std::uint64_t offset) const;
    /// The same, only where the target is code.
    std::optional<Place> relative_code(SectionIndex section, std::uint64_t offset) const;
    bool is_code(const Place& place) const { return work_.is_code(place); }

private:
    std::optional<Place> relocated(SectionIndex section, std::uint64_t offset) const;
    const ElfWork& work_;
};

/// The format of struct alt_instr, which changed with the versions.
struct AlternativeLayout {
    int entry_size;
    std::string_view title;
};

/// Decides which layout a whole .altinstructions table has: the one under which at least 95 of 100 entries name code
/// inside a section with a replacement that is not longer. Nothing when none fits.
std::optional<AlternativeLayout> detect_alternative_layout(const ElfWork& work, const TableFields& fields, const TableSpan& span);

/// Adds the entries of .altinstructions: one for the original code and one for the replacement.
void load_alternatives(ElfWork& work, const TableFields& fields, const TableSpan& span);

/// Finds __jump_table by the shape of its entries, in a kernel whose kallsyms holds no data symbols to bound it
/// (KALLSYMS_ALL off): the longest run of entries whose code is a patchable nop or jump. Nothing below 8 entries.
std::optional<TableSpan> find_jump_table(const ElfWork& work, const TableFields& fields);

/// Adds the tables that speak of code which the kernel rewrites or looks up by address while it runs: __SCT__ trampolines,
/// __mcount_loc, __bug_table and the tables behind the IDT. By section, symbols or, in a linked kernel without them, by
/// the shape of the entries. Makes no code pointers: none of them says that code is executed.
void load_patched_places(ElfWork& work, const TableFields& fields, const TableFinder& finder);

/// Adds an entry to the image's tables, up to a bound. Says whether there was room.
bool append_table_entry(ElfWork& work, const TableEntry& entry);

/// Adds an entry to the image's tables, up to a bound. Its places become code pointers. Says whether there was room.
bool add_table_entry(ElfWork& work, TableKind kind, const Place& code, std::uint64_t length, std::optional<Place> peer,
                     TableDetail detail = {});

}  // namespace trapline::image
