// SPDX-License-Identifier: Apache-2.0
// Relocatable files: where the module loader puts .text and the stubs, nobody knows before. Every field that hangs on it
// becomes a relocation. The plan computes such fields as if every section began at 0; so, with the symbol at the beginning
// of the section that is led to, the addend of a relative field is its planned value plus its own offset. That of a distance
// to a fixed address counts from an absolute symbol of value 0 (SHN_ABS), which Linux's loader leaves as it is
// (simplify_symbols of kernel/module/main.c).
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "patch/rewrite_plan.h"

namespace trapline::patch {
namespace {

constexpr std::uint32_t kShtSymtabShndx = 18;
constexpr std::uint64_t kShfInfoLink = 0x40;
constexpr std::uint32_t kPc32 = 2, kAbsolute386 = 1, kAbsolute64 = 11;  // R_386_PC32 = R_X86_64_PC32, R_386_32, R_X86_64_32S
constexpr std::uint32_t kShnAbs = 0xFFF1;  // above every section that read_elf admits
constexpr std::uint8_t kGlobalNotype = 0x10, kHidden = 2;
constexpr std::uint8_t kJump = 0xE9;
constexpr std::uint64_t kJumpBytes = 5, kFieldBytes = 4;

struct Entry {
    std::uint64_t offset = 0;
    std::uint32_t type = 0, symbol = 0;
    std::int64_t addend = 0;
};

/// The two relocations that fill an entry of .altinstructions which the plan leads elsewhere.
struct Alternative {
    std::uint32_t table = 0;        ///< section of the relocations
    std::uint64_t file_offset = 0;  ///< of the replacement's
    std::optional<image::ElfRelocation> original, replacement;
};

class Relocator {
public:
    Relocator(ElfEdit& edit, Bytes file, const PlanDocument& plan, const CheckedPlan& checked, const image::ElfFile& elf, const std::string& name)
        : edit_(edit), view_(file), file_(file), plan_(plan), checked_(checked), elf_(elf), name_(name), rela_(elf.machine == image::elf::kEmX8664) {}

    Status run() {
        if (Status clear = find_relocated_bytes(); !clear) return clear;
        const auto stubs = std::find_if(edit_.added.begin(), edit_.added.end(), [](const NewSection& section) { return section.name == kStubSection; });
        if (stubs == edit_.added.end()) {
            const bool led = std::any_of(checked_.writes.begin(), checked_.writes.end(), [](const CheckedWrite& checked) { return is_replacement_offset(*checked.write); });
            if (led) return fail(ErrorCode::inconsistent, "plan: an alternative is led to a stub, and there are no stubs", name_);
            return {};
        }
        stub_place_ = static_cast<std::size_t>(stubs - edit_.added.begin());
        stub_section_ = static_cast<std::uint32_t>(elf_.sections.size() + stub_place_);
        if (Status done = read_symbols(); !done) return done;
        if (Status done = relate_writes(); !done) return done;
        if (Status done = relate_stubs(); !done) return done;
        add_sections();
        return {};
    }

private:
    // A relocation inside rewritten bytes would fill the jump with something else. Only that of a replacement's place is led
    // elsewhere by the plan.
    Status find_relocated_bytes() {
        for (std::uint32_t i = 1; i < elf_.sections.size(); ++i) {
            const image::ElfSection& section = elf_.sections[i];
            if (section.type != image::elf::kShtRel && section.type != image::elf::kShtRela) continue;
            std::vector<const PlanWrite*> writes;
            for (const CheckedWrite& write : checked_.writes)
                if (write.section == section.info) writes.push_back(write.write);
            if (writes.empty()) continue;
            std::map<std::uint64_t, Alternative*> alternatives;  // by the address of the replacement's field
            for (const PlanWrite* write : writes)
                if (is_replacement_offset(*write)) alternatives.emplace(write->address, &alternatives_[write]);
            const auto entries = image::read_elf_relocations(file_, i, name_);
            if (!entries) return tl::unexpected(entries.error());
            for (std::size_t k = 0; k < entries->size(); ++k) {
                const image::ElfRelocation& entry = (*entries)[k];
                if (const auto next = alternatives.find(entry.offset + kFieldBytes); next != alternatives.end() && entry.type == kPc32) next->second->original = entry;
                // Sections' writes are in order of the file, so of the address.
                auto after = std::upper_bound(writes.begin(), writes.end(), entry.offset + kFieldBytes - 1,
                                              [](std::uint64_t at, const PlanWrite* w) { return at < w->address; });
                if (after == writes.begin()) continue;
                const PlanWrite& write = **--after;
                if (const auto here = alternatives.find(entry.offset); here != alternatives.end() && entry.type == kPc32 && !here->second->replacement) {
                    here->second->table = i;
                    here->second->file_offset = section.offset + k * (section.size / entries->size());
                    here->second->replacement = entry;
                    continue;
                }
                if (entry.type != 0 && entry.offset < write.address + write.new_bytes.size())
                    return fail(ErrorCode::refused,
                                fmt::format("plan: the write at {:#x} in {} covers a field that a relocation fills, at {:#x}", write.address, write.section,
                                            entry.offset),
                                name_, write.file_offset);
            }
        }
        return {};
    }

    Status read_symbols() {
        for (std::uint32_t i = 1; i < elf_.sections.size(); ++i) {
            if (elf_.sections[i].type == kShtSymtabShndx) return fail(ErrorCode::unsupported, "the module's symbols need extended section numbers", name_);
            if (elf_.sections[i].type == image::elf::kShtSymtab && symtab_ == 0) symtab_ = i;
        }
        if (symtab_ == 0 || elf_.is_64 != rela_)
            return fail(ErrorCode::unsupported, "a relocatable file without symbols, or of the x32 interface, gets no stubs", name_);
        const image::ElfSection& table = elf_.sections[symtab_];
        const auto symbols = view_.slice(table.offset, table.size);
        const auto strings = table.link < elf_.sections.size() ? view_.slice(elf_.sections[table.link].offset, elf_.sections[table.link].size) : std::nullopt;
        if (!symbols || !strings || table.size % symbol_bytes() != 0)
            return fail(ErrorCode::malformed, "the symbol table or its names lie outside the file", name_, table.offset);
        auto known = image::read_elf_symbols(file_, symtab_, name_);
        if (!known) return tl::unexpected(std::move(known.error()));
        known_ = std::move(*known);
        symbols_.assign(symbols->begin(), symbols->end());
        strings_.assign(strings->begin(), strings->end());
        return {};
    }
    std::uint64_t symbol_bytes() const { return elf_.is_64 ? 24 : 16; }

    // A symbol at the beginning of a section, or of all addresses (kShnAbs). Section symbols are local and would have to stand before all global ones, which
    // would change the number of every other; a hidden global one can be appended.
    std::uint32_t symbol_of(std::uint32_t section) {
        const auto [place, added] = base_symbols_.try_emplace(section, static_cast<std::uint32_t>(symbols_.size() / symbol_bytes()));
        if (!added) return place->second;
        const std::string text = section == stub_section_ ? "__trapline_stubs"
                                 : section == kShnAbs     ? "__trapline_fixed"
                                                          : fmt::format("__trapline_section_{}", section);
        const std::uint64_t name_offset = strings_.size();
        strings_.insert(strings_.end(), text.begin(), text.end());
        strings_.push_back(0);
        put(symbols_, name_offset, 4);
        if (!elf_.is_64) put(symbols_, 0, 8);  // value, size
        put(symbols_, kGlobalNotype, 1);
        put(symbols_, kHidden, 1);
        put(symbols_, section, 2);
        if (elf_.is_64) {  // value, size
            put(symbols_, 0, 8);
            put(symbols_, 0, 8);
        }
        return place->second;
    }

    // REL keeps the addend in the field; RELA keeps it in the entry, and the kernel insists that the field is zero.
    void relate(std::uint32_t section, std::uint64_t offset, std::uint32_t type, std::uint32_t target, std::int64_t addend, Buffer& bytes, std::uint64_t at) {
        entries_[section].push_back({offset, type, symbol_of(target), addend});
        poke(bytes, at, rela_ ? 0 : static_cast<std::uint64_t>(addend), kFieldBytes);
    }

    static std::int64_t field(Bytes bytes, std::uint64_t at) { return static_cast<std::int32_t>(ByteView(bytes).get<std::uint32_t>(at).value_or(0)); }

    Status relate_writes() {
        for (std::size_t i = 0; i < checked_.writes.size(); ++i) {
            const CheckedWrite& checked = checked_.writes[i];
            const PlanWrite& write = *checked.write;
            if (is_replacement_offset(write)) {
                if (Status done = redirect(checked, edit_.writes[i].bytes); !done) return done;
                continue;
            }
            if (write.what != "jump" && write.what != "springboard") continue;
            const bool jump = write.new_bytes.size() >= kJumpBytes && write.new_bytes[0] == kJump;
            const std::int64_t rel = field(write.new_bytes, 1);
            if (!jump || !leads_to_stub(checked, write.address + kJumpBytes + static_cast<std::uint64_t>(rel)))
                return fail(ErrorCode::inconsistent,
                            fmt::format("plan: the {} at {:#x} in {} ({}) leads to no stub of its patch", write.what, write.address, write.section,
                                        to_hex(write.new_bytes)),
                            name_, write.file_offset);
            const std::uint64_t offset = write.address + 1;
            relate(checked.section, offset, kPc32, stub_section_, rel + static_cast<std::int64_t>(offset), edit_.writes[i].bytes, 1);
        }
        return add_redirected();
    }

    bool leads_to_stub(const CheckedWrite& checked, std::uint64_t target) const {
        return std::any_of(checked.patch->stubs.begin(), checked.patch->stubs.end(), [&](std::uint32_t stub) { return plan_.stubs[stub].address == target; });
    }

    // The entry of .altinstructions gets its relocation's symbol and addend changed, in place: the field holds the distance to
    // the replacement, and now to the stub. `bytes` are the field's.
    Status redirect(const CheckedWrite& checked, Buffer& bytes) {
        const PlanWrite& write = *checked.write;
        const auto refuse = [&](const std::string& what) {
            return fail(ErrorCode::inconsistent, fmt::format("plan: the entry of an alternative at {:#x} in {} {}", write.address, write.section, what), name_, write.file_offset);
        };
        const Alternative& found = alternatives_[&write];
        const std::uint64_t target = write.address + static_cast<std::uint64_t>(field(write.new_bytes, 0));
        if (!found.original || !found.replacement || elf_.sections[found.table].link != symtab_ || write.address < kFieldBytes || write.file_offset < kFieldBytes)
            return refuse("is filled by no relocations");
        if (!leads_to_stub(checked, target)) return refuse("leads to no stub of its patch");
        const auto original = place_led_to(*found.original, write.file_offset - kFieldBytes), replacement = place_led_to(*found.replacement, write.file_offset);
        const auto planned = static_cast<std::uint32_t>(write.address + static_cast<std::uint64_t>(field(write.old_bytes, 0)));
        if (!original || !replacement || original->second != static_cast<std::uint32_t>(checked.patch->begin) || replacement->second != planned ||
            !is_section_of_site(*checked.patch, replacement->first))
            return refuse(fmt::format("is filled by relocations that do not lead to {:#x} and, in the section of its sites, to {:#x}", checked.patch->begin, planned));
        code_of_[checked.patch] = original->first;
        const std::uint64_t stub = symbol_of(stub_section_);
        Buffer changed;
        put(changed, rela_ ? (stub << 32) | kPc32 : (stub << 8) | kPc32, rela_ ? 8 : 4);
        if (rela_) put(changed, target, 8);
        redirected_.push_back({found.file_offset + (rela_ ? 8 : 4), std::move(changed)});
        poke(bytes, 0, rela_ ? 0 : target, kFieldBytes);
        return {};
    }

    // Section, and symbol plus addend: where a relocation leads when sections begin at 0. `at`: the file offset of its field.
    std::optional<std::pair<std::uint32_t, std::uint32_t>> place_led_to(const image::ElfRelocation& entry, std::uint64_t at) const {
        if (entry.symbol >= known_.size()) return std::nullopt;
        const image::ElfSymbol& symbol = known_[entry.symbol];
        const std::int64_t addend = rela_ ? entry.addend : field(file_, at);
        return std::pair(symbol.section, static_cast<std::uint32_t>(symbol.value + static_cast<std::uint64_t>(addend)));
    }

    bool is_section_of_site(const PlanPatch& patch, std::uint32_t section) const {
        return section != 0 && section < elf_.sections.size() && std::any_of(plan_.sites.begin(), plan_.sites.end(), [&](const PlannedSite& site) {
            return site.patch && &plan_.patches[*site.patch] == &patch && site.section == elf_.sections[section].name;
        });
    }

    // Where a plan may write into a relocation's entry itself, both would be lost.
    Status add_redirected() {
        for (UndoEdit& edit : redirected_) edit_.writes.push_back(std::move(edit));
        std::sort(edit_.writes.begin(), edit_.writes.end(), [](const UndoEdit& a, const UndoEdit& b) { return a.offset < b.offset; });
        for (std::size_t i = 1; i < edit_.writes.size(); ++i)
            if (edit_.writes[i].offset - edit_.writes[i - 1].offset < edit_.writes[i - 1].bytes.size())
                return fail(ErrorCode::refused, fmt::format("plan: a write and a relocation's entry share the byte at {:#x}", edit_.writes[i].offset), name_);
        return {};
    }

    Status relate_stubs() {
        std::vector<bool> related(plan_.stubs.size(), false);
        Buffer& bytes = edit_.added[stub_place_].bytes;
        for (const CheckedWrite& checked : checked_.writes) {
            // An alternative's stub comes back to the original, of which nothing is written.
            const auto elsewhere = code_of_.find(checked.patch);
            const std::uint32_t code = elsewhere == code_of_.end() ? checked.section : elsewhere->second;
            for (const std::uint32_t index : checked.patch->stubs) {
                if (related[index]) continue;
                related[index] = true;
                const PlanStub& stub = plan_.stubs[index];
                for (const StubFixup& fixup : stub.fixups) {
                    const std::uint64_t offset = stub.address + fixup.offset;
                    const std::int64_t value = field(stub.bytes, fixup.offset), from_field = value + static_cast<std::int64_t>(offset);
                    const std::uint32_t absolute = rela_ ? kAbsolute64 : kAbsolute386;
                    switch (fixup.kind) {
                        case FixupKind::image_address: relate(stub_section_, offset, absolute, code, value, bytes, offset); break;
                        case FixupKind::image_relative: relate(stub_section_, offset, kPc32, code, from_field, bytes, offset); break;
                        case FixupKind::stub_address: relate(stub_section_, offset, absolute, stub_section_, value, bytes, offset); break;
                        case FixupKind::fixed_relative: relate(stub_section_, offset, kPc32, kShnAbs, from_field, bytes, offset); break;
                    }
                }
            }
        }
        return {};
    }

    void add_sections() {
        edit_.replaced.push_back({symtab_, symbols_, elf_.sections[symtab_].info});
        const std::uint32_t names = elf_.sections[symtab_].link;
        edit_.replaced.push_back({names, strings_, elf_.sections[names].info});
        const std::uint32_t wanted = rela_ ? image::elf::kShtRela : image::elf::kShtRel;
        for (auto& [section, entries] : entries_) {
            std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.offset < b.offset; });
            Buffer table;
            std::uint32_t existing = 0;
            for (std::uint32_t i = 1; i < elf_.sections.size() && existing == 0; ++i)
                if (elf_.sections[i].type == wanted && elf_.sections[i].info == section && elf_.sections[i].link == symtab_) existing = i;
            if (existing != 0) put(table, *view_.slice(elf_.sections[existing].offset, elf_.sections[existing].size));  // the reader has checked it
            for (const Entry& entry : entries) append(table, entry);
            if (existing != 0) {
                edit_.replaced.push_back({existing, std::move(table), section});
                continue;
            }
            NewSection added;
            added.name = (rela_ ? ".rela" : ".rel") + (section == stub_section_ ? std::string(kStubSection) : elf_.sections[section].name);
            added.type = wanted;
            added.flags = kShfInfoLink;
            added.bytes = std::move(table);
            added.link = symtab_;
            added.info = section;
            added.alignment = rela_ ? 8 : 4;
            added.entry_size = rela_ ? 24 : 8;
            edit_.added.push_back(std::move(added));
        }
    }

    void append(Buffer& table, const Entry& entry) const {
        if (rela_) {
            put(table, entry.offset, 8);
            put(table, (std::uint64_t{entry.symbol} << 32) | entry.type, 8);
            put(table, static_cast<std::uint64_t>(entry.addend), 8);
        } else {
            put(table, entry.offset, 4);
            put(table, (std::uint64_t{entry.symbol} << 8) | entry.type, 4);
        }
    }

    ElfEdit& edit_;
    ByteView view_;
    Bytes file_;
    const PlanDocument& plan_;
    const CheckedPlan& checked_;
    const image::ElfFile& elf_;
    const std::string& name_;
    bool rela_;
    std::size_t stub_place_ = 0;
    std::uint32_t stub_section_ = 0, symtab_ = 0;
    Buffer symbols_, strings_;
    std::vector<image::ElfSymbol> known_;
    std::map<std::uint32_t, std::uint32_t> base_symbols_;  // by section, or kShnAbs
    std::map<const PlanWrite*, Alternative> alternatives_;
    std::map<const PlanPatch*, std::uint32_t> code_of_;  // of alternatives: ELF section of the original
    std::vector<UndoEdit> redirected_;
    std::map<std::uint32_t, std::vector<Entry>> entries_;  // by section that is relocated
};

}  // namespace

Status add_relocations(ElfEdit& edit, Bytes file, const PlanDocument& plan, const CheckedPlan& checked, const image::ElfFile& elf, const std::string& name) {
    return Relocator(edit, file, plan, checked, elf, name).run();
}

}  // namespace trapline::patch
