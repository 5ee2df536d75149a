// SPDX-License-Identifier: Apache-2.0
// Descriptors: their fields, where they stand, and what LAR, LSL, VERR and VERW say of them.
#include "executor/cpu/protection_detail.h"

namespace trapline::executor {

namespace {

constexpr std::uint32_t types(std::initializer_list<unsigned> list) {
    std::uint32_t set = 0;
    for (const unsigned type : list) set |= 1u << type;
    return set;
}

// System types that the instructions accept (SDM vol. 2, LAR and LSL, tables of segment and gate types).
constexpr std::uint32_t kLarTypes = types({1, 2, 3, 4, 5, 9, 11, 12});
constexpr std::uint32_t kLslTypes = types({1, 2, 3, 9, 11});

bool accepts(DescriptorQuery query, const Segment& segment) {
    switch (query) {
        case DescriptorQuery::access_rights: return !segment.system || (kLarTypes >> segment.type & 1) != 0;
        case DescriptorQuery::limit: return !segment.system || (kLslTypes >> segment.type & 1) != 0;
        case DescriptorQuery::readable: return segment.is_readable();
        case DescriptorQuery::writable: return segment.is_writable();
    }
    return false;
}

}  // namespace

Segment parse_descriptor(std::uint64_t descriptor) {
    Segment out;
    detail::parse_into(out, descriptor);
    return out;
}

MaybeFault query_descriptor(Vcpu& vcpu, LinearMemory& memory, DescriptorQuery query, std::uint16_t selector, QueryAnswer& answer) {
    answer = {};
    if (detail::is_null(selector)) return {};
    std::uint32_t address = 0;
    if (!detail::locate(vcpu, selector, address)) return {};
    std::uint64_t raw = 0;
    if (MaybeFault fault = memory.read(address, &raw, sizeof raw, Privilege::supervisor)) return fault;
    const Segment segment = parse_descriptor(raw);
    if (!accepts(query, segment)) return {};
    if (!segment.is_conforming() && (vcpu.cpl > segment.dpl || detail::rpl_of(selector) > segment.dpl)) return {};
    answer.found = true;
    // Limit bits 19:16 in LAR's answer are undefined by the SDM; processors (seen on AMD EPYC) leave them in.
    if (query == DescriptorQuery::access_rights) answer.value = raw >> 32 & 0x00FFFF00;
    if (query == DescriptorQuery::limit) answer.value = segment.limit;
    return {};
}

namespace detail {

Gate parse_gate(std::uint64_t descriptor) {
    Gate out;
    out.type = descriptor >> 40 & 15;
    out.dpl = descriptor >> 45 & 3;
    out.parameters = descriptor >> 32 & 31;
    out.system = (descriptor >> 44 & 1) == 0;
    out.present = (descriptor >> 47 & 1) != 0;
    out.selector = descriptor >> 16 & 0xFFFF;
    out.offset = descriptor & 0xFFFF;
    if ((out.type & kIs32) != 0) out.offset |= descriptor >> 32 & 0xFFFF0000;
    return out;
}

MaybeFault read_descriptor(const Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, Vector outside, std::uint32_t ext, Descriptor& out) {
    if (!locate(vcpu, selector, out.address)) return selector_fault(outside, selector, ext);
    if (MaybeFault fault = memory.read(out.address, &out.raw, sizeof out.raw, Privilege::supervisor)) return fault;
    parse_into(out.segment, out.raw);
    out.segment.selector = selector;
    return {};
}

MaybeFault mark_accessed(LinearMemory& memory, Descriptor& descriptor) {
    if ((descriptor.segment.type & 1) != 0) return {};
    const auto access = static_cast<std::uint8_t>((descriptor.raw >> 40 & 0xFF) | 1);
    if (MaybeFault fault = memory.write(static_cast<std::uint32_t>(descriptor.address + 5), &access, 1, Privilege::supervisor)) return fault;
    descriptor.segment.type |= 1;
    return {};
}

}  // namespace detail
}  // namespace trapline::executor
