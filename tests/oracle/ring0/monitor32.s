# SPDX-License-Identifier: Apache-2.0
# The monitor in 32-bit protected mode without paging: runs cases in 32- and 16-bit protected mode and in real mode.
.set monitor_cr4, 0x600 | 0x40000 | 0x400000    # OSFXSR, OSXMMEXCPT, OSXSAVE, PKE
next_case:
    mov ax, sel_data32
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, monitor_stack
    lidt [boot_idtr]
    mov eax, monitor_cr4
    mov cr4, eax
    mov eax, dword ptr [control_next]
    cmp eax, dword ptr [control_count]
    jae finished
    imul ebx, eax, case_stride
    add ebx, cases
    # Everything that a case may have changed is made new.
    .macro copy_in from, to, size
    mov esi, \from
    mov edi, \to
    mov ecx, (\size) / 4
    rep movsd
    .endm
    copy_in master, 0, 0x400
    copy_in (master + code), code, (monitor - code)
    copy_in (master + tables), tables, (tables_end - tables)
    copy_in ebx, incoming, slot_bytes
    mov edi, offset outgoing
    xor eax, eax
    mov ecx, slot_bytes / 4
    rep stosd
    .macro copy_part from, to, size
    lea esi, [ebx + \from]
    mov edi, \to
    mov ecx, (\size) / 4
    rep movsd
    .endm
    copy_part case_code, code, code_bytes
    copy_part case_stack, stack_window, stack_bytes
    copy_part case_data, data, data_bytes
    lea esi, [ebx + case_pokes]
    mov ecx, pokes
1:  mov edi, dword ptr [esi]
    mov eax, dword ptr [esi + 4]
    test edi, edi
    jz 2f
    mov dword ptr [edi], eax
2:  add esi, 8
    loop 1b

    ltr word ptr [in_tr]
    lldt word ptr [in_ldtr]
    xor ecx, ecx
    xor edx, edx
    mov eax, dword ptr [in_xcr0]
    xsetbv
    mov eax, dword ptr [in_pkru]
    wrpkru
    every_msr write_msr
    test byte ptr [in_efer + 1], 0x10       # SVME: the host save area is an SVM register
    jz 1f
    write_msr 0xc0010117, vm_hsave
1:  write_ports
    .irp r, 0, 1, 2, 3, 6, 7
    mov eax, dword ptr [in_dr\r]
    mov dr\r, eax
    .endr
    mov eax, dword ptr [in_cr8]
    .byte 0xf0, 0x0f, 0x22, 0xc0            # mov cr8, eax: LOCK names CR8 (AltMovCr8)
    .irp r, 2, 4, 3
    mov eax, dword ptr [in_cr\r]
    mov cr\r, eax
    .endr
    mov ax, word ptr [in_gdtr_limit]
    mov word ptr [table_operand], ax
    mov eax, dword ptr [in_gdtr_base]
    mov dword ptr [table_operand + 2], eax
    lgdt [table_operand]
    mov ax, word ptr [in_idtr_limit]
    mov word ptr [table_operand], ax
    mov eax, dword ptr [in_idtr_base]
    mov dword ptr [table_operand + 2], eax
    lidt [table_operand]
    cmp byte ptr [in_timer], 0
    je 1f
    start_timer
1:  cmp byte ptr [in_real_mode], 0
    jne to_real_mode
    mov eax, dword ptr [in_cr0]
    mov cr0, eax
    # IRET pops SS:ESP only towards an outer level; at CPL 0 the frame stands below the case's own stack pointer.
    test byte ptr [in_cs], 3
    jnz 1f
    mov ss, word ptr [in_ss]
    mov esp, dword ptr [in_rsp]
    jmp 2f
1:  push dword ptr [in_ss]
    push dword ptr [in_rsp]
2:  push dword ptr [in_rflags]
    push dword ptr [in_cs]
    push dword ptr [in_rip]
    push dword ptr [in_ds]
    push dword ptr [in_es]
    push dword ptr [in_fs]
    push dword ptr [in_gs]
    .macro load_registers
    mov eax, dword ptr [in_rax]
    mov ecx, dword ptr [in_rcx]
    mov edx, dword ptr [in_rdx]
    mov ebx, dword ptr [in_rbx]
    mov ebp, dword ptr [in_rbp]
    mov esi, dword ptr [in_rsi]
    mov edi, dword ptr [in_rdi]
    .endm
    load_registers
    # LLVM takes POP and PUSH of a segment register without a size for 16 bits wide, in 32-bit code too.
    .byte 0x0f, 0xa9            # pop gs
    .byte 0x0f, 0xa1            # pop fs
    .byte 0x07                  # pop es
    .byte 0x1f                  # pop ds
    iretd

# Every vector arrives here, at CPL 0 on the stack of the case, with its registers and segments.
trap:
    pushfd
    pushad
    # DS is about to be replaced: what its hidden base shows is read first, unless it is null.
    xor ebx, ebx
    mov eax, ds
    test eax, 0xfffc
    jz 1f
    mov ebx, dword ptr [probes]
1:  .byte 0x1e                  # push ds
    push sel_data32
    .byte 0x1f                  # pop ds
    cld
    mov dword ptr [out_probe_ds], ebx
    pop eax
    mov word ptr [out_ds], ax
    mov word ptr [out_es], es
    mov word ptr [out_fs], fs
    mov word ptr [out_gs], gs
    mov word ptr [out_handler_ss], ss
    mov word ptr [out_handler_cs], cs
    .irp r, es, fs, gs
    mov eax, \r
    test eax, 0xfffc
    jz 1f
    mov eax, dword ptr \r:[probes]
    mov dword ptr [out_probe_\r], eax
1:
    .endr
    pop dword ptr [out_rdi]
    pop dword ptr [out_rsi]
    pop dword ptr [out_rbp]
    pop eax
    pop dword ptr [out_rbx]
    pop dword ptr [out_rdx]
    pop dword ptr [out_rcx]
    pop dword ptr [out_rax]
    pop dword ptr [out_handler_rflags]
    pop dword ptr [out_vector]
    pop dword ptr [out_error]
    mov dword ptr [out_handler_rsp], esp
    pop dword ptr [out_rip]
    pop dword ptr [out_cs]
    mov word ptr [out_cs + 2], 0
    pop dword ptr [out_rflags]
    test byte ptr [out_cs], 3
    jz 1f
    pop dword ptr [out_rsp]
    pop dword ptr [out_ss]
    mov word ptr [out_ss + 2], 0
    jmp 2f
1:  mov dword ptr [out_rsp], esp
    mov word ptr [out_ss], ss
    mov eax, dword ptr ss:[probes]
    mov dword ptr [out_probe_ss], eax
2:  mov eax, cr0
    mov dword ptr [out_cr0], eax
    sgdt [table_operand]
    movzx eax, word ptr [table_operand]
    mov dword ptr [out_gdtr_limit], eax
    mov eax, dword ptr [table_operand + 2]
    mov dword ptr [out_gdtr_base], eax
    sidt [table_operand]
    movzx eax, word ptr [table_operand]
    mov dword ptr [out_idtr_limit], eax
    mov eax, dword ptr [table_operand + 2]
    mov dword ptr [out_idtr_base], eax
# From real mode the way leads here, with the above saved.
save_rest:
    mov ax, sel_data32
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov esp, monitor_stack
    push 2
    popfd
    .irp r, 2, 3, 4
    mov eax, cr\r
    mov dword ptr [out_cr\r], eax
    .endr
    .byte 0xf0, 0x0f, 0x20, 0xc0            # mov eax, cr8
    mov dword ptr [out_cr8], eax
    mov eax, 0x31               # NE, ET, PE
    mov cr0, eax
    mov eax, monitor_cr4
    mov cr4, eax
    .irp r, 0, 1, 2, 3, 6, 7
    mov eax, dr\r
    mov dword ptr [out_dr\r], eax
    .endr
    mov eax, 0x400
    mov dr7, eax
    lgdt [boot_gdtr]
    sldt word ptr [out_ldtr]
    str word ptr [out_tr]
    every_msr read_msr
    xor ecx, ecx
    xgetbv
    mov dword ptr [out_xcr0], eax
    rdpkru
    mov dword ptr [out_pkru], eax
    read_ports
    stop_timer

    imul ebx, dword ptr [control_next], result_stride
    add ebx, results
    .macro copy_out what, where, size
    mov esi, \what
    lea edi, [ebx + \where]
    mov ecx, (\size) / 4
    rep movsd
    .endm
    copy_out outgoing, 0, slot_bytes
    copy_out stack_window, result_stack, stack_bytes
    copy_out tables, result_tables, tables_bytes
    copy_out data, result_data, data_bytes
    copy_out gdt1, result_gdt1, gdt_bytes
    copy_out gdt2, result_gdt2, gdt_bytes
    inc dword ptr [control_next]
    jmp next_case

finished:
    mov dword ptr [control_done], 1
    mov al, 0
    out 0xf4, al
    hlt

# Segments get their 64 KiB limits before PE is cleared: real mode keeps what is loaded.
to_real_mode:
    mov ax, sel_data16
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    .byte 0xea                  # jmp far sel_code16:leave_protected
    .long leave_protected
    .word sel_code16
.code16
leave_protected:
    mov eax, dword ptr [in_cr0]
    mov cr0, eax
    .byte 0xea                  # jmp far 0:in_real
    .word in_real
    .word 0
in_real:
    xor ax, ax
    mov ds, ax
    mov ss, word ptr [in_ss]
    mov esp, dword ptr [in_rsp]
    push dword ptr [in_rflags]
    push dword ptr [in_cs]
    push dword ptr [in_rip]
    push word ptr [in_ds]
    push word ptr [in_es]
    push word ptr [in_fs]
    push word ptr [in_gs]
    load_registers
    pop gs
    pop fs
    pop es
    pop ds
    iretd

# Every vector of real mode arrives here, under its number.
trap_real:
    pushfd
    pop dword ptr cs:[out_handler_rflags]
    mov dword ptr cs:[out_rax], eax
    mov dword ptr cs:[out_rcx], ecx
    mov dword ptr cs:[out_rdx], edx
    mov dword ptr cs:[out_rbx], ebx
    mov dword ptr cs:[out_rbp], ebp
    mov dword ptr cs:[out_rsi], esi
    mov dword ptr cs:[out_rdi], edi
    .irp r, ds, es, fs, gs, ss
    mov word ptr cs:[out_\r], \r
    .endr
    mov word ptr cs:[out_handler_ss], ss
    mov word ptr cs:[out_handler_cs], cs
    xor eax, eax
    mov ds, ax
    cld
    pop word ptr [out_vector]
    mov dword ptr [out_handler_rsp], esp
    pop word ptr [out_rip]
    pop word ptr [out_cs]
    mov eax, dword ptr [out_handler_rflags]
    pop ax                      # the processor pushes FLAGS; the upper half is as it was
    mov dword ptr [out_rflags], eax
    mov dword ptr [out_rsp], esp
    mov dword ptr [out_error], -1
    mov eax, cr0
    mov dword ptr [out_cr0], eax
    sgdtd [table_operand]
    mov ax, word ptr [table_operand]
    mov word ptr [out_gdtr_limit], ax
    mov eax, dword ptr [table_operand + 2]
    mov dword ptr [out_gdtr_base], eax
    sidtd [table_operand]
    mov ax, word ptr [table_operand]
    mov word ptr [out_idtr_limit], ax
    mov eax, dword ptr [table_operand + 2]
    mov dword ptr [out_idtr_base], eax
    lgdtd [boot_gdtr]
    mov eax, 0x31
    mov cr0, eax
    .byte 0x66, 0xea            # jmp far sel_code32:save_rest
    .long save_rest
    .word sel_code32
.macro trap_stubs_real first
.set v, 0
.rept 256
.balign 8, 0xcc
    .byte 0x68                  # push imm16
    .word \first + v
    jmp trap_real
.set v, v + 1
.endr
.endm
.balign 8, 0xcc
stubs_real1:
    trap_stubs_real 0
.balign 8, 0xcc
stubs_real2:
    trap_stubs_real second_idt

.code32
.balign 16, 0xcc
stubs1:
    trap_stubs 0, trap
.balign 16, 0xcc
stubs2:
    trap_stubs second_idt, trap
