// SPDX-License-Identifier: Apache-2.0
// The task switch (SDM vol. 3, "Task Switching" and its table of checked conditions). The checks on the two TSSs come before
// anything is written; those on the new task's segments come when it already runs, so that their faults are its own.
#include "executor/cpu/protection_detail.h"

namespace trapline::executor::detail {

namespace {

/// Where the fields of a TSS stand (SDM vol. 3, figures of the 32-bit and 16-bit TSS). General and segment registers come in
/// the order of their numbers; saved is the range [ip, saved_end).
struct Layout {
    std::uint32_t size, word, ip, flags, registers, segments, segment_stride, segment_count, saved_end, local_table;
};
constexpr Layout kLayout32{104, 4, 0x20, 0x24, 0x28, 0x48, 4, 6, 0x60, 0x60};
constexpr Layout kLayout16{44, 2, 0x0E, 0x10, 0x12, 0x22, 2, 4, 0x2A, 0x2A};
constexpr std::uint32_t kCr3At = 0x1C, kTrapAt = 0x64;  // 32-bit only

const Layout& layout_of(const Segment& tss) { return (tss.type & kIs32) != 0 ? kLayout32 : kLayout16; }

class TssImage {
public:
    explicit TssImage(const Layout& layout) : layout_(layout) {}
    std::uint32_t word(std::uint32_t at) const { return layout_.word == 4 ? load<std::uint32_t>(at) : load<std::uint16_t>(at); }
    void set_word(std::uint32_t at, std::uint32_t value) { std::memcpy(bytes_ + at, &value, layout_.word); }
    std::uint16_t half(std::uint32_t at) const { return load<std::uint16_t>(at); }
    void set_half(std::uint32_t at, std::uint16_t value) { std::memcpy(bytes_ + at, &value, 2); }
    std::uint8_t* data() { return bytes_; }

private:
    template <class T>
    T load(std::uint32_t at) const {
        T value;
        std::memcpy(&value, bytes_ + at, sizeof value);
        return value;
    }
    const Layout& layout_;
    std::uint8_t bytes_[104] = {};
};

MaybeFault check_new_task(const Vcpu& vcpu, LinearMemory& memory, const TaskSwitch& change, Descriptor& task) {
    const bool returns = change.entry == TaskEntry::task_return;
    const Vector invalid = returns ? Vector::invalid_tss : Vector::general_protection;
    if (is_null(change.selector) || (change.selector & 4) != 0) return selector_fault(invalid, change.selector, change.ext);
    if (MaybeFault fault = read_descriptor(vcpu, memory, change.selector, invalid, change.ext, task)) return fault;
    const std::uint8_t wanted = returns ? kTss16Busy : kTss16Available;
    if (!task.segment.system || (task.segment.type & ~kIs32) != wanted) return selector_fault(invalid, change.selector, change.ext);
    if (!task.segment.present) return selector_fault(Vector::not_present, change.selector, change.ext);
    if (task.segment.limit < layout_of(task.segment).size - 1) return selector_fault(Vector::invalid_tss, change.selector, change.ext);
    return {};
}

void save(const Vcpu& vcpu, const Layout& layout, std::uint32_t saved_flags, TssImage& image) {
    image.set_word(layout.ip, static_cast<std::uint32_t>(vcpu.rip));
    image.set_word(layout.flags, saved_flags);
    for (unsigned i = 0; i < 8; ++i) image.set_word(layout.registers + i * layout.word, vcpu.reg32(i));
    for (unsigned i = 0; i < layout.segment_count; ++i) image.set_half(layout.segments + i * layout.segment_stride, vcpu.segments[i].selector);
}

MaybeFault set_busy(LinearMemory& memory, std::uint32_t descriptor, bool busy) {
    const std::uint32_t at = descriptor + 5;
    std::uint8_t access = 0;
    if (MaybeFault fault = memory.read(at, &access, 1, Privilege::supervisor)) return fault;
    access = static_cast<std::uint8_t>(busy ? access | 2 : access & ~2);
    return memory.write(at, &access, 1, Privilege::supervisor);
}

/// Checks and loads CS of a protected-mode task, whose RPL has become the CPL.
MaybeFault load_task_code(Vcpu& vcpu, LinearMemory& memory, std::uint16_t selector, std::uint32_t ext) {
    if (is_null(selector)) return selector_fault(Vector::invalid_tss, 0, ext);
    Descriptor code;
    if (MaybeFault fault = read_descriptor(vcpu, memory, selector, Vector::invalid_tss, ext, code)) return fault;
    const std::uint8_t rpl = rpl_of(selector);
    if (!code.segment.is_code() || (code.segment.is_conforming() ? code.segment.dpl > rpl : code.segment.dpl != rpl))
        return selector_fault(Vector::invalid_tss, selector, ext);
    if (!code.segment.present) return selector_fault(Vector::not_present, selector, ext);
    if (MaybeFault fault = mark_accessed(memory, code)) return fault;
    vcpu.segments[kCs] = code.segment;
    return {};
}

MaybeFault load_task_segments(Vcpu& vcpu, LinearMemory& memory, std::uint16_t local_table, std::uint32_t ext) {
    if (MaybeFault fault = load_local_table(vcpu, memory, local_table, Vector::invalid_tss, Vector::invalid_tss, ext)) return fault;
    if (vcpu.is_v86()) {
        for (unsigned which = kEs; which <= kGs; ++which) {
            const auto segment = static_cast<SegmentRegister>(which);
            load_real_segment(vcpu, segment, vcpu.segments[segment].selector);
        }
        return {};
    }
    if (MaybeFault fault = load_task_code(vcpu, memory, vcpu.cs().selector, ext)) return fault;
    Descriptor stack;
    if (MaybeFault fault = read_stack_segment(vcpu, memory, vcpu.ss().selector, vcpu.cpl, Vector::invalid_tss, ext, stack)) return fault;
    if (MaybeFault fault = mark_accessed(memory, stack)) return fault;
    vcpu.segments[kSs] = stack.segment;
    for (const SegmentRegister which : {kEs, kDs, kFs, kGs})
        if (MaybeFault fault = load_data_segment(vcpu, memory, which, vcpu.segments[which].selector, Vector::invalid_tss, ext)) return fault;
    return {};
}

/// Registers of the new task; its segments are selectors without descriptors yet.
void load_registers(Vcpu& vcpu, const Layout& layout, const TssImage& image, bool nested) {
    // The manuals do not say what a 16-bit TSS makes of the upper halves. All ones is what Bochs 3.0 and test386 agree on; QEMU 7.2
    // keeps the old task's.
    const std::uint32_t upper = layout.word == 2 ? 0xFFFF0000 : 0;
    constexpr std::uint64_t kLoaded = flag::arithmetic | flag::tf | flag::interrupt | flag::df | flag::iopl | flag::nt | flag::rf | flag::vm | flag::ac |
                                      flag::vif | flag::vip | flag::id;
    vcpu.rip = image.word(layout.ip);
    vcpu.rflags = (image.word(layout.flags) & kLoaded) | flag::fixed | (nested ? flag::nt : 0);
    for (unsigned i = 0; i < 8; ++i) vcpu.set_reg32(i, upper | image.word(layout.registers + i * layout.word));
    for (unsigned i = 0; i < 6; ++i)
        vcpu.segments[i] = null_segment(i < layout.segment_count ? image.half(layout.segments + i * layout.segment_stride) : std::uint16_t{0});
    vcpu.ldtr = {.selector = image.half(layout.local_table), .type = kLdt, .system = true, .present = false};
    vcpu.cpl = (vcpu.rflags & flag::vm) != 0 ? 3 : rpl_of(vcpu.cs().selector);
    vcpu.interrupt_shadow = vcpu.halted = false;
}

/// What the new task meets before its first instruction.
MaybeFault start_task(Vcpu& vcpu, LinearMemory& memory, const Layout& layout, const TssImage& image, const TaskSwitch& change) {
    if (MaybeFault fault = load_task_segments(vcpu, memory, image.half(layout.local_table), change.ext)) return fault;
    if (change.error_code) {
        PushFrame frame(layout.word);
        frame.push(*change.error_code);
        if (MaybeFault fault = frame.check_room(vcpu.ss(), vcpu.reg32(kRsp), change.ext)) return fault;
        if (MaybeFault fault = frame.write(memory, vcpu.ss(), vcpu.reg32(kRsp), privilege_of(vcpu.cpl))) return fault;
        set_stack_pointer(vcpu, vcpu.reg32(kRsp) - frame.size());
    }
    if (!is_inside(vcpu.cs(), static_cast<std::uint32_t>(vcpu.rip), 1)) return Fault::general_protection(change.ext);
    if (layout.word == 4 && (image.half(kTrapAt) & 1) != 0) {
        vcpu.dr[6] |= 1u << 15;
        return Fault{Vector::debug};
    }
    return {};
}

}  // namespace

MaybeFault switch_task(Vcpu& vcpu, LinearMemory& memory, const TaskSwitch& change) {
    constexpr auto kSupervisor = Privilege::supervisor;
    Descriptor task;
    if (MaybeFault fault = check_new_task(vcpu, memory, change, task)) return fault;
    const Segment old_task = vcpu.tr;
    const Layout &old_layout = layout_of(old_task), &new_layout = layout_of(task.segment);
    if (!is_inside(old_task, 0, old_layout.size)) return selector_fault(Vector::invalid_tss, old_task.selector, change.ext);
    const bool nested = change.entry == TaskEntry::nest, returns = change.entry == TaskEntry::task_return;
    const auto old_descriptor = static_cast<std::uint32_t>(vcpu.gdtr.base + (old_task.selector & 0xFFF8));

    // Everything that is read or written is touched first.
    TssImage old_image(old_layout), new_image(new_layout);
    const std::uint32_t save_at = linear_of(old_task, old_layout.ip), save_size = old_layout.saved_end - old_layout.ip;
    if (MaybeFault fault = memory.read(linear_of(task.segment, 0), new_image.data(), new_layout.size, kSupervisor)) return fault;
    if (MaybeFault fault = memory.read(save_at, old_image.data() + old_layout.ip, save_size, kSupervisor)) return fault;
    if (MaybeFault fault = memory.check_write(save_at, save_size, kSupervisor)) return fault;
    if (nested)
        if (MaybeFault fault = memory.check_write(linear_of(task.segment, 0), 2, kSupervisor)) return fault;
    if (!nested)
        if (MaybeFault fault = memory.check_write(old_descriptor + 5, 1, kSupervisor)) return fault;
    if (!returns)
        if (MaybeFault fault = memory.check_write(task.address + 5, 1, kSupervisor)) return fault;

    save(vcpu, old_layout, change.saved_flags, old_image);
    if (!nested)
        if (MaybeFault fault = set_busy(memory, old_descriptor, false)) return fault;
    if (MaybeFault fault = memory.write(save_at, old_image.data() + old_layout.ip, save_size, kSupervisor)) return fault;
    if (nested)
        if (MaybeFault fault = memory.write(linear_of(task.segment, 0), &old_task.selector, 2, kSupervisor)) return fault;
    if (!returns)
        if (MaybeFault fault = set_busy(memory, task.address, true)) return fault;
    // Again, because the two TSSs may overlap.
    if (MaybeFault fault = memory.read(linear_of(task.segment, 0), new_image.data(), new_layout.size, kSupervisor)) return fault;

    const std::uint64_t old_cr0 = vcpu.cr0, old_cr3 = vcpu.cr3;
    load_registers(vcpu, new_layout, new_image, nested);
    vcpu.tr = task.segment;
    vcpu.tr.type |= 2;
    vcpu.cr0 |= cr0::ts;
    if (new_layout.word == 4 && vcpu.is_paged()) vcpu.cr3 = new_image.word(kCr3At);
    // L0-L3 and LE of DR7 are the old task's own (SDM vol. 3, "Debug Control Register").
    vcpu.dr[7] &= ~std::uint64_t{0x155};
    memory.task_switched(old_cr0, old_cr3);

    MaybeFault fault = start_task(vcpu, memory, new_layout, new_image, change);
    if (fault) fault->after_task_switch = true;
    return fault;
}

}  // namespace trapline::executor::detail
