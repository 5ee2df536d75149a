// SPDX-License-Identifier: Apache-2.0
// Relocation sections of an ELF image: in a module they hold what its tables point to; everywhere they name addresses
// of code that data refers to.
#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <utility>

#include "image/elf.h"
#include "image/relocation_types.h"

namespace trapline::image {
namespace {

// The gABI allows one SHT_SYMTAB and one SHT_DYNSYM.
constexpr std::size_t kMaxTables = 4;

// What a relocation's value is made of, as the psABIs name it: S + A, S + A - P, or B + A.
enum class Value : std::uint8_t { absolute32, absolute64, relative32, relative64, base, other };

Value value_of(std::uint32_t type, bool x86_64) {
    if (x86_64) {
        switch (type) {
            case 1: return Value::absolute64;                // R_X86_64_64
            case 6: case 7: return Value::absolute64;        // R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT
            case 10: case 11: return Value::absolute32;      // R_X86_64_32, R_X86_64_32S
            case 2: case 4: return Value::relative32;        // R_X86_64_PC32, R_X86_64_PLT32
            case 24: return Value::relative64;               // R_X86_64_PC64
            case 8: return Value::base;                      // R_X86_64_RELATIVE
            default: return Value::other;
        }
    }
    switch (type) {
        case 1: return Value::absolute32;                    // R_386_32
        case 6: case 7: return Value::absolute32;            // R_386_GLOB_DAT, R_386_JMP_SLOT
        case 2: case 4: return Value::relative32;            // R_386_PC32, R_386_PLT32
        case 8: return Value::base;                          // R_386_RELATIVE
        default: return Value::other;
    }
}

// The unwinder's table has an entry where each function ends, which is not where one starts.
bool marks_only_starts(std::string_view section) { return section != ".orc_unwind_ip" && section != ".orc_unwind"; }

class RelocationPass {
public:
    explicit RelocationPass(ElfWork& work) : work_(work) {}

    Status run() {
        for (std::uint32_t i = 1; i < work_.elf.sections.size(); ++i) {
            const ElfSection& section = work_.elf.sections[i];
            if (section.type != elf::kShtRel && section.type != elf::kShtRela) continue;
            if (section.size == 0) continue;
            if (work_.image.relocatable && !work_.image_section(section.info)) continue;  // debug information and the like
            if (Status done = read_section(i); !done) return done;
        }
        std::sort(work_.fields.begin(), work_.fields.end(), [](const auto& a, const auto& b) { return a.field < b.field; });
        return {};
    }

private:
    Status read_section(std::uint32_t index) {
        const ElfSection& section = work_.elf.sections[index];
        const auto entries = read_elf_relocations(work_.layer.bytes(), index, work_.layer.name);
        if (!entries) return tl::unexpected(entries.error());
        if (Status ready = use_symbols(section.link, index); !ready) return ready;
        for (std::size_t i = 0; i < entries->size(); ++i) {
            const ElfRelocation& entry = (*entries)[i];
            const Value value = value_of(entry.type, work_.is_64_bit_code());
            std::optional<Place> field;
            if (work_.image.relocatable)
                field = Place{*work_.image_section(section.info), {entry.offset}};
            else
                field = work_.place_of(entry.offset);
            if (!field) continue;
            const auto target = value == Value::other ? std::nullopt : resolve(entry, value, *field);
            add_slot(entry, value, *field, section.offset + i * (section.size / entries->size()), target);
            if (target) use(*field, *target, value);
        }
        return {};
    }

    void add_slot(const ElfRelocation& entry, Value value, const Place& field, std::uint64_t file_offset, const std::optional<Place>& target) {
        if (!work_.is_code(field)) return;
        const auto shape = relocation_field(entry.type, work_.is_64_bit_code());
        if (!shape) {
            if (std::exchange(noted_unknown_, true)) return;
            work_.image.notes.push_back(fmt::format("relocation type {} at {:#x} of {} is not known; no target is taken from it", entry.type,
                                                    field.address.value, work_.image.sections[field.section].name));
            return;
        }
        if (shape->size == 0) return;
        RelocationSlot slot{field.section, field.address, shape->size, shape->pc_relative, entry.type, entry.symbol, entry.addend, file_offset, {}, 0, {}};
        if (target && work_.image.relocatable) {
            slot.target = target->address;
            slot.target_section = target->section;
        } else if (work_.image.relocatable && value != Value::other) {
            slot.fixed_target = resolve_fixed(entry, value, field);
        }
        work_.image.slots.push_back(slot);
    }

    // The relocation sections of one file link to one table of each kind; many tables would only waste time.
    Status use_symbols(std::uint32_t table, std::uint32_t relocations) {
        if (const auto known = tables_.find(table); known != tables_.end()) {
            symbols_ = &known->second;
            return {};
        }
        const std::uint64_t offset = work_.elf.sections[relocations].offset;
        if (table != 0 && (table >= work_.elf.sections.size() || (work_.elf.sections[table].type != elf::kShtSymtab &&
                                                                  work_.elf.sections[table].type != elf::kShtDynsym)))
            return fail(ErrorCode::malformed,
                        fmt::format("relocation section {} links to section {}, which is not a symbol table", relocations, table),
                        work_.layer.name, offset);
        if (tables_.size() >= kMaxTables)
            return fail(ErrorCode::malformed,
                        fmt::format("relocation section {} links to one more symbol table than the {} that are read", relocations, kMaxTables),
                        work_.layer.name, offset);
        std::vector<ElfSymbol> symbols;  // stays empty for static files with RELATIVE entries only
        if (table != 0) {
            auto read = read_elf_symbols(work_.layer.bytes(), table, work_.layer.name);
            if (!read) return tl::unexpected(std::move(read.error()));
            symbols = std::move(*read);
        }
        symbols_ = &tables_.emplace(table, std::move(symbols)).first->second;
        return {};
    }

    std::uint64_t addend(const ElfRelocation& entry, Value value, const Place& field) const {
        if (entry.explicit_addend) return static_cast<std::uint64_t>(entry.addend);
        const Section& in = work_.image.sections[field.section];
        const ByteView view(in.bytes);
        const std::uint64_t at = field.address - in.address;
        if (value == Value::absolute64 || value == Value::relative64 || (value == Value::base && work_.elf.is_64))
            return view.get<std::uint64_t>(at).value_or(0);
        return static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(view.get<std::uint32_t>(at).value_or(0))});
    }

    std::optional<Place> resolve(const ElfRelocation& entry, Value value, const Place& field) const {
        const std::uint64_t extra = addend(entry, value, field);
        if (value == Value::base) return work_.place_of(extra);
        if (entry.symbol == 0 || entry.symbol >= symbols_->size()) return std::nullopt;
        const ElfSymbol& symbol = (*symbols_)[entry.symbol];
        if (symbol.section == 0) return std::nullopt;
        std::uint64_t address = symbol.value + extra;
        if (!work_.elf.is_64) address &= 0xFFFFFFFFu;
        if (!work_.image.relocatable) return work_.place_of(address);
        const auto section = work_.image_section(symbol.section);
        if (!section) return std::nullopt;
        return Place{*section, {address}};
    }

    std::optional<std::uint64_t> resolve_fixed(const ElfRelocation& entry, Value value, const Place& field) const {
        if (entry.symbol == 0 || entry.symbol >= symbols_->size() || !(*symbols_)[entry.symbol].absolute) return std::nullopt;
        const std::uint64_t address = (*symbols_)[entry.symbol].value + addend(entry, value, field);
        return work_.elf.is_64 ? address : address & 0xFFFFFFFFu;
    }

    void use(const Place& field, const Place& target, Value value) {
        const Section& in = work_.image.sections[field.section];
        // A PC-relative field inside an instruction is relative to the instruction's end, which only a decoder knows;
        // the branch it belongs to is found by following the code.
        const bool relative = value == Value::relative32 || value == Value::relative64;
        if (in.executable && relative) return;
        if (work_.image.relocatable && !in.executable) work_.fields.push_back({field, target});
        if (marks_only_starts(in.name)) work_.add_pointer(target, CodePointer::Origin::relocation);
    }

    ElfWork& work_;
    std::map<std::uint32_t, std::vector<ElfSymbol>> tables_;  // by ELF section index
    const std::vector<ElfSymbol>* symbols_ = nullptr;
    bool noted_unknown_ = false;
};

}  // namespace

Status load_relocations(ElfWork& work) { return RelocationPass(work).run(); }

}  // namespace trapline::image
