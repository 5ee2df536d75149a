// SPDX-License-Identifier: Apache-2.0
// Reads isa-specs/x86/mnemonic-differences.json and compares sets of mnemonics.
#include "decode/mnemonic_coverage.h"

#include <map>
#include <set>

#include <fmt/format.h>

#include "decode/spec_file.h"
#include "isa/json_reader.h"

namespace trapline::decode {
namespace {

using isa::JsonCursor;

/// Words that may stand for "{cc}" and the like: groups of words that mean the same.
using WordGroups = std::vector<std::vector<std::string>>;

/// Reads a string, or an array of them.
std::vector<std::string> read_list(const JsonCursor& value) {
    std::vector<std::string> out;
    if (value.value().is_array()) {
        for (const JsonCursor& element : value.elements()) out.push_back(element.string().value_or(""));
    } else if (const auto text = value.string()) {
        out.push_back(*text);
    }
    return out;
}

/// Writes one pattern out: a group for each group of words, or a single one together with what they all mean.
void expand(const JsonCursor& row, const std::map<std::string, WordGroups>& words, std::vector<std::vector<std::string>>& groups) {
    if (!row.is_object({"pattern", "means"})) return;
    std::string pattern, means;
    row.read("pattern", pattern, true);
    row.read("means", means);
    const std::size_t begin = pattern.find('{'), end = pattern.find('}');
    const auto found = begin < end && end != std::string::npos ? words.find(pattern.substr(begin + 1, end - begin - 1)) : words.end();
    if (found == words.end()) {
        std::string names;
        for (const auto& [name, ignored] : words) names += " {" + name + "}";
        row.refuse(fmt::format("found pattern \"{}\", expected one with a word of \"words\":{}", pattern, names));
        return;
    }
    if (!means.empty()) groups.push_back({means});
    for (const std::vector<std::string>& group : found->second) {
        if (means.empty()) groups.emplace_back();
        for (const std::string& word : group) groups.back().push_back(pattern.substr(0, begin) + word + pattern.substr(end + 1));
    }
}

MnemonicDifference read_row(const JsonCursor& row, std::set<std::pair<std::string, std::string>>& seen) {
    MnemonicDifference out;
    out.pointer = row.pointer();
    if (!row.is_object({"mnemonic", "who", "reason", "source"})) return out;
    row.read("who", out.who, true);
    row.read("reason", out.reason, true);
    row.read("source", out.source, true);
    if (out.who != "llvm-mc" && out.who != "capstone" && out.who != "database")
        row.refuse(fmt::format("found who \"{}\", expected llvm-mc, capstone or database", out.who));
    if (const auto mnemonic = row.member("mnemonic", true)) out.mnemonics = read_list(*mnemonic);
    for (const std::string& mnemonic : out.mnemonics)
        if (!seen.emplace(out.who, mnemonic).second) row.refuse(fmt::format("found \"{}\" of {} in a second row, expected one", mnemonic, out.who));
    return out;
}

/// Sets of mnemonics that name one instruction, joined as groups come in.
class Synonyms {
public:
    void join(const std::string& a, const std::string& b) {
        const std::string x = find(a), y = find(b);
        if (x != y) parent_[x] = y;
    }
    /// Gives the mnemonic that stands for the whole set.
    std::string find(const std::string& name) const {
        std::string at = name;
        for (auto up = parent_.find(at); up != parent_.end(); up = parent_.find(at)) at = up->second;
        return at;
    }

private:
    std::map<std::string, std::string> parent_;
};

std::set<std::string> stand_for(const std::set<std::string>& mnemonics, const Synonyms& synonyms) {
    std::set<std::string> out;
    for (const std::string& mnemonic : mnemonics) out.insert(synonyms.find(mnemonic));
    return out;
}

}  // namespace

Result<MnemonicDifferences> MnemonicDifferences::parse(std::string_view json, std::string_view file) {
    const isa::Json document = isa::Json::parse(json, nullptr, false);
    if (document.is_discarded()) return fail(ErrorCode::malformed, "found text that is not JSON, expected the mnemonic differences", std::string(file));
    std::vector<Error> errors;
    MnemonicDifferences out;
    const JsonCursor root(document, std::string(file), "", errors);
    if (root.is_object({"schema", "title", "reading", "words", "patterns", "rows"})) {
        std::string schema;
        root.read("schema", schema, true);
        if (schema != "trapline.mnemonic-differences/1")
            root.refuse(fmt::format("found schema \"{}\", expected trapline.mnemonic-differences/1", schema));
        std::map<std::string, WordGroups> words;
        const auto lists = root.member("words", true);
        if (lists && lists->value().is_object()) {
            for (const auto& [name, ignored] : lists->value().items()) {
                WordGroups& groups = words[name];
                for (const JsonCursor& group : lists->member(name)->elements()) groups.push_back(read_list(group));
            }
        } else if (lists) {
            lists->refuse("expected an object of name: list of words");
        }
        if (const auto patterns = root.member("patterns", true))
            for (const JsonCursor& row : patterns->elements()) expand(row, words, out.groups_);
        std::set<std::pair<std::string, std::string>> seen;
        if (const auto rows = root.member("rows", true))
            for (const JsonCursor& row : rows->elements()) out.rows_.push_back(read_row(row, seen));
    }
    if (!errors.empty()) return tl::unexpected(errors.front());
    return out;
}

const MnemonicDifferences& MnemonicDifferences::embedded() {
    static const MnemonicDifferences differences = [] {
        constexpr std::string_view kFile = "x86/mnemonic-differences.json";
        auto parsed = parse(embedded_spec_text(kFile), kFile);
        TRAPLINE_ASSERT(parsed.has_value(), parsed.has_value() ? "" : parsed.error().describe().c_str());
        return std::move(*parsed);
    }();
    return differences;
}

MnemonicCoverage measure_coverage(const isa::Database& database, const std::vector<PeerTable>& peers, const MnemonicDifferences& differences,
                                  const DecoderDifferences& spellings) {
    Synonyms synonyms;
    std::map<int, std::string> first_of_group;
    for (const auto& [name, group] : spellings.spellings()) synonyms.join(name, first_of_group.emplace(group, name).first->second);
    for (const std::vector<std::string>& group : differences.groups())
        for (const std::string& name : group) synonyms.join(name, group.front());

    std::set<std::string> ours, known;
    for (const isa::Record& record : database.records) ours.insert(record.mnemonic);
    for (const isa::InnocuousForm& form : database.innocuous) ours.insert(form.mnemonic);
    const std::set<std::string> ours_stand_for = stand_for(ours, synonyms);

    // Rows that are used leave the list; what remains explains nothing.
    std::map<std::pair<std::string, std::string>, const MnemonicDifference*> unused;
    for (const MnemonicDifference& row : differences.rows())
        for (const std::string& mnemonic : row.mnemonics) unused.emplace(std::pair(row.who, mnemonic), &row);

    MnemonicCoverage out;
    for (const PeerTable& peer : peers) {
        PeerCoverage coverage{peer.name, peer.version, peer.entries, peer.mnemonics.size(), 0, 0, {}};
        for (const std::string& mnemonic : peer.mnemonics) {
            if (ours_stand_for.contains(synonyms.find(mnemonic))) ++coverage.covered;
            else if (unused.erase({peer.name, mnemonic}) != 0) ++coverage.explained;
            else coverage.missing.push_back(mnemonic);
        }
        known.merge(stand_for(peer.mnemonics, synonyms));
        out.peers.push_back(std::move(coverage));
    }
    out.mnemonics = ours.size();
    for (const std::string& mnemonic : ours) {
        if (known.contains(synonyms.find(mnemonic))) ++out.known;
        else if (unused.erase({"database", mnemonic}) != 0) ++out.explained;
        else out.unknown.push_back(mnemonic);
    }
    for (const auto& [key, row] : unused) out.vanished.push_back(fmt::format("{}: {} ({})", row->pointer, key.second, key.first));
    return out;
}

}  // namespace trapline::decode
