// SPDX-License-Identifier: Apache-2.0
// An opened image: its executable sections, symbols, entry points and the kernel tables that say what code is for.
// The format is found by content, never by name. Every byte comes from hostile input and is read through ByteView.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/address.h"
#include "support/bytes.h"
#include "support/error.h"
#include "support/zeroed_bytes.h"

namespace trapline::image {

/// The innermost format of an image.
enum class Format : std::uint8_t { elf32, elf64, bzimage_setup, bzimage_stub, raw };
std::string_view to_string(Format format);  ///< "elf64", "bzimage-setup", ...

enum class CodeWidth : std::uint8_t { bits16, bits32, bits64 };

struct Section {
    std::string name;             ///< as the file names it
    VirtAddr address;             ///< for a relocatable file 0: addresses are section-relative
    FileOffset file_offset;       ///< in the innermost file (decompressed payload)
    Bytes bytes;                  ///< contents, owned by the Image; shorter than the address range never happens
    bool executable = false;
    bool writable = false;
    CodeWidth width = CodeWidth::bits64;
    bool real_mode = false;       ///< 16-bit code that runs in real mode (bzImage setup)
};
using SectionIndex = std::uint32_t;

enum class SymbolKind : std::uint8_t { function, object, other };
struct Symbol {
    std::string_view name;        ///< bytes of Image::storage or Image::symbol_names, which must live as long
    SectionIndex section = 0;
    VirtAddr address;             ///< section-relative in a relocatable file
    std::uint64_t size = 0;       ///< 0 when unknown
    SymbolKind kind = SymbolKind::other;
};
/// Where the symbols come from.
enum class SymbolSource : std::uint8_t { none, symtab, kallsyms };

/// What a kernel table says about a piece of code.
enum class TableKind : std::uint8_t {
    alternative_original,     ///< .altinstructions: original code that may be replaced
    alternative_replacement,  ///< .altinstr_replacement: code that may come to stand elsewhere (`peer` = the original)
    paravirt_site,            ///< .parainstructions
    exception_table,          ///< __ex_table: the instruction may fault and be fixed up (`peer` = fixup)
    jump_label,               ///< __jump_table (`peer` = target)
    smp_lock,                 ///< .smp_locks: a LOCK prefix patched on uniprocessors
    retpoline_site,           ///< .retpoline_sites
    return_site,              ///< .return_sites
    call_site,                ///< .call_sites
    ibt_endbr,                ///< .ibt_endbr_seal
    static_call,              ///< .static_call_sites
    static_call_trampoline,   ///< code of a __SCT__ symbol, which the kernel rewrites
    function_trace,           ///< __mcount_loc: a call or NOP that ftrace rewrites
    bug,                      ///< __bug_table: the trap handler looks the address up
    interrupt_gate,           ///< an entry of a table from which the kernel fills its IDT (`code` = the handler's first byte)
};
std::string_view to_string(TableKind kind);  ///< as findings' `context` names it: "alternative-replacement", ...

/// What an entry says besides places. As numbers: a kernel has tens of thousands of them, of which few are shown.
struct TableDetail {
    enum class Kind : std::uint8_t { none, feature, operation } kind = Kind::none;
    bool inverted = false;        ///< of a feature: the code is for processors without it
    bool direct_call = false;     ///< of a feature: the replacement is a call that the kernel makes direct
    std::uint16_t number = 0;     ///< word * 32 + bit of a feature; the type of a paravirt operation
    friend constexpr bool operator==(const TableDetail&, const TableDetail&) = default;
};
/// Words it as arch/x86/include/asm/cpufeatures.h writes features, "not feature 9*32+20", or as "operation 21"; empty for none.
std::string to_text(const TableDetail& detail);

/// Sorted, copied and walked by the hundred thousand: fields stand in the order that leaves no gaps.
struct TableEntry {
    TableKind kind;
    TableDetail detail;           ///< of alternatives and paravirt sites
    SectionIndex section = 0;     ///< section of the code it speaks of
    SectionIndex peer_section = 0;///< section of `peer`; meaningless without it
    AddressRange code;            ///< what it covers; one byte long when the table gives a point
    std::optional<VirtAddr> peer; ///< the other address, by kind
    /// Of alternatives: where the entry of .altinstructions itself lies, and its bytes (its layout); size 0 otherwise.
    VirtAddr entry_address;
    SectionIndex entry_section = 0;
    std::uint8_t entry_size = 0;
};

/// A field that a linker, the boot code or the module loader adjusts by where something comes to lie.
struct RelocationSlot {
    SectionIndex section = 0;     ///< of the field
    VirtAddr address;             ///< of its first byte
    std::uint8_t size = 0;        ///< 1, 2, 4 or 8 bytes; 16 for a TLS descriptor
    bool pc_relative = false;     ///< its value is a distance from the field, or (type 0) from a per-CPU area that stays
    std::uint32_t type = 0;       ///< R_386_* or R_X86_64_*; 0 for the table behind a kernel's payload
    std::uint32_t symbol = 0;     ///< index in the file's symbol table; 0 for that table
    std::int64_t addend = 0;      ///< of a RELA entry
    std::uint64_t file_offset = 0;///< of the entry itself in the innermost file
    /// In a relocatable file, symbol plus addend, where the symbol is defined there. An instruction's PC-relative operand
    /// names this plus the bytes from the field to the instruction's end.
    std::optional<VirtAddr> target;
    SectionIndex target_section = 0;  ///< section of `target`; meaningless without it
    /// In a relocatable file, symbol plus addend, where the symbol is absolute: an address that no loader chooses.
    std::optional<std::uint64_t> fixed_target;
};

/// A code address known from outside the instruction stream.
struct CodePointer {
    enum class Origin : std::uint8_t { entry, symbol, relocation, table, data_pointer };
    CodePointer() = default;
    CodePointer(SectionIndex of, VirtAddr at, Origin from) : section(of), origin(from), address(at) {}

    SectionIndex section = 0;
    Origin origin = Origin::entry;
    VirtAddr address;
};

/// What a decoder said of the file while it was still expanding; see OpenOptions::decode_ahead. Cells as scan/section_code.h
/// has them, one for each byte of the file, zero where nothing is known; there may be less of them than bytes.
class CodeAhead {
public:
    CodeAhead(CodeWidth the_width, std::size_t size) : width(the_width), cells_(std::make_shared<ZeroedBytes>(size)) {}
    const CodeWidth width;  ///< that the code was taken to have
    /// Gives the cells to whoever asks first, null to everyone else. Not from two threads at a time.
    std::shared_ptr<ZeroedBytes> take() { return std::exchange(cells_, nullptr); }
    std::uint8_t* cells() { return cells_->data(); }

private:
    std::shared_ptr<ZeroedBytes> cells_;
};

class ExpandingBytes;

struct Image {
    std::string name;                    ///< "vmlinuz-6.1", and the path inside: "linux.deb!boot/vmlinuz-6.1!payload"
    Format format = Format::raw;
    std::string architecture;            ///< "x86_64" or "i386"
    bool relocatable = false;            ///< ET_REL: addresses are section-relative
    std::uint64_t physical_offset = 0;   ///< of a kernel that is entered at a physical address: linked address minus that one
    std::string build_id;                ///< hex; empty when there is none
    std::string sha256;                  ///< of the innermost file, hex
    std::uint64_t size = 0;              ///< of the innermost file
    std::vector<std::string> wrappers;   ///< outermost first: "deb", "xz", "bzimage", "xz"
    std::vector<Section> sections;
    std::vector<Symbol> symbols;         ///< sorted by section, address
    SymbolSource symbol_source = SymbolSource::none;
    std::shared_ptr<const std::vector<char>> symbol_names;  ///< the names that had to be decoded, those of kallsyms; else null
    std::vector<TableEntry> tables;      ///< sorted by section, code.begin
    std::vector<CodePointer> pointers;   ///< sorted by section, address; no repeats
    std::vector<RelocationSlot> slots;   ///< in executable sections, sorted by section, address
    std::vector<std::string> notes;      ///< what could not be understood, for people ("kallsyms not found: ...")
    std::vector<std::string> facts;      ///< what was recognised and by which sign ("kallsyms: 156123 symbols, ...")
    std::vector<SectionIndex> by_address;  ///< the sections in order of address; built by index_sections
    std::shared_ptr<const std::vector<std::uint8_t>> storage;  ///< what the sections' bytes point into
    std::shared_ptr<CodeAhead> code_ahead;  ///< null when nobody has looked

    /// Fills by_address. Without it find_section walks all sections.
    void index_sections();
    /// Finds the section that holds an address; nothing for relocatable files or gaps.
    std::optional<SectionIndex> find_section(VirtAddr address) const;
    /// Finds the symbol that covers an address: the last one at or before it in the same section.
    const Symbol* find_symbol(SectionIndex section, VirtAddr address) const;
};

struct OpenOptions {
    std::optional<CodeWidth> raw;                          ///< treat the file as raw code of this width
    VirtAddr raw_base;
    std::uint64_t max_decompressed = std::uint64_t{1} << 30;  ///< bytes a single layer may expand to
    std::uint64_t max_members = 200000;                    ///< members of an archive
    std::uint64_t max_sections = 65536 * 4;                ///< sections of one ELF
    /// Called on a thread of its own with a compressed kernel while it expands; gives null, or what it learnt about the code
    /// until then. May be empty.
    std::function<std::shared_ptr<CodeAhead>(const ExpandingBytes&)> decode_ahead;
    /// Called with a description as layers are opened; may be empty.
    std::function<void(std::string_view)> progress;
};

/// Opens `path` and hands each image inside to `sink`, one at a time (a .deb gives the kernel and then every module; a
/// bzImage gives setup, stub and payload). Returns the error of the container as such. An error inside one member is
/// handed to `on_member_error` and the others are still opened. `sink` returns false to stop. Memory: one image at a time.
Status open_images(const std::string& path, const OpenOptions& options, const std::function<bool(Image&&)>& sink,
                   const std::function<void(Error)>& on_member_error);

/// The same for bytes in memory; `name` is used in messages. For tests and fuzzing.
Status open_image_bytes(std::string name, std::vector<std::uint8_t> bytes, const OpenOptions& options,
                        const std::function<bool(Image&&)>& sink, const std::function<void(Error)>& on_member_error);

}  // namespace trapline::image
