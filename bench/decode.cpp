// SPDX-License-Identifier: Apache-2.0
// Decoders side by side on one thread, over the instructions of the largest section without its padding. Ours walk the
// bytes by themselves and look form and class up; the peers are told where each instruction begins, so that one that loses
// step does the same work as the rest.
#include <benchmark/benchmark.h>

#include "bench/benchmarks.h"
#include "bench/peers.h"
#include "decode/decoder.h"
#include "decode/instruction_decoder.h"
#include "scan/flagged_forms.h"

namespace trapline::bench {
namespace {

using decode::InstructionDecoder;

template <class Body>
void add(const std::string& name, Body body) {
    benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
}

void finish(benchmark::State& state, const DenseCode& code, const char* label, std::uint64_t other_length) {
    state.SetBytesProcessed(static_cast<std::int64_t>(code.bytes.size()) * state.iterations());
    state.counters["instructions"] = static_cast<double>(code.places.size());
    state.counters["other_length"] = static_cast<double>(other_length);
    state.SetLabel(label);
}

/// Ours: one walk, with the class of every form.
void run_walk(benchmark::State& state, const Subject& subject, InstructionDecoder::Path path, const char* label) {
    const DenseCode& code = subject.dense;
    const InstructionDecoder decoder(*subject.database, subject.tags->profile());
    const scan::FlaggedForms flagged(*subject.database, *subject.tags);
    std::uint64_t instructions = 0, found = 0;
    for (auto _ : state) {
        instructions = found = 0;
        decoder.decode_run(code.bytes, 0, code.bytes.size(), code.mode,
                           [&](std::size_t, decode::Insn insn) {
                               ++instructions;
                               found += flagged.contains(insn.form, code.mode);
                               return true;
                           },
                           path);
        benchmark::DoNotOptimize(found);
    }
    finish(state, code, label, instructions != code.places.size());
    state.counters["flagged"] = static_cast<double>(found);
}

/// Calls `length_of(window, mode)` for every instruction; the comparison with the known length tells decoders apart that
/// are fast because they give up.
template <class LengthOf>
void run_each(benchmark::State& state, const Subject& subject, const char* label, LengthOf length_of) {
    const DenseCode& code = subject.dense;
    std::uint64_t other_length = 0;
    for (auto _ : state) {
        other_length = 0;
        for (const Place place : code.places) {
            // One byte more than the longest instruction.
            const std::size_t rest = code.bytes.size() - place.offset;
            const Bytes window = Bytes(code.bytes).subspan(place.offset, std::min<std::size_t>(rest, decode::kMaxInstructionLength + 1));
            other_length += length_of(window, code.mode) != static_cast<int>(place.length);
        }
        benchmark::DoNotOptimize(other_length);
    }
    finish(state, code, label, other_length);
}

}  // namespace

void register_baseline(const std::string& group, const Subject& subject) {
    add(group + "/" + kBaseline, [&subject](benchmark::State& state) {
        const auto llvm = decode::make_llvm_witness();
        run_each(state, subject, "operands as MCInst, no text", [&](Bytes window, Mode mode) { return llvm->length(window, mode); });
    });
}

void register_decode(const Subject& subject) {
    add("decode/trapline", [&subject](benchmark::State& state) {
        run_walk(state, subject, InstructionDecoder::Path::fastest, "length, form, class; AVX-512 where there is one");
    });
    add("decode/trapline-portable", [&subject](benchmark::State& state) {
        run_walk(state, subject, InstructionDecoder::Path::portable, "length, form, class");
    });
    add("decode/trapline-claims", [&subject](benchmark::State& state) {
        const InstructionDecoder decoder(*subject.database, subject.tags->profile());
        run_each(state, subject, "length, form: the full decoder behind the pages", [&](Bytes window, Mode mode) { return static_cast<int>(decoder.decode_full(window, mode).length); });
    });
    add("decode/structure-parser", [&subject](benchmark::State& state) {
        const decode::OpcodeMaps& maps = decode::OpcodeMaps::generated();
        run_each(state, subject, "all parts of the encoding, no form", [&](Bytes window, Mode mode) {
            const decode::Structure structure = decode::parse_structure(maps, window, mode);
            return structure.valid() ? static_cast<int>(structure.length) : 0;
        });
    });
    add("decode/llvm-mc-text", [&subject](benchmark::State& state) {
        const auto llvm = decode::make_llvm_witness();
        run_each(state, subject, "length and Intel text", [&](Bytes window, Mode mode) { return llvm->decode(window, mode, VirtAddr{}).length; });
    });
    for (const bool detail : {false, true})
        add(detail ? "decode/capstone-detail" : "decode/capstone", [&subject, detail](benchmark::State& state) {
            CapstonePeer capstone(subject.dense.mode, detail);
            run_each(state, subject, detail ? "text, operands and groups" : "text; the library always writes it", [&](Bytes window, Mode) { return capstone.length(window); });
        });
    for (const bool minimal : {true, false})
        add(minimal ? "decode/zydis-minimal" : "decode/zydis-full", [&subject, minimal](benchmark::State& state) {
            ZydisPeer zydis(subject.dense.mode, minimal);
            run_each(state, subject, minimal ? "length and mnemonic" : "all operands", [&](Bytes window, Mode) { return zydis.length(window); });
        });
}

}  // namespace trapline::bench
