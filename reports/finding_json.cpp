// SPDX-License-Identifier: Apache-2.0
// Must match reports/schema/scan.json.
#include "reports/finding_json.h"

#include <fmt/format.h>
#include <limits>

#include "reports/object_text.h"
#include "reports/tally.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

// Bytes of one finding's text; stock kernels: 420 to 600.
constexpr std::size_t kUsualFinding = 640;

std::string_view mode_json(const std::string& mode) {
    return mode == "16" || mode == "32" || mode == "64" ? std::string_view(mode) : "null";
}

void check_tags(ObjectReader& reader, const Finding& finding) {
    if (!reader.ok()) return;
    const auto contradiction = [&](std::string_view what) { reader.refuse("critical", std::string(what), ErrorCode::inconsistent); };
    if (finding.critical && finding.privileged == "yes") contradiction("found true beside privileged \"yes\", expected false");
    if (finding.critical && !is_sensitive(finding)) contradiction("found true on a site that is not sensitive, expected false");
    if (!finding.critical && is_sensitive(finding) && finding.privileged == "no")
        contradiction("found false on a site that is sensitive and not privileged, expected true");
}

}  // namespace

void read_privileged(ObjectReader& reader, std::string& privileged) {
    reader.read("privileged", privileged);
    if (!reader.ok() || privileged == "yes" || privileged == "no" || (privileged.starts_with("cond:") && privileged.size() > 5)) return;
    reader.refuse("privileged", fmt::format("found \"{}\", expected yes, no or cond:TOKEN", fitted(printable(privileged), 40)));
}

Json source_to_json(const std::string& file, std::uint32_t line) {
    if (file.empty()) return nullptr;
    return {{"file", file}, {"line", line}};
}

void read_source(ObjectReader& reader, const std::string& name, Status& status, std::string& file, std::uint32_t& line) {
    if (!reader.has("source")) return;
    const Json* value = reader.object("source");
    if (value == nullptr) return;
    ObjectReader source(*value, reader.pointer_to("source"), name, status);
    std::uint64_t number = 0;
    source.read("file", file);
    source.read("line", number);
    if (number > std::numeric_limits<std::uint32_t>::max())
        source.refuse("line", fmt::format("found {}, expected a line number below 2^32", number));
    line = static_cast<std::uint32_t>(number);
    source.finish();
}

void read_evidence(ObjectReader& reader, Evidence& evidence, EvidenceOf document) {
    constexpr Evidence kAll[] = {Evidence::reached, Evidence::swept, Evidence::hidden, Evidence::executed};
    std::string word;
    std::vector<std::string_view> allowed;
    for (const Evidence candidate : kAll)
        if (candidate != Evidence::executed || document == EvidenceOf::plan) allowed.push_back(to_string(candidate));
    reader.read_word("evidence", word, allowed);
    for (const Evidence candidate : kAll)
        if (to_string(candidate) == word) evidence = candidate;
}

std::string finding_json(const Finding& finding) {
    std::string text;
    text.reserve(kUsualFinding);
    ObjectText object(text);
    object.member("address", hex_address(finding.address));
    object.member("file_offset", finding.file_offset);
    object.member("part", finding.part);
    object.member("section", finding.section);
    object.member("symbol", finding.symbol);
    object.member("symbol_offset", finding.symbol_offset);
    object.raw("source", one_line(source_to_json(finding.source_file, finding.source_line)));
    object.raw("mode", mode_json(finding.mode));
    object.member("decode_mode", finding.decode_mode);
    object.member("bytes", to_hex(finding.bytes));
    object.member("text", finding.text);
    object.member("mnemonic", finding.mnemonic);
    object.member("form", finding.form);
    object.member("family", finding.family);
    object.member("privileged", finding.privileged);
    object.member("control_sensitive", finding.control_sensitive);
    object.member("behavior_sensitive", finding.behavior_sensitive);
    object.member("critical", finding.critical);
    object.member("evidence", to_string(finding.evidence));
    object.list("context", finding.context, [](ObjectText& item, const FindingContext& context) {
        item.member("kind", context.kind);
        item.member("detail", context.detail);
    });
    object.list("disagreements", finding.disagreements, [](ObjectText& item, const DecoderNote& note) {
        item.member("decoder", note.decoder);
        item.member("says", note.says);
        item.member("reason", note.reason);
    });
    object.end();
    return text;
}

Finding finding_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    Finding finding;
    ObjectReader reader(value, pointer, name, status);
    std::uint64_t mode = 0;
    reader.read_address("address", finding.address);
    reader.read("file_offset", finding.file_offset);
    reader.read("part", finding.part);
    reader.read("section", finding.section);
    reader.read("symbol", finding.symbol);
    reader.read("symbol_offset", finding.symbol_offset);
    // Absent is as good as null: it says that the line is not known.
    read_source(reader, name, status, finding.source_file, finding.source_line);
    reader.read("mode", mode);
    if (reader.ok() && mode != 16 && mode != 32 && mode != 64) reader.refuse("mode", fmt::format("found {}, expected 16, 32 or 64", mode));
    finding.mode = std::to_string(mode);
    reader.read_word("decode_mode", finding.decode_mode, {"16r", "16p", "32", "64"});
    reader.read_bytes("bytes", finding.bytes);
    reader.read("text", finding.text);
    reader.read("mnemonic", finding.mnemonic);
    reader.read("form", finding.form);
    reader.read("family", finding.family);
    read_privileged(reader, finding.privileged);
    reader.read("control_sensitive", finding.control_sensitive);
    reader.read_word("behavior_sensitive", finding.behavior_sensitive, {"no", "mode", "location", "both"});
    reader.read("critical", finding.critical);
    read_evidence(reader, finding.evidence, EvidenceOf::scan);
    const Json* contexts = reader.array("context");
    for (std::size_t i = 0; contexts != nullptr && i < contexts->size() && status; ++i) {
        ObjectReader item((*contexts)[i], fmt::format("{}/{}", reader.pointer_to("context"), i), name, status);
        FindingContext context;
        item.read("kind", context.kind);
        item.read("detail", context.detail);
        item.finish();
        finding.context.push_back(std::move(context));
    }
    const Json* notes = reader.array("disagreements");
    for (std::size_t i = 0; notes != nullptr && i < notes->size() && status; ++i) {
        ObjectReader item((*notes)[i], fmt::format("{}/{}", reader.pointer_to("disagreements"), i), name, status);
        DecoderNote note;
        item.read("decoder", note.decoder);
        item.read("says", note.says);
        item.read("reason", note.reason);
        item.finish();
        finding.disagreements.push_back(std::move(note));
    }
    reader.finish();
    check_tags(reader, finding);
    return finding;
}

}  // namespace trapline::reports
