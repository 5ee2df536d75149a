// SPDX-License-Identifier: Apache-2.0
// The parts of the plan document as JSON: one writer and one strict reader each. What one element alone cannot show is
// checked by plan_check.h. Internal to reports/.
#pragma once

#include <string>

#include "patch/plan.h"
#include "reports/json_document.h"

namespace trapline::reports {

Json plan_image_to_json(const PlanImage& part);
PlanImage plan_image_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status);
Json reserved_to_json(const ReservedRange& range);
ReservedRange reserved_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status);
Json site_to_json(const PlannedSite& site);
PlannedSite site_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status);
Json patch_to_json(const PlanPatch& patch);
PlanPatch patch_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status);
Json stub_to_json(const PlanStub& stub);
PlanStub stub_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status);

/// Reads a member that names a technique.
void read_technique(ObjectReader& reader, std::string_view key, Technique& technique);
/// Reads a SHA-256 in lower-case hex; it may be empty.
void read_sha256(ObjectReader& reader, std::string& sha256);

/// Reads an array member, each element by `read(value, pointer, name, status)`.
template <class T, class Read>
void read_list(ObjectReader& reader, std::string_view key, const std::string& name, Status& status, std::vector<T>& out, Read read) {
    const Json* values = reader.array(key);
    for (std::size_t i = 0; values != nullptr && i < values->size() && status; ++i)
        out.push_back(read((*values)[i], reader.pointer_to(key) + "/" + std::to_string(i), name, status));
}

/// Makes an array of the elements of a list.
template <class T, class Write>
Json list_to_json(const std::vector<T>& values, Write write) {
    Json list = Json::array();
    for (const T& value : values) list.push_back(write(value));
    return list;
}

}  // namespace trapline::reports
