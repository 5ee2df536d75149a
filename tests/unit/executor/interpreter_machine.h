// SPDX-License-Identifier: Apache-2.0
// A processor with memory and a recorded platform, for tests of the interpreter.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "executor/cpu/interpreter.h"
#include "tests/unit/executor/flat_memory.h"

namespace trapline::executor::test {

class RecordedPlatform final : public Platform {
public:
    std::vector<std::string> log;       ///< port accesses, control registers and invalidations, as they came
    std::uint32_t input = 0x11223344;   ///< what ports give; each read adds 1
    std::map<std::uint32_t, std::uint64_t> registers{{0x10, 0x1122334455667788}};
    std::uint32_t features = 0x0780A179;  ///< CPUID(1).EDX: FPU PSE TSC MSR PAE CX8 PGE CMOV MMX FXSR SSE SSE2

    std::uint32_t port_in(std::uint16_t port, unsigned size) override {
        log.push_back("in " + std::to_string(port) + " " + std::to_string(size));
        return input++;
    }
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override {
        log.push_back("out " + std::to_string(port) + " " + std::to_string(size) + " " + std::to_string(value));
    }
    CpuidLeaf cpuid(std::uint32_t leaf, std::uint32_t subleaf) override { return {leaf + 1, subleaf + 2, 0xC0DE, leaf == 1 ? features : 0xD0}; }
    bool read_msr(std::uint32_t index, std::uint64_t& value) override {
        const auto found = registers.find(index);
        if (found != registers.end()) value = found->second;
        return found != registers.end();
    }
    bool write_msr(std::uint32_t index, std::uint64_t value) override {
        if (registers.count(index) == 0) return false;
        registers[index] = value;
        return true;
    }
    std::uint64_t read_tsc() override { return 0x0000000900000005; }
    void control_register_loaded(unsigned number, std::uint64_t old_value) override {
        log.push_back("cr" + std::to_string(number) + " was " + std::to_string(old_value));
    }
    void page_invalidated(std::uint64_t linear) override { log.push_back("invlpg " + std::to_string(linear)); }
};

/// World's rings with code at 0x700, real mode with code at 0x10700, and virtual-8086 mode with code at 0x12440.
struct Machine : World {
    RecordedPlatform platform;

    using World::World;
    static Machine real() {
        Machine out;
        out.vcpu = Vcpu{};
        const std::uint16_t selectors[] = {0x2000, 0x1000, 0x3000, 0x2000, 0x4000, 0x5000};
        for (unsigned i = 0; i < 6; ++i) {
            out.vcpu.segments[i].selector = selectors[i];
            out.vcpu.segments[i].base = std::uint64_t{selectors[i]} * 16;
        }
        out.vcpu.rip = 0x700;
        out.vcpu.gpr[kRsp] = 0x1000;
        return out;
    }
    static Machine v86(unsigned iopl) {
        Machine out;
        out.enter_v86(iopl);
        return out;
    }

    void code(std::initializer_list<std::uint8_t> bytes) {
        std::uint64_t at = vcpu.cs().base + vcpu.rip;
        for (const std::uint8_t byte : bytes) memory.bytes.at(at++) = byte;
    }
    StepResult step() { return interpret(vcpu, memory, platform); }
    StepResult run(std::initializer_list<std::uint8_t> bytes) {
        code(bytes);
        return step();
    }
    std::uint32_t reg(unsigned number) const { return vcpu.reg32(number); }
};

/// Runs an instruction that must raise this and change nothing.
inline void check_refused(Machine& machine, std::initializer_list<std::uint8_t> bytes, Vector vector, std::optional<std::uint32_t> error_code = {}) {
    machine.code(bytes);
    check_fault(machine, vector, error_code, [&]() -> MaybeFault {
        const StepResult result = machine.step();
        REQUIRE(static_cast<int>(result.step) == static_cast<int>(Step::fault));
        return result.fault;
    });
}

inline std::string hex(std::initializer_list<std::uint8_t> bytes) {
    std::string out;
    for (const std::uint8_t byte : bytes) out += "0123456789abcdef"[byte >> 4], out += "0123456789abcdef"[byte & 15], out += ' ';
    return out;
}

}  // namespace trapline::executor::test
