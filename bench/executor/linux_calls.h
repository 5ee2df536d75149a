// SPDX-License-Identifier: Apache-2.0
// System calls of Linux without a C library: for i386 as libraries do it, by the entry that the vdso offers, for x86-64 by
// SYSCALL.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

/// What rt_sigaction takes; 8 bytes of mask on both.
struct SignalAction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    u32 mask[2];
};

#ifdef __x86_64__
enum { kRead = 0, kWrite = 1, kMmap = 9, kMunmap = 11, kSigaction = 13, kPipe = 22, kGetpid = 39, kFork = 57, kExit = 60, kWait4 = 61, kKill = 62, kReboot = 169, kClockGettime = 228 };

void restore_signal(void);  // start.S: where a signal handler returns to

static inline long call4(long number, long a, long b, long c, long d) {
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return number;
}
#else
enum { kExit = 1, kFork = 2, kRead = 3, kWrite = 4, kGetpid = 20, kKill = 37, kPipe = 42, kReboot = 88, kMmap = 90, kMunmap = 91, kWait4 = 114, kSigaction = 174, kClockGettime = 265 };

/// Calls by INT 80h: what i386 programs do where they know no better, and many a host is slow at.
void int80(void);  // start.S
__attribute__((used)) static void (*system_entry)(void) = int80;

static inline long call4(long number, long a, long b, long c, long d) {
    // The vdso's entry keeps every register but EAX.
    __asm__ volatile("call *system_entry" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return number;
}
#endif

static inline long call3(long number, long a, long b, long c) { return call4(number, a, b, c, 0); }

/// Maps fresh private memory, readable and writable; an address in the last page is an error.
static inline u8* map_memory(unsigned long size) {
    enum { kReadWrite = 3, kPrivateAnonymous = 0x22 };
#ifdef __x86_64__
    register long r8 __asm__("r8") = -1;
    register long r9 __asm__("r9") = 0;
    register long r10 __asm__("r10") = kPrivateAnonymous;
    long result = kMmap;
    __asm__ volatile("syscall" : "+a"(result) : "D"(0L), "S"(size), "d"((long)kReadWrite), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return (u8*)result;
#else
    const unsigned long arguments[6] = {0, size, kReadWrite, kPrivateAnonymous, ~0ul, 0};
    return (u8*)call3(kMmap, (long)arguments, 0, 0);
#endif
}
