// SPDX-License-Identifier: Apache-2.0
// What is compared, in the order in which a difference says most.
#include "patch/proof/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "decode/decoder.h"
#include "patch/proof/flags.h"
#include "support/bytes.h"

namespace trapline::patch::proof {
namespace {

constexpr std::array<std::string_view, 16> kNames64 = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::array<std::string_view, 8> kNames32 = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};

std::string_view register_name(const Layout& layout, std::size_t number) { return layout.mode == Mode::long64 ? kNames64[number] : kNames32[number]; }
std::size_t register_count(const Layout& layout) { return layout.mode == Mode::long64 ? kNames64.size() : kNames32.size(); }

std::string describe(const Event& event) {
    switch (event.kind) {
        case Event::Kind::operation: return fmt::format("the operation of the instruction at {:#x}", event.address);
        case Event::Kind::delivery: return fmt::format("an event delivered at {:#x}", event.address);
        case Event::Kind::left: return fmt::format("control handed on by the instruction at {:#x}", event.address);
    }
    return {};
}

std::string compare_events(const Run& original, const Run& patched) {
    for (std::size_t i = 0; i < std::max(original.events.size(), patched.events.size()); ++i) {
        if (i >= original.events.size()) return fmt::format("the patch adds {}", describe(patched.events[i]));
        if (i >= patched.events.size()) return fmt::format("the patch lacks {}", describe(original.events[i]));
        const Event &one = original.events[i], &two = patched.events[i];
        if (one == two) continue;
        if (one.kind == two.kind && one.address == two.address && one.identity == two.identity) return fmt::format("the state before {} differs", describe(one));
        if (one.kind == two.kind && one.address == two.address) return fmt::format("{} is another one", describe(one));
        return fmt::format("found {}, expected {}", describe(two), describe(one));
    }
    return {};
}

/// The registers of Start in the first rounds and every so often later: addition overflows and counters reach 0 there.
std::uint64_t register_value(std::uint64_t hash) {
    switch (hash >> 60) {
        case 0: return 0;
        case 1: return 1;
        case 2: return ~std::uint64_t{0};
        case 3: return hash & 0xFF;
        default: return mix(hash, 7);
    }
}

void append_state(const Layout& layout, const Start& start, std::string& out) {
    out += fmt::format("state: entry {:#x}, flags {:#x}, an event {}\n  ", start.entry, start.cpu.flags, start.event_waits ? "waits" : "does not wait");
    for (std::size_t i = 0; i < register_count(layout); ++i) out += fmt::format("{} {:#x}{}", register_name(layout, i), start.cpu.general[i], i % 8 == 7 ? "\n  " : ", ");
    out += fmt::format("segment bases ds {:#x}, es {:#x}, fs {:#x}, gs {:#x}, memory seed {:#x}{}\n", start.cpu.segment_base[3], start.cpu.segment_base[0], start.cpu.segment_base[4],
                       start.cpu.segment_base[5], start.seed, start.opaque_neighbours ? ", neighbours that compute taken as opaque" : "");
}

void append_trace(const Layout& layout, const std::vector<TraceLine>& trace, decode::Witness& text, std::string& out) {
    constexpr std::size_t kMostLines = 64;
    const Cpu* before = nullptr;
    for (std::size_t i = 0; i < trace.size(); ++i) {
        if (i == kMostLines) {
            out += fmt::format("  and {} more\n", trace.size() - i);
            return;
        }
        const TraceLine& line = trace[i];
        const decode::Opinion opinion = text.decode(line.bytes, line.mode, VirtAddr{line.address});
        out += fmt::format("  {:x} {:<12} {:<44}", line.address, line.boundary && line.guest != line.address ? fmt::format("({:x})", line.guest) : "",
                           opinion.valid ? opinion.text : to_hex(line.bytes));
        if (before != nullptr) {
            for (std::size_t r = 0; r < register_count(layout); ++r)
                if (before->general[r] != line.cpu.general[r]) out += fmt::format(" {}={:x}", register_name(layout, r), line.cpu.general[r]);
            if (before->flags != line.cpu.flags) out += fmt::format(" flags={:x}", line.cpu.flags);
        }
        out += line.note.empty() ? "\n" : fmt::format(" ; {}\n", line.note);
        before = &line.cpu;
    }
}

}  // namespace

Start make_start(const Window& window, std::uint64_t entry, std::uint64_t seed, unsigned round) {
    const Layout& layout = *window.layout;
    const bool wide = layout.mode == Mode::long64;
    std::uint64_t hash = mix(mix(seed, entry), round);
    const auto next = [&] { return hash = mix(hash, 0xA5); };
    Start start;
    start.seed = next();
    start.entry = entry;
    for (std::size_t i = 0; i < register_count(layout); ++i) start.cpu.general[i] = register_value(next()) & layout.address_mask();
    // Kernel stacks of Linux lie here; the alignment is any.
    start.cpu.general[kRsp] = wide ? 0xFFFFC90000000000u + (next() & 0xFFFFFF) : 0xC2000000u + (next() & 0xFFFFFF);
    const bool open = (round & 1) != 0;
    start.event_waits = !open && (round & 2) != 0;
    start.opaque_neighbours = (round & 4) != 0;
    start.cpu.flags = (next() & kPoppable & ~(kTrap | kInterrupt)) | kAlwaysOne | (open ? kInterrupt : 0);
    for (const Segment segment : {Segment::fs, Segment::gs}) start.cpu.segment_base[static_cast<std::size_t>(segment)] = next() & 0x3FFFFFFFu;
    // DS and ES may be the user's while the kernel is entered; stubs must not trust them.
    if (!wide)
        for (const Segment segment : {Segment::ds, Segment::es}) start.cpu.segment_base[static_cast<std::size_t>(segment)] = (next() & 8) != 0 ? next() & 0x3FFFFFFFu : 0;
    for (std::size_t i = 0; i < kSystemRegisters; ++i) start.system[i] = next() & system_mask(layout, static_cast<SystemRegister>(i));
    return start;
}

std::string find_difference(const Window& window, const Run& original, const Run& patched) {
    const Layout& layout = *window.layout;
    if (!original.broken.empty()) return original.broken;
    if (!patched.broken.empty()) return patched.broken;
    if (std::string events = compare_events(original, patched); !events.empty()) return events;
    if (original.left != patched.left || original.exit != patched.exit)
        return fmt::format("control leaves {} {:#x}, expected {} {:#x}", patched.left ? "by the instruction at" : "to", patched.exit, original.left ? "by the instruction at" : "to", original.exit);
    const Machine &one = original.end, &two = patched.end;
    if (two.cpu.code != layout.mode) return "control comes back in the wrong code width";
    for (std::size_t i = 0; i < register_count(layout); ++i)
        if (one.cpu.general[i] != two.cpu.general[i])
            return fmt::format("{} is {:#x}, expected {:#x}", register_name(layout, i), two.cpu.general[i], one.cpu.general[i]);
    if ((two.cpu.flags & (kInterrupt | kIopl)) != kInterrupt) return fmt::format("the real flags are {:#x}, expected IF 1 and IOPL 0", two.cpu.flags);
    if (one.guest_flags() != two.guest_flags()) return fmt::format("the guest's flags are {:#x}, expected {:#x}", two.guest_flags(), one.guest_flags());
    const std::uint64_t interrupt = two.vcpu_word(layout.flags_if, layout.mode == Mode::long64 ? 8 : 4);
    if (interrupt != (one.guest_flags() & kInterrupt)) return fmt::format("flags_if is {:#x}, expected {:#x}", interrupt, one.guest_flags() & kInterrupt);
    if (const auto address = one.memory.find_difference(two.memory))
        return fmt::format("memory at {:#x} is {:#04x}, expected {:#04x}", *address, two.memory.load(*address, 1), one.memory.load(*address, 1));
    for (const std::uint32_t offset : layout.steady)
        if (one.vcpu_word(offset, 8) != two.vcpu_word(offset, 8))
            return fmt::format("the vCPU's page has {:#x} at {:#x}, expected {:#x}", two.vcpu_word(offset, 8), offset, one.vcpu_word(offset, 8));
    if ((two.vcpu_word(layout.event_waits, 8) != 0) != patched.event_waits) return "event_waits is not what the VMM wrote";
    if (original.event_waits != patched.event_waits) return patched.event_waits ? "an event still waits that should have come" : "an event came that should still wait";
    if (original.shadow != patched.shadow) return patched.shadow ? "an event waits for a shadow that is over" : "the shadow that holds back an event is lost";
    return {};
}

std::string find_map_difference(Window& window, const Run& original, const Run& patched) {
    std::size_t met = 0;
    for (const Boundary& boundary : original.boundaries) {
        if (met < patched.boundaries.size() && patched.boundaries[met] == boundary) {
            ++met;
            continue;
        }
        // A NOP need not run anywhere: no fault and no operation can be reported there.
        if (window.original.at(boundary.guest, window.layout->mode).action == Action::nop) continue;
        if (met < patched.boundaries.size() && patched.boundaries[met].guest == boundary.guest) return fmt::format("the state at the step for {:#x} differs", boundary.guest);
        if (met < patched.boundaries.size()) return fmt::format("the map has a step for {:#x}, expected one for {:#x}", patched.boundaries[met].guest, boundary.guest);
        return fmt::format("the map has no step for {:#x}", boundary.guest);
    }
    if (met < patched.boundaries.size()) return fmt::format("the map has a step for {:#x} that the original does not run", patched.boundaries[met].guest);
    return {};
}

std::string describe_difference(Window& window, const Start& start, const std::string& difference) {
    std::string out = "difference: " + difference + "\n";
    append_state(*window.layout, start, out);
    std::vector<TraceLine> original, patched;
    run_original(window, start, &original);
    run_patched(window, start, &patched);
    const auto text = decode::make_llvm_witness();
    out += "original:\n";
    append_trace(*window.layout, original, *text, out);
    out += "patched (the guest's address where one begins):\n";
    append_trace(*window.layout, patched, *text, out);
    return out;
}

}  // namespace trapline::patch::proof
