// SPDX-License-Identifier: Apache-2.0
// The places come from the scanner's own sweep: what it calls padding here is what it calls padding in a scan.
#include "bench/subject.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "decode/decoder.h"
#include "isa/loader.h"
#include "scan/flagged_forms.h"
#include "scan/sweep.h"

namespace trapline::bench {
namespace {

std::uint64_t executable_bytes(const image::Image& image) {
    std::uint64_t bytes = 0;
    for (const image::Section& section : image.sections)
        if (section.executable) bytes += section.bytes.size();
    return bytes;
}

Result<image::Image> open_largest(const std::string& path) {
    std::optional<image::Image> largest;
    std::uint64_t most = 0;
    std::optional<Error> member_error;
    const auto take = [&](image::Image&& image) {
        if (const std::uint64_t bytes = executable_bytes(image); bytes > most) {
            most = bytes;
            largest = std::move(image);
        }
        return true;
    };
    const Status status = image::open_images(path, {}, take, [&](Error error) { member_error = std::move(error); });
    if (!status) return tl::make_unexpected(status.error());
    if (largest) return std::move(*largest);
    if (member_error) return tl::make_unexpected(std::move(*member_error));
    return fail(ErrorCode::unsupported, "found no executable section, expected an image with code", path);
}

Code sweep(const image::Image& image, image::SectionIndex index, const decode::InstructionDecoder& decoder, const scan::FlaggedForms& flagged) {
    scan::SectionCode section(image.sections[index], index);
    section.splits = scan::find_splits(image, index);
    scan::sweep_chunk({0, 0, section.bytes.size()}, section, decoder, flagged);
    Code code{section.bytes, section.mode, {}};
    for (std::uint64_t at = 0; at < section.bytes.size(); ++at)
        if (const int length = section.map.swept_length(at); length != 0) code.places.push_back({at, static_cast<std::uint64_t>(length)});
    return code;
}

DenseCode condense(const Code& code) {
    DenseCode dense;
    dense.mode = code.mode;
    for (const Place place : code.places) {
        dense.places.push_back({dense.bytes.size(), place.length});
        const Bytes insn = code.bytes.subspan(place.offset, place.length);
        dense.bytes.insert(dense.bytes.end(), insn.begin(), insn.end());
    }
    return dense;
}

}  // namespace

Result<Subject> open_subject(const std::string& path) {
    Subject subject;
    subject.path = path;
    isa::LoadOutcome loaded = isa::load_database(isa::embedded_spec_files());
    if (!loaded.errors.empty()) return tl::make_unexpected(loaded.errors.front());
    subject.database = std::make_unique<isa::Database>(std::move(loaded.database));
    const isa::Profile* profile = subject.database->find_profile("base");
    if (profile == nullptr) return fail(ErrorCode::inconsistent, "found no profile base in the database");
    subject.tags = std::make_unique<classify::TagTable>(*subject.database, *profile);

    Result<image::Image> image = open_largest(path);
    if (!image) return tl::make_unexpected(std::move(image.error()));
    subject.image = std::move(*image);
    subject.executable_bytes = executable_bytes(subject.image);

    const decode::InstructionDecoder decoder(*subject.database, *profile);
    const scan::FlaggedForms flagged(*subject.database, *subject.tags);
    for (image::SectionIndex index = 0; index < subject.image.sections.size(); ++index) {
        const image::Section& section = subject.image.sections[index];
        if (!section.executable || section.bytes.empty()) continue;
        subject.code.push_back(sweep(subject.image, index, decoder, flagged));
        subject.instructions += subject.code.back().places.size();
        for (const Place& place : subject.code.back().places) subject.instruction_bytes += place.length;
    }
    if (subject.instructions == 0) return fail(ErrorCode::unsupported, "found no instruction in the executable sections", path);
    subject.dense = condense(*std::max_element(subject.code.begin(), subject.code.end(), [](const Code& a, const Code& b) { return a.places.size() < b.places.size(); }));
    return subject;
}

}  // namespace trapline::bench
