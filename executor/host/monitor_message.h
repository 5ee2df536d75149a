// SPDX-License-Identifier: Apache-2.0
// What the monitor tells the broker, through a pipe. The broker takes the monitor for an enemy: messages are integers and text
// without meaning of their own, their sizes are bounded and checked, and nothing in them is trusted to be true.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "executor/cpu/vcpu.h"
#include "executor/trap/statistics.h"
#include "support/error.h"

namespace trapline::executor {

enum class MessageKind : std::uint32_t {
    started = 1,  ///< Started: the guest is loaded, its first instruction comes next
    ended = 2,    ///< Ended: the last message
    failed = 3,   ///< Error: the last message
};

/// Architectural registers, for a crash dump.
struct RegisterDump {
    std::array<std::uint32_t, 8> gpr{};       ///< by Register
    std::array<std::uint32_t, 6> selectors{}; ///< by SegmentRegister
    std::array<std::uint32_t, 6> bases{};
    std::uint32_t eip = 0, eflags = 0, cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, cpl = 0;
    std::uint32_t gdt_base = 0, gdt_limit = 0, idt_base = 0, idt_limit = 0;
};
RegisterDump dump_registers(const Vcpu& vcpu);

struct Started {
    std::string protocol, command_line;  ///< as BootReport
    std::uint64_t entry = 0;
    std::uint32_t layers = 0;            ///< of the sandbox, bits by Layer
};

/// A site as it crosses.
struct SiteRecord {
    std::uint32_t linear = 0;
    std::array<std::uint8_t, 15> bytes{};
    std::array<std::uint8_t, 5> reserved{};
    std::array<std::uint64_t, 2 * kArrivals> counts{};  ///< by Arrival: count, ticks
};

/// The numbers of a finished run.
struct EndedNumbers {
    std::uint32_t ending = 0, code = 0;
    std::int32_t output_error = 0;   ///< errno of a write of serial output that ended the run; 0 for none
    std::uint32_t reserved = 0;
    RegisterDump registers;
    std::uint32_t padding = 0;
    std::uint64_t wall_nanoseconds = 0, wall_ticks = 0;
    std::uint64_t guest_ticks = 0, monitor_ticks = 0, idle_ticks = 0;
    std::uint64_t entries = 0, signals = 0, hypercalls = 0, kicks = 0, interpreted = 0;
    std::array<std::uint64_t, 4> fills{};  ///< by Fill
    std::uint64_t maps = 0, unmaps = 0, protects = 0, flushes = 0, code_scans = 0, code_writes = 0, code_reads = 0;
    std::uint64_t host_mappings = 0, overflows = 0;  ///< VirtualTlb::count_mappings at the end, MappingCounts::overflows
    std::array<std::uint64_t, 256> delivered{};
    LastHappenings last;
};

struct Ended {
    EndedNumbers numbers;
    std::string detail, screen;
    std::vector<SiteRecord> sites;
};

/// Serializes one message with its header.
std::string render_message(const Started& message);
std::string render_message(const Ended& message);
std::string render_message(const Error& error);

/// Takes messages apart as their bytes come in.
class MessageReader {
public:
    /// More than this in one message is refused.
    static constexpr std::size_t kLargest = std::size_t{64} << 20;

    void add(const char* bytes, std::size_t size) { bytes_.append(bytes, size); }
    /// The kind of the next complete message, 0 when there is none yet; anything that no monitor would send is an error.
    Result<std::uint32_t> next();
    /// Decode the message that `next` found, and go on behind it.
    Result<Started> take_started();
    Result<Ended> take_ended();
    Result<Error> take_failed();

private:
    std::string take();
    std::string bytes_;
};

}  // namespace trapline::executor
