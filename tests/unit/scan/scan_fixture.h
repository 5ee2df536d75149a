// SPDX-License-Identifier: Apache-2.0
// Builds small images from hex and scans them under a profile of the embedded database.
#pragma once

#include <catch2/catch.hpp>
#include <list>
#include <string>
#include <vector>

#include "classify/tags.h"
#include "isa/loader.h"
#include "scan/scanner.h"

namespace trapline::scan_test {

/// The database compiled into the program, loaded once.
inline const isa::Database& database() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    return outcome.database;
}

inline const classify::TagTable& tags(const std::string& profile_id = "base") {
    static std::map<std::string, classify::TagTable> tables;
    auto found = tables.find(profile_id);
    if (found == tables.end()) {
        const isa::Profile* profile = database().find_profile(profile_id);
        REQUIRE(profile != nullptr);
        found = tables.emplace(profile_id, classify::TagTable(database(), *profile)).first;
    }
    return found->second;
}

/// An image under construction; owns the sections' bytes.
class CodeImage {
public:
    CodeImage() { image.name = "test"; image.format = image::Format::elf64; image.architecture = "x86_64"; }
    CodeImage(const CodeImage&) = delete;

    image::SectionIndex add(const std::string& name, std::uint64_t address, std::vector<std::uint8_t> bytes,
                            image::CodeWidth width = image::CodeWidth::bits64) {
        storage_.push_back(std::move(bytes));
        image::Section section;
        section.name = name;
        section.address = {address};
        section.file_offset = {0x400 + address};
        section.bytes = storage_.back();
        section.executable = true;
        section.width = width;
        image.sections.push_back(section);
        return static_cast<image::SectionIndex>(image.sections.size() - 1);
    }
    image::SectionIndex add(const std::string& name, std::uint64_t address, const std::string& hex,
                            image::CodeWidth width = image::CodeWidth::bits64) {
        auto bytes = parse_hex(hex);
        REQUIRE(bytes);
        return add(name, address, std::move(*bytes), width);
    }
    void symbol(image::SectionIndex section, std::uint64_t address, const std::string& name,
                image::SymbolKind kind = image::SymbolKind::other) {
        image.symbols.push_back({names_.emplace_back(name), section, {address}, 0, kind});
    }
    void pointer(image::SectionIndex section, std::uint64_t address,
                 image::CodePointer::Origin origin = image::CodePointer::Origin::entry) {
        image.pointers.push_back({section, {address}, origin});
    }
    void table(image::TableKind kind, image::SectionIndex section, std::uint64_t begin, std::uint64_t end,
               std::optional<VirtAddr> peer = std::nullopt, image::TableDetail detail = {}) {
        image::TableEntry entry;
        entry.kind = kind;
        entry.section = section;
        entry.code = {{begin}, {end}};
        entry.peer = peer;
        if (peer) entry.peer_section = image.find_section(*peer).value_or(0);
        entry.detail = detail;
        image.tables.push_back(entry);
    }
    ScanDocument scan(scan::ScanOptions options = {}, const std::string& profile = "base") const {
        return scan::scan(image, database(), tags(profile), options);
    }

    image::Image image;

private:
    std::list<std::string> names_;  // of symbols, which only point to them
    std::list<std::vector<std::uint8_t>> storage_;
};

/// Renders findings as "address mnemonic evidence", which is what most tests are about.
inline std::vector<std::string> brief(const ScanDocument& document) {
    std::vector<std::string> lines;
    for (const Finding& finding : document.findings) {
        char address[32];
        std::snprintf(address, sizeof address, "%llx ", static_cast<unsigned long long>(finding.address));
        lines.push_back(address + finding.mnemonic + " " + std::string(to_string(finding.evidence)));
    }
    return lines;
}

inline bool has_note(const ScanDocument& document, const std::string& part) {
    for (const std::string& note : document.notes)
        if (note.find(part) != std::string::npos) return true;
    return false;
}

using Lines = std::vector<std::string>;

}  // namespace trapline::scan_test
