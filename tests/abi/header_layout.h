/* SPDX-License-Identifier: Apache-2.0 */
/* What every guest and VMM of version 1 relies on: written by hand, so that a changed database cannot change it unseen. */
#include "trapline_abi.h"

#ifdef __cplusplus
#define EXPECT(condition) static_assert(condition, #condition)
#else
#define EXPECT(condition) _Static_assert(condition, #condition)
#endif
#define EXPECT_FIELD(page, member, where, bytes) \
    EXPECT(offsetof(struct page, member) == (where) && sizeof(((struct page*)0)->member) == (bytes))

EXPECT(TRAPLINE_ABI_MAJOR == 1);
EXPECT(TRAPLINE_32_STUBS_BEGIN == 0xFC000000u && TRAPLINE_32_STUBS_END == 0xFE000000u);
EXPECT(TRAPLINE_32_GATE == 0xFE000000u && TRAPLINE_32_VCPU == 0xFE001000u && TRAPLINE_32_PENDING == 0xFE002000u);
EXPECT(TRAPLINE_64_STUBS_BEGIN == 0xFFFFFFFFFFE00000ull && TRAPLINE_64_STUBS_END == 0xFFFFFFFFFFFF0000ull);
EXPECT(TRAPLINE_64_GATE == 0xFFFFFFFFFFFF0000ull && TRAPLINE_64_VCPU == 0xFFFFFFFFFFFF1000ull);
EXPECT(TRAPLINE_64_PENDING == 0xFFFFFFFFFFFF2000ull);

EXPECT_FIELD(trapline_vcpu_page, magic, 0x000, 4);
EXPECT_FIELD(trapline_vcpu_page, major, 0x004, 2);
EXPECT_FIELD(trapline_vcpu_page, minor, 0x006, 2);
EXPECT_FIELD(trapline_vcpu_page, flags_if, 0x008, 8);
EXPECT_FIELD(trapline_vcpu_page, flags_fixed, 0x010, 8);
EXPECT_FIELD(trapline_vcpu_page, event_waits, 0x018, 8);
EXPECT_FIELD(trapline_vcpu_page, cr0, 0x020, 8);
EXPECT_FIELD(trapline_vcpu_page, cr2, 0x028, 8);
EXPECT_FIELD(trapline_vcpu_page, cr3, 0x030, 8);
EXPECT_FIELD(trapline_vcpu_page, cr4, 0x038, 8);
EXPECT_FIELD(trapline_vcpu_page, cr8, 0x040, 8);
EXPECT_FIELD(trapline_vcpu_page, cs, 0x048, 8);
EXPECT_FIELD(trapline_vcpu_page, gs, 0x070, 8);
EXPECT_FIELD(trapline_vcpu_page, ldtr, 0x078, 8);
EXPECT_FIELD(trapline_vcpu_page, tr, 0x080, 8);
EXPECT_FIELD(trapline_vcpu_page, gdt_base, 0x088, 8);
EXPECT_FIELD(trapline_vcpu_page, idt_limit, 0x0a0, 8);
EXPECT_FIELD(trapline_vcpu_page, cpl, 0x0a8, 8);
EXPECT_FIELD(trapline_vcpu_page, interrupt_shadow, 0x0b0, 8);
EXPECT_FIELD(trapline_vcpu_page, call_site, 0x0b8, 4);
EXPECT_FIELD(trapline_vcpu_page, call_resume, 0x0c0, 8);
EXPECT_FIELD(trapline_vcpu_page, scratch0, 0x0c8, 8);
EXPECT_FIELD(trapline_vcpu_page, scratch1, 0x0d0, 8);
EXPECT_FIELD(trapline_vcpu_page, event_vector, 0x100, 8);
EXPECT_FIELD(trapline_vcpu_page, event_cr2, 0x138, 8);
EXPECT_FIELD(trapline_pending_page, after_sti, 0, 1);
EXPECT_FIELD(trapline_pending_page, after_flags, 8, 1);
EXPECT(sizeof(struct trapline_vcpu_page) == 4096 && sizeof(struct trapline_pending_page) == 4096);
EXPECT(TRAPLINE_VCPU_FLAGS_IF == 0x008 && TRAPLINE_VCPU_CALL_SITE == 0x0b8 && TRAPLINE_PENDING_AFTER_FLAGS == 8);

/* Numbers are never used again: these are of version 1.0. */
EXPECT(TRAPLINE_CALL_INTERRUPTS_OFF == 0x10 && TRAPLINE_CALL_INTERRUPTS_ON == 0x11);
EXPECT(TRAPLINE_CALL_GET_FLAGS == 0x12 && TRAPLINE_CALL_SET_FLAGS == 0x13);
EXPECT(TRAPLINE_CALL_READ_CR == 0x20 && TRAPLINE_CALL_WRITE_CR == 0x21 && TRAPLINE_CALL_WRITE_MSR == 0x27);
EXPECT(TRAPLINE_CALL_LOAD_GDT == 0x30 && TRAPLINE_CALL_QUERY_DESCRIPTOR == 0x35);
EXPECT(TRAPLINE_CALL_GET_SEGMENT == 0x40 && TRAPLINE_CALL_SWAP_GS == 0x44);
EXPECT(TRAPLINE_CALL_FAR_TRANSFER == 0x50 && TRAPLINE_CALL_INTERRUPT_RETURN == 0x51);
EXPECT(TRAPLINE_CALL_FLUSH_TLB == 0x60 && TRAPLINE_CALL_PORT_IN == 0x70 && TRAPLINE_CALL_HALT == 0x80);
EXPECT(TRAPLINE_CALL_IDENTIFY == 0x90 && TRAPLINE_CALL_READ_TIME == 0x91 && TRAPLINE_CALL_SAVE_STATE == 0xA0);
EXPECT(TRAPLINE_CALL_SHADOW_STACK == 0xB0 && TRAPLINE_CALL_LEGACY == 0xBD);
