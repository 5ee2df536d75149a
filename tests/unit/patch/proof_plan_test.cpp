// SPDX-License-Identifier: Apache-2.0
// From plans to windows, and patched images against plans: sound ones and tampered ones.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "patch/proof/verify.h"
#include "patch/proof/window_builder.h"
#include "proof_windows.h"

namespace trapline::patch::proof {
namespace {

constexpr ProofOptions kOptions{7, 32};
constexpr std::uint64_t kText = kWindow64, kStub = 0xFFFFFFFFFFE00000, kReplacements = 0xFFFFFFFF82000000, kTable = 0xFFFFFFFF82100000;

using Code8 = std::vector<std::uint8_t>;

Code8 code(const std::string& text, std::uint64_t address) { return assemble_at(text, Mode::long64, address); }
std::string jump_to(std::uint64_t target) { return fmt::format("jmp target\n.set target, {:#x}\n", target); }

/// An image made by hand, and the plan for it.
struct Example {
    std::map<std::string, std::pair<std::uint64_t, Code8>> sections;  ///< address and bytes before patching
    PlanDocument plan;

    Example() {
        plan.sha256 = std::string(64, 'a');
        plan.profile = "base";
        plan.abi = "trapline";
        plan.parts.push_back({"", plan.sha256, "", "x86_64", 0, false});
    }
    std::uint32_t add_site(const std::string& section, std::uint64_t address, Code8 bytes, const std::string& form, Technique technique) {
        PlannedSite site;
        site.section = section;
        site.address = address;
        site.bytes = std::move(bytes);
        site.form = form;
        site.mode = "64";
        site.text = form;
        site.critical = true;
        site.evidence = Evidence::reached;
        site.technique = technique;
        site.number = static_cast<std::uint32_t>(plan.sites.size());
        site.patch = static_cast<std::uint32_t>(plan.patches.size());
        plan.sites.push_back(site);
        return site.number;
    }
    PlanWrite write(const std::string& section, std::uint64_t address, Code8 bytes, const std::string& what) const {
        const auto& [base, content] = sections.at(section);
        PlanWrite made{section, address, address - base, {}, std::move(bytes), what};
        made.old_bytes.assign(content.begin() + static_cast<std::ptrdiff_t>(address - base), content.begin() + static_cast<std::ptrdiff_t>(address - base + made.new_bytes.size()));
        return made;
    }
    CodeReader reader() const {
        return [this](std::string_view name, std::uint64_t address, std::uint64_t size) -> Bytes {
            const auto found = sections.find(std::string(name));
            if (found == sections.end() || address < found->second.first) return {};
            return ByteView(found->second.second).slice(address - found->second.first, size).value_or(Bytes{});
        };
    }
    Proof prove(std::size_t patch = 0) const { return prove_patch(plan, patch, reader(), *test_database().find_abi("trapline"), kOptions); }
    /// The image after patching, with its stubs.
    image::Image patched() const {
        auto storage = std::make_shared<std::vector<std::uint8_t>>();
        image::Image made;
        std::map<std::string, std::pair<std::uint64_t, Code8>> all = sections;
        for (const PlanPatch& patch : plan.patches)
            for (const PlanWrite& write : patch.writes) {
                auto& [base, content] = all.at(write.section);
                std::copy(write.new_bytes.begin(), write.new_bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(write.address - base));
            }
        for (const PlanStub& stub : plan.stubs) all[".trapline.stubs"] = {stub.address, stub.bytes};  // one stub each
        for (const auto& [name, section] : all) storage->insert(storage->end(), section.second.begin(), section.second.end());
        std::size_t offset = 0;
        for (const auto& [name, section] : all) {
            image::Section each;
            each.name = name;
            each.address = VirtAddr{section.first};
            each.bytes = Bytes(*storage).subspan(offset, section.second.size());
            each.executable = true;
            offset += section.second.size();
            made.sections.push_back(each);
        }
        made.storage = storage;
        made.index_sections();
        return made;
    }
};

/// CLI and a neighbour move to a stub.
Example absorbed() {
    Example example;
    example.sections[".text"] = {kText, code("nop\ncli\nbsf rax, rdi\nret\nnop\nnop\nnop\nnop\nnop\nnop\n", kText)};
    example.add_site(".text", kText + 1, {0xFA}, "cli", Technique::absorb);
    PlanStub stub;
    stub.address = kStub;
    stub.bytes = code("mov byte ptr [flags_if + 1], 0\nbsf rax, rdi\n" + jump_to(kText + 6), kStub);
    stub.steps = {{0, kText + 1}, {8, kText + 2}, {12, kText + 6}};
    example.plan.stubs.push_back(stub);
    PlanPatch patch;
    patch.technique = Technique::absorb;
    patch.begin = kText + 1;
    patch.end = kText + 6;
    patch.writes = {example.write(".text", kText + 1, code(jump_to(kStub), kText + 1), "jump")};
    patch.stubs = {0};
    patch.moved = {{kText + 2, kStub + 8, {0x48, 0x0F, 0xBC, 0xC7}, "bsf rax, rdi"}};
    example.plan.patches.push_back(patch);
    return example;
}

/// A short jump of which only the first byte is written: the second is the next instruction's.
Example springboard() {
    Example example;
    // CLI, then 0x05 of ADD EAX, imm32: EB 05 leads to the INT3s behind RET.
    example.sections[".text"] = {kText, code(".byte 0xFA, 0x05, 1, 2, 3, 4, 0xC3, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC\n", kText)};
    example.add_site(".text", kText, {0xFA}, "cli", Technique::springboard);
    PlanStub stub;
    stub.address = kStub;
    stub.bytes = code("mov byte ptr [flags_if + 1], 0\n" + jump_to(kText + 1), kStub);
    stub.steps = {{0, kText}, {8, kText + 1}};
    example.plan.stubs.push_back(stub);
    PlanPatch patch;
    patch.technique = Technique::springboard;
    patch.begin = kText;
    patch.end = kText + 1;
    patch.writes = {example.write(".text", kText + 7, code(jump_to(kStub), kText + 7), "springboard"), example.write(".text", kText, {0xEB}, "short-jump")};
    patch.stubs = {0};
    example.plan.patches.push_back(patch);
    return example;
}

/// An entry of .altinstructions: its replacement `pushfq; pop rax` would be copied over seven bytes.
Example alternative() {
    Example example;
    example.sections[".text"] = {kText, Code8(16, 0x90)};
    example.sections[".altinstr_replacement"] = {kReplacements, code("pushfq\npop rax\n", kReplacements)};
    // s32 instr_offset, s32 repl_offset, u16 feature, u8 instrlen, u8 replacementlen.
    Code8 entry(12);
    const auto put = [&](std::size_t at, std::uint64_t value) {
        for (int i = 0; i < 4; ++i) entry[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value >> (8 * i));
    };
    put(0, kText - kTable);
    put(4, kReplacements - (kTable + 4));
    entry[10] = 7;
    entry[11] = 2;
    example.sections[".altinstructions"] = {kTable, entry};
    example.add_site(".altinstr_replacement", kReplacements, {0x9C}, "pushf_o64", Technique::direct);
    PlanStub stub;
    stub.address = kStub;
    stub.bytes = code("jmp next\nnext: pushfq\npush rax\npush rcx\nmov rax, [flags_if]\nmov rcx, [rsp + 16]\nlea rax, [rax + rcx]\nmov rcx, [flags_fixed]\nlea rax, [rax + rcx]\n"
                      "mov [rsp + 16], rax\npop rcx\npop rax\npop rax\n" + jump_to(kText + 7), kStub);
    // The assembler makes the first jump short; the kernel copies five bytes.
    stub.bytes.erase(stub.bytes.begin(), stub.bytes.begin() + 2);
    stub.bytes.insert(stub.bytes.begin(), {0xE9, 0, 0, 0, 0});
    const auto size = static_cast<std::uint32_t>(stub.bytes.size());
    const std::uint32_t back = static_cast<std::uint32_t>(kText + 7 - (kStub + size));
    for (std::uint32_t i = 0; i < 4; ++i) stub.bytes[size - 4 + i] = static_cast<std::uint8_t>(back >> (8 * i));
    stub.steps = {{5, kText}, {size - 6, kText + 1}, {size - 5, kText + 7}};
    example.plan.stubs.push_back(stub);
    PlanPatch patch;
    patch.technique = Technique::direct;
    patch.begin = kText;
    patch.end = kText + 7;
    Code8 offset(4);
    for (int i = 0; i < 4; ++i) offset[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>((kStub - (kTable + 4)) >> (8 * i));
    patch.writes = {example.write(".altinstructions", kTable + 4, offset, "alternative"), example.write(".altinstructions", kTable + 11, {5}, "alternative")};
    patch.stubs = {0};
    example.plan.patches.push_back(patch);
    return example;
}

Example breakpoint() {
    Example example;
    example.sections[".text"] = {kText, code("sgdt [rdi]\nret\n", kText)};
    example.add_site(".text", kText, {0x0F, 0x01, 0x07}, "sgdt_m16_64", Technique::breakpoint);
    PlanPatch patch;
    patch.technique = Technique::breakpoint;
    patch.begin = kText;
    patch.end = kText + 1;
    patch.writes = {example.write(".text", kText, {0xCC}, "breakpoint")};
    example.plan.patches.push_back(patch);
    return example;
}

void check_proved(const Example& example) {
    const Proof proof = example.prove();
    INFO(proof.difference << "\n" << proof.report);
    CHECK(proof.holds);
    CHECK(proof.rounds == kOptions.rounds);
}

void check_refused(const Example& example, const std::string& reason) {
    const Proof proof = example.prove();
    CHECK_FALSE(proof.holds);
    CHECK_THAT(proof.difference, Catch::Contains(reason));
}

TEST_CASE("proof of plans: every way to a stub") {
    check_proved(absorbed());
    check_proved(springboard());
    check_proved(alternative());
    check_proved(breakpoint());
}

TEST_CASE("proof of plans: bytes that lead elsewhere are caught") {
    Example example = absorbed();
    example.plan.patches[0].writes[0].new_bytes[1] += 1;
    CHECK_FALSE(example.prove().holds);
    example = springboard();
    example.sections[".text"].second[1] = 0x04;  // the byte that the short jump takes for its distance
    CHECK_FALSE(example.prove().holds);
    example = alternative();
    example.plan.patches[0].writes[0].new_bytes[0] += 1;
    check_refused(example, "the entry leads to");
    example = alternative();
    example.plan.stubs[0].bytes[1] = 1;  // the copied jump
    CHECK_FALSE(example.prove().holds);
    example = alternative();
    example.plan.patches[0].end += 1;    // then the kernel fills with another NOP, and the stub comes back into it
    CHECK_FALSE(example.prove().holds);
    example = breakpoint();
    example.plan.patches[0].writes[0].new_bytes[0] = 0x0F;
    check_refused(example, "does not trap");
}

TEST_CASE("proof of plans: a plan that contradicts itself does not hold, and says why") {
    Example example = absorbed();
    check_refused(Example(), "expected one of 0");
    example.plan.patches[0].stubs = {3};
    check_refused(example, "found stub 3");
    example = absorbed();
    example.plan.stubs[0].address = kText + 0x100000;
    check_refused(example, "outside the stub area");
    example = absorbed();
    example.plan.patches[0].writes.clear();
    check_refused(example, "writes nothing");
    example = absorbed();
    example.plan.patches[0].writes[0].old_bytes.pop_back();
    check_refused(example, "new bytes for");
    example = absorbed();
    example.plan.patches[0].end = example.plan.patches[0].begin - 1;
    check_refused(example, "found the end");
    example = absorbed();
    example.plan.patches[0].end = kText + 0x1000;
    check_refused(example, "the image has no");
    example = absorbed();
    example.plan.sites[0].mode = "16p";
    check_refused(example, "found mode 16p");
    example = absorbed();
    example.plan.sites[0].patch = 9;
    check_refused(example, "no site belongs to it");
    example = absorbed();
    example.plan.sites[0].bytes = {0xFB};
    check_refused(example, "something else");
    example = absorbed();
    example.plan.sites[0].number = 5;
    check_refused(example, "has the number 5");
    example = absorbed();
    example.plan.stubs[0].steps[1].offset = 0xFFFFFFFF;
    check_refused(example, "outside the stub");
}

TEST_CASE("proof of plans: a hidden site in the window is not forgotten") {
    // The plan says of a second critical instruction that it belongs to no patch, and moves it as if it were a neighbour.
    Example example = absorbed();
    example.sections[".text"].second = code("nop\ncli\nsgdt [rdi]\nnop\nret\nnop\nnop\nnop\n", kText);
    example.plan.stubs[0].bytes = code("mov byte ptr [flags_if + 1], 0\nsgdt [rdi]\n" + jump_to(kText + 6), kStub);
    example.plan.stubs[0].steps = {{0, kText + 1}, {8, kText + 2}, {11, kText + 6}};
    example.plan.patches[0].writes[0].old_bytes.assign(example.sections[".text"].second.begin() + 1, example.sections[".text"].second.begin() + 6);
    example.add_site(".text", kText + 2, {0x0F, 0x01, 0x17}, "sgdt_m16_64", Technique::unplanned);
    example.plan.sites[1].bytes = {0x0F, 0x01, 0x07};
    example.plan.sites[1].patch.reset();
    check_refused(example, "does not trap");
}

VerifyReport verify(const Example& example, const image::Image& image, const ScanDocument& scan = {}) {
    VerifyReport report;
    VerifyOptions options;
    options.proof = kOptions;
    verify_part(image, scan, example.plan, "", *test_database().find_abi("trapline"), options, report);
    finish_report(example.plan, {""}, report);
    return report;
}

TEST_CASE("verify: a sound image, and one with other bytes") {
    for (const Example& example : {absorbed(), springboard(), alternative(), breakpoint()}) {
        const VerifyReport report = verify(example, example.patched());
        for (const VerifyFinding& finding : report.findings) INFO(to_string(finding.kind) << " " << finding.text);
        CHECK(report.findings.empty());
        CHECK(report.proved == 1);
        CHECK(report.rounds == kOptions.rounds);
    }
    const Example example = absorbed();
    image::Image image = example.patched();
    std::vector<std::uint8_t> changed(*image.storage);
    for (image::Section& section : image.sections) {
        std::vector<std::uint8_t>* const bytes = new std::vector<std::uint8_t>(section.bytes.begin(), section.bytes.end());
        (*bytes)[3] ^= 1;
        section.bytes = *bytes;
        image.storage = std::shared_ptr<const std::vector<std::uint8_t>>(bytes, [keep = image.storage](const std::vector<std::uint8_t>* held) { delete held; });
        const VerifyReport report = verify(example, image);
        REQUIRE(report.findings.size() == 1);
        CHECK(report.findings[0].kind == (section.name == ".text" ? VerifyKind::write : VerifyKind::stub));
        CHECK_THAT(report.findings[0].text, Catch::Contains("expected"));
        break;
    }
}

Finding critical(std::uint64_t address, const std::string& section, Evidence evidence) {
    Finding finding;
    finding.address = address;
    finding.section = section;
    finding.decode_mode = "64";
    finding.text = "pushfq";
    finding.critical = true;
    finding.evidence = evidence;
    return finding;
}

TEST_CASE("verify: critical instructions that are left") {
    const Example example = absorbed();
    ScanDocument scan;
    scan.findings = {critical(kText + 1, ".text", Evidence::reached), critical(kText + 9, ".text", Evidence::reached), critical(kText + 12, ".text", Evidence::swept),
                     critical(kStub, ".trapline.stubs", Evidence::reached), critical(kStub + 1, ".other", Evidence::reached)};
    const VerifyReport report = verify(example, example.patched(), scan);
    REQUIRE(report.findings.size() == 2);
    CHECK(report.findings[0].kind == VerifyKind::unpatched);
    CHECK_THAT(report.findings[0].text, Catch::Contains("its patch leaves it in place"));
    CHECK(report.findings[1].kind == VerifyKind::unknown);
    CHECK(report.findings[1].address == kText + 9);
    CHECK(report.critical_reached == 2);
    CHECK(report.critical_swept == 1);

    // The replacement stays; the table no longer leads to it.
    const Example redirected = alternative();
    scan.findings = {critical(kReplacements, ".altinstr_replacement", Evidence::reached)};
    CHECK(verify(redirected, redirected.patched(), scan).findings.empty());
    // A site that the plan leaves.
    Example left = absorbed();
    left.add_site(".text", kText + 9, {0x90}, "pushf_o64", Technique::unplanned);
    left.plan.sites.back().patch.reset();
    left.plan.sites.back().why = "nothing fits";
    scan.findings = {critical(kText + 9, ".text", Evidence::reached)};
    const VerifyReport unplanned = verify(left, left.patched(), scan);
    REQUIRE(unplanned.findings.size() == 1);
    CHECK_THAT(unplanned.findings[0].text, Catch::Contains("nothing fits"));
}

TEST_CASE("verify: a part of the plan that the image does not have") {
    VerifyReport report;
    PlanDocument plan;
    plan.parts.push_back({"payload", "", "", "x86_64", 0, false});
    finish_report(plan, {"setup", "stub"}, report);
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings[0].kind == VerifyKind::image);
    CHECK(report.findings[0].part == "payload");
}

}  // namespace
}  // namespace trapline::patch::proof
