// SPDX-License-Identifier: Apache-2.0
// A worklist of places; each instruction is visited once.
#include "scan/descent.h"

#include <algorithm>

#include "scan/control_flow.h"
#include "scan/sweep.h"

namespace trapline::scan {
namespace {

class Descent {
public:
    Descent(const image::Image& image, std::vector<SectionCode>& sections, const CodePlaces& places,
            const TableEdges& edges, const decode::InstructionDecoder& decoder, const FlaggedForms& flagged)
        : image_(image), sections_(sections), places_(places), edges_(edges), decoder_(decoder), flagged_(flagged) {
        result_.reached_bytes.resize(sections.size());
    }

    DescentResult run() {
        seed();
        while (!worklist_.empty()) {
            const CodePlace place = worklist_.back();
            worklist_.pop_back();
            follow(place);
        }
        std::sort(result_.findings.begin(), result_.findings.end(),
                  [](const DescentFinding& a, const DescentFinding& b) { return a.place < b.place; });
        return std::move(result_);
    }

private:
    void seed() {
        for (const image::CodePointer& pointer : image_.pointers) {
            const auto place = places_.find_in(pointer.section, pointer.address);
            if (!place) continue;
            if (!is_believed(pointer.origin) && sections_[place->section].map.swept_length(place->offset) == 0) {
                const SectionCode& code = sections_[place->section];
                result_.refused_pointers += code.map.overlaps_swept(place->offset, 1);
                continue;
            }
            worklist_.push_back(*place);
        }
        for (const image::Symbol& symbol : image_.symbols)
            if (symbol.kind == image::SymbolKind::function)
                if (const auto place = places_.find_in(symbol.section, symbol.address)) worklist_.push_back(*place);
    }

    static bool is_believed(image::CodePointer::Origin origin) {
        switch (origin) {
            case image::CodePointer::Origin::entry:
            case image::CodePointer::Origin::symbol:
            case image::CodePointer::Origin::table:
                return true;
            case image::CodePointer::Origin::relocation:
            case image::CodePointer::Origin::data_pointer:
                return false;
        }
        return false;
    }

    /// Walks down one path until it ends or meets a reached instruction; branches go to the worklist.
    void follow(CodePlace place) {
        for (std::optional<CodePlace> next = place; next;) {
            place = pass_plain(*next);
            if (sections_[place.section].map.is_reached(place.offset)) return;
            next = visit(place);
        }
    }

    /// Passes swept instructions that only fall through; gives the first place that needs a closer look.
    CodePlace pass_plain(CodePlace place) {
        CodeMap& map = sections_[place.section].map;
        const std::uint64_t end = sections_[place.section].bytes.size();
        std::uint64_t reached = 0;
        while (place.offset < end && map.is_plain(place.offset)) {
            const auto length = static_cast<std::uint64_t>(map.swept_length(place.offset));
            // The last instruction of an alternative's replacement goes on elsewhere.
            if (length == 0 || place.offset + length >= end || edges_.has_replacements(place.section)) break;
            map.set_reached(place.offset);
            reached += length;
            place.offset += length;
        }
        result_.reached_bytes[place.section] += reached;
        return place;
    }

    /// Marks one instruction and gives the place behind it; nothing when the path ends.
    std::optional<CodePlace> visit(CodePlace place) {
        SectionCode& code = sections_[place.section];
        if (code.map.is_padding(place.offset) && (code.bytes[place.offset] == 0xCC || code.bytes[place.offset] == 0x00))
            return std::nullopt;
        int length = code.map.swept_length(place.offset);
        if (length == 0) {
            length = decode_off_sweep(place);
            if (length == 0) return std::nullopt;
        } else {
            result_.reached_bytes[place.section] += static_cast<std::uint64_t>(length);
        }
        code.map.set_reached(place.offset);
        if (code.map.is_landmark(place.offset))
            for (const auto& [from, to] : edges_.from(place)) push(to);

        const Bytes insn = code.bytes.subspan(place.offset, static_cast<std::size_t>(length));
        const ControlFlow flow = control_flow(insn, code.mode, code.address_of(place.offset));
        if (const auto target = resolve(code, flow)) push(*target);
        if (!flow.falls_through()) return std::nullopt;
        const std::uint64_t after = place.offset + static_cast<std::uint64_t>(length);
        if (const auto resume = edges_.after_replacement(place, after)) return resume;
        if (after >= code.bytes.size()) return std::nullopt;
        return CodePlace{place.section, after};
    }

    /// Decodes where the sweep has no start, and notes what it finds; 0 when no instruction is there.
    int decode_off_sweep(CodePlace place) {
        SectionCode& code = sections_[place.section];
        const decode::Insn insn = decode_brief(code.window(place.offset), code.mode, decoder_);
        if (insn.length == 0) return 0;
        const bool hidden = code.map.overlaps_swept(place.offset, insn.length);
        if (hidden)
            ++result_.hidden_instructions;
        else
            result_.reached_bytes[place.section] += static_cast<std::uint64_t>(insn.length);
        if (flagged_.contains(insn.form, code.mode)) {
            if (result_.findings.size() < kMaxDescentFindings)
                result_.findings.push_back({place, hidden});
            else
                result_.truncated = true;
        }
        return insn.length;
    }

    std::optional<CodePlace> resolve(const SectionCode& code, const ControlFlow& flow) const {
        if (!flow.target) return std::nullopt;
        if (!image_.relocatable) {
            // Most branches stay in their section; also right where hostile sections overlap.
            if (code.offset_of(*flow.target)) return places_.find_in(code.index, *flow.target);
            return places_.find(*flow.target);
        }
        const auto place = places_.find_in(code.index, *flow.target);
        if (!place || flow.displacement_bytes == 1) return place;
        if (flow.displacement == 0 || code.map.swept_length(place->offset) == 0) return std::nullopt;
        return place;
    }

    void push(CodePlace place) {
        if (!sections_[place.section].map.is_reached(place.offset)) worklist_.push_back(place);
    }

    const image::Image& image_;
    std::vector<SectionCode>& sections_;
    const CodePlaces& places_;
    const TableEdges& edges_;
    const decode::InstructionDecoder& decoder_;
    const FlaggedForms& flagged_;
    std::vector<CodePlace> worklist_;
    DescentResult result_;
};

}  // namespace

DescentResult descend(const image::Image& image, std::vector<SectionCode>& sections, const CodePlaces& places,
                      const TableEdges& edges, const decode::InstructionDecoder& decoder, const FlaggedForms& flagged) {
    return Descent(image, sections, places, edges, decoder, flagged).run();
}

}  // namespace trapline::scan
