// SPDX-License-Identifier: Apache-2.0
// The program that is measured, as /init of a guest and as an ordinary process. Prints `init`, then for each benchmark
// `begin NAME` and `NAME VALUE UNIT COUNT MILLISECONDS ms`. The environment's `bench=NAME,NAME` says which (a kernel hands it
// on from its command line); without it all run. As process 1 it ends by switching the machine off. Needs no library. An
// error is a line `failed: WHAT`.
#include "linux_calls.h"
#include "sha256.h"

enum { kPage = 4096, kMegabyte = 1 << 20, kShaMegabytes = 100, kUserSignal = 10 };
static const u64 kLeastNanoseconds = 500000000;  // of each benchmark, by the system's own clock

// --- printing
static char line[160];
static unsigned line_length;

static void put(const char* text) {
    while (*text != 0 && line_length < sizeof line) line[line_length++] = *text++;
}

static void put_number(u32 value) {
    char digits[11];
    int at = 10;
    digits[at] = 0;
    do digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    put(digits + at);
}

/// Three decimal places. 64-bit division would need a library on i386; a double has 53 bits, enough for what is measured.
static void put_decimal(double value) {
    if (value >= 1e6) {
        put_number((u32)(int)(value / 1e3));
        value -= 1e3 * (int)(value / 1e3);
        const int rest = (int)value;
        for (int unit = 100; unit != 0; unit /= 10) put((const char[]){(char)('0' + rest / unit % 10), 0});
        return;
    }
    const int thousandths = (int)(value * 1e3 + 0.5);
    put_number((u32)(thousandths / 1000));
    put(".");
    for (int unit = 100; unit != 0; unit /= 10) put((const char[]){(char)('0' + thousandths / unit % 10), 0});
}

static void put_hex(u32 value) {
    for (int shift = 28; shift >= 0; shift -= 4) put((const char[]){"0123456789abcdef"[value >> shift & 15], 0});
}

static void end_line(void) {
    put("\n");
    call3(kWrite, 1, (long)line, line_length);
    line_length = 0;
}

static __attribute__((noreturn)) void leave(int code) {
    if (call3(kGetpid, 0, 0, 0) == 1) call3(kReboot, (long)0xfee1dead, 672274793, 0x4321fedc);  // LINUX_REBOOT_CMD_POWER_OFF
    for (;;) call3(kExit, code, 0, 0);
}

static void need(int holds, const char* what) {
    if (holds) return;
    put("failed: ");
    put(what);
    end_line();
    leave(1);
}

static u64 now(void) {
    enum { kMonotonic = 1 };
    long time[2];
    need(call3(kClockGettime, kMonotonic, (long)time, 0) == 0, "clock_gettime");
    return (u64)(u32)time[0] * 1000000000 + (u32)time[1];
}

// --- the benchmarks: each does its operation `count` times
static void getpid(unsigned count) {
    for (; count != 0; --count) call3(kGetpid, 0, 0, 0);
}

#ifndef __x86_64__
static void getpid_int80(unsigned count) {
    for (; count != 0; --count) {
        long number = kGetpid;
        __asm__ volatile("int $0x80" : "+a"(number) : : "memory");
    }
}
#endif

static void fork_exit_wait(unsigned count) {
    for (; count != 0; --count) {
        const long child = call3(kFork, 0, 0, 0);
        need(child >= 0, "fork");
        if (child == 0)
            for (;;) call3(kExit, 7, 0, 0);
        int status = 0;
        need(call4(kWait4, child, (long)&status, 0, 0) == child && status == 7 << 8, "wait4");
    }
}

/// Below 2 MiB at a time: no system gives a large page for that.
static void page_faults(unsigned count) {
    enum { kPages = 256 };
    for (unsigned done = 0; done < count; done += kPages) {
        u8* const memory = map_memory(kPages * kPage);
        need((unsigned long)memory < -4095ul, "mmap");
        for (int i = 0; i < kPages; ++i) ((volatile u8*)memory)[i * kPage] = 1;
        need(call3(kMunmap, (long)memory, kPages * kPage, 0) == 0, "munmap");
    }
}

static int there[2], back[2];

static void pipe_round_trips(unsigned count) {
    u8 byte = 1;
    for (; count != 0; --count) {
        need(call3(kWrite, there[1], (long)&byte, 1) == 1 && call3(kRead, back[0], (long)&byte, 1) == 1, "pipe");
    }
}

/// Starts the process at the other end; it ends with the byte 0.
static long begin_echo(void) {
    need(call3(kPipe, (long)there, 0, 0) == 0 && call3(kPipe, (long)back, 0, 0) == 0, "pipe");
    const long child = call3(kFork, 0, 0, 0);
    need(child >= 0, "fork");
    if (child != 0) return child;
    u8 byte = 1;
    while (byte != 0 && call3(kRead, there[0], (long)&byte, 1) == 1) call3(kWrite, back[1], (long)&byte, 1);
    for (;;) call3(kExit, 0, 0, 0);
}

static void end_echo(long child) {
    const u8 byte = 0;
    call3(kWrite, there[1], (long)&byte, 1);
    call4(kWait4, child, 0, 0, 0);
}

static volatile unsigned delivered;

static void on_signal(int number) { delivered += number == kUserSignal; }

static void signals(unsigned count) {
    const long self = call3(kGetpid, 0, 0, 0);
    delivered = 0;
    for (unsigned i = 0; i < count; ++i) call3(kKill, self, kUserSignal, 0);
    need(delivered == count, "signal delivery");
}

static void catch_signal(void) {
    struct SignalAction action = {on_signal, 0, 0, {0, 0}};  // i386: the handler returns through the vdso
#ifdef __x86_64__
    action.flags = 0x04000000;  // SA_RESTORER
    action.restorer = restore_signal;
#endif
    need(call4(kSigaction, kUserSignal, (long)&action, 0, 8) == 0, "rt_sigaction");
}

static u32 sha_state[8];
static u8* sha_data;

/// 100 times one MiB whose byte at offset n is n * 7 + n / 256.
static void sha256(unsigned count) {
    (void)count;
    for (int i = 0; i < 8; ++i) sha_state[i] = kShaStart[i];
    for (int i = 0; i < kShaMegabytes; ++i) sha256_blocks(sha_state, sha_data, kMegabyte / kShaBlock);
    _Alignas(4) u8 padding[kShaBlock] = {0x80};
    const u64 bits = (u64)kShaMegabytes * kMegabyte * 8;
    for (int i = 0; i < 8; ++i) padding[kShaBlock - 1 - i] = (u8)(bits >> 8 * i);
    sha256_blocks(sha_state, padding, 1);
}

static void fill_sha_data(void) {
    sha_data = map_memory(kMegabyte);
    need((unsigned long)sha_data < -4095ul, "mmap");
    for (unsigned i = 0; i < kMegabyte; ++i) sha_data[i] = (u8)(i * 7 + i / 256);
}

// --- measuring
static const char* chosen;  // NAME,NAME; null: all

/// Gives what follows `prefix` in `text`, null where it does not begin so.
static const char* after(const char* text, const char* prefix) {
    for (; *prefix != 0; ++text, ++prefix)
        if (*text != *prefix) return 0;
    return text;
}

static int is_chosen(const char* name) {
    const char* at = chosen;
    while (at != 0 && *at != 0) {
        const char* const rest = after(at, name);
        if (rest != 0 && (*rest == 0 || *rest == ',')) return 1;
        while (*at != 0 && *at++ != ',') {
        }
    }
    return chosen == 0;
}

enum Unit { kPerSecond, kMicroseconds, kSeconds };

/// Runs `step` of `count` again until the least time has passed, and prints the line.
static void measure(const char* name, enum Unit unit, void (*operation)(unsigned), unsigned step) {
    put("begin ");
    put(name);
    end_line();
    if (unit != kSeconds) operation(step / 4);  // first touches of code and stack are not what is asked
    u64 count = 0, passed = 0;
    const u64 begun = now();
    do {
        operation(step);
        count += step;
        passed = now() - begun;
    } while (unit != kSeconds && passed < kLeastNanoseconds);
    const double seconds = (double)(long long)passed / 1e9, times = (double)(long long)count;
    put(name);
    put(" ");
    put_decimal(unit == kPerSecond ? times / seconds : unit == kMicroseconds ? seconds / times * 1e6 : seconds);
    put(unit == kPerSecond ? " per-s " : unit == kMicroseconds ? " us " : " s ");
    put_number((u32)count);
    put(" ");
    put_decimal((double)(long long)passed / 1e6);
    put(" ms");
    end_line();
}

/// `stack` is what the kernel leaves there: argc, argv, 0, environment, 0, auxiliary vector.
void workload(long* stack) {
    put("init");
    end_line();
    char** environment = (char**)stack + 1 + stack[0] + 1;
    for (; *environment != 0; ++environment)
        if (after(*environment, "bench=") != 0) chosen = after(*environment, "bench=");
    enum { kSysinfo = 32 };
    long entry = 0;
    for (const long* auxiliary = (long*)environment + 1; auxiliary[0] != 0; auxiliary += 2)
        if (auxiliary[0] == kSysinfo) entry = auxiliary[1];
#ifdef __x86_64__
    (void)entry;
#else
    if (entry != 0) system_entry = (void (*)(void))entry;
    if (is_chosen("getpid-int80")) measure("getpid-int80", kPerSecond, getpid_int80, 1000);
#endif
    if (is_chosen("getpid-vdso")) measure("getpid-vdso", kPerSecond, getpid, 1000);
    if (is_chosen("fork")) measure("fork", kPerSecond, fork_exit_wait, 20);
    if (is_chosen("page-fault")) measure("page-fault", kPerSecond, page_faults, 1024);
    if (is_chosen("pipe")) {
        const long child = begin_echo();
        measure("pipe", kPerSecond, pipe_round_trips, 100);
        end_echo(child);
    }
    if (is_chosen("signal")) {
        catch_signal();
        measure("signal", kMicroseconds, signals, 100);
    }
    if (is_chosen("sha256")) {
        fill_sha_data();
        measure("sha256", kSeconds, sha256, 1);
        put("digest ");
        for (int i = 0; i < 8; ++i) put_hex(sha_state[i]);
        end_line();
    }
    leave(0);
}
