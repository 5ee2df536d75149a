// SPDX-License-Identifier: Apache-2.0
// The three ways through the decoder give the same: blocks of 64 offsets, pages, and the full decoder one by one.
#include <catch2/catch.hpp>

#include <random>

#include "decode/instruction_decoder.h"
#include "isa/loader.h"

using namespace trapline;
using decode::Insn;
using decode::InstructionDecoder;

namespace {

struct Step {
    std::size_t offset = 0;
    Insn insn;
    friend bool operator==(const Step&, const Step&) = default;
};

const isa::Database& database() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    REQUIRE(outcome.errors.empty());
    return outcome.database;
}

/// Walks `bytes` to `stop`, going on one byte behind whatever is invalid.
std::vector<Step> walk(const InstructionDecoder& decoder, Bytes bytes, std::size_t stop, Mode mode, InstructionDecoder::Path path) {
    std::vector<Step> steps;
    for (std::size_t at = 0; at < stop;) {
        decoder.decode_run(bytes, at, stop, mode,
                           [&](std::size_t offset, Insn insn) {
                               steps.push_back({offset, insn});
                               at = offset + std::max<std::size_t>(insn.length, 1);
                               return true;
                           },
                           path);
    }
    return steps;
}

std::vector<Step> walk_full(const InstructionDecoder& decoder, Bytes bytes, std::size_t stop, Mode mode) {
    std::vector<Step> steps;
    for (std::size_t at = 0; at < stop; at += std::max<std::size_t>(steps.back().insn.length, 1)) steps.push_back({at, decoder.decode_full(bytes.subspan(at), mode)});
    return steps;
}

void check_equal(const InstructionDecoder& decoder, Bytes bytes, std::size_t stop, Mode mode) {
    const std::vector<Step> full = walk_full(decoder, bytes, stop, mode);
    for (const auto path : {InstructionDecoder::Path::fastest, InstructionDecoder::Path::portable}) {
        const std::vector<Step> run = walk(decoder, bytes, stop, mode, path);
        const auto [left, right] = std::mismatch(run.begin(), run.end(), full.begin(), full.end());
        if (left == run.end() && right == full.end()) continue;
        const std::size_t at = right == full.end() ? left->offset : right->offset;
        FAIL("mode " << to_string(mode) << ", offset " << at << ": " << to_hex(bytes.subspan(at, std::min<std::size_t>(16, bytes.size() - at))));
    }
}

}  // namespace

TEST_CASE("blocks, pages and the full decoder walk random bytes alike", "[decode]") {
    const InstructionDecoder decoder(database(), *database().find_profile("base"));
    std::mt19937 random(20240917);
    // Plain random bytes rarely have the prefixes and escapes that real code is full of.
    constexpr std::uint8_t kFrequent[] = {0x0F, 0x48, 0x4C, 0x41, 0x66, 0xF3, 0xF2, 0xF0, 0x65, 0x8B, 0x89, 0xF6, 0xF7, 0xB8, 0xC7, 0xE8, 0x67, 0x24, 0x04, 0x05};
    std::vector<std::uint8_t> bytes(1 << 18);
    for (const bool like_code : {false, true}) {
        for (std::uint8_t& byte : bytes) {
            const std::uint32_t draw = random();
            byte = like_code && (draw >> 8 & 1) != 0 ? kFrequent[(draw >> 9) % std::size(kFrequent)] : static_cast<std::uint8_t>(draw);
        }
        for (Mode mode : kAllModes) check_equal(decoder, bytes, bytes.size(), mode);
    }
}

TEST_CASE("every opcode with every prefix state decodes alike in a block", "[decode]") {
    const InstructionDecoder decoder(database(), *database().find_profile("base"));
    std::vector<std::uint8_t> bytes;
    const std::vector<std::vector<std::uint8_t>> prefixes = {{}, {0x66}, {0xF3}, {0xF2}, {0xF0}, {0x65}, {0x48}, {0x41}, {0x66, 0x48}, {0xF0, 0x48}, {0xF3, 0x48}, {0x66, 0xF3}, {0x67}};
    for (const auto& prefix : prefixes)
        for (int escape = 0; escape < 2; ++escape)
            for (int opcode = 0; opcode < 256; ++opcode)
                for (const int modrm : {0x00, 0x04, 0x05, 0x45, 0x84, 0xC0, 0xCA, 0x0C, 0xF8}) {
                    bytes.insert(bytes.end(), prefix.begin(), prefix.end());
                    if (escape != 0) bytes.push_back(0x0F);
                    bytes.push_back(static_cast<std::uint8_t>(opcode));
                    bytes.push_back(static_cast<std::uint8_t>(modrm));
                    bytes.insert(bytes.end(), {0x25, 0x11, 0x22, 0x33, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
                }
    for (Mode mode : kAllModes) check_equal(decoder, bytes, bytes.size(), mode);
}

TEST_CASE("a run ends where it is told to, and never reads behind its bytes", "[decode]") {
    const InstructionDecoder decoder(database(), *database().find_profile("base"));
    std::mt19937 random(7);
    for (std::size_t size = 1; size < 260; ++size) {
        // An allocation of its own for each size, so that the sanitizer build sees a read behind it.
        const std::vector<std::uint8_t> bytes = [&] {
            std::vector<std::uint8_t> out(size);
            for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(random());
            return out;
        }();
        for (Mode mode : kAllModes) {
            check_equal(decoder, bytes, size, mode);
            check_equal(decoder, bytes, size / 2, mode);
        }
    }
}

TEST_CASE("a sink that says stop is not called again", "[decode]") {
    const InstructionDecoder decoder(database(), *database().find_profile("base"));
    const std::vector<std::uint8_t> bytes(512, 0x90);
    for (const auto path : {InstructionDecoder::Path::fastest, InstructionDecoder::Path::portable}) {
        int calls = 0;
        decoder.decode_run(bytes, 0, bytes.size(), Mode::long64, [&](std::size_t, Insn) { return ++calls < 5; }, path);
        CHECK(calls == 5);
    }
}
