// SPDX-License-Identifier: Apache-2.0
// Reads reports of contained children. Linux gives the vector and the error code in the signal frame.
#include "executor/host/observation.h"

#include <fmt/format.h>
#include <linux/audit.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace trapline::executor {

namespace {

constexpr std::array<std::string_view, 22> kVectors = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",  "#TS",
                                                       "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
constexpr int kDebug = 1, kBreakpoint = 3, kPageFault = 14;
constexpr std::uint64_t kErrorFetch = 16;
constexpr std::uint8_t kInt3 = 0xCC, kInt1 = 0xF1;

/// Vectors that push a selector as error code.
bool has_selector(int vector) { return vector >= 10 && vector <= 13; }

Observation fault(int vector, std::uint64_t error) { return {OutcomeKind::faults, static_cast<std::uint8_t>(vector), error, 0}; }
Observation ran(OutcomeKind kind, std::int64_t length = 0) { return {kind, 0, 0, static_cast<std::uint8_t>(length)}; }

/// An exception of `vector` that was reported `offset` bytes behind the first.
Observation trap(const ProbeJob& job, const ProbeSlot& slot, int vector, std::int64_t offset) {
    const std::int64_t size = job.code_size;
    if (vector == kPageFault && (slot.error & kErrorFetch) != 0) {
        if (offset == 0) return ran(OutcomeKind::wants_more);
        if (offset == size && job.placement == Placement::page_end) return ran(OutcomeKind::executes, size);
        return ran(OutcomeKind::transfers);
    }
    if (vector == kBreakpoint && offset > 0) {
        const std::int64_t length = offset - 1;  // of what stands before the int3 that was met
        if (length < size) {
            const bool own = job.code[length] == kInt3 && length + 1 == size;
            return own ? Observation{OutcomeKind::delivered, kBreakpoint, 0, 0} : ran(OutcomeKind::executes, length);
        }
        if (job.placement == Placement::padded && offset <= static_cast<std::int64_t>(kPageSize)) return ran(OutcomeKind::executes, std::min<std::int64_t>(length, 255));
        return ran(OutcomeKind::transfers);
    }
    // INT1 is reported at itself or behind itself, by kernel version; a single-step trap only behind.
    if (vector == kDebug && size > 0 && job.code[size - 1] == kInt1 && (offset == 0 || offset == size)) return {OutcomeKind::delivered, kDebug, 0, 0};
    if (offset == 0) return fault(vector, has_selector(vector) ? slot.error : 0);
    if (vector == kDebug && offset > 0 && offset <= size) return ran(OutcomeKind::executes, offset);
    if (offset > 0 && offset <= size) return {OutcomeKind::delivered, static_cast<std::uint8_t>(vector), 0, 0};
    return ran(OutcomeKind::transfers);
}

}  // namespace

std::string vector_name(int vector) {
    if (vector >= 0 && vector < static_cast<int>(kVectors.size())) return std::string(kVectors[static_cast<std::size_t>(vector)]);
    return fmt::format("#{}", vector);
}

int vector_number(std::string_view name) {
    name = name.substr(0, name.find('('));
    for (std::size_t i = 0; i < kVectors.size(); ++i)
        if (kVectors[i] == name) return static_cast<int>(i);
    return -1;
}

std::string Observation::word() const {
    switch (kind) {
        case OutcomeKind::executes: return "executes";
        case OutcomeKind::transfers: return "transfers";
        case OutcomeKind::faults:
            if (!has_selector(vector)) return vector_name(vector);
            return vector_name(vector) + (error == 0 ? "(0)" : "(selector)");
        case OutcomeKind::delivered: return "delivered " + vector_name(vector);
        case OutcomeKind::host_call: return error == AUDIT_ARCH_I386 ? "host call i386" : "host call x86-64";
        case OutcomeKind::wants_more: return "wants more bytes";
        case OutcomeKind::spoofed: return "host-spoofed";
        case OutcomeKind::hangs: return "hangs";
        case OutcomeKind::ended: {
            const int status = static_cast<int>(error);
            return WIFSIGNALED(status) ? fmt::format("killed by signal {}", WTERMSIG(status)) : fmt::format("exits with {}", WEXITSTATUS(status));
        }
    }
    return "?";
}

Observation observe(const ProbeJob& job, const ProbeResult& result) {
    const ProbeSlot& slot = result.slot;
    // A report counts only from a child that went through its handler's exit.
    if (result.wait_status != 0 || slot.done != 1)
        return {OutcomeKind::ended, 0, static_cast<std::uint32_t>(result.wait_status), 0};
    const std::uint64_t flat = job.placement == Placement::padded ? kCodeStart : kCodePage + kPageSize - job.code_size;
    const std::uint64_t start = job.width == 16 ? flat - kCodePage : flat;
    const auto offset = static_cast<std::int64_t>(slot.rip - start);
    switch (slot.signal) {
        case SIGPROF: return ran(OutcomeKind::hangs);
        case SIGSYS: return {OutcomeKind::host_call, 0, slot.call_arch, 0};
        case SIGSEGV:
        case SIGILL:
        case SIGBUS:
        case SIGFPE:
        case SIGTRAP: return trap(job, slot, static_cast<int>(slot.trap & 0xFF), offset);
        default: return {OutcomeKind::ended, 0, static_cast<std::uint32_t>(result.wait_status), 0};
    }
}

}  // namespace trapline::executor
