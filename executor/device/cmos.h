// SPDX-License-Identifier: Apache-2.0
// The real-time clock and CMOS memory of a PC (Motorola MC146818A datasheet; the IBM AT's use of the memory).
#pragma once

#include <array>
#include <cstdint>

#include "executor/device/device.h"

namespace trapline::executor {

/// What firmware leaves in CMOS and clock.
struct CmosContent {
    std::uint64_t memory_size = 0;   ///< bytes of RAM from address 0, for the memory size fields
    std::int64_t wall_time = 0;      ///< nanoseconds since 1970-01-01 UTC at virtual time 0; the clock shows UTC
};

/// Ports 70h and 71h: 128 bytes, of which 0 to 9, A to D and 32h (century) belong to the clock. Interrupt line 8: periodic, alarm and
/// update-ended. The clock runs with virtual time; interrupts that come late arrive once.
class Cmos final : public PortDevice {
public:
    Cmos(Clock& clock, InterruptLines& lines, const CmosContent& content);
    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;
    Nanoseconds next_event() override { return next_event_; }
    void advance(Nanoseconds now) override;
    /// Bit 7 of port 70h: the guest wants no NMI.
    bool nmi_disabled() const { return (index_ & 0x80) != 0; }

private:
    bool divider_runs() const;
    bool runs() const;  ///< seconds go on: the divider runs and SET is clear
    std::int64_t seconds(Nanoseconds now) const;
    Nanoseconds fraction(Nanoseconds now) const;
    std::uint64_t period() const;
    std::uint8_t encode(unsigned value) const;
    unsigned decode(std::uint8_t value) const;
    std::uint8_t encode_hour(unsigned hour) const;
    unsigned decode_hour(std::uint8_t value) const;
    void show_time(std::int64_t time);
    std::int64_t shown_time() const;
    bool alarm_rings(std::int64_t time) const;
    std::uint8_t read_register(std::uint8_t index, Nanoseconds now);
    void write_register(std::uint8_t index, std::uint8_t value, Nanoseconds now);
    void settle(Nanoseconds now);
    void schedule(Nanoseconds now);

    Clock& clock_;
    InterruptLines& lines_;
    std::array<std::uint8_t, 128> memory_{};  ///< the bytes of the time are brought up to date when they are read
    std::uint8_t index_ = 0;
    // The time is seconds_ plus whole seconds of (virtual time + phase_), in seconds since 1970.
    std::int64_t seconds_ = 0;
    Nanoseconds phase_ = 0;
    int weekday_shift_ = 0;                   ///< the guest's weekday minus the calendar's
    Nanoseconds settled_ = 0;                 ///< flags of events up to here are in register C
    Nanoseconds next_event_ = kNever;
};

}  // namespace trapline::executor
