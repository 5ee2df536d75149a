// SPDX-License-Identifier: Apache-2.0
// Runs the line tables past the sorted places. A kernel with debug information has some ten million rows and some ten
// thousand places, so it is the places that are kept and the rows that go by.
#include "image/source_lines.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <numeric>
#include <tuple>

#include "image/compile_directories.h"
#include "image/line_table.h"

namespace trapline::image {
namespace {

constexpr std::uint64_t kDecompressionBudget = std::uint64_t{1} << 30;
constexpr std::uint64_t kNameBudget = std::uint64_t{256} << 20;

// The places still without an answer, in order of section and address.
class OpenPlaces {
public:
    struct Place {
        std::uint32_t section = 0;  // of the ELF file; 0 for all places of a linked file
        std::uint64_t address = 0;
        std::size_t index = 0;      // in what was asked
    };

    explicit OpenPlaces(std::vector<Place> places) : places_(std::move(places)), next_(places_.size() + 1) {
        std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
            return std::tie(a.section, a.address, a.index) < std::tie(b.section, b.address, b.index);
        });
        std::iota(next_.begin(), next_.end(), std::size_t{0});
    }

    // Takes the open places in [begin, end) of a section; each is taken once. Rows of a sequence follow each other, and
    // most hold no place: for them the end of the row before tells without a search.
    template <class Taker>
    void take(std::uint32_t section, std::uint64_t begin, std::uint64_t end, Taker&& taker) {
        if (!(section == hint_section_ && begin >= hint_address_ && !is_before(hint_, section, end))) {
            const auto from = std::partition_point(places_.begin(), places_.end(), [&](const Place& place) {
                return std::tie(place.section, place.address) < std::tie(section, begin);
            });
            std::size_t at = first_open(static_cast<std::size_t>(from - places_.begin()));
            for (; is_before(at, section, end); at = first_open(at)) {
                next_[at] = at + 1;
                taker(places_[at].index);
            }
            hint_ = at;
        }
        hint_section_ = section;
        hint_address_ = end;
    }

private:
    bool is_before(std::size_t at, std::uint32_t section, std::uint64_t end) const {
        return at < places_.size() && places_[at].section == section && places_[at].address < end;
    }

    // The first open place at or behind `at`; places_.size() when there is none. Paths are halved on the way.
    std::size_t first_open(std::size_t at) {
        while (next_[at] != at) {
            next_[at] = next_[next_[at]];
            at = next_[at];
        }
        return at;
    }

    std::vector<Place> places_;
    std::vector<std::size_t> next_;  // itself where open, else a later one
    // No open place of the section lies in [hint_address_, the address of place hint_).
    std::uint32_t hint_section_ = ~0u;
    std::uint64_t hint_address_ = 0;
    std::size_t hint_ = 0;
};

class LineSearch {
public:
    LineSearch(const Image& image, ElfFile elf, std::span<const SourcePlace> places)
        : image_(image), file_(image.storage->data(), image.storage->size()), elf_(std::move(elf)), open_(open_places(places)) {
        result_.lines.resize(places.size());
    }

    SourceLines run() {
        if (Status done = search(); !done) result_.notes.push_back("source lines: " + done.error().message);
        if (problems_ != 0)
            result_.notes.push_back(fmt::format("source lines are incomplete: {} problem(s) in {} line tables, the first {}", problems_,
                                                tables_, first_problem_));
        else if (names_refused_)
            result_.notes.push_back(fmt::format("source lines: names of more than {} bytes in all, the rest is left out", kNameBudget));
        return std::move(result_);
    }

private:
    // In a relocatable file DWARF speaks of ELF sections; loaded ones share no bytes, so the offset tells which is which.
    std::vector<OpenPlaces::Place> open_places(std::span<const SourcePlace> places) const {
        std::map<std::uint64_t, std::uint32_t> by_offset;
        if (image_.relocatable)
            for (std::uint32_t i = 1; i < elf_.sections.size(); ++i)
                if ((elf_.sections[i].flags & elf::kShfAlloc) && elf_.sections[i].type != elf::kShtNobits && elf_.sections[i].size != 0)
                    by_offset.emplace(elf_.sections[i].offset, i);
        std::vector<OpenPlaces::Place> open;
        for (std::size_t i = 0; i < places.size(); ++i) {
            std::uint32_t section = 0;
            if (image_.relocatable) {
                if (places[i].section >= image_.sections.size()) continue;
                const auto found = by_offset.find(image_.sections[places[i].section].file_offset.value);
                if (found == by_offset.end()) continue;
                section = found->second;
            }
            open.push_back({section, places[i].address.value, i});
        }
        return open;
    }

    Status search() {
        auto line = load(".debug_line");
        if (!line) return tl::unexpected(line.error());
        line_ = std::move(*line);
        for (std::uint64_t at = 0; at < line_.bytes.size();) {
            const auto bounds = read_unit_bounds(line_.bytes, at);
            if (!bounds) {
                ++tables_;
                note_problem(fmt::format("at {:#x}: a table that passes the end of .debug_line, which has {:#x} bytes", at, line_.bytes.size()));
                break;
            }
            at = bounds->end;
            if (bounds->contents == bounds->end) continue;  // zeros that a linker aligned with
            ++tables_;
            if (Status done = search_table(*bounds); !done) note_problem(done.error().message);
        }
        return {};
    }

    Status search_table(const DwarfUnitBounds& bounds) {
        auto header = read_line_table_header(line_.bytes, bounds, elf_.is_64 ? 8 : 4);
        if (!header) return tl::unexpected(std::move(header.error()));
        std::optional<LineTableNames> names;    // read when the first place is found
        std::map<std::uint64_t, std::string> paths;
        Status names_read;
        const auto path_of = [&](std::uint64_t file) -> const std::string& {
            const auto [path, is_new] = paths.try_emplace(file);
            if (!is_new) return path->second;
            if (!names && names_read) {
                auto read = LineTableNames::read(*header, line_.bytes);
                if (read) names = std::move(*read);
                else names_read = tl::unexpected(std::move(read.error()));
            }
            if (names)
                path->second = names->path_of(file, strings(), [&] { return compile_directories().of_line_table(bounds.begin); });
            return path->second;
        };
        const Status ran = run_line_program(*header, line_, [&](const LineRange& range) {
            if (range.line == 0 || range.section.has_value() != image_.relocatable) return;
            open_.take(range.section.value_or(0), range.begin, range.end, [&](std::size_t index) { answer(index, path_of(range.file), range.line); });
        });
        return ran ? names_read : ran;
    }

    void answer(std::size_t index, const std::string& path, std::uint32_t line) {
        if (path.empty()) return;
        if (path.size() > name_budget_) {
            names_refused_ = true;
            return;
        }
        name_budget_ -= path.size();
        result_.lines[index] = {path, line};
    }

    Result<DebugSection> load(std::string_view name) { return load_debug_section(file_, elf_, name, decompression_budget_, image_.name); }

    // Sections that only names need: without them lines have no names, which is no reason to give up.
    DebugSection load_if_sound(std::string_view name) {
        auto section = load(name);
        if (section) return std::move(*section);
        note_problem(section.error().message);
        return {};
    }

    const DwarfStringSections& strings() {
        if (!strings_loaded_) {
            strings_loaded_ = true;
            str_ = load_if_sound(".debug_str");
            line_str_ = load_if_sound(".debug_line_str");
            strings_ = {line_.bytes, str_.bytes, line_str_.bytes};
        }
        return strings_;
    }

    const CompileDirectories& compile_directories() {
        if (!directories_) {
            const DwarfStringSections& texts = strings();
            info_ = load_if_sound(".debug_info");
            const DebugSection abbrev = load_if_sound(".debug_abbrev");
            directories_.emplace(CompileUnitSections{info_.bytes, abbrev.bytes, texts, static_cast<std::uint8_t>(elf_.is_64 ? 8 : 4)});
        }
        return *directories_;
    }

    void note_problem(std::string why) {
        if (problems_++ == 0) first_problem_ = std::move(why);
    }

    const Image& image_;
    Bytes file_;
    ElfFile elf_;
    OpenPlaces open_;
    std::uint64_t decompression_budget_ = kDecompressionBudget, name_budget_ = kNameBudget;
    DebugSection line_, str_, line_str_, info_;  // info_ may hold names in place
    DwarfStringSections strings_;
    bool strings_loaded_ = false, names_refused_ = false;
    std::optional<CompileDirectories> directories_;
    std::uint64_t tables_ = 0, problems_ = 0;
    std::string first_problem_;
    SourceLines result_;
};

}  // namespace

SourceLines find_source_lines(const Image& image, std::span<const SourcePlace> places) {
    SourceLines none;
    none.lines.resize(places.size());
    if (places.empty() || !image.storage || (image.format != Format::elf32 && image.format != Format::elf64)) return none;
    // The file was opened before, so its headers are sound and its sections as many as were allowed.
    auto elf = read_elf({image.storage->data(), image.storage->size()}, ~std::uint64_t{0}, image.name);
    if (!elf) return none;
    const bool has_lines = std::any_of(elf->sections.begin(), elf->sections.end(), [](const ElfSection& s) { return s.name == ".debug_line"; });
    if (!has_lines) return none;
    return LineSearch(image, std::move(*elf), places).run();
}

}  // namespace trapline::image
