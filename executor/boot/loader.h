// SPDX-License-Identifier: Apache-2.0
// What the loaders share: bounds-checked stores into RAM, segments of ELF files, and a flat processor.
#pragma once

#include <array>

#include "executor/boot/boot.h"
#include "image/elf_reader.h"

namespace trapline::executor {

/// Where low memory ends: behind it lie the extended BIOS data area, display memory and firmware.
inline constexpr std::uint64_t kLowMemoryEnd = 0x9FC00;

/// A range of physical memory as firmware would report it (INT 15h, AX=E820h): type 1 is RAM, 2 is reserved.
struct MemoryRange {
    std::uint64_t begin = 0, end = 0;
    std::uint32_t type = 0;
};
inline constexpr std::size_t kMemoryRanges = 4;
/// All of the guest's memory, lowest first.
std::array<MemoryRange, kMemoryRanges> memory_map(const SharedPages& ram);

/// Copies bytes to a physical address; `what` names them in the error when RAM ends before.
Status store(const SharedPages& ram, std::uint64_t address, Bytes bytes, std::string_view what);
/// Stores a little-endian number of `size` bytes. The address is known to be inside RAM.
void put(const SharedPages& ram, std::uint64_t address, std::uint64_t value, unsigned size);

/// Loads the PT_LOAD segments at their physical addresses and clears what the file does not fill. Returns the end of the highest one. Refuses
/// more segments, and more bytes in all, than any program has that fits into memory: loading them would take hours.
Result<std::uint64_t> load_segments(const image::ElfFile& elf, Bytes file, const SharedPages& ram, const std::string& name);

/// Ranges of the sections of code, where they are linked and where they are loaded.
std::vector<AddressRange> text_ranges(const image::ElfFile& elf);

/// 32-bit protected mode without paging, flat segments with the given selectors, interrupts off.
void set_flat(Vcpu& vcpu, std::uint16_t code, std::uint16_t data, std::uint64_t entry);

/// One loader: nothing when the image is not of its kind.
using Loader = Result<std::optional<BootReport>> (*)(const BootRequest&, const SharedPages&, Vcpu&);
Result<std::optional<BootReport>> load_linux_bzimage(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu);
Result<std::optional<BootReport>> load_linux_elf(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu);
Result<std::optional<BootReport>> load_multiboot2(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu);
Result<std::optional<BootReport>> load_multiboot(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu);
Result<std::optional<BootReport>> load_plain_elf(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu);

}  // namespace trapline::executor
