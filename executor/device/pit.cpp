// SPDX-License-Identifier: Apache-2.0
// 8254: counting computed from the time since the counter was loaded. Clause names are those of the 82C54 datasheet.
#include "executor/device/pit.h"

#include <algorithm>

namespace trapline::executor {

namespace {

// 105/88 MHz is 21 periods in 17,600 ns.
constexpr std::int64_t kPeriods = 21, kPeriodsTime = 17600;
// Port 61h bit 4 changes with each refresh request: 18 periods, 15.1 us, in every PC.
constexpr PitTicks kRefresh = 18;
constexpr unsigned kSpeaker = 2;

std::uint16_t to_bcd(std::uint16_t value) {
    return static_cast<std::uint16_t>(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 % 10 << 12);
}

PitTicks from_bcd(std::uint16_t value) { return (value & 15) + 10 * (value >> 4 & 15) + 100 * (value >> 8 & 15) + 1000 * (value >> 12); }

}  // namespace

PitTicks pit_ticks_at(Nanoseconds time) {
    const auto ns = static_cast<PitTicks>(time);
    return ns / kPeriodsTime * kPeriods + ns % kPeriodsTime * kPeriods / kPeriodsTime;
}

Nanoseconds pit_time_of(PitTicks ticks) {
    return static_cast<Nanoseconds>(ticks / kPeriods * kPeriodsTime + (ticks % kPeriods * kPeriodsTime + kPeriods - 1) / kPeriods);
}

void PitCounter::set_control(std::uint8_t control, PitTicks now) {
    held_ = elapsed(now);
    control_ = control;
    loaded_ = runs_ = writes_high_ = reads_high_ = status_latched_ = false;
    latched_bytes_ = 0;
    next_count_ = 0;
}

void PitCounter::write(std::uint8_t value, PitTicks now) {
    settle(now);
    switch (byte_order()) {
        case 1: load(value, now); return;
        case 2: load(static_cast<std::uint16_t>(value << 8), now); return;
        default: break;
    }
    if (writes_high_) {
        load(static_cast<std::uint16_t>(low_byte_ | value << 8), now);
    } else {
        low_byte_ = value;
        if (mode() == 0) {  // "Writing the first byte disables counting. OUT is set low immediately"
            held_ = elapsed(now);
            loaded_ = runs_ = false;
        }
    }
    writes_high_ = !writes_high_;
}

void PitCounter::load(std::uint16_t value, PitTicks now) {
    PitTicks count = is_bcd() ? from_bcd(value) % 10000 : value;
    if (count == 0) count = is_bcd() ? 10000 : 0x10000;
    // A count of 1 is illegal in modes 2 and 3: taken for the least legal one.
    if (is_periodic()) count = std::max<PitTicks>(count, 2);

    const bool was_loaded = loaded_;
    loaded_ = true;
    if (needs_trigger() || (is_periodic() && was_loaded && (!runs_ || now >= start_))) {
        next_count_ = count;
        if (!is_periodic() || !runs_) return;
        // "The current counting sequence is not affected": loaded at the end of the period, in mode 3 of the half.
        const PitTicks position = (now - start_) % count_;
        const bool first_half = mode() == 3 && position < high_part();
        next_start_ = now - position + (first_half ? high_part() : count_);
        return;
    }
    count_ = count;
    held_ = 0;
    runs_ = gate_;
    start_ = now + 1;
}

void PitCounter::settle(PitTicks now) {
    if (!runs_ || !is_periodic() || next_count_ == 0 || now < next_start_) return;
    const bool at_half = (next_start_ - start_) % count_ != 0;
    count_ = next_count_;
    start_ = at_half ? next_start_ - high_part() : next_start_;
    next_count_ = 0;
}

void PitCounter::reload(PitTicks now) {
    if (next_count_ != 0) count_ = next_count_;
    next_count_ = 0;
    start_ = now + 1;
    runs_ = true;
}

void PitCounter::set_gate(bool high, PitTicks now) {
    settle(now);
    if (high == gate_) return;
    gate_ = high;
    if (!loaded_) return;
    if (high) {
        if (is_periodic() || needs_trigger()) {
            reload(now);
        } else {
            runs_ = true;
            start_ = now - held_;
        }
    } else if (!needs_trigger()) {
        held_ = elapsed(now);
        runs_ = false;
    }
}

bool PitCounter::output(PitTicks now) {
    settle(now);
    const PitTicks passed = elapsed(now);
    switch (mode()) {
        case 0: return loaded_ && passed >= count_;
        case 1: return !runs_ || passed >= count_;
        case 2: case 3: return !runs_ || passed % count_ < high_part();
        default: return !runs_ || passed != count_;  // the strobe of modes 4 and 5
    }
}

PitTicks PitCounter::next_rise(PitTicks now) {
    settle(now);
    if (!runs_) return -1;
    if (!is_periodic()) {
        const PitTicks rise = start_ + count_ + (mode() >= 4 ? 1 : 0);
        return rise > now ? rise : -1;
    }
    if (next_count_ != 0) {
        const bool at_half = (next_start_ - start_) % count_ != 0;
        return at_half ? next_start_ + next_count_ / 2 : next_start_;
    }
    return start_ + (elapsed(now) / count_ + 1) * count_;
}

std::uint16_t PitCounter::counting_element(PitTicks now) {
    settle(now);
    const PitTicks passed = elapsed(now), modulus = is_bcd() ? 10000 : 0x10000;
    PitTicks value = 0;
    if (mode() == 2) {
        value = count_ - passed % count_;
    } else if (mode() == 3) {
        // Counts down by twos in either half; odd counts start one lower.
        const PitTicks position = passed % count_;
        value = (count_ & ~PitTicks{1}) - 2 * (position < high_part() ? position : position - high_part());
    } else {
        value = ((count_ - passed) % modulus + modulus) % modulus;
    }
    const auto binary = static_cast<std::uint16_t>(value % modulus);
    return is_bcd() ? to_bcd(binary) : binary;
}

void PitCounter::latch_count(PitTicks now) {
    if (latched_bytes_ != 0) return;  // "the latter ... are ignored"
    count_latch_ = counting_element(now);
    latched_bytes_ = byte_order() == 3 ? 2 : 1;
}

void PitCounter::latch_status(PitTicks now) {
    if (status_latched_) return;
    const bool null_count = !loaded_ || next_count_ != 0 || (runs_ && now < start_);
    status_latch_ = static_cast<std::uint8_t>((output(now) ? 0x80 : 0) | (null_count ? 0x40 : 0) | (control_ & 0x3F));
    status_latched_ = true;
}

std::uint8_t PitCounter::read(PitTicks now) {
    if (status_latched_) {
        status_latched_ = false;
        return status_latch_;
    }
    const std::uint16_t value = latched_bytes_ != 0 ? count_latch_ : counting_element(now);
    if (latched_bytes_ != 0) --latched_bytes_;
    bool high = byte_order() == 2;
    if (byte_order() == 3) {
        high = reads_high_;
        reads_high_ = !reads_high_;
    }
    return static_cast<std::uint8_t>(high ? value >> 8 : value);
}

Pit::Pit(Clock& clock, InterruptLines& lines) : clock_(clock), lines_(lines) { counters_[kSpeaker].set_gate(false, 0); }

void Pit::schedule(PitTicks now) {
    next_rise_ = counters_[0].next_rise(now);
    next_event_ = next_rise_ < 0 ? kNever : pit_time_of(next_rise_);
}

void Pit::advance(Nanoseconds now) {
    if (now < next_event_) return;
    lines_.set_line(0, false);
    lines_.set_line(0, true);
    schedule(pit_ticks_at(now));
}

std::uint32_t Pit::port_in(std::uint16_t port, unsigned) {
    const Nanoseconds time = clock_.now();
    advance(time);
    const PitTicks now = pit_ticks_at(time);
    if (port == 0x61) {
        const unsigned refresh = (now / kRefresh & 1) != 0 ? 0x10 : 0, out2 = counters_[kSpeaker].output(now) ? 0x20 : 0;
        return port61_ | refresh | out2;
    }
    return port >= 0x40 && port <= 0x42 ? counters_[port - 0x40u].read(now) : 0xFF;  // the control word cannot be read
}

void Pit::port_out(std::uint16_t port, unsigned, std::uint32_t value) {
    const Nanoseconds time = clock_.now();
    advance(time);
    const PitTicks now = pit_ticks_at(time);
    const auto byte = static_cast<std::uint8_t>(value);
    if (port == 0x61) {
        port61_ = byte & 0x0F;
        counters_[kSpeaker].set_gate((byte & 1) != 0, now);
        return;
    }
    if (port == 0x43) {
        const unsigned select = byte >> 6;
        if (select == 3) {  // read-back command
            for (unsigned i = 0; i < counters_.size(); ++i) {
                if ((byte >> (i + 1) & 1) == 0) continue;
                if ((byte & 0x20) == 0) counters_[i].latch_count(now);
                if ((byte & 0x10) == 0) counters_[i].latch_status(now);
            }
            return;
        }
        if ((byte & 0x30) == 0) {
            counters_[select].latch_count(now);
            return;
        }
        counters_[select].set_control(byte, now);
    } else if (port >= 0x40 && port <= 0x42) {
        counters_[port - 0x40u].write(byte, now);
    }
    lines_.set_line(0, counters_[0].is_periodic() || counters_[0].output(now));
    schedule(now);
}

}  // namespace trapline::executor
