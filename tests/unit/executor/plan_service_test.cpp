// SPDX-License-Identifier: Apache-2.0
// The memory that a plan comes through is the monitor's too. Here it is found as the monitor might, and written over.
#include "executor/host/plan_service.h"

#if defined(__linux__) && defined(__x86_64__)

#include <poll.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <string>

using namespace trapline;
using namespace trapline::executor;

namespace {

std::uint8_t* find_shared_memory() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
        if (line.find("trapline-plan") != std::string::npos) return reinterpret_cast<std::uint8_t*>(std::stoull(line, nullptr, 16));
    FAIL("no shared memory");
    return nullptr;
}

/// State, size and code of the header, and what follows.
void forge(std::uint32_t state, std::uint32_t size, std::uint32_t code, const char* words = "") {
    const std::array<std::uint32_t, 3> header = {state, size, code};
    std::uint8_t* const memory = find_shared_memory();
    std::memcpy(memory, header.data(), sizeof header);
    std::memcpy(memory + sizeof header, words, std::strlen(words));
}

}  // namespace

TEST_CASE("what the monitor writes over the shared plan harms nobody", "[plan_service]") {
    PlanService service;
    REQUIRE(service.prepare());
    // Sizes that lead far beyond the memory once ended the broker.
    for (const std::uint32_t size : {0u, 64u << 20, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
        INFO(size);
        forge(2, size, 0);
        const Status forged = service.finish();
        REQUIRE_FALSE(forged);
        CHECK(forged.error().code == ErrorCode::host_limit);
        CHECK(forged.error().message == "the planning process ended without a plan");
        forge(1, size, 0, "no plan at all");
        CHECK(service.finish());
        CHECK_FALSE(service.take());
    }
    forge(2, 5, 0xFFFF, "words");
    CHECK(service.finish().error().message == "the planning process ended without a plan");
    forge(77, 5, 0, "words");
    CHECK(service.finish().error().message == "the planning process ended without a plan");
    forge(2, 5, static_cast<std::uint32_t>(ErrorCode::malformed), "words and more");
    CHECK(service.finish().error().message == "words");
    CHECK(service.finish().error().code == ErrorCode::malformed);
}

TEST_CASE("an error comes through, cut where it is endless", "[plan_service]") {
    PlanService service;
    REQUIRE(service.prepare());
    REQUIRE(service.start([]() -> Result<std::vector<std::uint8_t>> { return fail(ErrorCode::unsupported, std::string(1 << 20, 'x')); }, false));
    pollfd done{service.descriptor(), POLLIN, 0};
    REQUIRE(poll(&done, 1, 10'000) == 1);
    const Status planned = service.finish();
    REQUIRE_FALSE(planned);
    CHECK(planned.error().code == ErrorCode::unsupported);
    CHECK(planned.error().message == std::string(64 << 10, 'x'));
}

#endif
