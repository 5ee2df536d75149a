// SPDX-License-Identifier: Apache-2.0
// By format, and what patched files have in common: a second patch is told from a repeated one.
#include "patch/rewrite.h"

#include <fmt/format.h>

#include "image/content.h"
#include "patch/rewrite_bzimage.h"
#include "patch/rewrite_plan.h"

namespace trapline::patch {
namespace {

tl::unexpected<Error> wrong_format(image::Content content, const std::string& name) {
    const char* advice = image::is_compressed(content) || content == image::Content::ar ? " (unpack it first)" : "";
    return fail(ErrorCode::unsupported, fmt::format("found {}, expected an ELF file or a bzImage{}", image::to_string(content), advice), name, 0);
}

Result<Buffer> undo_elf(Bytes file, Bytes record_bytes, const std::string& name) {
    const auto record = decode_undo(record_bytes, name);
    if (!record) return tl::unexpected(record.error());
    return apply_undo(file, *record, {}, name);
}

Result<Rewritten> rewrite_elf(Bytes file, const PlanDocument& plan, const std::string& name) {
    Rewritten result;
    const auto record = find_undo(file, name);
    if (!record) {
        auto edited = patch_elf(file, plan, {}, name, result.notes);
        if (!edited) return tl::unexpected(std::move(edited.error()));
        result.bytes = std::move(edited->bytes);
        return result;
    }
    auto original = undo_elf(file, *record, name);
    if (!original) return tl::unexpected(std::move(original.error()).within("the file is already patched"));
    auto again = patch_elf(*original, plan, {}, name, result.notes);
    if (!again) return tl::unexpected(std::move(again.error()).within("the file is already patched, and what it was made from does not fit"));
    if (!std::equal(again->bytes.begin(), again->bytes.end(), file.begin(), file.end()))
        return fail(ErrorCode::refused, "the file is already patched with another plan; restore it first (trapline patch --undo)", name);
    result.notes.clear();
    result.bytes = std::move(again->bytes);
    result.unchanged = true;
    return result;
}

}  // namespace

Result<Rewritten> rewrite_image(Bytes file, const PlanDocument& plan, const std::string& name) {
    const image::Content content = image::identify(ByteView(file));
    if (content == image::Content::bzimage) return rewrite_bzimage(file, plan, name);
    if (content == image::Content::elf) return rewrite_elf(file, plan, name);
    return wrong_format(content, name);
}

Result<std::optional<std::vector<std::uint8_t>>> find_original_kernel(Bytes file, const std::string& name) {
    if (image::identify(ByteView(file)) != image::Content::bzimage || !is_patched_bzimage(file)) return std::nullopt;
    return undo_bzimage_payload(file, name).map([](Buffer&& kernel) { return std::optional(std::move(kernel)); });
}

Result<Rewritten> undo_image(Bytes file, const std::string& name) {
    const image::Content content = image::identify(ByteView(file));
    Result<Buffer> original;
    if (content == image::Content::bzimage) {
        original = undo_bzimage(file, name);
    } else if (content == image::Content::elf) {
        const auto record = find_undo(file, name);
        if (!record) return fail(ErrorCode::malformed, "the file has no section .trapline.undo: it is not a patched file", name);
        original = undo_elf(file, *record, name);
    } else {
        return wrong_format(content, name);
    }
    if (!original) return tl::unexpected(std::move(original.error()));
    return Rewritten{std::move(*original), {}, false};
}

}  // namespace trapline::patch
