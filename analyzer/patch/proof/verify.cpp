// SPDX-License-Identifier: Apache-2.0
// Verification of one part: comparisons first, then the proofs on all processors.
#include "patch/proof/verify.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <tuple>

#include "patch/proof/module_fields.h"
#include "patch/proof/placed_plan.h"
#include "patch/proof/window_builder.h"
#include "patch/rewrite_check.h"
#include "patch/self_moving.h"
#include "support/bytes.h"

namespace trapline {

std::string_view to_string(VerifyKind kind) {
    switch (kind) {
        case VerifyKind::write: return "write";
        case VerifyKind::stub: return "stub";
        case VerifyKind::unpatched: return "unpatched";
        case VerifyKind::unknown: return "unknown";
        case VerifyKind::proof: return "proof";
        case VerifyKind::image: return "image";
    }
    return "?";
}

namespace patch::proof {
namespace {

/// Where boot loaders put the protected-mode part of a bzImage that names no other place.
constexpr std::uint64_t kLoadedAt = 0x100000;

/// Bytes by section name and address. Where a relocatable file has several sections of a name, the first that holds them.
class SectionBytes {
public:
    explicit SectionBytes(const image::Image& image) {
        for (const image::Section& section : image.sections) by_name_[section.name].push_back(&section);
    }
    Bytes read(std::string_view name, std::uint64_t address, std::uint64_t size) const {
        const auto found = by_name_.find(name);
        if (found == by_name_.end()) return {};
        for (const image::Section* section : found->second)
            if (address >= section->address.value)
                if (const auto bytes = ByteView(section->bytes).slice(address - section->address.value, size)) return *bytes;
        return {};
    }
    /// Bytes of whichever section lies there; for stubs, whose section the plan does not name.
    Bytes read(const image::Image& image, std::uint64_t address, std::uint64_t size) const {
        const auto index = image.find_section(VirtAddr{address});
        if (!index) return {};
        const image::Section& section = image.sections[*index];
        return ByteView(section.bytes).slice(address - section.address.value, size).value_or(Bytes{});
    }

private:
    std::map<std::string, std::vector<const image::Section*>, std::less<>> by_name_;
};

/// "found 90 90, expected e9 01", cut to what a line holds.
std::string compare_text(Bytes found, Bytes expected) {
    constexpr std::size_t kMost = 16;
    if (found.size() != expected.size()) return "no section of the image holds it";
    const auto [one, two] = std::mismatch(found.begin(), found.end(), expected.begin());
    const auto at = static_cast<std::size_t>(one - found.begin());
    const std::size_t count = std::min(kMost, found.size() - at);
    return fmt::format("found {}, expected {} at byte {} of {}", to_hex(found.subspan(at, count)), to_hex(expected.subspan(at, count)), at, expected.size());
}

class PartVerifier {
public:
    PartVerifier(const image::Image& image, const ScanDocument& scan, const PlanDocument& plan, const std::string& part, const isa::Abi& abi,
                 const VerifyOptions& options, VerifyReport& report)
        : image_(image), scan_(scan), plan_(plan), part_(part), abi_(abi), options_(options), report_(report), bytes_(image), fields_(image) {}

    void run() {
        for (std::size_t i = 0; i < plan_.patches.size(); ++i)
            if (plan_.patches[i].part == part_) patches_.push_back(i);
        counts_.part = part_;
        check_writes();
        check_stubs();
        check_sites();
        prove();
        report_.patches += counts_.patches;
        report_.proved += counts_.proved;
        report_.critical_reached += counts_.critical_reached;
        report_.critical_swept += counts_.critical_swept;
        report_.parts.push_back(counts_);
    }

private:
    void add(VerifyKind kind, const std::string& section, std::uint64_t address, std::string text, std::string report = {}) {
        VerifyFinding finding{kind, part_, section, address, {}, 0, std::move(text), std::move(report)};
        for (image::SectionIndex i = 0; i < image_.sections.size(); ++i) {
            if (image_.sections[i].name != section) continue;
            if (const image::Symbol* symbol = image_.find_symbol(i, VirtAddr{address})) {
                finding.symbol = symbol->name;
                finding.symbol_offset = address - symbol->address.value;
            }
            break;
        }
        report_.findings.push_back(std::move(finding));
    }

    void check_writes() {
        for (const std::size_t index : patches_)
            for (const PlanWrite& write : plan_.patches[index].writes) {
                ++report_.writes;
                const Bytes read = bytes_.read(write.section, write.address, write.new_bytes.size());
                std::vector<std::uint8_t> found(read.begin(), read.end());
                if (image_.relocatable && found.size() == write.new_bytes.size())
                    if (const std::string wrong = fields_.fill_write(write, found); !wrong.empty()) {
                        add(VerifyKind::write, write.section, write.address, fmt::format("{}: {}", write.what, wrong));
                        continue;
                    }
                if (found != write.new_bytes) add(VerifyKind::write, write.section, write.address, fmt::format("{}: {}", write.what, compare_text(found, write.new_bytes)));
            }
    }

    void check_stubs() {
        for (const std::size_t index : patches_)
            for (const std::uint32_t number : plan_.patches[index].stubs) {
                if (number >= plan_.stubs.size()) continue;  // the proof says so
                const PlanStub& stub = plan_.stubs[number];
                ++report_.stubs;
                const Bytes read = image_.relocatable ? bytes_.read(kModuleStubs, stub.address, stub.bytes.size()) : bytes_.read(image_, stub.address, stub.bytes.size());
                std::vector<std::uint8_t> found(read.begin(), read.end());
                std::string wrong;
                if (image_.relocatable && found.size() == stub.bytes.size()) wrong = fields_.fill_stub(plan_.patches[index], stub, found);
                if (wrong.empty() && found != stub.bytes) wrong = compare_text(found, stub.bytes);
                if (!wrong.empty())
                    add(VerifyKind::stub, image_.relocatable ? std::string(kModuleStubs) : "", stub.address, fmt::format("stub of {:#x}: {}", plan_.patches[index].begin, wrong));
            }
    }

    bool is_stub_code(const Finding& finding) const {
        if (finding.section == kModuleStubs) return true;
        if (part_ == kStubPart)
            if (const ReservedRange* const range = find_boot_stubs(plan_)) return finding.address >= range->begin && finding.address < range->end;
        const auto mode = parse_mode(finding.decode_mode);
        const isa::AbiArea* const area = mode && !image_.relocatable ? abi_.find_area(*mode) : nullptr;
        return area != nullptr && area->stubs.contains(VirtAddr{finding.address});
    }

    /// The setup runs in real mode and ends with the jump into the boot stub: no deprivileged processor runs any of it.
    bool is_interpreted(const PlannedSite& site) const { return site.technique == Technique::interpret && part_ == kSetupPart && image_.format == image::Format::bzimage_setup; }

    /// What stands against a critical instruction that is still there; empty when it may stay.
    std::string objection(const PlannedSite& site) const {
        if (is_interpreted(site)) return {};
        if (site.technique == Technique::watch) return "the plan takes it for what no control flow leads to, and control flow does";
        if (!site.patch || *site.patch >= plan_.patches.size())
            return fmt::format("it is left with technique {}{}", to_string(site.technique), site.why.empty() ? "" : ": " + site.why);
        const PlanPatch& patch = plan_.patches[*site.patch];
        // The replacement of an alternative stays where it is; what counts is that the table no longer leads to it.
        const bool redirected = !patch.writes.empty() && std::all_of(patch.writes.begin(), patch.writes.end(), [](const PlanWrite& write) { return write.what == "alternative"; });
        return redirected ? std::string() : std::string("its patch leaves it in place");
    }

    void check_sites() {
        std::map<std::pair<std::string_view, std::uint64_t>, const PlannedSite*> planned;
        for (const PlannedSite& site : plan_.sites)
            if (site.part == part_) planned.emplace(std::pair{std::string_view(site.section), site.address}, &site);
        for (const Finding& finding : scan_.findings) {
            // INT3 brings the VMM wherever it stands, the guest's own and those of the plan.
            if (!finding.critical || finding.form == "int3" || is_stub_code(finding)) continue;
            if (finding.evidence != Evidence::reached) {
                ++counts_.critical_swept;
                continue;
            }
            ++counts_.critical_reached;
            const auto site = planned.find({finding.section, finding.address});
            if (site == planned.end()) {
                add(VerifyKind::unknown, finding.section, finding.address, fmt::format("{} is critical and the plan does not know it", finding.text));
            } else if (const std::string why = objection(*site->second); !why.empty()) {
                add(VerifyKind::unpatched, finding.section, finding.address, fmt::format("{} is critical: {}", finding.text, why));
            } else if (is_interpreted(*site->second)) {
                ++counts_.interpreted;
            }
        }
    }

    void prove() {
        // The proof needs addresses that mean one thing each.
        const isa::AbiArea* const area = image_.relocatable ? abi_.find_area(image_.architecture == "x86_64" ? Mode::long64 : Mode::protected32) : nullptr;
        const PlanDocument placed = area != nullptr ? place_stubs(plan_, area->stubs.begin.value) : PlanDocument{};
        // What moves itself is proved where a boot loader puts it, and its bytes are those written for address 0.
        const bool moves = moves_itself(image_);
        const std::uint64_t distance = moves ? kLoadedAt : 0;
        const PlanDocument loaded = moves ? place_boot_stub(plan_, distance) : PlanDocument{};
        const WindowBuilder builder(area != nullptr ? placed : moves ? loaded : plan_, [this, distance](std::string_view section, std::uint64_t address, std::uint64_t size) {
            return bytes_.read(section, address - distance, size);
        }, abi_);
        std::vector<Proof> proofs(patches_.size());
        std::atomic<std::uint64_t> done = 0;
        std::mutex mutex;
        tbb::task_arena arena(options_.jobs > 0 ? options_.jobs : tbb::task_arena::automatic);
        arena.execute([&] {
            tbb::parallel_for(std::size_t{0}, patches_.size(), [&](std::size_t i) {
                auto window = builder.build(patches_[i]);
                if (window) proofs[i] = prove_window(*window, options_.proof);
                else proofs[i].difference = window.error().describe();
                const std::uint64_t count = ++done;
                if (!options_.progress || count % 64 != 0) return;
                const std::lock_guard lock(mutex);
                options_.progress(count, patches_.size());
            });
        });
        for (std::size_t i = 0; i < proofs.size(); ++i) {
            const PlanPatch& patch = plan_.patches[patches_[i]];
            ++counts_.patches;
            counts_.proved += proofs[i].holds;
            report_.rounds += proofs[i].rounds;
            if (!proofs[i].holds)
                add(VerifyKind::proof, patch.writes.empty() ? "" : patch.writes.back().section, patch.begin,
                    fmt::format("{}: {}", to_string(patch.technique), proofs[i].difference), std::move(proofs[i].report));
        }
    }

    const image::Image& image_;
    const ScanDocument& scan_;
    const PlanDocument& plan_;
    const std::string& part_;
    const isa::Abi& abi_;
    const VerifyOptions& options_;
    VerifyReport& report_;
    SectionBytes bytes_;
    ModuleFields fields_;
    std::vector<std::size_t> patches_;  ///< of this part
    VerifyPart counts_;
};

}  // namespace

void verify_part(const image::Image& image, const ScanDocument& scan, const PlanDocument& plan, const std::string& part, const isa::Abi& abi,
                 const VerifyOptions& options, VerifyReport& report) {
    report.seed = options.proof.seed;
    report.rounds_each = options.proof.rounds;
    PartVerifier(image, scan, plan, part, abi, options, report).run();
}

void finish_report(const PlanDocument& plan, const std::vector<std::string>& parts_met, VerifyReport& report) {
    report.plan_sha256 = plan.sha256;
    for (const PlanImage& part : plan.parts)
        if (std::find(parts_met.begin(), parts_met.end(), part.part) == parts_met.end())
            report.findings.push_back({VerifyKind::image, part.part, "", 0, "", 0, "the patched image has no such part", ""});
    std::stable_sort(report.findings.begin(), report.findings.end(), [](const VerifyFinding& a, const VerifyFinding& b) {
        return std::tie(a.part, a.kind, a.section, a.address) < std::tie(b.part, b.kind, b.section, b.address);
    });
}

}  // namespace patch::proof
}  // namespace trapline
