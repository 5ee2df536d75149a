// SPDX-License-Identifier: Apache-2.0
// How accesses to ports and physical addresses reach devices.
#include <catch2/catch.hpp>

#include <string>

#include "executor/device/memory_bus.h"
#include "executor/device/port_bus.h"

using namespace trapline::executor;

namespace {

/// Writes down each access; reads give the port's low byte in each byte.
struct Recorder final : PortDevice, MemoryDevice {
    std::string log;
    void note(char what, std::uint32_t at, unsigned size, std::uint32_t value) {
        char text[48];
        std::snprintf(text, sizeof text, "%c%x/%u=%x ", what, at, size, value);
        log += text;
    }
    std::uint32_t port_in(std::uint16_t port, unsigned size) override {
        std::uint32_t value = 0;
        for (unsigned i = 0; i < size; ++i) value |= ((port + i) & 0xFFu) << (8 * i);
        note('r', port, size, value);
        return value;
    }
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override { note('w', port, size, value); }
    std::uint32_t memory_read(std::uint32_t offset, unsigned size) override {
        note('r', offset, size, 0);
        return 0x87654321;
    }
    void memory_write(std::uint32_t offset, unsigned size, std::uint32_t value) override { note('w', offset, size, value); }
};

}  // namespace

TEST_CASE("Ports that nobody claims read as ones", "[device]") {
    const PortBus bus;
    CHECK(bus.port_in(0x80, 1) == 0xFF);
    CHECK(bus.port_in(0x80, 2) == 0xFFFF);
    CHECK(bus.port_in(0xFFFE, 4) == 0xFFFFFFFF);
    CHECK(bus.port_in(0x80, 3) == 0xFFFFFFFF);
    bus.port_out(0xFFFF, 4, 0);
}

TEST_CASE("Wide accesses are split for narrow devices and at the ends of ranges", "[device]") {
    PortBus bus;
    Recorder narrow, wide;
    bus.claim(0x10, 4, narrow);
    bus.claim(0x14, 4, wide, 4);
    CHECK(bus.port_in(0x10, 4) == 0x13121110);
    CHECK(narrow.log == "r10/1=10 r11/1=11 r12/1=12 r13/1=13 ");
    bus.port_out(0x14, 4, 0x11223344);
    CHECK(wide.log == "w14/4=11223344 ");
    narrow.log.clear(), wide.log.clear();
    bus.port_out(0x12, 4, 0xAABBCCDD);
    CHECK(narrow.log == "w12/1=dd w13/1=cc ");
    CHECK(wide.log == "w14/2=aabb ");
    wide.log.clear();
    CHECK(bus.port_in(0x16, 4) == 0xFFFF1716);
    CHECK(bus.port_in(0x17, 2) == 0xFF17);
    bus.port_out(0x14, 1, 0x1FF);
    CHECK(wide.log == "r16/2=1716 r17/1=17 w14/1=ff ");
    wide.log.clear();
    bus.port_out(0x14, 3, 0);
    CHECK(wide.log.empty());
    Recorder last;
    bus.claim(0xFFFF, 1, last);
    CHECK(bus.port_in(0xFFFF, 2) == 0xFFFF);
    CHECK(last.log == "r" "ffff/1=ff ");
}

TEST_CASE("Physical addresses", "[device]") {
    MemoryBus bus;
    Recorder device;
    bus.claim(0xFEC00000, 0x1000, device);
    CHECK_FALSE(bus.is_device(0));
    CHECK_FALSE(bus.is_device(0xFEBFFFFF));
    CHECK(bus.is_device(0xFEC00000));
    CHECK(bus.is_device(0xFEC00FFF));
    CHECK_FALSE(bus.is_device(0xFEC01000));
    CHECK_FALSE(bus.is_device(0x1'FEC00000));
    CHECK(bus.read(0xFEC00010, 2) == 0x4321);
    CHECK(bus.read(0xFEC00FFE, 4) == 0xFFFFFFFF);
    CHECK(bus.read(0x1000, 1) == 0xFF);
    bus.write(0xFEC00FFC, 4, 5);
    bus.write(0xFEC00FFD, 4, 6);
    CHECK(device.log == "r10/2=0 wffc/4=5 ");
}
