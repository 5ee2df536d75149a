// SPDX-License-Identifier: Apache-2.0
// The project's own decoder: length, validity and form of the next instruction, from tables that the build generates
// out of the database. No disassembler is asked, nothing is allocated.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "decode/block_decode.h"
#include "decode/form_tables.h"
#include "decode/page_decode.h"
#include "decode/structure.h"
#include "isa/database.h"

namespace trapline::decode {

/// Decodes under one profile. Immutable after construction and safe to share between threads.
class InstructionDecoder {
public:
    /// Keeps references to both. The database must be the one that the tables were generated from (same version); any
    /// other gets tables of its own, which costs about half a second.
    InstructionDecoder(const isa::Database& database, const isa::Profile& profile);
    ~InstructionDecoder();
    InstructionDecoder(InstructionDecoder&&) noexcept;

    /// How decode_run goes about it; the answers are the same.
    enum class Path : std::uint8_t { portable, fastest };

    /// Decodes the instruction at the start of `bytes`; never reads past their end.
    Insn decode(Bytes bytes, Mode mode) const;

    /// Decodes one instruction after the other from offset `at` of `bytes` while they begin before `stop`, and calls
    /// `sink(offset, insn)` for each; ends behind one that is invalid (length 0), and when the sink answers false. The
    /// fast way for code of any length.
    template <class Sink>
    void decode_run(Bytes bytes, std::size_t at, std::size_t stop, Mode mode, Sink sink, Path path = Path::fastest) const;

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
    std::vector<FormIndex> leaves_;         ///< of the pages, without the forms that do not exist
    std::array<BlockDecoder, kAllModes.size()> blocks_;
};

template <class Sink>
void InstructionDecoder::decode_run(Bytes bytes, std::size_t at, std::size_t stop, Mode mode, Sink sink, Path path) const {
    const PageView pages = page_view(mode);
    const BlockDecoder& blocks = blocks_[static_cast<std::size_t>(mode)];
    const std::uint8_t* const data = bytes.data();
    stop = std::min(stop, bytes.size());
    // What lies this far before the end needs no look at where the bytes end.
    const std::size_t margin = kBlockWindow + kPageWindow, fast_stop = bytes.size() < margin ? 0 : std::min(stop, bytes.size() - margin);
    if (path == Path::fastest && blocks.available()) {
        BlockInsns found;
        while (at < fast_stop) {
            const std::size_t block = at, block_end = std::min(block + kBlock, fast_stop);
            blocks.decode(data + block, found);
            while (at < block_end) {
                const std::size_t here = at, i = here - block;
                const std::uint32_t entry = pages.pages[found.entry[i]].bits;
                Insn insn{found.length[i], pages.leaves[(entry & FastEntry::kLeafBits) + (found.select[i] & entry >> FastEntry::kMaskShift)]};
                at = here + insn.length;
                if (insn.form == kComplexLeaf) [[unlikely]] {
                    insn = decode_by_page(pages, data + here);
                    if (insn.length == 0) insn = decode_full(bytes.subspan(here), mode);
                    at = here + insn.length;
                }
                if (!sink(here, insn) || insn.length == 0) return;
            }
        }
    }
    while (at < stop) {
        Insn insn = at < fast_stop ? decode_by_page(pages, data + at) : Insn{};
        if (insn.length == 0) insn = decode_full(bytes.subspan(at), mode);
        if (!sink(at, insn) || insn.length == 0) return;
        at += insn.length;
    }
}

}  // namespace trapline::decode
