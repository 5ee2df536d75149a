// SPDX-License-Identifier: Apache-2.0
// Decompression and relocation of debug sections.
//
// LLVM's DWARFContext does both for an object file, but ends the process where the file lies: LLVM 19 calls
// report_fatal_error for a relocation section of a wrong size, entry size or offset, and runs out of memory for a
// compressed section that announces 2^44 bytes. So its decompressors are called here with a size that has been checked.
#include "image/debug_section.h"

#include <algorithm>
#include <fmt/format.h>
#include <llvm/ADT/ArrayRef.h>
#include <llvm/BinaryFormat/ELF.h>
#include <llvm/Support/Compression.h>
#include <llvm/Support/Error.h>

namespace trapline::image {
namespace {

constexpr std::uint64_t kShfCompressed = 0x800;

// What a relocation stores, as the psABIs name it: S + A, in how many bytes. Debug sections hold no other kinds but
// offsets in thread storage, which nothing here reads. 0 for those.
int absolute_size(std::uint32_t type, bool x86_64) {
    if (!x86_64) return type == 1 ? 4 : 0;                  // R_386_32
    return type == 1 ? 8 : type == 10 || type == 11 ? 4 : 0;  // R_X86_64_64; R_X86_64_32, R_X86_64_32S
}

Status expand(DebugSection& out, bool is_64, std::string_view name, std::uint64_t& budget, const std::string& file) {
    // Elf32_Chdr: type, size, alignment; Elf64_Chdr: type, reserved, size, alignment.
    const ByteView view(out.bytes);
    const std::uint64_t header = is_64 ? 24 : 12;
    const auto type = view.get<std::uint32_t>(0);
    std::optional<std::uint64_t> size = view.get<std::uint32_t>(4);
    if (is_64) size = view.get<std::uint64_t>(8);
    if (out.bytes.size() < header || !type || !size)
        return fail(ErrorCode::truncated, fmt::format("{}: {} bytes, shorter than a compression header of {}", name, out.bytes.size(), header), file);
    if (*size > budget)
        return fail(ErrorCode::refused, fmt::format("{}: would expand to {} bytes, the limit for what is left is {}", name, *size, budget), file);
    const llvm::ArrayRef<std::uint8_t> packed(out.bytes.data() + header, out.bytes.size() - header);
    const bool zlib = *type == llvm::ELF::ELFCOMPRESS_ZLIB;
    if (!zlib && *type != llvm::ELF::ELFCOMPRESS_ZSTD)
        return fail(ErrorCode::unsupported, fmt::format("{}: compression {}, expected 1 (zlib) or 2 (Zstandard)", name, *type), file);
    if (zlib ? !llvm::compression::zlib::isAvailable() : !llvm::compression::zstd::isAvailable())
        return fail(ErrorCode::unsupported, fmt::format("{}: LLVM was built without {}", name, zlib ? "zlib" : "Zstandard"), file);
    // deflate makes at most 1032 bytes of one, Zstandard a block of 128 KiB of four: a size beyond that is a lie.
    if (*size / (zlib ? 1032 : 32768) > packed.size())
        return fail(ErrorCode::malformed, fmt::format("{}: announces {} bytes, which {} compressed bytes cannot hold", name, *size, packed.size()), file);
    budget -= *size;
    out.owned.resize(*size);
    std::size_t got = out.owned.size();
    llvm::Error error = zlib ? llvm::compression::zlib::decompress(packed, out.owned.data(), got)
                             : llvm::compression::zstd::decompress(packed, out.owned.data(), got);
    if (error)
        return fail(ErrorCode::malformed, fmt::format("{}: {}", name, llvm::toString(std::move(error))), file);
    if (got != *size)
        return fail(ErrorCode::malformed, fmt::format("{}: expands to {} bytes, its header announces {}", name, got, *size), file);
    out.bytes = out.owned;
    return {};
}

Status relocate(DebugSection& out, Bytes bytes, const ElfFile& elf, std::uint32_t relocations, std::string_view name, const std::string& file) {
    const std::uint32_t table = elf.sections[relocations].link;
    if (table >= elf.sections.size() || elf.sections[table].type != elf::kShtSymtab)
        return fail(ErrorCode::malformed, fmt::format("{}: its relocations link to section {}, which is not a symbol table", name, table), file);
    const auto entries = read_elf_relocations(bytes, relocations, file);
    if (!entries) return tl::unexpected(entries.error());
    const auto symbols = read_elf_symbols(bytes, table, file);
    if (!symbols) return tl::unexpected(symbols.error());

    if (out.owned.empty()) out.owned.assign(out.bytes.begin(), out.bytes.end());
    out.bytes = out.owned;
    const ByteView view(out.bytes);
    for (const ElfRelocation& entry : *entries) {
        const int size = absolute_size(entry.type, elf.machine == elf::kEmX8664);
        if (size == 0 || !view.slice(entry.offset, static_cast<std::uint64_t>(size)) || entry.symbol >= symbols->size()) continue;
        const ElfSymbol& symbol = (*symbols)[entry.symbol];
        if (symbol.section == 0) continue;
        const std::uint64_t in_place = size == 8 ? *view.get<std::uint64_t>(entry.offset) : *view.get<std::uint32_t>(entry.offset);
        const std::uint64_t value = symbol.value + (entry.explicit_addend ? static_cast<std::uint64_t>(entry.addend) : in_place);
        for (int i = 0; i < size; ++i) out.owned[entry.offset + static_cast<std::uint64_t>(i)] = static_cast<std::uint8_t>(value >> (8 * i));
        out.fields.push_back({entry.offset, symbol.section});
    }
    std::stable_sort(out.fields.begin(), out.fields.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
    return {};
}

}  // namespace

std::optional<std::uint32_t> DebugSection::section_of(std::uint64_t offset) const {
    const auto field = std::partition_point(fields.begin(), fields.end(), [&](const Field& f) { return f.offset < offset; });
    if (field == fields.end() || field->offset != offset) return std::nullopt;
    return field->section;
}

Result<DebugSection> load_debug_section(Bytes bytes, const ElfFile& elf, std::string_view name, std::uint64_t& budget,
                                        const std::string& file) {
    DebugSection out;
    std::uint32_t index = 0;
    for (std::uint32_t i = 1; i < elf.sections.size() && index == 0; ++i)
        if (elf.sections[i].name == name && elf.sections[i].type != elf::kShtNobits) index = i;
    if (index == 0) return out;
    const ElfSection& section = elf.sections[index];
    const auto contents = ByteView(bytes).slice(section.offset, section.size);
    if (!contents) return out;
    out.bytes = *contents;
    if (section.flags & kShfCompressed)
        if (Status done = expand(out, elf.is_64, name, budget, file); !done) return tl::unexpected(done.error());
    if (elf.type != elf::kEtRel) return out;
    for (std::uint32_t i = 1; i < elf.sections.size(); ++i) {
        const ElfSection& candidate = elf.sections[i];
        if ((candidate.type != elf::kShtRel && candidate.type != elf::kShtRela) || candidate.info != index) continue;
        // One relocation section each, as assemblers write them: many would each have the symbols read again.
        if (Status done = relocate(out, bytes, elf, i, name, file); !done) return tl::unexpected(done.error());
        break;
    }
    return out;
}

}  // namespace trapline::image
