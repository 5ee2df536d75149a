// SPDX-License-Identifier: Apache-2.0
// Reports of children, true and forged, read as outcomes.
#include <catch2/catch.hpp>
#include <linux/audit.h>
#include <signal.h>

#include <cstring>

#include "executor/host/observation.h"

using namespace trapline::executor;

namespace {

ProbeJob two_bytes() {
    ProbeJob out{};
    out.width = 64;
    out.code_size = 2;
    out.code[0] = 0x0F;
    out.code[1] = 0x31;  // rdtsc
    return out;
}

ProbeResult report(int signal, unsigned trap, std::uint64_t offset, std::uint64_t error = 0) {
    ProbeResult out{};
    out.slot.done = 1;
    out.slot.signal = signal;
    out.slot.trap = trap;
    out.slot.error = error;
    out.slot.rip = kCodeStart + offset;
    return out;
}

}  // namespace

TEST_CASE("Signals become outcomes", "[executor]") {
    const ProbeJob job = two_bytes();
    CHECK(observe(job, report(SIGTRAP, 3, 3)) == Observation{OutcomeKind::executes, 0, 0, 2});
    CHECK(observe(job, report(SIGSEGV, 13, 0)).word() == "#GP(0)");
    CHECK(observe(job, report(SIGSEGV, 13, 0, 0x28)).word() == "#GP(selector)");
    CHECK(observe(job, report(SIGSEGV, 14, 0, 4)).word() == "#PF");
    CHECK(observe(job, report(SIGSEGV, 14, 0, 0x14)).word() == "wants more bytes");  // instruction fetch
    CHECK(observe(job, report(SIGSEGV, 14, 0x1000, 0x14)).word() == "transfers");
    CHECK(observe(job, report(SIGILL, 6, 0)).word() == "#UD");
    CHECK(observe(job, report(SIGBUS, 12, 0)).word() == "#SS(0)");
    CHECK(observe(job, report(SIGPROF, 0, 0)).word() == "hangs");
    CHECK(observe(job, report(SIGSEGV, 4, 2)).word() == "delivered #OF");
    ProbeResult call = report(SIGSYS, 0, 2);
    call.slot.call_arch = AUDIT_ARCH_I386;
    CHECK(observe(job, call).word() == "host call i386");
    call.slot.call_arch = AUDIT_ARCH_X86_64;
    CHECK(observe(job, call).word() == "host call x86-64");
}

TEST_CASE("In 16-bit code addresses count from the segment's base", "[executor]") {
    ProbeJob job = two_bytes();
    job.width = 16;
    ProbeResult result = report(SIGTRAP, 3, 3);
    result.slot.rip -= kCodePage;
    CHECK(observe(job, result).word() == "executes");
}

TEST_CASE("A child without a report, or one that forged it, says how it ended", "[executor]") {
    const ProbeJob job = two_bytes();
    ProbeResult killed{};
    killed.wait_status = SIGKILL;
    CHECK(observe(job, killed).word() == "killed by signal 9");
    ProbeResult exited{};
    exited.wait_status = 7 << 8;
    CHECK(observe(job, exited).word() == "exits with 7");
    // A report together with an exit code that the handler never gives is not believed.
    ProbeResult forged = report(SIGTRAP, 3, 3);
    forged.wait_status = 7 << 8;
    CHECK(observe(job, forged).kind == OutcomeKind::ended);
    ProbeResult garbage{};
    std::memset(&garbage.slot, 0xFF, sizeof garbage.slot);
    CHECK(observe(job, garbage).kind == OutcomeKind::ended);
    ProbeResult unknown = report(99, 3, 3);
    CHECK(observe(job, unknown).kind == OutcomeKind::ended);
}

TEST_CASE("Vectors have names", "[executor]") {
    CHECK(vector_name(0) == "#DE");
    CHECK(vector_name(13) == "#GP");
    CHECK(vector_name(21) == "#CP");
    CHECK(vector_name(99) == "#99");
    CHECK(vector_number("#GP(0)") == 13);
    CHECK(vector_number("#UD") == 6);
    CHECK(vector_number("#XY") == -1);
}
