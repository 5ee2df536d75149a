// SPDX-License-Identifier: Apache-2.0
// From a form and a state of its grid to a case of the machine.
#pragma once

#include <optional>
#include <string>

#include "classify/grid.h"
#include "isa/database.h"
#include "instruction.h"
#include "machine.h"
#include "setups.h"

namespace trapline::ring0 {

/// One case with what must be known to judge it.
struct Case {
    MachineCase input;
    std::uint64_t done_rip = 0;      ///< RIP in the frame when the instruction has completed
    std::uint64_t selector = 0;      ///< the selector operand, for the error code of a fault
    std::optional<int> gate;         ///< completion is this vector, from the place behind the instruction
    std::array<std::uint8_t, kGdtBytes> gdt1{}, gdt2{};       ///< as the instruction finds them
    std::array<std::uint8_t, kTablesBytes> tables{};
};

class CaseBuilder {
public:
    CaseBuilder(const isa::Database& database, const Image& image) : database_(database), image_(image) {}

    /// Builds the case in which `record` runs in `values`, a state of its grid; with `varied` another content of that
    /// resource. Fails with `unsupported`, and the atom's name, when the machine cannot be put into the state, and when
    /// the resource cannot be given another content.
    /// With `others_set` the control bits that the record does not mention are set as well (IOPL is 3, the I/O bitmap
    /// allows the port, TSD, PCE and UMIP): the outcome must not depend on them.
    Result<Case> build(const isa::Record& record, const Instruction& instruction, const Setup& setup, const isa::Assignment& values,
                       std::string_view varied = {}, bool others_set = false) const;
    /// Builds a case of NOP, which must change nothing.
    Case build_nop(int cpl) const;

private:
    const isa::Database& database_;
    const Image& image_;
};

}  // namespace trapline::ring0
