// SPDX-License-Identifier: Apache-2.0
// Looks up the fields of an interface that the reference machine stands on.
#include "patch/proof/layout.h"

#include <fmt/format.h>

#include <algorithm>

namespace trapline::patch::proof {
namespace {

struct Wanted {
    std::string_view name;
    isa::AbiPage page;
    std::uint32_t least_bytes;
    std::uint32_t Layout::* offset;
};
constexpr Wanted kWanted[] = {
    {"flags_if", isa::AbiPage::vcpu, 8, &Layout::flags_if},         {"flags_fixed", isa::AbiPage::vcpu, 8, &Layout::flags_fixed},
    {"event_waits", isa::AbiPage::vcpu, 8, &Layout::event_waits},   {"call_site", isa::AbiPage::vcpu, 4, &Layout::call_site},
    {"call_resume", isa::AbiPage::vcpu, 8, &Layout::call_resume},   {"after_sti", isa::AbiPage::pending, 1, &Layout::after_sti},
    {"after_flags", isa::AbiPage::pending, 1, &Layout::after_flags},
};
/// By SystemRegister.
constexpr std::array<std::string_view, kSystemRegisters> kSystemNames = {"cr0", "cr2", "cr3", "cr4", "cr8", "ldtr", "tr"};
/// Fields that stubs write, or that the model of the VMM changes on the patched side only.
constexpr std::string_view kVolatile[] = {"flags_if", "flags_fixed", "event_waits", "call_site", "call_resume", "scratch0", "scratch1"};

Result<std::uint32_t> find_offset(const isa::Abi& abi, std::string_view name, isa::AbiPage page, std::uint32_t least_bytes) {
    const isa::AbiField* const field = abi.find_field(name);
    if (field == nullptr) return fail(ErrorCode::malformed, fmt::format("found no field \"{}\", which a proof needs", name), abi.file);
    if (field->page != page || field->size < least_bytes || field->offset > kPageBytes || kPageBytes - field->offset < field->size)
        return fail(ErrorCode::malformed,
                    fmt::format("found field \"{}\" with {} bytes at {:#x} of page {}, expected at least {} inside page {}", name, field->size,
                                field->offset, to_string(field->page), least_bytes, to_string(page)), abi.file);
    return field->offset;
}

}  // namespace

bool Layout::is_reserved(std::uint64_t address, std::uint64_t size) const {
    return address < reserved_end && size > 0 && (address >= reserved_begin || reserved_begin - address < size);
}

Result<Layout> read_layout(const isa::Abi& abi, Mode mode) {
    const isa::AbiArea* const area = mode == Mode::protected32 || mode == Mode::long64 ? abi.find_area(mode) : nullptr;
    if (area == nullptr)
        return fail(ErrorCode::unsupported, fmt::format("interface {} has no area for code of mode {}: its stubs cannot be proved", abi.id, to_string(mode)), abi.file);
    Layout layout;
    layout.mode = mode;
    layout.stubs = area->stubs;
    layout.vcpu = area->vcpu.value;
    layout.gate = area->gate.value;
    layout.pending = area->pending.value;
    layout.reserved_begin = std::min({area->stubs.begin.value, layout.vcpu, layout.gate, layout.pending});
    layout.reserved_end = std::max({area->stubs.end.value, layout.vcpu + kPageBytes, layout.gate + kPageBytes, layout.pending + kPageBytes});
    for (const Wanted& wanted : kWanted) {
        const auto offset = find_offset(abi, wanted.name, wanted.page, wanted.least_bytes);
        if (!offset) return tl::unexpected(offset.error());
        layout.*wanted.offset = *offset;
    }
    for (std::size_t i = 0; i < kSystemRegisters; ++i) {
        const auto offset = find_offset(abi, kSystemNames[i], isa::AbiPage::vcpu, 8);
        if (!offset) return tl::unexpected(offset.error());
        layout.system[i] = *offset;
    }
    // Whole words, so that bytes between the fields are watched too; a word with a volatile byte in it is left out.
    for (std::uint32_t word = 0; word < kPageBytes; word += 8) {
        const auto touches = [&](std::string_view name) {
            const isa::AbiField* const field = abi.find_field(name);
            return field != nullptr && field->page == isa::AbiPage::vcpu && field->offset < word + 8 && field->offset + field->size > word;
        };
        if (std::none_of(std::begin(kVolatile), std::end(kVolatile), touches)) layout.steady.push_back(word);
    }
    return layout;
}

}  // namespace trapline::patch::proof
