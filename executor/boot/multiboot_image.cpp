// SPDX-License-Identifier: Apache-2.0
// Images, modules and section headers of Multiboot guests.
#include "executor/boot/multiboot_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace trapline::executor {
namespace {

constexpr std::uint64_t kHighMemory = 0x100000, kPage = 0x1000;

std::uint64_t align_up(std::uint64_t value, std::uint64_t align) { return (value + align - 1) / align * align; }

tl::unexpected<Error> too_small(const SharedPages& ram, const std::string& what, std::uint64_t end) {
    return fail(ErrorCode::refused, fmt::format("the guest has {} MiB of memory, and {} ends at {:#x}: give it more with --memory", ram.size() >> 20, what, end));
}

/// Gives the address at which an image of [begin, end) is to be loaded.
Result<std::uint64_t> choose_base(const BootRequest& request, const MemoryPlan& plan, std::uint64_t begin, std::uint64_t end, const std::optional<Relocation>& relocation) {
    if (!relocation) return begin;
    const std::uint64_t last = relocation->most == std::numeric_limits<std::uint32_t>::max() ? relocation->most + 1 : relocation->most;
    if (const auto base = plan.find(end - begin, relocation->align, relocation->least, last, relocation->highest)) return *base;
    return fail(ErrorCode::refused, fmt::format("found no room for an image of {:#x} bytes at a multiple of {:#x} between {:#x} and {:#x}, where its Multiboot2 header wants it", end - begin,
                                                relocation->align, relocation->least, last), request.name);
}

/// Copies the section headers, and puts what they name and segments did not load into memory.
void load_sections(const BootRequest& request, const SharedPages& ram, MemoryPlan& plan, LoadedImage& image) {
    const ByteView file(request.image);
    const auto table = file.get<std::uint32_t>(32);
    const auto entry_bytes = file.get<std::uint16_t>(46), count = file.get<std::uint16_t>(48), names = file.get<std::uint16_t>(50);
    if (!table || !entry_bytes || !count || !names || *entry_bytes != kSectionHeaderBytes || *count == 0) return;
    const auto headers = file.slice(*table, std::uint64_t{*count} * kSectionHeaderBytes);
    if (!headers) return;
    image.sections.assign(headers->begin(), headers->end());
    image.section_names = *names;
    for (std::size_t at = 0; at < image.sections.size(); at += kSectionHeaderBytes) {
        // Elf32_Shdr: sh_type at 4, sh_addr at 12, sh_offset at 16, sh_size at 20, sh_addralign at 32.
        const std::uint32_t type = get32(image.sections, at + 4), size = get32(image.sections, at + 20), align = get32(image.sections, at + 32);
        const bool has_address = get32(image.sections, at + 12) != 0;
        const auto bytes = file.slice(get32(image.sections, at + 16), size);
        if (type == image::elf::kShtNull || type == image::elf::kShtNobits || size == 0 || has_address || !bytes) continue;
        const auto place = plan.find(size, std::clamp<std::uint64_t>(align, 16, kPage), std::max(image.end, kHighMemory), ram.size());
        if (!place) continue;
        plan.take(*place, *place + size);
        std::copy(bytes->begin(), bytes->end(), ram.data() + *place);
        for (unsigned i = 0; i < 4; ++i) image.sections[at + 12 + i] = static_cast<std::uint8_t>(*place >> (8 * i));
    }
}

}  // namespace

std::uint32_t get32(Bytes bytes, std::size_t offset) { return ByteView(bytes).get<std::uint32_t>(offset).value_or(0); }

MemoryPlan::MemoryPlan(std::uint64_t memory_size) : memory_size_(memory_size) {
    take(0, kPage);
    take(kLowMemoryEnd, kHighMemory);
}

void MemoryPlan::take(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    taken_.push_back({{begin}, {end}});
    std::sort(taken_.begin(), taken_.end());
    std::vector<AddressRange> apart;
    for (const AddressRange& one : taken_) {
        if (!apart.empty() && one.begin <= apart.back().end) apart.back().end = std::max(apart.back().end, one.end);
        else apart.push_back(one);
    }
    taken_ = std::move(apart);
}

std::optional<std::uint64_t> MemoryPlan::find(std::uint64_t size, std::uint64_t align, std::uint64_t least, std::uint64_t end, bool highest) const {
    end = std::min(end, memory_size_);
    std::optional<std::uint64_t> found;
    std::uint64_t free = least;  // where the gap begins that is looked at
    const auto look_at = [&](std::uint64_t gap_end) {
        gap_end = std::min(gap_end, end);
        const std::uint64_t lowest = align_up(free, align);
        if (lowest > gap_end || gap_end - lowest < size) return;
        found = highest ? (gap_end - size) / align * align : lowest;
    };
    for (const AddressRange& one : taken_) {
        if (one.end.value <= free) continue;
        if (one.begin.value > free) look_at(one.begin.value);
        if (found && !highest) return found;
        free = one.end.value;
    }
    look_at(end);
    return found;
}

Result<std::uint64_t> MemoryPlan::place(std::uint64_t size, std::uint64_t align, std::uint64_t least, std::string_view what) {
    const auto found = find(size, align, least, memory_size_);
    if (!found) return fail(ErrorCode::refused, fmt::format("the guest has {} MiB of memory, and there is no room in it for {} of {} bytes: give it more with --memory", memory_size_ >> 20, what, size));
    take(*found, *found + size);
    return *found;
}

Result<LoadedImage> load_elf_image(const BootRequest& request, const SharedPages& ram, MemoryPlan& plan, const std::optional<Relocation>& relocation, bool want_sections) {
    auto elf = image::read_elf(request.image, 100'000, request.name);
    if (!elf) return tl::unexpected(elf.error());
    if (elf->machine != image::elf::kEm386) return fail(ErrorCode::unsupported, "found a 64-bit program, expected 32-bit x86", request.name);
    LoadedImage image;
    std::uint64_t entry = elf->entry, begin = std::numeric_limits<std::uint64_t>::max(), end = 0;
    bool in_segment = false;
    for (const image::ElfSegment& segment : elf->segments) {
        if (segment.type != image::elf::kPtLoad || segment.memory_size == 0) continue;
        begin = std::min(begin, segment.physical);
        end = std::max(end, segment.physical + segment.memory_size);
        if (!in_segment && elf->entry >= segment.address && elf->entry - segment.address < segment.memory_size) {
            entry = elf->entry - segment.address + segment.physical;
            in_segment = true;
        }
    }
    if (begin < end) {
        const auto base = choose_base(request, plan, begin, end, relocation);
        if (!base) return tl::unexpected(base.error());
        image.base = *base;
        image.shift = *base - begin;
    }
    for (image::ElfSegment& segment : elf->segments) segment.physical += image.shift;
    const auto loaded = load_segments(*elf, request.image, ram, request.name);
    if (!loaded) return tl::unexpected(loaded.error());
    image.end = *loaded;
    image.entry = entry + image.shift;
    image.text = text_ranges(*elf);
    for (const image::ElfSegment& segment : elf->segments)
        if (segment.type == image::elf::kPtLoad) plan.take(segment.physical, segment.physical + segment.memory_size);
    if (want_sections) load_sections(request, ram, plan, image);
    return image;
}

Result<LoadedImage> load_by_addresses(const BootRequest& request, std::size_t header, const HeaderAddresses& addresses, const SharedPages& ram, MemoryPlan& plan,
                                      const std::optional<Relocation>& relocation) {
    const auto wrong = [&](ErrorCode code, std::string message) { return fail(code, std::move(message), request.name, header); };
    if (!addresses.whole_file && addresses.header < addresses.load)
        return wrong(ErrorCode::malformed, fmt::format("found a Multiboot header to be loaded at {:#x}, before the image's beginning at {:#x}", addresses.header, addresses.load));
    const std::uint64_t before = addresses.whole_file ? header : addresses.header - addresses.load;
    if (before > header || before > addresses.header)
        return wrong(ErrorCode::malformed, fmt::format("found a Multiboot header {:#x} bytes behind the beginning of what is loaded, which is before the beginning of the file or of memory", before));
    const std::uint64_t load = addresses.header - before;
    const Bytes rest = request.image.subspan(header - before);
    if (addresses.load_end != 0 && addresses.load_end < load) return wrong(ErrorCode::malformed, fmt::format("found a load address {:#x} behind the end {:#x}", load, addresses.load_end));
    const std::uint64_t size = addresses.load_end == 0 ? rest.size() : addresses.load_end - load;
    if (size > rest.size()) return wrong(ErrorCode::truncated, fmt::format("found {} bytes, expected {} to load, as the Multiboot header says", rest.size(), size));
    const std::uint64_t whole = std::max<std::uint64_t>(size, addresses.bss_end > load ? addresses.bss_end - load : 0);
    const auto base = choose_base(request, plan, load, load + whole, relocation);
    if (!base) return tl::unexpected(base.error());
    if (*base > ram.size() || whole > ram.size() - *base) return too_small(ram, "the image", *base + whole);
    std::copy_n(rest.begin(), size, ram.data() + *base);
    std::fill_n(ram.data() + *base + size, whole - size, std::uint8_t{0});
    plan.take(*base, *base + whole);
    LoadedImage image;
    image.base = *base;
    image.end = *base + whole;
    image.shift = *base - load;
    return image;
}

Status check_texts(const BootRequest& request) {
    static constexpr std::size_t kLongest = 2047;
    const auto check = [](const std::string& text, std::string_view what) -> Status {
        if (text.size() <= kLongest) return {};
        return fail(ErrorCode::refused, fmt::format("found a {} of {} characters, expected at most {}", what, text.size(), kLongest));
    };
    for (const BootModule& module : request.modules)
        if (Status checked = check(module.text, "module's command line"); !checked) return checked;
    return check(request.command_line, "command line");
}

Result<std::vector<LoadedModule>> load_modules(const BootRequest& request, const LoadedImage& image, const SharedPages& ram, MemoryPlan& plan) {
    std::vector<BootModule> modules = request.modules;
    if (!request.initrd.bytes.empty()) modules.insert(modules.begin(), request.initrd);
    std::vector<LoadedModule> loaded;
    for (const BootModule& module : modules) {
        const auto at = plan.place(module.bytes.size(), kPage, std::max(image.end, kHighMemory), fmt::format("the module {}", module.text));
        if (!at) return tl::unexpected(at.error());
        // What follows on its last page is nobody else's.
        plan.take(*at, std::min(ram.size(), align_up(*at + module.bytes.size(), kPage)));
        if (Status stored = store(ram, *at, module.bytes, "the module"); !stored) return tl::unexpected(stored.error());
        loaded.push_back({static_cast<std::uint32_t>(*at), static_cast<std::uint32_t>(*at + module.bytes.size()), module.text});
    }
    return loaded;
}

void start_flat(const SharedPages& ram, Vcpu& vcpu, std::uint64_t table, std::uint64_t entry) {
    constexpr std::uint16_t kCode = 8, kData = 16;
    set_flat(vcpu, kCode, kData, entry);
    put(ram, table + kCode, 0x00CF9B000000FFFF, 8);
    put(ram, table + kData, 0x00CF93000000FFFF, 8);
    vcpu.gdtr = {table, kStartTableBytes - 1};
    vcpu.idtr = {0, 0};
    vcpu.gpr.fill(0);
}

}  // namespace trapline::executor
