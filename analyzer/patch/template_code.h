// SPDX-License-Identifier: Apache-2.0
// The code that an interface gives for an instruction, assembled: bytes with the fields that each use fills in.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "isa/abi.h"
#include "isa/mode.h"
#include "patch/guest_code.h"
#include "support/error.h"

namespace trapline::patch {

/// A template for one register operand, as if it stood at `base`.
struct TemplateCode {
    std::uint64_t base = 0;
    std::vector<std::uint8_t> bytes;
    std::vector<std::string> lines;          ///< the assembly; {site} and {resume} stand as in the template
    std::vector<std::uint32_t> site_fields;    ///< offsets of 4-byte fields that hold the site's number
    std::vector<std::uint32_t> resume_fields;  ///< offsets of 4-byte fields that hold the low half of the address behind
    std::vector<std::uint32_t> own_fields;     ///< offsets of 4-byte fields that hold an address of the template itself
    std::vector<std::uint32_t> relative_fields;///< offsets of 4-byte fields that count from their own place
    std::vector<StubFixup> fixups;             ///< the fields that hang on its place (all but those of the site's number), by offset
    const isa::AbiTemplate* source = nullptr;

    /// Whether it runs anywhere unchanged.
    bool is_placeable() const { return fixups.empty(); }
};

/// Expands, assembles and remembers the templates of one interface. Not thread-safe.
class TemplateAssembler {
public:
    explicit TemplateAssembler(const isa::Abi& abi) : abi_(&abi) {}

    /// Gives the code for an instruction of a form; null when the interface has none for its mode. Fails with `malformed`
    /// where a template does not assemble or names what the interface does not have. The pointer lives as long as this.
    /// `anywhere`: for code that moves itself; what it gives then is placeable.
    Result<const TemplateCode*> find(const GuestInstruction& insn, const std::string& form, bool anywhere = false);

    const isa::Abi& abi() const { return *abi_; }

private:
    Result<const TemplateCode*> assemble(const isa::AbiTemplate& source, const isa::AbiArea& area, const std::string& reg, Mode mode);
    Result<std::vector<std::uint8_t>> assemble_at(const isa::AbiTemplate& source, const std::string& text, std::uint64_t base) const;
    const isa::Abi* abi_;
    std::map<std::pair<const isa::AbiTemplate*, std::string>, TemplateCode> known_;  ///< by template and register
};

/// Fills a template for a place: the site's number and where control goes on. Nothing when a displacement does not reach.
std::optional<std::vector<std::uint8_t>> fill_template(const TemplateCode& code, std::uint64_t at, std::uint32_t site, std::uint64_t resume);

}  // namespace trapline::patch
