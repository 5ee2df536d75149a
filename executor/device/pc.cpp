// SPDX-License-Identifier: Apache-2.0
// Wiring of the PC.
#include "executor/device/pc.h"

#include <algorithm>

namespace trapline::executor {

namespace {

constexpr unsigned kCom1Line = 4;

}  // namespace

Pc::Pc(Clock& clock, PcOptions options)
    : pit_(clock, lines_),
      cmos_(clock, lines_, {.memory_size = options.memory_size, .wall_time = options.wall_time}),
      com1_(clock, lines_, kCom1Line, std::move(options.serial_output)) {
    ports_.claim(0x20, 2, pic_);
    ports_.claim(0x40, 4, pit_);
    ports_.claim(0x61, 1, pit_);
    ports_.claim(0x70, 2, cmos_);
    ports_.claim(0xA0, 2, pic_);
    ports_.claim(0x3F8, 8, com1_);
    ports_.claim(0x4D0, 2, pic_);
    program_as_firmware();
}

Pc::~Pc() = default;

void Pc::program_as_firmware() {
    static constexpr struct {
        std::uint16_t port;
        std::uint8_t value;
    } kWrites[] = {
        {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xFB},  // master: ICW1 to ICW4, mask
        {0xA0, 0x11}, {0xA1, 0x70}, {0xA1, 0x02}, {0xA1, 0x01}, {0xA1, 0xFF},  // slave
        {0x43, 0x36}, {0x40, 0x00}, {0x40, 0x00},                              // counter 0: square wave, 65536
        {0x43, 0x54}, {0x41, 18},                                              // counter 1: memory refresh
        {0x43, 0xB6}, {0x42, 0x33}, {0x42, 0x05},                              // counter 2: a tone, gate closed
    };
    for (const auto& one : kWrites) port_out(one.port, 1, one.value);
}

std::uint32_t Pc::port_in(std::uint16_t port, unsigned size) {
    const std::uint32_t out = ports_.port_in(port, size);
    update();
    return out;
}

void Pc::port_out(std::uint16_t port, unsigned size, std::uint32_t value) {
    ports_.port_out(port, size, value);
    update();
}

std::uint8_t Pc::acknowledge_interrupt() {
    const std::uint8_t vector = pic_.acknowledge();
    update();
    return vector;
}

Nanoseconds Pc::next_event() { return std::min({pit_.next_event(), cmos_.next_event(), com1_.next_event()}); }

void Pc::advance(Nanoseconds now) {
    pit_.advance(now);
    cmos_.advance(now);
    com1_.advance(now);
    update();
}

std::size_t Pc::push_serial_input(std::span<const std::uint8_t> bytes) {
    const std::size_t taken = com1_.push_input(bytes);
    update();
    return taken;
}

void Pc::flush() { com1_.flush(); }

}  // namespace trapline::executor
