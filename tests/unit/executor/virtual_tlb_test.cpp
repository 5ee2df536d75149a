// SPDX-License-Identifier: Apache-2.0
// More pages than the host gives one process mappings (vm.max_map_count). Whether a page is mapped is the kernel's own word: it copies to
// it, or says EFAULT.
#include "executor/mmu/virtual_tlb.h"

#if defined(__linux__) && defined(__x86_64__)

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <optional>

#include "executor/host/cpu.h"

using namespace trapline;
using namespace trapline::executor;

namespace {

constexpr std::uint32_t kFirst = 0x10000, kMore = 70'000;  // linear pages; more than the default of 65,530

void* at(std::uint32_t page) { return reinterpret_cast<void*>(std::uintptr_t{page} * kPageBytes); }

class Probe {
public:
    Probe() { REQUIRE(pipe(ends_.data()) == 0); }
    ~Probe() {
        close(ends_[0]);
        close(ends_[1]);
    }
    bool is_readable(std::uint32_t page) {
        const bool done = write(ends_[1], at(page), 1) == 1;
        if (done) take();
        return done;
    }
    /// Writes a zero to its first byte.
    bool is_writable(std::uint32_t page) {
        REQUIRE(write(ends_[1], "", 1) == 1);
        if (read(ends_[0], at(page), 1) == 1) return true;
        take();
        return false;
    }

private:
    void take() {
        char byte = 0;
        REQUIRE(read(ends_[0], &byte, 1) == 1);
    }
    std::array<int, 2> ends_{};
};

struct Tlb {
    SharedPages ram = std::move(*SharedPages::create("ram", 64 * kPageBytes)), code = std::move(*SharedPages::create("code", kPageBytes));
    std::optional<VirtualTlb> tlb;
    Tlb() {
        // A sanitizer's shadow lies where a guest's addresses would.
        if (auto made = VirtualTlb::create(ram, code, ram.pages())) tlb = std::move(*made);
        else WARN("skipped: " + made.error().describe());
    }
    ~Tlb() {
        if (tlb) munmap(at(16), std::size_t{VirtualTlb::kPages - 16 + 1} * kPageBytes);  // with the page behind 4 GiB
    }
    /// A page whose neighbours lead elsewhere, so that the host cannot join them.
    bool map_alone(std::uint32_t i) { return tlb->map(kFirst + i, 1, {.frame = i * 5 % 64, .present = true, .writable = true}); }
};

}  // namespace

TEST_CASE("where the host takes no more mappings, room is made", "[virtual_tlb]") {
    Tlb t;
    if (!t.tlb) return;
    Probe probe;
    for (std::uint32_t i = 0; i < kMore; ++i) {
        REQUIRE(t.map_alone(i));
        REQUIRE(t.tlb->find(kFirst + i).present);
    }
    CHECK(t.tlb->counts().flushes != 0);
    unsigned present = 0;
    for (std::uint32_t i = 0; i < kMore; ++i) {
        const bool known = t.tlb->find(kFirst + i).present;
        present += known;
        REQUIRE(probe.is_readable(kFirst + i) == known);
    }
    CHECK(present != 0);
    CHECK(present < kMore);
}

TEST_CASE("what cannot be unmapped or protected alone does not stay as it was", "[virtual_tlb]") {
    Tlb t;
    if (!t.tlb) return;
    Probe probe;
    // How many there is room for.
    std::uint32_t room = 0;
    while (t.tlb->counts().flushes == 0) REQUIRE(t.map_alone(room++));
    t.tlb->flush_all();
    // One mapping of 64 pages, which loses pages from its middle when hardly anything is left.
    constexpr std::uint32_t kWhole = 0x8000;
    const std::uint64_t before = t.tlb->counts().flushes;
    const auto fill = [&] {
        REQUIRE(t.tlb->map(kWhole, 64, {.frame = 0, .present = true, .writable = true}));
        for (std::uint32_t i = 0; i + 4 < room; ++i) REQUIRE(t.map_alone(i));
    };
    fill();
    for (std::uint32_t i = 1; i < 64; i += 2) {
        t.tlb->unmap(kWhole + i);
        REQUIRE_FALSE(t.tlb->find(kWhole + i).present);
        REQUIRE_FALSE(probe.is_readable(kWhole + i));
    }
    CHECK(t.tlb->counts().flushes > before);
    t.tlb->flush_all();
    fill();
    for (std::uint32_t frame = 1; frame < 64; frame += 2) {
        t.tlb->write_protect_frame(frame);
        REQUIRE_FALSE(probe.is_writable(kWhole + frame));
        REQUIRE_FALSE(t.tlb->find(kWhole + frame).writable);
    }
}

TEST_CASE("a hidden page of code cannot be read where the processor has protection keys", "[virtual_tlb]") {
    Tlb guest;
    if (!guest.tlb) return;
    VirtualTlb& tlb = *guest.tlb;
    const bool has_keys = (host_cpuid(7, 0).ecx & 1u << 4) != 0;
    Probe probe;
    MappedPage to{.frame = 0, .present = true, .executable = true};
    REQUIRE(tlb.map(kFirst, 1, to));
    CHECK(probe.is_readable(kFirst));
    CHECK_FALSE(tlb.find(kFirst).hidden);
    to.hidden = true;
    REQUIRE(tlb.map(kFirst, 1, to));
    CHECK(probe.is_readable(kFirst) == !has_keys);
    CHECK(tlb.find(kFirst).hidden);
    CHECK_FALSE(probe.is_writable(kFirst));
}

TEST_CASE("many pages of one frame are unmapped in no time", "[virtual_tlb]") {
    // Once each was looked for among all that came after it: 30 seconds.
    Tlb t;
    if (!t.tlb) return;
    constexpr std::uint32_t kAliases = 60'000;
    for (std::uint32_t i = 0; i < kAliases; ++i) REQUIRE(t.tlb->map(kFirst + i, 1, {.frame = 0, .present = true}));
    const auto began = clock();
    t.tlb->flush_all();
    CHECK(static_cast<double>(clock() - began) / CLOCKS_PER_SEC < 3);
    CHECK_FALSE(t.tlb->find(kFirst + kAliases / 2).present);
}

TEST_CASE("a load of CR3 unmaps what leads elsewhere now, and nothing else", "[virtual_tlb]") {
    Tlb t;
    if (!t.tlb) return;
    Probe probe;
    for (std::uint32_t i = 0; i < 8; ++i) REQUIRE(t.map_alone(i));
    REQUIRE(t.tlb->map(kFirst + 20, 1, {.frame = 3, .present = true, .global = true}));
    const std::uint64_t before = t.tlb->changes();
    t.tlb->flush_local([](std::uint32_t page, const MappedPage& here) {
        CHECK(here.present);
        CHECK(here.writable);
        CHECK(here.frame == (page - kFirst) * 5 % 64);
        return page % 2 == 0;
    });
    for (std::uint32_t i = 0; i < 8; ++i) {
        CHECK(t.tlb->find(kFirst + i).present == (i % 2 == 0));
        CHECK(probe.is_readable(kFirst + i) == (i % 2 == 0));
    }
    CHECK(t.tlb->find(kFirst + 20).present);
    CHECK(t.tlb->changes() != before);
    // What stayed is still known to go the next time, and to lead to its frame.
    t.tlb->write_protect_frame(0);
    CHECK_FALSE(probe.is_writable(kFirst));
    t.tlb->flush_local();
    for (std::uint32_t i = 0; i < 8; ++i) CHECK_FALSE(probe.is_readable(kFirst + i));
    CHECK(probe.is_readable(kFirst + 20));
}

#endif
