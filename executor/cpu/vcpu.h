// SPDX-License-Identifier: Apache-2.0
// The state of the virtual processor as its guest knows it. Nothing here depends on how instructions get executed, nor on
// the guest's width: 32-bit guests use the low halves.
#pragma once

#include <array>
#include <cstdint>

namespace trapline::executor {

/// General registers by their number in encodings.
enum Register : std::uint8_t { kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi };
/// Segment registers by their number in encodings.
enum SegmentRegister : std::uint8_t { kEs, kCs, kSs, kDs, kFs, kGs };

/// Bits of RFLAGS.
namespace flag {
inline constexpr std::uint64_t cf = 1u << 0, fixed = 1u << 1, pf = 1u << 2, af = 1u << 4, zf = 1u << 6, sf = 1u << 7, tf = 1u << 8,
                               interrupt = 1u << 9, df = 1u << 10, of = 1u << 11, iopl = 3u << 12, nt = 1u << 14, rf = 1u << 16,
                               vm = 1u << 17, ac = 1u << 18, vif = 1u << 19, vip = 1u << 20, id = 1u << 21,
                               arithmetic = cf | pf | af | zf | sf | of;
}
/// Bits of CR0 and CR4.
namespace cr0 {
inline constexpr std::uint64_t pe = 1u << 0, mp = 1u << 1, em = 1u << 2, ts = 1u << 3, et = 1u << 4, ne = 1u << 5, wp = 1u << 16,
                               am = 1u << 18, nw = 1u << 29, cd = 1u << 30, pg = 1u << 31;
}
namespace cr4 {
inline constexpr std::uint64_t vme = 1u << 0, pvi = 1u << 1, tsd = 1u << 2, de = 1u << 3, pse = 1u << 4, pae = 1u << 5, mce = 1u << 6,
                               pge = 1u << 7, pce = 1u << 8, osfxsr = 1u << 9, osxmmexcpt = 1u << 10;
}

/// A segment register: the selector and the descriptor that was loaded with it (or what real and virtual-8086 mode make of it).
struct Segment {
    std::uint16_t selector = 0;
    std::uint64_t base = 0;
    std::uint32_t limit = 0xFFFF;   ///< in bytes: the last offset inside (expand-down: the last one outside)
    std::uint8_t type = 3;          ///< the descriptor's type field, 4 bits
    bool system = false;            ///< S = 0: LDT, TSS and gates
    std::uint8_t dpl = 0;
    bool present = true;            ///< false as well for a null selector: any access raises #GP(0) (SS: cannot be null)
    bool big = false;               ///< D/B: 32-bit code, ESP instead of SP, expand-down to 4 GiB
    bool granular = false;          ///< G, as LAR shows it; `limit` is in bytes either way
    bool available = false;         ///< AVL

    bool is_code() const { return !system && (type & 8) != 0; }
    bool is_conforming() const { return is_code() && (type & 4) != 0; }
    bool is_readable() const { return !system && (!is_code() || (type & 2) != 0); }
    bool is_writable() const { return !system && !is_code() && (type & 2) != 0; }
    bool is_expand_down() const { return !system && !is_code() && (type & 4) != 0; }
    /// Base 0 and the whole 4 GiB, growing up.
    bool is_flat() const { return base == 0 && limit == 0xFFFFFFFF && !is_expand_down(); }
};

struct TableRegister {
    std::uint64_t base = 0;
    std::uint16_t limit = 0xFFFF;
};

/// One virtual processor. A fresh one is in the state after reset, but for CS:RIP, which a loader sets.
struct Vcpu {
    std::array<std::uint64_t, 16> gpr{};
    std::uint64_t rip = 0;
    std::uint64_t rflags = flag::fixed;            ///< as the guest sees them: its own IF, IOPL, VM
    std::array<Segment, 6> segments{};             ///< by SegmentRegister
    Segment ldtr{.type = 2, .system = true, .present = false};
    Segment tr{.type = 11, .system = true};        ///< busy 32-bit TSS
    TableRegister gdtr, idtr;
    std::uint64_t cr0 = cr0::et, cr2 = 0, cr3 = 0, cr4 = 0;
    std::array<std::uint64_t, 8> dr{0, 0, 0, 0, 0, 0, 0xFFFF0FF0, 0x400};
    std::uint8_t cpl = 0;
    bool interrupt_shadow = false;                 ///< STI, MOV SS or POP SS came last: no interrupt before one more instruction
    bool halted = false;                           ///< HLT: waits for an interrupt
    alignas(16) std::array<std::uint8_t, 512> fpu{};  ///< FXSAVE image of x87 and SSE

    std::uint32_t reg32(unsigned number) const { return static_cast<std::uint32_t>(gpr[number]); }
    void set_reg32(unsigned number, std::uint32_t value) { gpr[number] = value; }
    /// The register that encodings give this number for operands of 1, 2 or 4 bytes; AH to BH are 4 to 7.
    std::uint32_t get(unsigned number, unsigned bytes) const {
        if (bytes == 4) return reg32(number);
        if (bytes == 2) return reg32(number) & 0xFFFF;
        return (reg32(number & 3) >> ((number & 4) * 2)) & 0xFF;
    }
    void put(unsigned number, std::uint32_t value, unsigned bytes) {
        if (bytes == 4) {
            gpr[number] = value;
        } else if (bytes == 2) {
            gpr[number] = (gpr[number] & ~std::uint64_t{0xFFFF}) | (value & 0xFFFF);
        } else {
            const unsigned at = (number & 4) * 2;
            gpr[number & 3] = (gpr[number & 3] & ~(std::uint64_t{0xFF} << at)) | (std::uint64_t{value & 0xFF} << at);
        }
    }
    /// Whether a breakpoint of DR0 to DR3 is enabled, locally or globally.
    bool has_breakpoints() const { return (dr[7] & 0xFF) != 0; }
    unsigned iopl() const { return static_cast<unsigned>(rflags >> 12) & 3; }
    bool is_protected() const { return (cr0 & cr0::pe) != 0; }
    bool is_v86() const { return is_protected() && (rflags & flag::vm) != 0; }
    bool is_paged() const { return (cr0 & cr0::pg) != 0; }
    /// Real or virtual-8086 mode: selectors are paragraphs.
    bool has_real_segments() const { return !is_protected() || (rflags & flag::vm) != 0; }
    const Segment& cs() const { return segments[kCs]; }
    const Segment& ss() const { return segments[kSs]; }
};

}  // namespace trapline::executor
