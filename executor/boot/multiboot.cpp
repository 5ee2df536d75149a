// SPDX-License-Identifier: Apache-2.0
// Multiboot 1 (Multiboot Specification version 0.6.96) and programs without any protocol.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "executor/boot/multiboot_image.h"

namespace trapline::executor {
namespace {

constexpr std::uint32_t kHeaderMagic = 0x1BADB002, kBootMagic = 0x2BADB002;
constexpr std::size_t kSearched = 8192;
// Header flags: bits 0 to 2 (page-aligned modules, memory, video) are met or need not be; others of the low half must be known.
constexpr std::uint32_t kWantsAddresses = 1u << 16, kMustKnow = 0xFFFF & ~std::uint32_t{7};
// Flags of the information, and its size.
constexpr std::uint32_t kHasMemory = 1 << 0, kHasCommandLine = 1 << 2, kHasModules = 1 << 3, kHasSections = 1 << 5, kHasMemoryMap = 1 << 6, kHasName = 1 << 9;
constexpr std::uint64_t kInformationBytes = 116, kModuleBytes = 16, kMapEntryBytes = 24;
constexpr std::string_view kLoaderName = "trapline";

std::optional<std::size_t> find_header(Bytes image) {
    for (std::size_t at = 0; at + 12 <= std::min(image.size(), kSearched); at += 4)
        if (get32(image, at) == kHeaderMagic && get32(image, at) + get32(image, at + 4) + get32(image, at + 8) == 0) return at;
    return std::nullopt;
}

Result<LoadedImage> load(const BootRequest& request, std::size_t header, const SharedPages& ram, MemoryPlan& plan) {
    const std::uint32_t flags = get32(request.image, header + 4);
    if ((flags & kWantsAddresses) == 0) return load_elf_image(request, ram, plan, std::nullopt, true);
    if (header + 32 > request.image.size()) return fail(ErrorCode::truncated, "the Multiboot header ends behind the file", request.name, header);
    const auto field = [&](std::size_t at) { return get32(request.image, header + at); };
    auto image = load_by_addresses(request, header, {.header = field(12), .load = field(16), .load_end = field(20), .bss_end = field(24)}, ram, plan, std::nullopt);
    if (image) image->entry = field(28);
    return image;
}

/// Writes what the information refers to behind it, piece by piece.
class Pieces {
public:
    Pieces(const SharedPages& ram, std::uint64_t at) : ram_(ram), at_(at) {}
    std::uint64_t take(std::uint64_t size) { return std::exchange(at_, at_ + size); }
    std::uint64_t add(std::string_view text) {
        const std::uint64_t at = take(text.size() + 1);
        std::copy(text.begin(), text.end(), ram_.data() + at);
        put(ram_, at + text.size(), 0, 1);
        return at;
    }

private:
    const SharedPages& ram_;
    std::uint64_t at_;
};

/// The command line begins with the kernel's name, as that of other programs does and as guests expect that skip its first word.
std::string command_line_of(const BootRequest& request) {
    if (request.exact_command_line) return request.command_line;
    return request.command_line.empty() ? request.name : request.name + " " + request.command_line;
}

/// Writes the information and all that it refers to at `at`, which is where `size_of_information` bytes are free.
void put_information(const SharedPages& ram, std::uint64_t at, const std::string& line, const std::vector<LoadedModule>& modules, const LoadedImage& image) {
    Pieces pieces(ram, at + kInformationBytes);
    std::fill_n(ram.data() + at, kInformationBytes, std::uint8_t{0});
    std::uint32_t present = kHasMemory | kHasCommandLine | kHasMemoryMap | kHasName;
    put(ram, at + 4, kLowMemoryEnd / 1024, 4);
    put(ram, at + 8, (ram.size() - 0x100000) / 1024, 4);
    const auto map = memory_map(ram);
    std::uint64_t entry = pieces.take(map.size() * kMapEntryBytes);
    put(ram, at + 44, map.size() * kMapEntryBytes, 4);
    put(ram, at + 48, entry, 4);
    for (const MemoryRange& range : map) {
        put(ram, entry, kMapEntryBytes - 4, 4);  // the size field does not count itself
        put(ram, entry + 4, range.begin, 8);
        put(ram, entry + 12, range.end - range.begin, 8);
        put(ram, entry + 20, range.type, 4);
        entry += kMapEntryBytes;
    }
    if (!modules.empty()) {
        present |= kHasModules;
        std::uint64_t module = pieces.take(modules.size() * kModuleBytes);
        put(ram, at + 20, modules.size(), 4);
        put(ram, at + 24, module, 4);
        for (const LoadedModule& one : modules) {
            put(ram, module, one.begin, 4);
            put(ram, module + 4, one.end, 4);
            put(ram, module + 8, pieces.add(one.text), 4);
            put(ram, module + 12, 0, 4);
            module += kModuleBytes;
        }
    }
    if (!image.sections.empty()) {
        present |= kHasSections;
        const std::uint64_t sections = pieces.take(image.sections.size());
        std::copy(image.sections.begin(), image.sections.end(), ram.data() + sections);
        put(ram, at + 28, image.sections.size() / kSectionHeaderBytes, 4);
        put(ram, at + 32, kSectionHeaderBytes, 4);
        put(ram, at + 36, sections, 4);
        put(ram, at + 40, image.section_names, 4);
    }
    put(ram, at + 16, pieces.add(line), 4);
    put(ram, at + 64, pieces.add(kLoaderName), 4);
    put(ram, at, present, 4);
}

std::uint64_t size_of_information(const std::string& line, const std::vector<LoadedModule>& modules, const LoadedImage& image) {
    std::uint64_t size = kInformationBytes + kMemoryRanges * kMapEntryBytes + image.sections.size() + line.size() + 1 + kLoaderName.size() + 1;
    for (const LoadedModule& module : modules) size += kModuleBytes + module.text.size() + 1;
    return size;
}

}  // namespace

Result<std::optional<BootReport>> load_multiboot(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu) {
    const auto header = find_header(request.image);
    if (!header) return std::nullopt;
    const std::uint32_t flags = get32(request.image, *header + 4);
    if ((flags & kMustKnow) != 0) return fail(ErrorCode::unsupported, fmt::format("the Multiboot header demands features {:#x} that are not known here", flags & kMustKnow), request.name, *header);
    if (Status checked = check_texts(request); !checked) return tl::unexpected(checked.error());
    MemoryPlan plan(ram.size());
    const auto image = load(request, *header, ram, plan);
    if (!image) return tl::unexpected(image.error());
    const auto modules = load_modules(request, *image, ram, plan);
    if (!modules) return tl::unexpected(modules.error());
    const std::string line = command_line_of(request);
    const auto at = plan.place(kStartTableBytes + size_of_information(line, *modules, *image), 8, 0, "the Multiboot information");
    if (!at) return tl::unexpected(at.error());
    const std::uint64_t information = *at + kStartTableBytes;
    put_information(ram, information, line, *modules, *image);
    start_flat(ram, vcpu, *at, image->entry);
    vcpu.gpr[kRax] = kBootMagic;
    vcpu.gpr[kRbx] = information;
    return BootReport{"Multiboot 1", request.command_line, image->entry, image->text};
}

Result<std::optional<BootReport>> load_plain_elf(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu) {
    if (request.image.size() < 4 || get32(request.image, 0) != 0x464C457F) return std::nullopt;
    if (!request.initrd.bytes.empty() || !request.modules.empty())
        return fail(ErrorCode::unsupported, "found an initrd or modules for a program without a boot protocol, which could not find them; expected a Linux kernel or a Multiboot header", request.name);
    MemoryPlan plan(ram.size());
    const auto image = load_elf_image(request, ram, plan, std::nullopt, false);
    if (!image) return tl::unexpected(image.error());
    const auto table = plan.place(kStartTableBytes, 8, 0, "a descriptor table");
    if (!table) return tl::unexpected(table.error());
    start_flat(ram, vcpu, *table, image->entry);
    return BootReport{"ELF program, flat protected mode", request.command_line, image->entry, image->text};
}

}  // namespace trapline::executor
