// SPDX-License-Identifier: Apache-2.0
// Builds tiny ELF files byte by byte after the gABI's tables, for the tests of the image module.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "image/image.h"

namespace trapline::image::test {

using Buffer = std::vector<std::uint8_t>;

inline void put(Buffer& out, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}
inline void poke(Buffer& out, std::size_t at, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.at(at + static_cast<std::size_t>(i)) = static_cast<std::uint8_t>(value >> (8 * i));
}

struct ElfBuilder {
    struct Part {
        std::string name;
        std::uint32_t type = 1;  // SHT_PROGBITS
        std::uint64_t flags = 0, address = 0;
        Buffer bytes;
        std::uint32_t link = 0, info = 0;
        std::uint64_t entry_size = 0;
    };
    struct Load {
        std::uint32_t flags;
        std::uint64_t address, physical;
        std::size_t part;  // index in parts
    };
    bool is_64 = true;
    std::uint16_t type = 2, machine = 62;  // ET_EXEC, EM_X86_64
    std::uint64_t entry = 0;
    std::vector<Part> parts;               // ELF section i + 1
    std::vector<Load> loads;
    bool section_headers = true;

    /// Adds a section; returns its ELF section index.
    std::uint32_t add(Part part) {
        parts.push_back(std::move(part));
        return static_cast<std::uint32_t>(parts.size());
    }
    /// Adds .symtab and .strtab from (name, value, section, STT type, size).
    struct Sym { std::string name; std::uint64_t value; std::uint16_t section; std::uint8_t type; std::uint64_t size; };
    std::uint32_t add_symbols(const std::vector<Sym>& symbols) {
        Buffer table(is_64 ? 24 : 16, 0);
        Buffer strings{0};
        for (const Sym& s : symbols) {
            const std::size_t name = strings.size();
            strings.insert(strings.end(), s.name.begin(), s.name.end());
            strings.push_back(0);
            put(table, s.name.empty() ? 0 : name, 4);
            if (!is_64) { put(table, s.value, 4); put(table, s.size, 4); }
            put(table, 0x10u | s.type, 1);  // STB_GLOBAL
            put(table, 0, 1);
            put(table, s.section, 2);
            if (is_64) { put(table, s.value, 8); put(table, s.size, 8); }
        }
        const std::uint32_t strtab = add({".strtab", 3, 0, 0, strings});
        return add({".symtab", 2, 0, 0, table, strtab, 1, is_64 ? 24u : 16u});
    }

    Buffer build() const {
        const std::size_t word = is_64 ? 8 : 4;
        const std::size_t header = is_64 ? 64 : 52, phent = is_64 ? 56 : 32, shent = is_64 ? 64 : 40;
        std::vector<Part> all = parts;
        Part names{".shstrtab", 3, 0, 0, {0}};
        std::vector<std::size_t> name_at;
        for (const Part& p : all) {
            name_at.push_back(names.bytes.size());
            names.bytes.insert(names.bytes.end(), p.name.begin(), p.name.end());
            names.bytes.push_back(0);
        }
        name_at.push_back(0);
        all.push_back(names);

        Buffer out{0x7F, 'E', 'L', 'F', static_cast<std::uint8_t>(is_64 ? 2 : 1), 1, 1};
        out.resize(header + phent * loads.size());
        std::vector<std::size_t> offsets;
        for (const Part& p : all) {
            while (out.size() % 16) out.push_back(0);
            offsets.push_back(out.size());
            if (p.type != 8) out.insert(out.end(), p.bytes.begin(), p.bytes.end());
        }
        while (out.size() % 8) out.push_back(0);
        const std::size_t table = out.size();
        poke(out, 16, type, 2);
        poke(out, 18, machine, 2);
        poke(out, 20, 1, 4);
        poke(out, 24, entry, static_cast<int>(word));
        poke(out, 24 + word, loads.empty() ? 0 : header, static_cast<int>(word));
        poke(out, 24 + 2 * word, section_headers ? table : 0, static_cast<int>(word));
        const std::size_t rest = 24 + 3 * word + 4;  // e_ehsize
        poke(out, rest, header, 2);
        poke(out, rest + 2, phent, 2);
        poke(out, rest + 4, loads.size(), 2);
        poke(out, rest + 6, shent, 2);
        poke(out, rest + 8, section_headers ? all.size() + 1 : 0, 2);
        poke(out, rest + 10, section_headers ? all.size() : 0, 2);
        for (std::size_t i = 0; i < loads.size(); ++i) {
            Buffer ph;
            const Load& l = loads[i];
            const std::size_t size = all[l.part].bytes.size();
            put(ph, 1, 4);
            if (is_64) put(ph, l.flags, 4);
            put(ph, offsets[l.part], static_cast<int>(word));
            put(ph, l.address, static_cast<int>(word));
            put(ph, l.physical, static_cast<int>(word));
            put(ph, size, static_cast<int>(word));
            put(ph, size, static_cast<int>(word));
            if (!is_64) put(ph, l.flags, 4);
            put(ph, 16, static_cast<int>(word));
            std::copy(ph.begin(), ph.end(), out.begin() + static_cast<std::ptrdiff_t>(header + i * phent));
        }
        if (!section_headers) return out;
        out.resize(out.size() + shent);
        for (std::size_t i = 0; i < all.size(); ++i) {
            const Part& p = all[i];
            const int w = static_cast<int>(word);
            put(out, i + 1 == all.size() ? 0 : name_at[i], 4);
            put(out, p.type, 4);
            put(out, p.flags, w);
            put(out, p.address, w);
            put(out, offsets[i], w);
            put(out, p.bytes.size(), w);
            put(out, p.link, 4);
            put(out, p.info, 4);
            put(out, 1, w);
            put(out, p.entry_size, w);
        }
        return out;
    }
};

/// A static x86-64 program: `nop; cli; ret` at 0x401000, one function symbol `start`.
inline ElfBuilder tiny_program() {
    ElfBuilder elf;
    elf.entry = 0x401000;
    elf.add({".text", 1, 6, 0x401000, {0x90, 0xFA, 0xC3}});
    elf.add({".rodata", 1, 2, 0x402000, Buffer(16, 0)});
    elf.add_symbols({{"start", 0x401000, 1, 2, 3}});
    return elf;
}

struct Opened {
    std::vector<Image> images;
    std::vector<Error> member_errors;
    Status status;
};
inline Opened open_all(Buffer bytes, const OpenOptions& options = {}, const std::string& name = "test") {
    Opened result;
    result.status = open_image_bytes(
        name, std::move(bytes), options,
        [&](Image&& image) {
            result.images.push_back(std::move(image));
            return true;
        },
        [&](Error error) { result.member_errors.push_back(std::move(error)); });
    return result;
}

}  // namespace trapline::image::test
