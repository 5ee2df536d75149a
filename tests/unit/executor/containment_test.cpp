// SPDX-License-Identifier: Apache-2.0
// Children that loop, call the host, jump away, write everywhere and forge reports: each is an outcome, none reaches
// anything. Expected outcomes are the manual's.
#include <catch2/catch.hpp>
#include <sys/wait.h>

#include <cstring>
#include <initializer_list>

#include "executor/host/nursery.h"
#include "executor/host/observation.h"

using namespace trapline;
using namespace trapline::executor;

namespace {

ProbeJob job(int width, std::initializer_list<std::uint8_t> code, RegisterPattern registers = RegisterPattern::pointers) {
    ProbeJob out{};
    out.width = static_cast<std::uint8_t>(width);
    out.registers = registers;
    for (const std::uint8_t byte : code) out.code[out.code_size++] = byte;
    return out;
}

/// The host's nurseries; none where it cannot have them, which is said once.
Nurseries* nurseries() {
    static auto started = Nurseries::start(1);
    if (!started) WARN("skipped: " + started.error().describe());
    return started ? &*started : nullptr;
}

std::vector<ProbeResult> run(const std::vector<ProbeJob>& jobs) {
    auto results = nurseries()->run(jobs, [](std::size_t, std::size_t) {});
    REQUIRE(results);
    return std::move(*results);
}

std::string outcome(const ProbeJob& experiment) { return observe(experiment, run({experiment})[0]).word(); }

const ProbeJob kNop = job(64, {0x90});  // nop

}  // namespace

TEST_CASE("An instruction that executes, one that faults, and one that is none", "[executor]") {
    if (nurseries() == nullptr) return;
    CHECK(outcome(kNop) == "executes");
    CHECK(outcome(job(64, {0xFA})) == "#GP(0)");  // cli, CPL 3 > IOPL 0
    CHECK(outcome(job(32, {0xFA})) == "#GP(0)");
    CHECK(outcome(job(64, {0x0F, 0x0B})) == "#UD");  // ud2
    CHECK(outcome(job(64, {0x06})) == "#UD");        // push es, not in 64-bit mode
    CHECK(outcome(job(32, {0x06})) == "executes");
    CHECK(outcome(job(64, {0xF7, 0xF0}, RegisterPattern::zeros)) == "#DE");  // div eax
    CHECK(outcome(job(64, {0xCD, 0x21})) == "#GP(selector)");                // int 21h: a gate of DPL 0, error code 21h * 8 + 2
    CHECK(outcome(job(64, {0xCC})) == "delivered #BP");
    CHECK(outcome(job(64, {0xC3})) == "transfers");  // ret
}

TEST_CASE("The error code is the CPU's", "[executor]") {
    if (nurseries() == nullptr) return;
    const ProbeJob experiment = job(64, {0xCD, 0x21});  // int 21h
    CHECK(run({experiment})[0].slot.error == 0x21 * 8 + 2);
}

TEST_CASE("Lengths show: by what comes behind, and at the end of a page", "[executor]") {
    if (nurseries() == nullptr) return;
    const ProbeJob mov = job(64, {0x48, 0xB8, 1, 2, 3, 4, 5, 6, 7, 8});  // movabs rax, 0807060504030201h
    CHECK(observe(mov, run({mov})[0]).length == 10);
    ProbeJob at_end = mov;
    at_end.placement = Placement::page_end;
    CHECK(outcome(at_end) == "executes");
    --at_end.code_size;
    CHECK(outcome(at_end) == "wants more bytes");
}

TEST_CASE("16-bit code runs where the host has an LDT", "[executor]") {
    if (nurseries() == nullptr || !nurseries()->abilities().code16) return;
    CHECK(outcome(job(16, {0x66, 0x9C})) == "executes");          // pushfd
    CHECK(outcome(job(16, {0xFA})) == "#GP(0)");
    const ProbeJob imm16 = job(16, {0xB8, 0x34, 0x12});            // mov ax, 1234h: three bytes in 16-bit code
    CHECK(observe(imm16, run({imm16})[0]).length == 3);
}

TEST_CASE("No way into the host's kernel", "[executor]") {
    if (nurseries() == nullptr) return;
    CHECK(outcome(job(64, {0x0F, 0x05})) == "host call x86-64");                     // syscall
    CHECK(outcome(job(64, {0xCD, 0x80})) == "host call i386");                       // int 80h
    CHECK(outcome(job(32, {0xCD, 0x80})) == "host call i386");
    const std::string fast = outcome(job(32, {0x0F, 0x05}));                          // syscall: #UD on Intel, a call on AMD
    CHECK((fast == "host call i386" || fast == "#UD"));
    const std::string enter = outcome(job(32, {0x0F, 0x34}));                         // sysenter: #UD on AMD, a call on Intel
    CHECK((enter == "host call i386" || enter == "#UD" || enter == "transfers"));
    // mov eax, 39 (getpid); syscall - a call that exists is stopped like any other.
    CHECK(outcome(job(64, {0xB8, 39, 0, 0, 0, 0x0F, 0x05})) != "executes");
    // From 64-bit code into 32-bit code and INT 80h there: push 23h; push 10000408h; retfq; int 80h.
    const ProbeJob far = job(64, {0x6A, 0x23, 0x68, 0x08, 0x04, 0x00, 0x10, 0x90, 0xCD, 0x80});
    const auto result = run({far})[0];
    CHECK(result.wait_status == 0);
    CHECK(result.slot.signal != 0);
}

TEST_CASE("The watcher's own system calls are out of reach", "[executor]") {
    if (nurseries() == nullptr) return;
    // The nursery's text, from where the filter allows everything, and the jobs of others are not mapped in a child: reads
    // find the zeros of a page that is given on demand, and never an executable one.
    for (const std::uint8_t page : {0x00, 0x20}) {
        INFO(int{page});
        const ProbeJob read = job(64, {0x48, 0xBB, 0, 0, 0, 0, page, 0x5F, 0, 0, 0x48, 0x8B, 0x03});  // mov rbx, 5F..00000000h; mov rax, [rbx]
        const auto slot = run({read})[0].slot;
        CHECK(slot.registers[0] == 0);
        CHECK(slot.pages_given == 1);
        const ProbeJob jump = job(64, {0x48, 0xBB, 0, 0, 0, 0, page, 0x5F, 0, 0, 0xC6, 0x03, 0x90, 0xFF, 0xE3});  // ...; mov byte [rbx], nop; jmp rbx
        const auto fault = run({jump})[0].slot;
        CHECK(fault.trap == 14);
        CHECK((fault.error & 0x10) != 0);  // an instruction fetch that is not allowed
    }
}

TEST_CASE("A child that never ends is ended, and the next one runs", "[executor]") {
    if (nurseries() == nullptr) return;
    const ProbeJob loop = job(64, {0xEB, 0xFE});                        // jmp $
    const ProbeJob stores = job(64, {0xC6, 0x00, 0x00, 0xEB, 0xFB});    // mov byte [rax], 0; jmp back
    const auto results = run({loop, stores, kNop});
    CHECK(observe(loop, results[0]).word() == "hangs");
    CHECK(observe(stores, results[1]).word() == "hangs");
    CHECK(observe(kNop, results[2]).word() == "executes");
}

TEST_CASE("A child that writes over everything it can reach spoils its own report only", "[executor]") {
    if (nurseries() == nullptr) return;
    // std-less rep stosq from the report page on: mov rdi, 5F1000000000h; xor eax, eax; dec rax; mov ecx, 200h; rep stosq
    const ProbeJob forge = job(64, {0x48, 0xBF, 0, 0, 0, 0, 0x10, 0x5F, 0, 0, 0x31, 0xC0, 0x48, 0xFF, 0xC8, 0xB9, 0, 2, 0, 0, 0xF3, 0x48, 0xAB});
    // The same over the watcher's variables: mov rdi, 5F0000003000h; ...; mov ecx, 2000h; rep stosq
    const ProbeJob wreck = job(64, {0x48, 0xBF, 0, 0x30, 0, 0, 0, 0x5F, 0, 0, 0x31, 0xC0, 0x48, 0xFF, 0xC8, 0xB9, 0, 0x20, 0, 0, 0xF3, 0x48, 0xAB});
    for (int round = 0; round < 3; ++round) {
        const auto results = run({kNop, forge, kNop, wreck, kNop});
        // All ones are no report: `done` is 1 or nothing.
        CHECK(observe(forge, results[1]).kind == OutcomeKind::ended);
        for (const int i : {0, 2, 4}) {
            INFO(i);
            CHECK(observe(kNop, results[static_cast<std::size_t>(i)]).word() == "executes");
        }
        CHECK(observe(wreck, results[3]).word() != "");
    }
}

TEST_CASE("Random bytes in every width end as outcomes", "[executor]") {
    if (nurseries() == nullptr) return;
    std::vector<ProbeJob> jobs;
    std::uint64_t seed = 0x9E3779B97F4A7C15;
    for (int i = 0; i < 3000; ++i) {
        ProbeJob random{};
        random.width = i % 3 == 0 ? 64 : i % 3 == 1 || !nurseries()->abilities().code16 ? 32 : 16;
        random.code_size = 32;
        for (int k = 0; k < 32; ++k) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            random.code[k] = static_cast<std::uint8_t>(seed >> 56);
        }
        random.memory = static_cast<MemoryPattern>(i % kMemoryPatternCount);
        random.registers = static_cast<RegisterPattern>(i / 7 % kRegisterPatternCount);
        jobs.push_back(random);
    }
    jobs.push_back(kNop);
    const auto results = run(jobs);
    REQUIRE(results.size() == jobs.size());
    CHECK(observe(kNop, results.back()).word() == "executes");
}

TEST_CASE("Controls that a process may change are changed for one child only", "[executor]") {
    if (nurseries() == nullptr || !nurseries()->abilities().tsd) return;
    ProbeJob rdtsc = job(64, {0x0F, 0x31});  // rdtsc
    CHECK(outcome(rdtsc) == "executes");
    rdtsc.setting = kSettingTsd;
    CHECK(outcome(rdtsc) == "#GP(0)");  // CR4.TSD at CPL 3
    rdtsc.setting = kSettingNone;
    CHECK(outcome(rdtsc) == "executes");
}
