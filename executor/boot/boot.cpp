// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "executor/boot/loader.h"

namespace trapline::executor {
namespace {

/// Fills in the BIOS data area as far as operating systems look at it without calling the BIOS.
void put_bios_data(const SharedPages& ram) {
    static constexpr struct {
        std::uint16_t address;
        std::uint8_t size;
        std::uint16_t value;
    } kFields[] = {
        {0x400, 2, 0x3F8},                 // the first serial port
        {0x40E, 2, kLowMemoryEnd >> 4},    // segment of the extended BIOS data area
        {0x410, 2, 0x0222},                // equipment: one serial port, 80 by 25 colour text, a mathematics coprocessor
        {0x413, 2, kLowMemoryEnd / 1024},  // KiB of low memory
        {0x449, 1, 3},                     // video mode
        {0x44A, 2, 80},                    // columns
        {0x44C, 2, 0x1000},                // bytes of a screen page
        {0x463, 2, 0x3D4},                 // the CRT controller
        {0x484, 1, 24},                    // rows less one
        {0x485, 2, 16},                    // scan lines of a character
    };
    for (const auto& field : kFields) put(ram, field.address, field.value, field.size);
    put(ram, kLowMemoryEnd, 1, 1);  // the extended BIOS data area begins with its size in KiB
}

}  // namespace

Status store(const SharedPages& ram, std::uint64_t address, Bytes bytes, std::string_view what) {
    if (address > ram.size() || bytes.size() > ram.size() - address)
        return fail(ErrorCode::refused, fmt::format("the guest has {} MiB of memory, and {} needs it up to {:#x} ({} MiB): give it more with --memory", ram.size() >> 20, what,
                                                    address + bytes.size(), (address + bytes.size() + 0xFFFFF) >> 20));
    std::copy(bytes.begin(), bytes.end(), ram.data() + address);
    return {};
}

void put(const SharedPages& ram, std::uint64_t address, std::uint64_t value, unsigned size) { std::memcpy(ram.data() + address, &value, size); }

std::array<MemoryRange, kMemoryRanges> memory_map(const SharedPages& ram) {
    constexpr std::uint64_t kHighMemory = 0x100000;
    return {{{0, kLowMemoryEnd, 1}, {kLowMemoryEnd, 0xA0000, 2}, {0xF0000, kHighMemory, 2}, {kHighMemory, ram.size(), 1}}};
}

Result<std::uint64_t> load_segments(const image::ElfFile& elf, Bytes file, const SharedPages& ram, const std::string& name) {
    constexpr std::size_t kMostSegments = 1000;
    if (elf.segments.size() > kMostSegments) return fail(ErrorCode::refused, fmt::format("found {} segments, expected at most {}", elf.segments.size(), kMostSegments), name);
    std::uint64_t end = 0, total = 0;
    for (const image::ElfSegment& segment : elf.segments) {
        if (segment.type != image::elf::kPtLoad || segment.memory_size == 0) continue;
        if (segment.offset > file.size() || segment.file_size > file.size() - segment.offset || segment.file_size > segment.memory_size)
            return fail(ErrorCode::truncated, fmt::format("found a segment of {} bytes that the file does not hold", segment.file_size), name, segment.offset);
        // What is cleared has to fit too, so the room is checked with all of it.
        if (segment.physical > ram.size() || segment.memory_size > ram.size() - segment.physical)
            return fail(ErrorCode::refused, fmt::format("the guest has {} MiB of memory, and a segment of the image ends at {:#x}: give it more with --memory", ram.size() >> 20,
                                                        segment.physical + segment.memory_size), name);
        total += segment.memory_size;
        if (total > ram.size()) return fail(ErrorCode::malformed, fmt::format("found segments of {:#x} bytes in all, which lie over each other: the image ends at {:#x}", total, std::max(end, segment.physical + segment.memory_size)), name);
        std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(segment.offset), segment.file_size, ram.data() + segment.physical);
        std::fill_n(ram.data() + segment.physical + segment.file_size, segment.memory_size - segment.file_size, std::uint8_t{0});
        end = std::max(end, segment.physical + segment.memory_size);
    }
    if (end == 0) return fail(ErrorCode::malformed, "found no segment to load, expected at least one", name);
    return end;
}

std::vector<AddressRange> text_ranges(const image::ElfFile& elf) {
    std::vector<AddressRange> ranges;
    for (const image::ElfSection& section : elf.sections) {
        if ((section.flags & image::elf::kShfExecinstr) == 0 || section.size == 0) continue;
        ranges.push_back({{section.address}, {section.address + section.size}});
        for (const image::ElfSegment& segment : elf.segments)
            if (segment.type == image::elf::kPtLoad && segment.physical != segment.address && section.address >= segment.address && section.address - segment.address < segment.memory_size) {
                const std::uint64_t physical = section.address - segment.address + segment.physical;
                ranges.push_back({{physical}, {physical + section.size}});
            }
    }
    return ranges;
}

void set_flat(Vcpu& vcpu, std::uint16_t code, std::uint16_t data, std::uint64_t entry) {
    const Segment flat{.selector = data, .base = 0, .limit = 0xFFFFFFFF, .type = 3, .dpl = 0, .big = true, .granular = true};
    vcpu.segments.fill(flat);
    vcpu.segments[kCs].selector = code;
    vcpu.segments[kCs].type = 11;
    vcpu.rip = entry;
    vcpu.rflags = flag::fixed;
    vcpu.cr0 = cr0::pe | cr0::et;
    vcpu.cpl = 0;
}

Result<BootReport> boot(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu) {
    put_bios_data(ram);  // first, so that an image may lie over it
    if (request.processor) {
        constexpr std::uint32_t kFirmware = 0xF0000;
        const std::vector<std::uint8_t> table = mp_table(kFirmware, *request.processor);
        std::copy(table.begin(), table.end(), ram.data() + kFirmware);
    }
    for (const Loader loader : {load_linux_bzimage, load_multiboot2, load_multiboot, load_linux_elf, load_plain_elf}) {
        auto report = loader(request, ram, vcpu);
        if (!report) return tl::unexpected(report.error());
        if (*report) return **report;
    }
    return fail(ErrorCode::unsupported, "found neither a Linux kernel, nor a Multiboot header, nor a 32-bit ELF program; those are what can be run", request.name);
}

}  // namespace trapline::executor
