// SPDX-License-Identifier: Apache-2.0
// The real-time clock against Motorola's MC146818A datasheet; dates by `date -u -d @N` of coreutils.
#include <catch2/catch.hpp>

#include <string>

#include "device_machine.h"
#include "executor/device/cmos.h"

using namespace trapline::executor;

namespace {

constexpr std::int64_t kStart = 1'709'251'195;  // Thu 2024-02-29 23:59:55 UTC

struct Machine {
    HandClock clock;
    RecordedLines lines;
    Cmos cmos;
    explicit Machine(std::int64_t seconds = kStart, std::uint64_t memory = 256u << 20)
        : cmos(clock, lines, {.memory_size = memory, .wall_time = seconds * 1'000'000'000}) {}
    unsigned get(unsigned index) {
        cmos.port_out(0x70, 1, index);
        return cmos.port_in(0x71, 1);
    }
    void set(unsigned index, unsigned value) {
        cmos.port_out(0x70, 1, index);
        cmos.port_out(0x71, 1, value);
    }
    void at(Nanoseconds time) {
        clock.time = time;
        cmos.advance(time);
    }
    std::string date() {
        char text[40];
        std::snprintf(text, sizeof text, "%02x%02x-%02x-%02x %02x:%02x:%02x %x", get(0x32), get(9), get(8), get(7), get(4), get(2), get(0), get(6));
        return text;
    }
};

}  // namespace

TEST_CASE("The clock shows the date", "[device]") {
    Machine m;
    CHECK(m.get(0x0B) == 0x02);
    CHECK(m.get(0x0D) == 0x80);
    CHECK((m.get(0x0A) & 0x7F) == 0x26);
    CHECK(m.date() == "2024-02-29 23:59:55 5");
    m.at(5 * kSecond);
    CHECK(m.date() == "2024-03-01 00:00:00 6");
    CHECK(Machine(951'782'400).date() == "2000-02-29 00:00:00 3");
    CHECK(Machine(946'684'799).date() == "1999-12-31 23:59:59 6");
    CHECK(Machine(4'107'542'400).date() == "2100-03-01 00:00:00 2");
    CHECK(Machine(0).date() == "1970-01-01 00:00:00 5");
}

TEST_CASE("Binary and 12-hour formats", "[device]") {
    Machine m;
    m.set(0x0B, 0x06);
    CHECK(m.get(4) == 23);
    CHECK(m.get(2) == 59);
    CHECK(m.get(9) == 24);
    CHECK(m.get(0x32) == 20);
    m.set(0x0B, 0x00);
    CHECK(m.get(4) == 0x91);  // 11 PM
    m.at(5 * kSecond);
    CHECK(m.get(4) == 0x12);  // midnight is 12 AM
    m.at((5 + 12 * 3600) * kSecond);
    CHECK(m.get(4) == 0x92);
}

TEST_CASE("The guest sets the clock as drivers do", "[device]") {
    Machine m;
    m.at(300 * kMillisecond);
    m.set(0x0B, 0x82);  // SET
    m.set(0x0A, 0x76);  // divider in reset
    m.set(0, 0x30), m.set(2, 0x15), m.set(4, 0x08), m.set(7, 0x04), m.set(8, 0x07), m.set(9, 0x99), m.set(0x32, 0x19), m.set(6, 0x01);
    m.at(10 * kSecond);
    CHECK(m.date() == "1999-07-04 08:15:30 1");  // a Sunday; the clock stands
    m.set(0x0B, 0x02);
    m.set(0x0A, 0x26);
    m.at(10 * kSecond + 499 * kMillisecond);
    CHECK(m.date() == "1999-07-04 08:15:30 1");
    m.at(10 * kSecond + 500 * kMillisecond);  // the first update half a second after the divider starts
    CHECK(m.date() == "1999-07-04 08:15:31 1");
    m.at(10 * kSecond + 500 * kMillisecond + 86'400 * kSecond);
    CHECK(m.date() == "1999-07-05 08:15:31 2");
}

TEST_CASE("SET alone holds the bytes, the seconds keep their pace", "[device]") {
    Machine m;
    m.at(300 * kMillisecond);
    m.set(0x0B, 0x92);
    CHECK(m.get(0x0B) == 0x82);  // SET takes the update interrupt's enable away
    m.set(0, 0x10);
    m.at(2900 * kMillisecond);
    CHECK(m.get(0) == 0x10);
    m.set(0x0B, 0x02);
    m.at(2999 * kMillisecond);
    CHECK(m.get(0) == 0x10);
    m.at(3000 * kMillisecond);
    CHECK(m.get(0) == 0x11);
}

TEST_CASE("Update in progress", "[device]") {
    Machine m;
    const auto uip = [&m](Nanoseconds time) {
        m.at(time);
        return (m.get(0x0A) & 0x80) != 0;
    };
    CHECK_FALSE(uip(0));
    CHECK_FALSE(uip(kSecond - 2229 * kMicrosecond));  // 244 + 1984 us
    CHECK(uip(kSecond - 2228 * kMicrosecond));
    CHECK(uip(kSecond - 1));
    CHECK_FALSE(uip(kSecond));
    m.set(0x0B, 0x82);
    CHECK_FALSE(uip(2 * kSecond - 1));
}

TEST_CASE("Periodic interrupts", "[device]") {
    Machine m;
    m.set(0x0B, 0x42);
    CHECK(m.cmos.next_event() <= 976'563);  // 1024 Hz: 976.5625 us
    m.at(976'563);
    CHECK(m.lines.high[8]);
    CHECK(m.cmos.next_event() == kNever);  // until register C is read
    m.at(50 * kMillisecond);
    CHECK(m.lines.rises[8] == 1);
    CHECK((m.get(0x0C) & 0xC0) == 0xC0);
    CHECK(m.get(0x0C) == 0);
    CHECK_FALSE(m.lines.high[8]);
    // Rates of the table "Periodic interrupt rate": 3.90625 ms, 122.070 us, 500 ms.
    const struct { unsigned rate, per_second; } rows[] = {{1, 256}, {2, 128}, {3, 8192}, {8, 256}, {15, 2}};
    for (const auto& row : rows) {
        Machine fresh;
        fresh.set(0x0A, 0x20 | row.rate);
        fresh.set(0x0B, 0x42);
        unsigned seen = 0;
        for (Nanoseconds next; (next = fresh.cmos.next_event()) <= kSecond; ++seen) {
            fresh.at(next);
            REQUIRE((fresh.get(0x0C) & 0xC0) == 0xC0);
        }
        CHECK(seen == row.per_second);
    }
    Machine none;
    none.set(0x0A, 0x20);
    none.set(0x0B, 0x42);
    CHECK(none.cmos.next_event() == kNever);
}

TEST_CASE("Alarm and update interrupts", "[device]") {
    Machine m;
    m.set(1, 0x02), m.set(3, 0x00), m.set(5, 0x00);  // 00:00:02, in seven seconds
    m.set(0x0B, 0x22);
    while (m.cmos.next_event() < 100 * kSecond && !m.lines.high[8]) m.at(m.cmos.next_event());
    CHECK(m.clock.time == 7 * kSecond);
    CHECK(m.get(0x0C) == 0xF0);  // IRQF and AF; PF and UF stand too, their events come without being enabled
    m.set(5, 0xC0), m.set(3, 0xFF);  // each minute at second 2
    while (m.cmos.next_event() < 100 * kSecond && !m.lines.high[8]) m.at(m.cmos.next_event());
    CHECK(m.clock.time == 67 * kSecond);
    m.get(0x0C);

    m.set(0x0B, 0x12);
    CHECK(m.cmos.next_event() == 68 * kSecond);
    m.at(68 * kSecond);
    CHECK(m.get(0x0C) == 0xD0);
    m.at(68 * kSecond + 4000 * 86'400 * kSecond);  // years in one step
    CHECK((m.get(0x0C) & 0x30) == 0x30);
}

TEST_CASE("Memory sizes and the shutdown byte", "[device]") {
    Machine m;
    CHECK((m.get(0x15) | m.get(0x16) << 8) == 640);
    CHECK((m.get(0x17) | m.get(0x18) << 8) == 0xFFFF);  // KiB from 1 MiB on, as far as 16 bits go
    CHECK((m.get(0x30) | m.get(0x31) << 8) == 0xFFFF);
    CHECK((m.get(0x34) | m.get(0x35) << 8) == 240 * 16);  // 64 KiB from 16 MiB on
    Machine small(0, 8u << 20);
    CHECK((small.get(0x17) | small.get(0x18) << 8) == 7 * 1024);
    CHECK((small.get(0x34) | small.get(0x35) << 8) == 0);
    m.set(0x0F, 0x0A);
    CHECK(m.get(0x8F) == 0x0A);  // bit 7 of the index is the NMI mask
    CHECK(m.cmos.nmi_disabled());
    unsigned sum = 0;
    for (unsigned i = 0x10; i < 0x2E; ++i) sum += m.get(i);
    CHECK(sum == (m.get(0x2E) << 8 | m.get(0x2F)));
}
