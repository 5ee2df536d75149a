// SPDX-License-Identifier: Apache-2.0
// The closed guard language: conditions over named atoms. An unknown word is an error when it is read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace trapline::isa {

/// Says what an atom stands for, which decides how the grid treats it (isa-specs/README.md).
enum class Axis : std::uint8_t { mode, operating_mode, control, gate, data };

/// One word of the guard language.
struct Atom {
    std::string id;       ///< as written in guards: "cr4.tsd"
    Axis axis = Axis::data;
    int domain = 2;       ///< number of values: 2 for a flag, 4 for a privilege level
    std::string token;    ///< the manuals' name, for cond:TOKEN; empty for data atoms
    int vmm = 0;          ///< value a VMM gives it unless the profile says otherwise
    std::string title;
};

using AtomIndex = std::uint16_t;

/// Values of all atoms, indexed by AtomIndex.
using Assignment = std::vector<std::uint8_t>;

/// A parsed condition. Cheap to copy; evaluation allocates nothing.
class Guard {
public:
    /// The guard that always holds.
    Guard() = default;

    /// Parses `text` over `atoms`; fails on an unknown word, a bad operator or a value outside the atom's domain,
    /// naming the column and the words allowed there.
    static Result<Guard> parse(std::string_view text, const std::vector<Atom>& atoms);

    bool evaluate(const Assignment& values) const;
    bool always() const { return nodes_.empty(); }
    /// Atoms the condition mentions, sorted and without repeats.
    const std::vector<AtomIndex>& atoms() const { return atoms_; }
    /// The text it was parsed from; empty when it always holds.
    const std::string& text() const { return text_; }

private:
    friend class GuardParser;
    enum class Op : std::uint8_t { literal, atom, negate, both, either, equal, differs, less, less_equal };
    struct Node {
        Op op;
        std::uint16_t left;   // node index; for atom: AtomIndex; for literal: value
        std::uint16_t right;  // node index
    };
    int value(std::uint16_t node, const Assignment& values) const;
    template <class Archive> friend void members(Archive& archive, Guard& guard);  // both in snapshot.cpp
    template <class Archive> friend void members(Archive& archive, Node& node);

    std::vector<Node> nodes_;  // operands before operators; the root comes last
    std::vector<AtomIndex> atoms_;
    std::string text_;
};

}  // namespace trapline::isa
