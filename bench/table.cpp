// SPDX-License-Identifier: Apache-2.0
// Ratios are of wall time: the processor time of two threads adds up and would hide what the second one gains.
#include "bench/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/benchmarks.h"

namespace trapline::bench {
namespace {

/// The part after the group: "decode/structure-parser/process_time/real_time" gives "structure-parser".
std::string name_of(const benchmark::BenchmarkReporter::Run& run) {
    std::string name = run.run_name.function_name;
    if (const std::size_t slash = name.find('/'); slash != std::string::npos) name.erase(0, slash + 1);
    return name;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace

bool Table::ReportContext(const Context& context) {
    std::string load;
    for (double average : context.cpu_info.load_avg) load += fmt::format(" {:.2f}", average);
    fmt::print("{} processor(s) of {:.0f} MHz; load average{}\n", context.cpu_info.num_cpus, context.cpu_info.cycles_per_second / 1e6, load);
    // Load from outside lengthens wall time, and of two rows not by the same factor.
    if (!context.cpu_info.load_avg.empty() && context.cpu_info.load_avg.front() > 0.5)
        fmt::print("The machine is busy with other work: trust cpu more than wall, and the spread says how far.\n");
    return true;
}

void Table::ReportRuns(const std::vector<Run>& report) {
    constexpr double kMillisecond = 1e-3;
    Row row;
    std::vector<double> wall, cpu;
    double bytes = 0;  // of one pass, the same in each run
    for (const Run& run : report) {
        if (run.error_occurred) {
            has_errors_ = true;
            fmt::print("{}: {}\n", name_of(run), run.error_message);
            return;
        }
        if (run.run_type != Run::RT_Iteration) continue;
        row.name = name_of(run);
        row.order = run.family_index;
        row.label = run.report_label;
        wall.push_back(run.GetAdjustedRealTime() * kMillisecond);
        cpu.push_back(run.GetAdjustedCPUTime() * kMillisecond);
        row.counters.clear();
        for (const auto& [name, counter] : run.counters) {
            if (name == "bytes_per_second")
                bytes = counter.value * wall.back();
            else if (name != "instructions")
                row.counters += fmt::format("{}{} {:.0f}", row.counters.empty() ? "" : ", ", name, counter.value);
        }
    }
    if (wall.empty()) return;
    row.wall = median(wall);
    row.cpu = median(cpu);
    row.spread = (*std::max_element(wall.begin(), wall.end()) - *std::min_element(wall.begin(), wall.end())) / row.wall;
    row.bytes_per_second = bytes / row.wall;
    rows_.push_back(std::move(row));
}

void Table::Finalize() {
    std::sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) { return a.order < b.order; });
    const auto baseline = std::find_if(rows_.begin(), rows_.end(), [](const Row& row) { return row.name == kBaseline; });
    fmt::print("\n{:<19} {:>8} {:>8} {:>7} {:>8} {:>9}  {}\n", "", "wall s", "cpu s", "spread", "MB/s", "x LLVM MC", "what it does");
    for (const Row& row : rows_) {
        const std::string rate = row.bytes_per_second == 0 ? "" : fmt::format("{:.1f}", row.bytes_per_second / 1e6);
        const std::string ratio = baseline == rows_.end() ? "" : fmt::format("{:.2f}", row.wall / baseline->wall);
        fmt::print("{:<19} {:>8.3f} {:>8.3f} {:>6.0f}% {:>8} {:>9}  {} ({})\n", row.name, row.wall, row.cpu, row.spread * 100, rate, ratio, row.label,
                   row.counters);
    }
    fmt::print("x LLVM MC: wall time as a multiple of that of \"{}\". MB: 10^6 bytes of instructions, padding left out.\n", kBaseline);
}

}  // namespace trapline::bench
