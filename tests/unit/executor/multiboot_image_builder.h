// SPDX-License-Identifier: Apache-2.0
// Multiboot images, byte by byte, right and wrong.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace trapline::test {

/// Bytes that grow.
struct ImageBytes {
    std::vector<std::uint8_t> bytes;
    ImageBytes& add(std::uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
        return *this;
    }
    ImageBytes& words(std::initializer_list<std::uint32_t> values) {
        for (const std::uint32_t value : values) add(value, 4);
        return *this;
    }
    ImageBytes& align(std::size_t to) {
        while (bytes.size() % to != 0) bytes.push_back(0);
        return *this;
    }
    void set(std::size_t at, std::uint32_t value) {
        for (unsigned i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
};

/// A tag of a Multiboot 2 header. `size` other than 0 is a lie about its size.
struct HeaderTag {
    std::uint16_t type = 0;
    std::vector<std::uint32_t> fields;
    bool optional = false;
    std::uint32_t size = 0;
};

/// A Multiboot 2 header with an end tag behind `tags` where `ended`; `length` other than 0 is a lie about its length.
inline ImageBytes multiboot2_header(const std::vector<HeaderTag>& tags, bool ended = true, std::uint32_t length = 0, std::uint32_t architecture = 0) {
    constexpr std::uint32_t kMagic = 0xE85250D6;
    ImageBytes out;
    out.words({kMagic, architecture, 0, 0});
    for (const HeaderTag& tag : tags) {
        out.align(8).add(tag.type, 2).add(tag.optional ? 1 : 0, 2).add(tag.size != 0 ? tag.size : 8 + 4 * tag.fields.size(), 4);
        for (const std::uint32_t field : tag.fields) out.add(field, 4);
    }
    if (ended) out.align(8).words({0, 8});
    const std::uint32_t told = length != 0 ? length : static_cast<std::uint32_t>(out.bytes.size());
    out.set(8, told);
    out.set(12, 0 - (kMagic + architecture + told));
    return out;
}

/// A PT_LOAD segment whose file bytes are `contents`.
struct Segment32 {
    std::uint32_t address = 0, physical = 0, memory_size = 0;
    std::vector<std::uint8_t> contents;
};

/// An ELF32 executable for the i386: headers, the segments' bytes, and with `sections` a null section, a section of 16 bytes of symbols that
/// is not loaded, and the names (".shstrtab"), as section 2.
inline ImageBytes elf32(std::uint32_t entry, const std::vector<Segment32>& segments, bool sections = false) {
    ImageBytes out;
    const auto count = static_cast<std::uint32_t>(segments.size());
    std::uint32_t at = 52 + 32 * count;
    std::uint32_t contents = 0;
    for (const Segment32& segment : segments) contents += static_cast<std::uint32_t>(segment.contents.size());
    const std::uint32_t symbols = at + contents, names = symbols + 16, table = names + 12;
    out.words({0x464C457F, 0x00010101, 0, 0}).add(2, 2).add(3, 2).words({1, entry, 52, sections ? table : 0, 0}).add(52, 2).add(32, 2).add(count, 2).add(40, 2).add(sections ? 3 : 0, 2).add(sections ? 2 : 0, 2);
    for (const Segment32& segment : segments) {
        const auto size = static_cast<std::uint32_t>(segment.contents.size());
        out.words({1, at, segment.address, segment.physical, size, segment.memory_size, 7, 1});
        at += size;
    }
    for (const Segment32& segment : segments) out.bytes.insert(out.bytes.end(), segment.contents.begin(), segment.contents.end());
    if (!sections) return out;
    for (std::uint8_t i = 0; i < 16; ++i) out.add(0xA0u + i, 1);
    for (const char c : {'\0', '.', 's', 'h', 's', 't', 'r', 't', 'a', 'b', '\0', '\0'}) out.add(static_cast<std::uint8_t>(c), 1);
    // sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size, sh_link, sh_info, sh_addralign, sh_entsize
    out.words({0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    out.words({0, 1, 0, 0, symbols, 16, 0, 0, 4, 0});
    out.words({1, 3, 0, 0, names, 11, 0, 0, 1, 0});
    return out;
}

}  // namespace trapline::test
