// SPDX-License-Identifier: Apache-2.0
// Each family of sensitive or privileged instructions, once, under a symbol of its own (in 16-bit code: in a slot of its
// own). tests/tables/guests/sensitive*.tsv names every one of them.
#include "form.inc"

// --- flags
form f_pushf;      pushf;                  end_form
form f_popf;       popf;                   end_form
form f_cli;        cli;                    end_form
form f_sti;        sti;                    end_form
// --- descriptor tables and the machine status word
#if BITS == 16
form f_sgdt;       sgdt (%bx);             end_form
form f_sidt;       sidt (%bx);             end_form
form f_lgdt;       lgdt (%bx);             end_form
form f_lidt;       lidt (%bx);             end_form
#elif BITS == 32
form f_sgdt;       sgdt (%eax);            end_form
form f_sidt;       sidt (%eax);            end_form
form f_lgdt;       lgdt (%eax);            end_form
form f_lidt;       lidt (%eax);            end_form
#else
form f_sgdt;       sgdt (%rax);            end_form
form f_sidt;       sidt (%rax);            end_form
form f_lgdt;       lgdt (%rax);            end_form
form f_lidt;       lidt (%rax);            end_form
#endif
form f_smsw;       smsw %ax;               end_form
form f_lmsw;       lmsw %ax;               end_form
// --- control and debug registers
#if BITS == 64
form f_mov_from_cr; mov %cr0, %rax;        end_form
form f_mov_to_cr;   mov %rax, %cr3;        end_form
form f_mov_from_dr; mov %dr7, %rax;        end_form
form f_mov_to_dr;   mov %rax, %dr7;        end_form
form f_mov_cr8;     mov %rax, %cr8;        end_form
#else
form f_mov_from_cr; mov %cr0, %eax;        end_form
form f_mov_to_cr;   mov %eax, %cr3;        end_form
form f_mov_from_dr; mov %dr7, %eax;        end_form
form f_mov_to_dr;   mov %eax, %dr7;        end_form
#endif
form f_clts;       clts;                   end_form
// --- model-specific registers, time, counters, identity
form f_rdmsr;      rdmsr;                  end_form
form f_wrmsr;      wrmsr;                  end_form
form f_rdtsc;      rdtsc;                  end_form
form f_rdtscp;     rdtscp;                 end_form
form f_rdpmc;      rdpmc;                  end_form
form f_cpuid;      cpuid;                  end_form
form f_xgetbv;     xgetbv;                 end_form
form f_xsetbv;     xsetbv;                 end_form
// --- ports
form f_in_imm;     in $0x60, %al;          end_form
form f_in_dx;      in %dx, %al;            end_form
form f_out_imm;    out %al, $0x60;         end_form
form f_out_dx;     out %al, %dx;           end_form
form f_ins;        insb;                   end_form
form f_outs;       outsb;                  end_form
// --- caches and translations
form f_invd;       invd;                   end_form
form f_wbinvd;     wbinvd;                 end_form
#if BITS == 16
form f_invlpg;     invlpg (%bx);           end_form
#elif BITS == 32
form f_invlpg;     invlpg (%eax);          end_form
#else
form f_invlpg;     invlpg (%rax);          end_form
#endif
// --- interrupts
form f_int;        int $0x80;              end_form
form f_int3;       int3;                   end_form
form f_hlt;        hlt;                    end_form
// --- segment registers
form f_mov_from_sreg; mov %cs, %ax;        end_form
form f_mov_to_sreg;   mov %ax, %ds;        end_form
form f_push_fs;    push %fs;               end_form
form f_pop_gs;     pop %gs;                end_form
#if BITS != 64
form f_push_cs;    push %cs;               end_form
form f_pop_es;     pop %es;                end_form
#endif
// --- far transfers; they leave, so they come last in their form
#if BITS == 16
last_form f_lcall;  lcall $0x1234, $0x5678; end_last_form
last_form f_ljmp;   ljmp $0x1234, $0x5678;  end_last_form
#elif BITS == 32
form f_lcall;       lcall $0x1234, $0x5678; end_form
last_form f_ljmp;   ljmp $0x1234, $0x5678;  end_last_form
#else
form f_lcall;       lcall *(%rax);          end_form
last_form f_ljmp;   ljmp *(%rax);           end_last_form
#endif
#if BITS == 16
last_form f_lret;   lretw;                  end_last_form
last_form f_iret;   iretw;                  end_last_form
#elif BITS == 32
last_form f_lret;   lretl;                  end_last_form
last_form f_iret;   iretl;                  end_last_form
#else
last_form f_lret;   lretl;                  end_last_form
last_form f_iret;   iretq;                  end_last_form
#endif

#if BITS != 16
// --- what real mode does not have: task and local descriptor table registers, descriptor queries, fast system calls
form f_sldt;       sldt %ax;               end_form
form f_str;        str %ax;                end_form
form f_lldt;       lldt %ax;               end_form
form f_ltr;        ltr %ax;                end_form
form f_lar;        lar %ax, %ecx;          end_form
form f_lsl;        lsl %ax, %ecx;          end_form
form f_verr;       verr %ax;               end_form
form f_verw;       verw %ax;               end_form
form f_clac;       clac;                   end_form
form f_stac;       stac;                   end_form
form f_rdpkru;     rdpkru;                 end_form
form f_wrpkru;     wrpkru;                 end_form
form f_monitor;    monitor;                end_form
form f_mwait;      mwait;                  end_form
form f_sysenter;   sysenter;               end_form
last_form f_sysexit; .byte 0x0f, 0x35;     end_last_form  // sysexit: the assemblers differ on its suffix
form f_vmcall;     vmcall;                 end_form
form f_vmlaunch;   vmlaunch;               end_form
form f_clgi;       clgi;                   end_form
#endif
#if BITS == 32
form f_into;       into;                   end_form
form f_lds;        lds (%eax), %ecx;       end_form
form f_lss;        lss (%eax), %ecx;       end_form
#elif BITS == 64
form f_syscall;    syscall;                end_form
last_form f_sysret; sysretq;               end_last_form
form f_swapgs;     swapgs;                 end_form
form f_rdfsbase;   rdfsbase %rax;          end_form
form f_wrgsbase;   wrgsbase %rax;          end_form
form f_lss;        lss (%rax), %ecx;       end_form
#endif

#if BITS != 16
// --- code that nothing leads to and no function symbol names: the sweep alone meets it
    .balign 16, 0xcc
    .type unclaimed, @notype
unclaimed:
    pushf
    ret
#else
    ret
#endif
