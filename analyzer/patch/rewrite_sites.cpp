// SPDX-License-Identifier: Apache-2.0
// The table of sites, in order of their numbers.
#include "patch/rewrite_sites.h"

#include <algorithm>
#include <map>
#include <string>

#include "patch/rewrite_check.h"

namespace trapline::patch {
namespace {

constexpr std::string_view kMagic = "TRPLSITE";
constexpr std::uint16_t kMajor = 1, kMinor = 0;
constexpr std::uint64_t kHeaderBytes = 0x20, kRecordBytes = 40, kInstructionBytes = 15;

// Above every index that edit_elf admits.
constexpr std::uint32_t kInSetup = 0xFFFE, kInStub = 0xFFFF;

std::uint32_t section_of(const PlannedSite& site, const image::ElfFile& elf) {
    if (site.part == kSetupPart) return kInSetup;
    if (site.part == kStubPart) return kInStub;
    for (std::uint32_t i = 1; i < elf.sections.size(); ++i) {
        const image::ElfSection& section = elf.sections[i];
        if (section.name == site.section && section.type != image::elf::kShtNobits && site.file_offset >= section.offset &&
            site.file_offset - section.offset < section.size)
            return i;
    }
    return 0;
}

}  // namespace

Buffer encode_sites(const PlanDocument& plan, const image::ElfFile& elf) {
    std::vector<const PlannedSite*> sites;
    std::map<std::string, std::uint64_t> operations;
    for (const PlannedSite& site : plan.sites) {
        if (!site.patch) continue;
        sites.push_back(&site);
        operations.emplace(site.operation, 0);
    }
    std::stable_sort(sites.begin(), sites.end(), [](const PlannedSite* a, const PlannedSite* b) { return a->number < b->number; });
    std::uint64_t next = 0;
    for (auto& [name, number] : operations) number = next++;

    Buffer out(kMagic.begin(), kMagic.end());
    put(out, kMajor, 2);
    put(out, kMinor, 2);
    put(out, sites.size(), 4);
    put(out, kRecordBytes, 4);
    put(out, operations.size(), 4);
    put(out, kHeaderBytes + sites.size() * kRecordBytes, 8);
    for (const PlannedSite* site : sites) {
        put(out, site->number, 4);
        put(out, operations[site->operation], 2);
        put(out, section_of(*site, elf), 2);
        put(out, site->address, 8);
        put(out, site->resume, 8);
        put(out, site->bytes.size(), 1);
        put(out, site->bytes);
        out.resize(out.size() + kInstructionBytes - site->bytes.size(), 0);
    }
    for (const auto& [name, number] : operations) {
        out.insert(out.end(), name.begin(), name.end());
        out.push_back(0);
    }
    return out;
}

}  // namespace trapline::patch
