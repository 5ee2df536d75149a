// SPDX-License-Identifier: Apache-2.0
// Loads the database: vocabulary first (resources, atoms, controls), then records and profiles.
#include "isa/loader.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "isa/abi_reader.h"
#include "isa/json_reader.h"
#include "isa/record_reader.h"

namespace trapline::isa {

namespace {

struct ParsedFile {
    const SpecFile* file;
    Json json;
    std::string schema;
};

// FNV-1a, 64 bits: names a version of the data, is no defence against forgery.
std::uint64_t hash_text(std::uint64_t hash, std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ull;
    return hash;
}

std::string hex16(std::uint64_t value) {
    std::string text(16, '0');
    for (int i = 15; i >= 0; --i, value >>= 4) text[static_cast<std::size_t>(i)] = "0123456789abcdef"[value & 15];
    return text;
}

void read_resources(const JsonCursor& root, Database& database) {
    if (!root.is_object({"schema", "resources"})) return;
    const auto list = root.member("resources", true);
    if (!list) return;
    for (const JsonCursor& item : list->elements()) {
        if (!item.is_object({"id", "kind", "title", "source"})) continue;
        Resource resource;
        std::string kind;
        item.read("id", resource.id, true);
        item.read("kind", kind, true);
        item.read("title", resource.title, true);
        bool known = false;
        for (int i = 0; i <= static_cast<int>(ResourceKind::user); ++i) {
            if (to_string(static_cast<ResourceKind>(i)) != kind) continue;
            resource.kind = static_cast<ResourceKind>(i);
            known = true;
        }
        if (!known) item.refuse("unknown kind \"" + kind + "\", expected mode, protection, relocation, resource_map, interrupt, io, time, identity or user");
        if (database.find_resource(resource.id)) item.refuse("resource \"" + resource.id + "\" is listed twice");
        database.resources.push_back(std::move(resource));
    }
}

void read_atoms(const JsonCursor& root, Database& database) {
    if (!root.is_object({"schema", "atoms"})) return;
    const auto list = root.member("atoms", true);
    if (!list) return;
    static constexpr std::array<std::string_view, 5> kAxes = {"mode", "operating_mode", "control", "gate", "data"};
    for (const JsonCursor& item : list->elements()) {
        if (!item.is_object({"id", "axis", "domain", "title", "token", "vmm", "source"})) continue;
        Atom atom;
        std::string axis;
        item.read("id", atom.id, true);
        item.read("axis", axis, true);
        item.read("domain", atom.domain, 2, 4, true);
        item.read("title", atom.title, true);
        item.read("token", atom.token);
        item.read("vmm", atom.vmm, 0, 3);
        const auto found = std::find(kAxes.begin(), kAxes.end(), axis);
        if (found == kAxes.end()) item.refuse("unknown axis \"" + axis + "\", expected mode, operating_mode, control, gate or data");
        else atom.axis = static_cast<Axis>(found - kAxes.begin());
        if (atom.axis == Axis::control && atom.token.empty()) item.refuse("a control atom needs the \"token\" that cond: shows");
        if (database.find_atom(atom.id)) item.refuse("atom \"" + atom.id + "\" is listed twice");
        database.atoms.push_back(std::move(atom));
    }
}

void read_controls(const JsonCursor& list, std::string_view code_key, std::vector<ExitControl>& out) {
    for (const JsonCursor& item : list.elements()) {
        if (!item.is_object({"control", "reason", "code", "title", "source"})) continue;
        ExitControl control;
        item.read("control", control.control, true);
        item.read("title", control.title);
        if (code_key == "reason") {
            item.read("reason", control.code, 0, 0xFFFF, true);
        } else {
            std::string code;
            item.read("code", code, true);
            char* end = nullptr;
            control.code = static_cast<int>(std::strtol(code.c_str(), &end, 16));
            if (code.rfind("0x", 0) != 0 || *end != 0) item.refuse("found code \"" + code + "\", expected hex such as 0x72");
        }
        out.push_back(std::move(control));
    }
}

bool pattern_matches(std::string_view pattern, std::string_view id) {
    if (pattern.size() > 2 && pattern.substr(pattern.size() - 2) == ".*") return id.substr(0, pattern.size() - 1) == pattern.substr(0, pattern.size() - 1);
    return pattern == id;
}

void read_atom_values(const JsonCursor& parent, std::string_view key, const Database& database, std::vector<std::pair<AtomIndex, int>>& out) {
    const auto object = parent.member(key);
    if (!object) return;
    if (!object->value().is_object()) return object->refuse("expected an object of atom: value");
    for (const auto& [name, ignored] : object->value().items()) {
        const auto value = object->member(name);
        const auto atom = database.find_atom(name);
        if (!atom) {
            value->refuse("unknown atom \"" + name + "\", expected one of x86/atoms.json");
            continue;
        }
        if (const auto number = value->integer(0, database.atoms[*atom].domain - 1)) out.emplace_back(*atom, *number);
    }
}

// Reads a list of resource names and "prefix.*" patterns into flags by ResourceIndex.
std::vector<bool> read_resource_set(const JsonCursor& root, std::string_view key, const Database& database) {
    std::vector<bool> set(database.resources.size(), false);
    const auto list = root.member(key);
    if (!list) return set;
    for (const JsonCursor& item : list->elements()) {
        const auto pattern = item.string();
        if (!pattern) continue;
        bool met = false;
        for (std::size_t i = 0; i < database.resources.size(); ++i) {
            if (!pattern_matches(*pattern, database.resources[i].id)) continue;
            set[i] = true;
            met = true;
        }
        if (!met) item.refuse("\"" + *pattern + "\" names no resource of x86/resources.json");
    }
    return set;
}

void read_profile(const JsonCursor& root, Database& database) {
    if (!root.is_object({"schema", "id", "title", "why", "deprivileged_cpl", "modes", "era", "vendors", "atoms", "vmm", "exits", "exit_controls",
                         "guest_owned", "guest_loaded", "notes"}))
        return;
    Profile profile;
    profile.file = root.file();
    root.read("id", profile.id, true);
    root.read("title", profile.title, true);
    root.read("why", profile.why);
    root.read("deprivileged_cpl", profile.deprivileged_cpl, 0, 3);
    root.read("vendors", profile.vendors);
    if (const auto modes = root.member("modes", true)) {
        for (const JsonCursor& item : modes->elements()) {
            const auto text = item.string();
            const auto mode = text ? parse_mode(*text) : std::nullopt;
            if (mode) profile.modes.insert(*mode);
            else item.refuse("expected 16r, 16p, 32 or 64");
        }
    }
    std::string era;
    root.read("era", era, true);
    if (const auto parsed = parse_era(era)) profile.era = *parsed;
    else root.refuse("unknown era \"" + era + "\"");
    read_atom_values(root, "atoms", database, profile.fixed);
    read_atom_values(root, "vmm", database, profile.vmm);
    if (const auto exits = root.member("exits"); exits && !exits->value().is_null()) {
        const auto text = exits->string();
        if (text == "vmx") profile.exits = ExitModel::vmx;
        else if (text == "svm") profile.exits = ExitModel::svm;
        else exits->refuse("expected null, \"vmx\" or \"svm\"");
    }
    if (const auto controls = root.member("exit_controls"); controls && !controls->value().is_null()) {
        if (controls->value().is_string()) {
            profile.all_exit_controls = controls->value() == "all";
            if (!profile.all_exit_controls) controls->refuse("expected \"all\" or a list of controls");
        } else {
            root.read("exit_controls", profile.exit_controls);
        }
    }
    profile.guest_owned = read_resource_set(root, "guest_owned", database);
    profile.guest_loaded = read_resource_set(root, "guest_loaded", database);
    if (database.find_profile(profile.id)) root.refuse("profile \"" + profile.id + "\" is defined twice");
    database.profiles.push_back(std::move(profile));
}

// A family is named after its file.
std::string read_family_name(const JsonCursor& root) {
    std::string family, title;
    root.read("family", family, true);
    root.read("title", title, true);
    if (root.file().size() < family.size() + 5 || root.file().substr(root.file().size() - family.size() - 5) != family + ".json")
        root.refuse("family \"" + family + "\" stands in a file of another name");
    return family;
}

void read_innocuous(const JsonCursor& root, Database& database) {
    if (!root.is_object({"schema", "family", "title", "feature", "vendor", "since", "until", "sources", "forms"})) return;
    InnocuousForm family;
    family.family = read_family_name(root);
    family.file = root.file();
    read_provenance(root, family);
    family.sources = read_sources(root);
    if (const auto list = root.member("forms", true))
        for (const JsonCursor& item : list->elements()) database.innocuous.push_back(read_innocuous_form(item, family));
}

void read_family(const JsonCursor& root, Database& database) {
    if (!root.is_object({"schema", "family", "title", "records"})) return;
    const std::string family = read_family_name(root);
    if (const auto list = root.member("records", true))
        for (const JsonCursor& item : list->elements()) database.records.push_back(read_record(item, database, family));
}

// Files that other modules read; the database only counts them into its version.
bool read_elsewhere(std::string_view schema) {
    return schema == "trapline.opcode-maps/1" || schema == "trapline.decoder-differences/1" || schema == "trapline.cpuid-features/1" ||
           schema == "trapline.cpu-differences/1" || schema == "trapline.mnemonic-differences/1";
}

}  // namespace

LoadOutcome load_database(const std::vector<SpecFile>& files) {
    LoadOutcome outcome;
    Database& database = outcome.database;
    std::vector<ParsedFile> parsed;
    std::uint64_t version = 0xcbf29ce484222325ull;
    for (const SpecFile& file : files) {
        if (file.path.rfind("schema/", 0) == 0) continue;
        version = hash_text(hash_text(version, file.path), file.text);
        Json json;
        try {
            json = Json::parse(file.text.begin(), file.text.end());
        } catch (const nlohmann::json::parse_error& error) {
            outcome.errors.push_back(Error{ErrorCode::malformed, error.what(), file.path, error.byte, {}});
            continue;
        }
        std::string schema;
        if (json.is_object() && json.contains("schema") && json["schema"].is_string()) schema = json["schema"].get<std::string>();
        parsed.push_back({&file, std::move(json), std::move(schema)});
    }
    database.version = hex16(version);

    using Reader = void (*)(const JsonCursor&, Database&);
    const std::array<std::pair<std::string_view, Reader>, 8> passes = {{
        {"trapline.resources/1", read_resources},
        {"trapline.atoms/1", read_atoms},
        {"trapline.exits/1",
         [](const JsonCursor& root, Database& db) {
             if (!root.is_object({"schema", "vmx", "svm"})) return;
             if (const auto list = root.member("vmx", true)) read_controls(*list, "reason", db.vmx_controls);
             if (const auto list = root.member("svm", true)) read_controls(*list, "code", db.svm_controls);
         }},
        {"trapline.retired-ids/1",
         [](const JsonCursor& root, Database& db) {
             if (root.is_object({"schema", "ids"})) root.read("ids", db.retired_ids);
         }},
        {"trapline.isa-family/1", read_family},
        {"trapline.innocuous/1", read_innocuous},
        {"trapline.profile/1", read_profile},
        {"trapline.abi/1",
         [](const JsonCursor& root, Database& db) {
             Abi abi = read_abi(root);
             if (root.file() != "abi/" + abi.id + ".json") root.refuse("interface \"" + abi.id + "\" stands in a file of another name");
             db.abis.push_back(std::move(abi));
         }},
    }};
    for (const auto& [schema, reader] : passes)
        for (const ParsedFile& file : parsed)
            if (file.schema == schema) reader(JsonCursor(file.json, file.file->path, "", outcome.errors), database);
    for (const ParsedFile& file : parsed) {
        const bool known = read_elsewhere(file.schema) ||
                           std::any_of(passes.begin(), passes.end(), [&](const auto& pass) { return pass.first == file.schema; });
        if (!known)
            outcome.errors.push_back(Error{ErrorCode::malformed, "unknown schema \"" + file.schema + "\", expected one such as trapline.isa-family/1",
                                           file.file->path, std::nullopt, "/schema"});
    }
    database.index();
    return outcome;
}

Result<std::vector<SpecFile>> read_spec_directory(const std::string& directory, std::vector<std::string>& storage) {
    namespace fs = std::filesystem;
    std::error_code code;
    std::vector<fs::path> paths;
    for (fs::recursive_directory_iterator it(directory, code), end; !code && it != end; it.increment(code))
        if (it->is_regular_file(code) && it->path().extension() == ".json") paths.push_back(it->path());
    if (code) return fail(ErrorCode::io, "cannot list the database folder: " + code.message(), directory);
    if (paths.empty()) return fail(ErrorCode::io, "found no .json file, expected a folder such as isa-specs/", directory);
    std::sort(paths.begin(), paths.end());
    storage.clear();
    storage.reserve(paths.size());  // the views below point into it
    std::vector<SpecFile> files;
    for (const fs::path& path : paths) {
        std::ifstream stream(path, std::ios::binary);
        std::stringstream text;
        text << stream.rdbuf();
        if (!stream) return fail(ErrorCode::io, "cannot read", path.string());
        storage.push_back(text.str());
        files.push_back({path.lexically_relative(directory).generic_string(), storage.back()});
    }
    return files;
}

}  // namespace trapline::isa
