// SPDX-License-Identifier: Apache-2.0
// Unicorn's C interface behind one class.
#include "unicorn_guest.h"

#include <fmt/format.h>
#include <unicorn/x86.h>

#include <cstdio>
#include <cstdlib>

namespace trapline {
namespace {

constexpr std::uint64_t kPage = 4096;
/// Where the descriptors lie: low, out of the way of kernels and of the states that are tried.
constexpr std::uint64_t kDescriptors = 0x7000;
/// NOPs, for runs that must do nothing.
constexpr std::uint64_t kQuiet = kDescriptors + 0x900;
constexpr std::uint16_t kCode0 = 0x08, kData0 = 0x10, kCode3 = 0x1B, kData3 = 0x23;

constexpr int kGeneral64[16] = {UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
                                UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11, UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15};
constexpr int kGeneral32[8] = {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX, UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI};

void must(uc_err error, const char* what) {
    if (error == UC_ERR_OK) return;
    fmt::print(stderr, "unicorn: {}: {}\n", what, uc_strerror(error));
    std::exit(4);
}

/// A flat segment: base 0, limit 4 GiB (SDM volume 3, figure 3-8).
std::uint64_t descriptor(bool code, int dpl, bool wide) {
    std::uint64_t value = 0x008F'9200'0000'FFFF;            // present, data, writable, limit 0xFFFFF in pages
    if (code) value |= std::uint64_t{1} << 43;
    value |= std::uint64_t{1} << 40;                        // accessed: no write to the table
    value |= static_cast<std::uint64_t>(dpl) << 45;
    value |= std::uint64_t{1} << (code && wide ? 53 : 54);  // L of 64-bit code, D otherwise
    return value;
}

}  // namespace

UnicornGuest::UnicornGuest(Mode mode, int cpl) : mode_(mode) {
    must(uc_open(UC_ARCH_X86, mode == Mode::long64 ? UC_MODE_64 : UC_MODE_32, &engine_), "cannot open");
    uc_hook hook = 0;
    must(uc_hook_add(engine_, &hook, UC_HOOK_MEM_UNMAPPED, reinterpret_cast<void*>(&on_unmapped), this, 1, 0), "cannot hook memory");
    must(uc_hook_add(engine_, &hook, UC_HOOK_CODE, reinterpret_cast<void*>(&on_code), this, 1, 0), "cannot hook code");
    must(uc_hook_add(engine_, &hook, UC_HOOK_INTR, reinterpret_cast<void*>(&on_interrupt), this, 1, 0), "cannot hook interrupts");
    must(uc_hook_add(engine_, &hook, UC_HOOK_INSN_INVALID, reinterpret_cast<void*>(&on_invalid), this, 1, 0), "cannot hook invalid instructions");
    must(uc_mem_map(engine_, kDescriptors, kPage, UC_PROT_ALL), "cannot map the descriptors");
    const bool wide = mode == Mode::long64;
    const std::uint64_t table[] = {0, descriptor(true, 0, wide), descriptor(false, 0, wide), descriptor(true, 3, wide), descriptor(false, 3, wide)};
    must(uc_mem_write(engine_, kDescriptors, table, sizeof table), "cannot write the descriptors");
    uc_x86_mmr gdtr{0, kDescriptors, sizeof table - 1, 0};
    must(uc_reg_write(engine_, UC_X86_REG_GDTR, &gdtr), "cannot set GDTR");
    const std::vector<std::uint8_t> nops(16, 0x90);
    must(uc_mem_write(engine_, kQuiet, nops.data(), nops.size()), "cannot write code");
    if (cpl == 3) enter_user();
    if (this->cpl() != cpl) {
        fmt::print(stderr, "unicorn: found CPL {}, expected {}\n", this->cpl(), cpl);
        std::exit(4);
    }
    must(uc_context_alloc(engine_, &fresh_), "cannot save the state");
    must(uc_context_save(engine_, fresh_), "cannot save the state");
}

UnicornGuest::~UnicornGuest() {
    if (fresh_ != nullptr) uc_context_free(fresh_);
    if (engine_ != nullptr) uc_close(engine_);
}

/// A far return to the outer level: the one way in that loads the hidden parts of CS and SS as a processor does.
void UnicornGuest::enter_user() {
    const bool wide = mode_ == Mode::long64;
    // MOV SS of a null selector is legal in 64-bit code at CPL 0; the return pops the real one.
    const std::vector<std::uint8_t> code = wide ? std::vector<std::uint8_t>{0x48, 0xCB} : std::vector<std::uint8_t>{0xCB};
    const std::uint64_t at = kDescriptors + 0x800, target = kQuiet, stack = kDescriptors + 0xA00;
    must(uc_mem_write(engine_, at, code.data(), code.size()), "cannot write the way to CPL 3");
    if (!wide) {
        const int segments[] = {UC_X86_REG_CS, UC_X86_REG_SS, UC_X86_REG_DS, UC_X86_REG_ES};
        for (const int segment : segments) {
            const std::uint16_t selector = segment == UC_X86_REG_CS ? kCode0 : kData0;
            must(uc_reg_write(engine_, segment, &selector), "cannot set a segment");
        }
    }
    const std::uint64_t frame[] = {target, kCode3, stack, kData3};
    for (std::size_t i = 0; i < 4; ++i) must(uc_mem_write(engine_, stack + i * (wide ? 8 : 4), &frame[i], wide ? 8 : 4), "cannot write the frame");
    must(uc_reg_write(engine_, wide ? UC_X86_REG_RSP : UC_X86_REG_ESP, &stack), "cannot set the stack");
    remaining_ = 1;
    must(uc_emu_start(engine_, at, target, 0, 0), "cannot enter CPL 3");
    if (wide) return;
    // The return has cleared what CPL 3 may not hold.
    for (const int segment : {UC_X86_REG_DS, UC_X86_REG_ES}) must(uc_reg_write(engine_, segment, &kData3), "cannot set a segment");
}

bool UnicornGuest::map(std::uint64_t page, bool fetch) {
    if (uc_mem_map(engine_, page, kPage, UC_PROT_ALL) != UC_ERR_OK) return false;
    pages_.insert(page);
    std::array<std::uint8_t, kPage> content{};
    if (fill_page) fill_page(page, content.data(), fetch);
    if (fetch) fetched_.insert(page);
    return uc_mem_write(engine_, page, content.data(), content.size()) == UC_ERR_OK;
}

bool UnicornGuest::on_unmapped(uc_engine*, uc_mem_type type, std::uint64_t address, int size, std::int64_t, void* self) {
    auto& guest = *static_cast<UnicornGuest*>(self);
    const std::uint64_t first = address & ~(kPage - 1), last = (address + static_cast<std::uint64_t>(size) - 1) & ~(kPage - 1);
    const bool fetch = type == UC_MEM_FETCH_UNMAPPED;
    if (guest.pages_.count(first) == 0 && first != kDescriptors && !guest.map(first, fetch)) return false;
    return first == last || guest.pages_.count(last) != 0 || last == kDescriptors || guest.map(last, fetch);
}

void UnicornGuest::on_code(uc_engine* engine, std::uint64_t address, std::uint32_t, void* self) {
    auto& guest = *static_cast<UnicornGuest*>(self);
    if (guest.remaining_ == 0) {
        uc_emu_stop(engine);
        return;
    }
    --guest.remaining_;
    if (!guest.is_code || guest.is_code(address)) return;
    guest.left_ = true;
    guest.remaining_ = 0;
    uc_emu_stop(engine);
}

void UnicornGuest::on_interrupt(uc_engine* engine, std::uint32_t number, void* self) {
    auto& guest = *static_cast<UnicornGuest*>(self);
    guest.interrupted_ = true;
    guest.reason_ = fmt::format("vector {}", number);
    uc_emu_stop(engine);
}

bool UnicornGuest::on_invalid(uc_engine*, void* self) {
    static_cast<UnicornGuest*>(self)->invalid_ = true;
    return false;
}

void UnicornGuest::reset() {
    for (const std::uint64_t page : pages_) must(uc_mem_unmap(engine_, page, kPage), "cannot unmap");
    pages_.clear();
    fetched_.clear();
    must(uc_context_restore(engine_, fresh_), "cannot restore the state");
}

void UnicornGuest::drop_fetched() {
    for (const std::uint64_t page : fetched_) {
        must(uc_mem_unmap(engine_, page, kPage), "cannot unmap");
        pages_.erase(page);
    }
    fetched_.clear();
}

void UnicornGuest::write(std::uint64_t address, const std::vector<std::uint8_t>& bytes) {
    if (bytes.empty()) return;
    for (std::uint64_t page = address & ~(kPage - 1); page <= address + bytes.size() - 1; page += kPage) {
        if (pages_.count(page) == 0 && page != kDescriptors && !map(page, false)) must(UC_ERR_MAP, "cannot map code");
        if (page + kPage < page) break;
    }
    must(uc_mem_write(engine_, address, bytes.data(), bytes.size()), "cannot write code");
}

std::vector<std::uint8_t> UnicornGuest::read_page(std::uint64_t page) {
    std::vector<std::uint8_t> bytes(kPage);
    must(uc_mem_read(engine_, page, bytes.data(), bytes.size()), "cannot read");
    return bytes;
}

void UnicornGuest::set_general(const GeneralRegisters& general) {
    for (std::size_t i = 0; i < (mode_ == Mode::long64 ? 16u : 8u); ++i)
        must(uc_reg_write(engine_, mode_ == Mode::long64 ? kGeneral64[i] : kGeneral32[i], &general[i]), "cannot set a register");
}

GeneralRegisters UnicornGuest::general() {
    GeneralRegisters general{};
    for (std::size_t i = 0; i < (mode_ == Mode::long64 ? 16u : 8u); ++i)
        must(uc_reg_read(engine_, mode_ == Mode::long64 ? kGeneral64[i] : kGeneral32[i], &general[i]), "cannot read a register");
    return general;
}

void UnicornGuest::set_flags(std::uint64_t flags) { must(uc_reg_write(engine_, UC_X86_REG_EFLAGS, &flags), "cannot set flags"); }

std::uint64_t UnicornGuest::flags() {
    std::uint64_t value = 0;
    must(uc_reg_read(engine_, UC_X86_REG_EFLAGS, &value), "cannot read flags");
    return value & 0xFFFFFFFF;
}

std::uint64_t UnicornGuest::ip() {
    std::uint64_t value = 0;
    must(uc_reg_read(engine_, mode_ == Mode::long64 ? UC_X86_REG_RIP : UC_X86_REG_EIP, &value), "cannot read the instruction pointer");
    return mode_ == Mode::long64 ? value : value & 0xFFFFFFFF;
}

std::uint64_t UnicornGuest::control(int number) {
    const int which = number == 0 ? UC_X86_REG_CR0 : number == 2 ? UC_X86_REG_CR2 : number == 3 ? UC_X86_REG_CR3 : number == 4 ? UC_X86_REG_CR4 : UC_X86_REG_CR8;
    std::uint64_t value = 0;
    must(uc_reg_read(engine_, which, &value), "cannot read a control register");
    return value;
}

std::uint64_t UnicornGuest::task_register() {
    uc_x86_mmr value{};
    must(uc_reg_read(engine_, UC_X86_REG_TR, &value), "cannot read TR");
    return value.selector;
}

std::uint64_t UnicornGuest::local_table() {
    uc_x86_mmr value{};
    must(uc_reg_read(engine_, UC_X86_REG_LDTR, &value), "cannot read LDTR");
    return value.selector;
}

int UnicornGuest::cpl() {
    std::uint16_t selector = 0;
    must(uc_reg_read(engine_, UC_X86_REG_CS, &selector), "cannot read CS");
    return selector & 3;
}

/// The processor believes that it is still delivering an exception: the next one would be a double fault. And the request to
/// stop may have come too late for the run that it was meant for, and would end the next one before it begins.
void UnicornGuest::recover() {
    const bool interrupted = interrupted_, invalid = invalid_, left = left_;
    const std::string reason = reason_;
    must(uc_context_restore(engine_, fresh_), "cannot restore the state");
    uc_emu_start(engine_, kQuiet, kQuiet + 1, 0, 0);
    must(uc_context_restore(engine_, fresh_), "cannot restore the state");
    interrupted_ = interrupted;
    invalid_ = invalid;
    left_ = left;
    reason_ = reason;
}

UnicornEnd UnicornGuest::run(std::uint64_t start, std::size_t count) {
    left_ = interrupted_ = invalid_ = false;
    reason_.clear();
    // No run is meant to end at an address: one that nothing leads to.
    constexpr std::uint64_t kNowhere = 0x6FF0;
    // Counting is done by the hook: Unicorn's own sometimes runs one instruction more or less.
    remaining_ = count;
    const uc_err error = uc_emu_start(engine_, start, kNowhere, 0, 0);
    if (invalid_ || interrupted_ || error != UC_ERR_OK) recover();
    if (invalid_ || error == UC_ERR_INSN_INVALID) {
        reason_ = "an instruction that Unicorn does not know";
        return UnicornEnd::refused;
    }
    if (interrupted_ || error == UC_ERR_EXCEPTION) return UnicornEnd::exception;
    if (error != UC_ERR_OK) {
        reason_ = uc_strerror(error);
        return UnicornEnd::refused;
    }
    return left_ ? UnicornEnd::left : UnicornEnd::counted;
}

}  // namespace trapline
