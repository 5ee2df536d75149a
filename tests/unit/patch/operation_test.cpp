// SPDX-License-Identifier: Apache-2.0
// Which technique each kind of site gets, on findings written by hand.
#include "patch/operation.h"

#include <catch2/catch.hpp>

#include "isa/loader.h"

namespace trapline {
namespace {

const isa::Database& database() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    return outcome.database;
}

/// A critical site of `size` bytes in the middle of a function.
Finding critical(const std::string& form, std::size_t size) {
    Finding site;
    site.address = 0x1000;
    site.section = ".text";
    site.symbol = "f";
    site.symbol_offset = 0x10;
    site.mode = "64";
    site.form = form;
    site.bytes.assign(size, 0x90);
    site.privileged = "no";
    site.behavior_sensitive = "location";
    site.critical = true;
    site.evidence = Evidence::reached;
    return site;
}

PlannedSite plan_one(const Finding& site) {
    ScanDocument scan;
    scan.findings = {site};
    const PlanDocument plan = patch::plan_operations(scan, database());
    REQUIRE(plan.sites.size() == 1);
    CHECK(plan.by_technique == std::map<std::string, std::uint64_t>{{std::string(to_string(plan.sites[0].technique)), 1}});
    CHECK_FALSE(plan.sites[0].why.empty());
    return plan.sites[0];
}

TEST_CASE("plan: room decides between direct, absorb and breakpoint") {
    CHECK(plan_one(critical("sgdt_m16_64", 8)).technique == Technique::direct);
    CHECK(plan_one(critical("sgdt_m16_64", 5)).technique == Technique::direct);
    CHECK(plan_one(critical("sgdt_m16_64", 4)).technique == Technique::absorb);
    CHECK(plan_one(critical("sgdt_m16_64", 4)).operation == "store_descriptor_table");

    Finding lonely = critical("sgdt_m16_64", 4);
    lonely.symbol.clear();
    CHECK(plan_one(lonely).technique == Technique::breakpoint);

    Finding short16 = critical("sgdt_m16_32", 3);
    short16.mode = "16";
    CHECK(plan_one(short16).technique == Technique::direct);  // E9 rel16 takes three bytes
}

TEST_CASE("plan: what a kernel table speaks of is not moved") {
    for (const char* kind : {"alternative-original", "alternative-replacement", "exception-table", "jump-label"}) {
        Finding site = critical("verw_m16", 3);
        site.context.push_back({kind, ""});
        CHECK(plan_one(site).technique == Technique::breakpoint);
    }
    Finding site = critical("verw_m16", 3);
    site.context.push_back({"init", ""});
    CHECK(plan_one(site).technique == Technique::absorb);
}

TEST_CASE("plan: the virtual flags are used in place, even where the instruction would trap") {
    CHECK(plan_one(critical("popf_o64", 1)).technique == Technique::inline_code);
    CHECK(plan_one(critical("popf_o64", 1)).operation == "set_flags");
    Finding cli = critical("cli", 1);
    cli.privileged = "cond:EFLAGS.IOPL";
    cli.critical = false;
    CHECK(plan_one(cli).technique == Technique::inline_code);
    CHECK(plan_one(cli).operation == "interrupts_off");
}

TEST_CASE("plan: what traps is left to trap") {
    Finding hlt = critical("hlt", 1);
    hlt.privileged = "yes";
    hlt.critical = false;
    CHECK(plan_one(hlt).technique == Technique::trap);
    CHECK(plan_one(hlt).operation == "halt");

    Finding rdtsc = critical("rdtsc", 2);
    rdtsc.privileged = "cond:CR4.TSD";
    CHECK(plan_one(rdtsc).technique == Technique::absorb);  // the VMM does not set TSD
    rdtsc.critical = false;
    CHECK(plan_one(rdtsc).technique == Technique::trap);    // it does
    CHECK(plan_one(rdtsc).why.find("CR4.TSD") != std::string::npos);
}

TEST_CASE("plan: overlapping instructions cannot be rewritten") {
    Finding site = critical("sgdt_m16_64", 8);
    site.evidence = Evidence::hidden;
    CHECK(plan_one(site).technique == Technique::unplanned);
    site.form = "popf_o64";
    CHECK(plan_one(site).technique == Technique::unplanned);
    site.form = "hlt";
    site.privileged = "yes";
    site.critical = false;
    CHECK(plan_one(site).technique == Technique::trap);
}

TEST_CASE("plan: a form that the database does not have is unplanned") {
    const PlannedSite site = plan_one(critical("no_such_form", 8));
    CHECK(site.technique == Technique::unplanned);
    CHECK(site.why.find("no_such_form") != std::string::npos);
}

TEST_CASE("plan: sites keep the order of the findings, and what needs nothing is left out") {
    ScanDocument scan;
    scan.image = "vmlinuz";
    scan.sha256 = "00ff";
    scan.profile = "base";
    scan.findings = {critical("popf_o64", 1), critical("sgdt_m16_64", 8), critical("popf_o64", 1)};
    scan.findings[1].critical = false;  // neither critical nor privileged
    scan.findings[2].address = 0x2000;
    const PlanDocument plan = patch::plan_operations(scan, database());
    REQUIRE(plan.sites.size() == 2);
    CHECK(plan.sites[0].address == 0x1000);
    CHECK(plan.sites[1].address == 0x2000);
    CHECK(plan.sha256 == "00ff");
    CHECK(plan.by_technique.at("inline") == 2);
}

}  // namespace
}  // namespace trapline
