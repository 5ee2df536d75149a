// SPDX-License-Identifier: Apache-2.0
// Documents made by hand for the tests of the renderers. Tags of the instructions are those of the literature: POPF, PUSHF
// and SGDT are Robin and Irvine's sensitive, unprivileged instructions (USENIX Security 2000, table 2).
#pragma once

#include "executor/host/run_statistics.h"
#include "patch/plan.h"
#include "scan/finding.h"

namespace trapline::tests {

/// A name that tries markup, a formula, an end of script, a terminal escape, a direction override and broken UTF-8.
inline const std::string kHostileName = "=cmd|' /C calc'!A0,\"</script><img src=x onerror=alert(1)>{{js}}\x1b[31m\xff\xe2\x80\xae\n";

inline Finding make_finding(std::uint64_t address, std::string mnemonic, std::string privileged, bool control, std::string behavior, bool critical) {
    Finding finding;
    finding.address = address;
    finding.file_offset = address - 0xffffffff81000000u + 0x200000u;
    finding.section = ".text";
    finding.symbol = "native_save_fl";
    finding.symbol_offset = 4;
    finding.mode = "64";
    finding.decode_mode = "64";
    finding.bytes = {0x9c};
    finding.text = mnemonic;
    finding.mnemonic = mnemonic;
    finding.form = mnemonic + "_form";
    finding.family = "flags";
    finding.privileged = std::move(privileged);
    finding.control_sensitive = control;
    finding.behavior_sensitive = std::move(behavior);
    finding.critical = critical;
    finding.evidence = Evidence::reached;
    return finding;
}

/// Five findings: one of each region of the sets that the tests count by hand.
inline ScanDocument make_scan() {
    ScanDocument scan;
    scan.image = "linux.deb!boot/vmlinuz-6.1!payload";
    scan.format = "elf64";
    scan.architecture = "x86_64";
    scan.sha256 = std::string(64, '5');
    scan.build_id = "0badcafe";
    scan.symbol_source = "kallsyms";
    scan.wrappers = {"deb", "xz", "bzimage", "xz"};
    scan.size = 65000000;
    scan.profile = "base";
    scan.database_version = "0123456789abcdef";
    scan.program_version = "0.1.0";
    scan.sections = {{"", ".text", 0xffffffff81000000u, 0x1000, 900, 120, 3, 800, 1}};
    scan.notes = {"kallsyms: 3 symbols outside all sections"};
    scan.seconds = 1.5;
    scan.findings.push_back(make_finding(0xffffffff81000010u, "pushfq", "no", false, "both", true));
    scan.findings.push_back(make_finding(0xffffffff81000020u, "popfq", "no", true, "mode", true));
    scan.findings.push_back(make_finding(0xffffffff81000030u, "wrmsr", "yes", true, "no", false));
    scan.findings.push_back(make_finding(0xffffffff81000040u, "in", "cond:EFLAGS.IOPL", false, "location", false));
    scan.findings.push_back(make_finding(0xffffffff81000050u, "sgdt", "cond:CR4.UMIP", false, "location", true));
    scan.findings[1].context = {{"alternative-replacement", "for 0xffffffff81000123"}, {"init", ""}};
    scan.findings[1].evidence = Evidence::swept;
    scan.findings[2].source_file = "arch/x86/kernel/msr.c";
    scan.findings[2].source_line = 42;
    scan.findings[3].disagreements = {{"capstone", "length 2", "Capstone 4 reads a prefix too many."}};
    scan.findings[4].disagreements = {{"llvm-mc", "invalid", ""}};
    scan.findings[4].evidence = Evidence::hidden;
    return scan;
}

/// A plan of intentions for the scan: a technique for each site, nothing written.
inline PlanDocument make_plan(const ScanDocument& scan) {
    PlanDocument plan;
    plan.parts = {{"", scan.sha256, scan.build_id, scan.architecture, scan.size, scan.relocatable}};
    plan.image = scan.image;
    plan.sha256 = scan.sha256;
    plan.build_id = scan.build_id;
    plan.profile = scan.profile;
    plan.database_version = scan.database_version;
    plan.program_version = scan.program_version;
    constexpr Technique techniques[] = {Technique::inline_code, Technique::inline_code, Technique::trap, Technique::trap, Technique::unplanned};
    for (std::size_t i = 0; i < scan.findings.size(); ++i) {
        const Finding& finding = scan.findings[i];
        PlannedSite site;
        site.number = static_cast<std::uint32_t>(i);
        site.address = finding.address;
        site.file_offset = finding.file_offset;
        site.mode = finding.decode_mode;
        site.privileged = finding.privileged;
        site.part = finding.part;
        site.section = finding.section;
        site.symbol = finding.symbol;
        site.symbol_offset = finding.symbol_offset;
        site.source_file = finding.source_file;
        site.source_line = finding.source_line;
        site.text = finding.text;
        site.mnemonic = finding.mnemonic;
        site.form = finding.form;
        site.operation = "operation_" + finding.mnemonic;
        site.technique = techniques[i % 5];
        site.why = "It is so.";
        site.bytes = finding.bytes;
        site.critical = finding.critical;
        site.evidence = finding.evidence;
        ++plan.by_technique[std::string(to_string(site.technique))];
        plan.sites.push_back(site);
    }
    return plan;
}

/// A whole plan of the sample scan, with one patch of each shape that the document knows: pushfq moves to a stub with a
/// neighbour behind it, popfq is led there by a springboard, sgdt takes a breakpoint. The code is
/// ...10: 9c pushfq; 48 89 d8 mov rax, rbx; 90 nop   ...20: 9d popfq; 90 nop   ...50: 0f 01 00 sgdt [rax]
inline PlanDocument make_patched_plan(const ScanDocument& scan) {
    PlanDocument plan = make_plan(scan);
    plan.abi = "trapline";
    plan.abi_version = "1.0";
    plan.reserved = {{0xffffffffffe00000u, 0xffffffffffff0000u, "stubs"}, {0xffffffffffff0000u, 0xffffffffffff1000u, "gate"}};
    plan.notes = {"made by hand"};
    const std::uint64_t stub = 0xffffffffffe00000u;
    PlanPatch absorb{Technique::absorb, "", 0xffffffff81000010u, 0xffffffff81000015u, {}, {0}, {}, {"no target inside"}, false};
    absorb.writes = {{".text", 0xffffffff81000010u, 0x200010, {0x9c, 0x48, 0x89, 0xd8, 0x90}, {0xe9, 0xeb, 0xff, 0xdf, 0x7e}, "jump"}};
    absorb.atomic = true;
    absorb.moved = {{0xffffffff81000011u, stub + 1, {0x48, 0x89, 0xd8}, "mov rax, rbx"}};
    PlanPatch springboard{Technique::springboard, "", 0xffffffff81000020u, 0xffffffff81000022u, {}, {1}, {}, {"dead filler"}, false};
    springboard.writes = {{".text", 0xffffffff81000042u, 0x200042, {0xcc, 0xcc, 0xcc, 0xcc, 0xcc}, {0xe9, 0xc9, 0xff, 0xdf, 0x7e}, "springboard"},
                          {".text", 0xffffffff81000020u, 0x200020, {0x9d, 0x90}, {0xeb, 0x20}, "short-jump"}};
    PlanPatch breakpoint{Technique::breakpoint, "", 0xffffffff81000050u, 0xffffffff81000053u, {}, {}, {}, {"one byte"}, true};
    breakpoint.writes = {{".text", 0xffffffff81000050u, 0x200050, {0x0f}, {0xcc}, "breakpoint"}};
    plan.patches = {absorb, springboard, breakpoint};
    plan.stubs = {{stub, {"pushfq", "mov rax, rbx", "jmp 0xffffffff81000015"}, {0x9c, 0x48, 0x89, 0xd8, 0xe9, 0x0c, 0x00, 0x20, 0x81},
                   {{0, 0xffffffff81000010u}, {1, 0xffffffff81000011u}, {4, 0xffffffff81000015u}}, {{5, FixupKind::image_relative}}},
                  {stub + 16, {"popfq", "jmp 0xffffffff81000022"}, {0x9d, 0xe9, 0x0c, 0x00, 0x20, 0x81}, {{0, 0xffffffff81000020u}, {1, 0xffffffff81000022u}}, {{2, FixupKind::image_relative}}}};
    const auto assign = [&](std::size_t site, std::uint32_t patch) {
        plan.sites[site].patch = patch;
        plan.sites[site].technique = plan.patches[patch].technique;
        plan.sites[site].fallback = Technique::breakpoint;
        plan.sites[site].bytes = {plan.patches[patch].writes.back().old_bytes[0]};
        plan.sites[site].cycles_trap = 6650;
        plan.sites[site].cycles = 12.5;
    };
    assign(0, 0);
    assign(1, 1);
    assign(4, 2);
    plan.sites[0].resume = stub + 1;
    plan.sites[0].clobbers = {"8 bytes below rsp"};
    plan.sites[0].flags = FlagsLiveness::live;
    plan.sites[0].executions = 1000;
    plan.sites[0].refused = {{Technique::inline_code, "the room is too small"}, {Technique::direct, "1 byte holds no jump"}};
    plan.sites[4].bytes = {0x0f, 0x01, 0x00};
    plan.by_technique = {{"absorb", 1}, {"springboard", 1}, {"breakpoint", 1}, {"trap", 2}};
    return plan;
}

/// A run of the sample scan's image: pushfq by breakpoints and a hypercall, popfq where the guest has put other bytes, an
/// instruction that no document has, and one of other code. 40 + 5 + 3 + 2 = 50 executions in 900 + 0 + 30 + 70 = 1,000 ns.
inline RunStatistics make_run() {
    RunStatistics run;
    run.image = "vmlinuz-6.1";
    run.sha256 = std::string(64, '5');
    run.protocol = "Linux boot protocol 2.15 (bzImage)";
    run.command_line = "console=ttyS0";
    run.memory = 1 << 28;
    run.technique = "auto";
    run.containment = {"no-new-privileges", "seccomp"};
    run.ending = "power-off";
    run.wall = 10'000;
    run.guest = 3'000;
    run.monitor = 1'000;
    run.idle = 5'000;
    run.arrivals = {{{2, 70}, {30, 600}, {13, 330}, {5, 0}}};
    run.mnemonics = {{"pushfq", {{{}, {30, 600}, {10, 300}, {}}}}, {"popfq", {{{}, {}, {}, {5, 0}}}}, {"cpuid", {{{}, {}, {3, 30}, {}}}}, {"hlt", {{{2, 70}, {}, {}, {}}}}};
    run.exits = {{"entries", 46}, {"signals", 33}, {"hypercalls", 13}, {"kicks", 1}, {"interpreted", 99}};
    run.mmu = {{"fills_mapped", 11}, {"fills_faulted", 12}, {"fills_interpreted", 13}, {"fills_refused", 0}, {"maps", 15}, {"unmaps", 16}, {"protects", 17}, {"flushes", 18},
               {"code_pages_scanned", 19}, {"code_writes", 20}, {"code_reads", 21}};
    run.events = {{14, 7}, {48, 21}, {128, 3}};
    run.sites = {{"payload", 0xffffffff81000010u, {0x9c}, "pushfq", {{{}, {30, 600}, {10, 300}, {}}}},
                 {"payload", 0xffffffff81000020u, {0x90}, "popfq", {{{}, {}, {}, {5, 0}}}},
                 {"payload", 0xffffffff81000900u, {0x0f, 0xa2}, "cpuid", {{{}, {}, {3, 30}, {}}}},
                 {std::string(kOtherCode), 0x8048000u, {0xf4}, "hlt", {{{2, 70}, {}, {}, {}}}}};
    return run;
}

/// The sample with kHostileName in every place that an image or the network can name.
inline ScanDocument make_hostile_scan() {
    ScanDocument scan = make_scan();
    scan.image = scan.sections[0].name = scan.profile = kHostileName;
    scan.notes = {kHostileName};
    scan.wrappers = {kHostileName};
    for (Finding& finding : scan.findings) {
        finding.section = finding.symbol = finding.source_file = finding.text = kHostileName;
        finding.context = {{kHostileName, kHostileName}};
        finding.disagreements = {{kHostileName, kHostileName, kHostileName}};
    }
    return scan;
}

}  // namespace trapline::tests
