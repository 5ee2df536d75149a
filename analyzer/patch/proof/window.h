// SPDX-License-Identifier: Apache-2.0
// One patch as the proof sees it: the code before and after, at the addresses where it runs, the maps that lead from the one
// to the other, and the sites. Built from a plan by window_builder.h, or by hand in tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "patch/proof/instruction.h"
#include "patch/proof/layout.h"

namespace trapline::patch::proof {

struct CodePiece {
    std::uint64_t begin = 0;
    std::vector<std::uint8_t> bytes;
    std::uint64_t end() const { return begin + bytes.size(); }
};

/// Code of one side, decoded as it is met.
class Code {
public:
    void add(std::uint64_t begin, std::vector<std::uint8_t> bytes);
    const std::vector<CodePiece>& pieces() const { return pieces_; }
    bool contains(std::uint64_t address) const;
    /// The instruction at an address; one of length 0 outside the pieces. Pieces that touch are read as one. Remembers what
    /// it decoded: the reference holds until the next call. Not thread-safe.
    const Instruction& at(std::uint64_t address, Mode mode);

private:
    std::vector<CodePiece> pieces_;      ///< by address; where they overlap their bytes are the same
    std::vector<Instruction> decoded_;
    std::size_t last_ = 0;
};

/// The VMM's map from a stub to the guest: an exact place.
struct MapStep {
    std::uint64_t address = 0;           ///< in the stub
    std::uint64_t guest = 0;
};

struct WindowSite {
    std::uint32_t number = 0;
    std::uint64_t address = 0;           ///< where the guest runs it
    Instruction instruction;             ///< as it stands there
    std::uint64_t stack_bytes = 0;       ///< that what replaces it may overwrite below the lower of the stack pointers before and after
    std::uint64_t resume = 0;            ///< where the plan says that control goes on after a hypercall; 0 when it does not
    bool traps = false;                  ///< at CPL 3 it faults for privilege: the VMM gets it without help
};

struct Window {
    const Layout* layout = nullptr;
    std::vector<AddressRange> guest;     ///< code that no longer runs in place; by address
    std::vector<std::uint64_t> entries;  ///< where control may enter it; the first is the patch's `begin`
    Code original, patched;
    std::vector<AddressRange> stubs;     ///< by address
    std::vector<AddressRange> detours;   ///< written bytes outside `guest`: jumps in padding
    std::vector<MapStep> steps;          ///< by address
    std::vector<WindowSite> sites;

    bool is_guest(std::uint64_t address) const;
    bool is_entry(std::uint64_t address) const;
    bool is_stub(std::uint64_t address) const;
    bool is_detour(std::uint64_t address) const;
    const MapStep* find_step(std::uint64_t address) const;
    const WindowSite* find_site(std::uint64_t guest_address) const;
    const WindowSite* find_numbered(std::uint32_t number) const;
};

}  // namespace trapline::patch::proof
