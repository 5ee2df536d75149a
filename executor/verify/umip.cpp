// SPDX-License-Identifier: Apache-2.0
// Dummies as in Linux arch/x86/kernel/umip.c, and the stopwatch.
#include "executor/verify/umip.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

namespace trapline::executor {

namespace {

constexpr std::uint64_t kDummyGdtBase = 0xFFFF'FFFF'FFFE'0000, kDummyIdtBase = 0xFFFF'FFFF'FFFF'0000;
constexpr std::uint64_t kDummyMsw = 0x8005'0033;  // CR0_STATE: PE MP ET NE WP AM PG
constexpr std::uint64_t kDummyTr = 0x40;          // GDT_ENTRY_TSS * 8
constexpr std::uint64_t kDummyLdtr = 0x50;        // GDT_ENTRY_LDT * 8, of a process with an LDT; 0 without

std::uint64_t little_endian(const std::uint8_t* bytes, int size) {
    std::uint64_t value = 0;
    for (int i = 0; i < size; ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
    return value;
}

/// SGDT and SIDT: a limit of 0 and a base of 8 bytes in 64-bit mode, 4 elsewhere.
bool is_table_dummy(const ProbeResult& result, Mode mode, std::uint64_t base) {
    const int size = mode == Mode::long64 ? 8 : 4;
    const std::uint64_t mask = size == 8 ? ~std::uint64_t{0} : 0xFFFF'FFFF;
    return little_endian(result.slot.memory, 2) == 0 && little_endian(result.slot.memory + 2, size) == (base & mask);
}

bool is_value_dummy(const decode::Structure& structure, const ProbeResult& result, std::initializer_list<std::uint64_t> dummies) {
    const bool memory = structure.key.mod != 3;
    const int number = structure.key.rm | ((structure.rex & 1) != 0 ? 8 : 0);
    const std::uint64_t value = memory ? little_endian(result.slot.memory, 2) : result.slot.registers[number];
    // The umip code writes what the operand size takes; the rest of the register keeps what it had.
    const std::uint64_t mask = memory || structure.osize == 16 ? 0xFFFF : structure.osize == 32 ? 0xFFFF'FFFF : ~std::uint64_t{0};
    return std::any_of(dummies.begin(), dummies.end(), [&](std::uint64_t dummy) { return (value & mask) == (dummy & mask); });
}

}  // namespace

bool is_umip_dummy(const isa::Record& record, const decode::Structure& structure, const ProbeJob& job, const ProbeResult& result) {
    if (structure.key.mod != 3 && job.registers != RegisterPattern::pointers) return false;
    const std::string_view name = record.stem.empty() ? record.mnemonic : record.stem;
    if (name == "sgdt") return is_table_dummy(result, structure.key.mode, kDummyGdtBase);
    if (name == "sidt") return is_table_dummy(result, structure.key.mode, kDummyIdtBase);
    if (name == "smsw") return is_value_dummy(structure, result, {kDummyMsw});
    if (name == "str") return is_value_dummy(structure, result, {kDummyTr});
    if (name == "sldt") return is_value_dummy(structure, result, {kDummyLdtr, 0});
    return false;
}

Result<std::vector<UmipTiming>> time_umip(Nurseries& nurseries) {
    struct Timed {
        const char* mnemonic;
        std::array<std::uint8_t, 3> bytes;
    };
    static constexpr std::array<Timed, 6> kTimed = {{
        {"lar", {0x0F, 0x02, 0xC0}},   // lar eax, ax
        {"sgdt", {0x0F, 0x01, 0x00}},  // sgdt [rax]
        {"sidt", {0x0F, 0x01, 0x08}},  // sidt [rax]
        {"sldt", {0x0F, 0x00, 0xC0}},  // sldt eax
        {"str", {0x0F, 0x00, 0xC8}},   // str eax
        {"smsw", {0x0F, 0x01, 0xE0}},  // smsw eax
    }};
    static constexpr std::array<std::uint8_t, 14> kBefore = {0x49, 0x89, 0xC6,         // mov r14, rax
                                                             0x0F, 0xAE, 0xE8,         // lfence
                                                             0x0F, 0x31,               // rdtsc
                                                             0x49, 0x89, 0xC4,         // mov r12, rax
                                                             0x4C, 0x89, 0xF0};        // mov rax, r14
    static constexpr std::array<std::uint8_t, 5> kBehind = {0x0F, 0xAE, 0xE8,          // lfence
                                                            0x0F, 0x31};               // rdtsc
    constexpr int kRepeats = 16;
    std::vector<ProbeJob> jobs;
    for (const Timed& timed : kTimed) {
        ProbeJob job{};
        job.width = 64;
        const auto put = [&](std::span<const std::uint8_t> bytes) {
            for (const std::uint8_t byte : bytes) job.code[job.code_size++] = byte;
        };
        put(kBefore);
        put(timed.bytes);
        put(kBehind);
        jobs.insert(jobs.end(), kRepeats, job);
    }
    const auto results = nurseries.run(jobs, [](std::size_t, std::size_t) {});
    if (!results) return tl::unexpected(results.error());
    std::vector<std::uint64_t> least(kTimed.size(), 0);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        const ProbeResult& result = (*results)[i];
        if (result.wait_status != 0 || result.slot.done != 1 || result.slot.rip != kCodeStart + jobs[i].code_size + 1u) continue;
        constexpr int kRax = 0, kR12 = 12;
        const std::uint64_t ticks = static_cast<std::uint32_t>(result.slot.registers[kRax] - result.slot.registers[kR12]);
        std::uint64_t& best = least[i / kRepeats];
        if (best == 0 || ticks < best) best = ticks;
    }
    std::vector<UmipTiming> out;
    for (std::size_t i = 1; i < kTimed.size(); ++i) out.push_back({kTimed[i].mnemonic, least[i], least[0]});
    return out;
}

}  // namespace trapline::executor
