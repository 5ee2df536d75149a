// SPDX-License-Identifier: Apache-2.0
#include "cli/kept_plans.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "reports/sample_documents.h"

using namespace trapline;
using namespace trapline::cli;
namespace fs = std::filesystem;

namespace {

/// A cache folder of its own, for as long as it lives.
struct Cache {
    std::string path = (fs::temp_directory_path() / "trapline-kept-XXXXXX").string();
    std::string before = std::getenv("XDG_CACHE_HOME") != nullptr ? std::getenv("XDG_CACHE_HOME") : "";
    Cache() {
        REQUIRE(mkdtemp(path.data()) != nullptr);
        ::setenv("XDG_CACHE_HOME", path.c_str(), 1);
    }
    ~Cache() {
        if (before.empty()) ::unsetenv("XDG_CACHE_HOME");
        else ::setenv("XDG_CACHE_HOME", before.c_str(), 1);
        std::error_code code;
        fs::remove_all(path, code);
    }
    std::vector<fs::path> plans() const {
        std::vector<fs::path> found;
        for (const auto& entry : fs::directory_iterator(fs::path(path) / "trapline" / "plans")) found.push_back(entry.path());
        return found;
    }
};

GuestFiles image(const std::string& sha256) {
    GuestFiles files;
    files.name = "kernel";
    files.sha256 = sha256;
    return files;
}

PlanDocument plan_of(const std::string& sha256) {
    PlanDocument plan = tests::make_patched_plan(tests::make_scan());
    plan.sha256 = sha256;
    return plan;
}

std::string hash(unsigned number) { return fmt::format("{:064x}", number); }

}  // namespace

TEST_CASE("a plan that has been kept is found for its image alone", "[kept_plans]") {
    const Cache cache;
    CHECK_FALSE(find_kept_plan(image(hash(1))));
    keep_plan(image(hash(1)), plan_of(hash(1)));
    const auto found = find_kept_plan(image(hash(1)));
    REQUIRE(found);
    CHECK(found->sha256 == hash(1));
    CHECK(found->patches.size() == plan_of(hash(1)).patches.size());
    CHECK_FALSE(find_kept_plan(image(hash(2))));
}

TEST_CASE("a kept plan that is no plan, or another image's, is none", "[kept_plans]") {
    const Cache cache;
    keep_plan(image(hash(1)), plan_of(hash(1)));
    REQUIRE(cache.plans().size() == 1);
    const fs::path file = cache.plans().front();
    fs::resize_file(file, fs::file_size(file) / 2);
    CHECK_FALSE(find_kept_plan(image(hash(1))));
    std::ofstream(file) << "{}";
    CHECK_FALSE(find_kept_plan(image(hash(1))));
    // Made anew, it is kept again.
    keep_plan(image(hash(1)), plan_of(hash(1)));
    CHECK(find_kept_plan(image(hash(1))));
}

TEST_CASE("of many kept plans those stay that have been used last", "[kept_plans]") {
    const Cache cache;
    const auto begun = fs::file_time_type::clock::now() - std::chrono::hours(1);
    for (unsigned i = 0; i < kMostKeptPlans; ++i) {
        keep_plan(image(hash(i)), plan_of(hash(i)));
        for (const fs::path& file : cache.plans())
            if (file.filename().string().starts_with(hash(i))) fs::last_write_time(file, begun + std::chrono::minutes(i));
    }
    REQUIRE(find_kept_plan(image(hash(0))));
    keep_plan(image(hash(99)), plan_of(hash(99)));
    CHECK(cache.plans().size() == kMostKeptPlans);
    CHECK(find_kept_plan(image(hash(0))));
    CHECK_FALSE(find_kept_plan(image(hash(1))));
    CHECK(find_kept_plan(image(hash(99))));
}

TEST_CASE("what a run has left that was ended while it wrote goes", "[kept_plans]") {
    const Cache cache;
    keep_plan(image(hash(1)), plan_of(hash(1)));
    const fs::path folder = cache.plans().front().parent_path(), old = folder / "x.plan.AbCdEf", young = folder / "y.plan.AbCdEf";
    for (const fs::path& file : {old, young}) std::ofstream(file) << "half";
    fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
    keep_plan(image(hash(2)), plan_of(hash(2)));
    CHECK_FALSE(fs::exists(old));
    CHECK(fs::exists(young));
    CHECK(find_kept_plan(image(hash(1))));
}

TEST_CASE("where nothing can be kept nothing is, and nothing fails", "[kept_plans]") {
    const Cache cache;
    std::ofstream(fs::path(cache.path) / "trapline") << "a file where the folder would be";
    keep_plan(image(hash(1)), plan_of(hash(1)));
    CHECK_FALSE(find_kept_plan(image(hash(1))));
}
