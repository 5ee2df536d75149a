// SPDX-License-Identifier: Apache-2.0
// Experiments in children: what they do to themselves must not reach the parent.
#include <catch2/catch.hpp>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <set>

#include "cli/host_probe.h"

using namespace trapline::cli;

TEST_CASE("A child's text comes back", "[cli]") {
    const ChildReport report = run_in_child([] { return std::string(100000, 'x'); });
    CHECK(report.started);
    CHECK(report.signal == 0);
    CHECK(report.text.size() == 100000);
}

TEST_CASE("A child that faults is reported by its signal and harms nothing", "[cli]") {
    for (const int number : {SIGSEGV, SIGILL, SIGTRAP}) {
        const ChildReport report = run_in_child([number] {
            ::raise(number);
            return std::string("survived");
        });
        CHECK(report.signal == number);
        CHECK(report.text.empty());
    }
}

TEST_CASE("A child that never ends is ended", "[cli]") {
    const ChildReport report = run_in_child([]() -> std::string {
        for (;;) ::pause();
    });
    CHECK(report.signal == SIGALRM);
}

TEST_CASE("A child's changes stay in the child", "[cli]") {
    run_in_child([] {
        ::setenv("TRAPLINE_PROBE_TEST", "1", 1);
        return std::string();
    });
    CHECK(::getenv("TRAPLINE_PROBE_TEST") == nullptr);
}

TEST_CASE("Every answer has a name of its own, something found and a meaning", "[cli]") {
    std::set<std::string> names;
    for (const auto& probe : {probe_cpu, probe_ring3, probe_executor, probe_resources}) {
        for (const HostAnswer& answer : probe()) {
            CHECK(names.insert(answer.name).second);
            CHECK_FALSE(answer.found.empty());
            CHECK_FALSE(answer.meaning.empty());
        }
    }
    CHECK(names.size() > 20);
}
