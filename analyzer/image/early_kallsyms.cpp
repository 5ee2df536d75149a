// SPDX-License-Identifier: Apache-2.0
// The same search as for a section, of more bytes: it may find tables that do not lie in one section, and then is of no use.
#include "image/early_kallsyms.h"

#include <optional>

#include "image/early_code.h"

namespace trapline::image {
namespace {

// Program headers lie here in every kernel.
constexpr std::size_t kHead = 4096;
// Tables are aligned to words in their section, and looked for at every fourth byte of it.
constexpr std::uint64_t kAlignment = 8;

}  // namespace

bool EarlyKallsyms::holds_for(const Section& section, const std::vector<AddressRange>& addresses) const {
    const std::uint64_t begin = searched_from + found.begin, end = searched_from + found.end, at = section.file_offset.value;
    return at >= searched_from && (at - searched_from) % kAlignment == 0 && begin >= at && end <= at + section.bytes.size() && mapped == addresses;
}

std::shared_ptr<const EarlyKallsyms> find_early_kallsyms(const ExpandingBytes& file) {
    std::optional<EarlyCode> code;
    std::shared_ptr<EarlyKallsyms> result;
    file.follow([&](Bytes all, std::size_t) {
        if (all.size() < kHead) return true;
        if (!code) code = read_early_code(all.first(kHead));
        if (!code) return false;
        const EarlyCode::Range& segment = code->ranges.front();
        if (all.size() < segment.end) return true;
        std::string why;
        std::uint64_t budget = kKallsymsBudget;
        auto found = find_kallsyms(all.subspan(segment.begin, segment.end - segment.begin), code->width == CodeWidth::bits64 ? 8 : 4, code->mapped, why, budget);
        if (found) result = std::make_shared<EarlyKallsyms>(EarlyKallsyms{std::move(*found), segment.begin, code->mapped});
        return false;
    });
    return result;
}

}  // namespace trapline::image
