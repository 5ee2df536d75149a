// SPDX-License-Identifier: Apache-2.0
// One record of the database: an instruction form with what it does and what stops it. isa-specs/README.md
// describes the JSON it is read from, field by field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "isa/encoding.h"
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

/// An instruction that touches nothing a VMM must own: a mnemonic with the opcode-map slots it fills.
struct InnocuousForm {
    std::string mnemonic;
    std::string family;
    std::vector<std::string> slots;   ///< as written
    std::vector<Encoding> encodings;  ///< one for each opcode of each slot
    std::string feature;
    std::string vendor;
    Era since = Era::i8086;
    Era until = Era::modern;
    std::vector<Source> sources;      ///< of the family
    std::string file;
    std::string pointer;
};

/// Computes the id that lint expects: stem, operands, operand and address size, variant.
std::string expected_id(const Record& record);

}  // namespace trapline::isa
