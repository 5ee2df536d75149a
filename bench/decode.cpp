// SPDX-License-Identifier: Apache-2.0
// Decoders side by side on one thread. Each is asked for the same instructions through the interface that the project
// uses it by, so the peers' rows contain a virtual call and what the witness does around the library.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/benchmarks.h"
#include "decode/decoder.h"
#include "decode/structure.h"
#include "scan/sweep.h"

namespace trapline::bench {
namespace {

/// Calls `length_of(window, mode)` for every instruction. `label` says what the row does beyond finding the length.
/// The comparison with the sweep's length keeps the call from being optimised away and tells decoders apart that are fast
/// because they give up.
template <class LengthOf>
void run(benchmark::State& state, const Subject& subject, const char* label, LengthOf length_of) {
    std::uint64_t other_length = 0;
    for (auto _ : state) {
        other_length = 0;
        for (const Code& code : subject.code) {
            for (const Place place : code.places) {
                // As the sweep does: one byte more than the longest instruction.
                const std::size_t rest = code.bytes.size() - place.offset;
                const Bytes window = code.bytes.subspan(place.offset, std::min<std::size_t>(rest, decode::kMaxInstructionLength + 1));
                other_length += length_of(window, code.mode) != static_cast<int>(place.length);
            }
        }
        benchmark::DoNotOptimize(other_length);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(subject.instruction_bytes) * state.iterations());
    state.counters["instructions"] = static_cast<double>(subject.instructions);
    state.counters["other_length"] = static_cast<double>(other_length);
    state.SetLabel(label);
}

template <class Body>
void add(const std::string& name, Body body) {
    benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
}

void run_llvm_length(benchmark::State& state, const Subject& subject) {
    const auto llvm = decode::make_llvm_witness();
    run(state, subject, "operands as MCInst, no text", [&](Bytes window, Mode mode) { return llvm->length(window, mode); });
}

}  // namespace

void register_baseline(const std::string& group, const Subject& subject) {
    add(group + "/" + kBaseline, [&subject](benchmark::State& state) { run_llvm_length(state, subject); });
}

void register_decode(const Subject& subject) {
    add("decode/structure-parser", [&subject](benchmark::State& state) {
        const decode::OpcodeMaps& maps = decode::OpcodeMaps::generated();
        run(state, subject, "no form, no confirmation", [&](Bytes window, Mode mode) {
            const decode::Structure structure = decode::parse_structure(maps, window, mode);
            return structure.valid() ? static_cast<int>(structure.length) : 0;
        });
    });
    add("decode/sweep-decoder", [&subject](benchmark::State& state) {
        const decode::InstructionDecoder decoder(*subject.database, subject.tags->profile());
        run(state, subject, "length and form", [&](Bytes window, Mode mode) { return scan::decode_brief(window, mode, decoder).length; });
    });
    add("decode/llvm-mc-text", [&subject](benchmark::State& state) {
        const auto llvm = decode::make_llvm_witness();
        run(state, subject, "length and Intel text", [&](Bytes window, Mode mode) { return llvm->decode(window, mode, VirtAddr{}).length; });
    });
    add("decode/capstone-length", [&subject](benchmark::State& state) {
        const auto capstone = decode::make_capstone_witness();
        run(state, subject, "detail off; the library writes the text all the same", [&](Bytes window, Mode mode) { return capstone->length(window, mode); });
    });
}

}  // namespace trapline::bench
