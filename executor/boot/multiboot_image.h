// SPDX-License-Identifier: Apache-2.0
// What both versions of Multiboot share: the image loaded by its ELF headers or by the addresses of a Multiboot header, its
// modules behind it, and what is told about its sections.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "executor/boot/loader.h"

namespace trapline::executor {

/// What physical memory is taken while a guest is put together.
class MemoryPlan {
public:
    /// The first page and what lies between low memory's end and 1 MiB are taken from the beginning.
    explicit MemoryPlan(std::uint64_t memory_size);
    void take(std::uint64_t begin, std::uint64_t end);
    /// Finds `size` free bytes at a multiple of `align` in [least, end), the lowest or the highest; takes nothing.
    std::optional<std::uint64_t> find(std::uint64_t size, std::uint64_t align, std::uint64_t least, std::uint64_t end, bool highest = false) const;
    /// Finds as above in all of memory and takes; `what` stands in the error.
    Result<std::uint64_t> place(std::uint64_t size, std::uint64_t align, std::uint64_t least, std::string_view what);

private:
    std::uint64_t memory_size_;
    std::vector<AddressRange> taken_;  ///< sorted, apart from each other
};

/// Where an image may be loaded that can run at any address (Multiboot2 Specification 2.0, 3.1.12).
struct Relocation {
    std::uint64_t least = 0, most = 0;  ///< the image lies between them
    std::uint64_t align = 1;
    bool highest = false;
};

/// The addresses of a Multiboot header, all physical.
struct HeaderAddresses {
    std::uint32_t header = 0, load = 0, load_end = 0, bss_end = 0;
    bool whole_file = false;  ///< load from the file's beginning; `load` means nothing
};

/// An image in memory.
struct LoadedImage {
    std::uint64_t entry = 0;            ///< of ELF files
    std::uint64_t base = 0, end = 0;    ///< physical
    std::uint64_t shift = 0;            ///< how much higher it lies than where it was linked, modulo 2^64
    std::vector<AddressRange> text;
    std::vector<std::uint8_t> sections; ///< the section headers of an ELF file, those outside its segments with the address they were put at
    std::uint32_t section_names = 0;    ///< index of the one that holds names
};

inline constexpr std::uint32_t kSectionHeaderBytes = 40;

/// Loads by the program headers. Linear entries count where their segment is loaded. With `want_sections` what is not loaded by segments
/// (symbols, names) is put behind them as far as there is room; where there is none, the section's address stays 0.
Result<LoadedImage> load_elf_image(const BootRequest& request, const SharedPages& ram, MemoryPlan& plan, const std::optional<Relocation>& relocation, bool want_sections);

/// Loads by a Multiboot header at file offset `header`.
Result<LoadedImage> load_by_addresses(const BootRequest& request, std::size_t header, const HeaderAddresses& addresses, const SharedPages& ram, MemoryPlan& plan,
                                      const std::optional<Relocation>& relocation);

/// Refuses a command line, or a module's, of more than 2047 characters: as with Linux.
Status check_texts(const BootRequest& request);

/// A module in memory.
struct LoadedModule {
    std::uint32_t begin = 0, end = 0;
    std::string text;
};
/// Puts the modules, each on pages of its own, behind the image and above 1 MiB.
Result<std::vector<LoadedModule>> load_modules(const BootRequest& request, const LoadedImage& image, const SharedPages& ram, MemoryPlan& plan);

/// Flat protected mode at `entry`, with a descriptor table of its own at the 24 bytes at `table`.
void start_flat(const SharedPages& ram, Vcpu& vcpu, std::uint64_t table, std::uint64_t entry);
inline constexpr std::uint64_t kStartTableBytes = 24;

/// Reads a little-endian number that is known to be there.
std::uint32_t get32(Bytes bytes, std::size_t offset);

}  // namespace trapline::executor
