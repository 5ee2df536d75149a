# SPDX-License-Identifier: Apache-2.0
# From the reset vector's jump to 32-bit protected mode, and what both monitors share. No firmware runs before this.
.code16
start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, monitor_stack
    in al, 0x92                 # A20
    or al, 2
    out 0x92, al
    mov al, 0x11                # both interrupt controllers: vectors 0x20 and 0x28, everything masked
    out 0x20, al
    out 0xa0, al
    mov al, 0x20
    out 0x21, al
    mov al, 0x28
    out 0xa1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xa1, al
    mov al, 1
    out 0x21, al
    out 0xa1, al
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    lgdt [boot_gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xea            # jmp far sel_code32:protected
    .long protected
    .word sel_code32
.balign 4
boot_gdtr:
    .word gdt_limit
    .long gdt1
    .long 0                     # the upper half, for LGDT in 64-bit code
boot_idtr:
    .word 0xfff
    .long idt1
    .long 0
table_operand:
    .word 0
    .quad 0

# A slot of the running case into a model-specific register, and back.
.macro write_msr number, name
    mov ecx, \number
    mov eax, dword ptr [in_\name]
    mov edx, dword ptr [in_\name + 4]
    wrmsr
.endm
.macro read_msr number, name
    mov ecx, \number
    rdmsr
    mov dword ptr [out_\name], eax
    mov dword ptr [out_\name + 4], edx
.endm
.macro every_msr what
    \what 0x174, sysenter_cs
    \what 0x175, sysenter_esp
    \what 0x176, sysenter_eip
    \what 0x277, pat
    \what 0xc0000080, efer
    \what 0xc0000081, star
    \what 0xc0000082, lstar
    \what 0xc0000083, cstar
    \what 0xc0000084, fmask
    \what 0xc0000102, kernel_gs_base
    \what 0xc0000103, tsc_aux
.endm
.macro write_ports
    mov eax, dword ptr [in_io]
    out port, eax
.endm
.macro read_ports
    in eax, port
    mov dword ptr [out_io], eax
.endm
# Counter 0, mode 0: one interrupt after 1 ms; IRQ 0 alone is let through. The controller is initialised anew, because it
# remembers the edges that the counter made before.
.macro start_timer
    mov al, 0x30
    out 0x43, al
    mov al, 0x11
    out 0x20, al
    mov al, 0x20
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0xa9
    out 0x40, al
    mov al, 4
    out 0x40, al
    mov al, 0xfe
    out 0x21, al
.endm
.macro stop_timer
    mov al, 0xff
    out 0x21, al
    mov al, 0x20                # an interrupt that was taken is ended
    out 0x20, al
.endm
# Stubs of 16 bytes that push the vector, under a no-error-code marker where the processor pushes none.
.macro trap_stubs first, target
.set v, 0
.rept 256
.balign 16, 0xcc
    .if (v != 8) && (v != 10) && (v != 11) && (v != 12) && (v != 13) && (v != 14) && (v != 17) && (v != 21) && (v != 29) && (v != 30)
    .byte 0x6a, 0xff            # push -1
    .endif
    .byte 0x68                  # push imm32
    .long \first + v
    jmp \target
.set v, v + 1
.endr
.endm

.code32
protected:
    mov ax, sel_data32
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, monitor_stack
    mov eax, 0x440000           # OSXSAVE, PKE: CPUID shows the features that they gate
    mov cr4, eax
    mov dword ptr [0xfee000f0], 0x1ff       # local APIC: enabled, LINT0 passes on what the interrupt controllers ask for
    mov dword ptr [0xfee00350], 0x700
    mov ebp, 0                  # CPUID leaves that the host asks for
    jmp 2f
1:  mov eax, dword ptr [queries + ebp * 8]
    mov ecx, dword ptr [queries + ebp * 8 + 4]
    cpuid
    mov edi, ebp
    shl edi, 4
    mov dword ptr [answers + edi], eax
    mov dword ptr [answers + edi + 4], ebx
    mov dword ptr [answers + edi + 8], ecx
    mov dword ptr [answers + edi + 12], edx
    inc ebp
2:  cmp ebp, dword ptr [query_count]
    jb 1b
