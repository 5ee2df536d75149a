// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "executor/boot/loader.h"

namespace trapline::executor {

Status store(const SharedPages& ram, std::uint64_t address, Bytes bytes, std::string_view what) {
    if (address > ram.size() || bytes.size() > ram.size() - address)
        return fail(ErrorCode::refused, fmt::format("the guest has {} MiB of memory, and {} needs it up to {:#x} ({} MiB): give it more with --memory", ram.size() >> 20, what,
                                                    address + bytes.size(), (address + bytes.size() + 0xFFFFF) >> 20));
    std::copy(bytes.begin(), bytes.end(), ram.data() + address);
    return {};
}

void put(const SharedPages& ram, std::uint64_t address, std::uint64_t value, unsigned size) { std::memcpy(ram.data() + address, &value, size); }

Result<std::uint64_t> load_segments(const image::ElfFile& elf, Bytes file, const SharedPages& ram, const std::string& name) {
    std::uint64_t end = 0;
    for (const image::ElfSegment& segment : elf.segments) {
        if (segment.type != image::elf::kPtLoad || segment.memory_size == 0) continue;
        if (segment.offset > file.size() || segment.file_size > file.size() - segment.offset || segment.file_size > segment.memory_size)
            return fail(ErrorCode::truncated, fmt::format("found a segment of {} bytes that the file does not hold", segment.file_size), name, segment.offset);
        // What is cleared has to fit too, so the room is checked with all of it.
        if (segment.physical > ram.size() || segment.memory_size > ram.size() - segment.physical)
            return fail(ErrorCode::refused, fmt::format("the guest has {} MiB of memory, and a segment of the image ends at {:#x}: give it more with --memory", ram.size() >> 20,
                                                        segment.physical + segment.memory_size), name);
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
    for (const Loader loader : {load_linux_bzimage, load_multiboot, load_linux_elf, load_plain_elf}) {
        auto report = loader(request, ram, vcpu);
        if (!report) return tl::unexpected(report.error());
        if (*report) return **report;
    }
    return fail(ErrorCode::unsupported, "found neither a Linux kernel, nor a Multiboot header, nor a 32-bit ELF program; those are what can be run", request.name);
}

}  // namespace trapline::executor
