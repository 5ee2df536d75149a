// SPDX-License-Identifier: Apache-2.0
// The 8254 interval timer of a PC and port 61h (Intel 82C54 datasheet, 231244). Nothing ticks: counts, outputs and the next
// interrupt are computed from the time.
#pragma once

#include <array>
#include <cstdint>

#include "executor/device/device.h"

namespace trapline::executor {

/// A time in periods of the 8254's clock in a PC: 14.31818 MHz / 12 = 105/88 MHz.
using PitTicks = std::int64_t;
/// How many clock periods have passed at `time`.
PitTicks pit_ticks_at(Nanoseconds time);
/// When the clock's period number `ticks` begins: the least time at which pit_ticks_at gives it.
Nanoseconds pit_time_of(PitTicks ticks);

/// One of the three counters. Every call gets the time, which never runs back.
class PitCounter {
public:
    /// A Control Word for this counter; not the counter latch command.
    void set_control(std::uint8_t control, PitTicks now);
    void write(std::uint8_t value, PitTicks now);
    std::uint8_t read(PitTicks now);
    void latch_count(PitTicks now);
    void latch_status(PitTicks now);
    void set_gate(bool high, PitTicks now);
    /// Modes 2 and 3: OUT falls and rises for ever.
    bool is_periodic() const { return mode() == 2 || mode() == 3; }

    /// OUT.
    bool output(PitTicks now);
    /// The first rising edge of OUT after `now`, or -1 if OUT does not rise by itself.
    PitTicks next_rise(PitTicks now);

private:
    unsigned mode() const { return (control_ >> 1 & 7) > 5 ? (control_ >> 1 & 3) : (control_ >> 1 & 7); }  // 6 and 7 are 2 and 3
    unsigned byte_order() const { return control_ >> 4 & 3; }  // 1: low byte only, 2: high byte only, 3: low, then high
    bool is_bcd() const { return (control_ & 1) != 0; }
    bool needs_trigger() const { return mode() == 1 || mode() == 5; }
    PitTicks high_part() const { return mode() == 3 ? (count_ + 1) / 2 : count_ - 1; }
    PitTicks elapsed(PitTicks now) const { return !runs_ ? held_ : now > start_ ? now - start_ : 0; }
    void settle(PitTicks now);
    void load(std::uint16_t value, PitTicks now);
    void reload(PitTicks now);
    std::uint16_t counting_element(PitTicks now);

    std::uint8_t control_ = 0x30;
    bool gate_ = true;
    bool loaded_ = false;           ///< a count has been written since the control word
    bool runs_ = false;             ///< counts: loaded (modes 1, 5: and triggered), not held by the gate
    bool writes_high_ = false;      ///< the low byte has come, the high byte is next
    bool reads_high_ = false;
    std::uint8_t low_byte_ = 0;
    PitTicks count_ = 0x10000;      ///< what the counting element was loaded with, 1 to 65536
    PitTicks start_ = 0;            ///< when it was loaded: it holds `count_` there, one less a period later
    PitTicks held_ = 0;             ///< periods counted when the gate went low
    PitTicks next_count_ = 0;       ///< written, and loaded at `next_start_` (modes 2, 3) or by a trigger; 0: none
    PitTicks next_start_ = 0;
    std::uint16_t count_latch_ = 0;
    std::uint8_t status_latch_ = 0;
    std::uint8_t latched_bytes_ = 0;  ///< of the count, not read yet
    bool status_latched_ = false;
};

/// Ports 40h to 43h and 61h (gate of counter 2, speaker, refresh toggle, OUT2). Counter 0 drives interrupt line 0: high while OUT is,
/// except that the low part of a square wave is left out. Interrupts that come late arrive once.
class Pit final : public PortDevice {
public:
    Pit(Clock& clock, InterruptLines& lines);
    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;
    Nanoseconds next_event() override { return next_event_; }
    void advance(Nanoseconds now) override;

private:
    void schedule(PitTicks now);

    Clock& clock_;
    InterruptLines& lines_;
    std::array<PitCounter, 3> counters_;
    std::uint8_t port61_ = 0;  ///< the four bits that can be written
    PitTicks next_rise_ = -1;
    Nanoseconds next_event_ = kNever;
};

}  // namespace trapline::executor
