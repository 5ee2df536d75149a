# SPDX-License-Identifier: Apache-2.0
# The monitor in 64-bit mode: loads a case, runs its instruction, saves the machine, until all cases are done.
    mov eax, 0x20 | 0x600 | 0x10000 | 0x40000 | 0x400000   # PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE, PKE
    mov cr4, eax
    mov eax, pages
    mov cr3, eax
    mov ecx, 0xc0000080
    mov eax, 0x101              # LME, SCE
    xor edx, edx
    wrmsr
    mov eax, 0x80000031         # PG, NE, ET, PE
    mov cr0, eax
    .byte 0xea                  # jmp far sel_code64:next_case
    .long next_case
    .word sel_code64

.code64
next_case:
    mov rsp, monitor_stack
    lidt [boot_idtr]
    mov eax, dword ptr [control_next]
    cmp eax, dword ptr [control_count]
    jae finished
    imul ebx, eax, case_stride
    add ebx, cases
    # Everything that a case may have changed is made new.
    mov esi, master
    xor edi, edi
    mov ecx, 0x400 / 8
    rep movsq
    mov esi, master + code
    mov edi, code
    mov ecx, (monitor - code) / 8
    rep movsq
    mov esi, master + tables
    mov edi, tables
    mov ecx, (tables_end - tables) / 8
    rep movsq
    mov esi, ebx
    mov edi, incoming
    mov ecx, slot_bytes / 8
    rep movsq
    mov edi, outgoing
    xor eax, eax
    mov ecx, slot_bytes / 8
    rep stosq
    lea esi, [rbx + case_code]
    mov edi, code
    mov ecx, code_bytes / 8
    rep movsq
    lea esi, [rbx + case_stack]
    mov edi, stack_window
    mov ecx, stack_bytes / 8
    rep movsq
    lea esi, [rbx + case_data]
    mov edi, data
    mov ecx, data_bytes / 8
    rep movsq
    lea esi, [rbx + case_pokes]
    mov ecx, pokes
1:  mov edi, dword ptr [rsi]
    mov eax, dword ptr [rsi + 4]
    test edi, edi
    jz 2f
    mov dword ptr [rdi], eax
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
    mov ds, word ptr [in_ds]
    mov es, word ptr [in_es]
    mov fs, word ptr [in_fs]
    mov gs, word ptr [in_gs]
    every_msr write_msr
    write_msr 0xc0000100, fs_base
    write_msr 0xc0000101, gs_base
    test byte ptr [in_efer + 1], 0x10       # SVME: the host save area is an SVM register
    jz 1f
    write_msr 0xc0010117, vm_hsave
1:  write_ports
    .irp r, 0, 1, 2, 3, 6, 7
    mov rax, qword ptr [in_dr\r]
    mov dr\r, rax
    .endr
    .irp r, 2, 8, 4, 3, 0
    mov rax, qword ptr [in_cr\r]
    mov cr\r, rax
    .endr
    mov ax, word ptr [in_gdtr_limit]
    mov word ptr [table_operand], ax
    mov rax, qword ptr [in_gdtr_base]
    mov qword ptr [table_operand + 2], rax
    lgdt [table_operand]
    mov ax, word ptr [in_idtr_limit]
    mov word ptr [table_operand], ax
    mov rax, qword ptr [in_idtr_base]
    mov qword ptr [table_operand + 2], rax
    lidt [table_operand]
    cmp byte ptr [in_timer], 0
    je 1f
    start_timer
1:  push qword ptr [in_ss]
    push qword ptr [in_rsp]
    push qword ptr [in_rflags]
    push qword ptr [in_cs]
    push qword ptr [in_rip]
    .irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    mov \r, qword ptr [in_\r]
    .endr
    iretq

# Every vector arrives here on the stack of IST 1, with the registers of the case.
trap:
    .irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    mov qword ptr [out_\r], \r
    .endr
    pushfq
    pop qword ptr [out_handler_rflags]
    cld
    pop qword ptr [out_vector]
    pop qword ptr [out_error]
    pop qword ptr [out_rip]
    pop qword ptr [out_cs]
    pop qword ptr [out_rflags]
    pop qword ptr [out_rsp]
    pop qword ptr [out_ss]
    mov word ptr [out_handler_cs], cs
    mov word ptr [out_handler_ss], ss
    .irp r, ds, es, fs, gs
    mov word ptr [out_\r], \r
    .endr
    .irp r, 0, 2, 3, 4, 8
    mov rax, cr\r
    mov qword ptr [out_cr\r], rax
    .endr
    mov eax, 0x80000031
    mov cr0, rax
    mov eax, 0x20 | 0x600 | 0x10000 | 0x40000 | 0x400000
    mov cr4, rax
    .irp r, 0, 1, 2, 3, 6, 7
    mov rax, dr\r
    mov qword ptr [out_dr\r], rax
    .endr
    mov eax, 0x400
    mov dr7, rax
    sgdt [table_operand]
    movzx eax, word ptr [table_operand]
    mov qword ptr [out_gdtr_limit], rax
    mov rax, qword ptr [table_operand + 2]
    mov qword ptr [out_gdtr_base], rax
    sidt [table_operand]
    movzx eax, word ptr [table_operand]
    mov qword ptr [out_idtr_limit], rax
    mov rax, qword ptr [table_operand + 2]
    mov qword ptr [out_idtr_base], rax
    lgdt [boot_gdtr]
    sldt word ptr [out_ldtr]
    str word ptr [out_tr]
    every_msr read_msr
    read_msr 0xc0000100, fs_base
    read_msr 0xc0000101, gs_base
    xor ecx, ecx
    xgetbv
    mov dword ptr [out_xcr0], eax
    rdpkru
    mov dword ptr [out_pkru], eax
    read_ports
    stop_timer

    mov edi, dword ptr [control_next]
    imul edi, edi, result_stride
    add edi, results
    mov ebx, edi
    mov esi, outgoing
    mov ecx, slot_bytes / 8
    rep movsq
    .macro copy_out what, where, size
    mov esi, \what
    lea edi, [rbx + \where]
    mov ecx, (\size) / 8
    rep movsq
    .endm
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

.balign 16, 0xcc
stubs1:
    trap_stubs 0, trap
.balign 16, 0xcc
stubs2:
    trap_stubs second_idt, trap
