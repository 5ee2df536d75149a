// SPDX-License-Identifier: Apache-2.0
#include "executor/hypercall/plan_patches.h"

#include <fmt/format.h>

#include <algorithm>

#include "trapline_abi.h"

namespace trapline::executor {
namespace {

constexpr std::string_view kAbi = "trapline", kMode = "32";
constexpr std::uint8_t kInt3 = 0xCC;

/// Whether the instruction at an address has been moved to a stub of the patch.
bool is_moved(const PlanDocument& plan, const PlanPatch& patch, std::uint64_t address) {
    return std::any_of(patch.stubs.begin(), patch.stubs.end(), [&](std::uint32_t number) {
        const auto& steps = plan.stubs[number].steps;
        return std::any_of(steps.begin(), steps.end(), [&](const StubStep& step) { return step.guest_address == address; });
    });
}

}  // namespace

Result<PlanPatches> PlanPatches::create(const PlanDocument& plan) {
    if (plan.abi != kAbi) return fail(ErrorCode::inconsistent, fmt::format("found a plan for the interface {}, expected {}", plan.abi, kAbi));
    const std::string major = fmt::format("{}.", TRAPLINE_ABI_MAJOR);
    if (plan.abi_version.rfind(major, 0) != 0)
        return fail(ErrorCode::inconsistent, fmt::format("found a plan for version {} of the interface, expected {}x: plan the image again", plan.abi_version, major));
    PlanPatches result;
    // The last part of a plan is the kernel itself; setup and decompressor run before it, at addresses of their own.
    const std::string kernel = plan.parts.empty() ? std::string() : plan.parts.back().part;
    std::vector<const PlanStub*> stubs;
    std::vector<bool> elsewhere(plan.stubs.size(), false);
    for (const PlanPatch& patch : plan.patches)
        for (const std::uint32_t stub : patch.stubs)
            if (stub < elsewhere.size() && patch.part != kernel) elsewhere[stub] = true;
    for (std::size_t i = 0; i < plan.stubs.size(); ++i)
        if (!elsewhere[i]) stubs.push_back(&plan.stubs[i]);
    std::uint64_t begin = TRAPLINE_32_STUBS_END, end = 0;
    for (const PlanStub* const one : stubs) {
        const PlanStub& stub = *one;
        begin = std::min(begin, stub.address);
        end = std::max(end, stub.address + stub.bytes.size());
    }
    if (end != 0) {
        if (begin < TRAPLINE_32_STUBS_BEGIN || end > TRAPLINE_32_STUBS_END)
            return fail(ErrorCode::inconsistent, fmt::format("found stubs at {:#x} to {:#x}, expected them from {:#x} to {:#x}", begin, end, TRAPLINE_32_STUBS_BEGIN, TRAPLINE_32_STUBS_END));
        result.stubs_begin_ = static_cast<std::uint32_t>(begin);
        result.stubs_.assign(end - begin, kInt3);
    }
    for (const PlanStub* const one : stubs) {
        const PlanStub& stub = *one;
        std::copy(stub.bytes.begin(), stub.bytes.end(), result.stubs_.begin() + static_cast<std::ptrdiff_t>(stub.address - begin));
        for (const StubStep& step : stub.steps)
            result.steps_.push_back({static_cast<std::uint32_t>(stub.address + step.offset), static_cast<std::uint32_t>(step.guest_address), &step == &stub.steps.back()});
    }
    std::sort(result.steps_.begin(), result.steps_.end(), [](const Step& a, const Step& b) { return a.address < b.address; });

    // The guest reads the host's time-stamp counter itself: a patch for that alone would only cost.
    std::vector<bool> needed(plan.patches.size(), false);
    for (const PlannedSite& site : plan.sites)
        if (site.patch && site.operation != "read_time") needed[*site.patch] = true;
    std::vector<std::uint32_t> numbers(plan.patches.size(), 0);  // index + 1 in patches_
    for (std::size_t i = 0; i < plan.patches.size(); ++i) {
        const PlanPatch& patch = plan.patches[i];
        if (patch.part != kernel || patch.writes.empty() || !needed[i]) continue;
        Patch taken{.begin = static_cast<std::uint32_t>(patch.begin), .end = static_cast<std::uint32_t>(patch.end), .overlays = {}, .expected = {}};
        const auto page = static_cast<std::uint32_t>(patch.writes.front().address / kPageBytes);
        bool one_page = patch.begin / kPageBytes == page && (patch.end - 1) / kPageBytes == page;
        std::uint16_t evicted_begin = 0, evicted_end = 0;
        for (const PlanWrite& write : patch.writes) {
            one_page = one_page && write.address / kPageBytes == page && (write.address + write.new_bytes.size() - 1) / kPageBytes == page && write.address <= 0xFFFFFFFF;
            if (!one_page) break;
            CodeOverlay overlay;
            overlay.offset = static_cast<std::uint16_t>(write.address % kPageBytes);
            overlay.bytes = write.new_bytes;
            overlay.breakpoint = write.what == "breakpoint";
            if (write.what == "springboard" && is_moved(plan, patch, write.address)) {
                evicted_begin = overlay.offset;
                evicted_end = static_cast<std::uint16_t>(overlay.offset + overlay.bytes.size());
            }
            taken.overlays.push_back(std::move(overlay));
            taken.expected.push_back(write.old_bytes);
        }
        // A patch whose parts lie on two pages could be half in force; its site stays a breakpoint. So does one in a
        // replacement of an alternative, which is data until the guest copies it (and then it is code of another page).
        if (!one_page) continue;
        for (CodeOverlay& overlay : taken.overlays) {
            overlay.window_begin = static_cast<std::uint16_t>(taken.begin % kPageBytes);
            overlay.window_end = static_cast<std::uint16_t>(taken.end - (taken.begin - taken.begin % kPageBytes));
            overlay.evicted_begin = evicted_begin;
            overlay.evicted_end = evicted_end;
        }
        result.patches_.push_back(std::move(taken));
        numbers[i] = static_cast<std::uint32_t>(result.patches_.size());
    }
    for (const PlannedSite& site : plan.sites) {
        PlanSite taken{static_cast<std::uint32_t>(site.address), static_cast<std::uint32_t>(site.resume), static_cast<std::uint8_t>(site.bytes.size()), site.patch ? numbers[*site.patch] : 0, 0};
        // Behind an instruction that says itself where control goes, the stub has nothing that stands for the next one.
        if (const auto place = result.locate(taken.resume); !place || !place->exact || place->guest != taken.address + taken.length) taken.resume = 0;
        if (site.part != kernel) taken.patch = 0;
        result.sites_.push_back(taken);
    }
    result.index();
    return result;
}

void PlanPatches::index() {
    for (std::uint32_t i = 0; i < patches_.size(); ++i) pages_[patches_[i].begin / kPageBytes].push_back(i);
    for (std::uint32_t i = 0; i < sites_.size(); ++i)
        if (sites_[i].patch != 0) site_at_.emplace(sites_[i].address, i);
}

std::vector<std::uint32_t> PlanPatches::pages() const {
    std::vector<std::uint32_t> pages;
    for (const auto& [page, patches] : pages_) pages.push_back(page);
    return pages;
}

std::span<const CodeOverlay* const> PlanPatches::overlays(std::uint32_t linear_page, std::span<const std::uint8_t> page) {
    found_.clear();
    const auto patches = pages_.find(linear_page);
    if (patches == pages_.end()) return {};
    for (const std::uint32_t index : patches->second) {
        const Patch& patch = patches_[index];
        if (!patch.on) continue;
        bool fits = true;
        for (std::size_t i = 0; i < patch.overlays.size() && fits; ++i)
            fits = std::equal(patch.expected[i].begin(), patch.expected[i].end(), page.begin() + patch.overlays[i].offset);
        if (!fits) continue;
        for (const CodeOverlay& overlay : patch.overlays) found_.push_back(&overlay);
    }
    return found_;
}

void PlanPatches::set_all(bool on) {
    for (Patch& patch : patches_) patch.on = on;
}

std::optional<std::uint32_t> PlanPatches::count_execution(std::uint32_t linear, unsigned threshold) {
    const auto found = site_at_.find(linear);
    if (found == site_at_.end()) return std::nullopt;
    PlanSite& site = sites_[found->second];
    Patch& patch = patches_[site.patch - 1];
    if (patch.on || ++site.executions < threshold) return std::nullopt;
    // The page has to be prepared again anyway, which costs more than all its patches.
    const std::uint32_t page = linear / kPageBytes;
    for (const std::uint32_t index : pages_[page]) patches_[index].on = true;
    return page;
}

std::optional<PlanPatches::Place> PlanPatches::locate(std::uint32_t linear) const {
    const auto above = std::upper_bound(steps_.begin(), steps_.end(), linear, [](std::uint32_t address, const Step& step) { return address < step.address; });
    if (above == steps_.begin() || !is_stub(linear)) return std::nullopt;
    const Step& step = above[-1];
    return Place{step.guest, step.address == linear, step.last || above == steps_.end() ? 0 : above->guest};
}

}  // namespace trapline::executor
