// SPDX-License-Identifier: Apache-2.0
// fw_cfg against QEMU's documentation of the device.
#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "executor/device/fw_cfg.h"

using namespace trapline::executor;

namespace {

struct Machine {
    std::vector<std::uint8_t> ram = std::vector<std::uint8_t>(0x10000, 0xEE);
    FwCfg device{BusMemory{[this](std::uint64_t at, std::span<std::uint8_t> to) {
                               if (at > ram.size() || to.size() > ram.size() - at) return false;
                               std::copy_n(ram.begin() + static_cast<std::ptrdiff_t>(at), to.size(), to.begin());
                               return true;
                           },
                           [this](std::uint64_t at, std::span<const std::uint8_t> from) {
                               if (at > ram.size() || from.size() > ram.size() - at) return false;
                               std::copy(from.begin(), from.end(), ram.begin() + static_cast<std::ptrdiff_t>(at));
                               return true;
                           }}};
    void select(unsigned key) { device.port_out(0x510, 2, key); }
    std::string read(unsigned count) {
        std::string out;
        while (count-- > 0) out += static_cast<char>(device.port_in(0x511, 1));
        return out;
    }
    /// The control word that the device leaves.
    std::uint32_t dma(std::uint32_t control, std::uint32_t length, std::uint64_t address) {
        const std::uint64_t words[] = {static_cast<std::uint64_t>(control) << 32 | length, address};
        for (unsigned i = 0; i < 16; ++i) ram[0x100 + i] = static_cast<std::uint8_t>(words[i / 8] >> (56 - 8 * (i % 8)));
        device.port_out(0x514, 4, 0);
        device.port_out(0x518, 4, 0x00010000);  // 100h, big-endian
        return static_cast<std::uint32_t>(ram[0x100] << 24 | ram[0x101] << 16 | ram[0x102] << 8 | ram[0x103]);
    }
    std::string text(std::size_t at, std::size_t size) const { return {reinterpret_cast<const char*>(ram.data()) + at, size}; }
};

}  // namespace

TEST_CASE("Signature, features, directory, files", "[device]") {
    Machine m;
    m.select(0x0000);
    CHECK(m.read(5) == std::string("QEMU\0", 5));
    m.select(0x0001);
    CHECK(m.read(4) == std::string("\3\0\0\0", 4));
    CHECK(m.device.port_in(0x514, 4) == 0x554D4551);  // "QEMU CFG", big-endian
    CHECK(m.device.port_in(0x51B, 1) == 'G');
    m.device.add_file("opt/one", {'a', 'b', 'c'});
    m.device.add_file(std::string(80, 'n'), std::vector<std::uint8_t>(300, 'x'));
    m.device.add_item(0x8005, {'k'});
    m.select(0x0019);
    CHECK(m.read(4) == std::string("\0\0\0\2", 4));
    CHECK(m.read(8) == std::string("\0\0\0\3\0\x20\0\0", 8));
    CHECK(m.read(56) == "opt/one" + std::string(49, '\0'));
    CHECK(m.read(8) == std::string("\0\0\1\x2C\0\x21\0\0", 8));
    CHECK(m.read(56) == std::string(55, 'n') + '\0');
    m.select(0x20);
    CHECK(m.read(4) == std::string("abc\0", 4));
    m.select(0x8005);
    CHECK(m.read(1) == "k");
    m.select(0x1234);
    CHECK(m.read(2) == std::string(2, '\0'));
}

TEST_CASE("DMA reads, skips, and reports errors", "[device]") {
    Machine m;
    m.device.add_file("f", {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9'});
    CHECK(m.dma(0x0020'0008 | 2, 4, 0x1000) == 0);
    CHECK(m.text(0x1000, 5) == "0123\xEE");
    CHECK(m.dma(4, 3, 0) == 0);
    CHECK(m.dma(2, 5, 0x2000) == 0);
    CHECK(m.text(0x2000, 6) == std::string("789\0\0\xEE", 6));
    CHECK(m.dma(0x0020'0008 | 16, 4, 0x1000) == 1);      // read-only
    CHECK(m.dma(0x0020'0008 | 2, 4, 0x1'0000) == 1);     // beyond RAM
    CHECK(m.dma(0x0020'0008 | 2, 0xFFFFFFFF, 0x8000) == 1);
    CHECK(m.dma(2, 4, 0xFFFFFFFF'FFFFFFFE) == 1);
    m.device.port_out(0x518, 4, 0xFFFFFFFF);             // no request there
}

TEST_CASE("Without memory there is no DMA", "[device]") {
    FwCfg device;
    device.port_out(0x510, 2, 1);
    CHECK(device.port_in(0x511, 1) == 1);
    CHECK(device.port_in(0x514, 4) == 0xFFFFFFFF);
    device.port_out(0x518, 4, 0x100);
}
