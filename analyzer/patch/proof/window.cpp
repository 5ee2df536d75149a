// SPDX-License-Identifier: Apache-2.0
// Lookups in a window. A window holds a handful of each, so that lists in order beat anything cleverer.
#include "patch/proof/window.h"

#include <algorithm>

namespace trapline::patch::proof {
namespace {

bool contains(const std::vector<AddressRange>& ranges, std::uint64_t address) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const AddressRange& range) { return range.contains(VirtAddr{address}); });
}

}  // namespace

void Code::add(std::uint64_t begin, std::vector<std::uint8_t> bytes) {
    if (bytes.empty()) return;
    const auto place = std::find_if(pieces_.begin(), pieces_.end(), [&](const CodePiece& piece) { return piece.begin > begin; });
    pieces_.insert(place, CodePiece{begin, std::move(bytes)});
}

bool Code::contains(std::uint64_t address) const {
    return std::any_of(pieces_.begin(), pieces_.end(), [&](const CodePiece& piece) { return address >= piece.begin && address - piece.begin < piece.bytes.size(); });
}

const Instruction& Code::at(std::uint64_t address, Mode mode) {
    const auto is_it = [&](const Instruction& insn) { return insn.address == address && insn.mode == mode; };
    // Code runs forward: the one behind the last is the likeliest.
    if (last_ + 1 < decoded_.size() && is_it(decoded_[last_ + 1])) return decoded_[++last_];
    for (std::size_t i = 0; i < decoded_.size(); ++i)
        if (is_it(decoded_[i])) return decoded_[last_ = i];
    std::array<std::uint8_t, decode::kMaxInstructionLength> bytes{};
    std::size_t size = 0;
    for (const CodePiece& piece : pieces_) {
        const std::uint64_t place = address + size;
        if (place < piece.begin || place - piece.begin >= piece.bytes.size()) continue;
        const std::size_t from = place - piece.begin, count = std::min(bytes.size() - size, piece.bytes.size() - from);
        std::copy_n(piece.bytes.begin() + static_cast<std::ptrdiff_t>(from), count, bytes.begin() + static_cast<std::ptrdiff_t>(size));
        size += count;
    }
    decoded_.push_back(decode_instruction(Bytes(bytes).first(size), mode, address));
    last_ = decoded_.size() - 1;
    return decoded_.back();
}

bool Window::is_guest(std::uint64_t address) const { return contains(guest, address); }
bool Window::is_stub(std::uint64_t address) const { return contains(stubs, address); }
bool Window::is_detour(std::uint64_t address) const { return contains(detours, address); }
bool Window::is_entry(std::uint64_t address) const { return std::find(entries.begin(), entries.end(), address) != entries.end(); }

const MapStep* Window::find_step(std::uint64_t address) const {
    const auto found = std::lower_bound(steps.begin(), steps.end(), address, [](const MapStep& step, std::uint64_t value) { return step.address < value; });
    return found != steps.end() && found->address == address ? &*found : nullptr;
}

const WindowSite* Window::find_site(std::uint64_t guest_address) const {
    const auto found = std::find_if(sites.begin(), sites.end(), [&](const WindowSite& site) { return site.address == guest_address; });
    return found == sites.end() ? nullptr : &*found;
}

const WindowSite* Window::find_numbered(std::uint32_t number) const {
    const auto found = std::find_if(sites.begin(), sites.end(), [&](const WindowSite& site) { return site.number == number; });
    return found == sites.end() ? nullptr : &*found;
}

}  // namespace trapline::patch::proof
