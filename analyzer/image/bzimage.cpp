// SPDX-License-Identifier: Apache-2.0
// Takes a bzImage apart (Documentation/arch/x86/boot.rst; arch/x86/boot/{header.S,setup.ld,tools/build.c} and
// arch/x86/boot/compressed/vmlinux.lds.S of Linux 5.x and 6.x for what the protocol leaves open).
#include "image/bzimage.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <future>

#include "image/decompress.h"
#include "image/digest.h"
#include "image/early_kallsyms.h"
#include "image/pe_sections.h"

namespace trapline::image {
namespace {

constexpr std::uint64_t kSector = 512, kParagraph = 16;
constexpr std::uint64_t kSetupHeader = 0x1F1, kJump = 0x200, kEntry64 = 0x200;
constexpr std::uint16_t kHasPayload = 0x208, kHasHandover = 0x20B, kHasXloadflags = 0x20C;
constexpr std::uint16_t kXlfKernel64 = 1, kXlfHandover32 = 4, kXlfHandover64 = 8;

// in_pm32 of arch/x86/boot/pmjump.S, the only 32-bit code in the setup: from the loads of all segment registers ...
constexpr std::array<std::uint8_t, 10> kInPm32 = {0x8E, 0xD9, 0x8E, 0xC1, 0x8E, 0xE1, 0x8E, 0xE9, 0x8E, 0xD1};  // mov %ecx,%ds ... %ss
// ... to the jump to the kernel.
constexpr std::array<std::uint8_t, 2> kJumpToKernel = {0xFF, 0xE0};  // jmp *%eax
constexpr std::uint64_t kInPm32Longest = 64;

Image make_image(const Layer& layer, Format format, std::string_view part) {
    Image image;
    image.name = fmt::format("{}!{}", layer.name, part);
    image.format = format;
    image.sha256 = layer.sha256.empty() ? sha256_hex(layer.bytes()) : layer.sha256;
    image.size = layer.bytes().size();
    image.wrappers = layer.wrappers;
    image.wrappers.emplace_back("bzimage");
    image.storage = layer.storage;
    return image;
}

// Adds [begin, end) of the file; nothing when it is empty. `base` is the file offset of address 0.
void add_section(Image& image, const Layer& layer, std::string name, std::uint64_t begin, std::uint64_t end, std::uint64_t base,
                 CodeWidth width, bool executable) {
    if (begin >= end) return;
    Section section;
    section.name = std::move(name);
    section.address = {begin - base};
    section.file_offset = {begin};
    section.bytes = *layer.view().slice(begin, end - begin);  // read_bzimage has checked every boundary
    section.executable = executable;
    section.writable = true;
    section.width = width;
    section.real_mode = width == CodeWidth::bits16;
    image.sections.push_back(std::move(section));
}

void add_entry(Image& image, std::uint64_t address) {
    const auto section = image.find_section({address});
    if (!section || !image.sections[*section].executable) return;
    const bool known = std::any_of(image.pointers.begin(), image.pointers.end(),
                                   [&](const CodePointer& p) { return p.address == VirtAddr{address}; });
    if (!known) image.pointers.push_back({*section, {address}, CodePointer::Origin::entry});
}

void settle(Image& image) {
    std::sort(image.pointers.begin(), image.pointers.end(), [](const CodePointer& a, const CodePointer& b) {
        return std::pair(a.section, a.address) < std::pair(b.section, b.address);
    });
}

// Finds in_pm32 in the setup; an empty range at `end` when it is not there.
std::pair<std::uint64_t, std::uint64_t> find_in_pm32(Bytes file, std::uint64_t begin, std::uint64_t end) {
    const auto first = file.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = file.begin() + static_cast<std::ptrdiff_t>(end);
    const auto start = std::search(first, last, kInPm32.begin(), kInPm32.end());
    if (start == last) return {end, end};
    const auto window = start + std::min<std::ptrdiff_t>(last - start, kInPm32Longest);
    const auto jump = std::search(start, window, kJumpToKernel.begin(), kJumpToKernel.end());
    if (jump == window) return {end, end};
    return {static_cast<std::uint64_t>(start - file.begin()), static_cast<std::uint64_t>(jump - file.begin()) + kJumpToKernel.size()};
}

}  // namespace

Result<BzImage> read_bzimage(ByteView view, const std::string& file) {
    const auto field8 = [&](std::uint64_t at) { return view.get<std::uint8_t>(at).value_or(0); };
    const auto field16 = [&](std::uint64_t at) { return view.get<std::uint16_t>(at).value_or(0); };
    const auto field32 = [&](std::uint64_t at) { return std::uint64_t{view.get<std::uint32_t>(at).value_or(0)}; };

    BzImage image;
    image.version = field16(0x206);
    const std::uint64_t sectors = field8(kSetupHeader) == 0 ? 4 : field8(kSetupHeader);  // 0 means 4, says the protocol
    image.setup_size = (sectors + 1) * kSector;
    if (image.setup_size > view.size())
        return fail(ErrorCode::truncated,
                    fmt::format("bzImage: setup of {:#x} bytes passes the end of the file at {:#x}", image.setup_size, view.size()),
                    file, kSetupHeader);
    if (field8(kJump) != 0xEB)
        return fail(ErrorCode::malformed, fmt::format("bzImage: found {:#04x}, expected a short jump (0xeb)", field8(kJump)), file, kJump);
    image.header_end = kJump + 2 + field8(kJump + 1);
    if (image.header_end > image.setup_size)
        return fail(ErrorCode::malformed, "bzImage: the jump over the setup header leaves the setup", file, kJump);

    // syssize had 16 bits before 2.04, when it could not describe a bzImage: the file's end counts there.
    const std::uint64_t code_size = image.version >= 0x204 ? field32(0x1F4) * kParagraph : view.size() - image.setup_size;
    image.code_end = image.setup_size + code_size;
    if (image.code_end > view.size()) {
        // The last paragraph may be cut short.
        if (image.code_end - view.size() >= kParagraph)
            return fail(ErrorCode::truncated,
                        fmt::format("bzImage: the protected-mode part ends at {:#x}, past the end of the file at {:#x}", image.code_end,
                                    view.size()),
                        file, 0x1F4);
        image.code_end = view.size();
    }
    image.payload_offset = image.code_end;
    image.payload_known = image.version >= kHasPayload && image.header_end >= 0x250;
    if (image.payload_known && field32(0x24C) != 0) {
        const std::uint64_t offset = field32(0x248);
        const std::uint64_t size = field32(0x24C);
        if (offset > code_size || size > image.code_end - image.setup_size - std::min(offset, image.code_end - image.setup_size))
            return fail(ErrorCode::malformed,
                        fmt::format("bzImage: payload [{:#x}, +{:#x}) passes the end of the protected-mode part at {:#x}", offset, size,
                                    code_size),
                        file, 0x248);
        image.payload_offset = image.setup_size + offset;
        image.payload_size = size;
    }
    if (image.version >= kHasXloadflags && image.header_end >= 0x238) image.kernel_64 = field16(0x236) & kXlfKernel64;
    if (image.version >= kHasHandover && image.header_end >= 0x268 && field32(0x264) != 0) {
        // The 64-bit handover entry is 512 bytes behind the address in the header, like the 64-bit entry itself.
        const std::uint16_t flags = image.version >= kHasXloadflags ? field16(0x236) : kXlfHandover32;
        if (flags & kXlfHandover64) image.handover_64 = field32(0x264) + kEntry64;
        if (flags & kXlfHandover32) image.handover_32 = field32(0x264);
    }
    return image;
}

Image open_bzimage_setup(const Layer& layer, const BzImage& header) {
    Image image = make_image(layer, Format::bzimage_setup, "setup");
    image.architecture = "i386";
    const ByteView view = layer.view();
    // With the EFI stub the first sector starts with "MZ". Up to 6.5 those bytes are also code (a far jump follows, then
    // a message for who boots the sector); since 6.6 they are only a DOS header.
    const auto pe = read_pe_sections(view);
    const bool code_first = view.get<std::uint16_t>(0) != 0x5A4D || view.get<std::uint8_t>(2) == 0xEA;
    const std::uint64_t sector_code_end = pe ? std::min(pe->header_offset, kSetupHeader) : kSetupHeader;
    add_section(image, layer, "boot-sector", 0, sector_code_end, 0, CodeWidth::bits16, code_first);
    add_section(image, layer, "pe-header", sector_code_end, kSetupHeader, 0, CodeWidth::bits16, false);
    add_section(image, layer, "setup-header", kSetupHeader, kJump, 0, CodeWidth::bits16, false);
    add_section(image, layer, "entry-jump", kJump, kJump + 2, 0, CodeWidth::bits16, true);
    add_section(image, layer, "setup-header-2", kJump + 2, header.header_end, 0, CodeWidth::bits16, false);

    // The setup is padded with zeros to whole sectors.
    const Bytes file = layer.bytes();
    std::uint64_t end = header.setup_size;
    while (end > header.header_end && file[end - 1] == 0) --end;
    const auto [pm32, pm32_end] = find_in_pm32(file, header.header_end, end);
    add_section(image, layer, "setup", header.header_end, pm32, 0, CodeWidth::bits16, true);
    add_section(image, layer, "setup.text32", pm32, pm32_end, 0, CodeWidth::bits32, true);
    // arch/x86/boot/setup.ld puts .text32 last of the code; read-only and initialised data follow it.
    add_section(image, layer, "setup.data", pm32_end, end, 0, CodeWidth::bits16, false);
    image.index_sections();
    if (code_first) add_entry(image, 0);
    add_entry(image, kJump);
    add_entry(image, header.header_end);
    if (pm32 != end) add_entry(image, pm32);
    settle(image);
    if (pm32 == end) image.notes.emplace_back("the setup does not say where its code ends: its read-only and initialised data are swept as code");
    return image;
}

Image open_bzimage_stub(const Layer& layer, const BzImage& header, bool kernel_64) {
    Image image = make_image(layer, Format::bzimage_stub, "stub");
    image.architecture = kernel_64 ? "x86_64" : "i386";
    const std::uint64_t base = header.setup_size;
    const CodeWidth width = kernel_64 ? CodeWidth::bits64 : CodeWidth::bits32;
    const std::uint64_t head_end = header.payload_offset;
    // .head.text comes first: startup_32 at 0, and on x86-64 startup_64 at 0x200.
    const std::uint64_t split = kernel_64 ? std::min(base + kEntry64, head_end) : base;
    add_section(image, layer, "head.text32", base, split, base, CodeWidth::bits32, true);
    add_section(image, layer, kernel_64 ? "head.text64" : "head.text", split, head_end, base, width, true);
    // .text follows the payload, then .rodata and .data. A PE header of 6.7 and later says where .data begins.
    const std::uint64_t text = header.payload_offset + header.payload_size;
    std::uint64_t text_end = header.code_end;
    const auto pe = read_pe_sections(layer.view());
    if (pe && header.payload_size != 0)
        if (const PeSection* data = pe->find(".data"); data && data->file_offset > text && data->file_offset < text_end)
            text_end = data->file_offset;
    add_section(image, layer, "text", text, text_end, base, width, true);
    add_section(image, layer, "data", text_end, header.code_end, base, width, false);
    image.index_sections();
    add_entry(image, 0);
    if (kernel_64) add_entry(image, kEntry64);
    if (kernel_64 && header.handover_64) add_entry(image, *header.handover_64);
    if (!kernel_64 && header.handover_32) add_entry(image, *header.handover_32);
    if (pe && pe->entry_offset >= base) add_entry(image, pe->entry_offset - base);
    settle(image);
    if (header.has_no_payload()) image.facts.emplace_back("no payload: the protected-mode part is the program");
    image.notes.emplace_back("the stub does not say where its code ends: its read-only data are swept as code");
    if (kernel_64)
        image.notes.emplace_back("the stub's few 32-bit routines behind the 64-bit entry (mode switches, EFI mixed mode) are swept as 64-bit");
    return image;
}

Result<Layer> open_bzimage_payload(const Layer& layer, const BzImage& header, const OpenOptions& options, ExpandingBytes& expanding) {
    const std::string name = layer.name + "!payload";
    if (header.payload_size == 0)
        return fail(ErrorCode::unsupported,
                    fmt::format("boot protocol {}.{:02} without a payload field; the kernel inside cannot be found", header.version >> 8,
                                header.version & 0xFF),
                    name, header.setup_size);
    Bytes payload = *layer.view().slice(header.payload_offset, header.payload_size);
    const Content content = identify(ByteView(payload));
    Layer outer = layer;
    outer.wrappers.emplace_back("bzimage");
    if (content == Content::elf)
        return inner_layer(layer, std::vector<std::uint8_t>(payload.begin(), payload.end()), "bzimage", "payload");
    if (!is_compressed(content)) {
        const auto head = ByteView(payload).slice(0, std::min<std::uint64_t>(payload.size(), 8));
        return fail(ErrorCode::unsupported,
                    fmt::format("payload begins with {}, expected gzip, bzip2, lzma, xz, lzo, lz4, zstd or ELF", to_hex(*head)), name,
                    header.payload_offset);
    }
    // scripts/Makefile.lib: gzip ends with the expanded size of itself; after the others the build appends it.
    std::uint64_t recorded = 0;
    if (content != Content::gzip && payload.size() > 4) {
        recorded = *ByteView(payload).get<std::uint32_t>(payload.size() - 4);
        payload = payload.first(payload.size() - 4);
    }
    // Expanding takes one thread; what the bytes alone tell is found out beside it.
    std::future<std::string> sha256;
    std::future<std::shared_ptr<CodeAhead>> code_ahead;
    std::future<std::shared_ptr<const EarlyKallsyms>> kallsyms;
    const Finisher finisher(expanding);
    sha256 = std::async(std::launch::async, [&expanding] {
        Sha256 hash;
        expanding.follow([&](Bytes all, std::size_t seen) {
            hash.add(all.subspan(seen));
            return true;
        });
        return hash.hex();
    });
    kallsyms = std::async(std::launch::async, [&expanding] { return find_early_kallsyms(expanding); });
    if (options.decode_ahead) code_ahead = std::async(std::launch::async, [&] { return options.decode_ahead(expanding); });
    if (Status done = expand(content, payload, options.max_decompressed, name, expanding); !done) return tl::unexpected(std::move(done.error()));
    // Legacy LZ4 frames have no end marker: a lost block shows only here.
    if (expanding.size() < recorded)
        return fail(ErrorCode::truncated,
                    fmt::format("payload expands to {} bytes, but {} are recorded after it", expanding.size(), recorded), name,
                    header.payload_offset);
    std::string digest = sha256.get();
    std::shared_ptr<const EarlyKallsyms> symbols = kallsyms.get();
    std::shared_ptr<CodeAhead> ahead = code_ahead.valid() ? code_ahead.get() : nullptr;
    // Nobody follows the bytes any more.
    Layer inner = inner_layer(outer, expanding.take(), to_string(content), "payload");
    inner.sha256 = std::move(digest);
    inner.code_ahead = std::move(ahead);
    inner.kallsyms = std::move(symbols);
    return inner;
}

}  // namespace trapline::image
