// SPDX-License-Identifier: Apache-2.0
// The guest's memory as its own page tables, its RAM and the devices in its address space make it. Fills the virtual TLB when
// native code meets a page that is not mapped, and serves the interpreter's accesses.
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "executor/cpu/memory.h"
#include "executor/cpu/vcpu.h"
#include "executor/mmu/page_walk.h"
#include "executor/mmu/virtual_tlb.h"
#include "executor/trap/code_pages.h"

namespace trapline::executor {

/// Physical addresses that are not RAM.
class PhysicalDevices {
public:
    virtual ~PhysicalDevices() = default;
    /// Whether a device answers for the page instead of RAM.
    virtual bool is_device_page(std::uint64_t frame) const = 0;
    virtual std::uint32_t physical_read(std::uint64_t address, unsigned size) = 0;
    virtual void physical_write(std::uint64_t address, unsigned size, std::uint32_t value) = 0;
};

/// Gives the patches of a plan that belong on a page, when its bytes are those that the plan expects.
using FindOverlays = std::function<std::span<const CodeOverlay* const>(std::uint32_t linear_page, std::uint32_t frame)>;

/// What became of a page fault that the processor raised.
enum class Fill : std::uint8_t {
    mapped,     ///< go on natively
    fault,      ///< the guest's own page fault
    interpret,  ///< the access can only be carried out by the interpreter
    exhausted,  ///< the host refuses more mappings
};

class Mmu final : public LinearMemory {
public:
    /// Keeps references to all.
    Mmu(Vcpu& vcpu, const SharedPages& ram, VirtualTlb& tlb, CodePages& code, PhysicalDevices& devices, FindOverlays overlays);

    /// Finds out which pages the host lets this process map, and how; again after privileges have been given up.
    void look_at_host();
    /// Answers a page fault at a linear address. `instruction` is the linear address of the instruction that met it.
    Fill fill(std::uint32_t linear, bool write, bool fetch, std::uint32_t instruction, Fault& fault);
    /// Where code is mapped for execution, less where it is for the guest. Without paging linear memory above RAM is free, so code is run
    /// from there, through a code segment of this base, and reads of code as data see the guest's own bytes. With paging it is 0:
    /// code is run in place.
    std::uint32_t execution_offset() const { return vcpu_->is_paged() || in_place_ ? 0 : kUnpagedOffset; }
    /// Without paging: from now on code is run in place all the same, until a page is reached whose copy has other bytes than the guest's.
    void run_in_place() { in_place_ = !vcpu_->is_paged(); }
    bool runs_in_place() const { return in_place_; }
    /// Whether the vCPU's CR0, CR3 and CR4 could have been loaded: see Platform.
    bool accepts_page_tables() const { return has_valid_pointers(*vcpu_, *ram_); }
    /// As a processor that loads CR0, CR3 or CR4 must.
    void control_register_loaded(unsigned number, std::uint64_t old_value);
    void invalidate_page(std::uint32_t linear);
    /// Forgets the copy of a page of code, so that it is prepared again when it is next run.
    void forget_code_at(std::uint32_t page);
    /// To be called when the supervisor has met an INT3: where it has copied it with code as it is run, memory gets the guest's bytes back,
    /// and the instruction is to be run again.
    bool restore_copied_code(std::uint32_t linear);
    /// To be called before code runs at another CPL than 0: patches are for CPL 0 alone, so pages that such code can reach lose
    /// theirs for good. Costs a comparison where there are none.
    void withdraw_overlays();
    /// Lets one native instruction write to the page of code that it lies on itself, which runs from RAM meanwhile. `address` is where
    /// `fill` has said `interpret`; false where that was for another reason.
    bool open_for_step(std::uint32_t address, std::uint32_t instruction);
    /// To be called when native code has come back: ends what open_for_step began.
    void close_after_step() {
        if (opened_) close_opened();
    }
    /// Takes the patches off a page for good when the address lies in the window of one.
    void withdraw_overlays_at(std::uint32_t linear);
    /// The page of code at a linear address, null where none has been run.
    const CodePage* code_at(std::uint32_t linear);

    MaybeFault fetch(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) override;
    void task_switched(std::uint64_t old_cr0, std::uint64_t old_cr3) override;

    VirtualTlb& tlb() { return *tlb_; }
    /// Guest page faults that were filled, by Fill.
    const std::array<std::uint64_t, 4>& fills() const { return fills_; }
    /// Pages of code that were written to.
    std::uint64_t code_writes() const { return code_writes_; }
    /// Reads of pages of code that were answered with the guest's own bytes instead of the copy's.
    std::uint64_t code_reads() const { return code_reads_; }

protected:
    MaybeFault read_any(std::uint64_t linear, void* to, std::size_t size, Privilege privilege) override;
    MaybeFault write_any(std::uint64_t linear, const void* from, std::size_t size, Privilege privilege) override;
    MaybeFault check_write_any(std::uint64_t linear, std::size_t size, Privilege privilege) override;

private:
    static constexpr std::uint32_t kUnpagedOffset = 0x80000000;  // RAM is at most as large

    struct Place {
        std::uint8_t* ram = nullptr;   ///< null: a device, or nothing, at `physical`
        std::uint64_t physical = 0;
    };
    MaybeFault locate(std::uint32_t linear, PageAccess access, Place& place);
    Fill fill_page(std::uint32_t linear, bool write, bool fetch, std::uint32_t instruction, Fault& fault);
    bool leads_as_before(std::uint32_t page, const MappedPage& here, const PageTranslation& now);
    bool map_code_around(std::uint32_t page, MappedPage to);
    bool map_around(std::uint32_t page, const PageTranslation& translation, MappedPage to);
    std::uint32_t entry_offset(std::uint32_t page, std::uint32_t instruction);
    std::span<const CodeOverlay* const> overlays_for(std::uint32_t page, std::uint32_t frame);
    bool can_map(std::uint32_t page, std::uint64_t frame) const;
    std::optional<std::uint32_t> frame_at(std::uint32_t linear) const;
    void forget_code(std::uint32_t frame);
    bool is_hidden(const CodePage& code) const { return hides_code_ && execution_offset() == 0 && !code.is_plain() && !code.is_shown; }
    void close_opened();
    const std::uint8_t* neighbour(std::uint32_t page) const;

    Vcpu* vcpu_;
    const SharedPages* ram_;
    VirtualTlb* tlb_;
    CodePages* code_;
    PhysicalDevices* devices_;
    FindOverlays overlays_;
    std::uint32_t first_mappable_ = 0;              ///< the host keeps the pages below for itself
    /// Translations of pages that the supervisor has read and that are not mapped: descriptor tables and tasks are the processor's alone,
    /// so native code never brings them into the virtual TLB. Any invalidation empties it.
    std::array<DirectPages::ReadPage, DirectPages::kReadPages> read_pages_{};
    std::vector<bool> large_;                       ///< by 4 MiB of linear memory: filled from a large page
    std::vector<std::uint32_t> shared_overlays_;    ///< frames with patches that code of other CPLs might run
    std::vector<std::uint32_t> kernel_overlays_;    ///< frames with patches that the supervisor alone can run
    std::vector<bool> without_overlays_;            ///< by frame: run at other CPLs
    bool in_place_ = false;                         ///< without paging: see run_in_place
    bool hides_code_ = false;                       ///< the host has memory that can be executed and not read
    std::optional<std::uint32_t> opened_;           ///< linear page that one instruction may write to and run from
    std::array<std::uint64_t, 4> fills_{};
    std::uint64_t code_writes_ = 0, code_reads_ = 0;
};

}  // namespace trapline::executor
