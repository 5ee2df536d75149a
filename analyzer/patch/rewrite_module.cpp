// SPDX-License-Identifier: Apache-2.0
// Relocatable files: where the module loader puts .text and the stubs, nobody knows before. Every field that leads from one
// to the other becomes a relocation. The plan computes such fields as if every section began at 0; so, with the symbol at
// the beginning of the section that is led to, the addend of a relative field is its planned value plus its own offset.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "patch/rewrite_plan.h"

namespace trapline::patch {
namespace {

constexpr std::uint32_t kShtSymtabShndx = 18;
constexpr std::uint64_t kShfInfoLink = 0x40;
constexpr std::uint32_t kPc32 = 2, kAbsolute386 = 1, kAbsolute64 = 11;  // R_386_PC32 = R_X86_64_PC32, R_386_32, R_X86_64_32S
constexpr std::uint8_t kGlobalNotype = 0x10, kHidden = 2;
constexpr std::uint8_t kJump = 0xE9;
constexpr std::uint64_t kJumpBytes = 5, kFieldBytes = 4;

struct Entry {
    std::uint64_t offset = 0;
    std::uint32_t type = 0, symbol = 0;
    std::int64_t addend = 0;
};

class Relocator {
public:
    Relocator(ElfEdit& edit, Bytes file, const PlanDocument& plan, const CheckedPlan& checked, const image::ElfFile& elf, const std::string& name)
        : edit_(edit), view_(file), file_(file), plan_(plan), checked_(checked), elf_(elf), name_(name), rela_(elf.machine == image::elf::kEmX8664) {}

    Status run() {
        if (Status clear = check_relocated_bytes(); !clear) return clear;
        const auto stubs = std::find_if(edit_.added.begin(), edit_.added.end(), [](const NewSection& section) { return section.name == kStubSection; });
        if (stubs == edit_.added.end()) return {};
        stub_place_ = static_cast<std::size_t>(stubs - edit_.added.begin());
        stub_section_ = static_cast<std::uint32_t>(elf_.sections.size() + stub_place_);
        if (Status done = read_symbols(); !done) return done;
        if (Status done = relate_writes(); !done) return done;
        if (Status done = relate_stubs(); !done) return done;
        add_sections();
        return {};
    }

private:
    // A relocation inside rewritten bytes would fill the jump with something else.
    Status check_relocated_bytes() const {
        for (std::uint32_t i = 1; i < elf_.sections.size(); ++i) {
            const image::ElfSection& section = elf_.sections[i];
            if (section.type != image::elf::kShtRel && section.type != image::elf::kShtRela) continue;
            std::vector<const PlanWrite*> writes;
            for (const CheckedWrite& write : checked_.writes)
                if (write.section == section.info) writes.push_back(write.write);
            if (writes.empty()) continue;
            const auto entries = image::read_elf_relocations(file_, i, name_);
            if (!entries) return tl::unexpected(entries.error());
            for (const image::ElfRelocation& entry : *entries) {
                // Sections' writes are in order of the file, so of the address.
                auto after = std::upper_bound(writes.begin(), writes.end(), entry.offset + kFieldBytes - 1,
                                              [](std::uint64_t at, const PlanWrite* w) { return at < w->address; });
                if (after == writes.begin()) continue;
                const PlanWrite& write = **--after;
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
        symbols_.assign(symbols->begin(), symbols->end());
        strings_.assign(strings->begin(), strings->end());
        return {};
    }
    std::uint64_t symbol_bytes() const { return elf_.is_64 ? 24 : 16; }

    // A symbol at the beginning of a section. Section symbols are local and would have to stand before all global ones, which
    // would change the number of every other; a hidden global one can be appended.
    std::uint32_t symbol_of(std::uint32_t section) {
        const auto [place, added] = base_symbols_.try_emplace(section, static_cast<std::uint32_t>(symbols_.size() / symbol_bytes()));
        if (!added) return place->second;
        const std::string text = section == stub_section_ ? "__trapline_stubs" : fmt::format("__trapline_section_{}", section);
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
            if (write.what == "alternative")
                return fail(ErrorCode::unsupported, fmt::format("plan: the alternative at {:#x} of a module is filled by relocations", write.address), name_,
                            write.file_offset);
            if (write.what != "jump" && write.what != "springboard") continue;
            const bool jump = write.new_bytes.size() >= kJumpBytes && write.new_bytes[0] == kJump;
            const std::int64_t rel = field(write.new_bytes, 1);
            const std::uint64_t target = write.address + kJumpBytes + static_cast<std::uint64_t>(rel);
            const bool to_stub = jump && std::any_of(checked.patch->stubs.begin(), checked.patch->stubs.end(),
                                                     [&](std::uint32_t stub) { return plan_.stubs[stub].address == target; });
            if (!to_stub)
                return fail(ErrorCode::inconsistent,
                            fmt::format("plan: the {} at {:#x} in {} ({}) leads to no stub of its patch", write.what, write.address, write.section,
                                        to_hex(write.new_bytes)),
                            name_, write.file_offset);
            const std::uint64_t offset = write.address + 1;
            relate(checked.section, offset, kPc32, stub_section_, rel + static_cast<std::int64_t>(offset), edit_.writes[i].bytes, 1);
        }
        return {};
    }

    Status relate_stubs() {
        // A stub that calls the VMM holds its own address and the way to a fixed one; the plan has no fixups for these yet.
        for (const PlannedSite& site : plan_.sites)
            if (site.patch && site.resume != 0)
                return fail(ErrorCode::unsupported,
                            fmt::format("plan: the stub of site {} at {:#x} in {} calls the VMM from an address that the module loader chooses", site.number,
                                        site.address, site.section),
                            name_);
        std::vector<bool> related(plan_.stubs.size(), false);
        Buffer& bytes = edit_.added[stub_place_].bytes;
        for (const CheckedWrite& checked : checked_.writes)
            for (const std::uint32_t index : checked.patch->stubs) {
                if (related[index]) continue;
                related[index] = true;
                const PlanStub& stub = plan_.stubs[index];
                for (const StubFixup& fixup : stub.fixups) {
                    const std::uint64_t offset = stub.address + fixup.offset;
                    const std::int64_t value = field(stub.bytes, fixup.offset);
                    if (fixup.image_absolute)
                        relate(stub_section_, offset, rela_ ? kAbsolute64 : kAbsolute386, checked.section, value, bytes, offset);
                    else
                        relate(stub_section_, offset, kPc32, checked.section, value + static_cast<std::int64_t>(offset), bytes, offset);
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
    std::map<std::uint32_t, std::uint32_t> base_symbols_;  // by section
    std::map<std::uint32_t, std::vector<Entry>> entries_;  // by section that is relocated
};

}  // namespace

Status add_relocations(ElfEdit& edit, Bytes file, const PlanDocument& plan, const CheckedPlan& checked, const image::ElfFile& elf, const std::string& name) {
    return Relocator(edit, file, plan, checked, elf, name).run();
}

}  // namespace trapline::patch
