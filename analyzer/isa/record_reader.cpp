// SPDX-License-Identifier: Apache-2.0
// From the JSON of isa-specs/README.md to isa::Record.
#include "isa/record_reader.h"

#include <algorithm>
#include <array>

#include "isa/slot_notation.h"
#include "support/bytes.h"

namespace trapline::isa {

namespace {

constexpr std::array<std::string_view, 20> kDocuments = {
    "intel-sdm-1", "intel-sdm-2", "intel-sdm-3", "intel-sdm-4", "amd-apm-1", "amd-apm-2", "amd-apm-3", "amd-apm-4", "amd-apm-5", "intel-ise",
    "intel-fred",  "intel-tdx",   "amd-sev",     "i286-prm",    "i386-prm",  "i8086-fum", "via-padlock", "cyrix", "amd-lwp", "errata"};

template <class Value, std::size_t N>
std::optional<Value> choose(const JsonCursor& cursor, const std::array<std::pair<std::string_view, Value>, N>& table) {
    const auto text = cursor.string();
    if (!text) return std::nullopt;
    std::string legal;
    for (const auto& [name, value] : table) {
        if (name == *text) return value;
        legal += (legal.empty() ? "" : ", ") + std::string(name);
    }
    cursor.refuse("found \"" + *text + "\", expected one of " + legal);
    return std::nullopt;
}

using PrefixName = std::pair<std::string_view, PrefixSet::Bit>;
constexpr std::array kPrefixes = {PrefixName{"np", PrefixSet::np}, PrefixName{"66", PrefixSet::p66}, PrefixName{"f3", PrefixSet::f3},
                                  PrefixName{"f2", PrefixSet::f2}};
using ModName = std::pair<std::string_view, ModRequirement>;
constexpr std::array kMods = {ModName{"mem", ModRequirement::memory}, ModName{"reg", ModRequirement::reg}, ModName{"ignored", ModRequirement::ignored}};
using Size64Name = std::pair<std::string_view, OperandSize64>;
constexpr std::array kSizes64 = {Size64Name{"default64", OperandSize64::default64}, Size64Name{"forced64", OperandSize64::forced64}};

std::vector<std::uint8_t> read_bytes(const JsonCursor& cursor) {
    const auto text = cursor.string();
    if (!text) return {};
    auto bytes = parse_hex(*text);
    if (!bytes) {
        cursor.refuse(bytes.error().message);
        return {};
    }
    return std::move(*bytes);
}

std::optional<Mode> read_mode(const JsonCursor& cursor) {
    const auto text = cursor.string();
    if (!text) return std::nullopt;
    const auto mode = parse_mode(*text);
    if (!mode) cursor.refuse("found \"" + *text + "\", expected 16r, 16p, 32 or 64");
    return mode;
}

// One number or an array of numbers, as a bit mask.
std::uint16_t read_mask(const JsonCursor& cursor, int high) {
    std::uint16_t mask = 0;
    const auto add = [&](const JsonCursor& item) {
        if (const auto number = item.integer(0, high)) mask = static_cast<std::uint16_t>(mask | 1u << *number);
    };
    if (cursor.value().is_array()) {
        for (const JsonCursor& item : cursor.elements()) add(item);
    } else {
        add(cursor);
    }
    return mask;
}

PrefixSet read_prefix(const JsonCursor& cursor) {
    PrefixSet set;
    set.bits = 0;
    const auto add = [&](const JsonCursor& item) {
        if (const auto bit = choose(item, kPrefixes)) set.bits = static_cast<std::uint8_t>(set.bits | *bit);
    };
    if (cursor.value().is_array()) {
        for (const JsonCursor& item : cursor.elements()) add(item);
    } else {
        add(cursor);
    }
    return set;
}

std::optional<bool> read_bit(const JsonCursor& parent, std::string_view key) {
    const auto found = parent.member(key);
    if (!found) return std::nullopt;
    const auto number = found->integer(0, 1);
    return number ? std::optional<bool>(*number == 1) : std::nullopt;
}

void read_size(const JsonCursor& parent, std::string_view key, std::uint8_t& out) {
    const auto found = parent.member(key);
    if (!found) return;
    const auto number = found->integer(16, 64);
    if (!number) return;
    if (*number == 16 || *number == 32 || *number == 64) {
        out = static_cast<std::uint8_t>(*number);
    } else {
        found->refuse("found " + std::to_string(*number) + ", expected 16, 32 or 64");
    }
}

Encoding read_encoding(const JsonCursor& cursor) {
    Encoding encoding;
    if (!cursor.is_object({"map", "opcode", "prefix", "modrm", "imm", "osize", "osize64", "asize", "w", "rex_b", "l", "vvvv", "lock", "requires_lock", "modes"}))
        return encoding;
    std::string map;
    cursor.read("map", map, true);
    if (const auto parsed = parse_opcode_map(map)) {
        encoding.map = *parsed;
    } else if (!map.empty()) {
        cursor.refuse("unknown map \"" + map + "\", expected one, 0f, 0f38, 0f3a, 3dnow, vex.*, xop.* or evex.* (isa-specs/README.md)");
    }
    if (const auto opcode = cursor.member("opcode", true)) {
        const auto bytes = read_bytes(*opcode);
        if (bytes.size() == 1) encoding.opcode = bytes[0];
        else opcode->refuse("expected one opcode byte");
    }
    if (const auto prefix = cursor.member("prefix")) encoding.prefix = read_prefix(*prefix);
    if (const auto modrm = cursor.member("modrm"); modrm && modrm->is_object({"mod", "reg", "rm"})) {
        encoding.has_modrm = true;
        if (const auto mod = modrm->member("mod")) encoding.mod = choose(*mod, kMods).value_or(ModRequirement::any);
        if (const auto reg = modrm->member("reg")) encoding.reg_mask = read_mask(*reg, 15);
        if (const auto rm = modrm->member("rm")) {
            encoding.rm_mask = static_cast<std::uint8_t>(read_mask(*rm, 7));
            if (encoding.mod != ModRequirement::reg) rm->refuse("rm selects a form only with mod \"reg\"");
        }
    }
    if (const auto imm = cursor.member("imm"))
        if (const auto text = imm->string()) {
            if (const auto parsed = parse_immediate(*text)) encoding.imm = *parsed;
            else imm->refuse("found \"" + *text + "\", expected ib, iw, id, iz, iv, jz, iw+ib, ib+ib, ptr or moffs");
        }
    read_size(cursor, "osize", encoding.osize);
    read_size(cursor, "asize", encoding.asize);
    if (const auto size = cursor.member("osize64")) encoding.osize64 = choose(*size, kSizes64).value_or(OperandSize64::usual);
    encoding.w = read_bit(cursor, "w");
    encoding.rex_b = read_bit(cursor, "rex_b");
    if (const auto found = cursor.member("l"))
        if (const auto number = found->integer(0, 2)) encoding.l_mask = static_cast<std::uint8_t>(1 << *number);
    if (const auto vvvv = cursor.member("vvvv")) {
        if (vvvv->string() == "unused") encoding.vvvv_unused = true;
        else vvvv->refuse("expected \"unused\"");
    }
    if (const auto lock = cursor.member("lock")) {
        if (lock->string() == "allowed") encoding.lock_allowed = true;
        else lock->refuse("expected \"allowed\"");
    }
    cursor.read("requires_lock", encoding.requires_lock);
    if (const auto modes = cursor.member("modes", true)) {
        for (const JsonCursor& item : modes->elements())
            if (const auto mode = read_mode(item)) encoding.modes.insert(*mode);
        if (encoding.modes.bits == 0) modes->refuse("expected at least one mode");
    }
    return encoding;
}

Guard read_guard(const JsonCursor& parent, const Database& database) {
    const auto when = parent.member("when");
    if (!when) return {};
    const auto text = when->string();
    if (!text) return {};
    auto guard = Guard::parse(*text, database.atoms);
    if (!guard) {
        when->refuse(guard.error().message);
        return {};
    }
    return std::move(*guard);
}

std::vector<Effect> read_effects(const JsonCursor& record, std::string_view key, const Database& database) {
    std::vector<Effect> effects;
    const auto list = record.member(key);
    if (!list) return effects;
    for (const JsonCursor& item : list->elements()) {
        if (!item.is_object({"resource", "when", "else"})) continue;
        Effect effect;
        std::string resource;
        item.read("resource", resource, true);
        if (const auto index = database.find_resource(resource)) effect.resource = *index;
        else item.refuse("unknown resource \"" + resource + "\", expected one of x86/resources.json");
        effect.when = read_guard(item, database);
        item.read("else", effect.otherwise);
        if (!effect.otherwise.empty() && effect.when.always()) item.refuse("\"else\" without \"when\"");
        effects.push_back(std::move(effect));
    }
    return effects;
}

std::vector<Fault> read_faults(const JsonCursor& record, const Database& database) {
    using CauseName = std::pair<std::string_view, FaultCause>;
    static constexpr std::array kCauses = {CauseName{"privilege", FaultCause::privilege}, CauseName{"feature", FaultCause::feature},
                                           CauseName{"data", FaultCause::data}};
    std::vector<Fault> faults;
    const auto list = record.member("faults");
    if (!list) return faults;
    for (const JsonCursor& item : list->elements()) {
        if (!item.is_object({"vector", "cause", "when"})) continue;
        Fault fault;
        item.read("vector", fault.vector, true);
        if (!fault.vector.empty() && fault.vector[0] != '#') item.refuse("found vector \"" + fault.vector + "\", expected one such as #GP(0)");
        if (const auto cause = item.member("cause", true)) fault.cause = choose(*cause, kCauses).value_or(FaultCause::data);
        fault.when = read_guard(item, database);
        faults.push_back(std::move(fault));
    }
    return faults;
}

std::optional<Exit> read_exit(const JsonCursor& exits, std::string_view key, const std::vector<ExitControl>& controls) {
    const auto found = exits.member(key);
    if (!found || !found->is_object({"always", "control", "also", "reason"})) return std::nullopt;
    Exit exit;
    found->read("always", exit.always);
    found->read("control", exit.control);
    found->read("also", exit.also);
    if (const auto reason = found->member("reason")) exit.reason = reason->integer(0, 0xFFFF);
    if (exit.always == !exit.control.empty()) found->refuse("expected either \"always\": true or a \"control\"");
    const auto known = [&](const std::string& name) {
        return std::any_of(controls.begin(), controls.end(), [&](const ExitControl& c) { return c.control == name; });
    };
    if (!exit.control.empty() && !known(exit.control)) found->refuse("unknown control \"" + exit.control + "\", expected one of x86/exits.json");
    for (const std::string& name : exit.also)
        if (!known(name)) found->refuse("unknown control \"" + name + "\", expected one of x86/exits.json");
    return exit;
}

void read_era(const JsonCursor& cursor, std::string_view key, Era& out) {
    const auto found = cursor.member(key);
    if (!found) return;
    const auto text = found->string();
    if (!text) return;
    if (const auto era = parse_era(*text)) out = *era;
    else found->refuse("found \"" + *text + "\", expected i8086, i186, i286, i386, i486, pentium, p6, x86-64 or modern");
}

}  // namespace

std::vector<Source> read_sources(const JsonCursor& cursor) {
    std::vector<Source> out;
    const auto sources = cursor.member("sources", true);
    if (!sources) return out;
    for (const JsonCursor& item : sources->elements()) {
        if (!item.is_object({"doc", "section"})) continue;
        Source source;
        item.read("doc", source.doc, true);
        item.read("section", source.section, true);
        if (std::find(kDocuments.begin(), kDocuments.end(), source.doc) == kDocuments.end())
            item.refuse("unknown document \"" + source.doc + "\" (isa-specs/README.md lists them)");
        out.push_back(std::move(source));
    }
    if (out.empty()) sources->refuse("expected at least one source");
    return out;
}

void read_provenance(const JsonCursor& cursor, InnocuousForm& form) {
    cursor.read("feature", form.feature);
    cursor.read("vendor", form.vendor);
    read_era(cursor, "since", form.since);
    read_era(cursor, "until", form.until);
    if (form.until < form.since) cursor.refuse("\"until\" is before \"since\"");
}

InnocuousForm read_innocuous_form(const JsonCursor& cursor, const InnocuousForm& family) {
    InnocuousForm form = family;
    form.pointer = cursor.pointer();
    if (!cursor.is_object({"mnemonic", "slots", "feature", "vendor", "since", "until"})) return form;
    cursor.read("mnemonic", form.mnemonic, true);
    read_provenance(cursor, form);
    const auto slots = cursor.member("slots", true);
    if (!slots) return form;
    for (const JsonCursor& slot : slots->elements()) {
        const auto text = slot.string();
        if (!text) continue;
        auto encodings = parse_slot(*text);
        form.slots.push_back(*text);
        if (encodings) form.encodings.insert(form.encodings.end(), encodings->begin(), encodings->end());
        else slot.refuse(encodings.error().message);
    }
    if (slots->value().empty()) slots->refuse("expected at least one slot");
    return form;
}

Record read_record(const JsonCursor& cursor, const Database& database, const std::string& family) {
    Record record;
    record.family = family;
    record.file = cursor.file();
    record.pointer = cursor.pointer();
    if (!cursor.is_object({"id", "mnemonic", "stem", "operands", "variant", "encoding", "examples", "reads", "writes", "faults", "exits",
                           "virtualization", "feature", "gate", "vendor", "since", "until", "sources", "override"}))
        return record;
    cursor.read("id", record.id, true);
    cursor.read("mnemonic", record.mnemonic, true);
    cursor.read("stem", record.stem);
    cursor.read("operands", record.operands);
    cursor.read("variant", record.variant);
    if (const auto encoding = cursor.member("encoding", true)) record.encoding = read_encoding(*encoding);
    if (const auto examples = cursor.member("examples", true)) {
        for (const JsonCursor& item : examples->elements()) {
            if (!item.is_object({"bytes", "mode", "text"})) continue;
            Example example;
            if (const auto bytes = item.member("bytes", true)) example.bytes = read_bytes(*bytes);
            if (const auto mode = item.member("mode", true)) example.mode = read_mode(*mode).value_or(Mode::long64);
            item.read("text", example.text, true);
            record.examples.push_back(std::move(example));
        }
        if (record.examples.empty()) examples->refuse("expected at least one example");
    }
    record.reads = read_effects(cursor, "reads", database);
    record.writes = read_effects(cursor, "writes", database);
    record.faults = read_faults(cursor, database);
    if (const auto exits = cursor.member("exits"); exits && exits->is_object({"vmx", "svm"})) {
        record.vmx = read_exit(*exits, "vmx", database.vmx_controls);
        record.svm = read_exit(*exits, "svm", database.svm_controls);
    }
    if (const auto advice = cursor.member("virtualization"); advice && advice->is_object({"emulate", "hypercall", "translate", "why"})) {
        advice->read("emulate", record.virtualization.emulate);
        advice->read("hypercall", record.virtualization.hypercall);
        advice->read("translate", record.virtualization.translate);
        advice->read("why", record.virtualization.why, true);
    }
    cursor.read("feature", record.feature);
    cursor.read("gate", record.gate);
    cursor.read("vendor", record.vendor);
    read_era(cursor, "since", record.since);
    read_era(cursor, "until", record.until);
    if (record.until < record.since) cursor.refuse("\"until\" is before \"since\"");
    record.sources = read_sources(cursor);
    if (const auto found = cursor.member("override"); found && found->is_object({"tag", "value", "reason", "source"})) {
        Override forced;
        found->read("tag", forced.tag, true);
        found->read("value", forced.value, true);
        found->read("reason", forced.reason, true);
        found->read("source", forced.source, true);
        record.overrides.push_back(std::move(forced));
    }
    return record;
}

}  // namespace trapline::isa
