// SPDX-License-Identifier: Apache-2.0
// Runs the records' examples and judges them.
#pragma once

#include <functional>
#include <vector>

#include "executor/host/nursery.h"
#include "executor/verify/judge.h"

namespace trapline::executor {

/// One example under one setting of the controls that a process can change, and how it fared.
struct CheckedExample {
    const isa::Record* record = nullptr;
    const isa::Example* example = nullptr;
    std::uint8_t setting = kSettingNone;
    std::string expected;  ///< Prediction::text(); empty when it was not run
    Tally seen;
    Judgement judgement;
};

/// Runs every example of `records` with all memory and register patterns, and at the end of a page for its length.
/// Order: that of the records. Fails when a nursery is lost.
Result<std::vector<CheckedExample>> check_examples(const isa::Database& database, const Host& host, Nurseries& nurseries,
                                                   const std::vector<const isa::Record*>& records, const Nurseries::Tick& tick, std::size_t& probes);

}  // namespace trapline::executor
