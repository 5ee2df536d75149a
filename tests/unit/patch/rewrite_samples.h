// SPDX-License-Identifier: Apache-2.0
// Small kernels and modules, and plans for them, written by hand.
#pragma once

#include <string>

#include "../image/elf_builder.h"
#include "image/digest.h"
#include "patch/plan.h"

namespace trapline::patch::test {

using image::test::Buffer;
using image::test::ElfBuilder;

inline constexpr std::uint64_t kStubs32 = 0xFC000000, kStubs64 = 0xFFFFFFFFFFE00000;

/// An executable with 16 bytes of code at `base`: nop; cli; nop x6; ret; int3 x7. The file's 16 bytes behind the ELF are
/// a table of the kind that follows a kernel: one list.
inline Buffer make_kernel(bool is_64, std::uint64_t base, bool table = true) {
    ElfBuilder elf;
    elf.is_64 = is_64;
    elf.machine = is_64 ? 62 : 3;
    elf.entry = base;
    elf.add({".text", 1, 6, base, {0x90, 0xFA, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xC3, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC, 0xCC}});
    elf.add({".data", 1, 3, base + 0x1000, Buffer(32, 0x55)});
    elf.loads = {{5, base, 0x100000, 0}, {6, base + 0x1000, 0x101000, 1}};
    Buffer file = elf.build();
    if (table)
        for (const std::uint32_t word : {0u, 0x11u, 0x22u, 0x33u}) image::test::put(file, word, 4);
    return file;
}

inline std::uint64_t find_code(const Buffer& file) {
    const Buffer code{0x90, 0xFA, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xC3, 0xCC};
    return static_cast<std::uint64_t>(std::search(file.begin(), file.end(), code.begin(), code.end()) - file.begin());
}

/// One patch: the seven bytes from `cli` on become a jump to a stub of nine bytes and padding. In a module `base` and
/// `stub_address` are 0: the displacements are computed as if both sections began there.
inline PlanDocument make_plan(const Buffer& file, std::uint64_t base, std::uint64_t stub_address) {
    PlanDocument plan;
    plan.image = "kernel";
    plan.sha256 = image::sha256_hex(file);
    plan.reserved = {{stub_address, stub_address + 0x1000, "stubs"}};
    const auto rel32 = [](std::uint64_t from, std::uint64_t to) {
        Buffer out{0xE9};
        image::test::put(out, to - from - 5, 4);
        return out;
    };
    PlanWrite write;
    write.section = ".text";
    write.address = base + 1;
    write.file_offset = find_code(file) + 1;
    write.old_bytes = {0xFA, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90};
    write.new_bytes = rel32(base + 1, stub_address);
    write.new_bytes.insert(write.new_bytes.end(), {0xCC, 0xCC});
    write.what = "jump";
    PlanStub stub;
    stub.address = stub_address;
    stub.bytes = {0x90, 0x90, 0x90, 0x90};
    const Buffer back = rel32(stub_address + 4, base + 8);
    stub.bytes.insert(stub.bytes.end(), back.begin(), back.end());
    stub.fixups = {{5, FixupKind::image_relative}};
    PlanPatch patch;
    patch.technique = Technique::absorb;
    patch.begin = base + 1;
    patch.end = base + 8;
    patch.writes = {write};
    patch.stubs = {0};
    PlannedSite site;
    site.address = base + 1;
    site.file_offset = write.file_offset;
    site.section = ".text";
    site.bytes = {0xFA};
    site.operation = "interrupts_off";
    site.patch = 0;
    site.number = 7;
    plan.sites = {site};
    plan.patches = {patch};
    plan.stubs = {stub};
    return plan;
}

}  // namespace trapline::patch::test
