// SPDX-License-Identifier: Apache-2.0
// The keyboard controller of a PC (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller")
// with nothing plugged into its two connectors.
#pragma once

#include <array>
#include <cstdint>

#include "executor/device/device.h"
#include "executor/device/exit_request.h"

namespace trapline::executor {

/// Ports 60h and 64h, interrupt lines 1 and 12. Commands of the controller itself answer at once; a byte to the absent keyboard or mouse
/// answers FEh with the time-out bit, so that drivers need not wait. Owns the A20 gate.
class I8042 final : public PortDevice {
public:
    I8042(InterruptLines& lines, ExitSink sink) : lines_(lines), sink_(std::move(sink)) {}
    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;

    /// Address line 20 is let through. It is after firmware.
    bool a20() const { return a20_; }
    void set_a20(bool open) { a20_ = open; }

private:
    void answer(std::uint8_t byte, std::uint8_t status = 0);
    void command(std::uint8_t value);
    void data(std::uint8_t value);
    void set_output_port(std::uint8_t value);
    std::uint8_t output_port() const;
    void update();

    InterruptLines& lines_;
    ExitSink sink_;
    std::array<std::uint8_t, 32> memory_{0x65};  ///< [0] is the command byte: translation, mouse off, system flag, keyboard interrupt
    std::uint8_t status_ = 0x14;                 ///< not locked, self-test passed
    std::uint8_t output_ = 0;                    ///< output buffer, full when the status says so
    std::uint8_t pending_ = 0;                   ///< command that waits for its data byte, 0 for none
    bool a20_ = true;
};

}  // namespace trapline::executor
