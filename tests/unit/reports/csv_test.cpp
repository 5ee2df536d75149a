// SPDX-License-Identifier: Apache-2.0
// Columns, quoting and formula guards, read back by a reader of RFC 4180 written here.
#include <catch2/catch.hpp>
#include <vector>

#include "reports/patchlist_csv.h"
#include "reports/scan_csv.h"
#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;

namespace {

/// Reads CSV as RFC 4180 says, LF or CRLF at the end of a record.
std::vector<std::vector<std::string>> read_csv(const std::string& text) {
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string> row(1);
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c != '"') row.back() += c;
            else if (i + 1 < text.size() && text[i + 1] == '"') row.back() += text[i++];
            else quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',') {
            row.emplace_back();
        } else if (c == '\n') {
            rows.push_back(std::move(row));
            row.assign(1, "");
        } else {
            row.back() += c;
        }
    }
    CHECK_FALSE(quoted);
    return rows;
}

}  // namespace

TEST_CASE("the patch list has the columns of the contract", "[reports]") {
    const PlanDocument plan = tests::make_plan(tests::make_scan());
    const auto rows = read_csv(collect([&](const Sink& sink) { write_patchlist_csv(plan, sink); }));
    REQUIRE(rows.size() == 6);
    CHECK(rows[0] == std::vector<std::string>{"address", "function", "file", "line", "instruction", "operation", "technique"});
    CHECK(rows[1] == std::vector<std::string>{"0xffffffff81000010", "native_save_fl", "", "", "pushfq", "operation_pushfq", "inline"});
    CHECK(rows[3] == std::vector<std::string>{"0xffffffff81000030", "native_save_fl", "arch/x86/kernel/msr.c", "42", "wrmsr", "operation_wrmsr", "trap"});
}

TEST_CASE("the scan's rows have a cell for each heading", "[reports]") {
    for (const ScanDocument& scan : {tests::make_scan(), tests::make_hostile_scan()}) {
        const auto rows = read_csv(collect([&](const Sink& sink) { write_scan_csv(scan, sink); }));
        REQUIRE(rows.size() == 6);
        for (const auto& row : rows) CHECK(row.size() == 20);
    }
    const ScanDocument scan = tests::make_scan();
    const auto rows = read_csv(collect([&](const Sink& sink) { write_scan_csv(scan, sink); }));
    CHECK(rows[2][17] == "alternative-replacement for 0xffffffff81000123; init");
    CHECK(rows[2][15] == "yes");
}

TEST_CASE("tables of a batch join under one heading, and each row names its image", "[reports]") {
    const ScanDocument first = tests::make_scan();
    ScanDocument second = tests::make_scan();
    second.image = "kernel.deb!boot/vmlinuz";
    const auto rows = read_csv(collect([&](const Sink& sink) {
        write_scan_csv(first, sink);
        write_scan_csv(second, sink, false);
    }));
    REQUIRE(rows.size() == 11);
    CHECK(rows[0].back() == "image");
    CHECK(rows[5].back() == first.image);
    CHECK(rows[6].back() == "kernel.deb!boot/vmlinuz");
}

TEST_CASE("no cell of a hostile image begins a formula", "[reports]") {
    const ScanDocument scan = tests::make_hostile_scan();
    const PlanDocument plan = tests::make_plan(scan);
    const std::string both = collect([&](const Sink& sink) { write_scan_csv(scan, sink); }) + collect([&](const Sink& sink) { write_patchlist_csv(plan, sink); });
    for (const auto& row : read_csv(both))
        for (const std::string& cell : row) CHECK((cell.empty() || std::string("=+-@\t\r").find(cell[0]) == std::string::npos));
}

TEST_CASE("empty documents are a heading", "[reports]") {
    CHECK(read_csv(collect([](const Sink& sink) { write_scan_csv(ScanDocument{}, sink); })).size() == 1);
    CHECK(read_csv(collect([](const Sink& sink) { write_patchlist_csv(PlanDocument{}, sink); })).size() == 1);
}
