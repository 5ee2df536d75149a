// SPDX-License-Identifier: Apache-2.0
// libFuzzer target over the image loader with small limits: no input may crash it, hang it, or make it eat memory.
// What an image promises is checked on each one that opens. The seeds in seeds/image/ are tiny files of each format,
// made with the builders of tests/unit/image/.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/image.h"
#include "image/source_lines.h"

namespace {

using namespace trapline;
using namespace trapline::image;

void check(const Image& image) {
    for (const Section& section : image.sections) {
        const auto* begin = image.storage->data();
        TRAPLINE_ASSERT(section.bytes.data() >= begin && section.bytes.data() + section.bytes.size() <= begin + image.storage->size(),
                        "a section's bytes lie in the image's storage");
        TRAPLINE_ASSERT(section.bytes.empty() || section.address.value + (section.bytes.size() - 1) >= section.address.value,
                        "a section does not wrap around the address space");
    }
    for (const Symbol& symbol : image.symbols) TRAPLINE_ASSERT(symbol.section < image.sections.size(), "a symbol has a section");
    for (const TableEntry& entry : image.tables) {
        TRAPLINE_ASSERT(entry.section < image.sections.size(), "a table entry has a section");
        TRAPLINE_ASSERT(image.sections[entry.section].executable, "a table entry speaks of code");
    }
    const CodePointer* before = nullptr;
    for (const CodePointer& pointer : image.pointers) {
        const Section& section = image.sections.at(pointer.section);
        TRAPLINE_ASSERT(section.executable && pointer.address >= section.address &&
                            pointer.address - section.address < section.bytes.size(),
                        "a code pointer points into an executable section");
        TRAPLINE_ASSERT(!before || std::pair(before->section, before->address) < std::pair(pointer.section, pointer.address),
                        "code pointers are sorted and differ");
        before = &pointer;
    }
    std::vector<SourcePlace> places;
    for (SectionIndex i = 0; i < image.sections.size(); ++i)
        if (image.sections[i].executable) places.push_back({i, image.sections[i].address + image.sections[i].bytes.size() / 2});
    const SourceLines found = find_source_lines(image, places);
    TRAPLINE_ASSERT(found.lines.size() == places.size() && found.notes.size() <= 1, "each place is answered, with one note at most");
    for (const SourceLine& line : found.lines) TRAPLINE_ASSERT(line.file.empty() == (line.line == 0), "a line has a file and a file a line");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    OpenOptions options;
    options.max_decompressed = 1 << 20;
    options.max_members = 64;
    options.max_sections = 1024;
    const auto sink = [](Image&& image) {
        check(image);
        return true;
    };
    const auto on_error = [](const Error& error) { TRAPLINE_ASSERT(!error.message.empty(), "an error says something"); };
    const Status status = open_image_bytes("fuzz", std::vector<std::uint8_t>(data, data + size), options, sink, on_error);
    TRAPLINE_ASSERT(status || !status.error().message.empty(), "an error says something");
    return 0;
}
