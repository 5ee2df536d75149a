// SPDX-License-Identifier: Apache-2.0
// A byte that no instruction can begin with costs one byte, too many prefixes cost their instruction; filler costs a memory compare.
#include "scan/sweep.h"

#include <algorithm>
#include <array>
#include <functional>

#include "image/sort_runs.h"
#include "scan/control_flow.h"
#include "scan/decode_ahead.h"
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
        case image::TableKind::static_call_trampoline:
        case image::TableKind::function_trace:
        case image::TableKind::bug:
        case image::TableKind::interrupt_gate:
            return false;
    }
    return false;
}

/// First bytes of filler: spares the look at what came before for all other instructions.
constexpr std::array<bool, 256> kMayBePadding = [] {
    std::array<bool, 256> table{};
    for (int byte : {0x00, 0x0F, 0x2E, 0x66, 0x89, 0x8D, 0x90, 0xCC}) table[static_cast<std::size_t>(byte)] = true;
    return table;
}();
bool may_be_padding(std::uint8_t byte) { return kMayBePadding[byte]; }

bool is_legacy_prefix(std::uint8_t byte) {
    switch (byte) {
        case 0x26: case 0x2E: case 0x36: case 0x3E: case 0x64: case 0x65: case 0x66: case 0x67: case 0xF0: case 0xF2: case 0xF3: return true;
        default: return false;
    }
}

/// The bytes of an instruction that its prefixes make longer than 15, which is #GP (SDM vol. 2, "Instruction Prefixes"); 0 for
/// others. What follows is in step behind all of it: its last 15 bytes are no instruction.
std::size_t overlong_length(Bytes bytes, Mode mode, const decode::InstructionDecoder& decoder) {
    constexpr std::size_t kLongest = 15;
    std::size_t prefixes = 0;
    while (prefixes < bytes.size() && is_legacy_prefix(bytes[prefixes])) ++prefixes;
    for (std::size_t skipped = prefixes < kLongest ? 1 : prefixes - kLongest + 1; skipped <= prefixes; ++skipped) {
        const std::size_t length = decoder.decode(bytes.subspan(skipped), mode).length;
        if (length != 0) return skipped + length > kLongest ? skipped + length : 0;
    }
    return prefixes < kLongest ? 0 : prefixes;
}

/// Remembers what stands before the next byte; the control flow of an instruction is asked for only where it matters.
class Predecessor {
public:
    void set_stop() { kind_ = Before::stop; length_ = 0; }
    void set_code() { kind_ = Before::code; length_ = 0; }
    void set_instruction(std::uint64_t offset, std::uint8_t instruction) {
        kind_ = Before::code;
        offset_ = offset;
        length_ = CodeMap::may_transfer_cell(instruction) ? CodeMap::length_of(instruction) : 0;
    }

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
    int length_ = 0;  ///< 0 when kind_ is known
};

/// Sweeps between two neighbouring splits.
class RegionSweep {
public:
    RegionSweep(std::uint64_t end, std::size_t section, SectionCode& code, const decode::InstructionDecoder& decoder, const FlaggedForms& flagged,
                SweepCounts& counts)
        : end_(end), section_(section), code_(code), decoder_(decoder), flagged_(flagged), counts_(counts) {}

    void run(std::uint64_t begin) {
        begin == 0 ? before_.set_stop() : before_.set_code();
        at_ = begin;
        while (at_ < end_) {
            if (const std::size_t filler = padding_here(); filler != 0) {
                code_.map.set_padding(at_, at_ + filler);
                counts_.padding_bytes += filler;
                at_ += filler;
                before_.set_stop();
                continue;
            }
            if (const int length = code_.bytes[at_] == 0x0F ? emulation_prefix_length(code_.window(at_)) : 0; length != 0) {
                take(CodeMap::instruction(length, false, false));
                continue;
            }
            if (const std::uint8_t known = decoded_ahead(); known != 0) {
                take(known);
                continue;
            }
            // An instruction may run over the split: the decoder sees what follows, so that it is seen as such.
            decoder_.decode_run(code_.bytes, at_, end_, code_.mode, [this](std::size_t, decode::Insn insn) {
                if (insn.length == 0) {
                    const std::size_t length = std::clamp<std::size_t>(overlong_length(code_.bytes.subspan(at_), code_.mode, decoder_), 1, end_ - at_);
                    counts_.undecodable_bytes += length;
                    code_.map.set_nothing(at_, at_ + length);
                    at_ += length;
                    before_.set_stop();
                    return false;
                }
                take(CodeMap::instruction(insn.length, flagged_.contains(insn.form, code_.mode), flagged_.may_transfer(insn.form)));
                return at_ < end_ && decoded_ahead() == 0 && !(may_be_padding(code_.bytes[at_]) && (emulation_prefix_length(code_.window(at_)) != 0 || padding_here() != 0));
            });
        }
    }

private:
    std::size_t padding_here() {
        return may_be_padding(code_.bytes[at_]) ? padding_length(code_.bytes.subspan(at_, end_ - at_), before_.get(code_), code_.mode) : 0;
    }

    /// The instruction at at_ if it was decoded already. Near the section's end a decoder may see less than it saw then.
    std::uint8_t decoded_ahead() const { return code_.bytes.size() - at_ > kDecodeAheadWindow ? code_.map.ahead(at_) : std::uint8_t{0}; }

    /// Records the instruction at at_ and goes on behind it.
    void take(std::uint8_t instruction) {
        const bool is_flagged = CodeMap::is_flagged_cell(instruction);
        const auto length = static_cast<std::uint64_t>(CodeMap::length_of(instruction));
        if (length > end_ - at_) {
            ++counts_.straddling;
            counts_.straddling_bytes += end_ - at_;
            code_.map.set_nothing(at_, end_);
            if (is_flagged) counts_.flagged_straddlers.push_back({section_, at_});
            at_ = end_;
            return;
        }
        code_.map.set_swept(at_, instruction, end_);
        ++counts_.instructions;
        counts_.instruction_bytes += length;
        counts_.flagged += is_flagged;
        before_.set_instruction(at_, instruction);
        at_ += length;
    }

    std::uint64_t at_ = 0;
    const std::uint64_t end_;
    const std::size_t section_;
    SectionCode& code_;
    const decode::InstructionDecoder& decoder_;
    const FlaggedForms& flagged_;
    SweepCounts& counts_;
    Predecessor before_;
};

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
    // Two lists that are sorted already, one behind the other.
    image::sort_runs(splits, std::less<>());
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
        RegionSweep(end, chunk.section, code, decoder, flagged, counts).run(begin);
        begin = end;
    }
    return counts;
}

}  // namespace trapline::scan
