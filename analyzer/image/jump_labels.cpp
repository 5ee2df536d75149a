// SPDX-License-Identifier: Apache-2.0
// Finds the jump label table of a kernel that names it nowhere: since 5.x the linker puts it inside .rodata or .data,
// and without KALLSYMS_ALL the symbols around it are gone.
#include "image/kernel_tables.h"

namespace trapline::image {
namespace {

constexpr std::uint64_t kFewest = 8;

// What a label's code is before it is patched: a nop of 2 or 5 bytes, or a jump over it.
bool is_patchable(ByteView code, std::uint64_t at) {
    const auto first = code.get<std::uint32_t>(at);
    if (!first) return false;
    const std::uint32_t two = *first & 0xFFFF;
    return *first == 0x00441F0F ||      // 0f 1f 44 00 00  nopl 0(%eax,%eax,1)
           *first == 0x26748D3E ||      // 3e 8d 74 26 00  lea %ds:0(%esi,%eiz,1),%esi
           two == 0x9066 ||             // 66 90           xchg %ax,%ax
           (two & 0xFF) == 0xEB ||      // jmp rel8
           (two & 0xFF) == 0xE9;        // jmp rel32
}

class Search {
public:
    Search(const ElfWork& work, const TableFields& fields) : work_(work), fields_(fields), size_(work.is_64_bit_code() ? 16 : 12) {}

    std::optional<TableSpan> run() const {
        std::optional<TableSpan> best;
        for (SectionIndex i = 0; i < work_.image.sections.size(); ++i) {
            const Section& section = work_.image.sections[i];
            if (section.executable || section.bytes.size() < kFewest * size_) continue;
            for (std::uint64_t at = 0; at + size_ <= section.bytes.size();) {
                const std::uint64_t begin = at;
                while (is_entry(i, at)) at += size_;
                if (at - begin >= kFewest * size_ && (!best || at - begin > best->size)) best = TableSpan{i, begin, at - begin};
                at = at == begin ? begin + 4 : at;
            }
        }
        return best;
    }

private:
    bool is_entry(SectionIndex section, std::uint64_t at) const {
        // A zero distance would be the field itself, and it is by far the most frequent word: test it cheaply.
        const auto distance = fields_.data<std::uint32_t>(section, at);
        if (!distance || *distance == 0 || at + size_ > work_.image.sections[section].bytes.size()) return false;
        const auto code = fields_.relative_code(section, at);
        if (!code) return false;
        const Section& in = work_.image.sections[code->section];
        if (!is_patchable(ByteView(in.bytes), code->address - in.address)) return false;
        const auto target = fields_.relative_code(section, at + 4);
        // Both are parts of one function. How far apart says nothing: its cold part may lie at the end of .text.
        return target && target->section == code->section && *target != *code;
    }

    const ElfWork& work_;
    const TableFields& fields_;
    std::uint64_t size_;
};

}  // namespace

std::optional<TableSpan> find_jump_table(const ElfWork& work, const TableFields& fields) { return Search(work, fields).run(); }

}  // namespace trapline::image
