// SPDX-License-Identifier: Apache-2.0
// The local APIC of the only processor (SDM vol. 3, "Advanced Programmable Interrupt Controller"; xAPIC, fixed at FEE00000h).
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "executor/device/device.h"

namespace trapline::executor {

/// One bit for each vector, as in ISR, TMR and IRR.
class VectorSet {
public:
    void set(std::uint8_t vector) { words_[vector >> 5] |= 1u << (vector & 31); }
    void clear(std::uint8_t vector) { words_[vector >> 5] &= ~(1u << (vector & 31)); }
    bool has(std::uint8_t vector) const { return (words_[vector >> 5] >> (vector & 31) & 1) != 0; }
    /// The highest vector, or -1.
    int highest() const;
    std::uint32_t word(unsigned number) const { return words_[number & 7]; }

private:
    std::array<std::uint32_t, 8> words_{};
};

/// Fresh as firmware leaves it: enabled, in virtual wire mode (LINT0 is ExtINT, LINT1 NMI; MultiProcessor Specification 1.4, 3.6.2.1).
/// The timer's clock is 1 GHz. Fixed and lowest-priority interrupts are delivered; NMI, SMI, INIT and start-up go nowhere, for there is
/// no other processor. Timer interrupts that come late arrive once.
class LocalApic final : public MemoryDevice {
public:
    static constexpr std::uint64_t kAddress = 0xFEE00000;
    static constexpr std::uint32_t kSize = 0x1000;
    static constexpr std::uint8_t kVersion = 0x14;

    /// `level_ended` is told the vector of each level-triggered interrupt that ends.
    LocalApic(Clock& clock, std::function<void(std::uint8_t)> level_ended) : clock_(clock), level_ended_(std::move(level_ended)) {}
    std::uint32_t memory_read(std::uint32_t offset, unsigned size) override;
    void memory_write(std::uint32_t offset, unsigned size, std::uint32_t value) override;

    /// A message from the I/O APIC or this APIC itself. False if it is not accepted: software-disabled, or an illegal vector.
    bool accept(std::uint8_t vector, bool level);
    /// Whether a destination field means this APIC.
    bool is_destination(std::uint8_t destination, bool logical) const;
    /// The LINT0 pin, which is wired to the 8259s.
    void set_lint0(bool high);
    /// LINT0 lets the 8259s' interrupts through to the processor.
    bool passes_external() const;
    bool is_enabled() const { return (spurious_ & 0x100) != 0; }

    /// A request of a higher class than the processor's priority.
    bool has_interrupt() const { return has_interrupt_; }
    /// Takes it into service; without one it is the spurious vector.
    std::uint8_t acknowledge();

    Nanoseconds next_event() const { return next_event_; }
    void advance(Nanoseconds now);

private:
    enum Local : unsigned { timer, thermal, performance, lint0, lint1, error };

    std::uint32_t read_register(std::uint32_t offset);
    void write_register(std::uint32_t offset, std::uint32_t value);
    std::uint8_t processor_priority() const;
    void raise_error(std::uint32_t bit);
    void set_local(unsigned which, std::uint32_t value);
    void sample_lint0_level();
    void end_of_interrupt();
    void send(std::uint32_t command);
    void update();

    unsigned timer_shift() const;
    bool is_periodic() const { return (local_[timer] & 1u << 17) != 0; }
    std::uint32_t timer_count(Nanoseconds now) const;
    Nanoseconds next_expiry(Nanoseconds after) const;
    void settle_timer(Nanoseconds now);
    void schedule(Nanoseconds now);

    Clock& clock_;
    std::function<void(std::uint8_t)> level_ended_;
    VectorSet in_service_, level_, requests_;
    bool has_interrupt_ = false;
    bool lint0_high_ = false;
    std::uint8_t id_ = 0, task_priority_ = 0, logical_id_ = 0;
    std::uint32_t format_ = 0xFFFFFFFF, spurious_ = 0x10F;
    std::uint32_t errors_ = 0, new_errors_ = 0;  ///< ESR as it reads, and what the next write to it brings
    std::uint32_t command_low_ = 0, command_high_ = 0;
    std::array<std::uint32_t, 6> local_{0x10000, 0x10000, 0x10000, 0x700, 0x400, 0x10000};  ///< LVT, by Local

    std::uint32_t initial_ = 0, divide_ = 0;
    bool runs_ = false;
    std::uint32_t anchor_count_ = 0;  ///< the current count at anchor_
    Nanoseconds anchor_ = 0, settled_ = 0, next_event_ = kNever;
};

}  // namespace trapline::executor
