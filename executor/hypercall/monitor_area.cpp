// SPDX-License-Identifier: Apache-2.0
#include "executor/hypercall/monitor_area.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "executor/host/native.h"
#include "trapline_abi.h"

namespace trapline::executor {
namespace {

constexpr std::uint32_t kMagic = 0x4C505254;
constexpr std::uint32_t kUserGateOffset = 0x100;

bool map_at(std::uint64_t linear, const SharedPages& pages, std::uint64_t first, std::uint64_t bytes, int access) {
    return mmap(reinterpret_cast<void*>(linear), bytes, access, MAP_SHARED | MAP_FIXED, pages.descriptor(), static_cast<off_t>(first)) != MAP_FAILED;
}

}  // namespace

Result<std::unique_ptr<MonitorArea>> MonitorArea::create(VirtualTlb& tlb) {
    std::unique_ptr<MonitorArea> area(new MonitorArea);
    constexpr std::uint64_t kStubBytes = TRAPLINE_32_STUBS_END - TRAPLINE_32_STUBS_BEGIN;
    auto stubs = SharedPages::create("trapline-stubs", kStubBytes);
    auto gate = SharedPages::create("trapline-gate", kPageBytes);
    auto shared = SharedPages::create("trapline-vcpu", 2 * kPageBytes);
    for (const auto* pages : {&stubs, &gate, &shared})
        if (!*pages) return tl::unexpected(pages->error());
    // jmp qword ptr [rip + 2], and the address at the next multiple of eight: with the guest's AC set it has to be aligned
    static constexpr std::uint8_t kJump[] = {0xFF, 0x25, 2, 0, 0, 0, 0xCC, 0xCC};
    const std::uint64_t target = gate_entry_address();
    std::memcpy(gate->data(), kJump, sizeof kJump);
    std::memcpy(gate->data() + sizeof kJump, &target, sizeof target);
    // mov dword ptr [rip + call_site], -1, and on to the gate's beginning
    static constexpr std::uint8_t kStore[] = {0xC7, 0x05}, kToGate[] = {0xE9};
    std::uint8_t* const user = gate->data() + kUserGateOffset;
    const std::uint32_t store_end = kUserGateOffset + 10, jump_end = store_end + 5;
    const std::uint32_t field = static_cast<std::uint32_t>(TRAPLINE_32_VCPU + TRAPLINE_VCPU_CALL_SITE - (TRAPLINE_32_GATE + store_end)), back = 0 - jump_end;
    std::memcpy(user, kStore, 2);
    std::memcpy(user + 2, &field, 4);
    std::memcpy(user + 6, &kUserCall, 4);
    std::memcpy(user + 10, kToGate, 1);
    std::memcpy(user + 11, &back, 4);
    const bool mapped = map_at(TRAPLINE_32_STUBS_BEGIN, *stubs, 0, kStubBytes, PROT_READ | PROT_EXEC) &&
                        map_at(TRAPLINE_32_GATE, *gate, 0, kPageBytes, PROT_READ | PROT_EXEC) &&
                        map_at(TRAPLINE_32_VCPU, *shared, 0, 2 * kPageBytes, PROT_READ | PROT_WRITE);
    if (!mapped) return fail(ErrorCode::host_limit, fmt::format("no room for the monitor's pages at {:#x}: {}", TRAPLINE_32_STUBS_BEGIN, std::strerror(errno)));
    tlb.reserve(TRAPLINE_32_STUBS_BEGIN / kPageBytes, (TRAPLINE_32_PENDING - TRAPLINE_32_STUBS_BEGIN) / kPageBytes + 1);
    area->page_ = reinterpret_cast<trapline_vcpu_page*>(shared->data());
    area->page_->magic = kMagic;
    area->page_->major = TRAPLINE_ABI_MAJOR;
    area->page_->minor = TRAPLINE_ABI_MINOR;
    area->stubs_ = std::move(*stubs);
    area->gate_ = std::move(*gate);
    area->shared_ = std::move(*shared);
    return area;
}

void MonitorArea::install(const PlanPatches& patches) {
    std::copy(patches.stubs().begin(), patches.stubs().end(), stubs_.data() + (patches.stubs_begin() - TRAPLINE_32_STUBS_BEGIN));
}

void MonitorArea::publish(const Vcpu& vcpu) {
    trapline_vcpu_page& page = *page_;
    page.flags_if = vcpu.rflags & flag::interrupt;
    page.flags_fixed = (vcpu.rflags & flag::iopl) - flag::interrupt;
    page.cr0 = vcpu.cr0;
    page.cr2 = vcpu.cr2;
    page.cr3 = vcpu.cr3;
    page.cr4 = vcpu.cr4;
    page.cs = vcpu.segments[kCs].selector;
    page.ss = vcpu.segments[kSs].selector;
    page.ds = vcpu.segments[kDs].selector;
    page.es = vcpu.segments[kEs].selector;
    page.fs = vcpu.segments[kFs].selector;
    page.gs = vcpu.segments[kGs].selector;
    page.ldtr = vcpu.ldtr.selector;
    page.tr = vcpu.tr.selector;
    page.gdt_base = vcpu.gdtr.base;
    page.gdt_limit = vcpu.gdtr.limit;
    page.idt_base = vcpu.idtr.base;
    page.idt_limit = vcpu.idtr.limit;
    page.cpl = vcpu.cpl;
    page.interrupt_shadow = vcpu.interrupt_shadow;
}

void MonitorArea::collect(Vcpu& vcpu) const {
    if (vcpu.cpl != 0) return;  // stubs run at CPL 0 only, and user code has no right to these flags
    vcpu.rflags = (vcpu.rflags & ~(flag::interrupt | flag::iopl)) | (page_->flags_if & flag::interrupt) | ((page_->flags_fixed + flag::interrupt) & flag::iopl);
}

void MonitorArea::set_event_waits(bool waits) {
    if (waits == waits_) return;
    waits_ = waits;
    page_->event_waits = waits;
    mprotect(reinterpret_cast<void*>(TRAPLINE_32_PENDING), kPageBytes, waits ? PROT_NONE : PROT_READ | PROT_WRITE);
}

std::uint32_t MonitorArea::user_gate() { return static_cast<std::uint32_t>(TRAPLINE_32_GATE) + kUserGateOffset; }
std::uint32_t MonitorArea::call_site() const { return page_->call_site; }

bool MonitorArea::is_pending_access(std::uint32_t linear, bool& after_sti) {
    after_sti = linear == TRAPLINE_32_PENDING + TRAPLINE_PENDING_AFTER_STI;
    return linear / kPageBytes == TRAPLINE_32_PENDING / kPageBytes;
}

}  // namespace trapline::executor
