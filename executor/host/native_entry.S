// SPDX-License-Identifier: Apache-2.0
// The ways between the monitor (64-bit code) and the guest (32-bit code at the same privilege). No memory but the frame and
// the monitor's own stack is touched. Offsets must match NativeFrame in native_frame.h.
#if defined(__linux__) && defined(__x86_64__)
    .intel_syntax noprefix
    .text

#define FRAME trapline_native_frame
#define RIP_AT 0x40
#define FLAGS_AT 0x48
#define CS_AT 0x50
#define SS_AT 0x54
#define DS_AT 0x58
#define ES_AT 0x5C
#define FS_AT 0x60
#define GS_AT 0x64
#define MONITOR_SP 0x68
#define MONITOR_FS 0x70
#define KICK 0x78
#define FPU 0x80

// int trapline_enter_guest(void): loads the frame into the processor; returns when the guest has left, with a NativeExit.
    .globl trapline_enter_guest
    .hidden trapline_enter_guest
    .type trapline_enter_guest, @function
trapline_enter_guest:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [rip + FRAME + MONITOR_SP], rsp
// An asynchronous signal between here and the end of IRETQ is answered by going to trapline_enter_kicked (see native.cpp).
    .globl trapline_enter_begin
    .hidden trapline_enter_begin
trapline_enter_begin:
    cmp dword ptr [rip + FRAME + KICK], 0
    jne trapline_enter_kicked
    fxrstor64 [rip + FRAME + FPU]
    // 64-bit code leaves these three as they are, and mostly they are right still: to look is quicker than to load (a MOV of null to GS takes
    // 42 ns on an EPYC, others 8). HostSegments empties them when it changes a descriptor.
    mov ecx, ds
    mov eax, [rip + FRAME + DS_AT]
    cmp eax, ecx
    je 2f
    mov ds, eax
2:  mov ecx, es
    mov eax, [rip + FRAME + ES_AT]
    cmp eax, ecx
    je 2f
    mov es, eax
2:  mov ecx, gs
    mov eax, [rip + FRAME + GS_AT]
    cmp eax, ecx
    je 2f
    mov gs, eax
2:
    mov eax, [rip + FRAME + FS_AT]
    mov fs, eax
    mov eax, [rip + FRAME + SS_AT]
    push rax
    push [rip + FRAME + 8 * 4]
    push [rip + FRAME + FLAGS_AT]
    mov eax, [rip + FRAME + CS_AT]
    push rax
    push [rip + FRAME + RIP_AT]
    mov rax, [rip + FRAME + 8 * 0]
    mov rcx, [rip + FRAME + 8 * 1]
    mov rdx, [rip + FRAME + 8 * 2]
    mov rbx, [rip + FRAME + 8 * 3]
    mov rbp, [rip + FRAME + 8 * 5]
    mov rsi, [rip + FRAME + 8 * 6]
    mov rdi, [rip + FRAME + 8 * 7]
    // A guest that gets into 64-bit code finds nothing of the monitor's in the registers it does not have.
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    xor r12d, r12d
    xor r13d, r13d
    xor r14d, r14d
    xor r15d, r15d
    iretq
    .globl trapline_enter_end
    .hidden trapline_enter_end
trapline_enter_end:

    .globl trapline_enter_kicked
    .hidden trapline_enter_kicked
trapline_enter_kicked:
    mov eax, 3
    jmp 1f

// The gate page jumps here, in 64-bit code on the guest's stack, which is not to be touched.
    .globl trapline_gate_entry
    .hidden trapline_gate_entry
trapline_gate_entry:
    mov [rip + FRAME + 8 * 0], rax
    mov [rip + FRAME + 8 * 1], rcx
    mov [rip + FRAME + 8 * 2], rdx
    mov [rip + FRAME + 8 * 3], rbx
    mov [rip + FRAME + 8 * 4], rsp
    mov [rip + FRAME + 8 * 5], rbp
    mov [rip + FRAME + 8 * 6], rsi
    mov [rip + FRAME + 8 * 7], rdi
    mov rsp, [rip + FRAME + MONITOR_SP]
    pushfq
    pop [rip + FRAME + FLAGS_AT]
    push 2                      // no DF, TF, AC or NT of the guest's in the monitor
    popfq
    fxsave64 [rip + FRAME + FPU]
    mov rax, [rip + FRAME + MONITOR_FS]
    wrfsbase rax
    mov eax, 2
    jmp 1f

// void trapline_leave_guest(void): from a signal handler back to whoever called trapline_enter_guest.
    .globl trapline_leave_guest
    .hidden trapline_leave_guest
trapline_leave_guest:
    mov eax, 1
1:  mov rsp, [rip + FRAME + MONITOR_SP]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .size trapline_enter_guest, . - trapline_enter_guest

// Every signal's handler: the guest's flags and FS base are still in force here, so not one C++ instruction may run before.
    .globl trapline_signal_entry
    .hidden trapline_signal_entry
    .type trapline_signal_entry, @function
trapline_signal_entry:
    push 2
    popfq
    mov rax, [rip + FRAME + MONITOR_FS]
    wrfsbase rax
    jmp trapline_signal_arrived
    .size trapline_signal_entry, . - trapline_signal_entry
#endif
    .section .note.GNU-stack,"",@progbits
