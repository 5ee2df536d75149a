// SPDX-License-Identifier: Apache-2.0
// Multiboot 1 (Multiboot Specification version 0.6.96) and programs without any protocol.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "executor/boot/loader.h"

namespace trapline::executor {
namespace {

constexpr std::uint32_t kHeaderMagic = 0x1BADB002, kBootMagic = 0x2BADB002;
constexpr std::size_t kSearched = 8192;
constexpr std::uint32_t kWantsAddresses = 1u << 16, kMustKnow = 0xFFFF & ~std::uint32_t{7};
constexpr std::uint64_t kInformation = 0x9000, kMemoryMap = 0x9100, kModules = 0x9200, kName = 0x9300, kCommandLine = 0x9400, kGdt = 0x8000;
constexpr std::size_t kLongestLine = 0x800;

std::uint32_t get32(Bytes bytes, std::size_t offset) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) value |= std::uint32_t{bytes[offset + i]} << (8 * i);
    return value;
}

std::optional<std::size_t> find_header(Bytes image) {
    for (std::size_t at = 0; at + 12 <= std::min(image.size(), kSearched); at += 4)
        if (get32(image, at) == kHeaderMagic && get32(image, at) + get32(image, at + 4) + get32(image, at + 8) == 0) return at;
    return std::nullopt;
}

struct Loaded {
    std::uint64_t entry = 0, end = 0;
    std::vector<AddressRange> text;
};

/// Loads by the header's own addresses (the a.out kludge).
Result<Loaded> load_by_addresses(const BootRequest& request, std::size_t header, const SharedPages& ram) {
    if (header + 32 > request.image.size()) return fail(ErrorCode::truncated, "the Multiboot header ends behind the file", request.name, header);
    const std::uint32_t header_address = get32(request.image, header + 12), load = get32(request.image, header + 16), load_end = get32(request.image, header + 20),
                        bss_end = get32(request.image, header + 24), entry = get32(request.image, header + 28);
    const std::uint64_t before = std::uint64_t{header_address} - load;
    if (header_address < load || before > header) return fail(ErrorCode::malformed, fmt::format("found a Multiboot header at {:#x} that is to be loaded before the file's beginning ({:#x})", header_address, load), request.name, header);
    const Bytes rest = request.image.subspan(header - before);
    const std::uint64_t size = load_end == 0 ? rest.size() : std::uint64_t{load_end} - load;
    if (load_end != 0 && (load_end < load || size > rest.size())) return fail(ErrorCode::truncated, fmt::format("found {} bytes, expected {} to load", rest.size(), size), request.name, header);
    if (Status stored = store(ram, load, rest.first(size), "the kernel"); !stored) return tl::unexpected(stored.error());
    std::uint64_t end = load + size;
    if (bss_end > end) {
        if (bss_end > ram.size()) return fail(ErrorCode::refused, fmt::format("the kernel needs memory up to {:#x}: give it more with --memory", bss_end), request.name);
        std::fill(ram.data() + end, ram.data() + bss_end, std::uint8_t{0});
        end = bss_end;
    }
    return Loaded{entry, end, {}};
}

Result<Loaded> load_elf(const BootRequest& request, const SharedPages& ram) {
    auto elf = image::read_elf(request.image, 100'000, request.name);
    if (!elf) return tl::unexpected(elf.error());
    if (elf->machine != image::elf::kEm386) return fail(ErrorCode::unsupported, "found a 64-bit program, expected 32-bit x86", request.name);
    auto end = load_segments(*elf, request.image, ram, request.name);
    if (!end) return tl::unexpected(end.error());
    std::uint64_t entry = elf->entry;
    // An entry given as a linear address counts where its segment is loaded.
    for (const image::ElfSegment& segment : elf->segments)
        if (segment.type == image::elf::kPtLoad && entry >= segment.address && entry - segment.address < segment.memory_size) {
            entry = entry - segment.address + segment.physical;
            break;
        }
    return Loaded{entry, *end, text_ranges(*elf)};
}

void put_flat_gdt(const SharedPages& ram, Vcpu& vcpu) {
    put(ram, kGdt + 8, 0x00CF9B000000FFFF, 8);
    put(ram, kGdt + 16, 0x00CF93000000FFFF, 8);
    vcpu.gdtr = {kGdt, 23};
    vcpu.idtr = {0, 0};
    vcpu.gpr.fill(0);
}

Status put_text(const SharedPages& ram, std::uint64_t address, const std::string& text) {
    if (text.size() >= kLongestLine) return fail(ErrorCode::refused, fmt::format("found a command line of {} characters, expected at most {}", text.size(), kLongestLine - 1));
    return store(ram, address, Bytes(reinterpret_cast<const std::uint8_t*>(text.c_str()), text.size() + 1), "the command line");
}

}  // namespace

Result<std::optional<BootReport>> load_multiboot(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu) {
    const auto header = find_header(request.image);
    if (!header) return std::nullopt;
    const std::uint32_t flags = get32(request.image, *header + 4);
    if ((flags & kMustKnow) != 0) return fail(ErrorCode::unsupported, fmt::format("the Multiboot header demands features {:#x} that are not known here", flags & kMustKnow), request.name, *header);
    const auto loaded = (flags & kWantsAddresses) != 0 ? load_by_addresses(request, *header, ram) : load_elf(request, ram);
    if (!loaded) return tl::unexpected(loaded.error());

    std::uint32_t present = 1 | 4 | 64 | 512;  // memory sizes, command line, memory map, loader's name
    put(ram, kInformation + 4, 639, 4);
    put(ram, kInformation + 8, (ram.size() - 0x100000) / 1024, 4);
    put(ram, kInformation + 16, kCommandLine, 4);
    if (Status stored = put_text(ram, kCommandLine, request.command_line.empty() ? request.name : request.name + " " + request.command_line); !stored) return tl::unexpected(stored.error());
    if (!request.initrd.empty()) {
        const std::uint64_t at = (loaded->end + 0xFFF) & ~std::uint64_t{0xFFF};
        if (Status stored = store(ram, at, request.initrd, "the module"); !stored) return tl::unexpected(stored.error());
        present |= 8;
        put(ram, kInformation + 20, 1, 4);
        put(ram, kInformation + 24, kModules, 4);
        put(ram, kModules, at, 4);
        put(ram, kModules + 4, at + request.initrd.size(), 4);
    }
    const std::uint64_t ranges[][3] = {{0, 0x9FC00, 1}, {0xF0000, 0x10000, 2}, {0x100000, ram.size() - 0x100000, 1}};
    std::uint64_t at = kMemoryMap;
    for (const auto& range : ranges) {
        put(ram, at, 20, 4);  // the size field does not count itself
        put(ram, at + 4, range[0], 8);
        put(ram, at + 12, range[1], 8);
        put(ram, at + 20, range[2], 4);
        at += 24;
    }
    put(ram, kInformation + 44, at - kMemoryMap, 4);
    put(ram, kInformation + 48, kMemoryMap, 4);
    put(ram, kInformation + 64, kName, 4);
    if (Status stored = put_text(ram, kName, "trapline"); !stored) return tl::unexpected(stored.error());
    put(ram, kInformation, present, 4);

    set_flat(vcpu, 8, 16, loaded->entry);
    put_flat_gdt(ram, vcpu);
    vcpu.gpr[kRax] = kBootMagic;
    vcpu.gpr[kRbx] = kInformation;
    return BootReport{"Multiboot 1", request.command_line, loaded->entry, loaded->text};
}

Result<std::optional<BootReport>> load_plain_elf(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu) {
    if (request.image.size() < 4 || get32(request.image, 0) != 0x464C457F) return std::nullopt;
    const auto loaded = load_elf(request, ram);
    if (!loaded) return tl::unexpected(loaded.error());
    set_flat(vcpu, 8, 16, loaded->entry);
    put_flat_gdt(ram, vcpu);
    return BootReport{"ELF program, flat protected mode", request.command_line, loaded->entry, loaded->text};
}

}  // namespace trapline::executor
