// SPDX-License-Identifier: Apache-2.0
// A worklist of places for each worker; each instruction is visited once.
#include "scan/descent.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include <tbb/parallel_for.h>

#include "scan/control_flow.h"
#include "scan/sweep.h"

namespace trapline::scan {
namespace {

/// The places that the image names itself, in its order: pointers, then functions.
class Seeds {
public:
    Seeds(const image::Image& image, const std::vector<SectionCode>& sections, const CodePlaces& places)
        : image_(image), sections_(sections), places_(places) {}

    /// Appends the next few places that nobody has taken; false when all are. Threads may call it at the same time.
    bool take(std::vector<CodePlace>& out) {
        constexpr std::size_t kShare = 256;
        const std::size_t pointers = image_.pointers.size(), all = pointers + image_.symbols.size();
        const std::size_t begin = std::min(next_.fetch_add(kShare, std::memory_order_relaxed), all), end = std::min(begin + kShare, all);
        for (std::size_t i = begin; i < end; ++i) i < pointers ? add(image_.pointers[i], out) : add(image_.symbols[i - pointers], out);
        return begin != end;
    }
    std::uint64_t refused() const { return refused_; }

private:
    void add(const image::CodePointer& pointer, std::vector<CodePlace>& out) {
        const auto place = places_.find_in(pointer.section, pointer.address);
        if (!place) return;
        const CodeMap& map = sections_[place->section].map;
        if (is_believed(pointer.origin) || map.swept_length(place->offset) != 0)
            out.push_back(*place);
        else if (map.overlaps_swept(place->offset, 1))
            refused_.fetch_add(1, std::memory_order_relaxed);
    }
    void add(const image::Symbol& symbol, std::vector<CodePlace>& out) const {
        if (symbol.kind != image::SymbolKind::function) return;
        if (const auto place = places_.find_in(symbol.section, symbol.address)) out.push_back(*place);
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

    const image::Image& image_;
    const std::vector<SectionCode>& sections_;
    const CodePlaces& places_;
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::uint64_t> refused_ = 0;
};

/// One worker. Several share the sections' maps. Two that meet may both visit an instruction of the sweep, which is idle
/// work and changes nothing; what the sweep does not have belongs to the worker that claims it first.
class Descent {
public:
    Descent(const image::Image& image, std::vector<SectionCode>& sections, const CodePlaces& places,
            const TableEdges& edges, const decode::InstructionDecoder& decoder, const FlaggedForms& flagged)
        : image_(image), sections_(sections), places_(places), edges_(edges), decoder_(decoder), flagged_(flagged) {
        result_.reached_bytes.resize(sections.size());  // of what the sweep does not have
    }

    DescentResult run(Seeds& seeds) {
        while (seeds.take(worklist_)) {
            for (const CodePlace& place : worklist_) fetch(place);
            do {
                while (!worklist_.empty()) {
                    const CodePlace place = worklist_.back();
                    worklist_.pop_back();
                    follow(place);
                }
                for (CodePlace& place : waiting_) list(std::exchange(place, kNowhere));
            } while (!worklist_.empty());
        }
        return std::move(result_);
    }

private:
    /// Walks down one path until it ends or meets a reached instruction; branches go to the worklist.
    void follow(CodePlace place) {
        for (std::optional<CodePlace> next = place; next;) next = visit(pass_plain(*next));
    }

    /// Passes swept instructions that only fall through; gives the first place that needs a closer look.
    CodePlace pass_plain(CodePlace place) {
        // The last instruction of an alternative's replacement goes on elsewhere.
        if (edges_.has_replacements(place.section)) return place;
        CodeMap& map = sections_[place.section].map;
        const std::uint64_t end = sections_[place.section].bytes.size();
        while (map.is_plain(place.offset)) {
            const auto length = static_cast<std::uint64_t>(map.swept_length(place.offset));
            if (length == 0 || place.offset + length >= end) break;
            map.set_reached(place.offset);
            place.offset += length;
        }
        return place;
    }

    /// Marks one instruction and gives the place behind it; nothing when the path ends.
    std::optional<CodePlace> visit(CodePlace place) {
        SectionCode& code = sections_[place.section];
        if (code.map.is_reached(place.offset)) return std::nullopt;
        if (code.map.is_padding(place.offset) && (code.bytes[place.offset] == 0xCC || code.bytes[place.offset] == 0x00))
            return std::nullopt;
        int length = code.map.swept_length(place.offset);
        if (length == 0) {
            const decode::Insn insn = decode_brief(code.window(place.offset), code.mode, decoder_);
            if (insn.length == 0 || !code.map.claim_reached(place.offset)) return std::nullopt;
            note_off_sweep(place, insn);
            length = insn.length;
        } else {
            code.map.set_reached(place.offset);
        }
        if (code.map.is_landmark(place.offset))
            for (const auto& [from, to] : edges_.from(place)) push(to);

        const Bytes insn = code.bytes.subspan(place.offset, static_cast<std::size_t>(length));
        const ControlFlow flow = control_flow(insn, code.mode, code.address_of(place.offset));
        if (const auto target = resolve(place.section, flow)) push(*target);
        if (!flow.falls_through()) return std::nullopt;
        const std::uint64_t after = place.offset + static_cast<std::uint64_t>(length);
        if (const auto resume = edges_.after_replacement(place, after)) return resume;
        if (after >= code.bytes.size()) return std::nullopt;
        return CodePlace{place.section, after};
    }

    /// Notes an instruction where the sweep has no start.
    void note_off_sweep(CodePlace place, decode::Insn insn) {
        SectionCode& code = sections_[place.section];
        const bool hidden = code.map.overlaps_swept(place.offset, insn.length);
        if (hidden)
            ++result_.hidden_instructions;
        else
            result_.reached_bytes[place.section] += insn.length;
        if (!flagged_.contains(insn.form, code.mode)) return;
        if (result_.findings.size() < kMaxDescentFindings)
            result_.findings.push_back({place, hidden});
        else
            result_.truncated = true;
    }

    std::optional<CodePlace> resolve(std::size_t section, const ControlFlow& flow) const {
        if (!flow.target) return std::nullopt;
        const SectionCode& code = sections_[section];
        const auto offset = code.offset_of(*flow.target);
        // Most branches stay in their section; also right where hostile sections overlap.
        if (!image_.relocatable) return offset ? CodePlace{section, *offset} : places_.find(*flow.target);
        if (!offset) return std::nullopt;
        const bool may_be_addend = flow.displacement_bytes != 1;
        if (may_be_addend && (flow.displacement == 0 || code.map.swept_length(*offset) == 0)) return std::nullopt;
        return CodePlace{section, *offset};
    }

    /// Notes a target. Most were reached before, and to ask for it at once is to wait for the cache: what was noted a dozen
    /// targets ago is asked for instead.
    void push(CodePlace place) {
        fetch(place);
        list(std::exchange(waiting_[next_waiting_++ % waiting_.size()], place));
    }
    void list(CodePlace place) {
        if (place != kNowhere && !sections_[place.section].map.is_reached(place.offset)) worklist_.push_back(place);
    }
    void fetch(CodePlace place) const {
        const SectionCode& code = sections_[place.section];
        code.map.fetch(place.offset);
        __builtin_prefetch(code.bytes.data() + place.offset);
    }

    const image::Image& image_;
    std::vector<SectionCode>& sections_;
    const CodePlaces& places_;
    const TableEdges& edges_;
    const decode::InstructionDecoder& decoder_;
    const FlaggedForms& flagged_;
    static constexpr CodePlace kNowhere{static_cast<std::size_t>(-1), 0};
    std::vector<CodePlace> worklist_;
    std::array<CodePlace, 16> waiting_ = [] {
        std::array<CodePlace, 16> none;
        none.fill(kNowhere);
        return none;
    }();
    std::size_t next_waiting_ = 0;
    DescentResult result_;
};

}  // namespace

DescentResult descend(const image::Image& image, std::vector<SectionCode>& sections, const CodePlaces& places, const TableEdges& edges,
                      const decode::InstructionDecoder& decoder, const FlaggedForms& flagged, int jobs) {
    Seeds seeds(image, sections, places);
    std::vector<DescentResult> parts(static_cast<std::size_t>(std::max(jobs, 1)));
    tbb::parallel_for(std::size_t{0}, parts.size(), [&](std::size_t i) { parts[i] = Descent(image, sections, places, edges, decoder, flagged).run(seeds); });

    DescentResult result;
    result.refused_pointers = seeds.refused();
    result.reached_bytes.resize(sections.size());
    for (const DescentResult& part : parts) {
        result.findings.insert(result.findings.end(), part.findings.begin(), part.findings.end());
        result.hidden_instructions += part.hidden_instructions;
        result.truncated |= part.truncated || result.findings.size() > kMaxDescentFindings;
        for (std::size_t i = 0; i < part.reached_bytes.size(); ++i) result.reached_bytes[i] += part.reached_bytes[i];
    }
    if (result.truncated && parts.size() > 1) {
        // Which findings fit depends on the order of work; one worker keeps the same ones every time.
        for (SectionCode& code : sections) code.map.clear_reached();
        return descend(image, sections, places, edges, decoder, flagged, 1);
    }
    tbb::parallel_for(std::size_t{0}, sections.size(), [&](std::size_t i) { result.reached_bytes[i] += sections[i].map.reached_bytes(); });
    std::sort(result.findings.begin(), result.findings.end(), [](const DescentFinding& a, const DescentFinding& b) { return a.place < b.place; });
    return result;
}

}  // namespace trapline::scan
