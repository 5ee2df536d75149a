// SPDX-License-Identifier: Apache-2.0
// The head, with the default macro, and a line for each site.
#include "reports/plan_include.h"

#include <fmt/format.h>

#include "reports/text_encoding.h"

namespace trapline::reports {
namespace {

/// What may stand between quotes in an assembler's macro argument and means nothing there.
std::string plain(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
        out += is_plain ? c : '_';
    }
    return out;
}

constexpr std::string_view kMacro = R"(#
# One line for each site:
#   trapline_site number=N, address=A, length=L, operation="O", technique="T", part="P"
# To make something else of them define a macro trapline_site with these parameters, and TRAPLINE_SITE_MACRO
# (.set TRAPLINE_SITE_MACRO, 1), before this text is included. Otherwise the section .trapline.site_list gets a table. Per site:
# u64 address, u32 number, u32 length; operation, technique and part, each ended by a zero byte; zeros up to a multiple of 8.
.ifndef TRAPLINE_SITE_MACRO
.macro trapline_site number, address, length, operation="", technique="", part=""
    .quad \address
    .long \number
    .long \length
    .asciz "\operation"
    .asciz "\technique"
    .asciz "\part"
    .balign 8, 0
.endm
.endif
.pushsection .trapline.site_list, "", @progbits
)";

}  // namespace

void write_plan_include(const PlanDocument& plan, const Sink& sink) {
    sink(fmt::format("# Sites of {}\n# sha256 {}, profile {}, interface {}\n", printable(plan.image), plan.sha256.empty() ? "-" : printable(plan.sha256),
                     printable(plan.profile), plan.abi.empty() ? "none" : printable(plan.abi + " " + plan.abi_version)));
    sink(kMacro);
    for (const PlannedSite& site : plan.sites)
        sink(fmt::format("trapline_site number={}, address={}, length={}, operation=\"{}\", technique=\"{}\", part=\"{}\"\n", site.number, hex_address(site.address),
                         site.bytes.size(), plain(site.operation), to_string(site.technique), plain(site.part)));
    sink(".popsection\n");
}

}  // namespace trapline::reports
