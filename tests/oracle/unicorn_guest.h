// SPDX-License-Identifier: Apache-2.0
// A processor of Unicorn's (QEMU's TCG) as a second opinion on the reference machine: at CPL 0 or CPL 3, in 32- or 64-bit code,
// with memory that appears where it is touched.
#pragma once

#include <unicorn/unicorn.h>

#include <array>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "isa/mode.h"

namespace trapline {

/// General registers in the order of their encoding; 32-bit code has the first eight.
using GeneralRegisters = std::array<std::uint64_t, 16>;

/// How a run ended.
enum class UnicornEnd : std::uint8_t {
    left,       ///< control came to a place outside the code
    counted,    ///< the number of instructions asked for was run
    exception,  ///< an exception or interrupt of the guest's
    refused,    ///< Unicorn does not know the instruction, or ran into a limit of its own
};

/// Not thread-safe. Every failure of Unicorn's to set a state up ends the program with a message: the oracle is then worthless.
class UnicornGuest {
public:
    /// `cpl` is 0 or 3. At CPL 3 the processor's IOPL is 0.
    UnicornGuest(Mode mode, int cpl);
    ~UnicornGuest();
    UnicornGuest(const UnicornGuest&) = delete;
    UnicornGuest& operator=(const UnicornGuest&) = delete;

    /// Forgets all memory but the descriptors. Translations stay.
    void reset();
    /// What a page holds when it is first touched: fills 4096 bytes for the page at an address, and is told whether an
    /// instruction is fetched from it. Unicorn translates ahead to a block's end, and 2.0.1 aborts on some random bytes:
    /// pages of code should be HLT but for the code.
    std::function<void(std::uint64_t, std::uint8_t*, bool)> fill_page;
    /// Whether an address belongs to the code; control that leaves it ends a run. Empty: nothing ends it so.
    std::function<bool(std::uint64_t)> is_code;

    /// Writes memory. Where code has run once no other code may come to stand: Unicorn keeps its translations.
    void write(std::uint64_t address, const std::vector<std::uint8_t>& bytes);
    std::vector<std::uint8_t> read_page(std::uint64_t page);
    const std::set<std::uint64_t>& pages() const { return pages_; }
    /// Those that appeared because an instruction was fetched.
    bool is_fetched(std::uint64_t page) const { return fetched_.count(page) != 0; }
    /// Forgets those, so that they may hold data next.
    void drop_fetched();

    void set_general(const GeneralRegisters& general);
    GeneralRegisters general();
    void set_flags(std::uint64_t flags);
    std::uint64_t flags();
    std::uint64_t ip();
    std::uint64_t control(int number);   ///< CR0, CR2, CR3, CR4 or CR8
    std::uint64_t task_register();
    std::uint64_t local_table();

    /// Runs from `start` for at most `count` instructions. After `exception` and `refused` the registers are those that the
    /// processor was made with.
    UnicornEnd run(std::uint64_t start, std::size_t count);
    /// Says why the last run ended in `exception` or `refused`.
    const std::string& reason() const { return reason_; }
    /// The processor's own CPL, read from CS.
    int cpl();

private:
    static bool on_unmapped(uc_engine*, uc_mem_type, std::uint64_t address, int size, std::int64_t, void* self);
    static void on_code(uc_engine*, std::uint64_t address, std::uint32_t, void* self);
    static void on_interrupt(uc_engine*, std::uint32_t number, void* self);
    static bool on_invalid(uc_engine*, void* self);
    void enter_user();
    void recover();
    bool map(std::uint64_t page, bool fetch);

    Mode mode_;
    uc_engine* engine_ = nullptr;
    uc_context* fresh_ = nullptr;        ///< the processor as it was set up
    std::set<std::uint64_t> pages_;      ///< mapped, by address
    std::set<std::uint64_t> fetched_;
    std::size_t remaining_ = 0;          ///< instructions that may still run
    bool left_ = false;
    bool interrupted_ = false;
    bool invalid_ = false;
    std::string reason_;
};

}  // namespace trapline
