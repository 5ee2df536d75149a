// SPDX-License-Identifier: Apache-2.0
// Counts worked out by hand on a plan of a dozen sites; goals at their very edges.
#include <catch2/catch.hpp>
#include <sstream>

#include "reports/plan_include.h"
#include "reports/plan_text.h"
#include "reports/technique_table.h"
#include "reports/text_encoding.h"
#include "sample_documents.h"

using namespace trapline;
using namespace trapline::reports;

namespace {

void add(PlanDocument& plan, const char* part, const char* mnemonic, bool critical, Technique technique, int count) {
    for (int i = 0; i < count; ++i) {
        PlannedSite site;
        site.number = static_cast<std::uint32_t>(plan.sites.size());
        site.part = part;
        site.mnemonic = site.text = mnemonic;
        site.critical = critical;
        site.technique = technique;
        plan.sites.push_back(site);
    }
}

/// Payload: pushfd 3 absorbed, popfd 1 on a breakpoint, cli 2 inline, sgdt 4 by a springboard, wrmsr 2 traps. Setup: cli 1, interpreted.
PlanDocument two_parts() {
    PlanDocument plan;
    plan.parts = {{"setup", "", "", "i386", 0, false}, {"payload", "", "", "x86_64", 0, false}};
    plan.patches.emplace_back();
    add(plan, "setup", "cli", false, Technique::interpret, 1);
    add(plan, "payload", "pushfd", true, Technique::absorb, 3);
    add(plan, "payload", "popfd", true, Technique::breakpoint, 1);
    add(plan, "payload", "cli", false, Technique::inline_code, 2);
    add(plan, "payload", "sgdt", true, Technique::springboard, 4);
    add(plan, "payload", "wrmsr", false, Technique::trap, 2);
    return plan;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the table counts sites by part, technique and group", "[reports]") {
    const TechniqueTable table = technique_table(two_parts());
    REQUIRE(table.parts.size() == 2);
    const PartTechniques& payload = table.parts[1];
    CHECK(payload.sites == 12);
    CHECK(payload.critical == 8);
    CHECK(payload.flag_related == 6);  // pushfd, popfd, cli
    REQUIRE(payload.techniques.size() == 5);
    CHECK(payload.techniques[0].technique == Technique::inline_code);
    CHECK(payload.techniques[0].flag_related == 2);
    CHECK(payload.techniques[2].technique == Technique::springboard);
    CHECK(payload.techniques[2].critical == 4);
    CHECK(payload.groups[0].sites == 4);         // pushf/popf
    CHECK(payload.groups[0].without_trap == 3);
    CHECK(payload.groups[1].sites == 2);         // cli/sti
    CHECK(payload.groups[2].breakpoints == 1);   // all critical
    CHECK(payload.groups[3].sites == 10);        // all but wrmsr
    CHECK(table.all.groups[1].sites == 3);
    CHECK(table.all.groups[1].without_trap == 3);
    CHECK(table.all.goals[0].met());
    CHECK_FALSE(table.all.goals[1].met());           // 1 of 11 on a breakpoint
    CHECK_FALSE(table.all.goals[2].met());
    CHECK(table.kernel().part == "payload");
    CHECK(payload.goals[1].whole == 10);
    CHECK(table.parts[0].goals[1].met());        // setup: its one site is interpreted
    CHECK(technique_table(tests::make_plan(tests::make_scan())).kernel().sites == 5);
}

TEST_CASE("goals are judged exactly", "[reports]") {
    PlanDocument plan;
    plan.parts = {{"", "", "", "i386", 0, false}};
    add(plan, "", "pushfd", true, Technique::absorb, 199);
    add(plan, "", "popfd", true, Technique::breakpoint, 1);
    CHECK(technique_table(plan).all.goals[1].met());  // 0.5 %
    CHECK(technique_table(plan).all.goals[2].met());  // 99.5 %
    add(plan, "", "sgdt", true, Technique::breakpoint, 1);
    CHECK_FALSE(technique_table(plan).all.goals[1].met());
    CHECK(technique_table(plan).all.goals[0].met());
    add(plan, "", "sgdt", true, Technique::unplanned, 1);
    CHECK_FALSE(technique_table(plan).all.goals[0].met());
}

TEST_CASE("what belongs to the interrupt flag goes by name", "[reports]") {
    for (const char* mnemonic : {"cli", "sti", "pushf", "pushfd", "pushfq", "popf", "popfd", "popfq", "iret", "iretd", "iretq"}) CHECK(is_flag_related(mnemonic));
    for (const char* mnemonic : {"clts", "stac", "push", "pop", "int3", "lgdt", "cl", ""}) CHECK_FALSE(is_flag_related(mnemonic));
}

// The published figures: 82 % of pushf/popf, 80 % of cli/sti, 98.0 % of all sensitive sites, 64-bit code only.
TEST_CASE("the peer's figures stand beside 64-bit code alone", "[reports]") {
    const auto part = [](const char* name, const char* architecture) {
        PartTechniques made;
        made.part = name;
        made.architecture = architecture;
        return made;
    };
    CHECK(e9patch_share(SiteGroup::pushf_popf, part("", "x86_64")) == 82.0);
    CHECK(e9patch_share(SiteGroup::cli_sti, part("payload", "x86_64")) == 80.0);
    CHECK(e9patch_share(SiteGroup::critical, part("payload", "x86_64")) == 98.0);
    CHECK_FALSE(e9patch_share(SiteGroup::critical, part("payload", "i386")).has_value());
    CHECK_FALSE(e9patch_share(SiteGroup::critical, part("stub", "x86_64")).has_value());
    const std::string text = render_technique_text(technique_table(two_parts()));
    CHECK(contains(text, "82.0 %"));
    CHECK(contains(text, "unsupported"));  // the setup part
    CHECK(contains(text, "NOT MET"));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        CHECK(columns(line) <= 100);
    }
    const std::string html = render_technique_html(technique_table(two_parts()));
    CHECK(contains(html, "E9Patch 82 %"));
    CHECK(contains(html, "width:75.00%"));  // 3 of 4
}

TEST_CASE("intentions reach no goal", "[reports]") {
    const TechniqueTable table = technique_table(tests::make_plan(tests::make_scan()));
    CHECK_FALSE(table.written);
    CHECK_FALSE(contains(render_technique_text(table), "goal:"));
    CHECK(contains(render_technique_text(technique_table(PlanDocument{})), "Nothing is to be patched."));
}

TEST_CASE("the plan as text has a line for each site, and then the tables", "[reports]") {
    const std::string text = collect([](const Sink& sink) { write_plan_text(tests::make_patched_plan(tests::make_scan()), sink); });
    CHECK(contains(text, "interface trapline 1.0"));
    CHECK(contains(text, "reserved [0xffffffffffe00000, 0xffffffffffff0000) stubs"));
    CHECK(contains(text, "0xffffffff81000010          absorb           0 0xffffffffffe00000      6650 > 12  pushfq"));
    CHECK(contains(text, "native_save_fl+0x4 arch/x86/kernel/msr.c:42"));
    CHECK(contains(text, "By technique"));
    CHECK(contains(text, "note: made by hand"));
    CHECK(text.find("0xffffffff81000010") < text.find("0xffffffff81000050"));
    CHECK_FALSE(contains(collect([](const Sink& sink) { write_plan_text(tests::make_plan(tests::make_hostile_scan()), sink); }), "\x1b"));
}

TEST_CASE("the include has a macro line for each site", "[reports]") {
    PlanDocument plan = tests::make_patched_plan(tests::make_scan());
    plan.sites[3].operation = "a\"\n.incbin \"/etc/passwd";
    const std::string text = collect([&](const Sink& sink) { write_plan_include(plan, sink); });
    CHECK(contains(text, "\ntrapline_site number=0, address=0xffffffff81000010, length=1, operation=\"operation_pushfq\", technique=\"absorb\", part=\"\"\n"));
    CHECK(contains(text, "\ntrapline_site number=4, address=0xffffffff81000050, length=3,"));
    CHECK_FALSE(contains(text, "\n.incbin"));
    CHECK(contains(text, "operation=\"a__.incbin___etc_passwd\""));
    const std::string hostile = collect([](const Sink& sink) { write_plan_include(tests::make_plan(tests::make_hostile_scan()), sink); });
    CHECK_FALSE(contains(hostile, "\x1b"));
}
