// SPDX-License-Identifier: Apache-2.0
// Search order: the token index (256 rising 16-bit numbers) has the strictest shape, the token table lies right before
// it, the markers some way before that, the names before the markers, their count before the names. Everything is
// confirmed by walking all names against all markers.
#include "image/kallsyms.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace trapline::image {
namespace {

constexpr std::uint32_t kTokens = 256;
constexpr std::uint32_t kNamesPerMarker = 256;
constexpr std::uint32_t kMaxToken = 512;         // bytes of one token; the longest seen has 20
constexpr std::uint32_t kMaxName = 1024;         // KSYM_NAME_LEN is 512 since 6.1
constexpr std::uint32_t kUsualName = 24;         // Debian's kernels: 21 to 23 bytes with the type letter
constexpr std::uint32_t kMaxSymbols = 4u << 20;  // a kernel with everything built in has 300,000
// Compressed bytes of 256 names: each has a length byte and at least a letter, at most two and 512.
constexpr std::uint32_t kMinBlock = 2 * kNamesPerMarker, kMaxBlock = 514 * kNamesPerMarker;
constexpr std::uint64_t kNameBytes = std::uint64_t{256} << 20;

std::uint64_t align_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

struct Layout {
    std::uint64_t token_index = 0, token_table = 0;  // offsets in the section
    std::uint64_t markers = 0, names = 0, count_at = 0;
    std::uint32_t count = 0;
};

class Finder {
public:
    Finder(Bytes section, int word, const std::vector<AddressRange>& mapped, std::string& why, std::uint64_t& budget)
        : view_(section), word_(static_cast<std::uint64_t>(word)), mapped_(mapped), why_(why), budget_(budget) {}

    std::optional<Kallsyms> find() {
        for (std::uint64_t at = 0; at + 2 * kTokens <= view_.size() && budget_ > 0; at += 4) {
            if (!is_token_index(at)) continue;
            Layout layout;
            layout.token_index = at;
            if (!find_token_table(layout)) continue;
            why_ = fmt::format("a token table at offset {:#x}, but no names that fit it", layout.token_table);
            if (!find_names(layout)) continue;
            why_ = fmt::format("{} names at offset {:#x}, but no table of addresses that fits them", layout.count, layout.names);
            Kallsyms found;
            if (!read_addresses(layout, found)) continue;
            if (!read_names(layout, found)) continue;
            found.begin = std::min(found.begin, layout.count_at);
            found.end = std::max(found.end, layout.token_index + 2 * kTokens);
            return found;
        }
        return std::nullopt;
    }

private:
    // Spends a step of the budget that keeps hostile input from making the search quadratic.
    bool spend(std::uint64_t steps) {
        budget_ = budget_ > steps ? budget_ - steps : 0;
        return budget_ > 0;
    }

    bool is_token_index(std::uint64_t at) {
        std::uint16_t before = 0;
        for (std::uint32_t i = 0; i < kTokens; ++i) {
            const auto value = view_.get<std::uint16_t>(at + 2 * i);
            if (!value) return false;
            if (i == 0 ? *value != 0 : *value < before + 2 || *value > before + kMaxToken) {
                spend(i + 1);
                return false;
            }
            before = *value;
        }
        return spend(kTokens);
    }

    std::uint64_t token_offset(const Layout& layout, std::uint32_t token) const {
        return layout.token_table + *view_.get<std::uint16_t>(layout.token_index + 2 * token);
    }

    // The table ends with its last string, padded with zeros up to the index.
    bool find_token_table(Layout& layout) {
        const std::uint64_t last = *view_.get<std::uint16_t>(layout.token_index + 2 * (kTokens - 1));
        for (std::uint64_t length = last + 2; length < last + kMaxToken + word_; ++length) {
            if (length > layout.token_index) return false;
            layout.token_table = layout.token_index - length;
            if (layout.token_table % 4 == 0 && tokens_fit(layout, length)) return true;
            if (!spend(1)) return false;
        }
        return false;
    }

    bool tokens_fit(const Layout& layout, std::uint64_t length) {
        tokens_.clear();
        for (std::uint32_t i = 0; i < kTokens; ++i) {
            const std::uint64_t begin = token_offset(layout, i);
            const std::uint64_t end = i + 1 < kTokens ? token_offset(layout, i + 1) : layout.token_table + length;
            const auto bytes = view_.slice(begin, end - begin);
            if (!bytes) return false;
            // One string, then its zero; only the last is followed by padding as well.
            const auto zero = std::find(bytes->begin(), bytes->end(), std::uint8_t{0});
            const auto zeros = static_cast<std::uint64_t>(bytes->end() - zero);
            if (zero == bytes->begin() || zeros == 0 || zeros > (i + 1 < kTokens ? 1 : word_)) return false;
            if (!std::all_of(bytes->begin(), zero, [](std::uint8_t c) { return c > 0x20 && c < 0x7F; })) return false;
            if (!std::all_of(zero, bytes->end(), [](std::uint8_t c) { return c == 0; })) return false;
            tokens_.emplace_back(reinterpret_cast<const char*>(bytes->data()), static_cast<std::size_t>(zero - bytes->begin()));
        }
        return spend(kTokens);
    }

    // Markers stand right before the token table, or before kallsyms_seqs_of_names (6.2 to 6.4).
    bool find_names(Layout& layout) {
        for (std::uint64_t at = layout.token_table; at >= 8 && spend(1);) {
            at -= 4;
            if (view_.get<std::uint32_t>(at) != 0u || !is_block(0, view_.get<std::uint32_t>(at + 4))) continue;
            layout.markers = at;
            markers_ = {0};
            for (std::uint64_t next = at + 4; next + 4 <= layout.token_table; next += 4) {
                const auto value = view_.get<std::uint32_t>(next);
                if (!is_block(markers_.back(), value)) break;
                markers_.push_back(*value);
            }
            if (!spend(markers_.size())) return false;
            if (find_names_before(layout)) return true;
        }
        return false;
    }

    static bool is_block(std::uint32_t before, std::optional<std::uint32_t> value) {
        return value && *value >= std::uint64_t{before} + kMinBlock && *value <= std::uint64_t{before} + kMaxBlock;
    }

    // The last block is at most 256 names long, so the names begin in a narrow window; their count stands before them.
    bool find_names_before(Layout& layout) {
        const std::uint64_t last = markers_.back();
        if (last >= layout.markers) return false;
        const std::uint64_t highest = layout.markers - last - 1;
        const std::uint64_t lowest = highest > kMaxBlock + word_ ? highest - kMaxBlock - word_ : 0;
        for (std::uint64_t names = highest / 4 * 4; names >= lowest + word_ && names >= word_; names -= 4) {
            if (!spend(1)) return false;
            const auto count = view_.get<std::uint32_t>(names - word_);
            if (!count || *count == 0 || *count > kMaxSymbols) continue;
            if ((*count + kNamesPerMarker - 1) / kNamesPerMarker != markers_.size()) continue;
            if (word_ == 8 && view_.get<std::uint32_t>(names - 4) != 0u) continue;
            layout.names = names;
            layout.count_at = names - word_;
            layout.count = *count;
            if (names_fit(layout)) return true;
        }
        return false;
    }

    // Reads the length of the name at `at` and moves behind it; lengths over 127 take two bytes since 6.1.
    std::optional<std::uint32_t> name_length(std::uint64_t& at) const {
        const auto first = view_.get<std::uint8_t>(at);
        if (!first) return std::nullopt;
        ++at;
        if (*first < 0x80) return *first;
        const auto second = view_.get<std::uint8_t>(at);
        if (!second) return std::nullopt;
        ++at;
        return (*first & 0x7Fu) | std::uint32_t{*second} << 7;
    }

    bool names_fit(const Layout& layout) {
        std::uint64_t at = layout.names;
        for (std::uint32_t i = 0; i < layout.count; ++i) {
            if (!spend(1)) return false;
            if (i % kNamesPerMarker == 0 && at - layout.names != markers_[i / kNamesPerMarker]) return false;
            const auto length = name_length(at);
            if (!length || *length == 0 || *length > layout.markers - std::min(at, layout.markers)) return false;
            at += *length;
        }
        if (layout.markers - at >= word_) return false;
        for (; at < layout.markers; ++at)
            if (view_.get<std::uint8_t>(at) != 0) return false;
        return true;
    }

    bool read_names(const Layout& layout, Kallsyms& found) const {
        std::uint64_t at = layout.names;
        auto names = std::make_shared<std::vector<char>>();
        names->reserve(kUsualName * found.entries.size());
        std::vector<std::size_t> ends;  // of the names; views must wait until the last has found its place
        ends.reserve(found.entries.size());
        std::array<char, kMaxName> name;
        for (std::size_t i = 0; i < found.entries.size(); ++i) {
            const auto length = name_length(at);
            const auto bytes = length ? view_.slice(at, *length) : std::nullopt;
            if (!bytes) return false;
            std::size_t size = 0;
            for (const std::uint8_t code : *bytes) {
                const std::string_view token = tokens_[code];
                if (size + token.size() > kMaxName) return false;
                // Tokens have two or three letters: a call of memcpy costs more than the copy.
                for (const char letter : token) name[size++] = letter;
            }
            at += *length;
            if (size < 2 || names->size() + size > kNameBytes) return false;
            names->insert(names->end(), name.begin(), name.begin() + static_cast<std::ptrdiff_t>(size));
            ends.push_back(names->size());
        }
        std::size_t begin = 0;
        for (std::size_t i = 0; i < found.entries.size(); begin = ends[i++]) {
            const std::string_view text(names->data() + begin, ends[i] - begin);
            found.entries[i].type = text.front();
            found.entries[i].name = text.substr(1);
        }
        found.names = std::move(names);
        return true;
    }

    std::uint64_t word_at(std::uint64_t at) const {
        if (word_ == 8) return view_.get<std::uint64_t>(at).value_or(0);
        return view_.get<std::uint32_t>(at).value_or(0);
    }

    bool is_mapped(std::uint64_t address) const {
        const auto after = std::upper_bound(mapped_.begin(), mapped_.end(), address,
                                            [](std::uint64_t value, const AddressRange& range) { return value < range.begin.value; });
        // The end itself counts: _end, __stop_* and their like stand there.
        return after != mapped_.begin() && address <= (after - 1)->end.value;
    }

    // Addresses rise with the table; a few absolute symbols may lie outside what is mapped.
    bool addresses_fit(const std::vector<std::uint64_t>& addresses) {
        std::size_t mapped = 0;
        std::size_t falls = 0;
        for (std::size_t i = 0; i < addresses.size(); ++i) {
            mapped += is_mapped(addresses[i]);
            falls += i > 0 && addresses[i] < addresses[i - 1];
        }
        spend(addresses.size());
        return mapped >= addresses.size() - addresses.size() / 10 && falls <= addresses.size() / 100;
    }

    bool take(const std::vector<std::uint64_t>& addresses, std::string layout, Kallsyms& found) {
        if (!addresses_fit(addresses)) return false;
        found.entries.resize(addresses.size());
        for (std::size_t i = 0; i < addresses.size(); ++i) found.entries[i].address = addresses[i];
        found.layout = std::move(layout);
        return true;
    }

    bool try_offsets(const Layout& layout, std::uint64_t offsets, std::uint64_t base_at, std::string_view where, Kallsyms& found) {
        if (!view_.slice(offsets, 4 * std::uint64_t{layout.count}) || !view_.slice(base_at, word_)) return false;
        const std::uint64_t base = word_at(base_at);
        const std::uint64_t mask = word_ == 8 ? ~std::uint64_t{0} : 0xFFFFFFFFu;
        std::vector<std::uint64_t> plain(layout.count);
        std::vector<std::uint64_t> percpu(layout.count);
        bool any_negative = false;
        for (std::uint32_t i = 0; i < layout.count; ++i) {
            const std::uint32_t offset = *view_.get<std::uint32_t>(offsets + 4 * std::uint64_t{i});
            const auto signed_offset = static_cast<std::int32_t>(offset);
            any_negative |= signed_offset < 0;
            plain[i] = (base + offset) & mask;
            // KALLSYMS_ABSOLUTE_PERCPU: positive values are absolute, others count down from the base.
            percpu[i] = signed_offset >= 0 ? offset : (base - 1 - static_cast<std::uint64_t>(std::int64_t{signed_offset})) & mask;
        }
        found.begin = std::min(offsets, base_at);
        found.end = std::max(offsets + 4 * std::uint64_t{layout.count}, base_at + word_);
        if (any_negative && take(percpu, fmt::format("offsets from {:#x} {}, per-CPU values absolute", base, where), found)) return true;
        return take(plain, fmt::format("offsets from {:#x} {}", base, where), found);
    }

    bool try_addresses(const Layout& layout, std::uint64_t table, std::string_view where, Kallsyms& found) {
        if (!view_.slice(table, word_ * layout.count)) return false;
        std::vector<std::uint64_t> addresses(layout.count);
        for (std::uint32_t i = 0; i < layout.count; ++i) addresses[i] = word_at(table + word_ * i);
        found.begin = table;
        found.end = table + word_ * layout.count;
        return take(addresses, fmt::format("full addresses {}", where), found);
    }

    bool read_addresses(const Layout& layout, Kallsyms& found) {
        constexpr std::string_view kBefore = "before the names (up to 6.4)";
        constexpr std::string_view kAfter = "after the token index (6.5 and later)";
        const std::uint64_t offsets_size = align_up(4 * std::uint64_t{layout.count}, word_);
        const std::uint64_t addresses_size = word_ * layout.count;
        if (layout.count_at >= word_ + offsets_size &&
            try_offsets(layout, layout.count_at - word_ - offsets_size, layout.count_at - word_, kBefore, found))
            return true;
        if (layout.count_at >= addresses_size && try_addresses(layout, layout.count_at - addresses_size, kBefore, found)) return true;
        const std::uint64_t after = align_up(layout.token_index + 2 * kTokens, word_);
        return try_offsets(layout, after, after + offsets_size, kAfter, found) || try_addresses(layout, after, kAfter, found);
    }

    ByteView view_;
    std::uint64_t word_;
    const std::vector<AddressRange>& mapped_;
    std::string& why_;
    std::uint64_t& budget_;
    std::vector<std::string_view> tokens_;
    std::vector<std::uint32_t> markers_;
};

}  // namespace

std::optional<Kallsyms> find_kallsyms(Bytes section, int word, const std::vector<AddressRange>& mapped, std::string& why,
                                      std::uint64_t& budget) {
    return Finder(section, word, mapped, why, budget).find();
}

std::vector<AddressRange> merge_ranges(std::vector<AddressRange> ranges) {
    std::sort(ranges.begin(), ranges.end());
    std::vector<AddressRange> merged;
    for (const AddressRange& range : ranges) {
        if (!merged.empty() && range.begin <= merged.back().end)
            merged.back().end = std::max(merged.back().end, range.end);
        else
            merged.push_back(range);
    }
    return merged;
}

}  // namespace trapline::image
