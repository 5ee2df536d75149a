// SPDX-License-Identifier: Apache-2.0
// Memory before the first case: the monitor, the descriptor tables of SDM volume 3 (3.4.5, 6.11, 6.14.1, 7.2), and page
// tables that map everything onto itself for every level.
#include <algorithm>
#include <cstring>
#include <map>

#include <fmt/format.h>

#include "decode/assembler.h"
#include "machine.h"

namespace trapline::ring0 {

namespace {

constexpr std::uint64_t kPresent = 0x80, kNotSystem = 0x10;
constexpr std::uint64_t kDataRw = 0x2, kCodeRx = 0xA, kConforming = 0x4, kAccessed = 0x1;
constexpr std::uint64_t kTypeLdt = 0x2, kTypeTss = 0x9, kTypeCallGate = 0xC, kTypeInterruptGate = 0xE;
constexpr std::uint64_t kFlagAvl = 1, kFlagLong = 2, kFlagBig = 4, kFlagPages = 8;

constexpr std::uint64_t descriptor(std::uint64_t base, std::uint64_t limit, std::uint64_t access, std::uint64_t flags) {
    return (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | access << 40 | (limit >> 16 & 0xF) << 48 | flags << 52 | (base >> 24 & 0xFF) << 56;
}
constexpr std::uint64_t dpl(std::uint64_t level) { return level << 5; }

class Builder {
public:
    Builder(Mode mode, const decode::Assembled& monitor) : mode_(mode), memory_(kCases), symbols_(monitor.symbols) {
        std::copy(monitor.bytes.begin(), monitor.bytes.end(), memory_.begin() + kMonitor);
    }

    std::vector<std::uint8_t> build() {
        build_gdt(kGdt1, false);
        build_gdt(kGdt2, true);
        build_idt(kIdt1, "1");
        build_idt(kIdt2, "2");
        for (std::uint32_t tss : {kTss1, kTss2}) build_tss(tss);
        for (std::uint32_t ldt : {kLdt1, kLdt2}) put(ldt + 8, descriptor(0, 0xFFFFF, kPresent | kNotSystem | kDataRw | kAccessed | dpl(3), kFlagBig | kFlagPages));
        for (std::uint32_t place = 0; place < 16; ++place) {
            put(kLanding + place * kLandingStride, std::uint16_t{0xCD | kDoneVector << 8});               // int kDoneVector
            put(kLanding + place * kLandingStride + kTestBase, std::uint16_t{0xCD | kStrayVector << 8});  // int kStrayVector
        }
        for (std::uint32_t address = kProbes; address < kProbes + 0x100; address += 4) put(address, address);
        if (mode_ == Mode::long64)
            for (std::uint32_t pages : {kPages1, kPages2}) build_pages(pages);
        build_vmcb();
        std::copy_n(memory_.begin(), 0x400, memory_.begin() + kMaster);
        std::copy(memory_.begin() + kCode, memory_.begin() + kMonitor, memory_.begin() + kMaster + kCode);
        std::copy(memory_.begin() + kTables, memory_.begin() + kTablesEnd, memory_.begin() + kMaster + kTables);
        return std::move(memory_);
    }

private:
    template <class T>
    void put(std::uint32_t address, T value) {
        std::memcpy(memory_.data() + address, &value, sizeof value);
    }
    std::uint32_t symbol(std::string_view name) const {
        const auto found = symbols_.find(name);
        TRAPLINE_ASSERT(found != symbols_.end(), "the monitor's text lacks a label that the tables point to");
        return static_cast<std::uint32_t>(found->second);
    }

    // In the second table the descriptors that cases name have another base and limit and the AVL bit: LAR, LSL and the
    // bases of loaded segments show which table was used.
    void build_gdt(std::uint32_t table, bool second) {
        const auto entry = [&](unsigned index, std::uint64_t value) { put(table + index * 8, value); };
        constexpr std::uint64_t kFlat = 0xFFFFF;
        const std::uint64_t wide = kFlagBig | kFlagPages;
        const bool narrow = mode_ == Mode::protected16;
        const std::uint64_t limit = narrow ? 0xFFFF : kFlat;
        const std::uint64_t code_flags = mode_ == Mode::long64 ? kFlagLong | kFlagPages : narrow ? 0 : wide;
        const std::uint64_t data_flags = narrow ? 0 : wide;
        const std::uint64_t data = kPresent | kNotSystem | kDataRw | kAccessed, code = kPresent | kNotSystem | kCodeRx | kAccessed;
        entry(kMonitorCode32, descriptor(0, kFlat, code, wide));
        entry(kMonitorData32, descriptor(0, kFlat, data, wide));
        entry(kMonitorCode64, descriptor(0, kFlat, code, kFlagLong | kFlagPages));
        entry(kMonitorCode16, descriptor(0, 0xFFFF, code, 0));
        entry(kMonitorData16, descriptor(0, 0xFFFF, data, 0));
        for (unsigned level = 0; level < 4; ++level) {
            const std::uint64_t base = second ? kTestBase : 0, test_limit = limit - (second ? 1 : 0), avl = second ? kFlagAvl : 0;
            const auto test = [&](unsigned first, std::uint64_t access, std::uint64_t flags) { entry(first + level, descriptor(base, test_limit, access | dpl(level), flags | avl)); };
            entry(kCode_ + level, descriptor(0, limit, code | dpl(level), code_flags));
            entry(kCodeOther_ + level, descriptor(0, limit, code | dpl(level), code_flags));
            entry(kStack_ + level, descriptor(0, limit, data | dpl(level), data_flags));
            entry(kStackOther_ + level, descriptor(0, limit, data | dpl(level), data_flags));
            test(kTestData_, data, data_flags);
            test(kTestDataUnaccessed_, data & ~kAccessed, data_flags);
            test(kTestConforming_, code | kConforming, code_flags);
            test(kTestConformingUnaccessed_, (code | kConforming) & ~kAccessed, code_flags);
            test(kTestCode_, code, code_flags);
            test(kTestCodeUnaccessed_, code & ~kAccessed, code_flags);
            test(kTestAbsent_, data & ~kPresent, data_flags);
        }
        const auto system = [&](unsigned index, std::uint64_t base, std::uint64_t size, std::uint64_t type) { entry(index, descriptor(base, size - 1, kPresent | type, 0)); };
        system(kTss1Low, kTss1, kTssBytes, kTypeTss);
        system(kTss2Low, kTss2, kTssBytes, kTypeTss);
        system(kLdt1Low, kLdt1, 0x20, kTypeLdt);
        system(kLdt2Low, kLdt2, 0x20, kTypeLdt);
        for (unsigned gate_level = 0; gate_level < 4; ++gate_level)
            for (unsigned level = 0; level < 4; ++level) {
                const std::uint64_t target = kLanding, chosen = selector(kCode_ + level);
                entry(kGates_ + 2 * (4 * gate_level + level), (target & 0xFFFF) | chosen << 16 | (kPresent | kTypeCallGate | dpl(gate_level)) << 40 | target >> 16 << 48);
            }
        for (unsigned first : {kFlat1, kFlat2}) {  // SYSENTER's and SYSCALL's descriptors are what these say, or taken to be
            entry(first, descriptor(0, kFlat, code, mode_ == Mode::long64 ? kFlagLong | kFlagPages : wide));
            entry(first + 1, descriptor(0, kFlat, data, wide));
            entry(first + 2, descriptor(0, kFlat, code | dpl(3), wide));
            entry(first + 3, descriptor(0, kFlat, data | dpl(3), wide));
            entry(first + 4, descriptor(0, kFlat, code | dpl(3), mode_ == Mode::long64 ? kFlagLong | kFlagPages : wide));
            entry(first + 5, descriptor(0, kFlat, data | dpl(3), wide));
        }
    }

    void build_idt(std::uint32_t table, std::string_view which) {
        const std::uint32_t stubs = symbol(fmt::format("stubs{}", which));
        for (std::uint32_t vector = 0; vector < 256; ++vector) {
            const std::uint64_t target = stubs + vector * 16, level = vector == kDoneVector || vector == kStrayVector ? 3 : 0;
            const std::uint64_t access = kPresent | kTypeInterruptGate | dpl(level);
            if (mode_ == Mode::long64) {
                put(table + vector * 16, (target & 0xFFFF) | std::uint64_t{selector(kMonitorCode64)} << 16 | std::uint64_t{1} << 32 | access << 40 | target >> 16 << 48);
                put(table + vector * 16 + 8, std::uint64_t{0});
            } else {
                put(table + vector * 8, (target & 0xFFFF) | std::uint64_t{selector(kMonitorCode32)} << 16 | access << 40 | target >> 16 << 48);
            }
        }
        if (mode_ == Mode::long64) return;
        const std::uint32_t real = symbol(fmt::format("stubs_real{}", which)), vectors = table == kIdt1 ? 0 : kVectors2;
        for (std::uint32_t vector = 0; vector < 256; ++vector) put(vectors + vector * 4, real + vector * 8);  // CS 0
    }

    void build_tss(std::uint32_t tss) {
        put(tss + 4, std::uint64_t{kMonitorStack});  // ESP0 and RSP0 stand at the same place
        // Call gates may lead to levels 1 and 2 as well.
        for (std::uint32_t level = 1; level <= 2; ++level) put(tss + 4 + level * 8, std::uint32_t{kStack});
        if (mode_ == Mode::long64) {
            put(tss + 0x24, std::uint64_t{kMonitorStack});  // IST 1
        } else {
            put(tss + 8, std::uint32_t{selector(kMonitorData32)});
            for (std::uint32_t level = 1; level <= 2; ++level) put(tss + 8 + level * 8, std::uint32_t{selector(kStack_ + level, level)});
        }
        put(tss + 0x66, static_cast<std::uint16_t>(kIoBitmap));
        std::fill(memory_.begin() + tss + kIoBitmap, memory_.begin() + tss + kTssBytes, std::uint8_t{0xFF});
    }

    void build_pages(std::uint32_t pml4) {
        constexpr std::uint64_t kFlags = 7, kLarge = 0x87;  // present, writable, user; the page-size bit
        put(pml4, std::uint64_t{pml4 + 0x1000} | kFlags);
        put(pml4 + 0x1000, std::uint64_t{pml4 + 0x2000} | kFlags);
        for (std::uint64_t i = 0; i < 512; ++i) put(pml4 + 0x2000 + static_cast<std::uint32_t>(i) * 8, i << 21 | kLarge);
    }

    // APM volume 2, appendix B: the state save area, as far as VMLOAD reads it.
    void build_vmcb() {
        const std::uint32_t area = kVmcb + kVmcbState;
        const auto segment = [&](std::uint32_t at, std::uint16_t chosen, std::uint16_t attributes, std::uint32_t limit, std::uint64_t base) {
            put(area + at, chosen);
            put(area + at + 2, attributes);
            put(area + at + 4, limit);
            put(area + at + 8, base);
        };
        segment(0x40, selector(kStackOther_ + 3, 3), 0xCF3, 0xFFFFFFFF, 0x3000);   // FS
        segment(0x50, selector(kStackOther_ + 3, 3), 0xCF3, 0xFFFFFFFF, 0x2800);   // GS
        segment(0x70, selector(kLdt2Low), 0x082, 0x1F, kLdt2);
        segment(0x90, selector(kTss2Low), 0x08B, kTssBytes - 1, kTss2);
        put(area + 0x200, std::uint64_t{selector(kFlat2)} << 32 | std::uint64_t{selector(kFlat2)} << 48);  // STAR
        put(area + 0x208, std::uint64_t{kLanding});         // LSTAR
        put(area + 0x220, std::uint64_t{0x5000});           // KernelGsBase
        put(area + 0x228, std::uint64_t{selector(kFlat2)});  // SYSENTER_CS
    }

    Mode mode_;
    std::vector<std::uint8_t> memory_;
    const std::map<std::string, std::uint64_t, std::less<>>& symbols_;
};

}  // namespace

Result<Image> build_image(Mode mode, const std::string& sources) {
    const auto monitor = decode::assemble(equates() + sources, mode == Mode::long64 ? Mode::long64 : Mode::protected32, VirtAddr{kMonitor});
    if (!monitor) return tl::unexpected(Error(monitor.error()).within("assembling the monitor"));
    if (monitor->bytes.size() > kTables - kMonitor)
        return fail(ErrorCode::host_limit, fmt::format("the monitor has {} bytes, expected at most {}", monitor->bytes.size(), kTables - kMonitor));
    return Image{mode, Builder(mode, *monitor).build()};
}

}  // namespace trapline::ring0
