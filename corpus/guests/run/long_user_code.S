// SPDX-License-Identifier: Apache-2.0
// Does user code that has computed for long still keep to its own pages? long_user_code.md.
#include "runtime.inc"

#define TARGET 0x400000                      // linear: the supervisor's code and data
#define FRAME 0x300000                       // physical
#define AT_CLI 0
#define AT_READ 0x20
#define AT_DATA 0x100
#define NOT_RUN (TARGET + 0x1000)
#define ROUNDS 200000000                     // of a loop of two instructions: a tenth of a second and more

    .globl guest
guest:
    movl $0xc3fa, FRAME + AT_CLI             // cli; ret
    movb $0xa1, FRAME + AT_READ              // mov TARGET + AT_DATA, %eax; ret
    movl $TARGET + AT_DATA, FRAME + AT_READ + 1
    movb $0xc3, FRAME + AT_READ + 5
    movl $0x12345678, FRAME + AT_DATA
    movl $0xc3c3c3c3, FRAME + 0x1000
    call paging_on
    movl $FRAME + 3, page_table + 0x1000
    movl $FRAME + 0x1003, page_table + 0x1004
    mov %cr3, %eax
    mov %eax, %cr3
    mov $TARGET + AT_CLI, %eax
    call *%eax
    mov $TARGET + AT_READ, %eax
    call *%eax
    say "the supervisor reads "
    say_hex %eax
    say "\n"
    in_ring $3, $user
    pass

user:
    call compute
    try "data of the user through CS"
    mov %cs:own, %eax
    end_try
    call compute
    try "data of the supervisor through CS"
    mov %cs:TARGET + AT_DATA, %eax
    end_try
    call compute
    mov $TARGET + AT_CLI, %eax
    try "a call of the supervisor's CLI"
    call *%eax
    end_try
    call compute
    mov $TARGET + AT_READ, %eax
    try "a call of the supervisor's code that reads its data"
    call *%eax
    end_try
    call compute
    mov $NOT_RUN, %eax
    try "a call of a page of the supervisor's that has not run"
    call *%eax
    end_try
    ring_exit

compute:
    mov $ROUNDS, %ecx
1:  dec %ecx
    jnz 1b
    ret

    .data
own: .long 1
