// SPDX-License-Identifier: Apache-2.0
// Patches with their writes and moved neighbours. Must match `patch` in reports/schema/plan.json.
#include <fmt/format.h>

#include "reports/plan_members.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

constexpr std::size_t kLongestInstruction = 15;

Json write_to_json(const PlanWrite& write) {
    return {{"what", write.what},
            {"section", write.section},
            {"address", hex_address(write.address)},
            {"file_offset", write.file_offset},
            {"old_bytes", to_hex(write.old_bytes)},
            {"new_bytes", to_hex(write.new_bytes)}};
}

PlanWrite write_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    PlanWrite write;
    ObjectReader reader(value, pointer, name, status);
    reader.read_word("what", write.what, {kWriteKinds.begin(), kWriteKinds.end()});
    reader.read("section", write.section);
    reader.read_address("address", write.address);
    reader.read("file_offset", write.file_offset);
    reader.read_bytes("old_bytes", write.old_bytes);
    reader.read_bytes("new_bytes", write.new_bytes);
    reader.finish();
    if (reader.ok() && write.old_bytes.empty()) reader.refuse("old_bytes", "found no bytes, expected those that are replaced");
    if (reader.ok() && write.old_bytes.size() != write.new_bytes.size())
        reader.refuse("new_bytes", fmt::format("found {} bytes, expected {} as in old_bytes", write.new_bytes.size(), write.old_bytes.size()));
    return write;
}

Json moved_to_json(const MovedInstruction& moved) {
    return {{"from", hex_address(moved.from)}, {"to", hex_address(moved.to)}, {"bytes", to_hex(moved.bytes)}, {"text", moved.text}};
}

MovedInstruction moved_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    MovedInstruction moved;
    ObjectReader reader(value, pointer, name, status);
    reader.read_address("from", moved.from);
    reader.read_address("to", moved.to);
    reader.read_bytes("bytes", moved.bytes);
    reader.read("text", moved.text);
    reader.finish();
    if (reader.ok() && (moved.bytes.empty() || moved.bytes.size() > kLongestInstruction))
        reader.refuse("bytes", fmt::format("found {} bytes, expected the 1 to 15 of an instruction", moved.bytes.size()));
    return moved;
}

std::uint32_t index_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    // One number, read as the member of an object that has no other: the reader's checks and its messages are the same.
    const Json wrapped = {{"", value}};
    std::uint32_t index = 0;
    Status inner;
    ObjectReader(wrapped, pointer, name, inner).read("", index);
    if (!inner && status) status = inner;
    return index;
}

}  // namespace

Json patch_to_json(const PlanPatch& patch) {
    return {{"technique", to_string(patch.technique)},
            {"part", patch.part},
            {"begin", hex_address(patch.begin)},
            {"end", hex_address(patch.end)},
            {"atomic", patch.atomic},
            {"writes", list_to_json(patch.writes, write_to_json)},
            {"stubs", patch.stubs},
            {"moved", list_to_json(patch.moved, moved_to_json)},
            {"evidence", patch.evidence}};
}

PlanPatch patch_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    PlanPatch patch;
    ObjectReader reader(value, pointer, name, status);
    read_technique(reader, "technique", patch.technique);
    reader.read("part", patch.part);
    reader.read_address("begin", patch.begin);
    reader.read_address("end", patch.end);
    reader.read("atomic", patch.atomic);
    read_list(reader, "writes", name, status, patch.writes, write_from_json);
    read_list(reader, "stubs", name, status, patch.stubs, index_from_json);
    read_list(reader, "moved", name, status, patch.moved, moved_from_json);
    reader.read("evidence", patch.evidence);
    reader.finish();
    if (reader.ok() && !has_patch(patch.technique))
        reader.refuse("technique", fmt::format("found \"{}\", expected one that changes bytes", to_string(patch.technique)), ErrorCode::inconsistent);
    if (reader.ok() && patch.writes.empty()) reader.refuse("writes", "found none, expected at least one");
    if (reader.ok() && patch.begin >= patch.end)
        reader.refuse("end", fmt::format("found {}, expected an address behind begin, {}", hex_address(patch.end), hex_address(patch.begin)), ErrorCode::inconsistent);
    return patch;
}

}  // namespace trapline::reports
