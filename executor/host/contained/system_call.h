// SPDX-License-Identifier: Apache-2.0
// The raw system call, inlined into its caller: the seccomp filter judges by the address of the instruction.
#pragma once

namespace trapline::executor {

/// Makes a system call; gives its result, negative errno on failure.
[[gnu::always_inline]] inline long system_call(long number, unsigned long a = 0, unsigned long b = 0, unsigned long c = 0, unsigned long d = 0,
                                               unsigned long e = 0, unsigned long f = 0) {
    long result = number;
    register unsigned long r10 asm("r10") = d;
    register unsigned long r8 asm("r8") = e;
    register unsigned long r9 asm("r9") = f;
    asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

template <class T>
unsigned long word(T* pointer) {
    return reinterpret_cast<unsigned long>(pointer);
}

}  // namespace trapline::executor
