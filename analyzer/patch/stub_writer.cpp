// SPDX-License-Identifier: Apache-2.0
// The length of each piece does not hang on the address, so one pass in order is enough.
#include "patch/stub_writer.h"

#include <fmt/format.h>

namespace trapline::patch {
namespace {

void replace(std::string& text, std::string_view from, const std::string& to) {
    if (const std::size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
}

}  // namespace

void StubWriter::describe(PlanStub& stub, std::size_t from, Mode mode) const {
    while (from < stub.bytes.size()) {
        const decode::Opinion opinion = text_->decode(Bytes(stub.bytes).subspan(from), mode, VirtAddr{stub.address + from});
        if (!opinion.valid || opinion.length <= 0) {
            stub.assembly.push_back(".byte 0x" + to_hex(Bytes(stub.bytes).subspan(from, 1)));
            ++from;
            continue;
        }
        stub.assembly.push_back(opinion.text);
        from += static_cast<std::size_t>(opinion.length);
    }
}

bool StubWriter::append_item(const WindowItem& item, WrittenStub& out) const {
    PlanStub& stub = out.stub;
    const std::size_t start = stub.bytes.size();
    const std::uint64_t at = stub.address + start;
    stub.steps.push_back({static_cast<std::uint32_t>(start), item.insn.address});
    if (item.code != nullptr) {
        const std::uint64_t resume = at + item.code->bytes.size();
        const auto bytes = fill_template(*item.code, at, *item.insn.site, resume);
        if (!bytes) return false;
        stub.bytes.insert(stub.bytes.end(), bytes->begin(), bytes->end());
        for (const StubFixup& fixup : item.code->fixups) stub.fixups.push_back({static_cast<std::uint32_t>(start) + fixup.offset, fixup.kind});
        for (std::string line : item.code->lines) {
            replace(line, "{site}", fmt::format("{:#x}", *item.insn.site));
            replace(line, "{resume}", fmt::format("{:#x}", resume));
            stub.assembly.push_back(std::move(line));
        }
        if (item.code->source->calls_vmm) out.resumes.emplace_back(*item.insn.site, resume);
        return true;
    }
    const auto moved = move_instruction(item.insn, at);
    if (!moved) return false;
    stub.bytes.insert(stub.bytes.end(), moved->bytes.begin(), moved->bytes.end());
    for (const StubFixup& fixup : moved->fixups) stub.fixups.push_back({static_cast<std::uint32_t>(start) + fixup.offset, fixup.kind});
    // A relocated field moves with its instruction; those of moved branches and rip-relative operands are known already.
    const std::size_t grown = moved->bytes.size() - item.insn.bytes.size();
    if (!item.insn.is_nop() && (moved->fixups.empty() || grown == kJumpBytes))
        for (const image::RelocationSlot& slot : facts_->find_slots(item.insn.place, item.insn.end()))
            if (!slot.pc_relative && slot.size == 4)
                stub.fixups.push_back({static_cast<std::uint32_t>(start + grown + (slot.address.value - item.insn.address)), FixupKind::image_address});
    describe(stub, start, item.insn.mode);
    out.moved.push_back({item.insn.address, at, {item.insn.bytes.begin(), item.insn.bytes.end()},
                         text_->decode(item.insn.bytes, item.insn.mode, VirtAddr{item.insn.address}).text});
    return true;
}

std::optional<WrittenStub> StubWriter::write(const Window& window, std::uint64_t at, bool entry_jump) const {
    WrittenStub out;
    out.stub.address = at;
    const Mode mode = window.items.front().insn.mode;
    if (entry_jump) {
        out.stub.bytes = *encode_jump(mode, at, at + kJumpBytes);
        describe(out.stub, 0, mode);
    }
    for (const WindowItem& item : window.items)
        if (!item.dropped && !append_item(item, out)) return std::nullopt;
    if (window.falls_through) {
        const std::size_t start = out.stub.bytes.size();
        out.stub.steps.push_back({static_cast<std::uint32_t>(start), window.exit_address});
        const auto jump = encode_jump(mode, at + start, window.exit_address);
        if (!jump) return std::nullopt;
        out.stub.bytes.insert(out.stub.bytes.end(), jump->begin(), jump->end());
        out.stub.fixups.push_back({static_cast<std::uint32_t>(start + 1), FixupKind::image_relative});
        describe(out.stub, start, mode);
    }
    return out;
}

}  // namespace trapline::patch
