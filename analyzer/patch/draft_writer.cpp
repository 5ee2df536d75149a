// SPDX-License-Identifier: Apache-2.0
// The writes of a patch are in the order in which they may be made: what leads to new code comes after that code.
#include "patch/draft_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "patch/self_moving.h"

namespace trapline::patch {
namespace {

constexpr std::uint8_t kInt3 = 0xCC, kNop = 0x90, kJumpRel8 = 0xEB;
constexpr std::uint64_t kStubAlignment = 8;

using Failure = tl::unexpected<std::string>;

}  // namespace

struct DraftWriter::Job {
    const DraftWriter& writer;
    const Draft& draft;
    std::uint64_t next;
    WrittenDraft out;

    const image::Image& image() const { return writer.facts_.image(); }
    const scan::SectionCode& code(const Window& window) const { return writer.facts_.sections()[window.begin.section]; }
    std::uint64_t address(scan::CodePlace place) const { return writer.facts_.sections()[place.section].address_of(place.offset).value; }
    Mode mode() const { return draft.window.items.front().insn.mode; }

    /// Replaces bytes of a section of the image.
    void put(const image::Section& section, std::uint64_t offset, std::vector<std::uint8_t> bytes, std::string what) {
        PlanWrite write;
        write.section = section.name;
        write.address = (section.address + offset).value;
        write.file_offset = section.file_offset.value + offset;
        const Bytes old = section.bytes.subspan(offset, bytes.size());
        write.old_bytes.assign(old.begin(), old.end());
        write.new_bytes = std::move(bytes);
        write.what = std::move(what);
        out.patch.writes.push_back(std::move(write));
    }
    void put(scan::CodePlace place, std::vector<std::uint8_t> bytes, std::string what) {
        put(*writer.facts_.sections()[place.section].section, place.offset, std::move(bytes), std::move(what));
    }

    /// Writes the stub of a window behind those written before; gives its address.
    tl::expected<std::uint64_t, std::string> add_stub(const Window& window) {
        auto written = writer.stubs_.write(window, next, draft.entry == Entry::alternative);
        if (!written) return Failure("a displacement does not reach from the stub area");
        const std::uint64_t address = next, end = address + written->stub.bytes.size();
        if (moves_itself(image())) {
            if (const auto room = payload_room(image()); !room || end > room->end.value) return Failure("the payload's room is too small for its stub");
        } else if (const isa::AbiArea* area = writer.abi_->find_area(mode()); !image().relocatable && (area == nullptr || end > area->stubs.end.value)) {
            return Failure("the stub area is full");
        }
        next = (end + kStubAlignment - 1) & ~(kStubAlignment - 1);
        out.patch.moved.insert(out.patch.moved.end(), written->moved.begin(), written->moved.end());
        out.resumes.insert(out.resumes.end(), written->resumes.begin(), written->resumes.end());
        out.stubs.push_back(std::move(written->stub));
        return address;
    }

    tl::expected<std::vector<std::uint8_t>, std::string> jump(scan::CodePlace from, std::uint64_t to, std::uint64_t room) const {
        auto bytes = encode_jump(mode(), address(from), to);
        if (!bytes) return Failure("the stub area is out of reach of a jump");
        bytes->resize(room, kInt3);
        return *bytes;
    }

    tl::expected<void, std::string> run() {
        switch (draft.entry) {
            case Entry::breakpoint: put(draft.window.begin, std::vector<std::uint8_t>(draft.window.size(), kInt3), "breakpoint"); return {};
            case Entry::in_place: return write_in_place();
            case Entry::alternative: return write_alternative();
            case Entry::short_jump: return write_short_jump();
            case Entry::jump: break;
        }
        const auto stub = add_stub(draft.window);
        if (!stub) return Failure(stub.error());
        auto bytes = jump(draft.window.begin, *stub, draft.window.size());
        if (!bytes) return Failure(bytes.error());
        put(draft.window.begin, std::move(*bytes), "jump");
        return {};
    }

    tl::expected<void, std::string> write_in_place() {
        const WindowItem& item = draft.window.items.front();
        auto bytes = fill_template(*item.code, item.insn.address, *item.insn.site, item.insn.address + item.code->bytes.size());
        if (!bytes) return Failure("a displacement of the code does not reach");
        bytes->resize(draft.window.size(), kNop);
        put(draft.window.begin, std::move(*bytes), "inline");
        return {};
    }

    tl::expected<void, std::string> write_short_jump() {
        if (draft.evicted) {
            const auto stub = add_stub(draft.window);
            if (!stub) return Failure(stub.error());
            const auto evicted = add_stub(*draft.evicted);
            if (!evicted) return Failure(evicted.error());
            const std::uint64_t distance = draft.springboard->offset - draft.evicted->begin.offset;
            auto bytes = jump(draft.evicted->begin, *evicted, draft.evicted->size());
            const auto second = jump(*draft.springboard, *stub, kJumpBytes);
            if (!bytes || !second) return Failure(bytes ? second.error() : bytes.error());
            std::copy(second->begin(), second->end(), bytes->begin() + static_cast<std::ptrdiff_t>(distance));
            put(draft.evicted->begin, std::move(*bytes), "springboard");
        } else {
            const auto stub = add_stub(draft.window);
            if (!stub) return Failure(stub.error());
            auto bytes = jump(*draft.springboard, *stub, kJumpBytes);
            if (!bytes) return Failure(bytes.error());
            put(*draft.springboard, std::move(*bytes), "springboard");
        }
        if (draft.punned) {
            put(draft.window.begin, {kJumpRel8}, "short-jump");
            return {};
        }
        const std::int64_t distance = static_cast<std::int64_t>(draft.springboard->offset) - static_cast<std::int64_t>(draft.window.begin.offset + kShortJumpBytes);
        std::vector<std::uint8_t> bytes = {kJumpRel8, static_cast<std::uint8_t>(distance)};
        bytes.resize(draft.window.size(), kInt3);
        put(draft.window.begin, std::move(bytes), "short-jump");
        return {};
    }

    tl::expected<void, std::string> write_alternative() {
        const auto stub = add_stub(draft.window);
        if (!stub) return Failure(stub.error());
        for (const image::TableEntry* entry : draft.alternatives) {
            const image::Section& table = image().sections[entry->entry_section];
            const std::uint64_t field = entry->entry_address - table.address + 4;  // s32 repl_offset, relative to itself
            const std::uint64_t distance = *stub - (table.address + field).value;
            if (image().architecture == "x86_64" && static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(distance)}) != distance)
                return Failure("the stub area is out of reach of .altinstructions");
            std::vector<std::uint8_t> offset;
            for (int i = 0; i < 4; ++i) offset.push_back(static_cast<std::uint8_t>(distance >> (8 * i)));
            put(table, field, std::move(offset), "alternative");
            // In a module a relocation fills the field: the file has an addend there, or zeros.
            if (image().relocatable) {
                PlanWrite& write = out.patch.writes.back();
                for (std::size_t i = 0; i < write.old_bytes.size(); ++i) write.old_bytes[i] = static_cast<std::uint8_t>((entry->code.begin.value - write.address) >> (8 * i));
            }
            // u8 replacementlen: behind the original's, at 11 in entries of 12 and 13 bytes, at 13 in those of 14.
            put(table, field - 4 + (entry->entry_size == 14 ? 13 : 11), {static_cast<std::uint8_t>(kJumpBytes)}, "alternative");
        }
        return {};
    }
};

tl::expected<WrittenDraft, std::string> DraftWriter::write(const Draft& draft, std::uint64_t next) const {
    Job job{*this, draft, next, {}};
    if (const auto done = job.run(); !done) return Failure(done.error());
    PlanPatch& patch = job.out.patch;
    patch.technique = draft.technique;
    patch.begin = draft.window.items.front().insn.address;
    patch.end = draft.entry == Entry::alternative ? draft.window.exit_address : patch.begin + draft.window.size();
    patch.evidence = draft.window.evidence;
    if (draft.evicted) patch.evidence.insert(patch.evidence.end(), draft.evicted->evidence.begin(), draft.evicted->evidence.end());
    const PlanWrite& last = patch.writes.back();
    patch.atomic = patch.writes.size() == 1 && last.address / 8 == (last.address + last.new_bytes.size() - 1) / 8;
    patch.evidence.push_back(patch.atomic ? "one aligned store makes it" : "made while nothing runs here, or by INT3 first and the head last");
    return std::move(job.out);
}

}  // namespace trapline::patch
