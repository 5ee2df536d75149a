// SPDX-License-Identifier: Apache-2.0
// trapline_bench IMAGE [--benchmark_...]: measures on the code of IMAGE. `./dev bench` is the way to start it.
// Exit codes: 0 done, 2 usage, 3 the image cannot be opened, 4 a benchmark failed.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/benchmarks.h"
#include "bench/table.h"

using namespace trapline;

namespace {

/// Puts what was measured, and with what, into the JSON file.
void describe(const bench::Subject& subject) {
    benchmark::AddCustomContext("image", subject.image.name);
    benchmark::AddCustomContext("image_sha256", subject.image.sha256);
    benchmark::AddCustomContext("executable_bytes", std::to_string(subject.executable_bytes));
    benchmark::AddCustomContext("instruction_bytes", std::to_string(subject.instruction_bytes));
    benchmark::AddCustomContext("instructions", std::to_string(subject.instructions));
    benchmark::AddCustomContext("database", subject.database->version);
    benchmark::AddCustomContext("profile", subject.tags->profile().id);
    benchmark::AddCustomContext("llvm", TRAPLINE_LLVM_VERSION);
    benchmark::AddCustomContext("capstone", TRAPLINE_CAPSTONE_VERSION);
    benchmark::AddCustomContext("build_type", TRAPLINE_BUILD_TYPE);
    fmt::print("{}\n{} instructions, {} bytes of them in {} executable bytes; LLVM {}, Capstone {}, {}\n", subject.image.name, subject.instructions,
               subject.instruction_bytes, subject.executable_bytes, TRAPLINE_LLVM_VERSION, TRAPLINE_CAPSTONE_VERSION, TRAPLINE_BUILD_TYPE);
    if (std::string_view(TRAPLINE_SANITIZE) != "") fmt::print("Built with sanitizers: the figures say nothing.\n");
}

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (argc != 2) {
        fmt::print(stderr, "usage: trapline_bench IMAGE [--benchmark_filter=decode/|scan/] [--benchmark_...]\n");
        return 2;
    }
    const Result<bench::Subject> subject = bench::open_subject(argv[1]);
    if (!subject) {
        fmt::print(stderr, "trapline_bench: error: {}\n", subject.error().describe());
        return 3;
    }
    describe(*subject);
    bench::register_baseline("decode", *subject);
    bench::register_decode(*subject);
    bench::register_baseline("scan", *subject);
    bench::register_scan(*subject);
    bench::Table table;
    benchmark::RunSpecifiedBenchmarks(&table);
    return table.has_errors() ? 4 : 0;
}
