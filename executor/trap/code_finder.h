// SPDX-License-Identifier: Apache-2.0
// Tells code from data on a page of 32-bit code of which one instruction is known: what the known code leads to is code; the rest is
// taken for code in whole runs, from one unconditional transfer to the next, that look like what compilers write. A breakpoint in
// data would change it, and a missed instruction would run as it is.
#pragma once

#include <array>
#include <bitset>
#include <span>

#include "decode/instruction_decoder.h"
#include "executor/mmu/guest_memory.h"

namespace trapline::executor {

/// What is known of a page beforehand.
enum class CodeTrust : std::uint8_t {
    user,    ///< run at CPL 3: system instructions are unlikely
    kernel,  ///< run at another CPL
    text,    ///< has a section of code: what decodes there is code, and nothing else is
};

/// Bytes of a page with some of what lies around it.
struct PageOfCode {
    std::span<const std::uint8_t> bytes;  ///< the page and its surroundings
    std::size_t begin = 0;                ///< of the page in `bytes`
    CodeTrust trust = CodeTrust::kernel;
    std::size_t text_begin = 0, text_end = 0;  ///< in `bytes`, of the section of code: where it begins in the page, an instruction does
};

/// What begins at each offset of the page.
struct FoundCode {
    std::bitset<kPageBytes> starts;                     ///< an instruction
    std::array<decode::FormIndex, kPageBytes> forms{};  ///< its form, where `starts` is set
    std::bitset<kPageBytes> targets;                    ///< a direct branch of the page's leads here
    std::bitset<kPageBytes> ends;                       ///< an instruction that control does not fall through
};

/// Finds the instructions of a page. `entry` is the offset at which execution enters.
FoundCode find_instructions(const decode::InstructionDecoder& decoder, const PageOfCode& page, std::uint32_t entry);

}  // namespace trapline::executor
