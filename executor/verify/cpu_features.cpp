// SPDX-License-Identifier: Apache-2.0
// Reads x86/cpuid-features.json.
#include "executor/verify/cpu_features.h"

#include <charconv>

#include "isa/json_reader.h"

namespace trapline::executor {

namespace {

using isa::JsonCursor;

std::uint64_t read_hex(const JsonCursor& row, std::string_view key, bool required) {
    std::string text;
    row.read(key, text, required);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (!text.empty() && (error != std::errc{} || end != text.data() + text.size())) row.refuse("found " + std::string(key) + " \"" + text + "\", expected hex digits");
    return value;
}

/// Asks CPUID what the row says.
bool ask_row(const JsonCursor& row, const AskCpuid& ask, std::uint64_t xcr0) {
    if (row.member("present")) {
        bool present = false;
        std::string why;
        row.read("present", present);
        row.read("why", why, true);
        return present;
    }
    const auto leaf = static_cast<std::uint32_t>(read_hex(row, "leaf", true)), subleaf = static_cast<std::uint32_t>(read_hex(row, "subleaf", false));
    std::string name;
    int bit = 0;
    row.read("register", name, true);
    row.read("bit", bit, 0, 31, true);
    int width = 1, at_least = 1;
    row.read("width", width, 1, 16);
    row.read("at_least", at_least, 1, 0xFFFF);
    const std::uint64_t state = read_hex(row, "xcr0", false);
    const CpuidLeaf answer = ask(leaf, subleaf);
    std::uint32_t value = 0;
    if (name == "eax") value = answer.eax;
    else if (name == "ebx") value = answer.ebx;
    else if (name == "ecx") value = answer.ecx;
    else if (name == "edx") value = answer.edx;
    else row.refuse("found register \"" + name + "\", expected eax, ebx, ecx or edx");
    const std::uint32_t field = value >> bit & ((1u << width) - 1);
    return field >= static_cast<std::uint32_t>(at_least) && (xcr0 & state) == state;
}

}  // namespace

Result<CpuFeatures> CpuFeatures::parse(std::string_view json, const AskCpuid& ask, std::uint64_t xcr0) {
    const isa::Json document = isa::Json::parse(json, nullptr, false);
    if (document.is_discarded()) return fail(ErrorCode::malformed, "found text that is not JSON, expected the CPUID features", std::string(kFile));
    std::vector<Error> errors;
    CpuFeatures out;
    const JsonCursor root(document, std::string(kFile), "", errors);
    if (root.is_object({"schema", "title", "reading", "features"})) {
        if (const auto rows = root.member("features", true)) {
            for (const JsonCursor& row : rows->elements()) {
                if (!row.is_object({"feature", "leaf", "subleaf", "register", "bit", "width", "at_least", "xcr0", "present", "why"})) continue;
                std::string name;
                row.read("feature", name, true);
                if (!out.features_.emplace(name, ask_row(row, ask, xcr0)).second) row.refuse("found a second row of \"" + name + "\", expected one");
            }
        }
    }
    if (!errors.empty()) return tl::unexpected(errors.front());
    return out;
}

bool CpuFeatures::present(std::string_view feature) const {
    const auto found = features_.find(feature);
    return found != features_.end() && found->second;
}

}  // namespace trapline::executor
