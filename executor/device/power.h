// SPDX-License-Identifier: Apache-2.0
// The chipset's ports that reset the machine and switch it off, and the fast A20 gate.
#pragma once

#include <cstdint>

#include "executor/device/device.h"
#include "executor/device/exit_request.h"
#include "executor/device/i8042.h"

namespace trapline::executor {

/// Port 92h (PS/2 system control port A: bit 1 A20, bit 0 reset on its rise), port CF9h (PIIX reset control: bit 2 resets on its rise; bytes
/// only, for wider accesses to CF8h belong to PCI, of which there is none),
/// and the ACPI PM1a control register at 604h and B004h, where QEMU and Bochs have it and small kernels look for it without ACPI:
/// SLP_EN with SLP_TYP 0 switches off.
class PowerControl final : public PortDevice {
public:
    PowerControl(I8042& keyboard, ExitSink sink) : keyboard_(keyboard), sink_(std::move(sink)) {}
    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;

private:
    void ask(ExitRequest::Kind kind) const;

    I8042& keyboard_;
    ExitSink sink_;
    std::uint8_t control_a_ = 0;      ///< port 92h but for A20
    std::uint8_t reset_control_ = 0;  ///< port CF9h
    std::uint16_t pm1_control_ = 0;   ///< as written but for SLP_EN, which reads as 0
};

}  // namespace trapline::executor
