// SPDX-License-Identifier: Apache-2.0
// Executes string instructions and port accesses. A repeated one keeps its progress in the registers: a fault, an interrupt or
// the end of a slice comes between two iterations.
#include <algorithm>
#include <array>

#include "executor/cpu/handlers.h"
#include "executor/cpu/protection.h"

namespace trapline::executor::handlers {
namespace {

constexpr std::uint32_t kPage = 4096;
/// Shorter runs are not worth the checks of a run.
constexpr std::uint32_t kLeastRun = 8;

bool backward(const Execution& x) { return (x.vcpu.rflags & flag::df) != 0; }
std::uint32_t source(const Execution& x) { return x.get(kRsi, x.address_size); }
std::uint32_t destination(const Execution& x) { return x.get(kRdi, x.address_size); }

void advance(Execution& x, unsigned index) { x.put(index, x.get(index, x.address_size) + (backward(x) ? 0u - x.size : x.size), x.address_size); }
void skip(Execution& x, unsigned index, std::uint32_t bytes) { x.put(index, x.get(index, x.address_size) + (backward(x) ? 0u - bytes : bytes), x.address_size); }

/// Bytes from an element on, in the direction of the string, that lie in one page and do not wrap with the address size.
std::uint32_t bytes_in_reach(const Execution& x, unsigned segment, std::uint32_t offset) {
    const auto in_page = static_cast<std::uint32_t>(x.linear_of(segment, offset) & (kPage - 1));
    if (backward(x)) return in_page + x.size > kPage || x.address_mask() - offset < x.size - 1u ? 0 : std::min(in_page, offset) + x.size;
    const std::uint32_t to_end = kPage - in_page;
    return std::min(to_end, x.address_mask() - offset == 0xFFFFFFFF ? to_end : x.address_mask() - offset + 1);
}
/// Where a run of so many bytes begins whose first element is at `offset`.
std::uint32_t lowest(const Execution& x, std::uint32_t offset, std::uint32_t bytes) { return backward(x) ? offset + x.size - bytes : offset; }

struct NoRun {
    std::uint32_t operator()(std::uint32_t) const { return 0; }
};

/// Repeats `one`, an iteration that gives false on a fault, as the prefix says. `ends` is asked behind each iteration. `run` does
/// up to so many iterations at once and gives how many: 0 where it cannot, with nothing changed.
template <typename One, typename Ends, typename Run = NoRun>
Step repeat(Execution& x, const One& one, const Ends& ends, const Run& run = {}) {
    if (x.repeat == 0) return one() ? Step::done : Step::fault;
    std::uint32_t count = x.get(kRcx, x.address_size);
    // Single-stepping and breakpoints report each iteration (SDM vol. 3, "Single-Step Exception Condition", "Data Memory and I/O
    // Breakpoint Exception Conditions").
    const bool reports_each = (x.vcpu.rflags & flag::tf) != 0 || x.vcpu.has_breakpoints();
    for (std::uint32_t left = reports_each ? 1 : kRepeatSlice; count != 0;) {
        if (left == 0) {
            x.again = true;
            return Step::done;
        }
        std::uint32_t done = run(std::min(count, left));
        if (done == 0) {
            if (!one()) return Step::fault;
            done = 1;
        }
        count -= done;
        left -= done;
        x.put(kRcx, count, x.address_size);
        if (ends()) break;
    }
    return Step::done;
}

constexpr auto kNoEnd = [] { return false; };

/// Moves whole iterations within a page of each side: a read and a write instead of thousands. Two linear addresses of one physical
/// page are not seen to overlap.
std::uint32_t move_run(Execution& x, std::uint32_t most) {
    if (most < kLeastRun || x.checks_alignment) return 0;
    std::uint32_t from = source(x), to = destination(x);
    std::uint32_t bytes = std::min({most * x.size, bytes_in_reach(x, x.segment, from), bytes_in_reach(x, kEs, to)});
    // A destination inside the source, in the string's direction, repeats what lies before it: no further than that at once.
    const std::uint64_t ahead = backward(x) ? x.linear_of(x.segment, from) - x.linear_of(kEs, to) : x.linear_of(kEs, to) - x.linear_of(x.segment, from);
    if (ahead != 0 && ahead < bytes) bytes = static_cast<std::uint32_t>(ahead);
    bytes -= bytes % x.size;
    if (bytes < kLeastRun * x.size) return 0;
    from = lowest(x, from, bytes);
    to = lowest(x, to, bytes);
    if (!x.allows(x.segment, from, bytes, Access::read) || !x.allows(kEs, to, bytes, Access::write)) return 0;
    std::array<std::uint8_t, kPage> buffer;
    if (x.memory.read(x.linear_of(x.segment, from), buffer.data(), bytes, x.privilege) || x.memory.write(x.linear_of(kEs, to), buffer.data(), bytes, x.privilege)) return 0;
    skip(x, kRsi, bytes);
    skip(x, kRdi, bytes);
    return bytes / x.size;
}

std::uint32_t store_run(Execution& x, std::uint32_t most) {
    if (most < kLeastRun || x.checks_alignment) return 0;
    std::uint32_t bytes = std::min(most * x.size, bytes_in_reach(x, kEs, destination(x)));
    bytes -= bytes % x.size;
    const std::uint32_t to = lowest(x, destination(x), bytes);
    if (bytes < kLeastRun * x.size || !x.allows(kEs, to, bytes, Access::write)) return 0;
    std::array<std::uint8_t, kPage> buffer;
    const std::uint32_t value = x.get(kRax, x.size);
    for (std::uint32_t i = 0; i < bytes; ++i) buffer[i] = static_cast<std::uint8_t>(value >> (8 * (i & (x.size - 1u))));
    if (x.memory.write(x.linear_of(kEs, to), buffer.data(), bytes, x.privilege)) return 0;
    skip(x, kRdi, bytes);
    return bytes / x.size;
}

/// F3 goes on while equal, F2 while not.
bool compare_ends(const Execution& x) { return ((x.vcpu.rflags & flag::zf) != 0) != (x.repeat == 0xF3); }

std::uint16_t port(const Execution& x) { return static_cast<std::uint16_t>(x.get(kRdx, 2)); }

bool may_access(Execution& x, std::uint16_t number) { return x.passed(check_port_access(x.vcpu, x.memory, number, x.size)); }

Step in(Execution& x, std::uint16_t number) {
    if (!may_access(x, number)) return Step::fault;
    x.put(kRax, x.platform.port_in(number, x.size), x.size);
    return Step::done;
}

Step out(Execution& x, std::uint16_t number) {
    if (!may_access(x, number)) return Step::fault;
    x.platform.port_out(number, x.size, x.get(kRax, x.size));
    return Step::done;
}

}  // namespace

Step movs(Execution& x) {
    const auto one = [&] {
        std::uint32_t value;
        if (!x.read(x.segment, source(x), value, x.size) || !x.write(kEs, destination(x), value, x.size)) return false;
        advance(x, kRsi);
        advance(x, kRdi);
        return true;
    };
    return repeat(x, one, kNoEnd, [&](std::uint32_t most) { return move_run(x, most); });
}

Step cmps(Execution& x) {
    const auto one = [&] {
        std::uint32_t a, b;
        if (!x.read(x.segment, source(x), a, x.size) || !x.read(kEs, destination(x), b, x.size)) return false;
        arithmetic::subtract(x.vcpu.rflags, a, b, false, x.size);
        advance(x, kRsi);
        advance(x, kRdi);
        return true;
    };
    return repeat(x, one, [&] { return compare_ends(x); });
}

Step stos(Execution& x) {
    const auto one = [&] {
        if (!x.write(kEs, destination(x), x.get(kRax, x.size), x.size)) return false;
        advance(x, kRdi);
        return true;
    };
    return repeat(x, one, kNoEnd, [&](std::uint32_t most) { return store_run(x, most); });
}

Step lods(Execution& x) {
    const auto one = [&] {
        std::uint32_t value;
        if (!x.read(x.segment, source(x), value, x.size)) return false;
        x.put(kRax, value, x.size);
        advance(x, kRsi);
        return true;
    };
    return repeat(x, one, kNoEnd);
}

Step scas(Execution& x) {
    const auto one = [&] {
        std::uint32_t value;
        if (!x.read(kEs, destination(x), value, x.size)) return false;
        arithmetic::subtract(x.vcpu.rflags, x.get(kRax, x.size), value, false, x.size);
        advance(x, kRdi);
        return true;
    };
    return repeat(x, one, [&] { return compare_ends(x); });
}

Step ins(Execution& x) {
    if (!may_access(x, port(x))) return Step::fault;
    const auto one = [&] {
        // Before the port is read: a device does not give the same twice.
        if (!x.check_write(kEs, destination(x), x.size)) return false;
        if (!x.write(kEs, destination(x), x.platform.port_in(port(x), x.size), x.size)) return false;
        advance(x, kRdi);
        return true;
    };
    return repeat(x, one, kNoEnd);
}

Step outs(Execution& x) {
    if (!may_access(x, port(x))) return Step::fault;
    const auto one = [&] {
        std::uint32_t value;
        if (!x.read(x.segment, source(x), value, x.size)) return false;
        x.platform.port_out(port(x), x.size, value);
        advance(x, kRsi);
        return true;
    };
    return repeat(x, one, kNoEnd);
}

Step in_imm(Execution& x) { return in(x, static_cast<std::uint16_t>(x.imm & 0xFF)); }
Step in_dx(Execution& x) { return in(x, port(x)); }
Step out_imm(Execution& x) { return out(x, static_cast<std::uint16_t>(x.imm & 0xFF)); }
Step out_dx(Execution& x) { return out(x, port(x)); }

}  // namespace trapline::executor::handlers
