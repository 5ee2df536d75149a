// SPDX-License-Identifier: Apache-2.0
// Random images and random plans: undo restores every byte.
#include <rapidcheck.h>

#include <catch2/catch.hpp>

#include "image/elf_reader.h"
#include "patch/rewrite.h"
#include "rewrite_samples.h"

using namespace trapline;
using namespace trapline::patch;
using namespace trapline::patch::test;

namespace {

struct Case {
    Buffer file;
    PlanDocument plan;
};

Buffer random_bytes(std::size_t least, std::size_t most) {
    const auto size = *rc::gen::inRange<std::size_t>(least, most);
    return *rc::gen::container<Buffer>(size, rc::gen::arbitrary<std::uint8_t>());
}

// One to four sections of random code in ELF32 or ELF64, a random tail, writes that overlap nowhere, stubs with gaps.
Case random_case() {
    Case made;
    const bool is_64 = *rc::gen::arbitrary<bool>();
    const std::uint64_t base = is_64 ? 0xFFFFFFFF81000000 : 0xC1000000;
    ElfBuilder elf;
    elf.is_64 = is_64;
    elf.machine = is_64 ? 62 : 3;
    const auto sections = *rc::gen::inRange<std::size_t>(1, 5);
    for (std::size_t i = 0; i < sections; ++i) {
        elf.add({".text." + std::to_string(i), 1, 6, base + 0x1000 * i, random_bytes(1, 200)});
        elf.loads.push_back({5, base + 0x1000 * i, 0x100000 + 0x1000 * i, i});
    }
    made.file = elf.build();
    const auto parsed = image::read_elf(made.file, 100, "random");
    RC_ASSERT(parsed.has_value());
    const Buffer tail = random_bytes(0, 40);
    made.file.insert(made.file.end(), tail.begin(), tail.end());

    made.plan.sha256 = image::sha256_hex(made.file);
    const std::uint64_t stubs = is_64 ? kStubs64 : kStubs32;
    made.plan.reserved = {{stubs, stubs + 0x10000, "stubs"}};
    std::uint64_t next_stub = stubs;
    for (const image::ElfSection& section : parsed->sections) {
        if (section.address == 0) continue;
        for (std::uint64_t at = 0; at < section.size;) {
            const auto gap = *rc::gen::inRange<std::uint64_t>(0, 30), size = *rc::gen::inRange<std::uint64_t>(1, 12);
            if (at + gap + size > section.size) break;
            at += gap;
            PlanWrite write;
            write.section = section.name;
            write.address = section.address + at;
            write.file_offset = section.offset + at;
            const auto first = made.file.begin() + static_cast<std::ptrdiff_t>(write.file_offset);
            write.old_bytes.assign(first, first + static_cast<std::ptrdiff_t>(size));
            write.new_bytes = *rc::gen::container<Buffer>(size, rc::gen::arbitrary<std::uint8_t>());
            write.what = "inline";
            PlanPatch patch;
            patch.writes = {write};
            if (*rc::gen::arbitrary<bool>()) {
                PlanStub stub;
                stub.address = next_stub;
                stub.bytes = random_bytes(1, 40);
                next_stub += stub.bytes.size() + *rc::gen::inRange<std::uint64_t>(0, 20);
                patch.stubs = {static_cast<std::uint32_t>(made.plan.stubs.size())};
                made.plan.stubs.push_back(std::move(stub));
            }
            made.plan.patches.push_back(std::move(patch));
            at += size;
        }
    }
    return made;
}

}  // namespace

TEST_CASE("whatever is written, undo restores every byte, and the same plan again changes none") {
    CHECK(rc::check([] {
        const Case made = random_case();
        const auto patched = rewrite_image(made.file, made.plan, "random");
        RC_ASSERT(patched.has_value());
        for (const PlanPatch& patch : made.plan.patches)
            for (const PlanWrite& write : patch.writes)
                RC_ASSERT(std::equal(write.new_bytes.begin(), write.new_bytes.end(), patched->bytes.begin() + static_cast<std::ptrdiff_t>(write.file_offset)));
        const auto restored = undo_image(patched->bytes, "patched");
        RC_ASSERT(restored.has_value());
        RC_ASSERT(restored->bytes == made.file);
        const auto again = rewrite_image(patched->bytes, made.plan, "patched");
        RC_ASSERT(again.has_value());
        RC_ASSERT(again->unchanged);
        RC_ASSERT(again->bytes == patched->bytes);
    }));
}
