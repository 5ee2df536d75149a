// SPDX-License-Identifier: Apache-2.0
// Look-up of the embedded files, and a single left-to-right substitution.
#include "reports/template.h"

#include "support/error.h"

extern "C" {
#include "embedded_templates_declarations.inc"
}

namespace trapline::reports {

std::string_view find_template(std::string_view name) {
    struct Row {
        const char* path;
        const char* begin;
        const char* end;
    };
    static const Row kRows[] = {
#include "embedded_templates.inc"
    };
    for (const Row& row : kRows)
        if (name == row.path) return {row.begin, static_cast<std::size_t>(row.end - row.begin)};
    TRAPLINE_ASSERT(false, "a template is asked for that the build did not compile in");
    return {};
}

std::string fill_template(std::string_view text, const std::map<std::string_view, std::string>& values) {
    std::string out;
    while (true) {
        const auto open = text.find("{{");
        out += text.substr(0, open);
        if (open == std::string_view::npos) return out;
        const auto close = text.find("}}", open);
        TRAPLINE_ASSERT(close != std::string_view::npos, "a template opens a place that it does not close");
        const auto value = values.find(text.substr(open + 2, close - open - 2));
        TRAPLINE_ASSERT(value != values.end(), "a template has a place that nothing fills");
        out += value->second;
        text.remove_prefix(close + 2);
    }
}

}  // namespace trapline::reports
