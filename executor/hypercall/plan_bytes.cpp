// SPDX-License-Identifier: Apache-2.0
// PlanPatches as bytes: little-endian numbers and counted runs, read with every count held against what is left.
#include <cstring>

#include "executor/hypercall/plan_patches.h"

namespace trapline::executor {
namespace {

class Writer {
public:
    template <class Number>
    void number(Number value) {
        const auto* const bytes = reinterpret_cast<const std::uint8_t*>(&value);
        out.insert(out.end(), bytes, bytes + sizeof value);
    }
    void bytes(std::span<const std::uint8_t> run) {
        number(static_cast<std::uint32_t>(run.size()));
        out.insert(out.end(), run.begin(), run.end());
    }
    std::vector<std::uint8_t> out;
};

class Reader {
public:
    explicit Reader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}
    template <class Number>
    Number number() {
        Number value{};
        if (rest_.size() < sizeof value) {
            bad_ = true;
            return value;
        }
        std::memcpy(&value, rest_.data(), sizeof value);
        rest_ = rest_.subspan(sizeof value);
        return value;
    }
    std::vector<std::uint8_t> bytes() {
        const auto size = number<std::uint32_t>();
        if (size > rest_.size()) {
            bad_ = true;
            return {};
        }
        std::vector<std::uint8_t> run(rest_.begin(), rest_.begin() + size);
        rest_ = rest_.subspan(size);
        return run;
    }
    /// A count of things of at least `each` bytes.
    std::uint32_t count(std::size_t each) {
        const auto value = number<std::uint32_t>();
        if (value > rest_.size() / each) bad_ = true;
        return bad_ ? 0 : value;
    }
    bool ok() const { return !bad_; }
    bool done() const { return !bad_ && rest_.empty(); }

private:
    std::span<const std::uint8_t> rest_;
    bool bad_ = false;
};

}  // namespace

std::vector<std::uint8_t> PlanPatches::encode() const {
    Writer to;
    to.number(stubs_begin_);
    to.bytes(stubs_);
    to.number(static_cast<std::uint32_t>(steps_.size()));
    for (const Step& step : steps_) {
        to.number(step.address);
        to.number(step.guest);
        to.number(static_cast<std::uint8_t>(step.last));
    }
    to.number(static_cast<std::uint32_t>(patches_.size()));
    for (const Patch& patch : patches_) {
        to.number(patch.begin);
        to.number(patch.end);
        to.number(static_cast<std::uint32_t>(patch.overlays.size()));
        for (std::size_t i = 0; i < patch.overlays.size(); ++i) {
            const CodeOverlay& overlay = patch.overlays[i];
            to.number(overlay.offset);
            to.number(overlay.window_begin);
            to.number(overlay.window_end);
            to.number(overlay.evicted_begin);
            to.number(overlay.evicted_end);
            to.number(static_cast<std::uint8_t>(overlay.breakpoint));
            to.bytes(overlay.bytes);
            to.bytes(patch.expected[i]);
        }
    }
    to.number(static_cast<std::uint32_t>(sites_.size()));
    for (const PlanSite& site : sites_) {
        to.number(site.address);
        to.number(site.resume);
        to.number(site.length);
        to.number(site.patch);
    }
    return std::move(to.out);
}

Result<PlanPatches> PlanPatches::decode(std::span<const std::uint8_t> bytes) {
    Reader from(bytes);
    PlanPatches plan;
    plan.stubs_begin_ = from.number<std::uint32_t>();
    plan.stubs_ = from.bytes();
    for (std::uint32_t left = from.count(9); left != 0; --left) {
        Step step;
        step.address = from.number<std::uint32_t>();
        step.guest = from.number<std::uint32_t>();
        step.last = from.number<std::uint8_t>() != 0;
        plan.steps_.push_back(step);
    }
    bool fits = true;
    for (std::uint32_t left = from.count(12); left != 0 && from.ok(); --left) {
        Patch patch;
        patch.begin = from.number<std::uint32_t>();
        patch.end = from.number<std::uint32_t>();
        for (std::uint32_t overlays = from.count(19); overlays != 0 && from.ok(); --overlays) {
            CodeOverlay overlay;
            overlay.offset = from.number<std::uint16_t>();
            overlay.window_begin = from.number<std::uint16_t>();
            overlay.window_end = from.number<std::uint16_t>();
            overlay.evicted_begin = from.number<std::uint16_t>();
            overlay.evicted_end = from.number<std::uint16_t>();
            overlay.breakpoint = from.number<std::uint8_t>() != 0;
            overlay.bytes = from.bytes();
            patch.expected.push_back(from.bytes());
            fits &= overlay.offset + overlay.bytes.size() <= kPageBytes && patch.expected.back().size() == overlay.bytes.size() && overlay.window_end <= kPageBytes &&
                    overlay.window_begin < kPageBytes && overlay.evicted_begin < kPageBytes && overlay.evicted_end <= kPageBytes;
            patch.overlays.push_back(std::move(overlay));
        }
        plan.patches_.push_back(std::move(patch));
    }
    for (std::uint32_t left = from.count(13); left != 0; --left) {
        PlanSite site;
        site.address = from.number<std::uint32_t>();
        site.resume = from.number<std::uint32_t>();
        site.length = from.number<std::uint8_t>();
        site.patch = from.number<std::uint32_t>();
        fits &= site.patch <= plan.patches_.size();
        plan.sites_.push_back(site);
    }
    if (!from.done() || !fits) return fail(ErrorCode::malformed, "found bytes that are no encoded plan");
    plan.index();
    return plan;
}

}  // namespace trapline::executor
