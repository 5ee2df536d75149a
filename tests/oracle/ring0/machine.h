// SPDX-License-Identifier: Apache-2.0
// The test machine: cases in, results out. It is QEMU with TCG, started without firmware on memory that this program
// fills and reads back.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "isa/mode.h"
#include "layout.h"
#include "support/error.h"

namespace trapline::ring0 {

using Slots = std::array<std::uint64_t, kSlotCount>;

/// What the monitor loads before it lets one instruction run.
struct MachineCase {
    Slots slots{};
    std::array<std::uint8_t, kCodeBytes> code{};    ///< at kCode; slots[rip] points to its first byte
    std::array<std::uint8_t, kStackBytes> stack{};  ///< around kStack
    std::array<std::uint8_t, kDataBytes> data{};    ///< at kData
    std::vector<std::pair<std::uint32_t, std::uint32_t>> pokes;  ///< {address, doubleword}, written after all else; at most kPokes
};

/// The machine after one case.
struct MachineResult {
    bool reached = false;       ///< a handler of the monitor was entered; otherwise `ended` says what happened
    std::string ended;          ///< "the machine shut down" or "nothing more happened"
    Slots slots{};
    std::array<std::uint8_t, kStackBytes> stack{};
    std::array<std::uint8_t, kTablesBytes> tables{};
    std::array<std::uint8_t, kDataBytes> data{};
    std::array<std::uint8_t, kGdtBytes> gdt1{}, gdt2{};
};

struct CpuidQuery {
    std::uint32_t leaf = 0, subleaf = 0;
    friend bool operator==(const CpuidQuery&, const CpuidQuery&) = default;
};

/// Memory as it is before the first case, one for each mode: the assembled monitor, descriptor tables, page tables.
struct Image {
    Mode mode = Mode::long64;
    std::vector<std::uint8_t> memory;  ///< [0, kCases)
    std::uint32_t word(std::uint32_t address) const;
};

/// Assembles the monitor of `mode` from the texts in `sources` and builds the tables around it.
Result<Image> build_image(Mode mode, const std::string& sources);

/// Where the machine comes from, and where its files may be written.
struct Emulator {
    std::string program = "qemu-system-x86_64";
    std::string cpu = "max";
    std::string scratch;
    int patience_ms = 10000; ///< a case that takes longer has hung

    /// Gives the first line of `program --version`; host_limit when it cannot be run.
    Result<std::string> version() const;
    /// Runs `cases` in order; a case that ends the machine costs another start. The answers to `queries` (CPUID) go to
    /// `answers` if that is not null.
    Result<std::vector<MachineResult>> run(const Image& image, const std::vector<MachineCase>& cases, const std::vector<CpuidQuery>& queries,
                                           std::vector<std::array<std::uint32_t, 4>>* answers) const;
};

}  // namespace trapline::ring0
