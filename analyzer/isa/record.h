// SPDX-License-Identifier: Apache-2.0
// One record of the database: an instruction form with what it does and what stops it. isa-specs/README.md
// describes the JSON it is read from, field by field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "isa/guard.h"
#include "isa/mode.h"

namespace trapline::isa {

/// What a resource is to a VMM; `user` is the only kind that a guest may own without harm.
enum class ResourceKind : std::uint8_t { mode, protection, relocation, resource_map, interrupt, io, time, identity, user };
std::string_view to_string(ResourceKind kind);

struct Resource {
    std::string id;
    ResourceKind kind = ResourceKind::user;
    std::string title;
};
using ResourceIndex = std::uint16_t;

/// Opcode maps, the legacy ones first.
enum class OpcodeMap : std::uint8_t {
    one, m0f, m0f38, m0f3a, m3dnow, vex_0f, vex_0f38, vex_0f3a, vex_map7, xop_8, xop_9, xop_a,
    evex_0f, evex_0f38, evex_0f3a, evex_map4, evex_map5, evex_map6, evex_map7,
};
inline constexpr int kOpcodeMapCount = 19;
std::string_view to_string(OpcodeMap map);  ///< as in JSON: "0f38", "vex.0f"
std::optional<OpcodeMap> parse_opcode_map(std::string_view text);

/// What ModRM.mod must be. `ignored` means the field is not decoded and the operand is always a register (MOV CR/DR).
enum class ModRequirement : std::uint8_t { any, memory, reg, ignored };
enum class Immediate : std::uint8_t { none, ib, iw, iz, far_pointer, moffs };
/// How the operand size is found in 64-bit mode.
enum class OperandSize64 : std::uint8_t { usual, default64, forced64 };

/// Mandatory-prefix classes, one bit each so that a form can allow several.
struct PrefixSet {
    enum Bit : std::uint8_t { np = 1, p66 = 2, f3 = 4, f2 = 8 };
    std::uint8_t bits = np | p66 | f3 | f2;
    bool any() const { return bits == (np | p66 | f3 | f2); }
};

/// The bytes a form is recognised by.
struct Encoding {
    OpcodeMap map = OpcodeMap::one;
    std::uint8_t opcode = 0;
    PrefixSet prefix;
    bool has_modrm = false;
    ModRequirement mod = ModRequirement::any;
    std::uint16_t reg_mask = 0xFFFF;  ///< allowed ModRM.reg values with REX.R as bit 3
    std::uint8_t rm_mask = 0xFF;      ///< allowed ModRM.rm values
    Immediate imm = Immediate::none;
    std::uint8_t osize = 0;           ///< required effective operand size in bits, 0 for any
    OperandSize64 osize64 = OperandSize64::usual;
    std::uint8_t asize = 0;           ///< required effective address size in bits, 0 for any
    std::optional<bool> w;
    std::optional<std::uint8_t> l;
    bool vvvv_unused = false;
    bool lock_allowed = false;
    bool requires_lock = false;
    ModeSet modes;
};

struct Example {
    std::vector<std::uint8_t> bytes;
    Mode mode = Mode::long64;
    std::string text;
};

/// A read or a write of a resource, active where `when` holds and the instruction does not fault.
struct Effect {
    ResourceIndex resource = 0;
    Guard when;
    std::string otherwise;  ///< what happens without a fault when `when` is false; empty if unguarded
};

enum class FaultCause : std::uint8_t { privilege, feature, data };
std::string_view to_string(FaultCause cause);

struct Fault {
    std::string vector;  ///< "#GP(0)"
    FaultCause cause = FaultCause::data;
    Guard when;
};

/// What makes a form leave a hardware-virtualised guest.
struct Exit {
    bool always = false;
    std::string control;             ///< empty when `always`
    std::vector<std::string> also;   ///< further controls that cover it
    std::optional<int> reason;       ///< VT-x basic exit reason
};

struct Virtualization {
    std::string emulate;
    std::string hypercall;
    std::string translate;
    std::string why;
};

struct Source {
    std::string doc;
    std::string section;
};

/// Processor generations in order; `since` and `until` of a record and `era` of a profile use them.
enum class Era : std::uint8_t { i8086, i186, i286, i386, i486, pentium, p6, x86_64, modern };
std::string_view to_string(Era era);
std::optional<Era> parse_era(std::string_view text);

/// A tag forced by hand, with its reason. The target is none.
struct Override {
    std::string tag, value, reason, source;
};

struct Record {
    std::string id;
    std::string mnemonic;
    std::string family;
    std::string stem;
    std::vector<std::string> operands;
    std::string variant;
    Encoding encoding;
    std::vector<Example> examples;
    std::vector<Effect> reads;
    std::vector<Effect> writes;
    std::vector<Fault> faults;
    std::optional<Exit> vmx;
    std::optional<Exit> svm;
    Virtualization virtualization;
    std::string feature;
    std::string gate;
    std::string vendor;
    Era since = Era::i8086;
    Era until = Era::modern;
    std::vector<Source> sources;
    std::vector<Override> overrides;
    std::string file;     ///< the family file
    std::string pointer;  ///< JSON pointer of the record in it
};
using RecordIndex = std::uint32_t;

/// Computes the id that lint expects: stem, operands, operand and address size, variant.
std::string expected_id(const Record& record);

}  // namespace trapline::isa
