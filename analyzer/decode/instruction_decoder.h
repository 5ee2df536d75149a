// SPDX-License-Identifier: Apache-2.0
// The project's own decoder: length, validity and form of the next instruction, from tables that the build generates
// out of the database. No disassembler is asked, nothing is allocated.
#pragma once

#include <memory>
#include <vector>

#include "decode/form_tables.h"
#include "decode/insn.h"
#include "decode/structure.h"
#include "isa/database.h"

namespace trapline::decode {

struct PageView;

/// Decodes under one profile. Immutable after construction and safe to share between threads.
class InstructionDecoder {
public:
    /// Keeps references to both. The database must be the one that the tables were generated from (same version); any
    /// other gets tables of its own, which costs about half a second.
    InstructionDecoder(const isa::Database& database, const isa::Profile& profile);
    ~InstructionDecoder();
    InstructionDecoder(InstructionDecoder&&) noexcept;

    /// Decodes the instruction at the start of `bytes`; never reads past their end.
    Insn decode(Bytes bytes, Mode mode) const;

    /// Decodes one instruction after the other from the start of `bytes` until `out` is full, an instruction begins at
    /// or behind `stop`, or one is invalid (its entry has length 0 and ends the run). Gives the number of entries.
    std::size_t decode_run(Bytes bytes, std::size_t stop, Mode mode, std::span<Insn> out) const;

    /// The same answer without the pages: parses the structure and compares claims one by one.
    Insn decode_full(Bytes bytes, Mode mode) const;
    /// Decides about a parsed instruction: its form, or 0 when there is none under the profile.
    FormIndex find_form(const Structure& structure) const;

    /// Gives the record of a form; null for innocuous forms and for none.
    const isa::Record* record(FormIndex form) const {
        return form != 0 && form <= database_->records.size() ? &database_->records[form - 1u] : nullptr;
    }
    /// Gives the mnemonic of a form, "" for none.
    std::string_view mnemonic(FormIndex form) const;
    const isa::Database& database() const { return *database_; }
    const isa::Profile& profile() const { return *profile_; }
    const FormTables& tables() const { return tables_; }

private:
    FormIndex find_claim(const isa::EncodingKey& key, bool record_only, bool lock_illegal) const;
    FormIndex find_pop_cs(const Structure& structure, Bytes bytes) const;

    /// What the page decoder reads for code of this mode.
    PageView page_view(Mode mode) const;

    const isa::Database* database_;
    const isa::Profile* profile_;
    FormTables tables_;
    struct OwnTables;
    std::unique_ptr<OwnTables> own_;        ///< of a database that is not the compiled one
    std::vector<std::uint8_t> exists_;      ///< by form: 1 when it exists under the profile
};

}  // namespace trapline::decode
