// SPDX-License-Identifier: Apache-2.0
// The four pointers of PAE, when they are loaded (SDM vol. 3, 4.4.1 and table 4-8).
#include "executor/mmu/page_walk.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "tests/unit/executor/interpreter_machine.h"

namespace trapline::executor::test {
namespace {

/// A platform whose page tables are good or not.
class PagedPlatform final : public Platform {
public:
    bool good = true;
    unsigned asked = 0, loads = 0;
    std::uint32_t port_in(std::uint16_t, unsigned) override { return 0; }
    void port_out(std::uint16_t, unsigned, std::uint32_t) override {}
    CpuidLeaf cpuid(std::uint32_t, std::uint32_t) override { return {0, 0, 0, 0x0780A17D}; }
    bool read_msr(std::uint32_t, std::uint64_t&) override { return false; }
    bool write_msr(std::uint32_t, std::uint64_t) override { return false; }
    std::uint64_t read_tsc() override { return 0; }
    bool accepts_page_tables() override { return ++asked, good; }
    void control_register_loaded(unsigned, std::uint64_t) override { ++loads; }
    void page_invalidated(std::uint64_t) override {}
};

}  // namespace

TEST_CASE("reserved bits of PAE's pointers", "[page_walk]") {
    auto ram = SharedPages::create("ram", 4 * kPageBytes);
    REQUIRE(ram.has_value());
    Vcpu vcpu;
    vcpu.cr0 |= cr0::pe | cr0::pg;
    vcpu.cr4 |= cr4::pae;
    vcpu.cr3 = 0x1020;
    const auto with = [&](unsigned index, std::uint64_t pointer) {
        std::memset(ram->page(1), 0, kPageBytes);
        std::memcpy(ram->page(1) + 0x20 + 8 * index, &pointer, sizeof pointer);
        return has_valid_pointers(vcpu, *ram);
    };
    for (unsigned index = 0; index < 4; ++index) {
        CAPTURE(index);
        CHECK(with(index, 0x2001));
        CHECK(with(index, 0x2E19));                        // PWT, PCD and bits 9 to 11 are free
        CHECK(with(index, 0xF'FFFF'F001));                 // 36 bits of address
        CHECK(with(index, 0xFFFF'FFFF'FFFF'FFFE));         // not present: nothing counts
        for (const unsigned bit : {1, 2, 5, 6, 7, 8, 36, 51, 52, 63}) {
            CAPTURE(bit);
            CHECK_FALSE(with(index, 0x2001 | std::uint64_t{1} << bit));
        }
    }
    CHECK(with(4, 0xFFFF));  // the fifth is none
    with(0, 3);
    vcpu.cr4 = 0;
    CHECK(has_valid_pointers(vcpu, *ram));
    vcpu.cr4 = cr4::pae;
    vcpu.cr0 = cr0::pe;
    CHECK(has_valid_pointers(vcpu, *ram));
}

TEST_CASE("loads of control registers that page tables refuse", "[page_walk]") {
    static constexpr struct {
        const char* name;
        std::uint8_t modrm;
        std::uint32_t value;
        bool asks;  ///< SDM vol. 3, 4.4.1: which loads read the pointers
    } kRows[] = {
        {"cr3", 0xD8, 0x2000, true},
        {"cr0: PG", 0xC0, 0x80000011, true},
        {"cr0: CD", 0xC0, 0x40000011, true},
        {"cr0: TS", 0xC0, 0x00000019, false},
        {"cr4: PAE", 0xE0, 0x20, true},
        {"cr4: PGE", 0xE0, 0x80, true},
        {"cr4: PSE", 0xE0, 0x10, true},
        {"cr4: DE", 0xE0, 0x08, false},
    };
    for (const auto& row : kRows) {
        for (const bool good : {true, false}) {
            CAPTURE(row.name, good);
            World world;
            PagedPlatform platform;
            platform.good = good;
            world.vcpu.gpr[kRax] = row.value;
            for (const std::uint8_t byte : {std::uint8_t{0x0F}, std::uint8_t{0x22}, row.modrm}) world.memory.bytes[world.vcpu.rip++] = byte;
            world.vcpu.rip -= 3;
            const std::string before = state_of(world.vcpu);
            const std::uint64_t cr4 = world.vcpu.cr4;
            const StepResult result = interpret(world.vcpu, world.memory, platform);
            CHECK((platform.asked != 0) == row.asks);
            if (good || !row.asks) {
                CHECK(static_cast<int>(result.step) == static_cast<int>(Step::done));
                CHECK(platform.loads == 1);
            } else {
                CHECK(static_cast<int>(result.step) == static_cast<int>(Step::fault));
                CHECK(static_cast<int>(result.fault.vector) == static_cast<int>(Vector::general_protection));
                CHECK(result.fault.error_code == 0u);
                CHECK(platform.loads == 0);
                CHECK(state_of(world.vcpu) == before);
                CHECK(world.vcpu.cr4 == cr4);
            }
        }
    }
}

}  // namespace trapline::executor::test
