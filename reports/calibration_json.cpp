// SPDX-License-Identifier: Apache-2.0
// Must match reports/schema/calibration.json.
#include "reports/calibration_json.h"

#include <array>

#include "reports/json_document.h"
#include "reports/scan_members.h"

namespace trapline::reports {
namespace {

struct Entry {
    std::string_view name;
    double patch::CostTable::*cycles;
};
constexpr std::array<Entry, 7> kEntries = {{{"trap", &patch::CostTable::trap},
                                            {"breakpoint", &patch::CostTable::breakpoint},
                                            {"instruction", &patch::CostTable::instruction},
                                            {"jump_pair", &patch::CostTable::jump_pair},
                                            {"far_call", &patch::CostTable::far_call},
                                            {"near_call", &patch::CostTable::near_call},
                                            {"emulate", &patch::CostTable::emulate}}};

}  // namespace

std::string render_calibration_json(const patch::CostTable& table) {
    Json cycles = Json::object();
    for (const Entry& entry : kEntries) cycles[std::string(entry.name)] = table.*entry.cycles;
    return collect([&](const Sink& sink) {
        DocumentWriter out(sink);
        out.member("schema", kCalibrationSchema);
        out.member("cycles", cycles);
        out.end();
    });
}

Result<patch::CostTable> parse_calibration_json(std::string_view text, const std::string& name) {
    const Result<Json> json = parse_json(text, name);
    if (!json) return tl::unexpected(json.error());
    patch::CostTable table;
    table.source = name;
    Status status;
    ObjectReader reader(*json, "", name, status);
    read_schema(reader, kCalibrationSchema, "trapline doctor --calibrate");
    if (const Json* value = reader.object("cycles")) {
        ObjectReader cycles(*value, "/cycles", name, status);
        for (const Entry& entry : kEntries) cycles.read(entry.name, table.*entry.cycles);
        cycles.finish();
    }
    reader.finish();
    if (!status) return tl::unexpected(status.error());
    return table;
}

}  // namespace trapline::reports
