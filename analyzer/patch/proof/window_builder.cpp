// SPDX-License-Identifier: Apache-2.0
// Reads a patch of a plan as code before and after. The plan may be anybody's: every number in it is checked.
#include "patch/proof/window_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "patch/rewrite_check.h"
#include "support/bytes.h"

namespace trapline::patch::proof {
namespace {

/// No window, stub or replacement of a sensible plan comes near.
constexpr std::uint64_t kMostBytes = 1 << 16;
constexpr std::uint8_t kJumpRel32 = 0xE9;
constexpr std::uint64_t kJumpBytes = 5;

/// NOPs as the kernel fills the room behind a copied alternative (Linux arch/x86/lib or alternative.c: p6_nops), 1 to 8 bytes.
constexpr std::array<std::array<std::uint8_t, 8>, 8> kFill = {{
    {0x90},
    {0x66, 0x90},
    {0x0F, 0x1F, 0x00},
    {0x0F, 0x1F, 0x40, 0x00},
    {0x0F, 0x1F, 0x44, 0x00, 0x00},
    {0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00},
    {0x0F, 0x1F, 0x80, 0x00, 0x00, 0x00, 0x00},
    {0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
}};

void fill_with_nops(std::vector<std::uint8_t>& bytes, std::uint64_t size) {
    while (bytes.size() < size) {
        const std::uint64_t count = std::min<std::uint64_t>(kFill.size(), size - bytes.size());
        bytes.insert(bytes.end(), kFill[count - 1].begin(), kFill[count - 1].begin() + static_cast<std::ptrdiff_t>(count));
    }
}

std::uint32_t read_32(const std::vector<std::uint8_t>& bytes, std::size_t at) { return ByteView(bytes).get<std::uint32_t>(at).value_or(0); }
void write_32(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// Corrects the displacements of branches that leave code which is copied by `distance`, as the kernel does while it applies
/// an alternative (recompute_jump and its successors).
void correct_copied_branches(std::vector<std::uint8_t>& bytes, Mode mode, std::uint64_t from, std::uint64_t distance) {
    for (std::uint64_t at = 0; at < bytes.size();) {
        const Instruction insn = decode_instruction(Bytes(bytes).subspan(at), mode, from + at);
        if (!insn.valid()) return;
        const bool inside = insn.flow.target && insn.flow.target->value - from < bytes.size();
        if (insn.flow.target && !inside && insn.flow.displacement_bytes == 4) {
            const std::size_t field = at + insn.structure.immediate_offset;
            write_32(bytes, field, read_32(bytes, field) - static_cast<std::uint32_t>(distance));
        }
        at += insn.structure.length;
    }
}

}  // namespace

WindowBuilder::WindowBuilder(const PlanDocument& plan, CodeReader reader, const isa::Abi& abi)
    : plan_(&plan), reader_(std::move(reader)), abi_(&abi), sites_of_patch_(plan.patches.size()) {
    for (const PlanPatch& patch : plan.patches)
        for (const PlanWrite& write : patch.writes) {
            writes_.push_back({&patch.part, &write});
            longest_write_ = std::max(longest_write_, std::min<std::uint64_t>(write.old_bytes.size(), kMostBytes));
        }
    std::stable_sort(writes_.begin(), writes_.end(), [](const PartWrite& a, const PartWrite& b) { return a.write->address < b.write->address; });
    for (const Mode mode : {Mode::protected32, Mode::long64}) layouts_.emplace(mode, read_layout(abi, mode));
    for (std::uint32_t i = 0; i < plan.sites.size(); ++i) {
        const auto patch = plan.sites[i].patch;
        if (patch && *patch < sites_of_patch_.size()) sites_of_patch_[*patch].push_back(i);
        sites_by_address_.push_back(i);
    }
    std::sort(sites_by_address_.begin(), sites_by_address_.end(), [&](std::uint32_t a, std::uint32_t b) {
        const PlannedSite &one = plan.sites[a], &two = plan.sites[b];
        return std::tie(one.address, a) < std::tie(two.address, b);
    });
}

/// One window in the making.
struct WindowBuilder::Job {
    const WindowBuilder& builder;
    const PlanDocument& plan;
    const PlanPatch& patch;
    const std::vector<std::uint32_t>& own_sites;
    Window window;
    /// Of an alternative: where its replacement stands in the file. The guest runs it elsewhere.
    std::optional<AddressRange> replacement;

    tl::unexpected<Error> refuse(std::string message, ErrorCode code = ErrorCode::malformed) const {
        return fail(code, fmt::format("patch of {:#x}: {}", patch.begin, message));
    }
    bool is_alternative() const {
        return std::any_of(patch.writes.begin(), patch.writes.end(), [](const PlanWrite& write) { return write.what == "alternative"; });
    }

    Status run() {
        if (patch.writes.empty()) return refuse("it writes nothing");
        if (patch.end <= patch.begin || patch.end - patch.begin > kMostBytes) return refuse(fmt::format("found the end {:#x}", patch.end));
        for (const PlanWrite& write : patch.writes)
            if (write.old_bytes.size() != write.new_bytes.size() || write.old_bytes.empty() || write.old_bytes.size() > kMostBytes)
                return refuse(fmt::format("a write has {} new bytes for {} old ones", write.new_bytes.size(), write.old_bytes.size()));
        if (own_sites.empty()) return refuse("no site belongs to it");
        const auto mode = parse_mode(plan.sites[own_sites.front()].mode);
        const auto layout = mode ? builder.layouts_.find(*mode) : builder.layouts_.end();
        if (layout == builder.layouts_.end()) return refuse(fmt::format("found mode {}, expected 32 or 64", plan.sites[own_sites.front()].mode), ErrorCode::unsupported);
        if (!layout->second) return tl::unexpected(layout->second.error());
        window.layout = &*layout->second;
        if (Status status = add_stubs(); !status) return status;
        if (Status status = is_alternative() ? add_alternative() : add_places(); !status) return status;
        return add_sites();
    }

    Status add_stubs() {
        for (const std::uint32_t index : patch.stubs) {
            if (index >= plan.stubs.size()) return refuse(fmt::format("found stub {}, expected one of {}", index, plan.stubs.size()));
            const PlanStub& stub = plan.stubs[index];
            const AddressRange range{VirtAddr{stub.address}, VirtAddr{stub.address + stub.bytes.size()}};
            const ReservedRange* const boot = patch.part == kStubPart ? find_boot_stubs(plan) : nullptr;
            const AddressRange area = boot != nullptr ? AddressRange{VirtAddr{boot->begin}, VirtAddr{boot->end}} : window.layout->stubs;
            if (stub.bytes.empty() || stub.bytes.size() > kMostBytes || range.begin < area.begin || range.end > area.end || range.end < range.begin)
                return refuse(fmt::format("a stub of {} bytes at {:#x} is outside the stub area", stub.bytes.size(), stub.address));
            window.stubs.push_back(range);
            window.patched.add(stub.address, stub.bytes);
            for (const StubStep& step : stub.steps) window.steps.push_back({stub.address + step.offset, step.guest_address});
        }
        std::stable_sort(window.steps.begin(), window.steps.end(), [](const MapStep& a, const MapStep& b) { return a.address < b.address; });
        return {};
    }

    /// Reads code and lays the plan's old or new bytes over it.
    Result<std::vector<std::uint8_t>> read(std::string_view section, std::uint64_t begin, std::uint64_t size, bool patched) const {
        const Bytes found = builder.reader_(section, begin, size);
        if (found.size() != size) return refuse(fmt::format("the image has no {} bytes at {:#x} of section \"{}\"", size, begin, section), ErrorCode::inconsistent);
        std::vector<std::uint8_t> bytes(found.begin(), found.end());
        // Those of other patches too: a displacement may be the first byte of what follows, whatever that becomes.
        const std::uint64_t first = begin < builder.longest_write_ ? 0 : begin - builder.longest_write_;
        auto next = std::lower_bound(builder.writes_.begin(), builder.writes_.end(), first, [](const PartWrite& write, std::uint64_t address) { return write.write->address < address; });
        for (; next != builder.writes_.end() && next->write->address - first < size + builder.longest_write_; ++next) {
            const PlanWrite& write = *next->write;
            if (write.section != section || *next->part != patch.part) continue;
            const std::vector<std::uint8_t>& content = patched ? write.new_bytes : write.old_bytes;
            for (std::size_t i = 0; i < content.size(); ++i)
                if (write.address + i - begin < size) bytes[write.address + i - begin] = content[i];
        }
        return bytes;
    }

    Status add_range(std::string_view section, std::uint64_t begin, std::uint64_t end) {
        const auto original = read(section, begin, end - begin, false), patched = read(section, begin, end - begin, true);
        if (!original || !patched) return tl::unexpected(original ? patched.error() : original.error());
        window.guest.push_back({VirtAddr{begin}, VirtAddr{end}});
        window.entries.push_back(begin);
        window.original.add(begin, *original);
        window.patched.add(begin, *patched);
        return {};
    }

    /// Bytes behind a place that the patch changes may be the tail of its last instruction: of a site whose first byte becomes
    /// INT3, or of a short jump whose displacement is the next instruction's first byte.
    void add_tail(std::string_view section, std::uint64_t end) {
        for (std::uint64_t size = decode::kMaxInstructionLength - 1; size > 0; --size) {
            auto original = read(section, end, size, false), patched = read(section, end, size, true);
            if (!original || !patched) continue;
            window.original.add(end, std::move(*original));
            window.patched.add(end, std::move(*patched));
            return;
        }
    }

    /// Code that is changed where it stands.
    Status add_places() {
        if (Status status = add_range(patch.writes.back().section, patch.begin, patch.end); !status) return status;
        for (const PlanWrite& write : patch.writes) {
            const std::uint64_t end = write.address + write.new_bytes.size();
            if (write.address >= patch.begin && end <= patch.end) continue;
            if (write.address < patch.end && end > patch.begin) return refuse(fmt::format("the write at {:#x} passes the window's ends", write.address));
            const bool evicts = std::any_of(patch.moved.begin(), patch.moved.end(), [&](const MovedInstruction& moved) { return moved.from >= write.address && moved.from < end; });
            if (evicts) {
                if (Status status = add_range(write.section, write.address, end); !status) return status;
            } else {
                window.detours.push_back({VirtAddr{write.address}, VirtAddr{end}});
                window.patched.add(write.address, write.new_bytes);
            }
        }
        add_tail(patch.writes.back().section, patch.end);
        return {};
    }

    /// The replacement of an alternative: the kernel copies it over the original and fills up with NOPs. Patched, it copies
    /// the first bytes of the stub instead, a jump whose displacement it corrects.
    Status add_alternative() {
        const PlanWrite *offset = nullptr, *length = nullptr;
        for (const PlanWrite& write : patch.writes) (write.old_bytes.size() == 4 ? offset : length) = &write;
        if (offset == nullptr || length == nullptr || length->old_bytes.size() != 1) return refuse("found no offset and length of a replacement among the writes");
        const std::uint64_t mask = window.layout->address_mask(), size = patch.end - patch.begin;
        const auto leads_to = [&](const std::vector<std::uint8_t>& field) {
            return (offset->address + static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(read_32(field, 0))})) & mask;
        };
        const std::uint64_t old_place = leads_to(offset->old_bytes), new_place = leads_to(offset->new_bytes);
        const std::uint64_t old_size = length->old_bytes[0], new_size = length->new_bytes[0];
        if (old_size == 0 || old_size > size || new_size > size) return refuse(fmt::format("a replacement of {} or {} bytes does not fit {}", old_size, new_size, size));
        replacement = AddressRange{VirtAddr{old_place}, VirtAddr{old_place + old_size}};
        auto original = read(plan.sites[own_sites.front()].section, old_place, old_size, false);
        if (!original) return tl::unexpected(original.error());
        correct_copied_branches(*original, window.layout->mode, old_place, patch.begin - old_place);
        fill_with_nops(*original, size);
        const auto stub = std::find_if(patch.stubs.begin(), patch.stubs.end(), [&](std::uint32_t index) { return plan.stubs[index].address == new_place; });
        if (stub == patch.stubs.end() || new_size != kJumpBytes || plan.stubs[*stub].bytes.size() < kJumpBytes || plan.stubs[*stub].bytes[0] != kJumpRel32)
            return refuse(fmt::format("the entry leads to {} bytes at {:#x}, expected a jump that one of the patch's stubs begins with", new_size, new_place));
        std::vector<std::uint8_t> patched(plan.stubs[*stub].bytes.begin(), plan.stubs[*stub].bytes.begin() + kJumpBytes);
        write_32(patched, 1, read_32(patched, 1) - static_cast<std::uint32_t>(patch.begin - new_place));
        fill_with_nops(patched, size);
        window.guest.push_back({VirtAddr{patch.begin}, VirtAddr{patch.end}});
        window.entries.push_back(patch.begin);
        window.original.add(patch.begin, std::move(*original));
        window.patched.add(patch.begin, std::move(patched));
        return {};
    }

    /// All sites that stand in the window, those of other patches too: a tampered plan must not hide one.
    Status add_sites() {
        const PlannedSite& first = plan.sites[own_sites.front()];
        const std::vector<AddressRange> places = replacement ? std::vector{*replacement} : window.guest;
        for (const AddressRange& place : places) {
            auto next = std::lower_bound(builder.sites_by_address_.begin(), builder.sites_by_address_.end(), place.begin.value,
                                         [&](std::uint32_t index, std::uint64_t address) { return plan.sites[index].address < address; });
            for (; next != builder.sites_by_address_.end() && plan.sites[*next].address < place.end.value; ++next) {
                const PlannedSite& site = plan.sites[*next];
                if (site.section == first.section && site.part == first.part && site.evidence != Evidence::hidden)
                    if (Status status = add_site(*next, replacement ? patch.begin + (site.address - place.begin.value) : site.address); !status) return status;
            }
        }
        for (const std::uint32_t index : own_sites)
            if (window.find_numbered(index) == nullptr) return refuse(fmt::format("its site {} at {:#x} is not in the window", index, plan.sites[index].address), ErrorCode::inconsistent);
        return {};
    }

    Status add_site(std::uint32_t index, std::uint64_t address) {
        const PlannedSite& planned = plan.sites[index];
        if (planned.number != index) return refuse(fmt::format("site {} has the number {}", index, planned.number), ErrorCode::inconsistent);
        WindowSite site;
        site.number = index;
        site.address = address;
        site.instruction = decode_instruction(planned.bytes, window.layout->mode, address);
        if (!site.instruction.valid() || window.original.at(address, window.layout->mode).identity != site.instruction.identity)
            return refuse(fmt::format("site {} is {} in the plan, and something else at {:#x}", index, to_hex(planned.bytes), address), ErrorCode::inconsistent);
        if (const isa::AbiTemplate* const code = builder.abi_->find_template(planned.form, window.layout->mode, site.instruction.bits(), patch.part == kStubPart)) site.stack_bytes = code->stack_bytes;
        site.resume = planned.resume;
        site.traps = planned.privileged == "yes" || planned.technique == Technique::trap;
        window.sites.push_back(std::move(site));
        return {};
    }
};

Result<Window> WindowBuilder::build(std::size_t index) const {
    if (index >= plan_->patches.size()) return fail(ErrorCode::malformed, fmt::format("found patch {}, expected one of {}", index, plan_->patches.size()));
    Job job{*this, *plan_, plan_->patches[index], sites_of_patch_[index], {}, {}};
    if (Status status = job.run(); !status) return tl::unexpected(status.error());
    return std::move(job.window);
}

}  // namespace trapline::patch::proof
