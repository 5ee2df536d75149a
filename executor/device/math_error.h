// SPDX-License-Identifier: Apache-2.0
// How an x87 error reaches a guest that has not set CR0.NE: the processor's FERR# output raises interrupt line 13, and a write to port
// F0h lowers it (PIIX4 datasheet, 290562, "Coprocessor Error Support"). IGNNE#, which would let the handler run waiting x87 instructions
// over the error, is not modelled.
#pragma once

#include "executor/device/device.h"

namespace trapline::executor {

/// The flip-flop between FERR# and the interrupt line, with its port.
class MathError final : public PortDevice {
public:
    explicit MathError(InterruptLines& lines) : lines_(lines) {}

    /// The processor reports an error.
    void raise() { lines_.set_line(kLine, true); }

    std::uint32_t port_in(std::uint16_t, unsigned) override { return 0xFF; }
    void port_out(std::uint16_t, unsigned, std::uint32_t) override { lines_.set_line(kLine, false); }

private:
    static constexpr unsigned kLine = 13;

    InterruptLines& lines_;
};

}  // namespace trapline::executor
