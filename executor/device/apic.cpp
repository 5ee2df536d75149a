// SPDX-License-Identifier: Apache-2.0
// Local APIC: registers, priorities, local vector table, timer. Section names are those of the SDM, vol. 3.
#include "executor/device/apic.h"

#include <algorithm>
#include <bit>

namespace trapline::executor {

namespace {

enum Offset : std::uint32_t {
    kId = 0x020, kVersionRegister = 0x030, kTaskPriority = 0x080, kArbitration = 0x090, kProcessorPriority = 0x0A0, kEoi = 0x0B0, kRemoteRead = 0x0C0,
    kLogicalId = 0x0D0, kFormat = 0x0E0, kSpurious = 0x0F0, kInService = 0x100, kTriggerMode = 0x180, kRequests = 0x200, kErrors = 0x280,
    kCommandLow = 0x300, kCommandHigh = 0x310, kLocal = 0x320, kInitialCount = 0x380, kCurrentCount = 0x390, kDivide = 0x3E0,
};
constexpr std::uint32_t kMasked = 1u << 16, kLevel = 1u << 15;
constexpr std::uint32_t kSendIllegal = 1u << 5, kReceiveIllegal = 1u << 6, kIllegalRegister = 1u << 7;  // "Error Handling"
constexpr std::uint32_t kFixed = 0, kLowestPriority = 1, kExtInt = 7;
constexpr std::uint32_t mode_of(std::uint32_t entry) { return entry >> 8 & 7; }
// "Local Vector Table": the bits that each entry has.
constexpr std::uint32_t kLocalBits[] = {0x300FF, 0x107FF, 0x107FF, 0x1A7FF, 0x1A7FF, 0x100FF};

}  // namespace

int VectorSet::highest() const {
    for (int i = 7; i >= 0; --i) {
        if (const std::uint32_t word = words_[static_cast<unsigned>(i)]) return 32 * i + 31 - std::countl_zero(word);
    }
    return -1;
}

std::uint8_t LocalApic::processor_priority() const {
    const int served = in_service_.highest();
    const unsigned in_service = served < 0 ? 0 : static_cast<unsigned>(served) & 0xF0;
    return static_cast<std::uint8_t>((task_priority_ & 0xF0u) >= in_service ? task_priority_ : in_service);
}

void LocalApic::update() { has_interrupt_ = requests_.highest() >> 4 > processor_priority() >> 4; }

bool LocalApic::accept(std::uint8_t vector, bool level) {
    if (!is_enabled()) return false;
    if (vector < 16) {
        raise_error(kReceiveIllegal);
        return false;
    }
    requests_.set(vector);
    if (level) {
        level_.set(vector);
    } else {
        level_.clear(vector);
    }
    update();
    return true;
}

void LocalApic::raise_error(std::uint32_t bit) {
    new_errors_ |= bit;
    const std::uint32_t entry = local_[error];
    if ((entry & kMasked) == 0 && (entry & 0xF0) != 0) accept(static_cast<std::uint8_t>(entry), false);
}

bool LocalApic::is_destination(std::uint8_t destination, bool logical) const {
    if (!logical) return destination == id_ || destination == 0xFF;
    if (format_ >> 28 == 0xF) return (destination & logical_id_) != 0;  // flat model
    const unsigned cluster = destination >> 4;
    return (cluster == 0xF || cluster == logical_id_ >> 4u) && (destination & logical_id_ & 0x0F) != 0;
}

std::uint8_t LocalApic::acknowledge() {
    const int wanted = requests_.highest();
    if (!has_interrupt_ || wanted < 0) return static_cast<std::uint8_t>(spurious_);
    const auto vector = static_cast<std::uint8_t>(wanted);
    requests_.clear(vector);
    in_service_.set(vector);
    update();
    return vector;
}

void LocalApic::end_of_interrupt() {
    const int served = in_service_.highest();
    if (served < 0) return;
    const auto vector = static_cast<std::uint8_t>(served);
    in_service_.clear(vector);
    if (level_.has(vector)) {
        if (level_ended_) level_ended_(vector);
        sample_lint0_level();
    }
    update();
}

bool LocalApic::passes_external() const { return (local_[lint0] & kMasked) == 0 && mode_of(local_[lint0]) == kExtInt; }

void LocalApic::sample_lint0_level() {
    const std::uint32_t entry = local_[lint0];
    if (lint0_high_ && (entry & (kMasked | kLevel)) == kLevel && mode_of(entry) == kFixed) accept(static_cast<std::uint8_t>(entry), true);
}

void LocalApic::set_lint0(bool high) {
    const bool rises = high && !lint0_high_;
    lint0_high_ = high;
    if (!rises) return;
    const std::uint32_t entry = local_[lint0];
    if ((entry & (kMasked | kLevel)) == 0 && mode_of(entry) == kFixed) accept(static_cast<std::uint8_t>(entry), false);
    sample_lint0_level();
}

void LocalApic::set_local(unsigned which, std::uint32_t value) {
    value &= kLocalBits[which];
    if (!is_enabled()) value |= kMasked;  // "Local APIC State After It Has Been Software Disabled"
    if (which == timer) {
        // What the count is now goes on in the new mode.
        const Nanoseconds now = clock_.now();
        settle_timer(now);
        anchor_count_ = timer_count(now);
        anchor_ = now;
    }
    local_[which] = value;
    if (which == timer) schedule(settled_);
    if (which == lint0) sample_lint0_level();
}

void LocalApic::send(std::uint32_t command) {
    const unsigned shorthand = command >> 18 & 3;  // none, self, all with self, all but self
    const bool to_self = shorthand == 1 || shorthand == 2 ||
                         (shorthand == 0 && is_destination(static_cast<std::uint8_t>(command_high_ >> 24), (command & 1u << 11) != 0));
    const std::uint32_t mode = mode_of(command);
    if (mode != kFixed && mode != kLowestPriority) return;
    if ((command & 0xF0) == 0) {
        raise_error(kSendIllegal);
    } else if (to_self) {
        accept(static_cast<std::uint8_t>(command), false);
    }
}

unsigned LocalApic::timer_shift() const { return (((divide_ & 3) | (divide_ >> 1 & 4)) + 1) & 7; }  // "Divide Configuration Register"

std::uint32_t LocalApic::timer_count(Nanoseconds now) const {
    if (!runs_) return 0;
    const Nanoseconds passed = (now - anchor_) >> timer_shift();
    if (passed < anchor_count_) return static_cast<std::uint32_t>(anchor_count_ - passed);
    return is_periodic() ? static_cast<std::uint32_t>(initial_ - (passed - anchor_count_) % initial_) : 0;
}

Nanoseconds LocalApic::next_expiry(Nanoseconds after) const {
    if (!runs_) return kNever;
    const Nanoseconds first = anchor_ + (static_cast<Nanoseconds>(anchor_count_) << timer_shift());
    if (first > after) return first;
    if (!is_periodic()) return kNever;
    const Nanoseconds every = static_cast<Nanoseconds>(initial_) << timer_shift();
    return first + ((after - first) / every + 1) * every;
}

void LocalApic::settle_timer(Nanoseconds now) {
    if (next_expiry(settled_) <= now) {
        if (!is_periodic()) runs_ = false;
        if ((local_[timer] & kMasked) == 0) accept(static_cast<std::uint8_t>(local_[timer]), false);
    }
    settled_ = now;
}

void LocalApic::schedule(Nanoseconds now) { next_event_ = (local_[timer] & kMasked) != 0 ? kNever : next_expiry(now); }

void LocalApic::advance(Nanoseconds now) {
    if (now < next_event_) return;
    settle_timer(now);
    schedule(now);
}

std::uint32_t LocalApic::read_register(std::uint32_t offset) {
    if (offset >= kInService && offset < kErrors) {
        const VectorSet& set = offset < kTriggerMode ? in_service_ : offset < kRequests ? level_ : requests_;
        return set.word(offset >> 4);
    }
    if (offset >= kLocal && offset < kInitialCount) return local_[(offset - kLocal) >> 4];
    switch (offset) {
        case kId: return static_cast<std::uint32_t>(id_) << 24;
        case kVersionRegister: return (static_cast<std::uint32_t>(local_.size()) - 1) << 16 | kVersion;
        case kTaskPriority: return task_priority_;
        case kProcessorPriority: return processor_priority();
        case kLogicalId: return static_cast<std::uint32_t>(logical_id_) << 24;
        case kFormat: return format_;
        case kSpurious: return spurious_;
        case kErrors: return errors_;
        case kCommandLow: return command_low_;
        case kCommandHigh: return command_high_;
        case kInitialCount: return initial_;
        case kCurrentCount: {
            const Nanoseconds now = clock_.now();
            settle_timer(now);
            schedule(now);
            return timer_count(now);
        }
        case kDivide: return divide_;
        case kArbitration: case kEoi: case kRemoteRead: return 0;
        default: raise_error(kIllegalRegister); return 0;
    }
}

void LocalApic::write_register(std::uint32_t offset, std::uint32_t value) {
    if (offset >= kLocal && offset < kInitialCount) {
        set_local((offset - kLocal) >> 4, value);
        return;
    }
    switch (offset) {
        case kId: id_ = static_cast<std::uint8_t>(value >> 24); break;
        case kTaskPriority: task_priority_ = static_cast<std::uint8_t>(value); break;
        case kEoi: end_of_interrupt(); break;
        case kLogicalId: logical_id_ = static_cast<std::uint8_t>(value >> 24); break;
        case kFormat: format_ = value | 0x0FFFFFFF; break;
        case kSpurious:
            spurious_ = value & 0x3FF;
            if (!is_enabled()) {
                for (unsigned i = 0; i < local_.size(); ++i) set_local(i, local_[i]);
            }
            break;
        case kErrors:
            errors_ = new_errors_;
            new_errors_ = 0;
            break;
        case kCommandLow:
            command_low_ = value & 0xCCFFF;
            send(command_low_);
            break;
        case kCommandHigh: command_high_ = value & 0xFF000000; break;
        case kInitialCount: case kDivide: {
            const Nanoseconds now = clock_.now();
            settle_timer(now);
            if (offset == kInitialCount) {
                initial_ = anchor_count_ = value;
                runs_ = value != 0;
            } else {
                anchor_count_ = timer_count(now);
                divide_ = value & 0x0B;
            }
            anchor_ = now;
            schedule(now);
            break;
        }
        case kVersionRegister: case kArbitration: case kProcessorPriority: case kRemoteRead: case kCurrentCount: break;
        default:
            if (offset < kInService || offset >= kErrors) raise_error(kIllegalRegister);
            break;
    }
    update();
}

std::uint32_t LocalApic::memory_read(std::uint32_t offset, unsigned) {
    // Registers are the first four bytes of sixteen; the rest is reserved.
    const unsigned byte = offset & 15;
    return byte >= 4 ? 0 : read_register(offset & 0xFF0) >> (8 * byte);
}

void LocalApic::memory_write(std::uint32_t offset, unsigned size, std::uint32_t value) {
    // "Must be accessed using 128-bit-aligned 32-bit loads or stores": others have no defined effect, and have none here.
    if (size == 4 && (offset & 15) == 0) write_register(offset & 0xFF0, value);
}

}  // namespace trapline::executor
