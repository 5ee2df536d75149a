// SPDX-License-Identifier: Apache-2.0
// What 64-bit code in the monitor's process does with the calls that are answered, and with the monitor's memory. escape.md.
#include "hostile.inc"

    .globl guest
guest:
    cases
    .macro wide name
    on "\name", leave_\name
    .pushsection .text
leave_\name:
    mov $\name, %esi
    jmp leave
    .popsection
    .endm
    wide spin
    wide mute
    wide sleep
    wide unmap_everything
    wide close_everything
    wide close_input
    wide flood_words
    wide flood_results
    wide flood_output
    wide forge_failure
    wide forge_order
    wide forge_size
    wide forge_kind
    wide frame_kernel_cs
    wide frame_iopl
    wide frame_not_canonical
    wide frame_guest
    wide frame_monitor
    wide wreck_r12
    wide wreck_r13
    wide wreck_r14
    wide wreck_r15
    wide take_memory
    wide take_tables
    wide duplicate_memory
    wide storm
    wide fill_ldt
    wide good_end
    end_cases
leave:
    mov %esi, goal
    big_page
    run_natively
    movl $1, area
    call code_page
    call second_page
    hidden_far_jump wide_entry

// --- forged signal frames return here, into 32-bit code
    .globl back
back:
    mov $DATA(0), %eax
    mov %eax, %ss
    mov $kernel_stack_top, %esp
    say "back\n"
    pass

#define POINTER 0x300                        // in `area`: what was in R15
#define FRAME 0x400                          // a signal frame's ucontext
#define AT_RSP (FRAME + 40 + 15 * 8)
#define AT_RIP (FRAME + 40 + 16 * 8)
#define AT_FLAGS (FRAME + 40 + 17 * 8)
#define AT_CS (FRAME + 40 + 18 * 8)
#define AT_SS (AT_CS + 6)
#define AT_MASK (FRAME + 296)
#define UNKNOWN_CALL 999

    wide_page code_page
wide_entry:
    mov $area, %ebp
    lea 0x2000(%rbp), %rsp
    mov %r15, POINTER(%rbp)
    mov $unseen_call, %r15d
    mov goal - area(%rbp), %eax
    jmp *%rax
spin:
    jmp spin
mute:                                        // every signal blocked
    call make_frame
    movq $-1, AT_MASK(%rbp)
    mov $spin, %eax
    mov %rax, AT_RIP(%rbp)
    jmp return_from_signal
sleep:
    xor %edi, %edi
    xor %esi, %esi
    mov $-1, %edx
    host_call 7                              // poll
    jmp sleep
unmap_everything:
    xor %edi, %edi
    mov $0x7ffffffff000, %rsi
    host_call 11                             // munmap
    hlt
close_everything:
    xor %ebx, %ebx
1:  mov %ebx, %edi
    host_call 3                              // close
    inc %ebx
    cmp $64, %ebx
    jb 1b
    jmp spin
close_input:
    xor %edi, %edi
    host_call 3
    jmp spin
flood_words:
    mov $2, %edi
    jmp flood
flood_output:
    mov $1, %edi
flood:
    mov %ebp, %esi
    mov $0x10000, %edx
    host_call 1                              // write
    jmp flood
flood_results:                               // the head of a message of 64 MiB, and then a byte at a time
    call find_results
    movl $1, (%rbp)
    movl $0x4000000, 4(%rbp)
    mov $8, %edx
    mov %ebp, %esi
1:  mov %ebx, %edi
    host_call 1
    mov $1, %edx
    jmp 1b
forge_kind:                                  // a message of a kind that there is not
    movl $77, (%rbp)
    movl $0, 4(%rbp)
    mov $8, %edx
    jmp forge
forge_size:                                  // larger than any may be
    movl $2, (%rbp)
    movl $-1, 4(%rbp)
    mov $8, %edx
    jmp forge
forge_order:                                 // a second start
    movl $1, (%rbp)
    movl $20, 4(%rbp)
    movq $0, 8(%rbp)
    movq $0, 16(%rbp)
    movl $0, 24(%rbp)
    mov $28, %edx
    jmp forge
forge_failure:                               // words that a terminal would obey
    movl $3, (%rbp)
    movl $(16 + 4 + 8 + 4), 4(%rbp)
    movq $2, 8(%rbp)
    movq $0, 16(%rbp)
    movl $8, 24(%rbp)
    movl $0x325d1b07, 28(%rbp)               // BEL ESC ] 2 ; x BEL newline: a window's title
    movl $0x0a07783b, 32(%rbp)
    movl $0, 36(%rbp)
    mov $40, %edx
forge:
    mov %edx, %r12d
    call find_results
    mov %ebx, %edi
    mov %ebp, %esi
    mov %r12d, %edx
    host_call 1
    jmp spin
good_end:                                    // an end without a word
    xor %edi, %edi
    host_call 231
frame_kernel_cs:
    call make_frame
    movw $0x10, AT_CS(%rbp)
    movw $0x18, AT_SS(%rbp)
    mov $spin, %eax
    mov %rax, AT_RIP(%rbp)
    jmp return_from_signal
frame_iopl:                                  // IOPL 3, IF 0, NT, VM, VIF, VIP
    call make_frame
    movq $0x1b7102, AT_FLAGS(%rbp)
    mov $after_iopl, %eax
    mov %rax, AT_RIP(%rbp)
    jmp return_from_signal
after_iopl:
    cli
    in $0x70, %al
    jmp spin
frame_not_canonical:
    call make_frame
    mov $0x8000000000000000, %rax
    mov %rax, AT_RIP(%rbp)
    jmp return_from_signal
frame_guest:                                 // back into the guest, with the host's selectors
    call make_frame
    movw $0x23, AT_CS(%rbp)
    mov $back, %eax
    mov %rax, AT_RIP(%rbp)
    jmp return_from_signal
frame_monitor:                               // to where the monitor has a pointer to
    call make_frame
    mov %r12, %rax
    mov %rax, AT_RIP(%rbp)
    jmp return_from_signal
    unseen_call
    .balign 4096

second_page:
    .code32
    ret
    .balign 16
    .code64
// A frame that goes on in 64-bit code.
make_frame:
    lea 0x2000(%rbp), %rax
    mov %rax, AT_RSP(%rbp)
    movq $0x202, AT_FLAGS(%rbp)
    movw $0x33, AT_CS(%rbp)
    movw $0x2b, AT_SS(%rbp)
    movq $6, FRAME(%rbp)                     // the frame has SS, and it counts
    ret
return_from_signal:
    lea FRAME(%rbp), %rsp
    mov $15, %eax
    jmp *%r15
// EBX: the descriptor that can be written and not read, behind the three.
find_results:
    mov $3, %ebx
1:  mov %ebx, 0x100(%rbp)
    movl $5, 0x104(%rbp)
    lea 0x100(%rbp), %rdi
    mov $1, %esi
    xor %edx, %edx
    host_call 7
    cmpw $4, 0x106(%rbp)
    je 2f
    inc %ebx
    cmp $64, %ebx
    jb 1b
2:  ret
wreck_r12:                                   // pages that the monitor has pointers to, and on as if nothing had been
    mov %r12, %rdi
    jmp wreck
wreck_r13:
    mov %r13, %rdi
    jmp wreck
wreck_r14:
    mov %r14, %rdi
    jmp wreck
wreck_r15:
    mov POINTER(%rbp), %rdi
wreck:
    and $-4096, %rdi
    mov $-1, %rax
    mov $512, %ecx
    rep stosq
    jmp frame_guest
take_memory:                                 // private memory, each page of it, until there is no more
    xor %edi, %edi
    mov $0x1000000, %esi
    mov $3, %edx
    mov $0x22, %r10d
    mov $-1, %r8
    xor %r9d, %r9d
    host_call 9                              // mmap
    cmp $-4096, %rax
    ja enough
    mov $4096, %ecx
1:  movb $1, (%rax)
    add $4096, %rax
    loop 1b
    jmp take_memory
take_tables:                                 // one page read in each 2 MiB of 256 GiB: a page of tables for each
    xor %edi, %edi
    mov $0x4000000000, %rsi
    mov $1, %edx
    mov $0x4022, %r10d
    mov $-1, %r8
    xor %r9d, %r9d
    host_call 9
    cmp $-4096, %rax
    ja enough
    mov $0x20000, %ecx
1:  mov (%rax), %dl
    add $0x200000, %rax
    loop 1b
    jmp too_much
duplicate_memory:                            // the guest's RAM at many places
    xor %ebx, %ebx
1:  mov $area, %edi
    xor %esi, %esi
    mov $0x100000, %edx
    mov $1, %r10d
    host_call 25                             // mremap of nothing: another mapping
    cmp $-4096, %rax
    ja enough
    inc %ebx
    cmp $0x10000, %ebx
    jb 1b
too_much:
    mov $98, %edi
    host_call 231
enough:
    host_call UNKNOWN_CALL
storm:                                       // kicks, as fast as the host's timer goes
    xor %edi, %edi
    xor %esi, %esi
    lea 0x200(%rbp), %rdx
    movq $0, (%rdx)
    movq $1, 8(%rdx)
    movq $0, 16(%rdx)
    movq $1, 24(%rdx)
    xor %r10d, %r10d
    host_call 223                            // timer_settime
    jmp spin
fill_ldt:                                    // every entry that there can be
    xor %ebx, %ebx
1:  mov %ebx, 0x100(%rbp)
    mov %ebx, 0x104(%rbp)
    movl $0xfffff, 0x108(%rbp)
    movl $0x51, 0x10c(%rbp)
    mov $0x11, %edi
    lea 0x100(%rbp), %rsi
    mov $16, %edx
    host_call 154
    inc %ebx
    cmp $8192, %ebx
    jb 1b
    jmp enough
    end_wide_page

    .section .data
    .balign 4096
area: .skip 0x2000
goal: .long 0
    .balign 4096
    .skip 0x10000
