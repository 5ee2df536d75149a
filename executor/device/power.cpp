// SPDX-License-Identifier: Apache-2.0
// Reset and power-off.
#include "executor/device/power.h"

namespace trapline::executor {

namespace {

constexpr std::uint8_t kFastReset = 0x01, kFastA20 = 0x02, kResetCpu = 0x04;
constexpr std::uint16_t kSleepType = 7u << 10, kSleepEnable = 1u << 13;  // ACPI 6.4, table 4.14 "PM1 Control Registers"
constexpr bool is_pci(std::uint16_t port) { return (port & ~3) == 0xCF8; }

}  // namespace

void PowerControl::ask(ExitRequest::Kind kind) const {
    if (sink_) sink_({kind, 0});
}

std::uint32_t PowerControl::port_in(std::uint16_t port, unsigned size) {
    if (port == 0x92) return control_a_ | (keyboard_.a20() ? kFastA20 : 0);
    if (is_pci(port)) return port == 0xCF9 && size == 1 ? reset_control_ : 0xFFFFFFFF;
    return (port & 1) != 0 ? pm1_control_ >> 8 : pm1_control_;
}

void PowerControl::port_out(std::uint16_t port, unsigned size, std::uint32_t value) {
    if (port == 0x92) {
        const bool resets = (value & ~control_a_ & kFastReset) != 0;
        control_a_ = value & ~kFastA20 & 0xFF;
        keyboard_.set_a20((value & kFastA20) != 0);
        if (resets) ask(ExitRequest::Kind::reset);
    } else if (is_pci(port)) {
        if (port != 0xCF9 || size != 1) return;
        const bool resets = (value & ~reset_control_ & kResetCpu) != 0;
        reset_control_ = value & 0xFF;
        if (resets) ask(ExitRequest::Kind::reset);
    } else {
        std::uint32_t all = value;
        if (size == 1) all = (port & 1) != 0 ? (pm1_control_ & 0x00FFu) | value << 8 : (pm1_control_ & 0xFF00u) | value;
        pm1_control_ = all & 0xFFFF & ~kSleepEnable;
        if ((all & (kSleepEnable | kSleepType)) == kSleepEnable) ask(ExitRequest::Kind::power_off);
    }
}

}  // namespace trapline::executor
