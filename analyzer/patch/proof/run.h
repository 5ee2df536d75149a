// SPDX-License-Identifier: Apache-2.0
// Runs a window on the reference machine, before the patch at CPL 0 and after it at CPL 3 under a model of the VMM, and notes
// all that has to be alike: the state at each instruction of the guest, what is asked of the VMM, and which events come where.
//
// The VMM of the model does what the interface says and no more:
// - At the gate it looks up the site by `call_site`, does the operation as if the site's instruction stood at its place, and
//   goes on at `call_resume`.
// - A store to the pending page that traps arms the delivery: at the next boundary after `after_flags`, one boundary later
//   after `after_sti`. A boundary is a place that the plan's steps map exactly to an instruction of the window, or the exit.
// - When an operation leaves the guest's IF at 1 while an event waits, delivery is armed likewise.
// - An instruction that faults for privilege, and an INT3 in a window, are done like hypercalls: the place maps to a site.
// Not modelled: single-step traps (TF), faults of memory, alignment checks.
#pragma once

#include <string>

#include "patch/proof/machine.h"
#include "patch/proof/window.h"

namespace trapline::patch::proof {

/// What a run begins with; the same for both sides.
struct Start {
    std::uint64_t seed = 0;          ///< of the memory's first content
    std::uint64_t entry = 0;         ///< where control enters the window
    Cpu cpu;                         ///< with the flags as the guest sees them
    std::array<std::uint64_t, kSystemRegisters> system{};
    bool event_waits = false;        ///< only with IF 0
    /// Neighbours that only compute are taken for opaque ones: then both ways of every branch are met, whatever their operands.
    bool opaque_neighbours = false;
};

struct Event {
    enum class Kind : std::uint8_t {
        operation,  ///< the VMM, or CPL 0, did what the instruction with this identity asks
        delivery,   ///< an event was delivered: the guest's instruction pointer was `address`
        left,       ///< an opaque instruction sends control where the machine cannot follow
    } kind = Kind::operation;
    std::uint64_t address = 0;       ///< of the guest
    std::uint64_t identity = 0;
    std::uint64_t digest = 0;        ///< of the whole state before it
    friend bool operator==(const Event&, const Event&) = default;
};

/// The state where an instruction of the window begins.
struct Boundary {
    std::uint64_t guest = 0;
    std::uint64_t digest = 0;
    friend bool operator==(const Boundary&, const Boundary&) = default;
};

/// One executed instruction, for reports.
struct TraceLine {
    std::uint64_t address = 0;
    Mode mode = Mode::long64;
    std::uint64_t guest = 0;         ///< meaningful at a boundary
    bool boundary = false;
    std::vector<std::uint8_t> bytes;
    Cpu cpu;                         ///< before it
    std::string note;                ///< "hypercall for site 7", "event delivered at 0xc1000001"
};

struct Run {
    explicit Run(Machine machine) : end(std::move(machine)) {}
    Machine end;
    std::uint64_t exit = 0;          ///< where control left to; of a run that `left` the instruction's own address
    bool left = false;
    bool event_waits = false;        ///< at the end
    bool shadow = false;             ///< an event waits only for the shadow to end
    std::vector<Event> events;
    std::vector<Boundary> boundaries;
    std::string broken;              ///< why the run could not go on, or what it must not have done; empty when all is well
    bool outside_contract = false;   ///< the guest itself touched the VMM's pages or the window's bytes: the state says nothing
};

/// Runs the original. Of `trace` null nothing is written down.
Run run_original(Window& window, const Start& start, std::vector<TraceLine>* trace = nullptr);
/// Runs what the patch puts in its place.
Run run_patched(Window& window, const Start& start, std::vector<TraceLine>* trace = nullptr);

}  // namespace trapline::patch::proof
