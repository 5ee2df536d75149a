// SPDX-License-Identifier: Apache-2.0
// The ELF header and the program headers of the gABI, chapters "ELF Header" and "Program Loading". Only a guess depends on
// what is read here, so that whatever does not fit gives nothing, and no reason.
#include "image/early_code.h"

#include <algorithm>

#include "image/elf_reader.h"
#include "image/kallsyms.h"

namespace trapline::image {
namespace {

constexpr std::uint16_t kMostHeaders = 64;  // kernels have five

}  // namespace

std::optional<EarlyCode> read_early_code(Bytes head) {
    const ByteView view(head);
    constexpr std::uint32_t kMagic = 0x464C457F;  // "\x7fELF"
    constexpr std::uint8_t kClass32 = 1, kClass64 = 2, kLittleEndian = 1;
    const auto elf_class = view.get<std::uint8_t>(4);
    if (view.get<std::uint32_t>(0) != kMagic || view.get<std::uint8_t>(5) != kLittleEndian || (elf_class != kClass32 && elf_class != kClass64)) return std::nullopt;
    const bool is_64 = elf_class == kClass64;
    if (view.get<std::uint16_t>(18) != (is_64 ? elf::kEmX8664 : elf::kEm386)) return std::nullopt;
    const auto word = [&](std::uint64_t at) -> std::uint64_t { return is_64 ? view.get<std::uint64_t>(at).value_or(0) : view.get<std::uint32_t>(at).value_or(0); };
    const std::uint64_t table = word(is_64 ? 32 : 28);
    const std::uint16_t size = view.get<std::uint16_t>(is_64 ? 54 : 42).value_or(0), count = view.get<std::uint16_t>(is_64 ? 56 : 44).value_or(0);
    const std::uint16_t least = is_64 ? 56 : 32;
    if (size < least || count > kMostHeaders || table > head.size() || head.size() - table < std::uint64_t{size} * count) return std::nullopt;

    EarlyCode code;
    code.width = is_64 ? CodeWidth::bits64 : CodeWidth::bits32;
    for (std::uint16_t i = 0; i < count; ++i) {
        const std::uint64_t at = table + std::uint64_t{size} * i;
        const auto flags = view.get<std::uint32_t>(at + (is_64 ? 4 : 24)).value_or(0);
        if (view.get<std::uint32_t>(at) != elf::kPtLoad) continue;
        const std::uint64_t address = word(at + (is_64 ? 16 : 8)), memory = word(at + (is_64 ? 40 : 20));
        if (memory != 0 && address + memory > address) code.mapped.push_back({{address}, {address + memory}});
        if (!(flags & elf::kPfX)) continue;
        const std::uint64_t begin = word(at + (is_64 ? 8 : 4)), length = word(at + (is_64 ? 32 : 16));
        if (length != 0 && begin + length > begin) code.ranges.push_back({begin, begin + length});
    }
    std::sort(code.ranges.begin(), code.ranges.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < code.ranges.size(); ++i) code.ranges[i].begin = std::max(code.ranges[i].begin, code.ranges[i - 1].end);
    std::erase_if(code.ranges, [](const auto& range) { return range.begin >= range.end; });
    if (code.ranges.empty()) return std::nullopt;
    code.mapped = merge_ranges(std::move(code.mapped));
    return code;
}

}  // namespace trapline::image
