// SPDX-License-Identifier: Apache-2.0
#include "reports/markup.h"

#include <fmt/format.h>

#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

std::string heads(std::initializer_list<Column> columns) {
    std::string out;
    for (const Column& column : columns) out += fmt::format("<th scope=\"col\"{}>{}</th>", column.number ? " class=\"number\"" : "", column.title);
    return out;
}

}  // namespace

std::string open_table(std::string_view caption, std::initializer_list<Column> columns) {
    return fmt::format("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption class=\"hidden\">{0}</caption><thead><tr>{1}</tr></thead><tbody>\n",
                       html_text(caption), heads(columns));
}

std::string open_bars(std::string_view caption, std::string_view name_title, std::string_view bar_title, std::initializer_list<Column> columns) {
    return fmt::format("<div class=\"bar-box\"><table class=\"bars\"><caption class=\"hidden\">{}</caption><thead><tr><th scope=\"col\" class=\"number\">{}</th>"
                       "<th scope=\"col\"><span class=\"hidden\">{}</span></th>{}</tr></thead><tbody>\n",
                       html_text(caption), name_title, bar_title, heads(columns));
}

std::string bar_cell(std::initializer_list<BarPiece> pieces, std::string_view detail) {
    const std::string text = html_text(detail);
    std::string out = fmt::format("<td class=\"bar-cell\"><div class=\"bar\" role=\"img\" aria-label=\"{0}\" title=\"{0}\">", text);
    for (const BarPiece& piece : pieces)
        if (piece.share > 0) out += fmt::format("<i class=\"{}\" style=\"width:{:.2f}%\"></i>", piece.css_class, 100.0 * (piece.share < 1 ? piece.share : 1));
    return out + "</div></td>";
}

std::string number_cell(std::uint64_t count, std::string_view css_class) {
    return fmt::format("<td class=\"number{}{}{}\">{}</td>", css_class.empty() ? "" : " ", css_class, count == 0 ? " zero" : "", grouped(count));
}

std::string figure_cell(std::string_view text) { return fmt::format("<td class=\"number\">{}</td>", html_text(text)); }

std::string cell(std::string_view markup) { return fmt::format("<td>{}</td>", markup); }

std::string code_cell(std::string_view text) { return text.empty() ? "<td></td>" : fmt::format("<td><code>{}</code></td>", html_text(text)); }

std::string row_head(std::string_view text, bool code) {
    const std::string_view open = code ? "<code>" : "", close = code ? "</code>" : "";
    return fmt::format("<th scope=\"row\">{}{}{}</th>", open, html_text(text), close);
}

std::string fact(std::string_view name, std::string_view value, bool code) {
    if (value.empty()) return {};
    const std::string_view open = code ? "<code>" : "", close = code ? "</code>" : "";
    return fmt::format("<div><dt>{}</dt><dd>{}{}{}</dd></div>\n", html_text(name), open, html_text(value), close);
}

std::string card(std::string_view css_class, std::string_view figure, std::string_view label) {
    return fmt::format("<li class=\"{}\"><b>{}</b><span>{}</span></li>\n", css_class, html_text(figure), html_text(label));
}

}  // namespace trapline::reports
