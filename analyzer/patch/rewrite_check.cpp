// SPDX-License-Identifier: Apache-2.0
// The checks, each a function with one kind of refusal.
#include "patch/rewrite_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "image/bzimage.h"
#include "image/digest.h"

namespace trapline::patch {
namespace {

// Both interfaces that the project knows reserve at most 32 MiB; a gap beyond that is a damaged address, not a design.
constexpr std::uint64_t kMaxStubArea = std::uint64_t{64} << 20;
constexpr std::uint64_t kLongestInstruction = 15;
constexpr std::uint8_t kInt3 = 0xCC;
constexpr std::uint64_t kSetupHeader = 0x1F1;

// A range of addresses; `end` may be 0 at the top of 64 bits, so lengths are compared, never ends.
bool inside(std::uint64_t address, std::uint64_t size, std::uint64_t begin, std::uint64_t range) {
    return address >= begin && address - begin <= range && range - (address - begin) >= size;
}

bool disjoint(std::uint64_t a, std::uint64_t a_size, std::uint64_t b, std::uint64_t b_size) { return a < b ? b - a >= a_size : a - b >= b_size; }

Status check_identity(const PlanDocument& plan, const std::string& sha256, const std::string& name) {
    if (plan.sha256 == sha256) return {};
    // The plan of a bzImage names its parts; its own hash is the payload's.
    const std::string described = plan.image.empty() ? plan.sha256 : fmt::format("{} ({})", plan.sha256, plan.image);
    return fail(ErrorCode::inconsistent, fmt::format("found an image with sha256 {}, the plan is for {}", sha256, described), name);
}

Status check_references(const PlanDocument& plan, const std::string& name) {
    for (std::size_t i = 0; i < plan.patches.size(); ++i)
        for (const std::uint32_t stub : plan.patches[i].stubs)
            if (stub >= plan.stubs.size())
                return fail(ErrorCode::malformed, fmt::format("plan: patch {} refers to stub {} of {}", i, stub, plan.stubs.size()), name);
    for (std::size_t i = 0; i < plan.sites.size(); ++i) {
        const PlannedSite& site = plan.sites[i];
        if (site.patch && *site.patch >= plan.patches.size())
            return fail(ErrorCode::malformed, fmt::format("plan: site {} refers to patch {} of {}", i, *site.patch, plan.patches.size()), name);
        if (site.bytes.size() > kLongestInstruction)
            return fail(ErrorCode::malformed, fmt::format("plan: site {} has {} bytes, an instruction has at most 15", i, site.bytes.size()), name);
    }
    for (std::size_t i = 0; i < plan.stubs.size(); ++i)
        for (const StubFixup& fixup : plan.stubs[i].fixups)
            if (!inside(fixup.offset, 4, 0, plan.stubs[i].bytes.size()))
                return fail(ErrorCode::malformed,
                            fmt::format("plan: stub {} has a fixup at {:#x}, outside its {} bytes", i, fixup.offset, plan.stubs[i].bytes.size()), name);
    return {};
}

bool holds(const image::ElfSection& section, const PlanWrite& write) {
    return section.type != image::elf::kShtNull && section.type != image::elf::kShtNobits &&
           inside(write.file_offset, write.new_bytes.size(), section.offset, section.size);
}

Result<std::uint32_t> find_section_of(const PlanWrite& write, const image::ElfFile& elf, const std::string& name) {
    // Modules may have several sections of one name: the place decides.
    bool named = false;
    for (std::uint32_t i = 1; i < elf.sections.size(); ++i) {
        const image::ElfSection& section = elf.sections[i];
        if (section.name != write.section) continue;
        named = true;
        if (!holds(section, write)) continue;
        const std::uint64_t base = elf.type == image::elf::kEtRel ? 0 : section.address;
        if (base + (write.file_offset - section.offset) != write.address)
            return fail(ErrorCode::inconsistent,
                        fmt::format("plan: the write at {:#x} is planned for file offset {:#x}, which is {:#x} in section {}", write.address, write.file_offset,
                                    base + (write.file_offset - section.offset), write.section),
                        name, write.file_offset);
        if ((section.flags & image::elf::kShfAlloc) == 0)
            return fail(ErrorCode::refused, fmt::format("plan: section {} at {:#x} is no part of the loaded image", write.section, write.address), name,
                        write.file_offset);
        return i;
    }
    if (!named) return fail(ErrorCode::inconsistent, fmt::format("plan: writes to section {}, the file has none of that name", write.section), name);
    return fail(ErrorCode::refused,
                fmt::format("plan: the write of {} bytes at {:#x} (file offset {:#x}) lies outside section {}", write.new_bytes.size(), write.address,
                            write.file_offset, write.section),
                name, write.file_offset);
}

Status check_bytes(const PlanWrite& write, bool relocatable, Bytes file, const std::string& name) {
    if (write.new_bytes.empty() || write.old_bytes.size() != write.new_bytes.size())
        return fail(ErrorCode::malformed,
                    fmt::format("plan: the write at {:#x} has {} old and {} new bytes, expected as many and at least one", write.address,
                                write.old_bytes.size(), write.new_bytes.size()),
                    name);
    const auto found = ByteView(file).slice(write.file_offset, write.old_bytes.size());
    if (!found) return fail(ErrorCode::refused, fmt::format("plan: the write at {:#x} passes the end of the file", write.address), name, write.file_offset);
    if (relocatable && is_replacement_offset(write)) return {};  // a relocation fills it: add_relocations compares
    if (!std::equal(found->begin(), found->end(), write.old_bytes.begin()))
        return fail(ErrorCode::inconsistent,
                    fmt::format("at {:#x} in {}: found bytes {}, the plan expects {}", write.address, write.section, to_hex(*found), to_hex(write.old_bytes)),
                    name, write.file_offset);
    return {};
}

// By file offset; fails when two share a byte.
Status sort_apart(std::vector<CheckedWrite>& writes, const std::string& name) {
    std::sort(writes.begin(), writes.end(), [](const CheckedWrite& a, const CheckedWrite& b) { return a.write->file_offset < b.write->file_offset; });
    for (std::size_t i = 1; i < writes.size(); ++i) {
        const PlanWrite& before = *writes[i - 1].write;
        const PlanWrite& after = *writes[i].write;
        if (after.file_offset - before.file_offset < before.new_bytes.size())
            return fail(ErrorCode::refused,
                        fmt::format("plan: the writes at {:#x} (+{}) and {:#x} (+{}) overlap", before.address, before.new_bytes.size(), after.address,
                                    after.new_bytes.size()),
                        name, after.file_offset);
    }
    return {};
}

Status check_place(const PlanWrite& write, const image::Image& part, const std::string& name) {
    for (const image::Section& section : part.sections) {
        if (section.name != write.section || !inside(write.file_offset, write.new_bytes.size(), section.file_offset.value, section.bytes.size())) continue;
        const std::uint64_t address = section.address.value + (write.file_offset - section.file_offset.value);
        if (address == write.address) return {};
        return fail(ErrorCode::inconsistent,
                    fmt::format("plan: the write at {:#x} is planned for file offset {:#x}, which is {:#x} in section {}", write.address, write.file_offset,
                                address, write.section),
                    name, write.file_offset);
    }
    return fail(ErrorCode::refused,
                fmt::format("plan: the write of {} bytes at {:#x} (file offset {:#x}) lies outside section {}", write.new_bytes.size(), write.address,
                            write.file_offset, write.section),
                name, write.file_offset);
}

Result<StubArea> lay_out_stubs(const PlanDocument& plan, const image::ElfFile& elf, const std::string& name) {
    StubArea area;
    std::vector<const PlanStub*> order;
    for (const PlanStub& stub : plan.stubs)
        if (!stub.bytes.empty() && !is_boot_stub(plan, stub)) order.push_back(&stub);
    if (order.empty()) return area;
    std::sort(order.begin(), order.end(), [](const PlanStub* a, const PlanStub* b) { return a->address < b->address; });
    const bool relocatable = elf.type == image::elf::kEtRel;
    const std::uint64_t top = elf.is_64 ? ~std::uint64_t{0} : 0xFFFFFFFF;
    area.address = relocatable ? 0 : order.front()->address;
    std::uint64_t end = area.address;
    for (const PlanStub* stub : order) {
        const std::uint64_t size = stub->bytes.size();
        if (stub->address > top || top - stub->address < size)
            return fail(ErrorCode::malformed, fmt::format("plan: the stub of {} bytes at {:#x} passes the end of the address space", size, stub->address),
                        name);
        if (stub->address < end)
            return fail(ErrorCode::malformed, fmt::format("plan: the stub at {:#x} overlaps the one before, which ends at {:#x}", stub->address, end), name);
        if (stub->address - area.address + size > kMaxStubArea)
            return fail(ErrorCode::refused,
                        fmt::format("plan: the stub at {:#x} is {:#x} bytes behind the first, the limit is {:#x}", stub->address, stub->address - area.address,
                                    kMaxStubArea),
                        name);
        area.bytes.resize(stub->address - area.address, kInt3);
        put(area.bytes, stub->bytes);
        end = stub->address + size;
        if (relocatable) continue;
        const bool reserved = std::any_of(plan.reserved.begin(), plan.reserved.end(), [&](const ReservedRange& range) {
            return range.what == "stubs" && inside(stub->address, size, range.begin, range.end - range.begin);
        });
        if (!reserved)
            return fail(ErrorCode::refused, fmt::format("plan: the stub at {:#x} lies in no range that the plan reserves for stubs", stub->address), name);
    }
    if (relocatable) return area;
    for (const image::ElfSection& section : elf.sections)
        if ((section.flags & image::elf::kShfAlloc) != 0 && !disjoint(area.address, area.bytes.size(), section.address, section.size))
            return fail(ErrorCode::refused,
                        fmt::format("plan: the stubs at [{:#x}, +{:#x}) overlap section {} at [{:#x}, +{:#x})", area.address, area.bytes.size(), section.name,
                                    section.address, section.size),
                        name);
    return area;
}

}  // namespace

Result<CheckedPlan> check_plan(const PlanDocument& plan, Bytes file, const image::ElfFile& elf, const std::string& sha256, const std::string& name) {
    if (Status same = check_identity(plan, sha256, name); !same) return tl::unexpected(std::move(same.error()));
    if (Status fine = check_references(plan, name); !fine) return tl::unexpected(std::move(fine.error()));
    CheckedPlan checked;
    for (const PlanPatch& patch : plan.patches)
        for (const PlanWrite& write : patch.writes) {
            if (patch.part == kSetupPart || patch.part == kStubPart) {
                ++checked.elsewhere;
                continue;
            }
            if (!patch.part.empty() && patch.part != kPayloadPart)
                return fail(ErrorCode::malformed,
                            fmt::format("plan: writes into part \"{}\", expected {}, {} or {}", patch.part, kSetupPart, kStubPart, kPayloadPart), name);
            const auto section = find_section_of(write, elf, name);
            if (!section) return tl::unexpected(section.error());
            if (Status same = check_bytes(write, elf.type == image::elf::kEtRel, file, name); !same) return tl::unexpected(std::move(same.error()));
            checked.writes.push_back({&write, &patch, *section});
        }
    if (Status apart = sort_apart(checked.writes, name); !apart) return tl::unexpected(std::move(apart.error()));
    auto stubs = lay_out_stubs(plan, elf, name);
    if (!stubs) return tl::unexpected(std::move(stubs.error()));
    checked.stubs = std::move(*stubs);
    return checked;
}

Result<StubArea> check_boot_stubs(const PlanDocument& plan, const image::BzImage& header, const std::string& name) {
    StubArea area;
    const ReservedRange* const range = find_boot_stubs(plan);
    if (range == nullptr) return area;
    const std::uint64_t begin = header.payload_offset - header.setup_size, end = begin + header.payload_size;
    if (!inside(range->begin, range->end - range->begin, begin, header.payload_size) || range->end != end)
        return fail(ErrorCode::refused,
                    fmt::format("plan: the boot stub's stubs lie at [{:#x}, {:#x}), expected the end of the payload's room [{:#x}, {:#x})", range->begin, range->end, begin, end), name,
                    header.payload_offset);
    area.address = range->begin;
    area.bytes.assign(range->end - range->begin, kInt3);
    std::vector<const PlanStub*> order;
    for (const PlanStub& stub : plan.stubs)
        if (is_boot_stub(plan, stub)) order.push_back(&stub);
    std::sort(order.begin(), order.end(), [](const PlanStub* a, const PlanStub* b) { return a->address < b->address; });
    std::uint64_t free = range->begin;
    for (const PlanStub* stub : order) {
        if (stub->address < free || range->end - stub->address < stub->bytes.size())
            return fail(ErrorCode::malformed, fmt::format("plan: the stub of {} bytes at {:#x} overlaps the one before or passes the end of its range", stub->bytes.size(), stub->address), name);
        poke(area.bytes, stub->address - range->begin, stub->bytes);
        free = stub->address + stub->bytes.size();
    }
    return area;
}

Result<std::vector<CheckedWrite>> check_boot_writes(const PlanDocument& plan, Bytes file, const std::string& name) {
    std::vector<CheckedWrite> writes;
    for (const PlanPatch& patch : plan.patches)
        if (patch.part == kSetupPart || patch.part == kStubPart)
            for (const PlanWrite& write : patch.writes) writes.push_back({&write, &patch, 0});
    if (writes.empty()) return writes;
    const std::string sha256 = image::sha256_hex(file);
    for (const PlanImage& part : plan.parts)
        if ((part.part == kSetupPart || part.part == kStubPart) && part.sha256 != sha256)
            return fail(ErrorCode::inconsistent, fmt::format("found an image with sha256 {}, the plan's {} is for {}", sha256, part.part, part.sha256), name);
    const auto header = image::read_bzimage(ByteView(file), name);
    if (!header) return tl::unexpected(header.error());
    image::Layer layer;
    layer.name = name;
    layer.storage = std::make_shared<const std::vector<std::uint8_t>>(file.begin(), file.end());
    const image::Image setup = image::open_bzimage_setup(layer, *header);
    // How wide its code is does not bear on where it stands; the sections' names do, and they follow the width.
    const image::Image narrow = image::open_bzimage_stub(layer, *header, false), wide = image::open_bzimage_stub(layer, *header, true);
    for (const CheckedWrite& checked : writes) {
        const PlanWrite& write = *checked.write;
        Status placed = checked.patch->part == kSetupPart ? check_place(write, setup, name) : check_place(write, wide, name);
        if (!placed && checked.patch->part == kStubPart) placed = check_place(write, narrow, name);
        if (!placed) return tl::unexpected(std::move(placed.error()));
        if (write.file_offset < header->header_end && write.file_offset + write.new_bytes.size() > kSetupHeader)
            return fail(ErrorCode::refused, fmt::format("plan: the write at {:#x} touches the setup header", write.address), name, write.file_offset);
        if (Status same = check_bytes(write, false, file, name); !same) return tl::unexpected(std::move(same.error()));
    }
    if (Status apart = sort_apart(writes, name); !apart) return tl::unexpected(std::move(apart.error()));
    return writes;
}

}  // namespace trapline::patch
