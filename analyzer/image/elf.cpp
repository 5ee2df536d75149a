// SPDX-License-Identifier: Apache-2.0
// Sections, entry point and identity of an ELF image, and the order of the passes over it.
#include "image/elf.h"

#include <future>
#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>

#include "image/digest.h"
#include "image/sort_runs.h"

namespace trapline::image {
namespace {

// Bounds the list of code pointers: real kernels give under a million.
constexpr std::size_t kMaxPointers = 8u << 20;

// One stretch of the file that becomes a section.
struct Piece {
    std::string name;
    std::string label;  // for messages: "section 3 (.text)"
    std::uint64_t address, offset, size;
    bool executable, writable;
};

// Two pieces that share bytes of the file, or addresses, cannot both be what a loader would map.
Status check_overlap(const std::vector<Piece>& pieces, std::uint64_t Piece::*begin, std::string_view what, const std::string& file) {
    std::vector<std::size_t> order(pieces.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return pieces[a].*begin < pieces[b].*begin; });
    for (std::size_t i = 1; i < order.size(); ++i) {
        const Piece& before = pieces[order[i - 1]];
        const Piece& after = pieces[order[i]];
        if (after.*begin - before.*begin < before.size)
            return fail(ErrorCode::malformed,
                        fmt::format("{} and {} overlap: {} [{:#x}, +{:#x}) and [{:#x}, +{:#x})", before.label, after.label, what,
                                    before.*begin, before.size, after.*begin, after.size),
                        file, after.offset);
    }
    return {};
}

Status check_range(const Piece& piece, bool is_64, const std::string& file) {
    const std::uint64_t last = is_64 ? ~std::uint64_t{0} : 0xFFFFFFFFu;
    if (piece.address <= last && piece.size - 1 <= last - piece.address) return {};
    return fail(ErrorCode::malformed,
                fmt::format("{} of {:#x} bytes at address {:#x} passes the end of the address space", piece.label, piece.size,
                            piece.address),
                file, piece.offset);
}

// gABI: "No byte in a file resides in more than one section." Without this, sections that are not loaded (symbols,
// relocations) could make a small file cost the work of a huge one. Notes are let be: Xen's mkelf32 leaves its note
// inside .text and describes it a second time.
Status check_all_sections(const ElfWork& work) {
    std::vector<Piece> pieces;
    for (std::size_t i = 1; i < work.elf.sections.size(); ++i) {
        const ElfSection& section = work.elf.sections[i];
        if (section.type == elf::kShtNull || section.type == elf::kShtNobits || section.size == 0) continue;
        if (section.type == elf::kShtNote) continue;
        pieces.push_back({{}, fmt::format("section {} ({})", i, section.name), 0, section.offset, section.size, false, false});
    }
    return check_overlap(pieces, &Piece::offset, "file bytes", work.layer.name);
}

// Xen's mkelf32 puts its 64-bit code into an ELF32 file of machine 386 behind a 32-bit head. REX.W before MOV or LEA tells:
// over Debian 12's kernels and modules it is 27 to 59 of 1000 bytes of 64-bit code, 33 in Xen (data included), and at most
// 0.6 in 32-bit code, where the same bytes are DEC or INC before a MOV.
bool reads_as_64_bit(Bytes code) {
    constexpr std::size_t kFewestBytes = 4096, kPerThousand = 10;
    if (code.size() < kFewestBytes) return false;
    std::size_t found = 0;
    for (std::size_t i = 0; i + 1 < code.size(); ++i) {
        const bool rex_w = (code[i] & 0xFA) == 0x48;  // REX.W, with or without R and B
        found += rex_w && (code[i + 1] == 0x89 || code[i + 1] == 0x8B || code[i + 1] == 0x8D);
    }
    return found >= code.size() / 1000 * kPerThousand;
}

Status add_pieces(ElfWork& work, std::vector<Piece> pieces) {
    const std::string& file = work.layer.name;
    for (const Piece& piece : pieces)
        if (Status fits = check_range(piece, work.elf.is_64, file); !fits) return fits;
    if (!work.image.relocatable)
        if (Status apart = check_overlap(pieces, &Piece::address, "addresses", file); !apart) return apart;
    for (Piece& piece : pieces) {
        Section section;
        section.name = std::move(piece.name);
        section.address = {piece.address};
        section.file_offset = {piece.offset};
        section.bytes = *work.layer.view().slice(piece.offset, piece.size);  // read_elf has checked the range
        section.executable = piece.executable;
        section.writable = piece.writable;
        section.width = work.is_64_bit_code() ? CodeWidth::bits64 : CodeWidth::bits32;
        if (section.executable && section.width == CodeWidth::bits32 && reads_as_64_bit(section.bytes)) {
            section.width = CodeWidth::bits64;
            work.image.architecture = "x86_64";
            work.image.notes.push_back(section.name + ": reads as 64-bit code in a file for i386: swept as 64-bit, its 32-bit head too");
        }
        work.image.sections.push_back(std::move(section));
    }
    work.image.index_sections();
    if (work.image.relocatable) return {};
    for (const SectionIndex i : work.image.by_address)
        work.spans.push_back({work.image.sections[i].address.value, work.image.sections[i].bytes.size(), i});
    return {};
}

// A linked kernel's e_entry is the physical address it is entered at.
std::optional<Place> entry_place(const ElfWork& work) {
    const std::uint64_t entry = work.elf.entry;
    if (const auto place = work.place_of(entry); place && work.is_code(*place)) return place;
    for (const ElfSegment& segment : work.elf.segments) {
        if (segment.type != elf::kPtLoad || entry < segment.physical || entry - segment.physical >= segment.file_size) continue;
        if (const auto place = work.place_of(segment.address + (entry - segment.physical)); place && work.is_code(*place)) return place;
    }
    return std::nullopt;
}

void load_build_id(ElfWork& work) {
    constexpr int kMaxNotes = 64;  // of each kind; unlike other sections they may all cover the same bytes
    int tries = kMaxNotes;
    for (const ElfSection& section : work.elf.sections) {
        if (section.type != elf::kShtNote || tries-- <= 0) continue;
        const auto notes = work.layer.view().slice(section.offset, section.size);
        if (notes) work.image.build_id = find_build_id(*notes);
        if (!work.image.build_id.empty()) return;
    }
    constexpr std::uint32_t kPtNote = 4;
    tries = kMaxNotes;
    for (const ElfSegment& segment : work.elf.segments) {
        if (segment.type != kPtNote || tries-- <= 0) continue;
        const auto notes = work.layer.view().slice(segment.offset, segment.file_size);
        if (notes) work.image.build_id = find_build_id(*notes);
        if (!work.image.build_id.empty()) return;
    }
}

// Sorts the pointers and keeps one of each place, the one whose origin says most (the enumeration's order).
void settle_pointers(Image& image) {
    auto& pointers = image.pointers;
    const auto key = [](const CodePointer& p) { return std::tuple(p.section, p.address, p.origin); };
    sort_runs(pointers, [&](const auto& a, const auto& b) { return key(a) < key(b); });
    pointers.erase(std::unique(pointers.begin(), pointers.end(),
                               [](const auto& a, const auto& b) { return a.section == b.section && a.address == b.address; }),
                   pointers.end());
}

void settle_slots(Image& image) {
    sort_runs(image.slots, [](const RelocationSlot& a, const RelocationSlot& b) {
        return std::tuple(a.section, a.address, a.file_offset) < std::tuple(b.section, b.address, b.file_offset);
    });
}

}  // namespace

std::optional<SectionIndex> ElfWork::image_section(std::uint32_t elf_section) const {
    if (elf_section >= section_map.size() || section_map[elf_section] == kNoSection) return std::nullopt;
    return section_map[elf_section];
}

std::optional<Place> ElfWork::place_of(std::uint64_t address) const {
    if (!elf.is_64) address &= 0xFFFFFFFFu;
    // The last one at or before the address; the halving has no branch that could be mispredicted.
    const Span* first = spans.data();
    for (std::size_t count = spans.size(); count > 1;) {
        const std::size_t half = count / 2;
        first += first[half].begin <= address ? half : 0;
        count -= half;
    }
    if (spans.empty() || address < first->begin || address - first->begin >= first->size) return std::nullopt;
    return Place{first->section, {address}};
}

bool ElfWork::is_code(const Place& place) const {
    const Section& section = image.sections[place.section];
    return section.executable && place.address >= section.address && place.address - section.address < section.bytes.size();
}

void ElfWork::add_pointer(const Place& place, CodePointer::Origin origin) {
    if (!is_code(place)) return;
    if (image.pointers.size() == kMaxPointers) {
        // Repeats are most of what comes; only when there are none to drop is the list really full.
        settle_pointers(image);
        if (image.pointers.size() > kMaxPointers / 2) {
            image.pointers.resize(kMaxPointers / 2);
            if (image.notes.empty() || image.notes.back() != "code pointers: too many, some are left out")
                image.notes.emplace_back("code pointers: too many, some are left out");
        }
    }
    image.pointers.push_back({place.section, place.address, origin});
}

Status load_sections(ElfWork& work) {
    std::vector<Piece> pieces;
    work.section_map.assign(work.elf.sections.size(), ElfWork::kNoSection);
    bool any_code = false;
    for (std::size_t i = 1; i < work.elf.sections.size(); ++i) {
        const ElfSection& section = work.elf.sections[i];
        if (section.type == elf::kShtNobits || section.type == elf::kShtNote || !(section.flags & elf::kShfAlloc) || section.size == 0)
            continue;
        work.section_map[i] = static_cast<SectionIndex>(pieces.size());
        const bool executable = section.flags & elf::kShfExecinstr;
        any_code |= executable;
        pieces.push_back({section.name, fmt::format("section {} ({})", i, section.name), work.image.relocatable ? 0 : section.address,
                          section.offset, section.size, executable, (section.flags & elf::kShfWrite) != 0});
    }
    if (Status apart = check_all_sections(work); !apart) return apart;
    const bool loads_code = std::any_of(work.elf.segments.begin(), work.elf.segments.end(), [](const ElfSegment& segment) {
        return segment.type == elf::kPtLoad && (segment.flags & elf::kPfX) && segment.file_size != 0;
    });
    if (any_code || !loads_code) return add_pieces(work, std::move(pieces));

    // No section says where code is, but the loader knows.
    if (!pieces.empty())
        work.image.notes.emplace_back("no section is executable: the program headers are used instead of the sections");
    else
        work.image.facts.emplace_back("no section headers: the program headers give the code");
    pieces.clear();
    work.section_map.assign(work.elf.sections.size(), ElfWork::kNoSection);
    for (std::size_t i = 0; i < work.elf.segments.size(); ++i) {
        const ElfSegment& segment = work.elf.segments[i];
        if (segment.type != elf::kPtLoad || segment.file_size == 0) continue;
        if (segment.file_size > segment.memory_size)
            return fail(ErrorCode::malformed,
                        fmt::format("program header {}: {:#x} bytes in the file for {:#x} in memory", i, segment.file_size,
                                    segment.memory_size),
                        work.layer.name, segment.offset);
        pieces.push_back({fmt::format("segment{}", i), fmt::format("program header {}", i), segment.address, segment.offset,
                          segment.file_size, (segment.flags & elf::kPfX) != 0, (segment.flags & elf::kPfW) != 0});
    }
    if (Status apart = check_overlap(pieces, &Piece::offset, "file bytes", work.layer.name); !apart) return apart;
    return add_pieces(work, std::move(pieces));
}

Result<Image> open_elf(const Layer& layer, const OpenOptions& options) {
    auto read = read_elf(layer.bytes(), options.max_sections, layer.name);
    if (!read) return tl::unexpected(std::move(read.error()));
    ElfWork work{layer, options, std::move(*read), {}, {}, {}, {}};
    Image& image = work.image;
    image.name = layer.name;
    image.format = work.elf.is_64 ? Format::elf64 : Format::elf32;
    image.architecture = work.is_64_bit_code() ? "x86_64" : "i386";
    image.relocatable = work.elf.type == elf::kEtRel;
    image.size = layer.bytes().size();
    image.wrappers = layer.wrappers;
    image.storage = layer.storage;
    image.code_ahead = layer.code_ahead;

    if (Status done = load_sections(work); !done) return tl::unexpected(done.error());
    load_build_id(work);
    // Hashing takes as long as all that follows and needs nothing of it; the relocation table needs the sections alone.
    const auto hash = [&layer] { return layer.sha256.empty() ? sha256_hex(layer.bytes()) : layer.sha256; };
    std::future<std::string> sha256 = std::async(layer.sha256.empty() ? std::launch::async : std::launch::deferred, hash);
    std::future<BootRelocations> boot_relocations = std::async(std::launch::async, [&work] { return read_boot_relocations(work); });
    if (!image.relocatable)
        if (const auto entry = entry_place(work)) {
            work.add_pointer(*entry, CodePointer::Origin::entry);
            image.physical_offset = entry->address.value - work.elf.entry;
        }
    if (Status done = load_symbols(work); !done) return tl::unexpected(done.error());
    if (Status done = load_relocations(work); !done) return tl::unexpected(done.error());
    // What is said of the relocations comes before what is said of the tables; the tables are read while they are.
    std::vector<std::string> notes = std::exchange(image.notes, {}), facts = std::exchange(image.facts, {});
    load_kernel_tables(work);
    std::swap(notes, image.notes);
    std::swap(facts, image.facts);
    // Without relocations of its own or appended, a data word is the only sign of a function that nothing calls.
    const bool has_boot_relocations = keep_boot_relocations(work, boot_relocations.get());
    settle_slots(image);
    std::move(notes.begin(), notes.end(), std::back_inserter(image.notes));
    std::move(facts.begin(), facts.end(), std::back_inserter(image.facts));
    if (!image.relocatable && !has_boot_relocations) load_data_pointers(work);
    settle_pointers(image);
    image.sha256 = sha256.get();
    return std::move(work.image);
}

}  // namespace trapline::image
