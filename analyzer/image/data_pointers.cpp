// SPDX-License-Identifier: Apache-2.0
// Pointers to code found in data by their value alone. Any word can look like one, so the target must look like the
// start of something.
#include <algorithm>

#include "image/elf.h"

namespace trapline::image {
namespace {

constexpr std::uint32_t kEndbr64 = 0xFA1E0FF3;  // f3 0f 1e fa
constexpr std::uint32_t kEndbr32 = 0xFB1E0FF3;  // f3 0f 1e fb

bool is_plausible_start(const Image& image, SectionIndex index, VirtAddr address) {
    const Symbol* symbol = image.find_symbol(index, address);
    if (symbol && symbol->address == address) return true;
    const Section& section = image.sections[index];
    const ByteView view(section.bytes);
    const std::uint64_t at = address - section.address;
    const auto first = view.get<std::uint32_t>(at);
    if (first == kEndbr64 || first == kEndbr32) return true;
    if (at == 0) return true;
    // Compilers align functions to 16 and fill with int3 or nop; a ret or an unconditional jump may fill exactly.
    if (address.value % 16 != 0) return false;
    const std::uint8_t before = *view.get<std::uint8_t>(at - 1);
    return before == 0xCC || before == 0x90 || before == 0xC3;
}

template <class Word>
void scan(ElfWork& work, const Section& section) {
    const ByteView view(section.bytes);
    const std::uint64_t misaligned = section.address.value % sizeof(Word);
    for (std::uint64_t at = misaligned == 0 ? 0 : sizeof(Word) - misaligned; at + sizeof(Word) <= view.size(); at += sizeof(Word)) {
        const Word value = *view.get<Word>(at);
        if (value < 4096) continue;  // counts and flags; no image has code on page 0 that data points to
        const auto place = work.place_of(value);
        if (place && work.is_code(*place) && is_plausible_start(work.image, place->section, place->address))
            work.add_pointer(*place, CodePointer::Origin::data_pointer);
    }
}

}  // namespace

void load_data_pointers(ElfWork& work) {
    for (const Section& section : work.image.sections) {
        if (section.executable) continue;
        if (work.elf.is_64)
            scan<std::uint64_t>(work, section);
        else
            scan<std::uint32_t>(work, section);
    }
}

}  // namespace trapline::image
