// SPDX-License-Identifier: Apache-2.0
// The distance to a port: sites counted by hand, by what Xen has for them.
#include <catch2/catch.hpp>

#include "isa/loader.h"
#include "patch/abi_distance.h"

using namespace trapline;

namespace {

const isa::Database& database() {
    static const isa::LoadOutcome kOutcome = isa::load_database(isa::embedded_spec_files());
    return kOutcome.database;
}

Finding site(std::string form, bool critical, std::string privileged, std::string part = {}) {
    Finding finding;
    finding.form = std::move(form);
    finding.critical = critical;
    finding.privileged = std::move(privileged);
    finding.part = std::move(part);
    return finding;
}

AbiDistance measure(std::vector<Finding> findings, const char* interface = "xen-pv") {
    ScanDocument scan;
    scan.findings = std::move(findings);
    const isa::Abi* abi = database().find_abi(interface);
    REQUIRE(abi != nullptr);
    return patch::measure_abi_distance(scan, database(), *abi);
}

const AbiDistanceRow* find(const AbiDistance& distance, const std::string& operation, const std::string& fit) {
    for (const AbiDistanceRow& row : distance.rows)
        if (row.operation == operation && row.fit == fit) return &row;
    return nullptr;
}

}  // namespace

TEST_CASE("sites are counted by operation and fit", "[patch]") {
    const AbiDistance distance = measure({
        site("cli", false, "cond:EFLAGS.IOPL"), site("cli", true, "cond:EFLAGS.IOPL"), site("pushf_o64", true, "no"), site("pushf_o64", true, "no"),
        site("pushf_o64", true, "no"), site("mov_cr3_r64", false, "yes"), site("clts", false, "yes"), site("stac", true, "no"), site("smsw_r", true, "no"),
        site("mov_r64_cr8", false, "yes"), site("swapgs", false, "yes"),
    });
    CHECK(distance.abi == "xen-pv");
    CHECK(distance.name == "Xen PV");
    CHECK(distance.sites() == 11);
    const AbiDistanceRow* cli = find(distance, "interrupts_off", "exact");
    REQUIRE(cli != nullptr);
    CHECK(cli->critical == 1);
    CHECK(cli->privileged == 1);
    CHECK(cli->call == "vcpu_info.evtchn_upcall_mask");
    CHECK(find(distance, "get_flags", "partial")->critical == 3);
    // One operation, three answers: page table root, TS flag, and a register that Xen does not have.
    CHECK(find(distance, "write_cr", "partial")->call == "mmuext_op: MMUEXT_NEW_BASEPTR, then mmuext_op: MMUEXT_NEW_USER_BASEPTR");
    CHECK(find(distance, "write_cr", "exact")->call == "fpu_taskswitch");
    CHECK(distance.total("none").critical == 1);    // smsw
    CHECK(distance.total("none").privileged == 1);  // cr8
    CHECK(distance.total("unneeded").sites() == 2); // stac, swapgs
    CHECK(distance.total("exact").sites() == 3);
    CHECK(distance.total("partial").sites() == 4);
}

TEST_CASE("rows stand by fit, then by number of sites, then by name", "[patch]") {
    const AbiDistance distance = measure({site("smsw_r", true, "no"), site("hlt", false, "yes"), site("cli", false, "yes"), site("pushf_o32", true, "no"),
                                          site("popf_o32", true, "no"), site("popf_o32", true, "no"), site("sgdt_m16_32", true, "no")});
    std::vector<std::string> order;
    for (const AbiDistanceRow& row : distance.rows) order.push_back(row.operation);
    CHECK(order == std::vector<std::string>{"halt", "interrupts_off", "set_flags", "get_flags", "read_cr", "store_descriptor_table"});
}

TEST_CASE("what is neither critical nor privileged is no site of a port", "[patch]") {
    CHECK(measure({site("cpuid", false, "no")}).rows.empty());
    CHECK(measure({}).sites() == 0);
}

TEST_CASE("parts that a guest of the interface never runs are counted apart", "[patch]") {
    const std::vector<Finding> findings = {site("cli", false, "yes", "setup"), site("cpuid", true, "no", "stub"), site("hlt", false, "yes", "payload")};
    const AbiDistance xen = measure(findings);
    CHECK(xen.skipped_sites == 2);
    CHECK(xen.sites() == 1);
    const AbiDistance own = measure(findings, "trapline");
    CHECK(own.skipped_sites == 0);
    CHECK(own.total("exact").sites() == 3);
}

TEST_CASE("a form that the database does not have is without equivalent", "[patch]") {
    const AbiDistance distance = measure({site("frobnicate_r64", true, "no")});
    REQUIRE(distance.rows.size() == 1);
    CHECK(distance.rows[0].operation.empty());
    CHECK(distance.rows[0].fit == "none");
}
