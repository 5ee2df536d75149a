// SPDX-License-Identifier: Apache-2.0
// Writes the tables of scripts/kallsyms.c in the layouts of different versions.
#pragma once

#include <string>
#include <vector>

#include "elf_builder.h"

namespace trapline::image::test {

struct KallsymsLayout {
    int word = 8;
    bool relative = true;       // KALLSYMS_BASE_RELATIVE
    bool percpu = false;        // KALLSYMS_ABSOLUTE_PERCPU
    bool addresses_last = false;  // 6.5 and later
    bool seqs = false;          // kallsyms_seqs_of_names: 6.2 and later
};
struct KernelSymbol {
    char type;
    std::string name;
    std::uint64_t address;
};

/// Emits a section; every symbol's name must be made of letters, digits and '_'. `base` is kallsyms_relative_base.
inline Buffer write_kallsyms(const std::vector<KernelSymbol>& symbols, std::uint64_t base, const KallsymsLayout& layout) {
    Buffer out(64, 0xAB);  // something before
    const auto align = [&] { while (out.size() % static_cast<std::size_t>(layout.word)) out.push_back(0); };
    const auto addresses = [&] {
        for (const KernelSymbol& s : symbols) {
            if (!layout.relative) put(out, s.address, layout.word);
            else if (!layout.percpu) put(out, s.address - base, 4);
            else if (s.address < 0x100000) put(out, s.address, 4);  // absolute
            else put(out, base - 1 - s.address, 4);
        }
        align();
        if (layout.relative) put(out, base, layout.word);
        align();
    };
    const auto seqs = [&] {
        if (layout.seqs) for (std::size_t i = 0; i < symbols.size(); ++i) put(out, 0x123456 + i, 3);
        align();
    };
    if (!layout.addresses_last) addresses();
    put(out, symbols.size(), 4);
    align();
    const std::size_t names = out.size();
    std::vector<std::size_t> markers;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        if (i % 256 == 0) markers.push_back(out.size() - names);
        std::string text = symbols[i].type + symbols[i].name;
        Buffer coded;
        for (std::size_t at = 0; at < text.size();) {
            if (text.compare(at, 4, "sys_") == 0) { coded.push_back(1); at += 4; }  // token 1 stands for "sys_"
            else coded.push_back(static_cast<std::uint8_t>(text[at++]));
        }
        if (coded.size() >= 0x80) { out.push_back(static_cast<std::uint8_t>(0x80 | (coded.size() & 0x7F))); out.push_back(static_cast<std::uint8_t>(coded.size() >> 7)); }
        else out.push_back(static_cast<std::uint8_t>(coded.size()));
        out.insert(out.end(), coded.begin(), coded.end());
    }
    align();
    for (const std::size_t marker : markers) put(out, marker, 4);
    align();
    if (!layout.addresses_last) seqs();
    std::vector<std::size_t> index;
    const std::size_t tokens = out.size();
    for (int i = 0; i < 256; ++i) {
        index.push_back(out.size() - tokens);
        std::string token = i == 1 ? "sys_" : i > 0x20 && i < 0x7F ? std::string(1, static_cast<char>(i)) : "t" + std::to_string(i);
        out.insert(out.end(), token.begin(), token.end());
        out.push_back(0);
    }
    align();
    for (const std::size_t at : index) put(out, at, 2);
    align();
    if (layout.addresses_last) { addresses(); seqs(); }
    out.insert(out.end(), 64, 0xCD);  // something after
    return out;
}

/// 700 function symbols 16 bytes apart from `start`, one of them with a long name.
inline std::vector<KernelSymbol> many_symbols(std::uint64_t start) {
    std::vector<KernelSymbol> symbols;
    for (std::uint64_t i = 0; i < 700; ++i) symbols.push_back({i % 2 ? 't' : 'T', "sys_call_" + std::to_string(i), start + 16 * i});
    symbols[300].name = std::string(200, 'x');
    return symbols;
}

}  // namespace trapline::image::test
