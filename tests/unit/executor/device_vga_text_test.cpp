// SPDX-License-Identifier: Apache-2.0
// Text mode against IBM's VGA/XGA Technical Reference; code page 437 against Unicode's CP437.TXT and the glyphs of the IBM PC font.
#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "device_machine.h"
#include "executor/device/vga_text.h"

using namespace trapline::executor;

namespace {

struct Machine {
    HandClock clock;
    VgaText vga{clock};
    std::vector<std::uint8_t> memory = std::vector<std::uint8_t>(VgaText::kMemorySize);
    void out(std::uint16_t port, unsigned value) { vga.port_out(port, 1, value); }
    unsigned in(std::uint16_t port) { return vga.port_in(port, 1); }
    void crtc(unsigned index, unsigned value) { out(0x3D4, index), out(0x3D5, value); }
    void put(unsigned cell, const std::string& text) {
        for (std::size_t i = 0; i < text.size(); ++i) memory[(cell + i) * 2 % memory.size()] = static_cast<std::uint8_t>(text[i]);
    }
    std::string line(unsigned number) {
        const std::string all = vga.render(memory);
        std::size_t at = 0;
        for (; number > 0; --number) at = all.find('\n', at) + 1;
        return all.substr(at, all.find('\n', at) - at);
    }
};

}  // namespace

TEST_CASE("The screen is text", "[device]") {
    Machine m;
    CHECK(m.vga.render(m.memory) == std::string(25, '\n'));
    CHECK(m.vga.render({}) == std::string(25, '\n'));
    m.put(0, "Hello, world  ");
    m.put(80 * 24 + 2, "\xC9\xCD\xBB \x01\xE1\xFB\x9B\x7F\xFE");
    CHECK(m.line(0) == "Hello, world");
    CHECK(m.line(24) == "  ╔═╗ ☺ß√¢⌂■");
    m.put(80, std::string(80, '\xDB'));
    CHECK(m.line(1).size() == 80 * 3);
}

TEST_CASE("The screen has the size that the CRT controller shows", "[device]") {
    const auto lines = [](Machine& m) { const std::string all = m.vga.render(m.memory); return std::count(all.begin(), all.end(), '\n'); };
    Machine m;
    m.put(80 * 49, "the fiftieth");
    m.crtc(0x11, 0x0E);  // registers 0 to 7 can be written
    m.crtc(0x09, 0x47);  // characters of 8 lines
    CHECK(lines(m) == 50);
    CHECK(m.line(49) == "the fiftieth");
    // Mode 1: 40 columns, of which a line takes 20 words.
    m.crtc(0x09, 0x4F), m.crtc(0x01, 0x27), m.crtc(0x13, 0x14);
    m.put(39, "ab");
    CHECK(lines(m) == 25);
    CHECK(m.line(0).size() == 40);
    CHECK(m.line(1) == "b");
    // The most that anyone may ask for, and the least.
    m.crtc(0x01, 0xFF), m.crtc(0x07, 0xFF), m.crtc(0x12, 0xFF), m.crtc(0x09, 0x00);
    CHECK(lines(m) == 60);
    m.put(0, std::string(132, 'x') + "y"), m.crtc(0x13, 0xFF);
    CHECK(m.line(0) == std::string(132, 'x'));
    m.crtc(0x07, 0), m.crtc(0x12, 0), m.crtc(0x09, 0x1F);
    CHECK(lines(m) == 1);
}

TEST_CASE("The start address scrolls and wraps, the cursor reads back", "[device]") {
    Machine m;
    m.put(80, "second");
    m.crtc(0x0C, 0), m.crtc(0x0D, 80);
    CHECK(m.line(0) == "second");
    m.put(0x4000 - 80, "last");
    m.put(0, "first");
    m.crtc(0x0C, 0x3F), m.crtc(0x0D, 0xB0);
    CHECK(m.line(0) == "last");
    CHECK(m.line(1) == "first");
    m.crtc(0x0E, 0x07), m.crtc(0x0F, 0x80);
    CHECK(m.vga.cursor_cell() == 1920);
    m.out(0x3D4, 0x0E);
    CHECK(m.in(0x3D5) == 0x07);
    CHECK(m.in(0x3D4) == 0x0E);
}

TEST_CASE("Registers by index, with the attribute controller's flip-flop", "[device]") {
    Machine m;
    m.in(0x3DA);
    m.out(0x3C0, 0x33), m.out(0x3C0, 0x0D);
    CHECK(m.in(0x3C0) == 0x33);
    CHECK(m.in(0x3C1) == 0x0D);
    m.out(0x3C0, 0x20);
    m.in(0x3DA);  // back to the index
    m.out(0x3C0, 0x31);
    CHECK(m.in(0x3C0) == 0x31);
    m.crtc(0x11, 0x8E);
    const unsigned total = (m.out(0x3D4, 0), m.in(0x3D5));
    m.crtc(0, 0x12);  // protected
    CHECK(m.in(0x3D5) == total);
    m.crtc(0x11, 0x0E), m.crtc(0, 0x12);
    CHECK(m.in(0x3D5) == 0x12);
    CHECK(m.in(0x3B5) == 0xFF);
    m.out(0x3C2, 0x66);  // monochrome addresses
    CHECK(m.in(0x3CC) == 0x66);
    CHECK(m.in(0x3D5) == 0xFF);
    CHECK(m.in(0x3B5) == 0x12);
    m.out(0x3C8, 255);
    for (unsigned value : {1, 2, 3, 0x7F}) m.out(0x3C9, value);
    m.out(0x3C7, 255);
    CHECK(m.in(0x3C9) == 1);
    CHECK((m.in(0x3C9), m.in(0x3C9)) == 3);
    CHECK(m.in(0x3C9) == 0x3F);  // six bits, and on from entry 0
}

TEST_CASE("Retraces come 70 times a second", "[device]") {
    Machine m;
    unsigned retraces = 0;
    bool last = false;
    for (; m.clock.time < kSecond; m.clock.time += 10 * kMicrosecond) {
        const bool now = (m.in(0x3DA) & 0x08) != 0;
        retraces += now && !last;
        last = now;
    }
    CHECK(retraces == 70);
}
