/* SPDX-License-Identifier: Apache-2.0 */
/* The header's macros in assembly. */
#include "trapline_abi.h"

    .section .rodata
    .global abi_in_assembly
    .balign 8
abi_in_assembly:
    .quad TRAPLINE_64_VCPU + TRAPLINE_VCPU_FLAGS_IF
    .quad TRAPLINE_32_PENDING + TRAPLINE_PENDING_AFTER_FLAGS
    .quad TRAPLINE_CALL_HALT
    .section .note.GNU-stack,"",@progbits
