// SPDX-License-Identifier: Apache-2.0
// What devices share: ports, interrupt lines and time.
#pragma once

#include <cstdint>
#include <limits>

namespace trapline::executor {

/// Virtual time in nanoseconds since the machine was switched on.
using Nanoseconds = std::uint64_t;
inline constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

/// Tells the time. Tests have a clock that they turn by hand.
class Clock {
public:
    virtual ~Clock() = default;
    virtual Nanoseconds now() = 0;
};

/// Where devices raise and lower their interrupt lines.
class InterruptLines {
public:
    virtual ~InterruptLines() = default;
    virtual void set_line(unsigned line, bool high) = 0;
};

/// A device behind I/O ports. `port` is the port's address, `size` 1, 2 or 4 bytes; a device of byte-wide ports is asked byte by byte.
class PortDevice {
public:
    virtual ~PortDevice() = default;
    virtual std::uint32_t port_in(std::uint16_t port, unsigned size) = 0;
    virtual void port_out(std::uint16_t port, unsigned size, std::uint32_t value) = 0;
    /// When the device wants `advance` next; kNever if only after an access.
    virtual Nanoseconds next_event() { return kNever; }
    /// Does what has become due.
    virtual void advance(Nanoseconds) {}
};

/// A device behind guest-physical addresses; offsets count from its first byte.
class MemoryDevice {
public:
    virtual ~MemoryDevice() = default;
    virtual std::uint32_t memory_read(std::uint32_t offset, unsigned size) = 0;
    virtual void memory_write(std::uint32_t offset, unsigned size, std::uint32_t value) = 0;
};

}  // namespace trapline::executor
