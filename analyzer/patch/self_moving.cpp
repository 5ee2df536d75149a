// SPDX-License-Identifier: Apache-2.0
// Sources: arch/x86/boot/compressed/{head_32.S,head_64.S,vmlinux.lds.S} of Linux 5.x and 6.x.
#include "patch/self_moving.h"

#include <algorithm>
#include <vector>

namespace trapline::patch {

bool moves_itself(const image::Image& image) { return image.format == image::Format::bzimage_stub; }

std::optional<AddressRange> payload_room(const image::Image& boot_stub) {
    // What lies before and behind the payload are sections, and nothing else lies between two of them.
    std::vector<AddressRange> sections;
    for (const image::Section& section : boot_stub.sections) sections.push_back({section.address, section.address + section.bytes.size()});
    std::sort(sections.begin(), sections.end());
    std::optional<AddressRange> room;
    for (std::size_t i = 1; i < sections.size(); ++i)
        if (sections[i - 1].end < sections[i].begin) room = AddressRange{sections[i - 1].end, sections[i].begin};
    return room;
}

std::string obstacle_where_code_moves(const GuestInstruction& insn, bool reached) {
    using scan::Flow;
    // Data stand beside the code, and function pointers are computed: what no known control flow reaches may be either's.
    if (!reached) return "no known control flow leads to it, and data may stand there";
    if (insn.flow.kind == Flow::call || insn.flow.kind == Flow::indirect_call) return "the return address that it pushes hangs on where the code has been moved";
    return {};
}

}  // namespace trapline::patch
