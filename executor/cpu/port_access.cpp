// SPDX-License-Identifier: Apache-2.0
// Whether IN, OUT, INS and OUTS may touch a port (SDM vol. 1, "I/O Privilege Level" and "I/O Permission Bit Map").
#include "executor/cpu/protection_detail.h"

namespace trapline::executor {

MaybeFault check_port_access(Vcpu& vcpu, LinearMemory& memory, std::uint16_t port, unsigned size) {
    if (!vcpu.is_protected() || (!vcpu.is_v86() && vcpu.cpl <= vcpu.iopl())) return {};
    constexpr std::uint32_t kMapBaseAt = 102;
    const Segment& task = vcpu.tr;
    if ((task.type & detail::kIs32) == 0 || !detail::is_inside(task, kMapBaseAt, 2)) return Fault::general_protection();
    std::uint16_t map = 0, bits = 0;
    if (MaybeFault fault = memory.read(detail::linear_of(task, kMapBaseAt), &map, sizeof map, Privilege::supervisor)) return fault;
    // The processor reads two bytes, since the ports of one access can have their bits in both.
    const std::uint32_t at = map + port / 8u;
    if (!detail::is_inside(task, at, sizeof bits)) return Fault::general_protection();
    if (MaybeFault fault = memory.read(detail::linear_of(task, at), &bits, sizeof bits, Privilege::supervisor)) return fault;
    if ((bits >> (port & 7) & ((1u << size) - 1)) != 0) return Fault::general_protection();
    return {};
}

}  // namespace trapline::executor
