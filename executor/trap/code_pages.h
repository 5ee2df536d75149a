// SPDX-License-Identifier: Apache-2.0
// Guest code as it is run: a copy of each page of code in which the instructions that must not run as they are have become
// breakpoints. RAM keeps the guest's own bytes, so whoever reads memory (the guest too, through another mapping, and the
// interpreter) sees the original; the copies are mapped only where code is executed.
#pragma once

#include <array>
#include <bitset>
#include <memory>
#include <unordered_set>
#include <vector>

#include "decode/instruction_decoder.h"
#include "executor/mmu/guest_memory.h"
#include "executor/trap/code_finder.h"
#include "executor/trap/copied_code.h"
#include "executor/trap/decoded_page.h"
#include "executor/trap/site_forms.h"
#include "support/address.h"

namespace trapline::executor {

/// Bytes that are laid over a copy: a patch of a plan.
struct CodeOverlay {
    std::uint16_t offset = 0;            ///< in the page
    std::vector<std::uint8_t> bytes;
    bool breakpoint = false;             ///< a single INT3 that stands for the instruction there
    // The same in all overlays of a patch, so that it is taken whole or not at all:
    std::uint16_t window_begin = 0, window_end = 0;    ///< code of the page that no longer runs in place
    std::uint16_t evicted_begin = 0, evicted_end = 0;  ///< more such code, which has made room for a springboard; empty without
};

/// An instruction whose breakpoint depends on CR0.
struct FpuSite {
    std::uint16_t offset = 0;            ///< in the page
    FpuTrap trap = FpuTrap::never;
};

/// One page of code.
struct CodePage {
    std::uint32_t frame = 0;             ///< of RAM: where the original is
    std::uint32_t linear_page = 0;       ///< where it was first run; overlays hold only there
    bool has_overlays = false;
    bool is_shown = false;               ///< read too often for each read to be interpreted: what is read is the copy
    std::uint32_t reads = 0;             ///< that were interpreted
    std::bitset<kPageBytes> breakpoints; ///< an INT3 of ours stands here
    std::bitset<kPageBytes> sites;       ///< an instruction that traps or has become a breakpoint begins here
    std::bitset<kPageBytes> sensitive;   ///< a sensitive instruction of the guest's begins here, whatever has become of it
    std::bitset<kPageBytes> inside;      ///< inside the window of a patch: cannot be entered natively
    std::bitset<kPageBytes> starts;      ///< an instruction begins here
    std::vector<FpuSite> fpu_sites;      ///< outside patches
    bool has_fpu_in_patches = false;     ///< a patch moves such an instruction, or was left out because it would
    /// The copy has the guest's bytes and keeps them.
    bool is_plain() const { return !has_overlays && fpu_sites.empty() && !has_fpu_in_patches && breakpoints.none(); }
    std::unique_ptr<DecodedPage> decoded;  ///< what the interpreter has met; null for nothing
};

/// The bytes around a page, as far as the guest's tables lead to them; empty where they do not.
struct CodeNeighbours {
    std::span<const std::uint8_t> before, after;
    bool user = false;  ///< it is run at CPL 3
};

class CodePages {
public:
    /// `all_sites`: privileged instructions become breakpoints too.
    /// `copies` is as large as `ram`: a frame's copy stands where the frame does, so that what is contiguous in RAM can be mapped at once.
    /// It takes the host's memory for frames that have been run.
    CodePages(const decode::InstructionDecoder& decoder, const SiteForms& forms, const SharedPages& ram, const SharedPages& copies, bool all_sites);

    /// Linear ranges that are code and nothing else, as the headers of the guest's image say.
    void set_text(std::vector<AddressRange> ranges) { text_ = std::move(ranges); }

    /// The page of a frame, if its code has been run since it was last written.
    const CodePage* find(std::uint32_t frame) const { return pages_[frame].get(); }
    /// Where the interpreter keeps what it decodes of the page.
    DecodedPage& decoded(const CodePage& page);
    /// Changes whenever a page is prepared or forgotten.
    std::uint64_t changes() const { return changes_; }
    /// Makes the copy of a frame's code for execution at `linear_page`, where an instruction begins at offset `entry`. The
    /// overlays win over breakpoints.
    const CodePage& prepare(std::uint32_t frame, std::uint32_t linear_page, std::uint32_t entry, const CodeNeighbours& neighbours,
                            std::span<const CodeOverlay* const> overlays);
    /// The bytes as the guest has them.
    const std::uint8_t* original_of(const CodePage& page) const { return ram_->page(page.frame); }
    /// The bytes as they are run.
    const std::uint8_t* copy_of(const CodePage& page) const { return copies_->page(page.frame); }
    /// System calls of user code become far calls to this address of 64-bit code (MonitorArea::user_gate); 0: breakpoints.
    void set_user_gate(std::uint32_t address) { user_gate_ = address; }
    /// Length of the instruction at the start of the bytes, 0 when there is none.
    std::size_t instruction_length(std::span<const std::uint8_t> bytes) const { return decoder_->decode(bytes, Mode::protected32).length; }
    /// Makes x87, MMX and SSE instructions breakpoints while this value of CR0 makes them trap. Gives frames whose code must be forgotten
    /// and prepared again.
    std::vector<std::uint32_t> set_cr0(std::uint64_t cr0);
    /// Puts the guest's bytes back in RAM where a kernel has copied code as it is run. When it says that there was some, the frame's code
    /// must be forgotten. Kernel code gets this when it is prepared.
    bool restore_copied(std::uint32_t frame) { return copied_.restore(frame, std::span<std::uint8_t, kPageBytes>(ram_->page(frame), kPageBytes)); }
    /// Counts a read of a page of code that the interpreter answers. True when it shall not any more: the page has become `is_shown`.
    bool count_read(std::uint32_t frame);
    /// Forgets a frame's code; what is still mapped of it the caller has unmapped.
    void forget(std::uint32_t frame);
    void forget_all();
    /// Pages of code scanned so far.
    std::uint64_t scans() const { return scans_; }

private:
    bool traps(FpuTrap trap) const { return trap == FpuTrap::ts_or_em ? ts_or_em_ : trap == FpuTrap::ts_and_mp && ts_and_mp_; }
    void set_fpu_breakpoints(CodePage& page);

    void put_user_calls(CodePage& page, const FoundCode& found);

    const decode::InstructionDecoder* decoder_;
    const SiteForms* forms_;
    const SharedPages* ram_;
    const SharedPages* copies_;
    bool all_sites_;
    std::uint32_t user_gate_ = 0;
    bool ts_or_em_ = false, ts_and_mp_ = false;     ///< of CR0
    std::unordered_set<std::uint32_t> fpu_frames_;  ///< whose pages have FPU sites or patches over such
    CopiedCode copied_;
    std::vector<AddressRange> text_;
    std::vector<std::unique_ptr<CodePage>> pages_;  ///< by frame
    std::uint64_t scans_ = 0, changes_ = 0;
    std::vector<std::uint32_t> decoded_frames_;     ///< frames whose pages may have decoded instructions
};

}  // namespace trapline::executor
