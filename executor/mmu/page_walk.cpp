// SPDX-License-Identifier: Apache-2.0
// Page-table entries outside RAM read as all ones on a PC's bus; here they read as not present, so that a guest with a wild
// CR3 gets a page fault instead of one that depends on the chipset.
#include "executor/mmu/page_walk.h"

#include <cstring>

namespace trapline::executor {
namespace {

constexpr std::uint64_t kPresent = 1, kWrite = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40, kLarge = 0x80, kGlobal = 0x100;
constexpr std::uint32_t kErrorPresent = 1, kErrorWrite = 2, kErrorUser = 4, kErrorReserved = 8;
constexpr std::uint64_t kPaeReserved = ~std::uint64_t{0} << 36;             // MAXPHYADDR is 36 here, and there is no NX
constexpr std::uint64_t kPaeLargeReserved = kPaeReserved | 0x1FE000;       // bits 20:13
constexpr std::uint64_t kPointerReserved = kPaeReserved | 0x1E6;            // bits 8:5 and 2:1
constexpr std::uint64_t kLargeReserved = 0x3FE000;                          // bits 21:13: no PSE-36

/// One entry of a table, with a way to set bits in it.
struct Entry {
    std::uint8_t* at = nullptr;
    std::uint64_t value = 0;
    void set(std::uint64_t bits) {
        if ((value & bits) == bits) return;
        value |= bits;
        const auto low = static_cast<std::uint32_t>(value);
        std::memcpy(at, &low, sizeof low);
    }
};

Entry read_entry(const SharedPages& ram, std::uint64_t address, unsigned bytes) {
    Entry entry;
    if (address + bytes > ram.size()) return entry;
    entry.at = ram.data() + address;
    std::memcpy(&entry.value, entry.at, bytes);
    return entry;
}

struct Walk {
    Entry levels[2];            ///< directory and table entry; of a large page the directory entry alone
    unsigned count = 0;
    bool present = false, reserved = false;
};

Walk read_tables(const Vcpu& vcpu, const SharedPages& ram, std::uint32_t linear, PageTranslation& out) {
    Walk walk;
    const bool pae = (vcpu.cr4 & cr4::pae) != 0;
    const unsigned bytes = pae ? 8 : 4, index_bits = pae ? 9 : 10, span_bits = 12 + index_bits;
    std::uint64_t table = vcpu.cr3 & 0xFFFFF000;
    if (pae) {
        const Entry pointer = read_entry(ram, (vcpu.cr3 & 0xFFFFFFE0) + (linear >> 30) * 8, 8);
        if ((pointer.value & kPresent) == 0) return walk;
        table = pointer.value & 0xFFFFFF000;
    }
    const std::uint32_t index_mask = (1u << index_bits) - 1;
    Entry directory = read_entry(ram, table + ((linear >> span_bits) & index_mask) * bytes, bytes);
    walk.levels[walk.count++] = directory;
    if ((directory.value & kPresent) == 0) return walk;
    const std::uint64_t page_in_span = (linear >> 12) & index_mask;
    if ((directory.value & kLarge) != 0 && (pae || (vcpu.cr4 & cr4::pse) != 0)) {
        walk.present = true;
        walk.reserved = (directory.value & (pae ? kPaeLargeReserved : kLargeReserved)) != 0;
        out.span_pages = 1u << index_bits;
        out.frame = ((directory.value & 0xFFFFFF000) >> span_bits << index_bits) + page_in_span;
    } else {
        if (pae && (directory.value & kPaeReserved) != 0) {
            walk.present = walk.reserved = true;
            return walk;
        }
        const Entry leaf = read_entry(ram, (directory.value & 0xFFFFFF000) + page_in_span * bytes, bytes);
        walk.levels[walk.count++] = leaf;
        if ((leaf.value & kPresent) == 0) return walk;
        walk.present = true;
        walk.reserved = pae && (leaf.value & kPaeReserved) != 0;
        out.span_pages = 1;
        out.frame = (leaf.value & 0xFFFFFF000) >> 12;
    }
    const std::uint64_t last = walk.levels[walk.count - 1].value;
    out.user = out.writable = true;
    for (unsigned i = 0; i < walk.count; ++i) {
        out.user &= (walk.levels[i].value & kUser) != 0;
        out.writable &= (walk.levels[i].value & kWrite) != 0;
    }
    out.dirty = (last & kDirty) != 0;
    out.global = (last & kGlobal) != 0 && (vcpu.cr4 & cr4::pge) != 0;
    return walk;
}

}  // namespace

MaybeFault walk_pages(const Vcpu& vcpu, const SharedPages& ram, std::uint32_t linear, PageAccess access, PageTranslation& out) {
    if (!vcpu.is_paged()) {
        out = {.frame = linear >> 12};
        return {};
    }
    const bool user = access.privilege == Privilege::user;
    const std::uint32_t cause = (access.write ? kErrorWrite : 0) | (user ? kErrorUser : 0);
    Walk walk = read_tables(vcpu, ram, linear, out);
    if (!walk.present) return Fault::page_fault(cause, linear);
    if (walk.reserved) return Fault::page_fault(cause | kErrorPresent | kErrorReserved, linear);
    const bool may_write = out.writable || (!user && (vcpu.cr0 & cr0::wp) == 0);
    if ((user && !out.user) || (access.write && !may_write)) return Fault::page_fault(cause | kErrorPresent, linear);
    for (unsigned i = 0; i < walk.count; ++i) walk.levels[i].set(kAccessed | (access.write && i + 1 == walk.count ? kDirty : 0));
    out.dirty |= access.write;
    return {};
}

bool has_valid_pointers(const Vcpu& vcpu, const SharedPages& ram) {
    if (!vcpu.is_paged() || (vcpu.cr4 & cr4::pae) == 0) return true;
    for (unsigned i = 0; i < 4; ++i) {
        const std::uint64_t pointer = read_entry(ram, (vcpu.cr3 & 0xFFFFFFE0) + i * 8, 8).value;
        if ((pointer & kPresent) != 0 && (pointer & kPointerReserved) != 0) return false;
    }
    return true;
}

bool peek_pages(const Vcpu& vcpu, const SharedPages& ram, std::uint32_t linear, PageTranslation& out, Peek peek) {
    if (!vcpu.is_paged()) {
        out = {.frame = linear >> 12};
        return true;
    }
    const Walk walk = read_tables(vcpu, ram, linear, out);
    if (!walk.present || walk.reserved) return false;
    for (unsigned i = 0; i < walk.count && peek == Peek::accessed; ++i)
        if ((walk.levels[i].value & kAccessed) == 0) return false;
    return true;
}

}  // namespace trapline::executor
