// SPDX-License-Identifier: Apache-2.0
// The kernel's own symbol table inside a stripped image, found by its structure alone: no symbol, BTF or System.map
// says where it is. Written from the format that scripts/kallsyms.c of Linux emits.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/address.h"
#include "support/bytes.h"

namespace trapline::image {

struct KallsymsEntry {
    std::string_view name;       ///< bytes of Kallsyms::names
    char type = '?';             ///< nm's letter: 'T', 't', 'D', ...
    std::uint64_t address = 0;   ///< for a per-CPU symbol its offset in the per-CPU area
};

struct Kallsyms {
    std::vector<KallsymsEntry> entries;  ///< in the table's order: by address
    std::shared_ptr<const std::vector<char>> names;  ///< all of them, one behind the other
    std::string layout;                  ///< which of the known layouts it was, for people
    std::uint64_t begin = 0, end = 0;    ///< offsets in the section between which all its tables lie
};

/// Finds kallsyms in one section. Knows 32-bit markers (Linux 4.20 and later), one- and two-byte name lengths, the
/// address table before the names (up to 6.4) or after the token index (6.5 and later), as full addresses or as
/// offsets from a base, with per-CPU values absolute or not. `word` is 4 or 8, the size of a pointer. `mapped` are the
/// address ranges of the image, sorted: a table is taken for kallsyms only when nine of ten addresses fall in them.
/// Nothing when there is none; `why` then says how far the search came, and is left alone when it found no trace.
/// Bounded in time whatever the bytes are: `budget` falls with each step, and the search ends at zero. One budget of
/// kKallsymsBudget serves all sections of a file: 0.1 s for a kernel's 64 MiB, about 2 s where it is used up.
std::optional<Kallsyms> find_kallsyms(Bytes section, int word, const std::vector<AddressRange>& mapped, std::string& why,
                                      std::uint64_t& budget);
inline constexpr std::uint64_t kKallsymsBudget = std::uint64_t{1} << 28;

/// Sorts ranges and joins those that touch.
std::vector<AddressRange> merge_ranges(std::vector<AddressRange> ranges);

}  // namespace trapline::image
