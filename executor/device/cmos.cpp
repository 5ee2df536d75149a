// SPDX-License-Identifier: Apache-2.0
// MC146818A: calendar, alarm, interrupt flags; all computed from the time at the access.
#include "executor/device/cmos.h"

#include <algorithm>

namespace trapline::executor {

namespace {

enum Index : std::uint8_t {
    kSecond = 0x00, kSecondAlarm, kMinute, kMinuteAlarm, kHour, kHourAlarm, kWeekday, kDay, kMonth, kYear,
    kA, kB, kC, kD, kEquipment = 0x14, kBaseMemory = 0x15, kExtendedMemory = 0x17, kChecksum = 0x2E, kExtendedMemory2 = 0x30,
    kCentury = 0x32, kMemoryAbove16M = 0x34,
};
constexpr std::uint8_t kUip = 0x80;                                                            // register A
constexpr std::uint8_t kSet = 0x80, kEnables = 0x70, kUie = 0x10, kBinary = 0x04, k24Hours = 0x02;  // register B
constexpr std::uint8_t kIrqf = 0x80, kPf = 0x40, kAf = 0x20, kUf = 0x10;                        // register C; enables of B at the same places
constexpr std::uint8_t kVrt = 0x80;                                                            // register D

constexpr Nanoseconds kSecondTime = 1'000'000'000;
constexpr std::uint64_t kCrystal = 32768;
// UIP rises 244 us before an update cycle of 1984 us (table "Update cycle times", 32.768 kHz).
constexpr Nanoseconds kUipTime = (244 + 1984) * 1000;
constexpr std::int64_t kDaySeconds = 86400;

bool is_time(std::uint8_t index) {
    return index == kCentury || (index <= kYear && index != kSecondAlarm && index != kMinuteAlarm && index != kHourAlarm);
}

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
constexpr std::int64_t floor_mod(std::int64_t a, std::int64_t b) { return a - floor_div(a, b) * b; }

/// Days before a year's first of March, counted from year 0's, in the Gregorian calendar.
constexpr std::int64_t days_before(std::int64_t year) { return 365 * year + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400); }
/// Days before a month's first, from the first of March on, the month counted from March = 0: 31, 30, 31, 30, 31, twice and a half.
constexpr std::int64_t month_days(std::int64_t month) { return (153 * month + 2) / 5; }
constexpr std::int64_t kDays1970 = days_before(1969) + month_days(10);

std::uint64_t crystal_periods(Nanoseconds time) { return time / kSecondTime * kCrystal + time % kSecondTime * kCrystal / kSecondTime; }

}  // namespace

Cmos::Cmos(Clock& clock, InterruptLines& lines, const CmosContent& content) : clock_(clock), lines_(lines) {
    seconds_ = floor_div(content.wall_time, static_cast<std::int64_t>(kSecondTime));
    phase_ = static_cast<Nanoseconds>(floor_mod(content.wall_time, static_cast<std::int64_t>(kSecondTime)));
    memory_[kA] = 0x26;  // 32.768 kHz, 1024 Hz
    memory_[kB] = k24Hours;

    const auto put = [this](std::uint8_t index, std::uint64_t value) {
        value = std::min<std::uint64_t>(value, 0xFFFF);
        memory_[index] = static_cast<std::uint8_t>(value);
        memory_[index + 1u] = static_cast<std::uint8_t>(value >> 8);
    };
    constexpr std::uint64_t kMi = 1 << 20;
    const std::uint64_t size = content.memory_size;
    memory_[kEquipment] = 0x02;  // mathematics coprocessor, EGA or VGA, no floppy drive
    put(kBaseMemory, std::min<std::uint64_t>(size >> 10, 640));
    put(kExtendedMemory, size > kMi ? (size - kMi) >> 10 : 0);
    put(kExtendedMemory2, size > kMi ? (size - kMi) >> 10 : 0);
    put(kMemoryAbove16M, size > 16 * kMi ? (size - 16 * kMi) >> 16 : 0);
    unsigned sum = 0;
    for (unsigned i = 0x10; i < kChecksum; ++i) sum += memory_[i];
    memory_[kChecksum] = static_cast<std::uint8_t>(sum >> 8);
    memory_[kChecksum + 1] = static_cast<std::uint8_t>(sum);
}

bool Cmos::divider_runs() const { return (memory_[kA] & 0x70) == 0x20; }
bool Cmos::runs() const { return divider_runs() && (memory_[kB] & kSet) == 0; }
std::int64_t Cmos::seconds(Nanoseconds now) const { return seconds_ + static_cast<std::int64_t>((now + phase_) / kSecondTime); }
Nanoseconds Cmos::fraction(Nanoseconds now) const { return (now + phase_) % kSecondTime; }

/// Crystal periods from one periodic interrupt to the next; 0 for none (table "Periodic interrupt rate").
std::uint64_t Cmos::period() const {
    const unsigned rate = memory_[kA] & 15;
    if (rate == 0 || !divider_runs()) return 0;
    return rate <= 2 ? 64u << rate : 1u << (rate - 1);
}

std::uint8_t Cmos::encode(unsigned value) const {
    return static_cast<std::uint8_t>((memory_[kB] & kBinary) != 0 ? value : value / 10 << 4 | value % 10);
}
unsigned Cmos::decode(std::uint8_t value) const { return (memory_[kB] & kBinary) != 0 ? value : (value >> 4) * 10u + (value & 15); }

std::uint8_t Cmos::encode_hour(unsigned hour) const {
    if ((memory_[kB] & k24Hours) != 0) return encode(hour);
    return encode(hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
}
unsigned Cmos::decode_hour(std::uint8_t value) const {
    if ((memory_[kB] & k24Hours) != 0) return decode(value);
    return decode(value & 0x7F) % 12 + ((value & 0x80) != 0 ? 12 : 0);
}

void Cmos::show_time(std::int64_t time) {
    const std::int64_t day = floor_div(time, kDaySeconds);
    const auto second = static_cast<unsigned>(floor_mod(time, kDaySeconds));
    memory_[kSecond] = encode(second % 60);
    memory_[kMinute] = encode(second / 60 % 60);
    memory_[kHour] = encode_hour(second / 3600);
    memory_[kWeekday] = encode(static_cast<unsigned>(floor_mod(day + 4 + weekday_shift_, 7)) + 1);  // 1970-01-01 was a Thursday, 5

    // The year from March on: a guess that is at most one too high, then the day in it.
    const std::int64_t days = day + kDays1970;
    std::int64_t year = floor_div(days * 400, 146097) + 1;
    while (days_before(year) > days) --year;
    const std::int64_t rest = days - days_before(year);
    const std::int64_t month = (5 * rest + 2) / 153;
    if (month >= 10) ++year;  // January and February
    memory_[kDay] = encode(static_cast<unsigned>(rest - month_days(month)) + 1);
    memory_[kMonth] = encode(static_cast<unsigned>((month + 2) % 12) + 1);
    memory_[kYear] = encode(static_cast<unsigned>(floor_mod(year, 100)));
    memory_[kCentury] = encode(static_cast<unsigned>(floor_mod(floor_div(year, 100), 100)));
}

/// What the bytes say, in seconds since 1970. Bytes that are no date give some date.
std::int64_t Cmos::shown_time() const {
    const std::int64_t month = (decode(memory_[kMonth]) + 9) % 12;
    const std::int64_t year = decode(memory_[kCentury]) * 100 + decode(memory_[kYear]) - (month >= 10 ? 1 : 0);
    const std::int64_t day = days_before(year) + month_days(month) + decode(memory_[kDay]) - 1 - kDays1970;
    return day * kDaySeconds + decode_hour(memory_[kHour]) * 3600 + decode(memory_[kMinute]) * 60 + decode(memory_[kSecond]);
}

bool Cmos::alarm_rings(std::int64_t time) const {
    const auto second = static_cast<unsigned>(floor_mod(time, kDaySeconds));
    const auto matches = [this](std::uint8_t alarm, std::uint8_t value) {
        return memory_[alarm] >= 0xC0 || memory_[alarm] == value;  // C0 to FF: "don't care"
    };
    return matches(kSecondAlarm, encode(second % 60)) && matches(kMinuteAlarm, encode(second / 60 % 60)) &&
           matches(kHourAlarm, encode_hour(second / 3600));
}

void Cmos::settle(Nanoseconds now) {
    if (now > settled_) {
        const std::uint64_t every = period();
        if (every != 0 && crystal_periods(now) / every != crystal_periods(settled_) / every) memory_[kC] |= kPf;
        const std::int64_t before = seconds(settled_), after = seconds(now);
        if (runs() && after > before) {
            memory_[kC] |= kUf;
            // One day has every alarm.
            for (std::int64_t at = std::max(before, after - kDaySeconds) + 1; at <= after && (memory_[kC] & kAf) == 0; ++at) {
                if (alarm_rings(at)) memory_[kC] |= kAf;
            }
        }
        settled_ = now;
    }
    schedule(now);
}

void Cmos::schedule(Nanoseconds now) {
    const bool requests = (memory_[kB] & memory_[kC] & kEnables) != 0;
    memory_[kC] = static_cast<std::uint8_t>(requests ? memory_[kC] | kIrqf : memory_[kC] & ~kIrqf);
    lines_.set_line(8, requests);

    // Flags that stand already have nothing to tell.
    const std::uint8_t awaited = memory_[kB] & ~memory_[kC] & kEnables;
    next_event_ = kNever;
    if ((awaited & kPf) != 0 && period() != 0) {
        const std::uint64_t target = (crystal_periods(now) / period() + 1) * period();
        next_event_ = target / kCrystal * kSecondTime + (target % kCrystal * kSecondTime + kCrystal - 1) / kCrystal;
    }
    if ((awaited & (kAf | kUf)) != 0 && runs()) next_event_ = std::min(next_event_, now + kSecondTime - fraction(now));
}

void Cmos::advance(Nanoseconds now) {
    if (now >= next_event_) settle(now);
}

std::uint8_t Cmos::read_register(std::uint8_t index, Nanoseconds now) {
    if (index == kA) return memory_[kA] | (runs() && fraction(now) >= kSecondTime - kUipTime ? kUip : 0);
    if (index == kD) return kVrt;
    if (index == kC) {
        const std::uint8_t out = memory_[kC];
        memory_[kC] = 0;
        schedule(now);
        return out;
    }
    if (is_time(index) && runs()) show_time(seconds(now));
    return memory_[index];
}

void Cmos::write_register(std::uint8_t index, std::uint8_t value, Nanoseconds now) {
    if (index == kC || index == kD) return;
    const bool ran = runs(), divided = divider_runs();
    if (ran && (index == kA || index == kB || is_time(index))) show_time(seconds(now));
    if (index == kA) value &= 0x7F;
    if (index == kB && (value & kSet) != 0) value &= static_cast<std::uint8_t>(~kUie);  // "SET ... clears UIE"
    memory_[index] = value;

    // "The first update cycle begins one-half second after" the divider is started.
    if (!divided && divider_runs()) phase_ = (kSecondTime + kSecondTime / 2 - now % kSecondTime) % kSecondTime;
    if (runs() && (!ran || is_time(index))) {
        const std::int64_t time = shown_time();
        seconds_ = time - static_cast<std::int64_t>((now + phase_) / kSecondTime);
        weekday_shift_ = static_cast<int>(decode(memory_[kWeekday])) - 1 - static_cast<int>(floor_mod(floor_div(time, kDaySeconds) + 4, 7));
    }
    schedule(now);
}

std::uint32_t Cmos::port_in(std::uint16_t port, unsigned) {
    if (port != 0x71) return 0xFF;  // the index cannot be read
    const Nanoseconds now = clock_.now();
    settle(now);
    return read_register(index_ & 0x7F, now);
}

void Cmos::port_out(std::uint16_t port, unsigned, std::uint32_t value) {
    if (port == 0x70) {
        index_ = static_cast<std::uint8_t>(value);
    } else if (port == 0x71) {
        const Nanoseconds now = clock_.now();
        settle(now);
        write_register(index_ & 0x7F, static_cast<std::uint8_t>(value), now);
    }
}

}  // namespace trapline::executor
