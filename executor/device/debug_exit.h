// SPDX-License-Identifier: Apache-2.0
// A port that ends the run with a code, where QEMU's isa-debug-exit has it.
#pragma once

#include "executor/device/device.h"
#include "executor/device/exit_request.h"

namespace trapline::executor {

/// Four ports, accesses of any size: a write of `value` ends the run with 2 * value + 1, so that a guest cannot say 0 (QEMU's
/// documentation of -device isa-debug-exit). Reads give 0.
class DebugExit final : public PortDevice {
public:
    explicit DebugExit(ExitSink sink) : sink_(std::move(sink)) {}
    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;

private:
    ExitSink sink_;
};

}  // namespace trapline::executor
