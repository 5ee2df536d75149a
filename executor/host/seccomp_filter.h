// SPDX-License-Identifier: Apache-2.0
// Seccomp filters from a table of what is allowed: system calls by number, each with conditions on its arguments. What no rule
// allows arrives at the caller as SIGSYS, so does every call by another way than the 64-bit one (INT 80h and 32-bit SYSENTER and
// SYSCALL are the i386 architecture's; numbers with the x32 bit).
#pragma once

#include <cstdint>
#include <vector>

#include "support/error.h"

struct sock_filter;

namespace trapline::executor {

/// Holds when `argument & mask == value`.
struct ArgumentCondition {
    unsigned argument = 0;  ///< 0 to 5
    std::uint64_t value = 0;
    std::uint64_t mask = ~std::uint64_t{0};
};

/// One way in which one system call is allowed: all conditions hold. A call may have several rules.
struct CallRule {
    unsigned number = 0;
    std::vector<ArgumentCondition> conditions;
};

/// Translates rules; those named first are answered fastest.
std::vector<sock_filter> build_filter(const std::vector<CallRule>& rules);
/// Puts a filter on this thread for good. Fails with `host_limit`. PR_SET_NO_NEW_PRIVS must be set.
Status install_filter(const std::vector<CallRule>& rules);

}  // namespace trapline::executor
