// SPDX-License-Identifier: Apache-2.0
// MP configuration table. Must match the wiring of the PC (pc.cpp): ISA line n on input n, line 0 on input 2, the 8259s on input 0.
#include "executor/device/mp_table.h"

#include <numeric>
#include <string_view>

#include "executor/device/apic.h"
#include "executor/device/ioapic.h"
#include "support/error.h"

namespace trapline::executor {

namespace {

constexpr std::uint8_t kProcessorEntry = 0, kBusEntry = 1, kIoApicEntry = 2, kIoInterruptEntry = 3, kLocalInterruptEntry = 4;
constexpr std::uint8_t kInt = 0, kNmi = 1, kExtInt = 3;  // table 4-10, "Interrupt Type Values"
constexpr std::uint8_t kRevision = 4;                    // of 1.4
constexpr std::uint8_t kProcessorId = 0, kIoApicId = 1, kIsaBus = 0, kEveryProcessor = 0xFF;
constexpr std::size_t kPointerSize = 16, kHeaderSize = 44;

class Bytes {
public:
    explicit Bytes(std::vector<std::uint8_t>& out) : out_(out) {}
    void byte(unsigned value) { out_.push_back(static_cast<std::uint8_t>(value)); }
    void word(unsigned value) { byte(value), byte(value >> 8); }
    void dword(std::uint32_t value) { word(value & 0xFFFF), word(value >> 16); }
    void text(std::string_view text) { out_.insert(out_.end(), text.begin(), text.end()); }

private:
    std::vector<std::uint8_t>& out_;
};

void set_checksum(std::vector<std::uint8_t>& bytes, std::size_t at) {
    bytes[at] = 0;
    bytes[at] = static_cast<std::uint8_t>(0 - std::accumulate(bytes.begin(), bytes.end(), 0u));
}

}  // namespace

std::vector<std::uint8_t> mp_table(std::uint32_t address, const MpProcessor& processor) {
    TRAPLINE_ASSERT(address % 16 == 0, "the floating pointer structure stands on a 16-byte boundary");
    std::vector<std::uint8_t> entries;
    Bytes entry(entries);
    unsigned count = 0;
    ++count, entry.byte(kProcessorEntry), entry.byte(kProcessorId), entry.byte(LocalApic::kVersion), entry.byte(3);  // enabled, bootstrap
    entry.dword(processor.signature), entry.dword(processor.features), entry.dword(0), entry.dword(0);
    ++count, entry.byte(kBusEntry), entry.byte(kIsaBus), entry.text("ISA   ");
    ++count, entry.byte(kIoApicEntry), entry.byte(kIoApicId), entry.byte(IoApic::kVersion), entry.byte(1);  // enabled
    entry.dword(static_cast<std::uint32_t>(IoApic::kAddress));

    // Flags 0: polarity and trigger mode conform to the bus.
    const auto interrupt = [&](std::uint8_t kind, std::uint8_t type, unsigned line, std::uint8_t apic, unsigned input) {
        ++count, entry.byte(kind), entry.byte(type), entry.word(0), entry.byte(kIsaBus), entry.byte(line), entry.byte(apic), entry.byte(input);
    };
    interrupt(kIoInterruptEntry, kExtInt, 0, kIoApicId, 0);
    for (unsigned line = 0; line < 16; ++line) {
        if (line != 2) interrupt(kIoInterruptEntry, kInt, line, kIoApicId, line == 0 ? 2 : line);
    }
    interrupt(kLocalInterruptEntry, kExtInt, 0, kEveryProcessor, 0);
    interrupt(kLocalInterruptEntry, kNmi, 0, kEveryProcessor, 1);

    std::vector<std::uint8_t> table;
    Bytes header(table);
    header.text("PCMP"), header.word(static_cast<unsigned>(kHeaderSize + entries.size())), header.byte(kRevision), header.byte(0);
    header.text("TRAPLINE"), header.text("PC          ");
    header.dword(0), header.word(0), header.word(count);  // no OEM table
    header.dword(static_cast<std::uint32_t>(LocalApic::kAddress)), header.dword(0);  // no extended table
    table.insert(table.end(), entries.begin(), entries.end());
    set_checksum(table, 7);

    std::vector<std::uint8_t> out;
    Bytes pointer(out);
    pointer.text("_MP_"), pointer.dword(address + static_cast<std::uint32_t>(kPointerSize));
    pointer.byte(1), pointer.byte(kRevision), pointer.byte(0), pointer.byte(0);  // one paragraph long; a table, no default configuration
    pointer.dword(0);                                                            // virtual wire mode
    set_checksum(out, 10);
    out.insert(out.end(), table.begin(), table.end());
    return out;
}

}  // namespace trapline::executor
