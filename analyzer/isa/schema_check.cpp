// SPDX-License-Identifier: Apache-2.0
// Validation against the published JSON Schemas, with valijson.
#include <map>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "isa/lint.h"

namespace trapline::isa {

namespace {

// "trapline.isa-family/1" is described by schema/isa-family.json.
std::string schema_path(std::string_view schema) {
    const auto begin = schema.find('.'), end = schema.find('/');
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
    return "schema/" + std::string(schema.substr(begin + 1, end - begin - 1)) + ".json";
}

}  // namespace

std::vector<Error> check_schemas(const std::vector<SpecFile>& files) {
    std::vector<Error> errors;
    std::map<std::string, valijson::Schema> schemas;
    const auto refuse = [&](const std::string& file, std::string pointer, std::string message) {
        errors.push_back(Error{ErrorCode::malformed, std::move(message), file, std::nullopt, std::move(pointer)});
    };
    try {
        for (const SpecFile& file : files) {
            if (file.path.rfind("schema/", 0) != 0) continue;
            const auto json = nlohmann::json::parse(file.text.begin(), file.text.end());
            valijson::SchemaParser().populateSchema(valijson::adapters::NlohmannJsonAdapter(json), schemas[file.path]);
        }
        for (const SpecFile& file : files) {
            if (file.path.rfind("schema/", 0) == 0) continue;
            const auto json = nlohmann::json::parse(file.text.begin(), file.text.end());
            const std::string path = schema_path(json.value("schema", ""));
            const auto schema = schemas.find(path);
            if (schema == schemas.end()) {
                refuse(file.path, "/schema", "no JSON Schema \"" + path + "\" for it in isa-specs/");
                continue;
            }
            valijson::ValidationResults results;
            if (valijson::Validator(valijson::Validator::kStrongTypes).validate(schema->second, valijson::adapters::NlohmannJsonAdapter(json), &results)) continue;
            for (const auto& result : results) {
                std::string pointer;
                for (const std::string& part : result.context)
                    if (part != "<root>") pointer += "/" + (part.size() > 2 && part.front() == '[' ? part.substr(1, part.size() - 2) : part);
                refuse(file.path, pointer, result.description);
            }
        }
    } catch (const std::exception& error) {
        refuse("schema/", "", error.what());
    }
    return errors;
}

}  // namespace trapline::isa
