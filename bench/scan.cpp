// SPDX-License-Identifier: Apache-2.0
// The whole of `trapline scan` without reading the database and without writing a report: opening, and the scan.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/benchmarks.h"
#include "scan/scanner.h"

namespace trapline::bench {
namespace {

void run_open(benchmark::State& state, const Subject& subject) {
    std::uint64_t symbols = 0;
    for (auto _ : state) {
        symbols = 0;
        const auto count = [&](image::Image&& image) {
            symbols += image.symbols.size();
            return true;
        };
        if (!image::open_images(subject.path, {}, count, [](const Error&) {})) {
            state.SkipWithError("the file opened before and does not now");
            return;
        }
    }
    state.counters["symbols"] = static_cast<double>(symbols);
    state.SetLabel("unpacking, hashes, symbols, kernel tables");
}

void run_scan(benchmark::State& state, const Subject& subject, int jobs) {
    std::size_t findings = 0;
    for (auto _ : state) {
        scan::ScanOptions options;
        options.jobs = jobs;
        findings = scan::scan(subject.image, *subject.database, *subject.tags, options).findings.size();
        benchmark::DoNotOptimize(findings);
    }
    // The same bytes as for the baseline, although the scan looks at padding too.
    state.SetBytesProcessed(static_cast<std::int64_t>(subject.instruction_bytes) * state.iterations());
    state.counters["findings"] = static_cast<double>(findings);
    state.SetLabel("sweep, descent, findings with text");
}

template <class Body>
void add(const std::string& name, Body body) {
    benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
}

}  // namespace

void register_scan(const Subject& subject) {
    add("scan/open", [&subject](benchmark::State& state) { run_open(state, subject); });
    for (int jobs : {1, 2})
        add(fmt::format("scan/scan-{}-job{}", jobs, jobs == 1 ? "" : "s"), [&subject, jobs](benchmark::State& state) { run_scan(state, subject, jobs); });
}

}  // namespace trapline::bench
