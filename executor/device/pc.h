// SPDX-License-Identifier: Apache-2.0
// The PC around the processor: which devices it has, at which addresses, on which interrupt lines.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "executor/device/cmos.h"
#include "executor/device/device.h"
#include "executor/device/pic.h"
#include "executor/device/pit.h"
#include "executor/device/port_bus.h"
#include "executor/device/uart.h"

namespace trapline::executor {

/// How a guest ends its machine.
struct ExitRequest {
    enum class Kind : std::uint8_t { debug_exit, reset, power_off };
    Kind kind = Kind::power_off;
    std::uint32_t code = 0;  ///< debug_exit: what the process is to return
};

/// What a PC is built from.
struct PcOptions {
    std::uint64_t memory_size = 0;  ///< bytes of RAM from address 0, as CMOS tells it
    std::int64_t wall_time = 0;     ///< what the real-time clock shows at virtual time 0: nanoseconds since 1970-01-01 UTC
    ByteSink serial_output;         ///< gets what is sent to COM1
};

/// Owns the devices and passes accesses on. A fresh one is as firmware leaves the machine: interrupt controllers at vectors 08h and 70h
/// with all inputs but the cascade masked (no firmware is there to handle them), counter 0 at 18.2 Hz. To reset the machine,
/// make a new one.
class Pc {
public:
    Pc(Clock& clock, PcOptions options);
    ~Pc();
    Pc(const Pc&) = delete;
    Pc& operator=(const Pc&) = delete;

    std::uint32_t port_in(std::uint16_t port, unsigned size);
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value);

    /// The processor's INTR pin. Costs one load.
    bool interrupt_waits() const { return interrupt_waits_; }
    /// Takes the waiting interrupt into service and returns its vector.
    std::uint8_t acknowledge_interrupt();

    /// When `advance` is wanted next without any access before; kNever if nothing is under way.
    Nanoseconds next_event();
    /// Does what has become due. May be called at any time, and costs little when nothing is.
    void advance(Nanoseconds now);

    /// Gives bytes to COM1's receiver; returns how many were taken. The caller keeps the rest and offers it again.
    std::size_t push_serial_input(std::span<const std::uint8_t> bytes);
    /// Gives the serial sink what is still collected, at the end of a run.
    void flush();

    /// What the guest has asked for first; it stays.
    const std::optional<ExitRequest>& exit_request() const { return exit_request_; }

private:
    /// The ISA interrupt lines: to the 8259 pair.
    class Lines final : public InterruptLines {
    public:
        explicit Lines(PicPair& pic) : pic_(pic) {}
        void set_line(unsigned line, bool high) override { pic_.set_line(line, high); }

    private:
        PicPair& pic_;
    };

    void program_as_firmware();
    void update() { interrupt_waits_ = pic_.has_interrupt(); }

    bool interrupt_waits_ = false;
    PortBus ports_;
    PicPair pic_;
    Lines lines_{pic_};
    Pit pit_;
    Cmos cmos_;
    Uart com1_;
    std::optional<ExitRequest> exit_request_;
};

}  // namespace trapline::executor
