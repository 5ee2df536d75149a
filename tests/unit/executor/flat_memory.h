// SPDX-License-Identifier: Apache-2.0
// Test doubles of the executor's unit tests: one megabyte of linear memory, single pages of which can be missing or read-only,
// and a protected-mode world in it.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <vector>

#include "executor/cpu/protection.h"

namespace trapline::executor::test {

/// Linear = physical memory. Addresses beyond the end read as a page that is not there.
class FlatMemory final : public LinearMemory {
public:
    enum class Page : std::uint8_t { missing, read_only, supervisor };

    std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(1 << 20);
    std::map<std::uint64_t, Page> pages;  ///< by page number, only where a page is not plain
    unsigned reads = 0, writes = 0, checks = 0, task_switches = 0;

    MaybeFault read_any(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) override {
        ++reads;
        if (MaybeFault fault = check(linear, size, privilege, false)) return fault;
        std::memcpy(to, &bytes[linear], size);
        return {};
    }
    MaybeFault write_any(std::uint64_t linear, const void* from, std::size_t size, Privilege privilege) override {
        ++writes;
        if (MaybeFault fault = check(linear, size, privilege, true)) return fault;
        std::memcpy(&bytes[linear], from, size);
        return {};
    }
    MaybeFault fetch(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) override { return read(linear, to, size, privilege); }
    MaybeFault check_write_any(std::uint64_t linear, std::size_t size, Privilege privilege) override {
        ++checks;
        return check(linear, size, privilege, true);
    }
    void task_switched(std::uint64_t, std::uint64_t) override { ++task_switches; }

    void put(std::uint32_t at, std::uint64_t value, unsigned size) { std::memcpy(&bytes.at(at), &value, size); }
    std::uint64_t get(std::uint32_t at, unsigned size) const {
        std::uint64_t value = 0;
        std::memcpy(&value, &bytes.at(at), size);
        return value;
    }

private:
    MaybeFault check(std::uint64_t linear, std::size_t size, Privilege privilege, bool write) const {
        const std::uint32_t code = (write ? 2u : 0) | (privilege == Privilege::user ? 4u : 0);
        for (std::uint64_t at = linear; at < linear + size; ++at) {
            if (at >= bytes.size()) return Fault::page_fault(code, at);
            const auto page = pages.find(at >> 12);
            if (page == pages.end()) continue;
            if (page->second == Page::missing) return Fault::page_fault(code, at);
            if (page->second == Page::read_only && write) return Fault::page_fault(code | 1, at);
            if (page->second == Page::supervisor && privilege == Privilege::user) return Fault::page_fault(code | 1, at);
        }
        return {};
    }
};

/// A descriptor as SDM vol. 3, figure "Segment Descriptor", lays it out: `access` is byte 5, `flags` the upper half of byte 6.
constexpr std::uint64_t descriptor(std::uint64_t base, std::uint64_t limit, std::uint64_t access, std::uint64_t flags) {
    return (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | access << 40 | (limit >> 16 & 15) << 48 | flags << 52 | (base >> 24 & 0xFF) << 56;
}
/// A gate as figures "Call-Gate Descriptor" and "IDT Gate Descriptors" lay it out.
constexpr std::uint64_t gate(std::uint64_t selector, std::uint64_t offset, std::uint64_t access, std::uint64_t parameters = 0) {
    return (offset & 0xFFFF) | selector << 16 | parameters << 32 | access << 40 | (offset >> 16 & 0xFFFF) << 48;
}

/// Tables, a task and stacks of a small protected-mode system, and a processor in it at CPL 0 or 3.
struct World {
    static constexpr std::uint32_t kGdt = 0x1000, kLdt = 0x2000, kIdt = 0x3000, kTss = 0x4000, kTss16 = 0x5000, kNewTss = 0x6000;
    static constexpr std::uint32_t kStack0 = 0x9000, kStack1 = 0xA000, kStack3 = 0xB000;  ///< tops
    static constexpr std::uint16_t kCode0 = 0x08, kData0 = 0x10, kCode3 = 0x1B, kData3 = 0x23, kConforming0 = 0x28, kTssSelector = 0x30, kLdtSelector = 0x38,
                                   kFree = 0x40, kFree2 = 0x48, kCode1 = 0x51, kData1 = 0x59, kNewTssSelector = 0x60, kTss16Selector = 0x68,
                                   kCode16 = 0x70, kData16 = 0x78, kStack16 = 0x80;

    FlatMemory memory;
    Vcpu vcpu;

    explicit World(std::uint8_t cpl = 0) {
        vcpu.gdtr = {kGdt, 0xFF};
        vcpu.idtr = {kIdt, 0x7FF};
        vcpu.cr0 |= cr0::pe;
        set(kCode0, descriptor(0, 0xFFFFF, 0x9B, 0xC));
        set(kData0, descriptor(0, 0xFFFFF, 0x93, 0xC));
        set(kCode3, descriptor(0, 0xFFFFF, 0xFB, 0xC));
        set(kData3, descriptor(0, 0xFFFFF, 0xF3, 0xC));
        set(kConforming0, descriptor(0, 0xFFFFF, 0x9F, 0xC));
        set(kTssSelector, descriptor(kTss, 0x67, 0x8B, 0));
        set(kLdtSelector, descriptor(kLdt, 0x1F, 0x82, 0));
        set(kCode1, descriptor(0, 0xFFFFF, 0xBB, 0xC));
        set(kData1, descriptor(0, 0xFFFFF, 0xB3, 0xC));
        set(kNewTssSelector, descriptor(kNewTss, 0x67, 0x89, 0));
        set(kTss16Selector, descriptor(kTss16, 0x2B, 0x81, 0));
        set(kCode16, descriptor(0, 0xFFFF, 0x9B, 0));
        set(kData16, descriptor(0, 0xFFFF, 0x93, 0));
        set(kStack16, descriptor(0x10000, 0xFFFF, 0x93, 0));
        memory.put(kLdt, descriptor(0x8000, 0xFFF, 0xF3, 4), 8);  // selector 7: data of the LDT, 32-bit, byte granular
        memory.put(kTss + 4, kStack0, 4), memory.put(kTss + 8, kData0, 2);
        memory.put(kTss + 12, kStack1, 4), memory.put(kTss + 16, kData1, 2);
        vcpu.tr = segment(kTssSelector);
        vcpu.ldtr = segment(kLdtSelector);
        vcpu.rip = 0x700;
        enter(cpl);
    }

    void set(std::uint16_t selector, std::uint64_t value) { memory.put(kGdt + (selector & 0xFFF8), value, 8); }
    std::uint64_t entry(std::uint16_t selector) const { return memory.get(kGdt + (selector & 0xFFF8), 8); }
    void set_idt(std::uint8_t vector, std::uint64_t value) { memory.put(kIdt + vector * 8u, value, 8); }
    Segment segment(std::uint16_t selector) const {
        Segment out = parse_descriptor(entry(selector));
        out.selector = selector;
        return out;
    }
    /// Puts the processor into ring 0, 1 or 3 with flat segments and its own stack.
    void enter(std::uint8_t cpl) {
        const std::uint16_t data = cpl == 0 ? kData0 : cpl == 1 ? kData1 : kData3, code = cpl == 0 ? kCode0 : cpl == 1 ? kCode1 : kCode3;
        for (Segment& each : vcpu.segments) each = segment(data);
        vcpu.segments[kCs] = segment(code);
        vcpu.cpl = cpl;
        vcpu.gpr[kRsp] = cpl == 0 ? kStack0 : cpl == 1 ? kStack1 : kStack3;
    }
    /// Puts the processor into virtual-8086 mode at 0x1234:0x0100.
    void enter_v86(unsigned iopl) {
        vcpu.rflags = flag::fixed | flag::vm | flag::interrupt | iopl << 12;
        vcpu.cpl = 3;
        const std::uint16_t selectors[] = {0x1001, 0x1234, 0x2000, 0x1003, 0x1004, 0x1005};
        for (unsigned i = 0; i < 6; ++i) load_real_segment(vcpu, static_cast<SegmentRegister>(i), selectors[i]);
        vcpu.rip = 0x100;
        vcpu.gpr[kRsp] = 0x1000;
    }
    /// Puts words on the current stack, the first where ESP will point.
    void stack(std::initializer_list<std::uint32_t> words, unsigned size = 4) {
        const std::uint32_t mask = vcpu.ss().big ? 0xFFFFFFFF : 0xFFFF;
        const auto pointer = static_cast<std::uint32_t>((vcpu.gpr[kRsp] - words.size() * size) & mask);
        vcpu.gpr[kRsp] = pointer;
        std::uint32_t at = static_cast<std::uint32_t>(vcpu.ss().base) + pointer;
        for (const std::uint32_t word : words) memory.put(at, word, size), at += size;
    }
    /// Word `index` from the top of the current stack.
    std::uint32_t top(unsigned index, unsigned size = 4) const {
        const std::uint32_t mask = vcpu.ss().big ? 0xFFFFFFFF : 0xFFFF;
        return static_cast<std::uint32_t>(memory.get(static_cast<std::uint32_t>(vcpu.ss().base + ((vcpu.gpr[kRsp] + index * size) & mask)), size));
    }
};

/// All that a guest can tell apart, in a form that a failed comparison prints.
inline std::string state_of(const Vcpu& vcpu) {
    std::string out;
    const auto add = [&](std::uint64_t value) { out += std::to_string(value) + ' '; };
    for (const std::uint64_t value : vcpu.gpr) add(value);
    const auto add_segment = [&](const Segment& s) {
        for (const std::uint64_t value : {std::uint64_t{s.selector}, s.base, std::uint64_t{s.limit}, std::uint64_t{s.type}, std::uint64_t{s.dpl}}) add(value);
        out += s.system ? "s" : "", out += s.present ? "p" : "", out += s.big ? "b " : " ";
    };
    for (const Segment& segment : vcpu.segments) add_segment(segment);
    add_segment(vcpu.ldtr), add_segment(vcpu.tr);
    for (const std::uint64_t value : {vcpu.rip, vcpu.rflags, vcpu.cr0, vcpu.cr2, vcpu.cr3, vcpu.dr[6], vcpu.dr[7], std::uint64_t{vcpu.cpl}}) add(value);
    return out;
}

/// Runs an operation that must raise exactly this and leave processor and memory as they were.
template <class Operation>
void check_fault(World& world, Vector vector, std::optional<std::uint32_t> error_code, const Operation& operation) {
    const std::string before = state_of(world.vcpu);
    const std::vector<std::uint8_t> bytes = world.memory.bytes;
    const MaybeFault fault = operation();
    REQUIRE(fault.has_value());
    CHECK(static_cast<int>(fault->vector) == static_cast<int>(vector));
    CHECK(fault->error_code == error_code);
    CHECK_FALSE(fault->after_task_switch);
    CHECK(state_of(world.vcpu) == before);
    CHECK((world.memory.bytes == bytes));
}

}  // namespace trapline::executor::test
