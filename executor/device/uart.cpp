// SPDX-License-Identifier: Apache-2.0
// 16550A: registers, FIFO, interrupt priorities, loopback.
#include "executor/device/uart.h"

#include <algorithm>

namespace trapline::executor {

namespace {

constexpr std::size_t kFifo = 16, kWaiting = 4096, kCollected = 512;
constexpr Nanoseconds kPatience = 2'000'000;
constexpr std::size_t kTriggers[] = {1, 4, 8, 14};  // FCR bits 6 and 7

namespace ier {
constexpr std::uint8_t received = 1, transmitter_empty = 2, line_status = 4, modem_status = 8;
}
namespace cause {  // IIR bits 0 to 3
constexpr std::uint8_t none = 1, line_status = 6, received = 4, timeout = 12, transmitter_empty = 2, modem_status = 0;
}
namespace lsr {
constexpr std::uint8_t ready = 1, overrun = 2, framing = 8, broken = 16, errors = 0x1E, empty = 0x60, fifo_error = 0x80;
}
namespace mcr {
constexpr std::uint8_t dtr = 1, rts = 2, out1 = 4, out2 = 8, loop = 16;
}
namespace msr {
constexpr std::uint8_t cts = 0x10, dsr = 0x20, ri = 0x40, dcd = 0x80;
}
constexpr std::uint8_t kDlab = 0x80, kFifoEnable = 1;

}  // namespace

Uart::Uart(Clock& clock, InterruptLines& lines, unsigned line, ByteSink sink)
    : clock_(clock), lines_(lines), line_(line), sink_(std::move(sink)) {}

std::size_t Uart::readable() const { return std::min(incoming_.size(), (fifo_control_ & kFifoEnable) != 0 ? kFifo : 1); }

std::size_t Uart::push_input(std::span<const std::uint8_t> bytes) {
    flush();  // what the guest asked stands before what it is told
    if ((mcr_ & mcr::loop) != 0) return 0;  // the receiver is cut off from the line
    const std::size_t taken = std::min(bytes.size(), kWaiting - std::min(kWaiting, incoming_.size()));
    for (const std::uint8_t byte : bytes.first(taken)) incoming_.push_back({byte, 0});
    update();
    return taken;
}

void Uart::push_break() {
    if ((mcr_ & mcr::loop) == 0) receive(0, lsr::broken | lsr::framing);
    update();
}

void Uart::receive(std::uint8_t byte, std::uint8_t errors) {
    if (incoming_.size() < kWaiting) incoming_.push_back({byte, errors});
}

void Uart::flush() {
    flush_at_ = kNever;
    if (collected_.empty()) return;
    if (sink_) sink_(collected_);
    collected_.clear();
}

void Uart::advance(Nanoseconds now) {
    if (now >= flush_at_) flush();
}

void Uart::transmit(std::uint8_t byte) {
    transmitter_empty_cause_ = true;
    if ((mcr_ & mcr::loop) != 0) {
        if (incoming_.size() < ((fifo_control_ & kFifoEnable) != 0 ? kFifo : 1)) {
            receive(byte, 0);
        } else {
            overrun_ = true;
            // Without FIFO the new byte takes the old one's place; a full FIFO keeps what it has.
            if ((fifo_control_ & kFifoEnable) == 0) incoming_.front() = {byte, 0};
        }
        return;
    }
    if (collected_.empty()) flush_at_ = clock_.now() + kPatience;
    collected_.push_back(static_cast<char>(byte));
    if (byte == '\n' || collected_.size() >= kCollected) flush();
}

std::uint8_t Uart::line_status() const {
    std::uint8_t out = lsr::empty;
    if (overrun_) out |= lsr::overrun;
    const std::size_t shown = readable();
    if (shown == 0) return out;
    out |= lsr::ready | static_cast<std::uint8_t>(incoming_.front().errors & ~seen_errors_);
    if ((fifo_control_ & kFifoEnable) != 0) {
        const auto end = incoming_.begin() + static_cast<std::ptrdiff_t>(shown);
        if (std::any_of(incoming_.begin(), end, [](const Received& one) { return one.errors != 0; })) out |= lsr::fifo_error;
    }
    return out;
}

std::uint8_t Uart::modem_inputs() const {
    if ((mcr_ & mcr::loop) == 0) return msr::cts | msr::dsr | msr::dcd;  // a terminal is connected and ready
    return static_cast<std::uint8_t>(((mcr_ & mcr::rts) != 0 ? msr::cts : 0) | ((mcr_ & mcr::dtr) != 0 ? msr::dsr : 0) |
                                     ((mcr_ & mcr::out1) != 0 ? msr::ri : 0) | ((mcr_ & mcr::out2) != 0 ? msr::dcd : 0));
}

std::uint8_t Uart::interrupt_cause() const {
    if ((ier_ & ier::line_status) != 0 && (line_status() & lsr::errors) != 0) return cause::line_status;
    const std::size_t shown = readable();
    if ((ier_ & ier::received) != 0 && shown != 0) {
        // Nothing comes after what has come: below the trigger level the time-out has passed already.
        const bool triggered = (fifo_control_ & kFifoEnable) == 0 || shown >= kTriggers[fifo_control_ >> 6];
        return triggered ? cause::received : cause::timeout;
    }
    if ((ier_ & ier::transmitter_empty) != 0 && transmitter_empty_cause_) return cause::transmitter_empty;
    if ((ier_ & ier::modem_status) != 0 && modem_changes_ != 0) return cause::modem_status;
    return cause::none;
}

void Uart::update() { lines_.set_line(line_, interrupt_cause() != cause::none && (mcr_ & (mcr::out2 | mcr::loop)) == mcr::out2); }

void Uart::set_modem_control(std::uint8_t value) {
    const std::uint8_t before = modem_inputs();
    mcr_ = value & 0x1F;
    const std::uint8_t after = modem_inputs();
    // MSR bits 0 to 3: changes of CTS, DSR and DCD, and the trailing edge of RI.
    modem_changes_ |= static_cast<std::uint8_t>(((before ^ after) & (msr::cts | msr::dsr | msr::dcd)) >> 4 | (before & ~after & msr::ri) >> 4);
}

void Uart::set_fifo_control(std::uint8_t value) {
    const bool changes = ((value ^ fifo_control_) & kFifoEnable) != 0;
    if (changes || ((value & kFifoEnable) != 0 && (value & 2) != 0)) {
        // What the FIFO has not shown yet is still on its way.
        incoming_.erase(incoming_.begin(), incoming_.begin() + static_cast<std::ptrdiff_t>(readable()));
        seen_errors_ = 0;
    }
    // "Bit 0 must be a 1 when other FCR bits are written to or they will not be programmed."
    fifo_control_ = (value & kFifoEnable) != 0 ? value & 0xC9 : fifo_control_ & 0xC8;
}

std::uint32_t Uart::port_in(std::uint16_t port, unsigned) {
    std::uint8_t out = 0;
    switch (port & 7) {
        case 0:
            if ((lcr_ & kDlab) != 0) return divisor_ & 0xFF;
            if (readable() == 0) return 0;
            out = incoming_.front().byte;
            incoming_.pop_front();
            seen_errors_ = 0;
            break;
        case 1: return (lcr_ & kDlab) != 0 ? divisor_ >> 8 : ier_;
        case 2: {
            const std::uint8_t found = interrupt_cause();
            if (found == cause::transmitter_empty) transmitter_empty_cause_ = false;  // reading IIR resets this source only
            out = found | ((fifo_control_ & kFifoEnable) != 0 ? 0xC0 : 0);
            break;
        }
        case 3: return lcr_;
        case 4: return mcr_;
        case 5:
            out = line_status();
            overrun_ = false;
            if (readable() != 0) seen_errors_ = incoming_.front().errors;
            break;
        case 6:
            out = modem_inputs() | modem_changes_;
            modem_changes_ = 0;
            break;
        default: return scratch_;
    }
    update();
    return out;
}

void Uart::port_out(std::uint16_t port, unsigned, std::uint32_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    switch (port & 7) {
        case 0:
            if ((lcr_ & kDlab) != 0) {
                divisor_ = static_cast<std::uint16_t>((divisor_ & 0xFF00) | byte);
            } else {
                transmit(byte);
            }
            break;
        case 1:
            if ((lcr_ & kDlab) != 0) {
                divisor_ = static_cast<std::uint16_t>((divisor_ & 0xFF) | byte << 8);
            } else {
                // Enabling the interrupt while THR is empty, which it always is, raises it.
                if ((byte & ~ier_ & ier::transmitter_empty) != 0) transmitter_empty_cause_ = true;
                ier_ = byte & 0x0F;
            }
            break;
        case 2: set_fifo_control(byte); break;
        case 3: lcr_ = byte; break;
        case 4: set_modem_control(byte); break;
        case 7: scratch_ = byte; break;
        default: break;  // LSR and MSR: writes are for factory tests
    }
    update();
}

}  // namespace trapline::executor
