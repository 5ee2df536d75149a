// SPDX-License-Identifier: Apache-2.0
// The fast path against the handlers with all their checks: random instructions in random states either end alike, or the fast path has
// refused and touched nothing.
#include "executor/cpu/fast_path.h"

#include <random>
#include <set>

#include "tests/unit/executor/interpreter_machine.h"

using namespace trapline::executor;
using namespace trapline::executor::test;

namespace {

constexpr std::uint32_t kData = 0xC000, kDataSize = 0x4000, kMemory = kData + 0x5000;  // five pages, of which one is read-only, one the supervisor's and one missing
constexpr std::uint32_t kReadOnly = kData + 0x1000, kSupervisor = kData + 0x2000, kMissing = kData + 0x3000;

/// What the translation cache of an Mmu would say of World's memory.
struct Pages {
    std::vector<std::uint32_t> words = std::vector<std::uint32_t>(1u << 20);
    DirectPages direct;

    explicit Pages(FlatMemory& memory) {
        const std::size_t count = memory.bytes.size() / 4096;
        for (std::size_t page = 0; page < count; ++page) {
            std::uint32_t bits = DirectPages::kPresent | DirectPages::kWritable | DirectPages::kUser;
            if (const auto special = memory.pages.find(page); special != memory.pages.end()) {
                if (special->second == FlatMemory::Page::missing) bits = 0;
                if (special->second == FlatMemory::Page::read_only) bits &= ~DirectPages::kWritable;
                if (special->second == FlatMemory::Page::supervisor) bits &= ~DirectPages::kUser;
            }
            words[page] = static_cast<std::uint32_t>(page) << DirectPages::kFrameShift | bits;
        }
        direct = {words.data(), nullptr, memory.bytes.data()};
    }
};

class Draw {
public:
    explicit Draw(std::uint64_t seed) : random_(seed) {}
    std::uint32_t next() { return static_cast<std::uint32_t>(random_()); }
    bool one_in(unsigned n) { return next() % n == 0; }
    template <class T, std::size_t N>
    T of(const T (&list)[N]) {
        return list[next() % N];
    }

    std::uint16_t selector() {
        static constexpr std::uint16_t kSelectors[] = {0, 3, World::kData0, World::kData3, World::kCode0, World::kCode3, World::kConforming0, World::kTssSelector,
                                                       World::kFree, World::kFree2, World::kData1, World::kData16, 0x07, 0x0F, 0xF8, 0x1F8};
        return one_in(4) ? static_cast<std::uint16_t>(of(kSelectors) ^ (next() & 3)) : of(kSelectors);
    }
    /// An address in the data pages or at their edges, a selector, or anything.
    std::uint32_t value() {
        if (one_in(8)) return next();
        if (one_in(4)) return selector();
        if (one_in(6)) return kData + next() % 5 * 0x1000 - next() % 5;
        return kData + next() % kDataSize;
    }
    std::vector<std::uint8_t> instruction() {
        static constexpr std::uint8_t kPrefixes[] = {0x66, 0x66, 0x66, 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x67, 0xF0, 0xF2, 0xF3};
        static constexpr std::uint8_t kSecond[] = {0x1F, 0x18, 0x80, 0x84, 0x85, 0x8C, 0x8F, 0xA0, 0xA1, 0xA8, 0xA9, 0xB6, 0xB7};
        std::vector<std::uint8_t> out;
        if (one_in(4)) out.push_back(of(kPrefixes));
        if (one_in(6)) out.push_back(0x0F), out.push_back(of(kSecond));
        out.push_back(static_cast<std::uint8_t>(one_in(20) ? 0xA0 + next() % 4 : next()));
        // An address now and then, for what has one in its bytes.
        const std::uint32_t address = value();
        const bool random = one_in(2);
        for (unsigned i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(random ? next() : address >> 8 * i));
        while (out.size() < 20) out.push_back(static_cast<std::uint8_t>(next()));
        return out;
    }

private:
    std::mt19937_64 random_;
};

/// Rings 0 and 3 with mostly flat segments, and registers that point at the data mostly.
void draw_state(Draw& draw, World& world) {
    Vcpu& vcpu = world.vcpu;
    world.set(World::kFree, descriptor(0x100, 0xFFFFF, 0xF3, 0xC));    // a base, 4 GiB
    world.set(World::kFree2, descriptor(0, 0xFFFFF, 0xF2, 0xC));       // not accessed yet
    world.enter(draw.one_in(3) ? 3 : 0);
    static constexpr std::uint16_t kOdd[] = {World::kFree, World::kFree2, World::kCode0, World::kConforming0, World::kData16, World::kStack16, 0};
    for (const unsigned which : {kEs, kSs, kDs, kFs, kGs})
        if (draw.one_in(5)) {
            const std::uint16_t selector = draw.of(kOdd);
            if (selector != 0) vcpu.segments[which] = world.segment(selector);
            else vcpu.segments[which].present = which == kSs;
        }
    if (draw.one_in(12)) vcpu.segments[kCs] = world.segment(World::kCode16), vcpu.segments[kCs].big = draw.one_in(2);
    for (unsigned i = 0; i < 8; ++i) vcpu.gpr[i] = draw.value();
    if (!draw.one_in(4)) vcpu.gpr[kRsp] = kData + 0x20 + draw.next() % kDataSize / 4 * 4;
    vcpu.rflags = flag::fixed | (draw.next() & (flag::arithmetic | flag::df | flag::interrupt | flag::iopl | flag::ac));
    if (draw.one_in(2)) vcpu.cr0 |= cr0::am;
    for (std::uint32_t at = kData; at < kData + kDataSize; at += 4) world.memory.put(at, draw.value(), 4);
}

}  // namespace

TEST_CASE("the fast path does what the handlers do, or nothing", "[executor][interpreter]") {
    Draw draw(0x7BA57);
    std::set<unsigned> done;
    unsigned ran = 0, refused = 0;
    const auto world = std::make_unique<Machine>();
    world->memory.pages = {{kReadOnly >> 12, FlatMemory::Page::read_only}, {kSupervisor >> 12, FlatMemory::Page::supervisor}, {kMissing >> 12, FlatMemory::Page::missing}};
    for (unsigned round = 0; round < 3000; ++round) {
        const Machine fresh;
        world->vcpu = fresh.vcpu;
        world->memory.bytes = fresh.memory.bytes;
        world->memory.bytes.resize(kMemory);  // copies of it are compared
        draw_state(draw, *world);
        const Pages pages(world->memory);
        const std::vector<std::uint8_t> bytes = world->memory.bytes;
        const Vcpu before = world->vcpu;
        for (unsigned shot = 0; shot < 60; ++shot) {
            const std::vector<std::uint8_t> code = draw.instruction();
            Instruction instruction;
            if (decode(code, true, instruction) != Decoding::done) continue;
            const FastHandler handler = fast_handler(instruction);
            if (handler == nullptr) continue;
            FastState state(world->vcpu, pages.direct);
            if (!state.is_usable()) continue;
            std::string text;
            for (unsigned i = 0; i < instruction.length; ++i) text += hex({code[i]});
            INFO(text << "at CPL " << static_cast<unsigned>(before.cpl));
            const bool fast = handler(state, instruction);
            const std::string after = state_of(world->vcpu);
            const std::vector<std::uint8_t> memory = world->memory.bytes;
            world->vcpu = before;
            world->memory.bytes = bytes;
            if (fast) {
                const StepResult step = execute(instruction, world->vcpu, world->memory, world->platform);
                const bool is_alike = step.step == Step::done && !world->vcpu.interrupt_shadow && state_of(world->vcpu) == after && world->memory.bytes == memory;
                if (!is_alike) {
                    CHECK(static_cast<int>(step.step) == static_cast<int>(Step::done));
                    REQUIRE(state_of(world->vcpu) == after);
                    REQUIRE((world->memory.bytes == memory));
                    REQUIRE_FALSE(world->vcpu.interrupt_shadow);
                }
                done.insert(instruction.opcode);
                ++ran;
            } else {
                if (state_of(before) != after || memory != bytes) FAIL("refused and changed something");
                ++refused;
            }
            world->vcpu = before;
            world->memory.bytes = bytes;
        }
    }
    CHECK(ran > 20000);
    CHECK(refused > 1000);
    // Entries and exits are made of these (of Linux: SAVE_ALL and RESTORE_REGS).
    for (const unsigned opcode : {0x06u, 0x1Eu, 0x1A0u, 0x07u, 0x1Fu, 0x1A1u, 0x50u, 0x58u, 0x68u, 0x6Au, 0x74u, 0x81u, 0x83u, 0x85u, 0x89u, 0x8Bu, 0x8Du, 0x8Eu, 0x8Cu,
                                  0xA1u, 0xA3u, 0xB8u, 0xC3u, 0xC7u, 0xE8u, 0xE9u, 0xEBu, 0xF7u, 0xFCu, 0xFFu, 0x184u, 0x1B6u, 0x1B7u}) {
        INFO("opcode " << std::hex << opcode);
        CHECK(done.count(opcode) == 1);
    }
}
