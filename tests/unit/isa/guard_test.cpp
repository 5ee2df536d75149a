// SPDX-License-Identifier: Apache-2.0
// The guard language: what it accepts, what it means, and what it says of text that it refuses.
#include <catch2/catch.hpp>

#include "isa/guard.h"

using namespace trapline;
using isa::Guard;

namespace {

std::vector<isa::Atom> vocabulary() {
    return {{"cpl", isa::Axis::mode, 4, "", 0, ""}, {"iopl", isa::Axis::mode, 4, "EFLAGS.IOPL", 0, ""}, {"cr4.tsd", isa::Axis::control, 2, "CR4.TSD", 1, ""}};
}

bool holds(const std::string& text, std::uint8_t cpl, std::uint8_t iopl, std::uint8_t tsd) {
    const auto atoms = vocabulary();
    const auto guard = Guard::parse(text, atoms);
    INFO(text);
    REQUIRE(guard.has_value());
    return guard->evaluate({cpl, iopl, tsd});
}

std::string refusal(const std::string& text) {
    const auto atoms = vocabulary();
    const auto guard = Guard::parse(text, atoms);
    INFO(text);
    REQUIRE_FALSE(guard.has_value());
    return guard.error().message;
}

}  // namespace

TEST_CASE("guards compare levels", "[isa]") {
    CHECK(holds("cpl <= iopl", 0, 0, 0));
    CHECK(holds("cpl <= iopl", 3, 3, 0));
    CHECK_FALSE(holds("cpl <= iopl", 3, 2, 0));
    CHECK(holds("cpl > 0", 1, 0, 0));
    CHECK_FALSE(holds("cpl > 0", 0, 0, 0));
    CHECK(holds("cpl != 2", 3, 0, 0));
    CHECK(holds("3 >= cpl", 3, 0, 0));
    CHECK_FALSE(holds("3 > cpl", 3, 0, 0));
    CHECK(holds("cpl==0", 0, 0, 0));
}

TEST_CASE("and binds closer than or, and not closer than both", "[isa]") {
    CHECK(holds("cr4.tsd || cpl == 0 && iopl == 3", 3, 0, 1));
    CHECK_FALSE(holds("(cr4.tsd || cpl == 0) && iopl == 3", 3, 0, 1));
    CHECK(holds("!cr4.tsd && cpl == 0", 0, 0, 0));
    CHECK_FALSE(holds("!(cr4.tsd && cpl == 0)", 0, 0, 1));
    CHECK(holds("!!cr4.tsd", 0, 0, 1));
}

TEST_CASE("a guard without text always holds and mentions nothing", "[isa]") {
    const Guard guard;
    CHECK(guard.always());
    CHECK(guard.evaluate({3, 3, 1}));
    CHECK(guard.atoms().empty());
}

TEST_CASE("a guard lists the atoms it mentions once", "[isa]") {
    const auto atoms = vocabulary();
    const auto guard = Guard::parse("iopl == 0 || cpl > iopl", atoms);
    REQUIRE(guard.has_value());
    CHECK(guard->atoms() == std::vector<isa::AtomIndex>{0, 1});
}

TEST_CASE("refused guards name the place and the legal words", "[isa]") {
    CHECK_THAT(refusal("cr4.umip && cpl > 0"), Catch::Contains("unknown word \"cr4.umip\"") && Catch::Contains("column 1") && Catch::Contains("cr4.tsd"));
    CHECK_THAT(refusal("cpl"), Catch::Contains("not a condition"));
    CHECK_THAT(refusal("cpl > 4"), Catch::Contains("found the value 4, expected 0 to 3"));
    CHECK_THAT(refusal("cpl > "), Catch::Contains("expected an atom or a number"));
    CHECK_THAT(refusal("(cpl > 0"), Catch::Contains("closing parenthesis"));
    CHECK_THAT(refusal("cpl > 0 cr4.tsd"), Catch::Contains("column 9"));
    CHECK_THAT(refusal("cpl = 0"), Catch::Contains("not a condition"));
    CHECK_THAT(refusal(""), Catch::Contains("expected an atom"));
    CHECK_THAT(refusal(std::string(5000, '!')), Catch::Contains("4096"));
    CHECK_THAT(refusal(std::string(1000, '(') + "cpl > 0"), Catch::Contains("nested too deeply"));
    CHECK_THAT(refusal(std::string(1000, '!') + "cr4.tsd"), Catch::Contains("nested too deeply"));
}
