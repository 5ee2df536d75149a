// SPDX-License-Identifier: Apache-2.0
// libFuzzer target over the generated decoder: the first byte picks mode and profile, the rest is code. Pages and full
// decoder agree, lengths stay in range, and under the base profile every peer agrees or a row of
// decoder-differences.json says why not. The seeds in seeds/decoder/ are the examples of the database's records.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "isa/loader.h"
#include "tests/oracle/comparison.h"

namespace {

using namespace trapline;

/// The database, and a decoder for each profile.
struct Subject {
    isa::LoadOutcome loaded = isa::load_database(isa::embedded_spec_files());
    std::vector<decode::InstructionDecoder> decoders;
    std::size_t base = 0;
    std::unique_ptr<oracle::Comparison> comparison;

    Subject() {
        TRAPLINE_ASSERT(loaded.errors.empty(), "the database that is compiled in loads");
        decoders.reserve(loaded.database.profiles.size());
        for (const isa::Profile& profile : loaded.database.profiles) {
            if (profile.id == "base") base = decoders.size();
            decoders.emplace_back(loaded.database, profile);
        }
        TRAPLINE_ASSERT(!decoders.empty() && decoders[base].profile().id == "base", "there is a profile base");
        comparison = std::make_unique<oracle::Comparison>(decoders[base]);
    }
};

/// Walks through code and calls `each(rest, insn)` at every instruction and every byte that is none.
template <class Each>
void walk(const decode::InstructionDecoder& decoder, Bytes code, Mode mode, Each each) {
    for (std::size_t next = 0; next < code.size();) {
        decoder.decode_run(code, next, code.size(), mode, [&](std::size_t at, decode::Insn insn) {
            each(code.subspan(at), insn);
            next = at + (insn.length == 0 ? 1 : insn.length);
            return true;
        });
    }
}

void check(const decode::InstructionDecoder& decoder, Bytes code, Mode mode) {
    walk(decoder, code, mode, [&](Bytes rest, decode::Insn insn) {
        const decode::Insn full = decoder.decode_full(rest, mode);
        TRAPLINE_ASSERT(insn.length == full.length && insn.form == full.form, "the pages say what the full decoder says");
        TRAPLINE_ASSERT(insn.length <= decode::kMaxInstructionLength && insn.length <= rest.size(), "an instruction has 15 bytes at most and ends within its code");
        TRAPLINE_ASSERT((insn.length == 0) == (insn.form == 0), "what has a length has a form");
    });
}

/// Peers that find a shorter instruction would differ once more where the code ends, so NOPs follow it.
void check_against_peers(oracle::Comparison& comparison, Bytes code, Mode mode) {
    constexpr std::uint8_t kNop = 0x90;
    std::vector<std::uint8_t> padded(code.begin(), code.end());
    padded.insert(padded.end(), decode::kMaxInstructionLength + 1, kNop);
    walk(comparison.decoder(), padded, mode, [&](Bytes rest, decode::Insn insn) {
        if (rest.size() <= decode::kMaxInstructionLength || comparison.check(rest, mode, insn, oracle::Compare::lengths) == 0) return;
        for (const auto& [title, entry] : comparison.tally().unexplained) std::fprintf(stderr, "%s\n  %s %s\n", title.c_str(), entry.mode.c_str(), entry.bytes.c_str());
        TRAPLINE_ASSERT(false, "peers differ for a known reason only");
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Subject subject;
    constexpr std::size_t kMostBytes = 512;
    if (size < 2 || size > kMostBytes) return -1;
    const Mode mode = kAllModes[data[0] & 3];
    // The base profile half of the time: only there the peers have a say.
    const std::size_t choice = data[0] >> 2;
    const std::size_t profile = choice % 2 == 0 ? subject.base : choice / 2 % subject.decoders.size();
    const Bytes code(data + 1, size - 1);
    check(subject.decoders[profile], code, mode);
    if (profile == subject.base) check_against_peers(*subject.comparison, code, mode);
    return 0;
}
