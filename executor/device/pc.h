// SPDX-License-Identifier: Apache-2.0
// The PC around the processor: which devices it has, at which addresses, on which interrupt lines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "executor/device/apic.h"
#include "executor/device/cmos.h"
#include "executor/device/debug_exit.h"
#include "executor/device/device.h"
#include "executor/device/exit_request.h"
#include "executor/device/fw_cfg.h"
#include "executor/device/i8042.h"
#include "executor/device/ioapic.h"
#include "executor/device/math_error.h"
#include "executor/device/memory_bus.h"
#include "executor/device/pic.h"
#include "executor/device/pit.h"
#include "executor/device/port_bus.h"
#include "executor/device/power.h"
#include "executor/device/uart.h"
#include "executor/device/vga_text.h"

namespace trapline::executor {

/// What a PC is built from.
struct PcOptions {
    std::uint64_t memory_size = 0;  ///< bytes of RAM from address 0, as CMOS tells it
    std::int64_t wall_time = 0;     ///< what the real-time clock shows at virtual time 0: nanoseconds since 1970-01-01 UTC
    ByteSink serial_output;         ///< gets what is sent to COM1
    bool apic = false;              ///< a local APIC and an I/O APIC, as mp_table.h describes them
    BusMemory memory;               ///< RAM for fw_cfg's DMA; without it there is only the port interface
};

/// Owns the devices and passes accesses on. A fresh one is as firmware leaves the machine: interrupt controllers at vectors 08h and 70h
/// with all inputs but the cascade masked (no firmware is there to handle them), counter 0 at 18.2 Hz, APICs in virtual wire mode. There
/// is no PCI: CF8h and CFCh are nobody's. To reset the machine, make a new one.
class Pc {
public:
    Pc(Clock& clock, PcOptions options);
    ~Pc();
    Pc(const Pc&) = delete;
    Pc& operator=(const Pc&) = delete;

    std::uint32_t port_in(std::uint16_t port, unsigned size);
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value);

    /// Whether a guest-physical address is a device's, not RAM or nothing. Costs a comparison for addresses below the APICs.
    bool is_device_memory(std::uint64_t address) const { return memory_.is_device(address); }
    /// `size` is 1, 2 or 4 bytes.
    std::uint32_t memory_read(std::uint64_t address, unsigned size);
    void memory_write(std::uint64_t address, unsigned size, std::uint32_t value);

    /// The processor's INTR pin. Costs one load.
    bool interrupt_waits() const { return interrupt_waits_; }
    /// Takes the waiting interrupt into service and returns its vector.
    std::uint8_t acknowledge_interrupt();

    /// An x87 error while CR0.NE is clear.
    void raise_math_error();

    /// When `advance` is wanted next without any access before; kNever if nothing is under way.
    Nanoseconds next_event();
    /// Does what has become due. May be called at any time, and costs little when nothing is.
    void advance(Nanoseconds now);

    /// Gives bytes to COM1's receiver; returns how many were taken. The caller keeps the rest and offers it again.
    std::size_t push_serial_input(std::span<const std::uint8_t> bytes);
    /// Gives the serial sink what is still collected, at the end of a run.
    void flush();

    /// The text screen as 25 lines of UTF-8; `memory` is guest RAM from VgaText::kMemory on.
    std::string screen(std::span<const std::uint8_t> memory) const { return vga_.render(memory); }
    /// Address line 20, for those who want to honour it.
    bool a20() const { return keyboard_.a20(); }
    /// Where a loader leaves data for the guest.
    FwCfg& fw_cfg() { return fw_cfg_; }

    /// What the guest has asked for first; it stays.
    const std::optional<ExitRequest>& exit_request() const { return exit_request_; }

private:
    struct Apics;
    /// The ISA interrupt lines: to the 8259s and the I/O APIC.
    class Lines final : public InterruptLines {
    public:
        explicit Lines(Pc& pc) : pc_(pc) {}
        void set_line(unsigned line, bool high) override;

    private:
        Pc& pc_;
    };

    void claim_ports();
    void program_as_firmware();
    void request_exit(const ExitRequest& request);
    void route_pic();
    void update();

    bool interrupt_waits_ = false;
    PortBus ports_;
    MemoryBus memory_;
    std::unique_ptr<Apics> apics_;  ///< null without
    PicPair pic_;
    Lines lines_{*this};
    Pit pit_;
    Cmos cmos_;
    Uart com1_;
    MathError math_error_{lines_};
    I8042 keyboard_;
    PowerControl power_;
    DebugExit debug_exit_;
    FwCfg fw_cfg_;
    VgaText vga_;
    std::optional<ExitRequest> exit_request_;
};

}  // namespace trapline::executor
