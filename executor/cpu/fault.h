// SPDX-License-Identifier: Apache-2.0
// Exceptions as the processor raises them, before they are delivered.
#pragma once

#include <cstdint>
#include <optional>

namespace trapline::executor {

/// Vectors that the processor itself raises (SDM vol. 3, "Exception and Interrupt Reference").
enum class Vector : std::uint8_t {
    divide_error = 0, debug = 1, nmi = 2, breakpoint = 3, overflow = 4, bound_range = 5, invalid_opcode = 6, no_math = 7,
    double_fault = 8, coprocessor_overrun = 9, invalid_tss = 10, not_present = 11, stack_fault = 12, general_protection = 13,
    page_fault = 14, math_fault = 16, alignment_check = 17, machine_check = 18, simd_fault = 19,
};

/// One exception that an instruction raises. The instruction has changed nothing (string instructions: nothing after the last
/// whole iteration), but for `after_task_switch`.
struct Fault {
    Vector vector = Vector::general_protection;
    std::optional<std::uint32_t> error_code;  ///< pushed by the vectors that have one
    std::uint64_t address = 0;                ///< #PF: what CR2 gets
    /// A task switch was committed and its new task raises this, before its first instruction: rip is the new task's and stays.
    /// With Vector::debug it is the trap of the TSS's T bit, and DR6.BT is set.
    bool after_task_switch = false;

    static Fault invalid_opcode() { return {Vector::invalid_opcode, {}, 0}; }
    static Fault general_protection(std::uint32_t error_code = 0) { return {Vector::general_protection, error_code, 0}; }
    static Fault stack_fault(std::uint32_t error_code = 0) { return {Vector::stack_fault, error_code, 0}; }
    static Fault not_present(std::uint32_t error_code) { return {Vector::not_present, error_code, 0}; }
    static Fault invalid_tss(std::uint32_t error_code) { return {Vector::invalid_tss, error_code, 0}; }
    static Fault page_fault(std::uint32_t error_code, std::uint64_t address) { return {Vector::page_fault, error_code, address}; }
};

/// Nothing, or the fault that ended the operation.
using MaybeFault = std::optional<Fault>;

}  // namespace trapline::executor
