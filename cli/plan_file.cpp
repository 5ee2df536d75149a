// SPDX-License-Identifier: Apache-2.0
#include "cli/plan_file.h"

#include "cli/input_file.h"
#include "patch/embedded_plan.h"
#include "reports/plan_json.h"

namespace trapline::cli {
namespace {

Bytes as_bytes(const std::string& text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

}  // namespace

Result<PlanDocument> read_plan_document(const std::string& path) {
    const auto text = read_input_file(path);
    if (!text) return tl::unexpected(text.error());
    if (patch::is_embedded_plan(as_bytes(*text)))
        return fail(ErrorCode::unsupported, "found a packed plan, which only `trapline run` reads, expected the document: trapline plan --format json", path);
    return reports::parse_plan_json(*text, path);
}

Result<PlanDocument> read_any_plan(const std::string& path) {
    const auto text = read_input_file(path);
    if (!text) return tl::unexpected(text.error());
    return patch::is_embedded_plan(as_bytes(*text)) ? patch::decode_embedded_plan(as_bytes(*text), path) : reports::parse_plan_json(*text, path);
}

}  // namespace trapline::cli
