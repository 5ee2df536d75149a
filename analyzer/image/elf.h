// SPDX-License-Identifier: Apache-2.0
// From an ELF file to an Image: the passes, in the order they run, and what they share.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "image/content.h"
#include "image/elf_reader.h"
#include "image/image.h"
#include "image/sort_by_key.h"

namespace trapline::image {

/// A place in an image; for relocatable files the address is section-relative.
struct Place {
    SectionIndex section = 0;
    VirtAddr address;
    friend constexpr auto operator<=>(const Place&, const Place&) = default;
};

/// Sorts places that come in no order.
inline void sort_by_place(std::vector<Place>& places) {
    sort_by_key(places, [](const Place& place) { return place.address.value; });
    sort_by_key(places, [](const Place& place) { return place.section; });
}

/// What a relocation makes a field of a data section point to.
struct FieldTarget {
    Place field;   ///< the field itself; in a relocatable file section-relative
    Place target;
};

/// The state that the passes over one ELF file share.
struct ElfWork {
    const Layer& layer;
    const OpenOptions& options;
    ElfFile elf;
    Image image;
    /// Image section of each ELF section; kNoSection for those that hold no loaded bytes.
    std::vector<SectionIndex> section_map;
    /// Where the image's sections lie, in order of address: what Image::find_section looks up, close together, for passes
    /// that look up a million addresses. Empty for a relocatable file.
    struct Span {
        std::uint64_t begin = 0, size = 0;
        SectionIndex section = 0;
    };
    std::vector<Span> spans;
    /// Sorted by field. Only for relocatable files: there the table fields themselves are still zero.
    std::vector<FieldTarget> fields;

    static constexpr SectionIndex kNoSection = std::numeric_limits<SectionIndex>::max();

    bool is_64_bit_code() const { return elf.machine == elf::kEmX8664; }
    /// Image section of an ELF section index; nothing when it has none.
    std::optional<SectionIndex> image_section(std::uint32_t elf_section) const;
    /// The place of `address` in a file that is not relocatable.
    std::optional<Place> place_of(std::uint64_t address) const;
    /// Says whether the place is inside an executable section.
    bool is_code(const Place& place) const;
    void add_pointer(const Place& place, CodePointer::Origin origin);
};

/// Opens one ELF file. The image's bytes point into the layer's storage, which it keeps alive.
Result<Image> open_elf(const Layer& layer, const OpenOptions& options);

/// Fills sections from the section headers, or from the executable program headers when there are none that hold code.
/// Fails when two sections share bytes or addresses, naming both.
Status load_sections(ElfWork& work);

/// Fills symbols from .symtab, else .dynsym, else the kallsyms of a kernel. Functions become code pointers.
Status load_symbols(ElfWork& work);

/// Resolves relocation sections: code pointers, and `fields` of a relocatable file.
Status load_relocations(ElfWork& work);

/// What the relocation table behind a kernel says.
struct BootRelocations {
    std::vector<Place> targets;         ///< what slots with an address of code point to; sorted, no repeats
    std::vector<RelocationSlot> slots;  ///< those in code
    std::string fact;                   ///< for Image::facts; empty when there is no table
    std::string note;                   ///< for Image::notes: bytes that are no table; else empty
};

/// Finds the kernel's relocation table that the build appends to the ELF (arch/x86/tools/relocs.c). Looks at the file, its
/// headers and sections only, so that it may run beside the passes that fill the rest of the image.
BootRelocations read_boot_relocations(const ElfWork& work);

/// Puts what was found into the image; the targets become code pointers. Says whether there was a table.
bool keep_boot_relocations(ElfWork& work, BootRelocations found);

/// Reads the tables about code that a kernel or a module carries. Never fails: what cannot be read becomes a note.
void load_kernel_tables(ElfWork& work);

/// Makes code pointers of aligned words in data sections that hold the address of a plausible start of code: a symbol,
/// an ENDBR, or an aligned address after padding or the end of a function. For files without relocations of their own.
void load_data_pointers(ElfWork& work);

}  // namespace trapline::image
