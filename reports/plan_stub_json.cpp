// SPDX-License-Identifier: Apache-2.0
// Stubs, parts and reserved ranges. Must match `stub`, `parts` and `reserved` in reports/schema/plan.json.
#include <fmt/format.h>

#include "reports/plan_members.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

constexpr std::uint32_t kFixupBytes = 4;

Json step_to_json(const StubStep& step) { return {{"offset", step.offset}, {"guest_address", hex_address(step.guest_address)}}; }

StubStep step_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    StubStep step;
    ObjectReader reader(value, pointer, name, status);
    reader.read("offset", step.offset);
    reader.read_address("guest_address", step.guest_address);
    reader.finish();
    return step;
}

Json fixup_to_json(const StubFixup& fixup) { return {{"offset", fixup.offset}, {"kind", to_string(fixup.kind)}}; }

StubFixup fixup_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    StubFixup fixup;
    ObjectReader reader(value, pointer, name, status);
    reader.read("offset", fixup.offset);
    std::vector<std::string_view> allowed;
    for (const FixupKind kind : kAllFixupKinds) allowed.push_back(to_string(kind));
    std::string word;
    reader.read_word("kind", word, allowed);
    fixup.kind = parse_fixup_kind(word).value_or(FixupKind::image_relative);
    reader.finish();
    return fixup;
}

/// Holds the offsets of steps (one byte at least each) or fixups (four) against the stub and each other.
template <class T>
void check_offsets(ObjectReader& reader, std::string_view key, const std::vector<T>& items, std::uint64_t size, std::uint64_t length) {
    std::uint64_t lowest = 0;
    for (std::size_t i = 0; i < items.size() && reader.ok(); ++i) {
        const std::uint64_t offset = items[i].offset;
        const std::string place = fmt::format("{}/{}/offset", key, i);
        if (length > size || offset > size - length)
            return reader.refuse_inside(place, fmt::format("found {}, expected one inside the stub of {} bytes", offset, size));
        if (offset < lowest) return reader.refuse_inside(place, fmt::format("found {}, expected {} or more: in order and apart", offset, lowest));
        lowest = offset + length;
    }
}

}  // namespace

Json plan_image_to_json(const PlanImage& part) {
    return {{"part", part.part},
            {"sha256", part.sha256},
            {"build_id", part.build_id},
            {"architecture", part.architecture},
            {"size", part.size},
            {"relocatable", part.relocatable}};
}

PlanImage plan_image_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    PlanImage part;
    ObjectReader reader(value, pointer, name, status);
    reader.read("part", part.part);
    read_sha256(reader, part.sha256);
    reader.read("build_id", part.build_id);
    reader.read("architecture", part.architecture);
    reader.read("size", part.size);
    reader.read("relocatable", part.relocatable);
    reader.finish();
    return part;
}

Json reserved_to_json(const ReservedRange& range) {
    return {{"what", range.what}, {"begin", hex_address(range.begin)}, {"end", hex_address(range.end)}};
}

ReservedRange reserved_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    ReservedRange range;
    ObjectReader reader(value, pointer, name, status);
    reader.read("what", range.what);
    reader.read_address("begin", range.begin);
    reader.read_address("end", range.end);
    reader.finish();
    if (reader.ok() && range.begin >= range.end)
        reader.refuse("end", fmt::format("found {}, expected an address behind begin, {}", hex_address(range.end), hex_address(range.begin)), ErrorCode::inconsistent);
    return range;
}

Json stub_to_json(const PlanStub& stub) {
    return {{"address", hex_address(stub.address)},
            {"bytes", to_hex(stub.bytes)},
            {"assembly", stub.assembly},
            {"steps", list_to_json(stub.steps, step_to_json)},
            {"fixups", list_to_json(stub.fixups, fixup_to_json)}};
}

PlanStub stub_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status) {
    PlanStub stub;
    ObjectReader reader(value, pointer, name, status);
    reader.read_address("address", stub.address);
    reader.read_bytes("bytes", stub.bytes);
    reader.read("assembly", stub.assembly);
    read_list(reader, "steps", name, status, stub.steps, step_from_json);
    read_list(reader, "fixups", name, status, stub.fixups, fixup_from_json);
    reader.finish();
    if (reader.ok() && stub.bytes.empty()) reader.refuse("bytes", "found no bytes, expected the stub's code");
    if (reader.ok() && ~std::uint64_t{0} - stub.address < stub.bytes.size())
        reader.refuse("address", fmt::format("found {} with {} bytes, expected a stub that ends inside the address space", hex_address(stub.address), stub.bytes.size()));
    check_offsets(reader, "steps", stub.steps, stub.bytes.size(), 1);
    check_offsets(reader, "fixups", stub.fixups, stub.bytes.size(), kFixupBytes);
    return stub;
}

}  // namespace trapline::reports
