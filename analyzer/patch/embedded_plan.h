// SPDX-License-Identifier: Apache-2.0
// What a VMM needs of a plan: some six per cent of the plan document. The patched file itself carries it in the section
// .trapline.plan (not loaded), so that it runs without the document; `trapline plan --format packed` writes it as a file.
//
// Layout: "TRPLPLAN", u16 major 2, u16 minor 0, little-endian; from there on LEB128 numbers, and runs (a number of bytes, then the bytes):
//   runs: sha256 of the original, interface, its version
//   number of parts, each two runs: its name, its sha256; number of operations, each a run: its name
//   number of stubs, each: address, run of code, number of steps, each: offset in the stub, guest address
//   number of patches, each: part, begin, end; number of writes, each: kind (index in kWriteKinds), address, run of old bytes, as many new
//     bytes; number of its stubs, each an index
//   number of sites, each: part, operation, address, run of the instruction, patch + 1 or 0, resume address or 0
#pragma once

#include <optional>
#include <string>

#include "patch/plan.h"
#include "patch/rewrite_writer.h"
#include "support/error.h"

namespace trapline::patch {

inline constexpr std::string_view kPlanSection = ".trapline.plan";

/// Says whether bytes are such a plan, of whatever version.
bool is_embedded_plan(Bytes bytes);

/// Renders these parts of a plan; the same plan gives the same bytes. Empty where that would take more than 4 MiB.
Buffer encode_embedded_plan(const PlanDocument& plan);

/// Reads them back: a plan whose other members are empty. Every index in it names something. `file` is for errors. Fails with `unsupported` for another
/// major version, and `malformed` for what encode_embedded_plan does not write.
Result<PlanDocument> decode_embedded_plan(Bytes bytes, const std::string& file);

/// Finds the section of a patched ELF file; nothing when there is none.
std::optional<Bytes> find_embedded_plan(Bytes file, const std::string& name);

}  // namespace trapline::patch
