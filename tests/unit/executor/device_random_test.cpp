// SPDX-License-Identifier: Apache-2.0
// A guest that writes anything to any port and device address in any size. Run under sanitizers this shows that no state leads out
// of bounds; here too that time goes on, that the machine asks for bounded work, and that reads fit their size.
#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include "device_machine.h"
#include "executor/device/pc.h"

using namespace trapline::executor;

namespace {

constexpr std::uint16_t kPorts[] = {0x20, 0x21, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x92, 0xA0, 0xA1, 0xF4, 0x3B4, 0x3C0, 0x3C2, 0x3C4,
                                    0x3C7, 0x3C8, 0x3C9, 0x3CE, 0x3D4, 0x3D5, 0x3DA, 0x3F8, 0x3F9, 0x3FA, 0x3FB, 0x3FC, 0x3FF, 0x4D0, 0x510, 0x511,
                                    0x514, 0x518, 0x604, 0xCF8, 0xCF9, 0xB004};

void run(unsigned seed, bool apic, unsigned steps) {
    CAPTURE(seed, apic);
    HandClock clock;
    std::size_t sent = 0;
    std::vector<std::uint8_t> ram(0x8000);
    const auto holds = [&](std::uint64_t at, std::size_t size) { return at <= ram.size() && size <= ram.size() - at; };
    BusMemory memory{[&](std::uint64_t at, std::span<std::uint8_t> to) {
                         if (holds(at, to.size())) std::copy_n(ram.begin() + static_cast<std::ptrdiff_t>(at), to.size(), to.begin());
                         return holds(at, to.size());
                     },
                     [&](std::uint64_t at, std::span<const std::uint8_t> from) {
                         if (holds(at, from.size())) std::copy(from.begin(), from.end(), ram.begin() + static_cast<std::ptrdiff_t>(at));
                         return holds(at, from.size());
                     }};
    Pc pc(clock, {.memory_size = 1u << 30, .wall_time = 1'700'000'000'000'000'000, .serial_output = [&](std::string_view text) { sent += text.size(); },
                  .apic = apic, .memory = memory});
    pc.fw_cfg().add_file("opt/file", std::vector<std::uint8_t>(100, 7));
    std::mt19937_64 random(seed);
    bool fits = true, later = true;
    for (unsigned i = 0; i < steps; ++i) {
        const std::uint64_t dice = random();
        const unsigned size = 1u << (dice & 3) % 3;
        const auto value = static_cast<std::uint32_t>(random());
        const std::uint16_t port = (dice >> 2 & 3) != 0 ? kPorts[(dice >> 8 & 0xFF) % std::size(kPorts)] : static_cast<std::uint16_t>(dice >> 16);
        const std::uint64_t device = (dice >> 4 & 1) != 0 ? 0xFEE00000 : 0xFEC00000;
        const std::uint64_t address = device + ((dice >> 32 & 0xFF) << 4) + ((dice >> 5 & 7) == 0 ? dice >> 40 & 15 : 0);
        const std::uint32_t limit = size == 4 ? 0xFFFFFFFF : (1u << 8 * size) - 1;
        switch (dice >> 56 & 15) {
            case 0: case 1: case 2: case 3: fits &= pc.port_in(port, size) <= limit; break;
            case 4: case 5: case 6: case 7: case 8: pc.port_out(port, size, value); break;
            case 9: fits &= pc.memory_read(address, size) <= limit; break;
            case 10: case 11: pc.memory_write(address, size, (dice & 64) != 0 ? value : value & 0x1FF); break;
            case 12: if (pc.interrupt_waits()) pc.acknowledge_interrupt(); break;
            case 13: pc.push_serial_input({reinterpret_cast<const std::uint8_t*>(&value), sizeof value}); break;
            case 14: clock.time += value & 0xFFFF; break;
            default: {
                // What was due has been done once advance returns.
                clock.time = std::min(std::max(clock.time, pc.next_event()), clock.time + kSecond);
                pc.advance(clock.time);
                later &= pc.next_event() > clock.time;
                break;
            }
        }
    }
    pc.acknowledge_interrupt();
    pc.flush();
    CHECK(fits);
    CHECK(later);
    CHECK(sent <= steps * 4u);
    CHECK(pc.screen(ram).size() <= 25 * (80 * 3 + 1));
}

}  // namespace

TEST_CASE("Random accesses of every port and device", "[device]") {
    for (unsigned seed = 0; seed < 20; ++seed) run(seed, seed % 2 != 0, 20'000);
}

TEST_CASE("Random accesses, long", "[.][long]") {
    for (unsigned seed = 1000; seed < 2000; ++seed) run(seed, seed % 2 != 0, 100'000);
}

TEST_CASE("Every port answers every size", "[device]") {
    HandClock clock;
    Pc pc(clock, {.memory_size = 1u << 30, .apic = true});
    for (unsigned port = 0; port < 0x10000; ++port) {
        for (unsigned size : {1u, 2u, 4u}) {
            pc.port_out(static_cast<std::uint16_t>(port), size, 0xFFFFFFFF);
            REQUIRE(pc.port_in(static_cast<std::uint16_t>(port), size) <= (size == 4 ? 0xFFFFFFFF : (1u << 8 * size) - 1));
        }
    }
}
