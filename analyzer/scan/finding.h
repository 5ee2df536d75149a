// SPDX-License-Identifier: Apache-2.0
// The result of a scan: a document without behaviour, from which every report is rendered.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trapline {

/// How sure it is that an instruction is ever executed as such.
/// - reached: control flow from an entry, a symbol, a table or a pointer leads to it (scan/descent.h says what is believed).
/// - swept: the linear sweep meets it, and no such path is known.
/// - hidden: it shares bytes with an instruction of the sweep that starts elsewhere: a branch, an entry or a symbol leads
///   into that one, or it is the head that a symbol cuts off. Both decodes are reported, each if it is a finding: the
///   sweep's as reached or swept, this one as hidden. A jump over a LOCK prefix lands so, too, but what it meets is rarely
///   a finding. Bytes inside an instruction to which nothing leads are not reported: every immediate would be.
/// - executed: in plans alone: a run has executed it, and the scan had not found it.
enum class Evidence : std::uint8_t { reached, swept, hidden, executed };
std::string_view to_string(Evidence evidence);

struct FindingContext {
    std::string kind;    ///< image::TableKind name: "alternative-replacement", "exception-table", ...
    std::string detail;  ///< "for 0xffffffff81000123", "feature 9*32+20"; may be empty
};

struct DecoderNote {
    std::string decoder, says, reason;
};

/// One flagged instruction; field names are those of CLI.md.
struct Finding {
    std::uint64_t address = 0;
    std::uint64_t file_offset = 0;
    std::string part;                    ///< of a bzImage: "setup", "stub" or "payload"; else empty
    std::string section;
    /// Function, empty when unknown; of an alternative's replacement the function that it is copied into, with the offset
    /// that it has there.
    std::string symbol;
    std::uint64_t symbol_offset = 0;
    std::string source_file;             ///< empty when unknown
    std::uint32_t source_line = 0;
    std::string mode;                    ///< "16", "32" or "64" for people; see `decode_mode`
    std::string decode_mode;             ///< "16r", "16p", "32", "64"
    std::vector<std::uint8_t> bytes;
    std::string text, mnemonic, form, family;
    std::string privileged;              ///< yes | no | cond:TOKEN
    bool control_sensitive = false;
    std::string behavior_sensitive;      ///< no | mode | location | both
    bool critical = false;
    Evidence evidence = Evidence::swept;
    std::vector<FindingContext> context;
    std::vector<DecoderNote> disagreements;
};

/// What became of a section's bytes: size = bytes of `instructions` + padding + undecodable + straddling.
struct SectionSummary {
    std::string part;                    ///< as in Finding
    std::string name;
    std::uint64_t address = 0, size = 0;
    std::uint64_t instructions = 0;       ///< met by the sweep, filler not among them
    std::uint64_t padding_bytes = 0;      ///< runs of INT3, NOP, zero and long NOPs (scan/padding.h)
    std::uint64_t undecodable_bytes = 0;
    std::uint64_t reached_bytes = 0;      ///< of instructions that control flow proves; overlapping decodes not counted again
    std::uint64_t straddling_bytes = 0;   ///< heads of instructions that run over a symbol, where the sweep starts again
};

/// One scanned image.
struct ScanDocument {
    std::string image, format, architecture, sha256, build_id, symbol_source;
    std::vector<std::string> wrappers;
    std::uint64_t size = 0;
    bool relocatable = false;
    std::string profile, database_version, program_version;
    std::uint64_t overrides = 0;                          ///< tags in this document forced by hand
    std::vector<SectionSummary> sections;
    std::vector<Finding> findings;                        ///< sorted by section order in the file, then address
    std::map<std::string, std::uint64_t> all_mnemonics;   ///< with --all: every decoded instruction by mnemonic
    std::vector<std::string> notes;
    double seconds = 0;                                   ///< wall time; not written where output must be reproducible
};

/// Makes one document of the scans of a bzImage's parts, in the order given; facts are those of the payload (the last).
ScanDocument merge_parts(std::string image, std::vector<ScanDocument> parts);

}  // namespace trapline
