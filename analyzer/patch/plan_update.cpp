// SPDX-License-Identifier: Apache-2.0
// Places against an image's bytes; what agrees is the image's, wherever the guest has moved it.
#include "patch/plan_update.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "decode/decoder.h"
#include "decode/instruction_decoder.h"
#include "patch/planned_site.h"
#include "scan/finding_writer.h"

namespace trapline::patch {
namespace {

constexpr std::uint64_t kPage = 4096;
/// Loaders move images by whole pages. So many sites that agree on a distance are no accident.
constexpr unsigned kAgreeing = 8;
/// Of a made-up plan whose sites all look alike.
constexpr std::size_t kMostCandidates = 64;
constexpr std::array<Technique, 4> kCheaper = {Technique::inline_code, Technique::direct, Technique::absorb, Technique::springboard};
constexpr std::uint8_t kInt3 = 0xCC;
/// More than any image lacks; a monitor that lies must not make a plan without end.
constexpr std::uint64_t kMostAdded = 10'000;

std::uint64_t add_saturated(std::uint64_t a, std::uint64_t b) { return a > ~std::uint64_t{0} - b ? ~std::uint64_t{0} : a + b; }

using Runs = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

/// Half-open runs of addresses that patches change, or from which they move code away.
Runs taken_runs(const PlanDocument& plan, const std::string& part) {
    Runs runs;
    for (const PlanPatch& patch : plan.patches) {
        if (patch.part != part) continue;
        runs.emplace_back(patch.begin, patch.end);
        for (const PlanWrite& write : patch.writes) runs.emplace_back(write.address, write.address + write.new_bytes.size());
    }
    return runs;
}

}  // namespace

/// One image with what is known of it.
struct PlanUpdater::Part {
    const image::Image& image;
    const std::string& name;
    scan::TableContext tables;
    scan::FindingWriter writer;
    std::unique_ptr<decode::Reconciler> decoder;
    std::map<std::uint64_t, std::uint32_t> sites;      ///< of the plan, by address
    std::map<std::uint64_t, std::uint64_t> executed;   ///< new ones
    std::map<image::SectionIndex, std::unique_ptr<scan::SectionCode>> sections;
    std::vector<std::uint64_t> distances;              ///< by which the guest may have moved the image: to add to the file's addresses
    Runs taken;                                        ///< by patches that the plan had
    std::uint64_t mask = ~std::uint64_t{0};            ///< of linear addresses

    Part(const image::Image& the_image, const std::string& the_name, const classify::TagTable& tags, const isa::Database& database)
        : image(the_image), name(the_name), tables(the_image), writer(the_image, tags, tables), decoder(std::make_unique<decode::Reconciler>(database, tags.profile())) {
        if (image.architecture == "i386") mask = 0xFFFFFFFF;
    }

    const scan::SectionCode& code(image::SectionIndex index) {
        auto& section = sections[index];
        if (section == nullptr) section = std::make_unique<scan::SectionCode>(image.sections[index], index);
        return *section;
    }

    /// The field that a loader fills, because it has moved the image, in which a byte lies; null outside of any.
    const image::RelocationSlot* find_slot(image::SectionIndex section, std::uint64_t address) const {
        const auto behind = std::upper_bound(image.slots.begin(), image.slots.end(), std::pair(section, VirtAddr{address}), [](const auto& place, const image::RelocationSlot& slot) {
            return place < std::pair(slot.section, slot.address);
        });
        return behind != image.slots.begin() && behind[-1].section == section && address - behind[-1].address.value < behind[-1].size ? &behind[-1] : nullptr;
    }

    /// Whether memory holds the instruction that the file has, but for addresses in it that have moved as the image may have.
    bool holds(const ExecutedPlace& place, const scan::SectionCode& code, std::uint64_t offset, std::size_t length) const {
        if (length == 0 || length > place.bytes.size()) return false;
        const ByteView memory(Bytes(place.bytes).first(length)), file(code.bytes.subspan(offset, length));
        for (std::size_t at = 0; at < length;) {
            const std::uint64_t address = code.address_of(offset + at).value;
            const image::RelocationSlot* const slot = at == 0 ? nullptr : find_slot(code.index, address);
            if (slot == nullptr || slot->address.value != address || slot->size != 4 || length - at < 4) {
                if (*memory.get<std::uint8_t>(at) != *file.get<std::uint8_t>(at)) return false;
                ++at;
                continue;
            }
            const std::uint64_t moved = *memory.get<std::uint32_t>(at) - std::uint64_t{*file.get<std::uint32_t>(at)};
            if (std::none_of(distances.begin(), distances.end(), [&](std::uint64_t one) { return ((moved - one) & mask) == 0 || ((moved + one) & mask) == 0; })) return false;
            at += 4;
        }
        return true;
    }

    /// Sets `distances` from the places that the plan knows.
    void find_distances(const PlanDocument& plan, const std::vector<ExecutedPlace>& places) {
        std::map<std::uint64_t, std::vector<std::uint32_t>> by_offset;
        for (const auto& [address, number] : sites) by_offset[address % kPage].push_back(number);
        std::map<std::uint64_t, unsigned> votes;
        for (const ExecutedPlace& place : places) {
            const auto candidates = by_offset.find(place.address % kPage);
            if (candidates == by_offset.end() || candidates->second.size() > kMostCandidates) continue;
            for (const std::uint32_t number : candidates->second) {
                const PlannedSite& site = plan.sites[number];
                if (site.bytes.size() <= place.bytes.size() && std::equal(site.bytes.begin(), site.bytes.end(), place.bytes.begin())) ++votes[(place.address - site.address) & mask];
            }
        }
        // Where it was linked, and before paging where it was loaded.
        votes[0] += kAgreeing;
        if (image.physical_offset != 0) votes[(0 - image.physical_offset) & mask] += kAgreeing;
        for (const auto& [distance, count] : votes)
            if (count >= kAgreeing) distances.push_back(distance);
        std::stable_sort(distances.begin(), distances.end(), [&](std::uint64_t a, std::uint64_t b) { return votes[a] > votes[b]; });
    }
};

PlanUpdater::PlanUpdater(PlanDocument& plan, const isa::Database& database, const classify::TagTable& tags, const isa::Abi& abi, std::vector<ExecutedPlace> places)
    : plan_(plan), database_(database), tags_(tags), abi_(abi), places_(std::move(places)) {
    std::sort(places_.begin(), places_.end(), [](const ExecutedPlace& a, const ExecutedPlace& b) { return std::tie(a.address, a.bytes) < std::tie(b.address, b.bytes); });
}

void PlanUpdater::add(const image::Image& image, const std::string& part) {
    const bool planned = std::any_of(plan_.parts.begin(), plan_.parts.end(), [&](const PlanImage& one) { return one.part == part; });
    if (image.relocatable || !planned) return;
    Part here(image, part, tags_, database_);
    here.taken = taken_runs(plan_, part);
    for (const PlannedSite& site : plan_.sites)
        if (site.part == part) here.sites.emplace(site.address, site.number);
    here.find_distances(plan_, places_);
    std::vector<ExecutedPlace> others;
    for (ExecutedPlace& place : places_) {
        bool is_ours = false, is_changed = false;
        for (const std::uint64_t distance : here.distances) {
            const std::uint64_t address = (place.address - distance) & here.mask;
            const auto index = image.find_section(VirtAddr{address});
            if (!index || image.sections[*index].width == image::CodeWidth::bits16) continue;
            const scan::SectionCode& code = here.code(*index);
            const std::uint64_t offset = address - code.section->address.value;
            const std::size_t length = here.decoder->decoder().decode(code.window(offset), code.mode).length;
            is_ours = here.holds(place, code, offset, length);
            if (is_ours) {
                take(here, place, address);
                break;
            }
            is_changed = is_changed || distance == here.distances.front();
        }
        if (is_ours) continue;
        if (is_changed) ++update_.changed;
        else others.push_back(std::move(place));
    }
    places_ = std::move(others);
    for (const auto& [address, executions] : here.executed) add_site(here, address, executions);
}

void PlanUpdater::take(Part& part, const ExecutedPlace& place, std::uint64_t address) {
    if (const auto known = part.sites.find(address); known != part.sites.end()) {
        PlannedSite& site = plan_.sites[known->second];
        site.executions = add_saturated(site.executions, place.executions);
        ++update_.known;
        return;
    }
    std::uint64_t& executions = part.executed[address];
    executions = add_saturated(executions, place.executions);
}

void PlanUpdater::add_site(Part& part, std::uint64_t address, std::uint64_t executions) {
    if (update_.added == kMostAdded) {
        ++update_.left_out;
        return;
    }
    const image::SectionIndex index = *part.image.find_section(VirtAddr{address});
    const scan::SectionCode& code = part.code(index);
    auto finding = part.writer.write(code, address - code.section->address.value, Evidence::executed, *part.decoder);
    if (!finding || (!finding->critical && finding->privileged == "no")) {
        ++update_.harmless;
        return;
    }
    finding->part = part.name;
    PlannedSite site = planned_site(*finding, database_, abi_);
    site.number = static_cast<std::uint32_t>(plan_.sites.size());
    site.executions = executions;
    for (const Technique technique : kCheaper) site.refused.push_back({technique, "a run has met it where the scan has not: what leads here and what stands around it is not proved"});
    site.fallback = site.critical ? Technique::breakpoint : Technique::trap;
    site.technique = Technique::trap;
    site.why = trap_reason(site);
    if (site.critical) choose_breakpoint(part, *finding, index, site);
    estimate(costs_, site, 0, false);
    plan_.sites.push_back(std::move(site));
    ++update_.added;
}

void PlanUpdater::choose_breakpoint(Part& part, const Finding& finding, std::uint32_t section, PlannedSite& site) {
    // As for the tactic of this name: what checks its own bytes, or has none to spare, must not find an INT3.
    constexpr std::array kRewritten = {image::TableKind::jump_label, image::TableKind::static_call, image::TableKind::static_call_trampoline, image::TableKind::function_trace};
    std::string refusal;
    for (const image::TableKind kind : kRewritten)
        if (std::any_of(finding.context.begin(), finding.context.end(), [&](const FindingContext& one) { return one.kind == image::to_string(kind); }))
            refusal = fmt::format("the kernel checks and rewrites its bytes ({})", image::to_string(kind));
    if (!part.image.sections[section].executable) refusal = "the file has it among data, which the guest may read";
    if (part.find_slot(section, site.address) != nullptr) refusal = "a relocation fills its first byte";
    if (std::any_of(part.taken.begin(), part.taken.end(), [&](const auto& run) { return site.address >= run.first && site.address < run.second; })) refusal = "another patch has taken the room";
    if (!refusal.empty()) {
        site.refused.push_back({Technique::breakpoint, refusal});
        site.technique = Technique::unplanned;
        site.why = "Nothing fits: " + refusal + ".";
        return;
    }
    PlanPatch patch;
    patch.technique = Technique::breakpoint;
    patch.part = part.name;
    patch.begin = site.address;
    patch.end = site.address + 1;
    patch.writes.push_back({site.section, site.address, site.file_offset, {site.bytes.front()}, {kInt3}, "breakpoint"});
    patch.evidence = {"one byte, the instruction's first", "a run has executed it as this instruction"};
    patch.atomic = true;
    // By part and begin: those behind move up, and the sites that name them follow.
    const auto order = [&](const PlanPatch& one) {
        const auto found = std::find_if(plan_.parts.begin(), plan_.parts.end(), [&](const PlanImage& image) { return image.part == one.part; });
        return std::pair(found - plan_.parts.begin(), one.begin);
    };
    const auto behind = std::find_if(plan_.patches.begin(), plan_.patches.end(), [&](const PlanPatch& one) { return order(one) > order(patch); });
    const auto index = static_cast<std::uint32_t>(behind - plan_.patches.begin());
    plan_.patches.insert(behind, std::move(patch));
    for (PlannedSite& other : plan_.sites)
        if (other.patch && *other.patch >= index) ++*other.patch;
    site.patch = index;
    site.technique = Technique::breakpoint;
    site.why = "A run has met it where the scan has not, so only its first byte is changed.";
}

PlanUpdate PlanUpdater::finish() {
    update_.elsewhere += places_.size();
    places_.clear();
    plan_.by_technique.clear();
    for (const PlannedSite& site : plan_.sites) ++plan_.by_technique[std::string(to_string(site.technique))];
    return update_;
}

}  // namespace trapline::patch
