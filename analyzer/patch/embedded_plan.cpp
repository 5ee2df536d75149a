// SPDX-License-Identifier: Apache-2.0
// Writer and reader side by side, member by member.
#include "patch/embedded_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "image/elf_reader.h"
#include "patch/rewrite_elf.h"
#include "patch/rewrite_plan.h"

namespace trapline::patch {
namespace {

constexpr std::string_view kMagic = "TRPLPLAN";
constexpr std::uint16_t kMajor = 2, kMinor = 0;
constexpr std::uint64_t kHeaderBytes = 12;
/// Ten times what a stock kernel takes. Read back each byte may become a hundred.
constexpr std::size_t kMostBytes = std::size_t{4} << 20;
constexpr std::size_t kLongestInstruction = 15;

void put_run(Buffer& out, Bytes run) {
    put_leb128(out, run.size());
    put(out, run);
}
void put_text(Buffer& out, std::string_view text) { put_run(out, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}); }

class Reader {
public:
    explicit Reader(Bytes bytes) : view_(bytes), at_(kHeaderBytes) {}
    std::uint64_t number() {
        const auto value = good_ ? get_leb128(view_, at_) : std::nullopt;
        good_ = value.has_value();
        return value.value_or(0);
    }
    std::uint32_t small(std::uint64_t limit) {
        const std::uint64_t value = number();
        good_ = good_ && value < limit && value <= 0xFFFFFFFF;
        return good_ ? static_cast<std::uint32_t>(value) : 0;
    }
    std::vector<std::uint8_t> bytes(std::uint64_t size) {
        const auto run = good_ ? view_.slice(at_, size) : std::nullopt;
        good_ = run.has_value();
        if (!good_) return {};
        at_ += size;
        return {run->begin(), run->end()};
    }
    std::vector<std::uint8_t> run() { return bytes(number()); }
    std::string text() {
        const std::vector<std::uint8_t> characters = run();
        return {characters.begin(), characters.end()};
    }
    /// Reads a list; the count is believed element by element.
    template <class Read>
    void list(Read read) {
        for (std::uint64_t left = number(); left != 0 && good_; --left) read();
    }
    void refuse() { good_ = false; }
    bool good() const { return good_; }
    bool complete() const { return good_ && at_ == view_.size(); }
    std::uint64_t at() const { return at_; }

private:
    ByteView view_;
    std::uint64_t at_;
    bool good_ = true;
};

void read_stub(Reader& from, PlanDocument& plan) {
    PlanStub stub;
    stub.address = from.number();
    stub.bytes = from.run();
    if (~std::uint64_t{0} - stub.address < stub.bytes.size()) from.refuse();
    from.list([&] {
        StubStep step;
        step.offset = from.small(stub.bytes.size() + 1);
        step.guest_address = from.number();
        stub.steps.push_back(step);
    });
    plan.stubs.push_back(std::move(stub));
}

void read_patch(Reader& from, PlanDocument& plan) {
    PlanPatch patch;
    const std::uint32_t part = from.small(plan.parts.size());
    patch.begin = from.number();
    patch.end = from.number();
    if (patch.begin >= patch.end) from.refuse();
    from.list([&] {
        PlanWrite write;
        const std::uint32_t kind = from.small(kWriteKinds.size());
        write.what = kWriteKinds[kind];
        write.address = from.number();
        write.old_bytes = from.run();
        write.new_bytes = from.bytes(write.old_bytes.size());
        if (write.old_bytes.empty() || ~std::uint64_t{0} - write.address < write.old_bytes.size()) from.refuse();
        patch.writes.push_back(std::move(write));
    });
    from.list([&] { patch.stubs.push_back(from.small(plan.stubs.size())); });
    if (!from.good()) return;
    patch.part = plan.parts[part].part;
    plan.patches.push_back(std::move(patch));
}

void read_site(Reader& from, const std::vector<std::string>& operations, PlanDocument& plan) {
    PlannedSite site;
    const std::uint32_t part = from.small(plan.parts.size()), operation = from.small(operations.size());
    site.address = from.number();
    site.bytes = from.run();
    if (site.bytes.empty() || site.bytes.size() > kLongestInstruction) from.refuse();
    const std::uint32_t patch = from.small(plan.patches.size() + 1);
    site.resume = from.number();
    if (!from.good()) return;
    site.part = plan.parts[part].part;
    site.operation = operations[operation];
    if (patch != 0) site.patch = patch - 1;
    site.number = static_cast<std::uint32_t>(plan.sites.size());
    plan.sites.push_back(std::move(site));
}

}  // namespace

Buffer encode_embedded_plan(const PlanDocument& plan) {
    std::map<std::string_view, std::uint64_t> parts, operations;
    Buffer out(kMagic.begin(), kMagic.end());
    put(out, kMajor, 2);
    put(out, kMinor, 2);
    for (const std::string_view text : {std::string_view(plan.sha256), std::string_view(plan.abi), std::string_view(plan.abi_version)}) put_text(out, text);
    put_leb128(out, plan.parts.size());
    for (const PlanImage& part : plan.parts) {
        parts.emplace(part.part, parts.size());
        put_text(out, part.part);
        put_text(out, part.sha256);
    }
    for (const PlannedSite& site : plan.sites) operations.emplace(site.operation, 0);
    put_leb128(out, operations.size());
    std::uint64_t next = 0;
    for (auto& [name, number] : operations) {
        number = next++;
        put_text(out, name);
    }
    put_leb128(out, plan.stubs.size());
    for (const PlanStub& stub : plan.stubs) {
        put_leb128(out, stub.address);
        put_run(out, stub.bytes);
        put_leb128(out, stub.steps.size());
        for (const StubStep& step : stub.steps) {
            put_leb128(out, step.offset);
            put_leb128(out, step.guest_address);
        }
    }
    put_leb128(out, plan.patches.size());
    for (const PlanPatch& patch : plan.patches) {
        put_leb128(out, parts[patch.part]);
        put_leb128(out, patch.begin);
        put_leb128(out, patch.end);
        put_leb128(out, patch.writes.size());
        for (const PlanWrite& write : patch.writes) {
            put_leb128(out, static_cast<std::uint64_t>(std::find(kWriteKinds.begin(), kWriteKinds.end(), write.what) - kWriteKinds.begin()));
            put_leb128(out, write.address);
            put_run(out, write.old_bytes);
            put(out, write.new_bytes);
        }
        put_leb128(out, patch.stubs.size());
        for (const std::uint32_t stub : patch.stubs) put_leb128(out, stub);
    }
    put_leb128(out, plan.sites.size());
    for (const PlannedSite& site : plan.sites) {
        put_leb128(out, parts[site.part]);
        put_leb128(out, operations[site.operation]);
        put_leb128(out, site.address);
        put_run(out, site.bytes);
        put_leb128(out, site.patch ? *site.patch + std::uint64_t{1} : 0);
        put_leb128(out, site.resume);
    }
    return out.size() > kMostBytes ? Buffer() : out;
}

bool is_embedded_plan(Bytes bytes) { return bytes.size() >= kHeaderBytes && std::equal(kMagic.begin(), kMagic.end(), bytes.begin()); }

Result<PlanDocument> decode_embedded_plan(Bytes bytes, const std::string& file) {
    const ByteView view(bytes);
    if (!is_embedded_plan(bytes)) return fail(ErrorCode::malformed, fmt::format("the packed plan does not begin with {}", kMagic), file);
    if (const std::uint16_t major = *view.get<std::uint16_t>(kMagic.size()); major != kMajor)
        return fail(ErrorCode::unsupported, fmt::format("found a packed plan of version {}, expected {}: patch or plan the image again", major, kMajor), file);
    if (view.size() > kMostBytes) return fail(ErrorCode::refused, fmt::format("the packed plan has {} bytes, expected at most {}", view.size(), kMostBytes), file);
    PlanDocument plan;
    Reader from(bytes);
    plan.sha256 = from.text();
    plan.abi = from.text();
    plan.abi_version = from.text();
    from.list([&] {
        PlanImage& part = plan.parts.emplace_back();
        part.part = from.text();
        part.sha256 = from.text();
    });
    std::vector<std::string> operations;
    from.list([&] { operations.push_back(from.text()); });
    from.list([&] { read_stub(from, plan); });
    from.list([&] { read_patch(from, plan); });
    from.list([&] { read_site(from, operations, plan); });
    if (!from.complete()) return fail(ErrorCode::malformed, fmt::format("packed plan: found what no plan has, or its end, at byte {:#x}", from.at()), file);
    return plan;
}

std::optional<Bytes> find_embedded_plan(Bytes file, const std::string& name) {
    const auto elf = image::read_elf(file, kMaxSections, name);
    if (!elf) return std::nullopt;
    return find_section_bytes(file, *elf, kPlanSection);
}

}  // namespace trapline::patch
