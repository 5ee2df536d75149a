// SPDX-License-Identifier: Apache-2.0
// From what the monitor counted to the document that reports show.
#pragma once

#include "decode/instruction_decoder.h"
#include "executor/host/broker.h"
#include "executor/host/run_statistics.h"

namespace trapline::executor {

/// Says which part of the image the code at an address is; kOtherCode where it is none's.
using PartOf = std::function<std::string(std::uint64_t linear)>;

/// Makes the document of a run that ended with counts. Image, sha256 and what the host allows are left to the caller.
RunStatistics collect_statistics(const RunRequest& request, const RunResult& result, std::uint64_t memory, const decode::InstructionDecoder& decoder, const PartOf& part_of);

std::string_view to_string(RunTechnique technique);

}  // namespace trapline::executor
