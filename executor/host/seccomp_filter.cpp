// SPDX-License-Identifier: Apache-2.0
// Classic BPF (linux/filter.h): straight-line code, one block for each rule; a test that fails goes on at the next block.
#include "executor/host/seccomp_filter.h"

#if defined(__linux__) && defined(__x86_64__)

#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace trapline::executor {
namespace {

constexpr std::uint32_t kX32Bit = 0x4000'0000;  // of the number of an x32 call

sock_filter load(std::size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
sock_filter answer(std::uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }

/// Accumulates one block. Tests leave it to the next block, whose distance is known at the end only.
class Block {
public:
    void append(sock_filter instruction) { code_.push_back(instruction); }
    /// Goes on only where the accumulator is `value`.
    void require(std::uint32_t value) {
        tests_.push_back(code_.size());
        code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0));
    }
    /// Goes on only where the half of an argument at `offset` meets the condition's half.
    void require_half(std::size_t offset, std::uint32_t mask, std::uint32_t value) {
        if (mask == 0) return;
        append(load(offset));
        if (mask != ~0u) append(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
        require(value);
    }
    void finish(std::vector<sock_filter>& program) {
        for (const std::size_t test : tests_) code_[test].jf = static_cast<std::uint8_t>(code_.size() - test - 1);
        program.insert(program.end(), code_.begin(), code_.end());
    }

private:
    std::vector<sock_filter> code_;
    std::vector<std::size_t> tests_;
};

}  // namespace

std::vector<sock_filter> build_filter(const std::vector<CallRule>& rules) {
    constexpr std::size_t kNumber = offsetof(seccomp_data, nr);
    std::vector<sock_filter> program = {
        load(offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        answer(SECCOMP_RET_TRAP),
        load(kNumber),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 0, 1),
        answer(SECCOMP_RET_TRAP),
    };
    for (const CallRule& rule : rules) {
        Block block;
        block.append(load(kNumber));
        block.require(rule.number);
        for (const ArgumentCondition& condition : rule.conditions) {
            const std::size_t low = offsetof(seccomp_data, args) + 8 * condition.argument;
            block.require_half(low, static_cast<std::uint32_t>(condition.mask), static_cast<std::uint32_t>(condition.value));
            block.require_half(low + 4, static_cast<std::uint32_t>(condition.mask >> 32), static_cast<std::uint32_t>(condition.value >> 32));
        }
        block.append(answer(SECCOMP_RET_ALLOW));
        block.finish(program);
    }
    program.push_back(answer(SECCOMP_RET_TRAP));
    return program;
}

Status install_filter(const std::vector<CallRule>& rules) {
    std::vector<sock_filter> program = build_filter(rules);
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
        return fail(ErrorCode::host_limit, fmt::format("the kernel refused the filter of system calls: {}", std::strerror(errno)));
    return {};
}

}  // namespace trapline::executor

#endif
