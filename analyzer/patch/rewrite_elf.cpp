// SPDX-License-Identifier: Apache-2.0
// The new block: program headers where they do not fit in place, sections, names, and the section headers last, so that
// the file's ELF part still ends where its last table does.
#include "patch/rewrite_elf.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace trapline::patch {
namespace {

// gABI: indexes from here on need the extended numbering, which no kernel of this world uses.
constexpr std::uint64_t kReservedIndexes = 0xFF00, kExtendedSegments = 0xFFFF;
constexpr std::uint32_t kPtPhdr = 6;
constexpr std::uint64_t kPage = 4096;

// Where the fields stand that differ by class (gABI, "ELF Header", "Section Header", "Program Header").
struct Shape {
    std::size_t word;  // 4 or 8
    std::uint64_t header_size, segment_size, section_size;
    std::uint64_t e_phoff, e_shoff, e_phnum, e_shnum, e_shstrndx;
    std::uint64_t sh_flags, sh_addr, sh_offset, sh_size, sh_link, sh_info, sh_addralign, sh_entsize;
};
constexpr Shape kShape32 = {4, 52, 32, 40, 28, 32, 44, 48, 50, 8, 12, 16, 20, 24, 28, 32, 36};
constexpr Shape kShape64 = {8, 64, 56, 64, 32, 40, 56, 60, 62, 8, 16, 24, 32, 40, 44, 48, 56};

std::uint64_t aligned(std::uint64_t value, std::uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

class Editor {
public:
    Editor(Bytes original, const image::ElfFile& elf, const ElfEdit& edit, const std::string& name)
        : original_(original), view_(original), elf_(elf), edit_(edit), shape_(elf.is_64 ? kShape64 : kShape32), name_(name) {}

    Result<EditedElf> run() {
        if (Status fine = read_tables(); !fine) return tl::unexpected(std::move(fine.error()));
        start_undo_record();
        if (Status fine = make_names(); !fine) return tl::unexpected(std::move(fine.error()));
        if (edit_.stub_segment)
            if (Status fine = place_segments(); !fine) return tl::unexpected(std::move(fine.error()));
        place_sections();
        if (edit_.embed_undo) place_undo();
        place_section_headers();
        return assemble();
    }

private:
    std::uint64_t get(std::uint64_t at, std::size_t size) const {
        return size == 2   ? view_.get<std::uint16_t>(at).value_or(0)
               : size == 4 ? view_.get<std::uint32_t>(at).value_or(0)
                           : view_.get<std::uint64_t>(at).value_or(0);
    }

    // The reader has checked that both tables lie in the file; here only the numbers that it does not keep.
    Status read_tables() {
        section_table_ = get(shape_.e_shoff, shape_.word);
        segment_table_ = get(shape_.e_phoff, shape_.word);
        sections_ = get(shape_.e_shnum, 2);
        segments_ = get(shape_.e_phnum, 2);
        names_index_ = get(shape_.e_shstrndx, 2);
        if (section_table_ == 0 || sections_ == 0)
            return fail(ErrorCode::unsupported, "the file has no section headers; stubs are added as a section", name_, shape_.e_shnum);
        const std::uint64_t all = sections_ + edit_.added.size() + 1;
        if (all >= kReservedIndexes || names_index_ >= sections_ || segments_ + 1 >= kExtendedSegments)
            return fail(ErrorCode::unsupported,
                        fmt::format("{} sections, {} segments, names in section {}: extended numbering is not written", sections_, segments_, names_index_),
                        name_, shape_.e_shnum);
        const auto table = view_.slice(section_table_, sections_ * shape_.section_size);
        if (!table || elf_.sections.size() != sections_)
            return fail(ErrorCode::malformed, fmt::format("{} section headers at {:#x} pass the end of the file", sections_, section_table_), name_);
        headers_.assign(table->begin(), table->end());
        inserted_at_ = elf_.end;
        return {};
    }

    void start_undo_record() {
        undo_ = start_undo(original_);
        undo_.inserted_at = inserted_at_;
        note_edit(undo_, original_, 0, shape_.header_size);
        for (const UndoEdit& write : edit_.writes) note_edit(undo_, original_, write.offset, write.bytes.size());
        if (edit_.drop_tail) undo_.dropped_tail.assign(original_.begin() + static_cast<std::ptrdiff_t>(inserted_at_), original_.end());
    }

    // The old names come first: no sh_name changes.
    Status make_names() {
        const image::ElfSection& old = elf_.sections[names_index_];
        const auto bytes = view_.slice(old.offset, old.size);
        if (!bytes || old.type == image::elf::kShtNobits)
            return fail(ErrorCode::malformed, fmt::format("section {}, which should hold the names, is not in the file", names_index_), name_);
        names_.assign(bytes->begin(), bytes->end());
        // One table may serve sections and symbols; then its new contents begin with the old ones, too.
        for (const SectionContents& contents : edit_.replaced)
            if (contents.section == names_index_) names_ = contents.bytes;
        if (names_.empty() || names_.back() != 0) names_.push_back(0);
        for (const NewSection& section : edit_.added) add_name(section.name);
        if (edit_.embed_undo) add_name(kUndoSection);
        return {};
    }
    void add_name(std::string_view text) {
        name_offsets_.push_back(names_.size());
        names_.insert(names_.end(), text.begin(), text.end());
        names_.push_back(0);
    }

    std::uint64_t position() const { return inserted_at_ + block_.size(); }
    // Advances to the next offset that is `offset` modulo `alignment`.
    void pad_to(std::uint64_t alignment, std::uint64_t offset = 0) {
        const std::uint64_t target = aligned(position() - offset % alignment, alignment) + offset % alignment;
        block_.resize(target - inserted_at_, 0);
    }

    // One more program header behind the table, where zeros stand that nothing claims: boot loaders look for the table
    // in the first kilobytes of the file. Elsewhere the table moves to the new block.
    bool has_room_in_place() const {
        const std::uint64_t begin = segment_table_ + segments_ * shape_.segment_size, end = begin + shape_.segment_size;
        const auto room = view_.slice(begin, shape_.segment_size);
        if (!room || std::any_of(room->begin(), room->end(), [](std::uint8_t byte) { return byte != 0; })) return false;
        const auto claims = [&](std::uint64_t offset, std::uint64_t size) { return offset < end && size > 0 && begin < offset + size; };
        if (end > inserted_at_ || claims(section_table_, headers_.size())) return false;
        for (const image::ElfSection& section : elf_.sections)
            if (section.type != image::elf::kShtNull && section.type != image::elf::kShtNobits && claims(section.offset, section.size)) return false;
        // A segment that maps the table maps the room behind it, too; one that begins behind the table has other uses for it.
        return std::none_of(elf_.segments.begin(), elf_.segments.end(), [&](const image::ElfSegment& segment) {
            return segment.type != kPtPhdr && claims(segment.offset, segment.file_size) && segment.offset > segment_table_;
        });
    }

    Status place_segments() {
        const auto old = view_.slice(segment_table_, segments_ * shape_.segment_size);
        if (!old || segments_ == 0) return fail(ErrorCode::unsupported, "the file has no program headers; stubs need a segment", name_, shape_.e_phnum);
        const bool self_described =
            std::any_of(elf_.segments.begin(), elf_.segments.end(), [](const image::ElfSegment& segment) { return segment.type == kPtPhdr; });
        if (self_described)
            return fail(ErrorCode::unsupported, "a PT_PHDR segment ties the program headers to their place: a program for a dynamic loader, no kernel", name_,
                        segment_table_);
        in_place_ = has_room_in_place();
        if (in_place_) {
            new_segment_at_ = segment_table_ + segments_ * shape_.segment_size;
            note_edit(undo_, original_, new_segment_at_, shape_.segment_size);
            return {};
        }
        pad_to(8);
        new_segment_table_ = position();
        put(block_, *old);
        new_segment_at_ = position();
        block_.resize(block_.size() + shape_.segment_size, 0);
        return {};
    }

    void place_sections() {
        for (const NewSection& section : edit_.added) {
            // Offset and address agree modulo the page, so that the stubs can be mapped from the file.
            if (edit_.stub_segment && section.name == kStubSection)
                pad_to(kPage, section.address);
            else
                pad_to(std::max<std::uint64_t>(section.alignment, 1));
            offsets_.push_back(position());
            put(block_, section.bytes);
        }
        for (const SectionContents& contents : edit_.replaced) {
            if (contents.section == names_index_) continue;  // written with the sections' names
            pad_to(8);
            set_header(contents.section, position(), contents.bytes.size());
            poke(headers_, contents.section * shape_.section_size + shape_.sh_info, contents.info, 4);
            put(block_, contents.bytes);
        }
    }

    // The record says how long the block is, and stands in it: its size is known before that number is.
    void place_undo() {
        pad_to(8);
        undo_at_ = position();
        block_.resize(block_.size() + encode_undo(undo_).size());
    }

    void set_header(std::uint64_t index, std::uint64_t offset, std::uint64_t size) {
        poke(headers_, index * shape_.section_size + shape_.sh_offset, offset, shape_.word);
        poke(headers_, index * shape_.section_size + shape_.sh_size, size, shape_.word);
    }

    void append_header(const NewSection& section, std::uint64_t name_offset, std::uint64_t offset, std::uint64_t size) {
        const std::uint64_t at = headers_.size();
        headers_.resize(at + shape_.section_size, 0);
        poke(headers_, at, name_offset, 4);
        poke(headers_, at + 4, section.type, 4);
        poke(headers_, at + shape_.sh_flags, section.flags, shape_.word);
        poke(headers_, at + shape_.sh_addr, section.address, shape_.word);
        poke(headers_, at + shape_.sh_offset, offset, shape_.word);
        poke(headers_, at + shape_.sh_size, size, shape_.word);
        poke(headers_, at + shape_.sh_link, section.link, 4);
        poke(headers_, at + shape_.sh_info, section.info, 4);
        poke(headers_, at + shape_.sh_addralign, section.alignment, shape_.word);
        poke(headers_, at + shape_.sh_entsize, section.entry_size, shape_.word);
    }

    void place_section_headers() {
        set_header(names_index_, position(), names_.size());
        put(block_, names_);
        for (std::size_t i = 0; i < edit_.added.size(); ++i) append_header(edit_.added[i], name_offsets_[i], offsets_[i], edit_.added[i].bytes.size());
        if (edit_.embed_undo) {
            NewSection section;
            section.alignment = 8;
            append_header(section, name_offsets_.back(), undo_at_, encode_undo(undo_).size());
        }
        pad_to(8);
        new_section_table_ = position();
        put(block_, headers_);
    }

    Buffer make_segment() const {
        const auto stub = std::find_if(edit_.added.begin(), edit_.added.end(), [](const NewSection& section) { return section.name == kStubSection; });
        TRAPLINE_ASSERT(stub != edit_.added.end(), "a stub segment has a stub section");
        const std::uint64_t offset = offsets_[static_cast<std::size_t>(stub - edit_.added.begin())];
        constexpr std::uint32_t kReadExecute = 5;
        Buffer out;
        put(out, kPtTraplineStubs, 4);
        if (elf_.is_64) put(out, kReadExecute, 4);
        put(out, offset, shape_.word);
        put(out, stub->address, shape_.word);
        put(out, 0, shape_.word);  // no physical address: where the VMM puts the pages is its own affair
        put(out, stub->bytes.size(), shape_.word);
        put(out, stub->bytes.size(), shape_.word);
        if (!elf_.is_64) put(out, kReadExecute, 4);
        put(out, kPage, shape_.word);
        return out;
    }

    Result<EditedElf> assemble() {
        if (!elf_.is_64 && position() > std::numeric_limits<std::uint32_t>::max())
            return fail(ErrorCode::unsupported, "the file would pass 4 GiB, the limit of ELF32", name_);
        undo_.inserted_size = block_.size();
        EditedElf result;
        Buffer& out = result.bytes;
        out.reserve(original_.size() + block_.size());
        put(out, original_.first(inserted_at_));
        put(out, block_);
        if (!edit_.drop_tail) put(out, original_.subspan(inserted_at_));
        for (const UndoEdit& write : edit_.writes) poke(out, write.offset, write.bytes);
        if (edit_.stub_segment) {
            poke(out, new_segment_at_, make_segment());
            poke(out, shape_.e_phnum, segments_ + 1, 2);
            if (!in_place_) poke(out, shape_.e_phoff, new_segment_table_, shape_.word);
        }
        poke(out, shape_.e_shoff, new_section_table_, shape_.word);
        poke(out, shape_.e_shnum, headers_.size() / shape_.section_size, 2);
        if (edit_.embed_undo) poke(out, undo_at_, encode_undo(undo_));
        result.undo = std::move(undo_);
        return result;
    }

    Bytes original_;
    ByteView view_;
    const image::ElfFile& elf_;
    const ElfEdit& edit_;
    const Shape& shape_;
    const std::string& name_;

    std::uint64_t section_table_ = 0, segment_table_ = 0, sections_ = 0, segments_ = 0, names_index_ = 0;
    std::uint64_t inserted_at_ = 0, undo_at_ = 0, new_section_table_ = 0, new_segment_table_ = 0, new_segment_at_ = 0;
    bool in_place_ = false;
    Buffer block_, headers_, names_;
    std::vector<std::uint64_t> name_offsets_, offsets_;
    UndoRecord undo_;
};

}  // namespace

Result<EditedElf> edit_elf(Bytes original, const image::ElfFile& elf, const ElfEdit& edit, const std::string& name) {
    return Editor(original, elf, edit, name).run();
}

std::optional<Bytes> find_section_bytes(Bytes file, const image::ElfFile& elf, std::string_view section) {
    for (const image::ElfSection& candidate : elf.sections)
        if (candidate.name == section && candidate.type != image::elf::kShtNobits) return ByteView(file).slice(candidate.offset, candidate.size);
    return std::nullopt;
}

}  // namespace trapline::patch
