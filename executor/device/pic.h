// SPDX-License-Identifier: Apache-2.0
// The two 8259A interrupt controllers of a PC (Intel 8259A datasheet, 231468), with the edge/level registers of EISA and PCI
// machines (PIIX4 datasheet, 290562: 4D0h, 4D1h). MCS-80 mode, buffered mode and single mode have no meaning in a PC.
#pragma once

#include <array>
#include <cstdint>

#include "executor/device/device.h"

namespace trapline::executor {

/// One 8259A by itself. Registers hold one bit for each of its inputs IR0 to IR7.
class Pic8259 {
public:
    /// `may_be_level`: inputs that the edge/level register can make level-triggered. `slave_inputs`: where a slave is connected.
    explicit Pic8259(std::uint8_t may_be_level, std::uint8_t slave_inputs = 0) : may_be_level_(may_be_level), slave_inputs_(slave_inputs) {}

    void set_input(unsigned input, bool high);
    /// The INT output: a request stands that nothing in service and no mask holds back.
    bool output() const { return output_; }
    /// The input that an acknowledge would serve now, or -1.
    int pending() const;
    /// INTA: takes `pending` into service; returns its input, or -1 for the spurious interrupt (IR7's vector, nothing in service).
    int acknowledge();
    std::uint8_t vector_base() const { return vector_base_; }

    /// `address` is A0: 0 is the command port, 1 the data port.
    std::uint8_t read(unsigned address);
    void write(unsigned address, std::uint8_t value);
    std::uint8_t edge_level() const { return level_; }
    void set_edge_level(std::uint8_t level);

private:
    enum class Expects : std::uint8_t { nothing, icw2, icw3, icw4 };

    std::uint8_t requests() const { return static_cast<std::uint8_t>(edges_ | (lines_ & level_)); }
    unsigned rank(unsigned input) const { return (input - lowest_ - 1u) & 7; }  ///< 0 is served first
    int first_of(std::uint8_t inputs) const;
    void initialize(std::uint8_t icw1);
    void command(std::uint8_t ocw2);
    void finish(int input, bool rotate);
    void update();

    const std::uint8_t may_be_level_, slave_inputs_;
    std::uint8_t lines_ = 0;         ///< inputs as they are
    std::uint8_t edges_ = 0;         ///< rising edges not yet acknowledged
    std::uint8_t level_ = 0;         ///< edge/level register
    std::uint8_t mask_ = 0;          ///< IMR
    std::uint8_t in_service_ = 0;    ///< ISR
    std::uint8_t vector_base_ = 0;
    std::uint8_t icw3_ = 0;
    std::uint8_t lowest_ = 7;        ///< the input of lowest priority
    Expects expects_ = Expects::nothing;
    bool wants_icw3_ = false, wants_icw4_ = false;
    bool auto_eoi_ = false, rotate_in_auto_eoi_ = false;
    bool special_mask_ = false, special_nesting_ = false;
    bool reads_in_service_ = false, poll_ = false;
    bool output_ = false;
};

/// Master at 20h, 21h and 4D0h, slave at A0h, A1h and 4D1h, the slave's output on the master's IR2. Lines are ISA interrupt numbers 0
/// to 15; 2 is the cascade and cannot be set. Fresh from power-on; what firmware would program is the machine's affair.
class PicPair final : public PortDevice, public InterruptLines {
public:
    std::uint32_t port_in(std::uint16_t port, unsigned size) override;
    void port_out(std::uint16_t port, unsigned size, std::uint32_t value) override;
    void set_line(unsigned line, bool high) override;

    /// The INT output to the processor.
    bool has_interrupt() const { return master_.output(); }
    /// The processor's two INTA cycles. Without a request it is the spurious interrupt: the vector of IR7, and nothing in service.
    std::uint8_t acknowledge();

private:
    void cascade();

    Pic8259 master_{0xF8, 0x04}, slave_{0xDE};  // IRQ 0, 1, 2, 8 and 13 are always edge-triggered (PIIX4, 4D0h and 4D1h)
};

}  // namespace trapline::executor
