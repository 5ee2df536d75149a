// SPDX-License-Identifier: Apache-2.0
// The small pieces of markup that the blocks of the HTML report are made of. Texts named `text` or `value` are escaped here;
// what is named `markup` must be safe already. Internal to reports/.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace trapline::reports {

/// A column's title, markup, and whether its cells are numbers.
struct Column {
    std::string_view title;
    bool number = false;
};

/// Opens a table in a box of its own that scrolls sideways where the page is too narrow for it.
std::string open_table(std::string_view caption, std::initializer_list<Column> columns);
inline constexpr std::string_view kCloseTable = "</tbody></table></div>\n";

/// Opens a table of name, bar and figures, one row to a bar; rows of `columns` cells come behind the bar.
std::string open_bars(std::string_view caption, std::string_view name_title, std::string_view bar_title, std::initializer_list<Column> columns);
inline constexpr std::string_view kCloseBars = "</tbody></table></div>\n";

/// One piece of a bar: its class in report.css and its share of the bar's full width, 0 to 1; what is no share counts as none.
struct BarPiece {
    std::string_view css_class;
    double share = 0;
};
/// A cell with a bar; `detail` says the figures to whoever cannot see it.
std::string bar_cell(std::initializer_list<BarPiece> pieces, std::string_view detail);

/// A number with thousands grouped; 0 is shown faintly.
std::string number_cell(std::uint64_t count, std::string_view css_class = "");
/// A figure that is no plain count: "12.3 %", "1.2 ms".
std::string figure_cell(std::string_view text);
/// A cell of markup.
std::string cell(std::string_view markup);
std::string code_cell(std::string_view text);
std::string row_head(std::string_view text, bool code = true);

/// One row of a list of facts; nothing where the value is empty.
std::string fact(std::string_view name, std::string_view value, bool code = false);
/// One of the large figures at the head of the page.
std::string card(std::string_view css_class, std::string_view figure, std::string_view label);

inline std::string_view plural(std::uint64_t count) { return count == 1 ? "" : "s"; }

}  // namespace trapline::reports
