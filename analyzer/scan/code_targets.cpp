// SPDX-License-Identifier: Apache-2.0
// One byte of kinds for each byte of code, filled from all sides, then read off in order: no list is sorted.
#include "scan/code_targets.h"

#include <algorithm>
#include <atomic>
#include <tbb/parallel_for.h>

#include "scan/control_flow.h"
#include "scan/operand_values.h"
#include "scan/sweep.h"

namespace trapline::scan {
namespace {

/// Cuts work for threads; an instruction belongs to the part in which it starts.
constexpr std::uint64_t kPartBytes = 256 * 1024;

struct Part {
    std::size_t section;
    std::uint64_t begin, end;
};

std::vector<Part> cut(const std::vector<SectionCode>& sections) {
    std::vector<Part> parts;
    for (std::size_t i = 0; i < sections.size(); ++i)
        for (std::uint64_t at = 0; at < sections[i].bytes.size(); at += kPartBytes)
            parts.push_back({i, at, std::min<std::uint64_t>(at + kPartBytes, sections[i].bytes.size())});
    return parts;
}

class TargetSearch {
public:
    TargetSearch(const image::Image& image, const std::vector<SectionCode>& sections, const CodePlaces& places,
                 const decode::InstructionDecoder& decoder)
        : image_(image), sections_(sections), places_(places), decoder_(decoder), parts_(cut(sections)), range_(sections) {
        for (const SectionCode& code : sections) kinds_.emplace_back(code.bytes.size());
    }

    std::vector<CodeTarget> run() {
        tbb::parallel_for(std::size_t{0}, parts_.size(), [&](std::size_t i) { read_instructions(parts_[i]); });
        read_image();
        if (image_.relocatable)
            for (const image::RelocationSlot& slot : image_.slots) read_slot(slot);
        else
            read_data();
        return list();
    }

private:
    void add(CodePlace place, TargetKind kind) {
        const auto bit = static_cast<std::uint8_t>(1u << static_cast<unsigned>(kind));
        std::atomic_ref cell(kinds_[place.section][place.offset]);
        // Most targets are met many times: a load is cheaper than the locked write.
        if ((cell.load(std::memory_order_relaxed) & bit) == 0) cell.fetch_or(bit, std::memory_order_relaxed);
    }
    void add(std::optional<CodePlace> place, TargetKind kind) {
        if (place) add(*place, kind);
    }

    void read_instructions(const Part& part) {
        const SectionCode& code = sections_[part.section];
        for (std::uint64_t at = part.begin; at < part.end; ++at) {
            int length = code.map.swept_length(at);
            // Descent met an instruction where the sweep has none.
            if (length == 0 && code.map.is_reached(at)) length = decode_brief(code.window(at), code.mode, decoder_).length;
            if (length != 0) read_instruction(part.section, at, length);
        }
    }

    void read_instruction(std::size_t section, std::uint64_t at, int length) {
        const SectionCode& code = sections_[section];
        const Bytes insn = code.bytes.subspan(at, static_cast<std::size_t>(length));
        const std::uint64_t after = at + static_cast<std::uint64_t>(length);
        if (code.map.swept_length(at) == 0 || code.map.may_transfer(at)) {
            const ControlFlow flow = control_flow(insn, code.mode, code.address_of(at));
            const bool comes_back = flow.kind == Flow::call || flow.kind == Flow::indirect_call || flow.kind == Flow::stop;
            if (comes_back && after < code.bytes.size()) add(CodePlace{section, after}, TargetKind::returned);
            if (flow.target) {
                if (!awaits_relocation(code, after, flow)) add(resolve(code, *flow.target), TargetKind::branch);
                return;
            }
        }
        if (!range_.may_be_named_by(insn, code.mode, code.address_of(after))) return;
        for (const OperandValue& operand : operand_values(insn, code.mode, code.address_of(at)))
            if (operand.relative ? !has_slot(code, at + operand.offset, operand.size) : !image_.relocatable)
                add(resolve(code, operand.value), TargetKind::reference);
    }

    std::optional<CodePlace> resolve(const SectionCode& code, VirtAddr address) const {
        // Most branches stay in their section; also right where hostile sections overlap.
        if (image_.relocatable || code.offset_of(address)) return places_.find_in(code.index, address);
        return places_.find(address);
    }

    bool awaits_relocation(const SectionCode& code, std::uint64_t after, const ControlFlow& flow) const {
        const auto size = static_cast<std::uint64_t>(flow.displacement_bytes);
        return has_slot(code, after - size, size);
    }

    /// Says whether a relocation of a relocatable image fills the field, so that the bytes say nothing yet.
    bool has_slot(const SectionCode& code, std::uint64_t offset, std::uint64_t size) const {
        if (!image_.relocatable) return false;
        const auto slot = first_slot(code.index, code.address_of(offset));
        return slot != image_.slots.end() && slot->section == code.index && slot->address - code.address_of(offset) < size;
    }
    std::vector<image::RelocationSlot>::const_iterator first_slot(image::SectionIndex section, VirtAddr address) const {
        return std::partition_point(image_.slots.begin(), image_.slots.end(), [&](const image::RelocationSlot& slot) {
            return std::pair(slot.section, slot.address) < std::pair(section, address);
        });
    }

    void read_slot(const image::RelocationSlot& slot) {
        if (!slot.target) return;
        if (!slot.pc_relative) return add(places_.find_in(slot.target_section, *slot.target), TargetKind::reference);
        const auto field = places_.find_in(slot.section, slot.address);
        if (!field) return;
        const SectionCode& code = sections_[field->section];
        const auto insn = code.map.swept_at(field->offset);
        // Data in a code section: relative to the field itself.
        const std::uint64_t distance = insn ? insn->second - field->offset : 0;
        VirtAddr target = *slot.target + distance;
        if (image_.format == image::Format::elf32) target.value &= 0xFFFFFFFF;
        const bool is_branch = insn && control_flow(code.bytes.subspan(insn->first, insn->second - insn->first), code.mode, {}).target.has_value();
        add(places_.find_in(slot.target_section, target), is_branch ? TargetKind::branch : TargetKind::reference);
    }

    void read_image() {
        for (const image::Symbol& symbol : image_.symbols) add(places_.find_in(symbol.section, symbol.address), TargetKind::symbol);
        for (const image::CodePointer& pointer : image_.pointers) add(places_.find_in(pointer.section, pointer.address), kind_of(pointer.origin));
        for (const image::TableEntry& entry : image_.tables) {
            if (entry.kind == image::TableKind::interrupt_gate) add(places_.find_in(entry.section, entry.code.begin), TargetKind::table);
            if (leads_to_peer(entry.kind) && entry.peer) add(places_.find_in(entry.peer_section, *entry.peer), TargetKind::table);
            if (entry.kind != image::TableKind::alternative_original && entry.kind != image::TableKind::alternative_replacement) continue;
            add(places_.find_in(entry.section, entry.code.begin), TargetKind::table);
            add(places_.find_in(entry.section, entry.code.end), TargetKind::table);
        }
    }

    static TargetKind kind_of(image::CodePointer::Origin origin) {
        switch (origin) {
            case image::CodePointer::Origin::symbol: return TargetKind::symbol;
            case image::CodePointer::Origin::table: return TargetKind::table;
            case image::CodePointer::Origin::entry:
            case image::CodePointer::Origin::relocation:
            case image::CodePointer::Origin::data_pointer: return TargetKind::pointer;
        }
        return TargetKind::pointer;
    }

    static bool leads_to_peer(image::TableKind kind) {
        switch (kind) {
            case image::TableKind::exception_table:
            case image::TableKind::jump_label:
            case image::TableKind::alternative_original:
            case image::TableKind::alternative_replacement: return true;
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
            case image::TableKind::interrupt_gate: return false;
        }
        return false;
    }

    /// Takes every aligned word of data that is an address of code. load_data_pointers keeps only what looks like the
    /// start of a function, which leaves out the labels of a switch.
    void read_data() {
        const bool wide = std::any_of(sections_.begin(), sections_.end(), [](const SectionCode& code) { return code.mode == Mode::long64; });
        for (const image::Section& section : image_.sections) {
            if (section.executable) continue;
            wide ? read_words<std::uint64_t>(section) : read_words<std::uint32_t>(section);
        }
    }
    template <class Word>
    void read_words(const image::Section& section) {
        const ByteView view(section.bytes);
        const std::uint64_t misaligned = section.address.value % sizeof(Word);
        for (std::uint64_t at = misaligned == 0 ? 0 : sizeof(Word) - misaligned; at + sizeof(Word) <= view.size(); at += sizeof(Word)) {
            const VirtAddr value{*view.get<Word>(at)};
            if (range_.contains(value)) add(places_.find(value), TargetKind::pointer);
        }
    }

    std::vector<CodeTarget> list() {
        std::vector<std::vector<CodeTarget>> lists(parts_.size());
        tbb::parallel_for(std::size_t{0}, parts_.size(), [&](std::size_t i) {
            const Part& part = parts_[i];
            const std::vector<std::uint8_t>& kinds = kinds_[part.section];
            for (std::uint64_t at = part.begin; at < part.end; ++at)
                for (unsigned kind = 0; kinds[at] >> kind != 0; ++kind)
                    if ((kinds[at] >> kind & 1) != 0) lists[i].push_back({{part.section, at}, static_cast<TargetKind>(kind)});
        });
        std::size_t total = 0;
        for (const auto& one : lists) total += one.size();
        std::vector<CodeTarget> targets;
        targets.reserve(total);
        for (const auto& one : lists) targets.insert(targets.end(), one.begin(), one.end());
        return targets;
    }

    const image::Image& image_;
    const std::vector<SectionCode>& sections_;
    const CodePlaces& places_;
    const decode::InstructionDecoder& decoder_;
    const std::vector<Part> parts_;
    const CodeRange range_;
    std::vector<std::vector<std::uint8_t>> kinds_;  ///< for each byte of each section one bit of each kind
};

}  // namespace

std::vector<CodeTarget> find_targets(const image::Image& image, const std::vector<SectionCode>& sections, const CodePlaces& places,
                                     const decode::InstructionDecoder& decoder) {
    return TargetSearch(image, sections, places, decoder).run();
}

}  // namespace trapline::scan
