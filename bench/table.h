// SPDX-License-Identifier: Apache-2.0
// Prints one row for each benchmark, with its time as a multiple of the baseline's.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace trapline::bench {

/// Gathers the medians of all repetitions and prints them when the last benchmark has run.
class Table final : public benchmark::BenchmarkReporter {
public:
    bool ReportContext(const Context& context) override;
    void ReportRuns(const std::vector<Run>& report) override;
    void Finalize() override;

    /// Says whether a benchmark stopped with an error; the table shows which.
    bool has_errors() const { return has_errors_; }

private:
    /// One benchmark; times in seconds for one pass over the image.
    struct Row {
        std::string name, label;
        std::int64_t order = 0;  ///< of registration; benchmarks whose repetitions alternate end in any order
        double wall = 0, cpu = 0;
        double spread = 0;            ///< of wall: (longest - shortest) / median
        double bytes_per_second = 0;  ///< 0 where none are counted
        std::string counters;         ///< those that are no rates: "findings 6543"
    };
    std::vector<Row> rows_;
    bool has_errors_ = false;
};

}  // namespace trapline::bench
