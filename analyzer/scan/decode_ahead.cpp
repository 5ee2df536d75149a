// SPDX-License-Identifier: Apache-2.0
// One pass in the file's order. Instructions fall into step with the sweep's within a few bytes of any start.
#include "scan/decode_ahead.h"

#include <algorithm>
#include <optional>

#include "decode/instruction_decoder.h"
#include "image/early_code.h"
#include "scan/flagged_forms.h"
#include "scan/section_code.h"

namespace trapline::scan {
namespace {

/// Zeros of which there are this many are no code.
constexpr std::size_t kZeros = 64;
/// And behind this many the rest of a segment is data: linkers align it to pages at least. What code there is all the same is
/// left to the sweep.
constexpr std::size_t kZerosBeforeData = 4096;
/// Program headers lie here in every kernel.
constexpr std::size_t kHead = 4096;
/// Bytes between two looks at whether the rest is there; a millisecond's work.
constexpr std::size_t kStep = std::size_t{128} << 10;

class AheadDecoder {
public:
    AheadDecoder(const image::EarlyCode& code, std::size_t capacity, const isa::Database& database, const classify::TagTable& tags)
        : ranges_(code.ranges), mode_(code.width == image::CodeWidth::bits64 ? Mode::long64 : Mode::protected32), flagged_(database, tags),
          decoder_(database, tags.profile()), capacity_(capacity), result_(std::make_shared<image::CodeAhead>(code.width, capacity)), at_(ranges_.front().begin) {}

    /// Decodes what has come since; false when that was all.
    bool go_on(Bytes all, const image::ExpandingBytes& file) {
        const std::size_t known = std::min(all.size(), capacity_);
        while (range_ < ranges_.size() && !file.finished()) {
            const std::uint64_t end = std::min<std::uint64_t>(ranges_[range_].end, known < kDecodeAheadWindow ? 0 : known - kDecodeAheadWindow);
            if (at_ < end) {
                step(all, std::min<std::uint64_t>(end, at_ + kStep));
                continue;
            }
            if (end < ranges_[range_].end) return true;
            if (++range_ < ranges_.size()) at_ = std::max(at_, ranges_[range_].begin);
            zeros_ = 0;
        }
        return false;
    }
    std::shared_ptr<image::CodeAhead> result() { return std::move(result_); }

private:
    void step(Bytes all, std::uint64_t end) {
        std::uint8_t* const cells = result_->cells();
        while (at_ < end) {
            if (all[at_] == 0) {
                const Bytes next = all.subspan(at_, std::min<std::size_t>(kZeros, all.size() - at_));
                if (std::all_of(next.begin(), next.end(), [](std::uint8_t byte) { return byte == 0; })) {
                    at_ += next.size();
                    zeros_ += next.size();
                    if (zeros_ < kZerosBeforeData) continue;
                    at_ = ranges_[range_].end;
                    return;
                }
            }
            zeros_ = 0;
            decoder_.decode_run(all, at_, end, mode_, [&](std::size_t offset, decode::Insn insn) {
                at_ = offset + std::max<std::size_t>(insn.length, 1);
                if (insn.length == 0) return false;
                cells[offset] = CodeMap::instruction(insn.length, flagged_.contains(insn.form, mode_), flagged_.may_transfer(insn.form));
                return all[at_] != 0;
            });
        }
    }

    const std::vector<image::EarlyCode::Range> ranges_;
    const Mode mode_;
    const FlaggedForms flagged_;
    const decode::InstructionDecoder decoder_;
    const std::size_t capacity_;
    std::shared_ptr<image::CodeAhead> result_;
    std::size_t range_ = 0;
    std::uint64_t at_;
    std::size_t zeros_ = 0;  ///< that stand before at_
};

}  // namespace

std::shared_ptr<image::CodeAhead> decode_ahead(const image::ExpandingBytes& file, const isa::Database& database, const classify::TagTable& tags) {
    std::optional<AheadDecoder> decoder;
    file.follow([&](Bytes all, std::size_t) {
        if (!decoder) {
            if (all.size() < kHead) return true;
            const auto code = image::read_early_code(all.first(kHead));
            if (!code) return false;
            decoder.emplace(*code, file.capacity(), database, tags);
        }
        return decoder->go_on(all, file);
    });
    return decoder ? decoder->result() : nullptr;
}

}  // namespace trapline::scan
