// SPDX-License-Identifier: Apache-2.0
// The plan's bytes and the sections that go with them.
#include "patch/rewrite_plan.h"

#include <fmt/format.h>

#include <string_view>

#include "image/digest.h"
#include "patch/embedded_plan.h"
#include "patch/rewrite_sites.h"

namespace trapline::patch {
namespace {

// What scripts/sign-file.c of Linux puts behind a module, last.
constexpr std::string_view kModuleSignature = "~Module signature appended~\n";
constexpr std::uint64_t kStubFlags = image::elf::kShfAlloc | image::elf::kShfExecinstr;
constexpr std::uint64_t kStubAlignment = 16;
// arch/x86/tools/relocs.c: 64-bit slots, slots relative to a moving target, 32-bit slots.
constexpr std::uint64_t kMostLists = 3;

bool is_signed_module(Bytes file, const image::ElfFile& elf) {
    if (elf.type != image::elf::kEtRel || file.size() < elf.end + kModuleSignature.size()) return false;
    const Bytes last = file.last(kModuleSignature.size());
    return std::equal(last.begin(), last.end(), kModuleSignature.begin(), [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); });
}

// The zeros that lead the table's lists; 0 when it is no table. Each list ends, read backwards, at its zero.
std::uint64_t count_lists(Bytes file, const image::ElfFile& elf) {
    const ByteView table(file.subspan(elf.end));
    if (elf.type != image::elf::kEtExec || table.size() < 4 || table.size() % 4 != 0 || table.get<std::uint32_t>(0) != 0u) return 0;
    std::uint64_t zeros = 0;
    for (std::uint64_t at = 0; at < table.size(); at += 4)
        if (table.get<std::uint32_t>(at) == 0u) ++zeros;
    return zeros <= kMostLists ? zeros : 0;
}

}  // namespace

bool has_relocation_table(Bytes file, const image::ElfFile& elf) { return count_lists(file, elf) != 0; }

Result<EditedElf> patch_elf(Bytes file, const PlanDocument& plan, const PatchOptions& options, const std::string& name, std::vector<std::string>& notes) {
    const auto elf = image::read_elf(file, kMaxSections, name);
    if (!elf) return tl::unexpected(elf.error());
    auto checked = check_plan(plan, file, *elf, image::sha256_hex(file), name);
    if (!checked) return tl::unexpected(std::move(checked.error()));

    if (checked->elsewhere != 0 && options.embed_undo)
        notes.push_back(fmt::format("{} writes into setup and boot stub are not made: this file is only the payload", checked->elsewhere));

    ElfEdit edit;
    edit.embed_undo = options.embed_undo;
    for (const CheckedWrite& write : checked->writes) edit.writes.push_back({write.write->file_offset, write.write->new_bytes});
    if (!checked->stubs.bytes.empty()) {
        NewSection stubs;
        stubs.name = kStubSection;
        stubs.flags = kStubFlags;
        stubs.address = checked->stubs.address;
        stubs.bytes = checked->stubs.bytes;
        stubs.alignment = kStubAlignment;
        edit.added.push_back(std::move(stubs));
        edit.stub_segment = elf->type != image::elf::kEtRel;
    }
    NewSection sites;
    sites.name = kSiteSection;
    sites.bytes = encode_sites(plan, *elf);
    sites.alignment = 8;
    edit.added.push_back(std::move(sites));
    // In the payload of a bzImage it would take room that the boot code counts.
    if (options.embed_undo && elf->type != image::elf::kEtRel) {
        NewSection whole;
        whole.name = kPlanSection;
        whole.bytes = encode_embedded_plan(plan);
        if (!whole.bytes.empty()) edit.added.push_back(std::move(whole));
    }
    if (elf->type == image::elf::kEtRel) {
        if (is_signed_module(file, *elf)) {
            edit.drop_tail = true;
            notes.push_back(fmt::format("the module's signature ({} bytes) does not hold any more and is left out", file.size() - elf->end));
        }
        if (Status done = add_relocations(edit, file, plan, *checked, *elf, name); !done) return tl::unexpected(std::move(done.error()));
    }
    const std::uint64_t lists = options.empty_relocation_table ? count_lists(file, *elf) : 0;
    if (lists != 0) edit.drop_tail = true;
    auto edited = edit_elf(file, *elf, edit, name);
    if (edited && lists != 0) {
        edited->bytes.resize(edited->bytes.size() + 4 * lists, 0);
        edited->undo.inserted_size += 4 * lists;
        TRAPLINE_ASSERT(!options.embed_undo, "an embedded record would not know of the empty table");
    }
    return edited;
}

std::optional<Bytes> find_undo(Bytes file, const std::string& name) {
    const auto elf = image::read_elf(file, kMaxSections, name);
    if (!elf) return std::nullopt;
    return find_section_bytes(file, *elf, kUndoSection);
}

}  // namespace trapline::patch
