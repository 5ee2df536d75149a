// SPDX-License-Identifier: Apache-2.0
// The plan of one image: a document without behaviour. What is to be written where, what runs instead, and why that is
// safe. reports/plan_json.h writes and reads it (schema "trapline.plan/1"); the rewriter and the executor follow it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scan/finding.h"

namespace trapline {

/// How a site is made to reach the VMM, cheapest first.
enum class Technique : std::uint8_t {
    inline_code,  ///< "inline": the operation itself fits the room at the site
    direct,       ///< "direct": the instruction holds a jump to a stub; of an alternative, its replacement becomes the jump
    absorb,       ///< "absorb": a jump takes the room of the instruction and its neighbours, which move to the stub
    springboard,  ///< "springboard": a short jump to a jump in padding, or in room from which a neighbour was evicted
    breakpoint,   ///< "breakpoint": INT3 in the first byte
    trap,         ///< "trap": the site stays as it is and traps by itself
    translate,    ///< "translate": left to a translation cache (no tactic of this version)
    interpret,    ///< "interpret": real-mode code, which no deprivileged processor runs: an interpreter does
    by_hand,      ///< "by-hand": the interface names what replaces it, and has no code for it
    unplanned,    ///< "unplanned": nothing fits
    watch,        ///< "watch": nothing is written, since it may be data: the VMM looks when the page is first executed
};
/// Every technique, in the order of preference: the order in which reports list them.
inline constexpr std::array<Technique, 11> kAllTechniques = {
    Technique::inline_code, Technique::direct,    Technique::absorb,    Technique::springboard, Technique::breakpoint,
    Technique::watch,       Technique::trap,      Technique::translate, Technique::interpret,   Technique::by_hand,    Technique::unplanned};
/// Names it as documents and the command line do.
std::string_view to_string(Technique technique);
/// Reads such a name; nothing when it is none.
std::optional<Technique> parse_technique(std::string_view text);

/// What PlanWrite::what may say.
inline constexpr std::array<std::string_view, 6> kWriteKinds = {"jump", "short-jump", "springboard", "inline", "breakpoint", "alternative"};

/// Bytes that the plan changes. Together the writes of a plan overlap nowhere. A field that a relocation of the file fills,
/// or shall fill, is given as it would be if every section, the stubs' too, began at 0.
struct PlanWrite {
    std::string section;              ///< as the file names it
    std::uint64_t address = 0;        ///< section-relative in a relocatable file
    std::uint64_t file_offset = 0;    ///< in the innermost file
    std::vector<std::uint8_t> old_bytes, new_bytes;  ///< of equal length
    std::string what;                 ///< one of kWriteKinds
};

/// Whether it changes the field of .altinstructions that holds the distance to a replacement; else, of an alternative, its length.
bool is_replacement_offset(const PlanWrite& write);

/// One instruction that stands in a stub for one of the guest's. The VMM maps an address inside a stub to the guest's by
/// the last step at or before it.
struct StubStep {
    std::uint32_t offset = 0;         ///< in the stub
    std::uint64_t guest_address = 0;  ///< of the original instruction; behind the last one, where control resumes
};

/// What the value of a field in a stub hangs on.
enum class FixupKind : std::uint8_t {
    image_address,   ///< "image-address": it is an address of the image
    image_relative,  ///< "image-relative": the distance from the field to a place in the image
    stub_address,    ///< "stub-address": an address inside the same stub
    fixed_relative,  ///< "fixed-relative": the distance from the field to an address that the interface fixes: gate, vCPU page
};
inline constexpr std::array<FixupKind, 4> kAllFixupKinds = {FixupKind::image_address, FixupKind::image_relative, FixupKind::stub_address,
                                                            FixupKind::fixed_relative};
/// Names it as documents do.
std::string_view to_string(FixupKind kind);
/// Reads such a name; nothing when it is none.
std::optional<FixupKind> parse_fixup_kind(std::string_view text);

/// A field in a stub whose value depends on where the image or the stubs come to lie. Addresses that the interface fixes are
/// constants, and are named here only where a field holds the distance to one.
struct StubFixup {
    std::uint32_t offset = 0;         ///< of a 4-byte field; an address in it is sign-extended in 64-bit code
    FixupKind kind = FixupKind::image_relative;
};

struct PlanStub {
    std::uint64_t address = 0;        ///< linear; in a relocatable file the offset in the section that the rewriter adds; of a boot stub's patch in that part
    std::vector<std::string> assembly;///< Intel syntax, one instruction an element
    std::vector<std::uint8_t> bytes;
    std::vector<StubStep> steps;      ///< by offset
    std::vector<StubFixup> fixups;    ///< by offset
};

/// A neighbour that runs in the stub instead of at its place.
struct MovedInstruction {
    std::uint64_t from = 0;           ///< its address
    std::uint64_t to = 0;             ///< its address in the stub
    std::vector<std::uint8_t> bytes;  ///< as it stood
    std::string text;                 ///< as it stood
};

/// One indivisible change: all its writes are made or none. Several sites may share it.
struct PlanPatch {
    Technique technique = Technique::unplanned;
    std::string part;                       ///< of a bzImage; else empty
    std::uint64_t begin = 0, end = 0;       ///< the guest code that no longer runs in place; for an alternative, of the original
    std::vector<PlanWrite> writes;          ///< the one at `begin` last: applied in this order a patch is never half in force
    std::vector<std::uint32_t> stubs;       ///< indexes into PlanDocument::stubs; the first is the one that `begin` leads to
    std::vector<MovedInstruction> moved;
    std::vector<std::string> evidence;      ///< why it is safe: one fact each ("no target inside (0xc1000001, 0xc1000006)")
    bool atomic = false;                    ///< its writes are one, inside one aligned 8-byte word: one store changes running code
};

struct Refusal {
    Technique technique = Technique::unplanned;
    std::string reason;                     ///< one sentence without a full stop
};

/// Whether bytes are written for sites of a technique, so that a whole plan names a patch for each.
bool has_patch(Technique technique);

/// What arithmetic flags code behind a site may still read.
enum class FlagsLiveness : std::uint8_t { dead, live, unknown };
inline constexpr std::array<FlagsLiveness, 3> kAllFlagsLiveness = {FlagsLiveness::dead, FlagsLiveness::live, FlagsLiveness::unknown};
std::string_view to_string(FlagsLiveness liveness);
std::optional<FlagsLiveness> parse_flags_liveness(std::string_view text);

/// One critical or privileged site.
struct PlannedSite {
    std::uint64_t address = 0, file_offset = 0;
    std::string part, section, symbol;
    std::uint64_t symbol_offset = 0;
    std::string source_file;
    std::uint32_t source_line = 0;
    std::string mode;                       ///< decode mode: "16r", "16p", "32", "64"
    std::string text, mnemonic, form, operation;
    std::string call;                       ///< what the interface calls the operation; empty when it has nothing
    std::vector<std::uint8_t> bytes;
    bool critical = false;
    std::string privileged;                 ///< as in Finding
    Evidence evidence = Evidence::swept;
    Technique technique = Technique::unplanned;
    Technique fallback = Technique::unplanned;  ///< for a VMM that cannot have the stub: breakpoint, trap or interpret
    std::string why;                        ///< the reason for the technique, one or two sentences
    std::vector<Refusal> refused;           ///< the cheaper techniques and what stands against each
    std::optional<std::uint32_t> patch;     ///< index into PlanDocument::patches; none where nothing is written
    std::uint32_t number = 0;               ///< what stubs hand to the VMM: the index in PlanDocument::sites
    std::uint64_t resume = 0;               ///< where control goes on in the stub after the VMM has done the operation; 0 without
    std::vector<std::string> clobbers;      ///< what the replacement may change that the original does not ("8 bytes below esp")
    FlagsLiveness flags = FlagsLiveness::unknown;
    double cycles_trap = 0, cycles = 0;     ///< estimate for one execution: untouched (by trap or breakpoint), and as planned
    std::uint64_t executions = 0;           ///< from the profile that was given; 0 without one
};

/// A range of guest-linear addresses that the VMM takes for itself.
struct ReservedRange {
    std::uint64_t begin = 0, end = 0;
    std::string what;                       ///< "stubs", "gate", "vcpu", "pending", "stubs-before-paging" (where jumps arrive that run at a physical address), "boot-stubs" (no linear addresses: the end of the payload's room in the part "stub", where that part's stubs stand)
};

/// What ReservedRange::what says of the room for the boot stub's own stubs.
inline constexpr std::string_view kBootStubRange = "boot-stubs";

/// One file that the plan speaks of: a bzImage has several parts.
struct PlanImage {
    std::string part, sha256, build_id, architecture;
    std::uint64_t size = 0;
    bool relocatable = false;
};

struct PlanDocument {
    std::string image;                      ///< name as in ScanDocument
    std::string sha256, build_id;           ///< of the innermost file; of a bzImage, the payload's
    std::vector<PlanImage> parts;           ///< in the order of the scan
    std::string profile, abi, abi_version;
    std::string technique = "hypercall";    ///< "hypercall": every site worth more than a trap; "auto": what must be, and what is hot
    std::string database_version, program_version;
    std::vector<ReservedRange> reserved;
    std::vector<PlannedSite> sites;         ///< in the order of the scan's findings
    std::vector<PlanPatch> patches;         ///< by part, begin
    std::vector<PlanStub> stubs;            ///< by address
    std::vector<std::string> notes;
    std::map<std::string, std::uint64_t> by_technique;
};

/// The range that a plan reserves for stubs in the boot stub itself; null without one.
const ReservedRange* find_boot_stubs(const PlanDocument& plan);
/// Whether a stub begins in that range: its address counts from the beginning of the part "stub" then.
bool is_boot_stub(const PlanDocument& plan, const PlanStub& stub);

}  // namespace trapline
