// SPDX-License-Identifier: Apache-2.0
// One schema is parsed for each call: tests validate few documents.
#include "schema_validator.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace trapline::tests {

std::string schema_faults(const std::string& schema, const std::string& document) {
    const std::string path = "reports/schema/" + schema + ".json";
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot open " + path + ": tests run at the root of the repository");
    const auto schema_json = nlohmann::json::parse(file);
    const auto json = nlohmann::json::parse(document);
    valijson::Schema parsed;
    valijson::SchemaParser().populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_json), parsed);
    valijson::ValidationResults results;
    valijson::Validator(valijson::Validator::kStrongTypes).validate(parsed, valijson::adapters::NlohmannJsonAdapter(json), &results);
    std::string faults;
    for (const auto& result : results) {
        for (const std::string& part : result.context) faults += part;
        faults += ": " + result.description + "\n";
    }
    return faults;
}

}  // namespace trapline::tests
