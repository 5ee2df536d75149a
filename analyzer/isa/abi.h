// SPDX-License-Identifier: Apache-2.0
// A hypercall interface as data: what each operation of the database is called there, the pages that VMM and guest share,
// and the code that stands in for an instruction. isa-specs/abi/*.json; adding an interface is adding a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "isa/mode.h"
#include "isa/record.h"
#include "support/address.h"

namespace trapline::isa {

/// How well the interface does what an operation asks.
enum class AbiFit : std::uint8_t {
    exact,      ///< "exact": the call, or an access to shared memory, is the operation
    partial,    ///< "partial": the guest must be arranged differently before the call can stand in
    unneeded,   ///< "unneeded": a guest of this interface has no reason for the operation
    none,       ///< "none": the interface has nothing for it
};
std::string_view to_string(AbiFit fit);
std::optional<AbiFit> parse_abi_fit(std::string_view text);

/// What a guest does instead of the instruction.
enum class AbiMeans : std::uint8_t {
    hypercall,    ///< a call of the VMM by number
    memory,       ///< an access to memory that the VMM shares with the guest
    instruction,  ///< an instruction: as it is, trapped and emulated, or behind a prefix that makes it trap
};

struct AbiCall {
    AbiMeans means = AbiMeans::hypercall;
    std::string name;                             ///< "mmuext_op", "vcpu_info.evtchn_upcall_mask", "xen_emulate_prefix cpuid"
    std::optional<std::uint32_t> number;          ///< of a hypercall
    std::string command;                          ///< "MMUEXT_NEW_BASEPTR"; empty where the call has no commands
    std::optional<std::uint32_t> command_number;
    std::optional<std::uint32_t> offset, size;    ///< of memory: bytes from the start of the structure before the first dot, in 64-bit code
};

/// What stands in for one operation (Virtualization::hypercall of a record).
struct AbiOperation {
    std::string operation;               ///< "set_flags"
    std::vector<std::string> forms;      ///< ids of records this entry is for; empty: all that no other entry names
    AbiFit fit = AbiFit::none;
    std::vector<AbiCall> calls;          ///< the main one first; several where the guest makes them in this order
    std::string note;                    ///< what differs, one or two sentences; may be empty
    std::vector<Source> sources;

    /// Names the calls: "mmuext_op: MMUEXT_NEW_BASEPTR, then stack_switch"; empty without any.
    std::string call() const;
    /// The number of the first hypercall; nothing where shared memory, an instruction or nothing does it.
    std::optional<std::uint32_t> number() const;
};

/// The pages of an interface that have fields.
enum class AbiPage : std::uint8_t {
    vcpu,     ///< "vcpu": always accessible
    pending,  ///< "pending": made inaccessible by the VMM while an event waits; a store to it asks for delivery
};
std::string_view to_string(AbiPage page);

/// One field of a page that VMM and guest share. Little-endian.
struct AbiField {
    std::string name;                    ///< unique over both pages
    AbiPage page = AbiPage::vcpu;
    std::uint32_t offset = 0, size = 0;  ///< bytes from the page's start; no overlaps
    std::string title;
};

inline constexpr std::uint32_t kAbiPageBytes = 4096;

/// The guest-linear ranges that an interface takes for itself in code of one mode. They belong to the VMM: the guest must
/// not use them.
struct AbiArea {
    Mode mode = Mode::long64;
    AddressRange stubs;  ///< where the plan puts its stubs
    VirtAddr gate;       ///< where hypercall code jumps to; a page
    VirtAddr vcpu;       ///< the shared page
    VirtAddr pending;    ///< the page that is inaccessible while an event waits

    VirtAddr page(AbiPage which) const { return which == AbiPage::vcpu ? vcpu : pending; }
    VirtAddr address(const AbiField& field) const { return page(field.page) + field.offset; }
};

/// Code for the forms it names: Intel syntax as decode::assemble takes it, one instruction, label or directive a line. A
/// template leaves the code width as it found it. Placeholders, each standing alone as an operand or a term of one:
///   {vcpu.NAME} {pending.NAME}  address of a field      {gate}      address of the gate, target of a jump
///   {site} {resume}             immediates: the site's number, the address behind the template
///   {reg}                       the general register of ModRM.rm, at the instruction's operand size (64 bits where
///                               64-bit code moves from a control register)
///   {label.NAME}                a label of the template's own, defined by a line `{label.NAME}:`
///   {next}                      a label behind the last line, which the template does not define
/// Addresses are best replaced by symbols that a `.set` behind the code defines: the assembler takes a number after `jmp`
/// for nothing, and one after `rip +` for a displacement. In 32-bit code they are signed 32-bit numbers.
struct AbiTemplate {
    std::vector<std::string> forms;      ///< ids of records; empty for the hypercall that serves all others
    std::string title;                   ///< "virtual interrupt flag off"
    Mode mode = Mode::long64;
    std::vector<int> operand_sizes;      ///< bits, for forms of several; empty: every size that the form has
    std::vector<std::string> lines;
    bool calls_vmm = false;              ///< it always leaves the guest; otherwise the VMM is only met when an event waits
    bool anywhere = false;               ///< of two hypercalls the one that runs wherever it is copied to: no byte of it hangs on its place
    std::uint32_t stack_bytes = 0;       ///< bytes it may overwrite below the lowest stack pointer of the original

    bool takes(int operand_bits) const;
};

/// What a placeholder of a template (without its braces) stands for.
struct AbiPlaceholder {
    enum class Kind : std::uint8_t { field, gate, site, resume, reg, label, next } kind = Kind::site;
    const AbiField* field = nullptr;     ///< of kind field
    std::string_view label;              ///< of kind label: NAME
};

struct Abi {
    std::string id;      ///< "trapline", "xen-pv"
    std::string name;    ///< short, for sentences: "Xen PV"
    std::string title;
    std::uint32_t major_version = 0, minor_version = 0;
    std::vector<std::string> skipped_parts;  ///< of a bzImage, that a guest of this interface never runs: "setup", "stub"
    std::vector<AbiArea> areas;            ///< at most one for a mode; none: the planner cannot write stubs for it
    std::vector<AbiField> fields;          ///< by page and offset
    std::vector<AbiOperation> operations;  ///< in the file's order
    std::vector<AbiTemplate> templates;
    std::vector<Source> sources;
    std::string file;

    /// "1.0"
    std::string version() const;
    /// Finds what stands in for an operation: the entry that names the form, or else the one for all others.
    const AbiOperation* find_operation(std::string_view operation, std::string_view form = {}) const;
    const AbiField* find_field(std::string_view name) const;
    const AbiArea* find_area(Mode mode) const;
    /// The template for a form in code of a mode, or else the mode's hypercall; null when there is neither. Of a form with
    /// several operand sizes say which, in bits; with 0 only templates for all sizes are found. `anywhere`: the hypercall is that
    /// for code which moves itself.
    const AbiTemplate* find_template(std::string_view form, Mode mode, int operand_bits = 0, bool anywhere = false) const;
    const AbiTemplate* find_hypercall(Mode mode, bool anywhere = false) const;
    /// Reads the text between the braces; nothing when it is no placeholder of this interface.
    std::optional<AbiPlaceholder> parse_placeholder(std::string_view text) const;
};

}  // namespace trapline::isa
