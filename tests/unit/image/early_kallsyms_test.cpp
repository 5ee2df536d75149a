// SPDX-License-Identifier: Apache-2.0
// Kallsyms found in a segment are used for the section that holds them, and for no other.
#include "image/early_kallsyms.h"

#include <catch2/catch.hpp>

#include <future>

#include "kallsyms_builder.h"

using namespace trapline;
using namespace trapline::image;
using namespace trapline::image::test;

namespace {

constexpr std::uint64_t kBase = 0xFFFFFFFF81000000;
constexpr std::size_t kSegment = 0x1000, kRodata = 0x800;  // in the file; in the segment

/// An ELF64 file with one executable segment, in which kallsyms lie at kRodata.
Buffer make_file(const Buffer& kallsyms) {
    Buffer out(kSegment + kRodata);
    poke(out, 0, 0x00010102464C457F, 8);
    poke(out, 18, 62, 2);
    poke(out, 32, 64, 8);
    poke(out, 54, 56, 2);
    poke(out, 56, 1, 2);
    poke(out, 64, 1, 4);
    poke(out, 68, 5, 4);
    poke(out, 72, kSegment, 8);
    poke(out, 80, kBase, 8);
    poke(out, 96, kRodata + kallsyms.size(), 8);
    poke(out, 104, 0x200000, 8);
    out.insert(out.end(), kallsyms.begin(), kallsyms.end());
    return out;
}

std::vector<KernelSymbol> symbols() {
    std::vector<KernelSymbol> all;
    for (std::uint64_t i = 0; i < 700; ++i) all.push_back({i % 3 == 0 ? 't' : 'T', "sys_call" + std::to_string(i), kBase + 16 * i});
    return all;
}

std::shared_ptr<const EarlyKallsyms> search(const Buffer& file) {
    ExpandingBytes expanding;
    std::future<std::shared_ptr<const EarlyKallsyms>> found;
    const Finisher finisher(expanding);
    found = std::async(std::launch::async, [&] { return find_early_kallsyms(expanding); });
    for (std::size_t at = 0; at < file.size(); at += 777) expanding.append(Bytes(file).subspan(at, std::min<std::size_t>(777, file.size() - at)));
    expanding.finish();
    return found.get();
}

Section section_at(std::uint64_t offset, Bytes bytes) {
    Section section;
    section.file_offset = {offset};
    section.bytes = bytes;
    return section;
}

}  // namespace

TEST_CASE("kallsyms are found in a segment, and hold for a section around them", "[image]") {
    const Buffer kallsyms = write_kallsyms(symbols(), kBase, {});
    const Buffer file = make_file(kallsyms);
    const auto early = search(file);
    REQUIRE(early);
    REQUIRE(early->found.entries.size() == 700);
    CHECK(early->found.entries[6].name == "sys_call6");
    CHECK(early->found.entries[6].type == 't');
    CHECK(early->found.entries[6].address == kBase + 0x60);
    const std::vector<AddressRange> mapped = {{{kBase}, {kBase + 0x200000}}};
    const std::uint64_t rodata = kSegment + kRodata;
    const Bytes bytes = Bytes(file).subspan(rodata);
    CHECK(early->holds_for(section_at(rodata, bytes), mapped));
    CHECK(early->holds_for(section_at(kSegment, Bytes(file).subspan(kSegment)), mapped));
    // Cut at either side, out of step, before the segment, other addresses.
    CHECK_FALSE(early->holds_for(section_at(rodata, bytes.first(bytes.size() / 2)), mapped));
    CHECK_FALSE(early->holds_for(section_at(rodata + bytes.size() / 2, bytes.subspan(bytes.size() / 2)), mapped));
    CHECK_FALSE(early->holds_for(section_at(rodata - 4, Bytes(file).subspan(rodata - 4)), mapped));
    CHECK_FALSE(early->holds_for(section_at(0, file), mapped));
    CHECK_FALSE(early->holds_for(section_at(rodata, bytes), {{{kBase}, {kBase + 0x200001}}}));
    CHECK_FALSE(early->holds_for(section_at(rodata, {}), mapped));
}

TEST_CASE("the tables that a search of the section finds lie where the early one says", "[image]") {
    for (const bool last : {false, true}) {
        for (const bool relative : {false, true}) {
            const Buffer kallsyms = write_kallsyms(symbols(), kBase, {8, relative, false, last, false});
            const auto early = search(make_file(kallsyms));
            REQUIRE(early);
            std::string why;
            std::uint64_t budget = kKallsymsBudget;
            const auto found = find_kallsyms(kallsyms, 8, early->mapped, why, budget);
            REQUIRE(found);
            CHECK(early->found.begin == found->begin + kRodata);
            CHECK(early->found.end == found->end + kRodata);
            CHECK(early->found.layout == found->layout);
            CHECK(found->begin >= 64);  // the builder puts that much before
            CHECK(found->end <= kallsyms.size());
            // Without a byte of what it names, nothing is found.
            CHECK_FALSE(find_kallsyms(Bytes(kallsyms).first(found->end - 1), 8, early->mapped, why, budget));
        }
    }
}

TEST_CASE("a segment that never comes as a whole, or holds no kallsyms, gives nothing", "[image]") {
    Buffer file = make_file(write_kallsyms(symbols(), kBase, {}));
    CHECK_FALSE(search(Buffer(file.begin(), file.end() - 1)));
    CHECK_FALSE(search(make_file(Buffer(5000, 0x90))));
    file[0] = 0;
    CHECK_FALSE(search(file));
    CHECK_FALSE(search({}));
}
