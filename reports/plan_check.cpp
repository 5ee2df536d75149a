// SPDX-License-Identifier: Apache-2.0
// One function for each kind of element. A plan of 10,000 sites is checked by sorting, never by comparing all pairs.
#include "reports/plan_check.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

constexpr std::string_view kStubRange = "stubs";
constexpr std::string_view kAlternative = "alternative";

bool holds(std::uint64_t begin, std::uint64_t size, std::uint64_t address) { return address >= begin && address - begin < size; }

bool is_alternative(const PlanPatch& patch) {
    return std::any_of(patch.writes.begin(), patch.writes.end(), [](const PlanWrite& write) { return write.what == kAlternative; });
}

/// A write or a site as a run of bytes, with the place in the document that it stands at.
struct Run {
    std::string_view part, section;
    std::uint64_t address = 0, file_offset = 0;
    const std::vector<std::uint8_t>* bytes = nullptr;
    std::size_t patch = 0, write = 0;

    std::string pointer(std::string_view member) const { return fmt::format("/patches/{}/writes/{}/{}", patch, write, member); }
};

class Checker {
public:
    Checker(const PlanDocument& plan, const std::string& name) : plan_(plan), name_(name) {}

    Status run() {
        check_parts();
        check_reserved();
        check_stubs();
        check_patches();
        collect_writes();
        check_overlaps();
        for (std::size_t i = 0; i < plan_.sites.size() && status_; ++i) check_site(i);
        return std::move(status_);
    }

private:
    void refuse(std::string pointer, std::string message, ErrorCode code = ErrorCode::inconsistent) {
        if (status_) status_ = tl::unexpected<Error>(Error{code, std::move(message), name_, std::nullopt, std::move(pointer)});
    }

    void check_parts() {
        bool known = plan_.parts.empty();
        for (std::size_t i = 0; i < plan_.parts.size(); ++i) {
            const PlanImage& part = plan_.parts[i];
            if (!parts_.emplace(part.part, &part).second)
                return refuse(fmt::format("/parts/{}/part", i), fmt::format("found a second part \"{}\", expected each once", printable(part.part)));
            known = known || part.sha256 == plan_.sha256;
        }
        if (!known) refuse("/image/sha256", fmt::format("found {}, expected that of a part", printable(plan_.sha256)));
    }

    /// Gives the part of that name; null, and a fault, when the plan has none.
    const PlanImage* find_part(const std::string& part, const std::string& owner) {
        const auto found = parts_.find(part);
        if (found != parts_.end()) return found->second;
        refuse(owner + "/part", fmt::format("found \"{}\", expected one of the {} parts", fitted(printable(part), 40), parts_.size()));
        return nullptr;
    }

    void check_reserved() {
        std::vector<std::size_t> order(plan_.reserved.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return plan_.reserved[a].begin < plan_.reserved[b].begin; });
        for (std::size_t i = 1; i < order.size(); ++i) {
            const ReservedRange &before = plan_.reserved[order[i - 1]], &after = plan_.reserved[order[i]];
            if (after.begin < before.end)
                return refuse(fmt::format("/reserved/{}/begin", order[i]),
                              fmt::format("found {} inside the range up to {}, expected ranges apart", hex_address(after.begin), hex_address(before.end)), ErrorCode::refused);
        }
    }

    void check_stubs() {
        const bool fixed = std::none_of(plan_.parts.begin(), plan_.parts.end(), [](const PlanImage& part) { return part.relocatable; });
        for (std::size_t i = 0; i < plan_.stubs.size() && status_; ++i) {
            const PlanStub& stub = plan_.stubs[i];
            const std::string place = fmt::format("/stubs/{}/address", i);
            if (i > 0 && stub.address - plan_.stubs[i - 1].address < plan_.stubs[i - 1].bytes.size())
                return refuse(place, fmt::format("found {} inside the stub before, expected stubs apart", hex_address(stub.address)), ErrorCode::refused);
            if (i > 0 && stub.address < plan_.stubs[i - 1].address)
                return refuse(place, fmt::format("found {} behind {}, expected stubs in order", hex_address(stub.address), hex_address(plan_.stubs[i - 1].address)));
            const bool reserved = std::any_of(plan_.reserved.begin(), plan_.reserved.end(), [&](const ReservedRange& range) {
                return (range.what == kStubRange || range.what == kBootStubRange) && stub.address >= range.begin && stub.address <= range.end && range.end - stub.address >= stub.bytes.size();
            });
            for (std::size_t f = 0; f < stub.fixups.size(); ++f) {
                if (stub.fixups[f].kind != FixupKind::stub_address) continue;
                const std::uint32_t held = ByteView(stub.bytes).get<std::uint32_t>(stub.fixups[f].offset).value_or(0);
                if (held - static_cast<std::uint32_t>(stub.address) > stub.bytes.size())
                    return refuse(fmt::format("/stubs/{}/fixups/{}/kind", i, f),
                                  fmt::format("found \"stub-address\" for a field that holds {}, expected an address in the stub", hex_address(held)));
            }
            if (fixed && !reserved)
                refuse(place, fmt::format("found {} with {} bytes, expected a stub inside a range reserved for stubs", hex_address(stub.address), stub.bytes.size()));
        }
    }

    void check_patches() {
        std::vector<bool> led_to(plan_.stubs.size());
        for (std::size_t i = 0; i < plan_.patches.size() && status_; ++i) {
            const PlanPatch& patch = plan_.patches[i];
            const std::string place = fmt::format("/patches/{}", i);
            find_part(patch.part, place);
            for (std::size_t s = 0; s < patch.stubs.size(); ++s) {
                if (patch.stubs[s] >= plan_.stubs.size())
                    return refuse(fmt::format("{}/stubs/{}", place, s), fmt::format("found {}, expected one of {} stubs", patch.stubs[s], plan_.stubs.size()));
                if (is_boot_stub(plan_, plan_.stubs[patch.stubs[s]]) != (patch.part == "stub"))
                    return refuse(fmt::format("{}/stubs/{}", place, s), fmt::format("found {} of another part: those in the range {} are for the part \"stub\", all others are not",
                                                                                    patch.stubs[s], kBootStubRange));
                led_to[patch.stubs[s]] = true;
            }
            for (std::size_t m = 0; m < patch.moved.size(); ++m)
                if (!in_stubs(patch, patch.moved[m].to, 0))
                    return refuse(fmt::format("{}/moved/{}/to", place, m), fmt::format("found {}, expected an address inside a stub of the patch", hex_address(patch.moved[m].to)));
            const PlanWrite& last = patch.writes.back();
            if (!is_alternative(patch) && last.address != patch.begin)
                return refuse(fmt::format("{}/writes/{}/address", place, patch.writes.size() - 1),
                              fmt::format("found {} in the last write, expected begin, {}", hex_address(last.address), hex_address(patch.begin)));
            const bool one_word = patch.writes.size() == 1 && last.address / 8 == (last.address + (last.new_bytes.size() - 1)) / 8;
            if (patch.atomic && !one_word) refuse(place + "/atomic", "found true, expected false: it is not one write inside one aligned 8-byte word");
        }
        for (std::size_t i = 0; i < led_to.size(); ++i)
            if (!led_to[i]) return refuse(fmt::format("/stubs/{}", i), "found a stub that no patch leads to, expected none");
    }

    /// Whether an address lies in a stub of the patch, or up to `slack` bytes behind one.
    bool in_stubs(const PlanPatch& patch, std::uint64_t address, std::uint64_t slack) const {
        return std::any_of(patch.stubs.begin(), patch.stubs.end(), [&](std::uint32_t index) {
            const PlanStub& stub = plan_.stubs[index];
            return holds(stub.address, stub.bytes.size() + slack, address);
        });
    }

    void collect_writes() {
        for (std::size_t i = 0; i < plan_.patches.size() && status_; ++i)
            for (std::size_t w = 0; w < plan_.patches[i].writes.size() && status_; ++w) {
                const PlanWrite& write = plan_.patches[i].writes[w];
                const Run run{plan_.patches[i].part, write.section, write.address, write.file_offset, &write.new_bytes, i, w};
                const std::uint64_t last = write.new_bytes.size() - 1, top = ~std::uint64_t{0};
                if (top - write.address < last) return refuse(run.pointer("address"), fmt::format("found {} with {} bytes, which passes the end of the address space", hex_address(write.address), last + 1));
                const PlanImage& part = *parts_.at(plan_.patches[i].part);
                if (top - write.file_offset < last || (part.size != 0 && (write.file_offset > part.size || part.size - write.file_offset < last + 1)))
                    return refuse(run.pointer("file_offset"), fmt::format("found {} with {} bytes, expected a place inside the {} bytes of the file", write.file_offset, last + 1, part.size));
                check_section(run, run.pointer("address"));
                writes_.push_back(run);
            }
    }

    /// In a file at fixed addresses a section begins at one address and at one place of the file.
    void check_section(const Run& run, std::string pointer) {
        if (parts_.at(std::string(run.part))->relocatable) return;
        const std::uint64_t begin = run.address - run.file_offset;
        const auto [known, added] = sections_.try_emplace({run.part, run.section}, begin);
        if (!added && known->second != begin)
            refuse(std::move(pointer), fmt::format("found {} at file offset {}, expected {} there as elsewhere in section {}", hex_address(run.address), run.file_offset,
                                                   hex_address(known->second + run.file_offset), fitted(printable(run.section), 40)));
    }

    void check_overlaps() {
        std::sort(writes_.begin(), writes_.end(), [](const Run& a, const Run& b) {
            return std::tie(a.part, a.file_offset, a.patch, a.write) < std::tie(b.part, b.file_offset, b.patch, b.write);
        });
        for (std::size_t i = 1; i < writes_.size(); ++i) {
            const Run &before = writes_[i - 1], &after = writes_[i];
            if (before.part == after.part && after.file_offset - before.file_offset < before.bytes->size())
                return refuse(after.pointer("file_offset"), fmt::format("found {} inside the {} bytes that patch {} writes at {}, expected writes apart", after.file_offset,
                                                                         before.bytes->size(), before.patch, before.file_offset), ErrorCode::refused);
        }
    }

    void check_site(std::size_t index) {
        const PlannedSite& site = plan_.sites[index];
        const std::string place = fmt::format("/sites/{}", index);
        if (site.number != index) return refuse(place + "/number", fmt::format("found {}, expected {}: sites are numbered in order", site.number, index));
        const PlanImage* part = find_part(site.part, place);
        if (part == nullptr) return;
        if (~std::uint64_t{0} - site.file_offset < site.bytes.size() || (part->size != 0 && (site.file_offset > part->size || part->size - site.file_offset < site.bytes.size())))
            return refuse(place + "/file_offset", fmt::format("found {} with {} bytes, expected a place inside the {} bytes of the file", site.file_offset, site.bytes.size(), part->size));
        check_section({site.part, site.section, site.address, site.file_offset, &site.bytes, 0, 0}, place + "/address");
        if (!site.patch) {
            if (has_patch(site.technique) && !plan_.patches.empty())
                refuse(place + "/patch", fmt::format("found null beside technique \"{}\", expected the number of a patch", to_string(site.technique)));
            if (site.resume != 0) refuse(place + "/resume", "found an address beside no patch, expected null");
            return;
        }
        if (*site.patch >= plan_.patches.size()) return refuse(place + "/patch", fmt::format("found {}, expected one of {} patches", *site.patch, plan_.patches.size()));
        check_patched_site(site, plan_.patches[*site.patch], place);
    }

    void check_patched_site(const PlannedSite& site, const PlanPatch& patch, const std::string& place) {
        if (site.technique != patch.technique)
            return refuse(place + "/technique", fmt::format("found \"{}\", expected \"{}\" as patch {} has", to_string(site.technique), to_string(patch.technique), *site.patch));
        if (site.part != patch.part)
            return refuse(place + "/part", fmt::format("found \"{}\", expected \"{}\" as patch {} has", printable(site.part), printable(patch.part), *site.patch));
        if (site.resume != 0 && !in_stubs(patch, site.resume, 1))
            return refuse(place + "/resume", fmt::format("found {}, expected an address in a stub of patch {}", hex_address(site.resume), *site.patch));
        bool covered = is_alternative(patch);
        for (const PlanWrite& write : patch.writes) {
            covered = covered || (write.section == site.section && holds(write.file_offset, write.old_bytes.size(), site.file_offset));
            // Both runs end below 2^64: check_site and collect_writes have looked.
            const std::uint64_t begin = std::max(write.file_offset, site.file_offset);
            const std::uint64_t end = std::min(write.file_offset + write.old_bytes.size(), site.file_offset + site.bytes.size());
            for (std::uint64_t at = begin; at < end; ++at)
                if (write.old_bytes[at - write.file_offset] != site.bytes[at - site.file_offset])
                    return refuse(place + "/bytes", fmt::format("found {}, expected {:02x} at {} as patch {} finds", to_hex(site.bytes), write.old_bytes[at - write.file_offset],
                                                                hex_address(site.address + (at - site.file_offset)), *site.patch));
        }
        if (!covered) refuse(place + "/patch", fmt::format("found {}, which writes nothing over {}", *site.patch, hex_address(site.address)));
    }

    const PlanDocument& plan_;
    const std::string& name_;
    Status status_;
    std::map<std::string, const PlanImage*> parts_;
    std::map<std::pair<std::string_view, std::string_view>, std::uint64_t> sections_;  // part, section -> address - file offset
    std::vector<Run> writes_;
};

}  // namespace

Status check_plan_document(const PlanDocument& plan, const std::string& name) { return Checker(plan, name).run(); }

}  // namespace trapline::reports
