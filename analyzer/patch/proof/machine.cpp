// SPDX-License-Identifier: Apache-2.0
// State of the reference machine: memory with the VMM's pages in it, the two views of the flags, opaque functions.
#include "patch/proof/machine.h"

#include "patch/proof/flags.h"

namespace trapline::patch::proof {
namespace {

/// The real flags of a deprivileged guest: IF is 1 and IOPL is 0, always.
constexpr std::uint64_t kOwnedByVmm = kInterrupt | kIopl;

/// What an opaque ordinary instruction may change. CLD, STAC and the like are such.
constexpr std::uint64_t kOpaqueFlags = kStatusFlags | kDirection;
constexpr std::uint64_t kOpaqueSystemFlags = kOpaqueFlags | kInterrupt | kIopl | kNested | kAlignment | kIdentification;

}  // namespace

Machine::Machine(const Layout& layout, std::uint64_t seed, bool deprivileged) : memory(seed), layout_(&layout), deprivileged_(deprivileged) {
    cpu.code = layout.mode;
}

std::uint64_t Machine::vcpu_word(std::uint32_t offset, unsigned size) const {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value |= static_cast<std::uint64_t>(vcpu[offset + i]) << (8 * i);
    return value;
}

void Machine::set_vcpu_word(std::uint32_t offset, unsigned size, std::uint64_t value) {
    for (unsigned i = 0; i < size; ++i) vcpu[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

std::uint64_t Machine::load(std::uint64_t address, unsigned size) {
    if (layout_->is_reserved(address, size)) {
        const std::uint64_t offset = address - layout_->vcpu;
        if (deprivileged_ && offset < kPageBytes && kPageBytes - offset >= size) return vcpu_word(static_cast<std::uint32_t>(offset), size);
        forbidden_ = address;
    }
    return memory.load(address, size);
}

void Machine::store(std::uint64_t address, unsigned size, std::uint64_t value) {
    if (!layout_->is_reserved(address, size)) return memory.store(address, size, value);
    const std::uint64_t offset = address - layout_->vcpu, pending_offset = address - layout_->pending;
    if (deprivileged_ && offset < kPageBytes && kPageBytes - offset >= size) {
        set_vcpu_word(static_cast<std::uint32_t>(offset), size, value);
    } else if (deprivileged_ && pending_offset < kPageBytes && size == 1 && (value & 0xFF) == 0 &&
               (pending_offset == layout_->after_sti || pending_offset == layout_->after_flags)) {
        if (pending_traps) pending_store_ = pending_offset;
    } else {
        forbidden_ = address;
    }
}

std::optional<std::uint64_t> Machine::take_pending_store() {
    const auto taken = pending_store_;
    pending_store_.reset();
    return taken;
}

std::uint64_t Machine::guest_flags() const {
    if (!deprivileged_) return cpu.flags;
    return (cpu.flags + vcpu_word(layout_->flags_if, 8) + vcpu_word(layout_->flags_fixed, 8)) & (layout_->mode == Mode::long64 ? ~std::uint64_t{0} : 0xFFFFFFFFu);
}

void Machine::set_guest_flags(std::uint64_t flags) {
    if (!deprivileged_) {
        cpu.flags = flags;
        return;
    }
    cpu.flags = (flags & ~kOwnedByVmm) | kInterrupt;
    set_vcpu_word(layout_->flags_if, 8, flags & kInterrupt);
    set_vcpu_word(layout_->flags_fixed, 8, (flags & kIopl) - kInterrupt);
}

std::uint64_t Machine::system(SystemRegister which) const { return vcpu_word(layout_->system[static_cast<std::size_t>(which)], 8); }
void Machine::set_system(SystemRegister which, std::uint64_t value) { set_vcpu_word(layout_->system[static_cast<std::size_t>(which)], 8, value); }

void Machine::push(std::uint64_t value, unsigned size) {
    std::uint64_t& sp = cpu.general[kRsp];
    sp = (sp - size) & cpu.mask();
    const std::uint64_t base = cpu.code == Mode::long64 ? 0 : cpu.segment_base[static_cast<std::size_t>(Segment::ss)];
    store((base + sp) & cpu.mask(), size, value);
}

std::uint64_t Machine::pop(unsigned size) {
    std::uint64_t& sp = cpu.general[kRsp];
    const std::uint64_t base = cpu.code == Mode::long64 ? 0 : cpu.segment_base[static_cast<std::size_t>(Segment::ss)];
    const std::uint64_t value = load((base + sp) & cpu.mask(), size);
    sp = (sp + size) & cpu.mask();
    return value;
}

std::uint64_t Machine::digest() const {
    std::uint64_t hash = mix(memory.digest(), guest_flags());
    const std::size_t count = layout_->mode == Mode::long64 ? 16 : 8;
    for (std::size_t i = 0; i < count; ++i) hash = mix(hash, cpu.general[i]);
    return hash;
}

std::uint64_t Machine::system_digest() const {
    std::uint64_t hash = 0;
    for (const std::uint32_t offset : layout_->steady) hash = mix(hash, vcpu_word(offset, 8));
    return hash;
}

void apply_opaque(Machine& machine, std::uint64_t identity, bool system, std::uint64_t address) {
    std::uint64_t hash = mix(identity, machine.digest());
    if (system) hash = mix(mix(hash, machine.system_digest()), address);
    const auto next = [&] { return hash = mix(hash, 0x5A); };
    const std::uint64_t mask = machine.layout().address_mask(), choice = next();
    const std::size_t count = machine.layout().mode == Mode::long64 ? 16 : 8;
    // Some registers change, the stack pointer more rarely: most states have to stay comparable with what code expects.
    for (std::size_t i = 0; i < count; ++i)
        if ((choice >> (2 * i) & (i == kRsp ? 3u : 1u)) == (i == kRsp ? 3u : 1u)) machine.cpu.general[i] = next() & mask;
    const std::uint64_t which = system ? kOpaqueSystemFlags : kOpaqueFlags;
    machine.set_guest_flags((machine.guest_flags() & ~which) | (next() & which));
    if ((choice >> 40 & 1) != 0) machine.store(machine.cpu.general[kRsp] & mask, machine.cpu.stack_bytes(), next());
    if ((choice >> 41 & 1) != 0) machine.store(next() & (mask >> 1), 4, next());
    if (!system) return;
    for (std::size_t i = 0; i < kSystemRegisters; ++i)
        if ((choice >> (48 + i) & 1) != 0) machine.set_system(static_cast<SystemRegister>(i), next() & system_mask(machine.layout(), static_cast<SystemRegister>(i)));
}

}  // namespace trapline::patch::proof
