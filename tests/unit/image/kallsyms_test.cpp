// SPDX-License-Identifier: Apache-2.0
// kallsyms in each layout, and in things that only look like it.
#include "image/kallsyms.h"

#include <catch2/catch.hpp>

#include "kallsyms_builder.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;
using Catch::Matchers::Contains;

namespace {

std::optional<Kallsyms> search(Bytes section, int word, const std::vector<AddressRange>& mapped, std::string& why) {
    std::uint64_t budget = kKallsymsBudget;
    return find_kallsyms(section, word, mapped, why, budget);
}

}  // namespace

TEST_CASE("kallsyms is found in every layout") {
    const int word = GENERATE(8, 4);
    const std::uint64_t text = word == 8 ? 0xffffffff81000000 : 0xc1000000;
    const std::vector<AddressRange> mapped{{{0}, {0x20000}}, {{text}, {text + 16 * 700}}};
    struct Variant { bool relative, percpu, addresses_last, seqs; const char* says; };
    const auto variant = GENERATE(Variant{true, false, false, false, "before the names"}, Variant{false, false, false, false, "full addresses"},
                                  Variant{true, true, false, false, "per-CPU values absolute"}, Variant{true, true, false, true, "before the names"},
                                  Variant{true, true, true, true, "after the token index"}, Variant{true, false, true, true, "after the token index"},
                                  Variant{false, false, true, true, "full addresses"});
    std::vector<KernelSymbol> symbols = many_symbols(text);
    if (variant.percpu) {
        symbols.insert(symbols.begin(), {'A', "fixed_percpu_data", 0});
        symbols.insert(symbols.begin() + 1, {'A', "cpu_number", 0x1c000});
    }
    INFO("word " << word << " " << variant.says);
    const Buffer section = write_kallsyms(symbols, text, {word, variant.relative, variant.percpu, variant.addresses_last, variant.seqs});
    std::string why;
    const auto found = search(section, word, mapped, why);
    INFO(why);
    REQUIRE(found);
    CHECK_THAT(found->layout, Contains(variant.says));
    REQUIRE(found->entries.size() == symbols.size());
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        REQUIRE(found->entries[i].name == symbols[i].name);
        REQUIRE(found->entries[i].type == symbols[i].type);
        REQUIRE(found->entries[i].address == symbols[i].address);
    }
}

TEST_CASE("kallsyms whose addresses do not belong to the image is not taken") {
    const Buffer section = write_kallsyms(many_symbols(0xffffffff81000000), 0xffffffff81000000, {});
    std::string why;
    CHECK_FALSE(search(section, 8, {{{0x1000}, {0x2000}}}, why));
    CHECK_THAT(why, Contains("700 names"));
}

TEST_CASE("damaged kallsyms is found whole or not at all, and never crashes") {
    const std::uint64_t text = 0xc1000000;
    const Buffer whole = write_kallsyms(many_symbols(text), text, {4});
    const std::vector<AddressRange> mapped{{{text}, {text + 16 * 700}}};
    std::string why;
    for (std::size_t size = 0; size < whole.size(); size += 61) {
        const auto found = search(Bytes(whole).first(size), 4, mapped, why);
        if (found) CHECK(size > whole.size() - 64);  // only what follows is missing
    }
    for (std::size_t at = 0; at < whole.size(); at += 37) {
        Buffer changed = whole;
        changed[at] ^= 0x40;
        const auto found = search(changed, 4, mapped, why);
        if (found) CHECK(found->entries.size() == 700);
    }
}

TEST_CASE("the search ends with its budget") {
    const std::uint64_t text = 0xc1000000;
    const Buffer whole = write_kallsyms(many_symbols(text), text, {4});
    std::string why;
    std::uint64_t budget = 1000;
    CHECK_FALSE(find_kallsyms(whole, 4, {{{text}, {text + 16 * 700}}}, why, budget));
    CHECK(budget == 0);
}

TEST_CASE("ranges that touch become one") {
    CHECK(merge_ranges({{{5}, {9}}, {{1}, {3}}, {{3}, {4}}, {{6}, {7}}}) == std::vector<AddressRange>{{{1}, {4}}, {{5}, {9}}});
}

TEST_CASE("a stripped kernel gets its symbols from kallsyms, with sizes up to the next one") {
    const std::uint64_t text = 0xffffffff81000000;
    ElfBuilder elf;
    elf.add({".text", 1, 6, text, Buffer(16 * 700, 0x90)});
    elf.add({".rodata", 1, 2, text + 0x100000, write_kallsyms(many_symbols(text), text, {})});
    const auto opened = open_all(elf.build());
    REQUIRE(opened.images.size() == 1);
    const Image& image = opened.images[0];
    CHECK(image.symbol_source == SymbolSource::kallsyms);
    REQUIRE(image.symbols.size() == 700);
    const Symbol* symbol = image.find_symbol(0, {text + 33});
    REQUIRE(symbol);
    CHECK(symbol->name == "sys_call_2");
    CHECK(symbol->kind == SymbolKind::function);
    CHECK(symbol->size == 16);
    CHECK(image.symbols.back().size == 16);
    CHECK(image.pointers.size() == 700);
}
