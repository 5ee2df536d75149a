// SPDX-License-Identifier: Apache-2.0
// 8259A: initialization and operation command words, priorities, cascade.
#include "executor/device/pic.h"

namespace trapline::executor {

namespace {

constexpr unsigned kCascade = 2;
constexpr std::uint8_t bit(unsigned input) { return static_cast<std::uint8_t>(1u << input); }

}  // namespace

void Pic8259::set_input(unsigned input, bool high) {
    const std::uint8_t which = bit(input);
    if (high && (lines_ & which) == 0) edges_ |= which;
    // A request must stand until the first INTA, or it is lost ("Edge and level triggered modes").
    if (!high) edges_ &= static_cast<std::uint8_t>(~which);
    lines_ = static_cast<std::uint8_t>(high ? lines_ | which : lines_ & ~which);
    update();
}

int Pic8259::first_of(std::uint8_t inputs) const {
    if (inputs == 0) return -1;
    for (unsigned i = 1;; ++i) {
        const unsigned input = (lowest_ + i) & 7;
        if ((inputs & bit(input)) != 0) return static_cast<int>(input);
    }
}

int Pic8259::pending() const {
    if (expects_ != Expects::nothing) return -1;
    const int wanted = first_of(static_cast<std::uint8_t>(requests() & ~mask_));
    if (wanted < 0) return -1;
    // "Special mask mode": an input in service and masked holds nothing back.
    const int busy = first_of(static_cast<std::uint8_t>(special_mask_ ? in_service_ & ~mask_ : in_service_));
    if (busy < 0) return wanted;
    const unsigned first = rank(static_cast<unsigned>(wanted)), barrier = rank(static_cast<unsigned>(busy));
    if (first < barrier) return wanted;
    // "Special fully nested mode": a slave in service may ask again.
    return first == barrier && special_nesting_ && (slave_inputs_ & bit(static_cast<unsigned>(wanted))) != 0 ? wanted : -1;
}

int Pic8259::acknowledge() {
    const int input = pending();
    if (input < 0) return -1;
    const std::uint8_t which = bit(static_cast<unsigned>(input));
    edges_ &= static_cast<std::uint8_t>(~which);
    if (!auto_eoi_) {
        in_service_ |= which;
    } else if (rotate_in_auto_eoi_) {
        lowest_ = static_cast<std::uint8_t>(input);
    }
    update();
    return input;
}

std::uint8_t Pic8259::read(unsigned address) {
    if (poll_) {  // "Poll command": the next read is the acknowledge
        poll_ = false;
        const int input = acknowledge();
        return input < 0 ? 0 : static_cast<std::uint8_t>(0x80 | input);
    }
    if (address == 1) return mask_;
    return reads_in_service_ ? in_service_ : requests();
}

void Pic8259::write(unsigned address, std::uint8_t value) {
    if (address == 0) {
        if ((value & 0x10) != 0) {
            initialize(value);
        } else if ((value & 0x08) == 0) {
            command(value);
        } else {  // OCW3
            if ((value & 0x40) != 0) special_mask_ = (value & 0x20) != 0;
            poll_ = (value & 0x04) != 0;
            if (!poll_ && (value & 0x02) != 0) reads_in_service_ = (value & 0x01) != 0;
        }
    } else {
        switch (expects_) {
            case Expects::nothing: mask_ = value; break;
            case Expects::icw2:
                vector_base_ = value & 0xF8;
                expects_ = wants_icw3_ ? Expects::icw3 : wants_icw4_ ? Expects::icw4 : Expects::nothing;
                break;
            case Expects::icw3:
                icw3_ = value;  // wired as in every PC, whatever it says
                expects_ = wants_icw4_ ? Expects::icw4 : Expects::nothing;
                break;
            case Expects::icw4:
                auto_eoi_ = (value & 0x02) != 0;
                special_nesting_ = (value & 0x10) != 0;
                expects_ = Expects::nothing;
                break;
        }
    }
    update();
}

void Pic8259::initialize(std::uint8_t icw1) {
    // "Initialization command words": what ICW1 resets. Inputs that are high need a new edge. LTIM is the edge/level register's here.
    edges_ = mask_ = in_service_ = 0;
    lowest_ = 7;
    special_mask_ = reads_in_service_ = poll_ = false;
    auto_eoi_ = rotate_in_auto_eoi_ = special_nesting_ = false;
    wants_icw3_ = (icw1 & 0x02) == 0;
    wants_icw4_ = (icw1 & 0x01) != 0;
    expects_ = Expects::icw2;
}

void Pic8259::command(std::uint8_t ocw2) {
    const bool rotate = (ocw2 & 0x80) != 0, specific = (ocw2 & 0x40) != 0, end = (ocw2 & 0x20) != 0;
    const std::uint8_t input = ocw2 & 7;
    if (end) {
        // A non-specific EOI does not see what the special mask mode hides.
        const std::uint8_t visible = static_cast<std::uint8_t>(special_mask_ ? in_service_ & ~mask_ : in_service_);
        finish(specific ? input : first_of(visible), rotate);
    } else if (!specific) {
        rotate_in_auto_eoi_ = rotate;
    } else if (rotate) {
        lowest_ = input;
    }
}

void Pic8259::finish(int input, bool rotate) {
    if (input < 0) return;
    in_service_ &= static_cast<std::uint8_t>(~bit(static_cast<unsigned>(input)));
    if (rotate) lowest_ = static_cast<std::uint8_t>(input);
}

void Pic8259::set_edge_level(std::uint8_t level) {
    level_ = level & may_be_level_;
    update();
}

void Pic8259::update() { output_ = pending() >= 0; }

void PicPair::cascade() { master_.set_input(kCascade, slave_.output()); }

void PicPair::set_line(unsigned line, bool high) {
    if (line == kCascade || line > 15) return;
    if (line < 8) {
        master_.set_input(line, high);
    } else {
        slave_.set_input(line - 8, high);
        cascade();
    }
}

std::uint8_t PicPair::acknowledge() {
    const int input = master_.acknowledge();
    if (input != static_cast<int>(kCascade)) return static_cast<std::uint8_t>(master_.vector_base() + (input < 0 ? 7 : input));
    const int slave_input = slave_.acknowledge();
    master_.set_input(kCascade, false);  // INTA takes the slave's INT down; what still waits there is a new edge
    cascade();
    return static_cast<std::uint8_t>(slave_.vector_base() + (slave_input < 0 ? 7 : slave_input));
}

std::uint32_t PicPair::port_in(std::uint16_t port, unsigned) {
    std::uint8_t out = 0xFF;
    switch (port) {
        case 0x20: case 0x21: out = master_.read(port & 1); break;
        case 0xA0: case 0xA1: out = slave_.read(port & 1); break;
        case 0x4D0: return master_.edge_level();
        case 0x4D1: return slave_.edge_level();
        default: break;
    }
    cascade();  // a poll may have taken the slave's request
    return out;
}

void PicPair::port_out(std::uint16_t port, unsigned, std::uint32_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    switch (port) {
        case 0x20: case 0x21: master_.write(port & 1, byte); break;
        case 0xA0: case 0xA1: slave_.write(port & 1, byte); break;
        case 0x4D0: master_.set_edge_level(byte); break;
        case 0x4D1: slave_.set_edge_level(byte); break;
        default: break;
    }
    cascade();
}

}  // namespace trapline::executor
