// SPDX-License-Identifier: Apache-2.0
// A 16550A serial port (National Semiconductor PC16550D datasheet). The line has no speed: bytes leave at once, and arrive
// whenever the guest has room.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "executor/device/device.h"

namespace trapline::executor {

/// Receives what the guest has sent.
using ByteSink = std::function<void(std::string_view)>;

/// One port of eight registers. Its interrupt reaches the line only under MCR.OUT2, as wired in a PC. Output is collected: the sink gets
/// it at each newline, when 512 bytes have come, and 2 ms after its first byte.
class Uart final : public PortDevice {
public:
    Uart(Clock& clock, InterruptLines& lines, unsigned line, ByteSink sink);
    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;
    Nanoseconds next_event() override { return flush_at_; }
    void advance(Nanoseconds now) override;

    /// Puts bytes on the line to the guest. Returns how many were taken: at most 4096 wait at a time, the caller keeps the rest.
    std::size_t push_input(std::span<const std::uint8_t> bytes);
    /// A break on the line: the guest reads a zero byte with BI and FE.
    void push_break();
    /// Gives the sink what is collected.
    void flush();

private:
    std::size_t readable() const;
    void receive(std::uint8_t byte, std::uint8_t errors);
    void transmit(std::uint8_t byte);
    std::uint8_t line_status() const;
    std::uint8_t modem_inputs() const;
    std::uint8_t interrupt_cause() const;
    void set_modem_control(std::uint8_t value);
    void set_fifo_control(std::uint8_t value);
    void update();

    struct Received {
        std::uint8_t byte = 0;
        std::uint8_t errors = 0;  ///< bits 2 to 4 of LSR, which appear with the byte
    };

    Clock& clock_;
    InterruptLines& lines_;
    const unsigned line_;
    ByteSink sink_;
    std::string collected_;
    Nanoseconds flush_at_ = kNever;
    std::deque<Received> incoming_;       ///< the guest's FIFO shows the first 16, without FIFO the first
    std::uint8_t ier_ = 0, lcr_ = 0, mcr_ = 0, scratch_ = 0, fifo_control_ = 0;
    std::uint8_t modem_changes_ = 0;      ///< low half of MSR
    std::uint16_t divisor_ = 12;
    bool transmitter_empty_cause_ = false;  ///< the THR-empty interrupt has not been seen
    bool overrun_ = false;
    std::uint8_t seen_errors_ = 0;        ///< error bits that reading LSR has cleared at the front byte
};

}  // namespace trapline::executor
