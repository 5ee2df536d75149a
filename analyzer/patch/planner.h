// SPDX-License-Identifier: Apache-2.0
// Makes the plan of an image: chooses a technique for each site, reserves room, writes stubs.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "isa/database.h"
#include "patch/cost.h"
#include "patch/plan.h"
#include "scan/code_facts.h"

namespace trapline::patch {

struct PlanOptions {
    std::string technique = "hypercall";  ///< "hypercall": every site worth more than a trap; "auto": only what must be, and what the profile shows hot
    /// Executions by part and address, from an executor's statistics; hot sites choose their room first.
    std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> executions;
    CostTable costs;
};

/// With --technique auto: a privileged site is patched from this many executions on. A patch pays after one trap; below
/// this the bytes are better left as they are.
inline constexpr std::uint64_t kHotExecutions = 100;

/// Plans the images of one document: a plain image is one part, a bzImage three. Add them in the order of the scan.
///
/// The same parts, database, interface and options give the same plan. Two patches never share a byte; every write lies in
/// one window or in an entry of .altinstructions. A patch whose stub cannot be written leaves no byte behind: its sites say
/// why, and are left to their trap or, where they are critical, unplanned.
class Planner {
public:
    Planner(const isa::Database& database, const isa::Abi& abi, PlanOptions options);
    ~Planner();

    /// Plans one image. `scan` has the findings of this part, `facts` its code.
    void add(const ScanDocument& scan, const scan::CodeFacts& facts);
    /// Gives the plan under the name of the whole image, and begins a new one: many images may be planned one after another.
    PlanDocument finish(const std::string& image);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trapline::patch
