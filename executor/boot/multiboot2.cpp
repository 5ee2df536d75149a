// SPDX-License-Identifier: Apache-2.0
// Multiboot 2 (Multiboot2 Specification version 2.0) on a PC without EFI: what section 3.6 calls the boot information.
#include <algorithm>
#include <string_view>

#include "executor/boot/multiboot2_header.h"
#include "executor/device/vga_text.h"

namespace trapline::executor {
namespace {

constexpr std::uint32_t kBootMagic = 0x36D76289;
constexpr std::size_t kTagAlign = 8;
constexpr std::string_view kLoaderName = "trapline";

// Types of tags.
constexpr std::uint32_t kEnd = 0, kCommandLine = 1, kName = 2, kModule = 3, kMemorySizes = 4, kMemoryMap = 6, kFramebuffer = 8, kSections = 9, kLoadBase = 21;

/// The tags, one behind the other. There is no boot device (the image is not from a BIOS disk), no VBE, APM, SMBIOS, ACPI or network.
class Information {
public:
    Information() { add32(0).add32(0); }
    Information& begin(std::uint32_t type) {
        begin_ = bytes_.size();
        return add32(type).add32(0);
    }
    Information& add(std::uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
        return *this;
    }
    Information& add32(std::uint64_t value) { return add(value, 4); }
    Information& add(std::string_view text) {
        bytes_.insert(bytes_.end(), text.begin(), text.end());
        return add(0, 1);
    }
    Information& add(Bytes bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return *this;
    }
    /// Ends a tag: its size does not count what aligns the next one (3.6.2).
    void end() {
        set32(begin_ + 4, bytes_.size() - begin_);
        bytes_.resize((bytes_.size() + kTagAlign - 1) / kTagAlign * kTagAlign);
    }
    const std::vector<std::uint8_t>& finish() {
        begin(kEnd).end();
        set32(0, bytes_.size());
        return bytes_;
    }

private:
    void set32(std::size_t at, std::uint64_t value) {
        for (unsigned i = 0; i < 4; ++i) bytes_[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
    std::vector<std::uint8_t> bytes_;
    std::size_t begin_ = 0;
};

Information information_of(const BootRequest& request, const SharedPages& ram, const LoadedImage& image, bool relocated, const std::vector<LoadedModule>& modules) {
    Information out;
    out.begin(kCommandLine).add(request.command_line).end();
    out.begin(kName).add(kLoaderName).end();
    for (const LoadedModule& module : modules) out.begin(kModule).add32(module.begin).add32(module.end).add(module.text).end();
    out.begin(kMemorySizes).add32(kLowMemoryEnd / 1024).add32((ram.size() - 0x100000) / 1024).end();
    constexpr std::uint32_t kEntryBytes = 24, kEntryVersion = 0;
    out.begin(kMemoryMap).add32(kEntryBytes).add32(kEntryVersion);
    for (const MemoryRange& range : memory_map(ram)) out.add(range.begin, 8).add(range.end - range.begin, 8).add32(range.type).add32(0);
    out.end();
    // Bytes of a line, columns and rows, bits of a cell, type 2 (EGA text), reserved.
    out.begin(kFramebuffer).add(VgaText::kMemory, 8).add32(2 * VgaText::kColumns).add32(VgaText::kColumns).add32(VgaText::kRows).add(16, 1).add(2, 1).add(0, 2).end();
    // Number, size and index of the names as 32-bit fields: so the header file in the specification's appendix, against the table of 3.6.7,
    // whose 16-bit fields no loader writes.
    if (!image.sections.empty())
        out.begin(kSections).add32(image.sections.size() / kSectionHeaderBytes).add32(kSectionHeaderBytes).add32(image.section_names).add(Bytes(image.sections)).end();
    if (relocated) out.begin(kLoadBase).add32(image.base).end();
    return out;
}

}  // namespace

Result<std::optional<BootReport>> load_multiboot2(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu) {
    const auto found = read_multiboot2_header(request.image, request.name);
    if (!found) return tl::unexpected(found.error());
    if (!*found) return std::nullopt;
    const Multiboot2Header& header = **found;
    constexpr std::uint32_t kElf = 0x464C457F;
    if (!header.addresses && get32(request.image, 0) != kElf)
        return fail(ErrorCode::malformed, "found a Multiboot2 header without an address tag in a file that is no ELF file, expected one or the other", request.name, header.offset);
    if (Status checked = check_texts(request); !checked) return tl::unexpected(checked.error());
    MemoryPlan plan(ram.size());
    auto image = header.addresses ? load_by_addresses(request, header.offset, *header.addresses, ram, plan, header.relocation) : load_elf_image(request, ram, plan, header.relocation, true);
    if (!image) return tl::unexpected(image.error());
    // An entry of the header's moves with the image as that of an ELF file does.
    if (header.entry) image->entry = static_cast<std::uint32_t>(*header.entry + image->shift);
    const auto modules = load_modules(request, *image, ram, plan);
    if (!modules) return tl::unexpected(modules.error());
    Information information = information_of(request, ram, *image, header.relocation.has_value(), *modules);
    const std::vector<std::uint8_t>& bytes = information.finish();
    const auto at = plan.place(kStartTableBytes + bytes.size(), kTagAlign, 0, "the Multiboot2 information");
    if (!at) return tl::unexpected(at.error());
    std::copy(bytes.begin(), bytes.end(), ram.data() + *at + kStartTableBytes);
    start_flat(ram, vcpu, *at, image->entry);
    vcpu.gpr[kRax] = kBootMagic;
    vcpu.gpr[kRbx] = *at + kStartTableBytes;
    return BootReport{"Multiboot 2", request.command_line, image->entry, image->text};
}

}  // namespace trapline::executor
