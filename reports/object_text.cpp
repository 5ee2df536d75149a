// SPDX-License-Identifier: Apache-2.0
// Plain ASCII needs no escape; whatever else there is goes the way of all other documents.
#include "reports/object_text.h"

#include <algorithm>

#include "reports/json_document.h"

namespace trapline::reports {

void append_json_string(std::string_view text, std::string& out) {
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; });
    if (!plain) {
        out += one_line(std::string(text));
        return;
    }
    out += '"';
    out += text;
    out += '"';
}

}  // namespace trapline::reports
