// SPDX-License-Identifier: Apache-2.0
// A byte that no instruction can begin with costs one byte; filler costs a memory compare.
#include "scan/sweep.h"

#include <algorithm>

#include "scan/control_flow.h"
#include "scan/padding.h"

namespace trapline::scan {
namespace {

/// Says whether the table's point is the start of an instruction by the way kernels emit it. A .smp_locks entry names a
/// prefix, a static call or return site is patched as a whole but may carry prefixes in front.
bool names_instruction_start(image::TableKind kind) {
    switch (kind) {
        case image::TableKind::alternative_original:
        case image::TableKind::alternative_replacement:
        case image::TableKind::exception_table:
        case image::TableKind::jump_label:
            return true;
        case image::TableKind::paravirt_site:
        case image::TableKind::smp_lock:
        case image::TableKind::retpoline_site:
        case image::TableKind::return_site:
        case image::TableKind::call_site:
        case image::TableKind::ibt_endbr:
        case image::TableKind::static_call:
            return false;
    }
    return false;
}

/// First bytes of filler: spares the look at what came before for all other instructions.
bool may_be_padding(std::uint8_t byte) {
    switch (byte) {
        case 0x00: case 0x0F: case 0x2E: case 0x66: case 0x89: case 0x8D: case 0x90: case 0xCC: return true;
        default: return false;
    }
}

/// Remembers what stands before the next byte; the control flow of an instruction is asked for only where it matters.
class Predecessor {
public:
    void set_stop() { kind_ = Before::stop; length_ = 0; }
    void set_code() { kind_ = Before::code; length_ = 0; }
    void set_instruction(std::uint64_t offset, int length) { offset_ = offset; length_ = length; }

    Before get(const SectionCode& code) {
        if (length_ == 0) return kind_;
        const Bytes insn = code.bytes.subspan(offset_, static_cast<std::size_t>(length_));
        const Flow flow = control_flow(insn, code.mode, code.address_of(offset_)).kind;
        length_ = 0;
        switch (flow) {
            case Flow::call: case Flow::indirect_call: kind_ = Before::call; break;
            case Flow::jump: case Flow::indirect_jump: case Flow::leave: case Flow::stop: kind_ = Before::stop; break;
            case Flow::fallthrough: case Flow::conditional: case Flow::breakpoint: kind_ = Before::code; break;
        }
        return kind_;
    }

private:
    Before kind_ = Before::code;
    std::uint64_t offset_ = 0;
    int length_ = 0;
};

/// Sweeps between two neighbouring splits.
void sweep_region(std::uint64_t begin, std::uint64_t end, std::size_t section, SectionCode& code,
                  const decode::InstructionDecoder& decoder, const FlaggedForms& flagged, SweepCounts& counts) {
    Predecessor before;
    begin == 0 ? before.set_stop() : before.set_code();
    std::uint64_t at = begin;
    while (at < end) {
        if (may_be_padding(code.bytes[at])) {
            const std::size_t filler = padding_length(code.bytes.subspan(at, end - at), before.get(code), code.mode);
            if (filler != 0) {
                code.map.set_padding(at, at + filler);
                counts.padding_bytes += filler;
                at += filler;
                before.set_stop();
                continue;
            }
        }
        // The window passes the split, so that an instruction which runs over it is seen as such.
        const decode::Insn insn = decode_brief(code.window(at), code.mode, decoder);
        if (insn.length == 0) {
            ++counts.undecodable_bytes;
            ++at;
            before.set_stop();
            continue;
        }
        const bool is_flagged = flagged.contains(insn.form, code.mode);
        const auto length = static_cast<std::uint64_t>(insn.length);
        if (length > end - at) {
            ++counts.straddling;
            counts.straddling_bytes += end - at;
            if (is_flagged) counts.flagged_straddlers.push_back({section, at});
            return;
        }
        code.map.set_swept(at, insn.length, is_flagged);
        ++counts.instructions;
        counts.instruction_bytes += length;
        counts.flagged += is_flagged;
        before.set_instruction(at, insn.length);
        at += length;
    }
}

/// The elements of a list sorted by section that belong to one.
template <class T>
std::span<const T> of_section(const std::vector<T>& list, image::SectionIndex section) {
    const auto begin = std::partition_point(list.begin(), list.end(), [&](const T& x) { return x.section < section; });
    const auto end = std::partition_point(begin, list.end(), [&](const T& x) { return x.section == section; });
    return {begin, end};
}

}  // namespace

decode::Insn decode_brief(Bytes window, Mode mode, const decode::InstructionDecoder& decoder) {
    if (const int length = emulation_prefix_length(window); length != 0) return {static_cast<std::uint8_t>(length), 0};
    return decoder.decode(window, mode);
}

std::vector<std::uint64_t> find_splits(const image::Image& image, image::SectionIndex section) {
    const image::Section& code = image.sections[section];
    std::vector<std::uint64_t> splits = {0};
    const auto add = [&](VirtAddr address) {
        if (address >= code.address && address - code.address < code.bytes.size()) splits.push_back(address - code.address);
    };
    // A symbol's end is no split: sizes written by hand in assembly are often wrong, starts are not.
    for (const image::Symbol& symbol : of_section(image.symbols, section)) add(symbol.address);
    for (const image::TableEntry& entry : of_section(image.tables, section))
        if (names_instruction_start(entry.kind)) add(entry.code.begin);
    std::sort(splits.begin(), splits.end());
    splits.erase(std::unique(splits.begin(), splits.end()), splits.end());
    return splits;
}

std::vector<Chunk> cut_chunks(const SectionCode& code, std::size_t section, std::uint64_t least) {
    std::vector<Chunk> chunks;
    std::uint64_t begin = 0;
    for (std::uint64_t split : code.splits) {
        if (split - begin < least) continue;
        chunks.push_back({section, begin, split});
        begin = split;
    }
    if (begin < code.bytes.size()) chunks.push_back({section, begin, code.bytes.size()});
    return chunks;
}

SweepCounts sweep_chunk(const Chunk& chunk, SectionCode& code, const decode::InstructionDecoder& decoder, const FlaggedForms& flagged) {
    SweepCounts counts;
    auto split = std::lower_bound(code.splits.begin(), code.splits.end(), chunk.begin);
    std::uint64_t begin = chunk.begin;
    while (begin < chunk.end) {
        while (split != code.splits.end() && *split <= begin) ++split;
        const std::uint64_t end = split == code.splits.end() ? chunk.end : std::min(*split, chunk.end);
        sweep_region(begin, end, chunk.section, code, decoder, flagged, counts);
        begin = end;
    }
    return counts;
}

}  // namespace trapline::scan
