// SPDX-License-Identifier: Apache-2.0
// Which values do CR0 and CR4 refuse, and does nothing change then? control_refused.md.
#include "runtime.inc"

.macro refused text, value, number
    mov $\value, %eax
    try "\text"
    mov %eax, %cr\number
    end_try
.endm

    .globl guest
guest:
    refused "cr0: pg=1, pe=0", CR0_PG|CR0_NE, 0
    refused "cr0: the same with ts", CR0_PG|CR0_NE|CR0_TS, 0
    refused "cr0: nw=1, cd=0", 0x20000000|CR0_PE|CR0_NE, 0
    refused "cr4: bit 31", 0x80000000, 4
    refused "cr4: bit 15, with pse", 0x8000|CR4_PSE, 4
    refused "cr4: osxsave, which is not offered", 0x40000, 4
    refused "cr4: smep, which is not offered", 0x100000, 4
    mov %cr0, %eax
    say "cr0="
    say_hex %eax
    mov %cr4, %eax
    say " cr4="
    say_hex %eax
    say "\n"
    pass
