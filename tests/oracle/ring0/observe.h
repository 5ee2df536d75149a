// SPDX-License-Identifier: Apache-2.0
// What the machine shows of each resource.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "case_builder.h"
#include "machine.h"

namespace trapline::ring0 {

/// The resources that a result shows.
const std::vector<std::string>& observable_resources();
/// A trap in real mode clears AC before anything can look at it.
bool is_observable(std::string_view resource, Mode mode);

/// Says whether the instruction left `resource` with another content than it found.
bool changed(std::string_view resource, const Case& before, const MachineResult& after);

/// Says whether two runs of one instruction ended differently in anything in which they did not begin differently.
bool results_differ(const Case& a, const MachineResult& after_a, const Case& b, const MachineResult& after_b);

/// For an instruction that ends in a handler (INT n): the machine as the handler finds it, as if after the instruction.
MachineResult seen_by_handler(const Case& before, MachineResult after);

/// Names an exception as the manuals do: "#GP(0)", "#NP(0x33)", "#UD"; other vectors as "vector 80".
std::string fault_text(std::uint64_t vector, std::uint64_t error);

}  // namespace trapline::ring0
