// SPDX-License-Identifier: Apache-2.0
// Keyboard controller: commands, their answers, interrupts.
#include "executor/device/i8042.h"

namespace trapline::executor {

namespace {

namespace status {
constexpr std::uint8_t full = 0x01, system = 0x04, was_command = 0x08, auxiliary = 0x20, timeout = 0x40;
}
namespace control {  // the command byte
constexpr std::uint8_t keyboard_interrupt = 0x01, auxiliary_interrupt = 0x02, system = 0x04, keyboard_off = 0x10, auxiliary_off = 0x20;
}
namespace output {  // the output port
constexpr std::uint8_t not_reset = 0x01, a20 = 0x02, keyboard_full = 0x10, auxiliary_full = 0x20, lines_idle = 0xC0;
}
constexpr unsigned kKeyboardLine = 1, kAuxiliaryLine = 12;
constexpr std::uint8_t kResend = 0xFE;

}  // namespace

void I8042::update() {
    const bool full = (status_ & status::full) != 0, auxiliary = (status_ & status::auxiliary) != 0;
    lines_.set_line(kKeyboardLine, full && !auxiliary && (memory_[0] & control::keyboard_interrupt) != 0);
    lines_.set_line(kAuxiliaryLine, full && auxiliary && (memory_[0] & control::auxiliary_interrupt) != 0);
}

void I8042::answer(std::uint8_t byte, std::uint8_t flags) {
    output_ = byte;
    status_ = static_cast<std::uint8_t>((status_ & ~(status::auxiliary | status::timeout)) | status::full | flags);
}

std::uint8_t I8042::output_port() const {
    std::uint8_t out = output::not_reset | output::lines_idle;
    if (a20_) out |= output::a20;
    if ((status_ & status::full) != 0) out |= (status_ & status::auxiliary) != 0 ? output::auxiliary_full : output::keyboard_full;
    return out;
}

void I8042::set_output_port(std::uint8_t value) {
    a20_ = (value & output::a20) != 0;
    if ((value & output::not_reset) == 0 && sink_) sink_({ExitRequest::Kind::reset, 0});
}

void I8042::command(std::uint8_t value) {
    status_ |= status::was_command;
    pending_ = 0;
    if (value >= 0x20 && value <= 0x3F) {
        answer(memory_[value & 0x1F]);
    } else if (value >= 0x60 && value <= 0x7F) {
        pending_ = value;
    } else if (value >= 0xF0) {
        // Pulses the low bits of the output port that are 0; bit 0 is the processor's reset.
        if ((value & output::not_reset) == 0 && sink_) sink_({ExitRequest::Kind::reset, 0});
    } else {
        switch (value) {
            case 0xA7: memory_[0] |= control::auxiliary_off; break;
            case 0xA8: memory_[0] &= static_cast<std::uint8_t>(~control::auxiliary_off); break;
            case 0xA9: case 0xAB: answer(0x00); break;  // the lines are well
            case 0xAA:
                status_ |= status::system;
                memory_[0] |= control::system;
                answer(0x55);
                break;
            case 0xAD: memory_[0] |= control::keyboard_off; break;
            case 0xAE: memory_[0] &= static_cast<std::uint8_t>(~control::keyboard_off); break;
            case 0xC0: answer(0x80); break;  // input port: not locked
            case 0xD0: answer(output_port()); break;
            case 0xD1: case 0xD2: case 0xD3: case 0xD4: pending_ = value; break;
            case 0xDD: a20_ = false; break;
            case 0xDF: a20_ = true; break;
            case 0xE0: answer(0x00); break;  // test inputs
            default: break;
        }
    }
}

void I8042::data(std::uint8_t value) {
    status_ &= static_cast<std::uint8_t>(~status::was_command);
    const std::uint8_t waiting = pending_;
    pending_ = 0;
    if (waiting >= 0x60 && waiting <= 0x7F) {
        memory_[waiting & 0x1F] = value;
        if (waiting == 0x60) status_ = static_cast<std::uint8_t>((status_ & ~status::system) | (value & control::system));
        return;
    }
    switch (waiting) {
        case 0xD1: set_output_port(value); break;
        case 0xD2: answer(value); break;
        case 0xD3: answer(value, status::auxiliary); break;
        case 0xD4: answer(kResend, status::auxiliary | status::timeout); break;
        default: answer(kResend, status::timeout); break;
    }
}

std::uint32_t I8042::port_in(std::uint16_t port, unsigned) {
    if (port == 0x64) return status_;
    status_ &= static_cast<std::uint8_t>(~(status::full | status::auxiliary | status::timeout));
    update();
    return output_;
}

void I8042::port_out(std::uint16_t port, unsigned, std::uint32_t value) {
    if (port == 0x64) {
        command(static_cast<std::uint8_t>(value));
    } else {
        data(static_cast<std::uint8_t>(value));
    }
    update();
}

}  // namespace trapline::executor
