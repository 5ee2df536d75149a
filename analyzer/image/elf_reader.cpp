// SPDX-License-Identifier: Apache-2.0
// ELF headers, symbols and relocations through LLVM Object. LLVM checks each table against the file; the checks that
// it leaves to its callers (a section's bytes, name lengths, counts) are made here.
#include "image/elf_reader.h"

#include <algorithm>
#include <fmt/format.h>
#include <llvm/Object/ELF.h>
#include <optional>

namespace trapline::image {
namespace {

// Longest name accepted. The longest real ones (Rust, C++) stay below 2 KiB.
constexpr std::uint64_t kMaxName = 4096;
// Names may share their bytes, so a small file could ask for a huge list of copies.
constexpr std::uint64_t kNameBudget = std::uint64_t{64} << 20;

Error from_llvm(llvm::Error error, const std::string& file) {
    std::string text = llvm::toString(std::move(error));
    std::replace(text.begin(), text.end(), '\n', ' ');
    const bool truncated = text.find("past the end") != std::string::npos || text.find("goes past") != std::string::npos ||
                           text.find("greater than the file size") != std::string::npos || text.find("too small") != std::string::npos ||
                           text.find("invalid buffer") != std::string::npos;
    return Error{truncated ? ErrorCode::truncated : ErrorCode::malformed, "bad ELF file: " + text, file, std::nullopt, {}};
}

llvm::StringRef as_string(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Extends `end` by [offset, offset + size) if that lies in the file; says whether it does.
bool extend(std::uint64_t& end, std::uint64_t offset, std::uint64_t size, std::uint64_t file_size) {
    if (offset > file_size || size > file_size - offset) return false;
    end = std::max(end, offset + size);
    return true;
}

// A name in a string table, bounded: LLVM would take the length of whatever run of bytes comes before a zero.
std::optional<std::string_view> bounded_name(std::string_view table, std::uint64_t offset) {
    if (offset >= table.size()) return std::nullopt;
    const std::string_view rest = table.substr(offset, kMaxName);
    const std::size_t length = rest.find('\0');
    if (length == std::string_view::npos) return std::nullopt;
    return rest.substr(0, length);
}

template <class ELFT>
Result<std::string_view> section_names(const llvm::object::ELFFile<ELFT>& elf, typename ELFT::ShdrRange sections,
                                       const std::string& file) {
    auto table = elf.getSectionStringTable(sections);
    if (!table) return tl::unexpected(from_llvm(table.takeError(), file));
    return std::string_view(table->data(), table->size());
}

template <class ELFT>
Status read_sections(const llvm::object::ELFFile<ELFT>& elf, std::uint64_t max_sections, const std::string& file, ElfFile& out) {
    auto sections = elf.sections();
    if (!sections) return tl::unexpected(from_llvm(sections.takeError(), file));
    if (sections->size() > max_sections)
        return fail(ErrorCode::refused,
                    fmt::format("{} sections, the limit is {} (raise it with --max-sections)", sections->size(), max_sections), file,
                    static_cast<std::uint64_t>(elf.getHeader().e_shoff));
    if (sections->empty()) return {};
    const auto names = section_names(elf, *sections, file);
    if (!names) return tl::unexpected(names.error());
    const std::uint64_t size = elf.getBufSize();
    std::uint64_t name_bytes = 0;
    out.sections.reserve(sections->size());
    for (const auto& header : *sections) {
        const std::size_t index = out.sections.size();
        ElfSection section;
        section.type = header.sh_type;
        section.flags = header.sh_flags;
        section.address = header.sh_addr;
        section.offset = header.sh_offset;
        section.size = header.sh_size;
        section.link = header.sh_link;
        section.info = header.sh_info;
        if (index != 0) {
            const auto name = names->empty() ? std::string_view() : bounded_name(*names, header.sh_name);
            if (!name)
                return fail(ErrorCode::malformed,
                            fmt::format("section {}: its name at {:#x} does not end inside the string table of {:#x} bytes (or is "
                                        "longer than {})",
                                        index, static_cast<std::uint32_t>(header.sh_name), names->size(), kMaxName),
                            file, section.offset);
            section.name = *name;
            name_bytes += name->size();
            if (name_bytes > kNameBudget)
                return fail(ErrorCode::refused, fmt::format("section names of more than {} bytes in all", kNameBudget), file);
            if (section.type != elf::kShtNobits && !extend(out.end, section.offset, section.size, size))
                return fail(ErrorCode::truncated,
                            fmt::format("section {} ({}) occupies [{:#x}, +{:#x}), past the end of the file at {:#x}", index,
                                        section.name, section.offset, section.size, size),
                            file, section.offset);
        }
        out.sections.push_back(std::move(section));
    }
    return {};
}

template <class ELFT>
Result<ElfFile> read(Bytes bytes, std::uint64_t max_sections, const std::string& file) {
    auto created = llvm::object::ELFFile<ELFT>::create(as_string(bytes));
    if (!created) return tl::unexpected(from_llvm(created.takeError(), file));
    const auto& elf_file = *created;
    const auto& header = elf_file.getHeader();
    ElfFile out;
    out.is_64 = ELFT::Is64Bits;
    out.type = header.e_type;
    out.machine = header.e_machine;
    out.entry = header.e_entry;
    if (out.machine != elf::kEm386 && out.machine != elf::kEmX8664)
        return fail(ErrorCode::unsupported,
                    fmt::format("ELF machine {}, expected {} (i386) or {} (x86-64)", out.machine, elf::kEm386, elf::kEmX8664), file, 18);
    if (out.is_64 && out.machine == elf::kEm386)
        return fail(ErrorCode::malformed, "ELF64 file for the i386 machine, expected ELF32", file, 18);
    if (out.type != elf::kEtRel && out.type != elf::kEtExec && out.type != elf::kEtDyn)
        return fail(ErrorCode::unsupported,
                    fmt::format("ELF type {}, expected 1 (relocatable), 2 (executable) or 3 (shared)", out.type), file, 16);

    if (Status read_all = read_sections(elf_file, max_sections, file, out); !read_all) return tl::unexpected(read_all.error());
    auto segments = elf_file.program_headers();
    if (!segments) return tl::unexpected(from_llvm(segments.takeError(), file));
    for (const auto& segment : *segments) {
        if (segment.p_type == elf::kPtLoad && !extend(out.end, segment.p_offset, segment.p_filesz, bytes.size()))
            return fail(ErrorCode::truncated,
                        fmt::format("program header {} occupies [{:#x}, +{:#x}), past the end of the file at {:#x}",
                                    out.segments.size(), static_cast<std::uint64_t>(segment.p_offset),
                                    static_cast<std::uint64_t>(segment.p_filesz), bytes.size()),
                        file, static_cast<std::uint64_t>(header.e_phoff));
        out.segments.push_back({segment.p_type, segment.p_flags, segment.p_offset, segment.p_vaddr, segment.p_paddr,
                                segment.p_filesz, segment.p_memsz});
    }
    // The header tables themselves; LLVM has checked that they lie in the file.
    extend(out.end, 0, header.e_ehsize, bytes.size());
    extend(out.end, header.e_shoff, out.sections.size() * sizeof(typename ELFT::Shdr), bytes.size());
    extend(out.end, header.e_phoff, out.segments.size() * sizeof(typename ELFT::Phdr), bytes.size());
    return out;
}

template <class ELFT>
Result<std::vector<ElfSymbol>> symbols_of(Bytes bytes, std::uint32_t index, const std::string& file) {
    auto created = llvm::object::ELFFile<ELFT>::create(as_string(bytes));
    if (!created) return tl::unexpected(from_llvm(created.takeError(), file));
    auto sections = created->sections();
    if (!sections) return tl::unexpected(from_llvm(sections.takeError(), file));
    if (index >= sections->size())
        return fail(ErrorCode::malformed, fmt::format("symbol table {} of {} sections", index, sections->size()), file);
    const auto& section = (*sections)[index];
    auto range = created->symbols(&section);
    if (!range) return tl::unexpected(from_llvm(range.takeError(), file));
    auto strings = created->getStringTableForSymtab(section, *sections);
    if (!strings) return tl::unexpected(from_llvm(strings.takeError(), file));
    const std::string_view table(strings->data(), strings->size());

    // SHN_XINDEX symbols keep their section index in a table of its own.
    llvm::ArrayRef<typename ELFT::Word> extended;
    for (const auto& candidate : *sections) {
        if (candidate.sh_type != llvm::ELF::SHT_SYMTAB_SHNDX || candidate.sh_link != index) continue;
        auto words = created->getSHNDXTable(candidate, *sections);
        if (!words) return tl::unexpected(from_llvm(words.takeError(), file));
        extended = *words;
        break;
    }

    std::vector<ElfSymbol> out;
    out.reserve(range->size());
    for (const auto& symbol : *range) {
        ElfSymbol entry;
        entry.value = symbol.st_value;
        entry.size = symbol.st_size;
        entry.type = symbol.getType();
        const std::uint16_t where = symbol.st_shndx;
        if (where == llvm::ELF::SHN_XINDEX && out.size() < extended.size())
            entry.section = extended[out.size()];
        else if (where < llvm::ELF::SHN_LORESERVE)
            entry.section = where;
        entry.absolute = where == llvm::ELF::SHN_ABS;
        if (symbol.st_name != 0) {
            const auto name = bounded_name(table, symbol.st_name);
            if (!name)
                return fail(ErrorCode::malformed,
                            fmt::format("symbol {} of section {}: its name at {:#x} does not end inside the string table of {:#x} "
                                        "bytes (or is longer than {})",
                                        out.size(), index, static_cast<std::uint32_t>(symbol.st_name), table.size(), kMaxName),
                            file, static_cast<std::uint64_t>(section.sh_offset));
            entry.name = *name;
        }
        out.push_back(entry);
    }
    return out;
}

template <class ELFT>
Result<std::vector<ElfRelocation>> relocations_of(Bytes bytes, std::uint32_t index, const std::string& file) {
    auto created = llvm::object::ELFFile<ELFT>::create(as_string(bytes));
    if (!created) return tl::unexpected(from_llvm(created.takeError(), file));
    auto section = created->getSection(index);
    if (!section) return tl::unexpected(from_llvm(section.takeError(), file));
    std::vector<ElfRelocation> out;
    if ((*section)->sh_type == elf::kShtRela) {
        auto entries = created->relas(**section);
        if (!entries) return tl::unexpected(from_llvm(entries.takeError(), file));
        out.reserve(entries->size());
        for (const auto& entry : *entries)
            out.push_back({entry.r_offset, entry.getSymbol(false), entry.getType(false), entry.r_addend, true});
    } else {
        auto entries = created->rels(**section);
        if (!entries) return tl::unexpected(from_llvm(entries.takeError(), file));
        out.reserve(entries->size());
        for (const auto& entry : *entries) out.push_back({entry.r_offset, entry.getSymbol(false), entry.getType(false), 0, false});
    }
    return out;
}

bool is_class_64(Bytes bytes) { return ByteView(bytes).get<std::uint8_t>(llvm::ELF::EI_CLASS) == llvm::ELF::ELFCLASS64; }

}  // namespace

Result<ElfFile> read_elf(Bytes bytes, std::uint64_t max_sections, const std::string& file) {
    const ByteView view(bytes);
    const auto elf_class = view.get<std::uint8_t>(llvm::ELF::EI_CLASS);
    const auto order = view.get<std::uint8_t>(llvm::ELF::EI_DATA);
    if (!elf_class || !order)
        return fail(ErrorCode::truncated, fmt::format("{} bytes, shorter than an ELF identification of 16", bytes.size()), file, 0);
    if (*order != llvm::ELF::ELFDATA2LSB)
        return fail(ErrorCode::unsupported, fmt::format("ELF byte order {}, expected 1 (little-endian)", *order), file, 5);
    switch (*elf_class) {
        case llvm::ELF::ELFCLASS32: return read<llvm::object::ELF32LE>(bytes, max_sections, file);
        case llvm::ELF::ELFCLASS64: return read<llvm::object::ELF64LE>(bytes, max_sections, file);
        default: return fail(ErrorCode::malformed, fmt::format("ELF class {}, expected 1 or 2", *elf_class), file, 4);
    }
}

Result<std::vector<ElfSymbol>> read_elf_symbols(Bytes bytes, std::uint32_t section, const std::string& file) {
    return is_class_64(bytes) ? symbols_of<llvm::object::ELF64LE>(bytes, section, file)
                              : symbols_of<llvm::object::ELF32LE>(bytes, section, file);
}

Result<std::vector<ElfRelocation>> read_elf_relocations(Bytes bytes, std::uint32_t section, const std::string& file) {
    return is_class_64(bytes) ? relocations_of<llvm::object::ELF64LE>(bytes, section, file)
                              : relocations_of<llvm::object::ELF32LE>(bytes, section, file);
}

std::string find_build_id(Bytes notes) {
    const ByteView view(notes);
    std::uint64_t at = 0;
    for (;;) {
        const auto name_size = view.get<std::uint32_t>(at);
        const auto data_size = view.get<std::uint32_t>(at + 4);
        const auto type = view.get<std::uint32_t>(at + 8);
        if (!name_size || !data_size || !type) return {};
        const std::uint64_t data = at + 12 + ((std::uint64_t{*name_size} + 3) & ~std::uint64_t{3});
        if (*type == llvm::ELF::NT_GNU_BUILD_ID && *name_size == 4 && view.get<std::uint32_t>(at + 12) == 0x00554E47u) {
            const auto id = view.slice(data, *data_size);
            return id && id->size() <= 64 ? to_hex(*id) : std::string();
        }
        at = data + ((std::uint64_t{*data_size} + 3) & ~std::uint64_t{3});
    }
}

}  // namespace trapline::image
