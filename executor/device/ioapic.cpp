// SPDX-License-Identifier: Apache-2.0
// I/O APIC: redirection of edges and levels.
#include "executor/device/ioapic.h"

namespace trapline::executor {

namespace {

constexpr std::uint32_t kSelect = 0x00, kWindow = 0x10, kEoi = 0x40;
constexpr std::uint8_t kFirstEntry = 0x10;
constexpr std::uint64_t kLevel = 1u << 15, kRemoteIrr = 1u << 14, kLogical = 1u << 11;
constexpr std::uint64_t kWritableLow = 0x1AFFF, kWritableHigh = 0xFF000000'00000000;

}  // namespace

void IoApic::ask(unsigned input) {
    std::uint64_t& entry = entries_[input];
    // "Edge-sensitive interrupts signaled on a masked interrupt pin are ignored."
    if ((entry & kMasked) != 0 || (entry >> 8 & 7) > 1) return;  // fixed and lowest priority
    if (!processor_.is_destination(static_cast<std::uint8_t>(entry >> 56), (entry & kLogical) != 0)) return;
    const bool level = (entry & kLevel) != 0;
    if (processor_.accept(static_cast<std::uint8_t>(entry), level) && level) entry |= kRemoteIrr;
}

void IoApic::ask_by_level(unsigned input) {
    if ((high_ >> input & 1) != 0 && (entries_[input] & (kLevel | kRemoteIrr)) == kLevel) ask(input);
}

void IoApic::set_input(unsigned input, bool high) {
    if (input >= kInputs) return;
    const std::uint32_t bit = 1u << input;
    const bool rises = high && (high_ & bit) == 0;
    high_ = high ? high_ | bit : high_ & ~bit;
    if (!rises) return;
    if ((entries_[input] & kLevel) == 0) {
        ask(input);
    } else {
        ask_by_level(input);
    }
}

void IoApic::end(std::uint8_t vector) {
    for (unsigned input = 0; input < kInputs; ++input) {
        if ((entries_[input] & kRemoteIrr) == 0 || static_cast<std::uint8_t>(entries_[input]) != vector) continue;
        entries_[input] &= ~kRemoteIrr;
        ask_by_level(input);
    }
}

bool IoApic::passes_external() const { return (entries_[0] & kMasked) == 0 && (entries_[0] >> 8 & 7) == 7; }

std::uint32_t IoApic::read_register() const {
    if (selected_ == 0 || selected_ == 2) return static_cast<std::uint32_t>(id_) << 24;
    if (selected_ == 1) return (kInputs - 1) << 16 | kVersion;
    const unsigned number = selected_ - unsigned{kFirstEntry};
    if (number >= 2 * kInputs) return 0;
    return static_cast<std::uint32_t>(entries_[number / 2] >> (32 * (number % 2)));
}

void IoApic::write_register(std::uint32_t value) {
    if (selected_ == 0) id_ = value >> 24 & 15;
    const unsigned number = selected_ - unsigned{kFirstEntry};
    if (number >= 2 * kInputs) return;
    std::uint64_t& entry = entries_[number / 2];
    if (number % 2 != 0) {
        entry = (entry & ~kWritableHigh) | (static_cast<std::uint64_t>(value) << 32 & kWritableHigh);
    } else {
        entry = (entry & ~kWritableLow) | (value & kWritableLow);
    }
    if ((entry & kLevel) == 0) entry &= ~kRemoteIrr;
    ask_by_level(number / 2);
}

std::uint32_t IoApic::memory_read(std::uint32_t offset, unsigned size) {
    if (offset == kSelect) return selected_;
    return offset == kWindow && size == 4 ? read_register() : 0;
}

void IoApic::memory_write(std::uint32_t offset, unsigned size, std::uint32_t value) {
    if (offset == kSelect) {
        selected_ = static_cast<std::uint8_t>(value);
    } else if (offset == kWindow && size == 4) {
        write_register(value);
    } else if (offset == kEoi) {
        end(static_cast<std::uint8_t>(value));
    }
}

}  // namespace trapline::executor
