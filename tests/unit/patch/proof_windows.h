// SPDX-License-Identifier: Apache-2.0
// Windows written by hand in assembly, for the tests of the proof.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "isa/database.h"
#include "patch/proof/prove.h"

namespace trapline::patch::proof {

/// The database that is compiled in.
const isa::Database& test_database();
/// The layout of the interface "trapline" for a mode.
const Layout& test_layout(Mode mode);

struct SketchedSite {
    std::string label;           ///< of the original
    std::uint64_t stack_bytes = 0;
    bool traps = false;
};

/// A window whose stub is text. Labels of the original name its instructions; `s_NAME:` in the stub is the step for NAME, and
/// `s_end` the one for the window's end. Both may use the names of the interface's fields and `gate`; `end` and every label
/// of the original are known in the stub. Sites are numbered from 0 in the order given.
struct Sketch {
    Mode mode = Mode::long64;
    std::string original, stub;
    std::vector<SketchedSite> sites;
};

/// Assembles a sketch: the original at a kernel's address, over it a jump to the stub and INT3.
Window make_window(const Sketch& sketch);

/// Assembles text for a place, with the interface's names defined.
std::vector<std::uint8_t> assemble_at(std::string_view text, Mode mode, std::uint64_t address);

inline constexpr std::uint64_t kWindow32 = 0xC1001000, kWindow64 = 0xFFFFFFFF81001000;

}  // namespace trapline::patch::proof
