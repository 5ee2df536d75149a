// SPDX-License-Identifier: Apache-2.0
#include "executor/mmu/mmu.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "executor/host/cpu.h"

namespace trapline::executor {
namespace {

constexpr std::uint32_t kLargePages = 1024;   // small pages in 4 MiB
constexpr std::uint32_t kAround = 4;          // pages that one fault fills where their entries are ready
constexpr std::uint32_t kCodeAround = 256;    // pages of user code on each side

/// The first page that the host lets this process map (vm.mmap_min_addr, unless it has the privilege).
std::uint32_t first_mappable_page() {
    for (std::uint32_t page = 0; page < 256; ++page) {
        void* const at = reinterpret_cast<void*>(std::uintptr_t{page} * kPageBytes);
        void* const got = mmap(at, kPageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (got == MAP_FAILED) continue;
        munmap(got, kPageBytes);
        if (got == at) return page;
    }
    return 256;
}

}  // namespace

Mmu::Mmu(Vcpu& vcpu, const SharedPages& ram, VirtualTlb& tlb, CodePages& code, PhysicalDevices& devices, FindOverlays overlays)
    : vcpu_(&vcpu), ram_(&ram), tlb_(&tlb), code_(&code), devices_(&devices), overlays_(std::move(overlays)),
      large_(VirtualTlb::kPages / kLargePages), without_overlays_(ram.pages()) {
    direct_ = {tlb.words(), read_pages_.data(), ram.page(0)};
    look_at_host();
}

void Mmu::look_at_host() {
    constexpr std::uint32_t kOspke = 1u << 4;  // CPUID.7.0:ECX: protection keys are enabled, so Linux hides pages that may only be executed
    first_mappable_ = first_mappable_page();
    hides_code_ = (host_cpuid(7, 0).ecx & kOspke) != 0;
}

bool Mmu::can_map(std::uint32_t page, std::uint64_t frame) const {
    return frame < ram_->pages() && page >= first_mappable_ && !tlb_->is_reserved(page) && !devices_->is_device_page(frame);
}

Fill Mmu::fill(std::uint32_t linear, bool write, bool fetch, std::uint32_t instruction, Fault& fault) {
    const Fill fill = fill_page(linear, write, fetch, instruction, fault);
    ++fills_[static_cast<std::size_t>(fill)];
    return fill;
}

Fill Mmu::fill_page(std::uint32_t linear, bool write, bool fetch, std::uint32_t instruction, Fault& fault) {
    const Privilege privilege = vcpu_->cpl == 3 ? Privilege::user : Privilege::supervisor;
    PageTranslation translation;
    if (const MaybeFault met = walk_pages(*vcpu_, *ram_, linear, {write, fetch, privilege}, translation)) {
        fault = *met;
        return Fill::fault;
    }
    const std::uint32_t page = linear / kPageBytes;
    // Code that lies where its own copy would be cannot be run from one.
    if (!can_map(page, translation.frame) || (fetch && linear > 0xFFFFFFFF - execution_offset())) return Fill::interpret;
    const auto frame = static_cast<std::uint32_t>(translation.frame);
    // With CR0.WP clear the supervisor writes where user code may not: such a mapping is the supervisor's alone.
    const bool overrides = write && !translation.writable;
    MappedPage to{.frame = frame, .present = true, .user = translation.user && !overrides, .global = translation.global};
    to.writable = (translation.writable || overrides) && translation.dirty;
    const CodePage* code = code_->find(frame);
    if (fetch) {
        const auto overlays = overlays_for(page, frame);
        if (code == nullptr || (code->linear_page != page && (code->has_overlays || !overlays.empty()))) {
            tlb_->drop_executable(frame);
            tlb_->write_protect_frame(frame);
            CodeNeighbours around{.user = vcpu_->cpl == 3};
            if (const std::uint8_t* before = neighbour(page - 1)) around.before = {before, kPageBytes};
            if (const std::uint8_t* after = neighbour(page + 1)) around.after = {after, kPageBytes};
            code = &code_->prepare(frame, page, entry_offset(page, instruction), around, overlays);
            if (code->has_overlays) (to.user ? shared_overlays_ : kernel_overlays_).push_back(frame);
        }
        in_place_ = in_place_ && code->is_plain();
        to.writable = false;
        to.executable = true;
        to.hidden = is_hidden(*code);
        if (vcpu_->cpl == 3 && execution_offset() == 0 && map_code_around(page, to)) return Fill::mapped;
        return tlb_->map(page + execution_offset() / kPageBytes, 1, to) ? Fill::mapped : Fill::exhausted;
    }
    if (code != nullptr && write) {
        // Code that writes to its own page would be scanned again after each of its writes and never get further.
        if (const MappedPage here = tlb_->find((instruction + execution_offset()) / kPageBytes); here.present && here.frame == frame) return Fill::interpret;
        forget_code(frame);
        code = nullptr;
    }
    if (code != nullptr) {
        to.writable = false;
        if (const MappedPage here = tlb_->find(page); here.present && here.hidden && here.frame == frame) {
            ++code_reads_;
            if (!code_->count_read(frame)) return Fill::interpret;
            to.executable = true;
        }
    }
    if (code == nullptr && map_around(page, translation, to)) return Fill::mapped;
    return tlb_->map(page, 1, to) ? Fill::mapped : Fill::exhausted;
}

/// Maps the page with those around it that the same tables lead to: all of a large page, or the next few whose entries the
/// processor might have read as well. False when nothing was mapped.
bool Mmu::map_around(std::uint32_t page, const PageTranslation& translation, MappedPage to) {
    const bool large = translation.span_pages > 1 || !vcpu_->is_paged();
    const std::uint32_t span = !vcpu_->is_paged() ? kLargePages : large ? translation.span_pages : kAround;
    const std::uint32_t first = page & ~(span - 1);
    if (large && vcpu_->is_paged()) large_[page / kLargePages] = true;
    struct Run {
        std::uint32_t page = 0, count = 0;
        MappedPage to;
    } run;
    bool done = false;
    const auto finish = [&] {
        if (run.count != 0 && tlb_->map(run.page, run.count, run.to)) done |= page >= run.page && page < run.page + run.count;
        run.count = 0;
    };
    for (std::uint32_t i = 0; i < span; ++i) {
        const std::uint32_t at = first + i;
        MappedPage here = to;
        bool take = true;
        if (large) {
            here.frame = to.frame - page + at;
        } else if (at != page) {
            PageTranslation next;
            take = peek_pages(*vcpu_, *ram_, at * kPageBytes, next) && next.frame < ram_->pages() && (vcpu_->cpl != 3 || next.user);
            here = {.frame = static_cast<std::uint32_t>(next.frame), .present = true, .writable = next.writable && next.dirty, .user = next.user, .global = next.global};
        }
        if (at != page) take = take && can_map(at, here.frame) && !tlb_->find(at).present && code_->find(here.frame) == nullptr;
        const bool joins = run.count != 0 && here.frame == run.to.frame + run.count && here.writable == run.to.writable && here.user == run.to.user && here.global == run.to.global;
        if (!take || !joins) finish();
        if (!take) continue;
        if (run.count++ == 0) run = {at, 1, here};
    }
    finish();
    return done;
}

/// Maps a page of user code with what lies on both sides of it in RAM as well and has been run before: a program that gets its turn again
/// goes on there. One mapping whatever its length. False when nothing was mapped.
bool Mmu::map_code_around(std::uint32_t page, MappedPage to) {
    const auto joins = [&](std::uint32_t at) {
        const std::uint32_t frame = to.frame + (at - page);
        PageTranslation next;
        if (tlb_->find(at).present || !peek_pages(*vcpu_, *ram_, at * kPageBytes, next) || next.frame != frame || next.user != to.user || next.global != to.global || !can_map(at, frame)) return false;
        const CodePage* const code = code_->find(frame);
        return code != nullptr && !code->has_overlays && is_hidden(*code) == to.hidden;
    };
    std::uint32_t first = page, end = page + 1;
    while (first != 0 && page - first < kCodeAround && joins(first - 1)) --first;
    while (end < VirtualTlb::kPages && end - page < kCodeAround && joins(end)) ++end;
    to.frame -= page - first;
    return tlb_->map(first, end - first, to);
}

void Mmu::forget_code(std::uint32_t frame) {
    ++code_writes_;
    tlb_->drop_executable(frame);
    code_->forget(frame);
}

const std::uint8_t* Mmu::neighbour(std::uint32_t page) const {
    PageTranslation translation;
    if (page >= VirtualTlb::kPages || !peek_pages(*vcpu_, *ram_, page * kPageBytes, translation, Peek::present) || translation.frame >= ram_->pages()) return nullptr;
    return ram_->page(static_cast<std::uint32_t>(translation.frame));
}

const CodePage* Mmu::code_at(std::uint32_t linear) {
    const auto frame = frame_at(linear);
    return frame ? code_->find(*frame) : nullptr;
}

/// The frame of RAM that a linear address leads to.
inline std::optional<std::uint32_t> Mmu::frame_at(std::uint32_t linear) const {
    if (const MappedPage here = tlb_->find(linear / kPageBytes); here.present) return here.frame;
    PageTranslation translation;
    if (!peek_pages(*vcpu_, *ram_, linear, translation, Peek::present) || translation.frame >= ram_->pages()) return std::nullopt;
    return static_cast<std::uint32_t>(translation.frame);
}

/// Where on a page that is about to be executed an instruction begins: the current one, or when that crosses into the page, the
/// next one.
std::uint32_t Mmu::entry_offset(std::uint32_t page, std::uint32_t instruction) {
    if (instruction / kPageBytes == page) return instruction % kPageBytes;
    std::array<std::uint8_t, 15> bytes{};
    if (fetch(instruction, bytes.data(), bytes.size(), Privilege::supervisor)) return 0;
    const std::uint32_t end = instruction + static_cast<std::uint32_t>(code_->instruction_length(bytes));
    return end / kPageBytes == page ? end % kPageBytes : 0;
}

std::span<const CodeOverlay* const> Mmu::overlays_for(std::uint32_t page, std::uint32_t frame) {
    // Stubs are where they are linked to be with paging only.
    if (vcpu_->cpl != 0 || !vcpu_->is_paged() || without_overlays_[frame]) return {};
    return overlays_(page, frame);
}

void Mmu::withdraw_overlays() {
    const auto withdraw = [this](std::vector<std::uint32_t>& frames) {
        for (const std::uint32_t frame : frames) {
            without_overlays_[frame] = true;
            tlb_->drop_executable(frame);
            code_->forget(frame);
        }
        frames.clear();
    };
    if (!shared_overlays_.empty()) withdraw(shared_overlays_);
    // Rings 1 and 2 reach the supervisor's pages.
    if (vcpu_->cpl != 3 && !kernel_overlays_.empty()) withdraw(kernel_overlays_);
}

bool Mmu::open_for_step(std::uint32_t address, std::uint32_t instruction) {
    const std::uint32_t page = address / kPageBytes;
    PageTranslation translation;
    if (!peek_pages(*vcpu_, *ram_, address, translation) || !can_map(page, translation.frame)) return false;
    MappedPage to{.frame = static_cast<std::uint32_t>(translation.frame), .present = true, .writable = true, .user = translation.user, .global = translation.global};
    to.executable = (instruction + execution_offset()) / kPageBytes == page;
    if (!tlb_->map(page, 1, to)) return false;
    opened_ = page;
    return true;
}

void Mmu::close_opened() {
    const MappedPage page = tlb_->find(*opened_);
    tlb_->unmap(*opened_);
    opened_.reset();
    if (page.present) forget_code(page.frame);
}

void Mmu::withdraw_overlays_at(std::uint32_t linear) {
    const CodePage* const code = code_at(linear);
    if (code == nullptr || !code->inside[linear % kPageBytes]) return;
    without_overlays_[code->frame] = true;
    forget_code_at(linear / kPageBytes);
}

void Mmu::forget_code_at(std::uint32_t page) {
    if (const CodePage* code = code_at(page * kPageBytes)) {
        tlb_->drop_executable(code->frame);
        code_->forget(code->frame);
    }
}

bool Mmu::restore_copied_code(std::uint32_t linear) {
    const auto frame = frame_at(linear);
    if (!frame || !code_->restore_copied(*frame)) return false;
    forget_code(*frame);
    return true;
}

void Mmu::control_register_loaded(unsigned number, std::uint64_t old_value) {
    read_pages_.fill({});
    if (number == 0) in_place_ = false;
    if (number == 0)
        for (const std::uint32_t frame : code_->set_cr0(vcpu_->cr0)) {
            tlb_->drop_executable(frame);
            code_->forget(frame);
        }
    if (number == 3) {
        if (!vcpu_->is_paged()) return;
        // Parent and child after a fork have much in common, and to fill a page costs a signal.
        PageTranslation large;
        std::uint32_t large_page = VirtualTlb::kPages;
        tlb_->flush_local([&](std::uint32_t page, const MappedPage& here) {
            PageTranslation now;
            // The pages of a large one come one after the other: its entry is read once.
            if (large_page != VirtualTlb::kPages && page / large.span_pages == large_page / large.span_pages) {
                now = large;
                now.frame += std::uint64_t{page} - large_page;
            } else if (!peek_pages(*vcpu_, *ram_, page * kPageBytes, now)) {
                return false;
            }
            if (now.span_pages > 1) {
                large = now;
                large_page = page;
            }
            return leads_as_before(page, here, now);
        });
        return;
    }
    constexpr std::uint64_t kCr0 = cr0::pe | cr0::pg | cr0::wp, kCr4 = cr4::pse | cr4::pae | cr4::pge;
    const std::uint64_t changed = number == 0 ? (old_value ^ vcpu_->cr0) & kCr0 : (old_value ^ vcpu_->cr4) & kCr4;
    if (changed == 0) return;
    tlb_->flush_all();
    // Copies that were made before paging have no patches, and would be run from another place.
    if (number == 0 && ((old_value ^ vcpu_->cr0) & cr0::pg) != 0) code_->forget_all();
    std::fill(large_.begin(), large_.end(), false);
}

/// Whether the page would be filled with what is mapped there already, or with more rights: as if the processor had looked it up again at
/// once. Accessed bits are set there, so it might have.
bool Mmu::leads_as_before(std::uint32_t page, const MappedPage& here, const PageTranslation& now) {
    if (now.frame != here.frame || now.user != here.user || now.global) return false;
    if (here.writable && !(now.writable && now.dirty)) return false;
    if (now.span_pages > 1) large_[page / kLargePages] = true;
    return true;
}

void Mmu::task_switched(std::uint64_t old_cr0, std::uint64_t old_cr3) {
    control_register_loaded(0, old_cr0);
    if (old_cr3 != vcpu_->cr3) control_register_loaded(3, old_cr3);
}

void Mmu::invalidate_page(std::uint32_t linear) {
    read_pages_.fill({});
    const std::uint32_t page = linear / kPageBytes;
    if (!large_[page / kLargePages]) {
        tlb_->unmap(page);
        return;
    }
    const std::uint32_t first = page & ~(kLargePages - 1);
    for (std::uint32_t at = first; at < first + kLargePages; ++at) tlb_->unmap(at);
    large_[page / kLargePages] = false;
}

MaybeFault Mmu::locate(std::uint32_t linear, PageAccess access, Place& place) {
    const std::uint32_t page = linear / kPageBytes, offset = linear % kPageBytes;
    if (const MappedPage here = tlb_->find(page); here.present && (!access.write || here.writable) && (access.privilege == Privilege::supervisor || here.user)) {
        place = {ram_->page(here.frame) + offset, 0};
        return {};
    }
    PageTranslation translation;
    if (const MaybeFault fault = walk_pages(*vcpu_, *ram_, linear, access, translation)) return fault;
    place = {nullptr, translation.frame * kPageBytes + offset};
    if (translation.frame >= ram_->pages() || devices_->is_device_page(translation.frame)) return {};
    const auto frame = static_cast<std::uint32_t>(translation.frame);
    if (access.write && code_->find(frame) != nullptr) forget_code(frame);
    if (!access.write && access.privilege == Privilege::supervisor) read_pages_[page % read_pages_.size()] = {page, frame};
    place.ram = ram_->page(frame) + offset;
    return {};
}

MaybeFault Mmu::read_any(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) {
    auto* out = static_cast<std::uint8_t*>(to);
    for (auto at = static_cast<std::uint32_t>(linear); size != 0;) {
        const std::size_t here = std::min<std::size_t>(size, kPageBytes - at % kPageBytes);
        Place place;
        if (const MaybeFault fault = locate(at, {false, false, privilege}, place)) return fault;
        if (place.ram != nullptr) {
            std::memcpy(out, place.ram, here);
        } else {
            for (std::size_t done = 0; done < here;) {
                const auto bytes = static_cast<unsigned>(here - done >= 4 ? 4 : here - done >= 2 ? 2 : 1);
                const std::uint32_t value = devices_->physical_read(place.physical + done, bytes);
                std::memcpy(out + done, &value, bytes);
                done += bytes;
            }
        }
        out += here;
        at += static_cast<std::uint32_t>(here);
        size -= here;
    }
    return {};
}

MaybeFault Mmu::fetch(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) { return read(linear, to, size, privilege); }

MaybeFault Mmu::check_write_any(std::uint64_t linear, std::size_t size, Privilege privilege) {
    for (auto at = static_cast<std::uint32_t>(linear); size != 0;) {
        const std::size_t here = std::min<std::size_t>(size, kPageBytes - at % kPageBytes);
        Place place;
        if (const MaybeFault fault = locate(at, {true, false, privilege}, place)) return fault;
        at += static_cast<std::uint32_t>(here);
        size -= here;
    }
    return {};
}

MaybeFault Mmu::write_any(std::uint64_t linear, const void* from, std::size_t size, Privilege privilege) {
    const auto* in = static_cast<const std::uint8_t*>(from);
    const std::size_t first = kPageBytes - linear % kPageBytes;
    if (size > first)
        if (const MaybeFault fault = check_write(linear, size, privilege)) return fault;
    for (auto at = static_cast<std::uint32_t>(linear); size != 0;) {
        const std::size_t here = std::min<std::size_t>(size, kPageBytes - at % kPageBytes);
        Place place;
        if (const MaybeFault fault = locate(at, {true, false, privilege}, place)) return fault;
        if (place.ram != nullptr) {
            std::memcpy(place.ram, in, here);
        } else {
            for (std::size_t done = 0; done < here;) {
                const auto bytes = static_cast<unsigned>(here - done >= 4 ? 4 : here - done >= 2 ? 2 : 1);
                std::uint32_t value = 0;
                std::memcpy(&value, in + done, bytes);
                devices_->physical_write(place.physical + done, bytes, value);
                done += bytes;
            }
        }
        in += here;
        at += static_cast<std::uint32_t>(here);
        size -= here;
    }
    return {};
}

}  // namespace trapline::executor
