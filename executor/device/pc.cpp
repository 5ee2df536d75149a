// SPDX-License-Identifier: Apache-2.0
// Wiring of the PC.
#include "executor/device/pc.h"

#include <algorithm>

namespace trapline::executor {

namespace {

constexpr unsigned kCom1Line = 4;

}  // namespace

/// The two APICs and the wires between them.
struct Pc::Apics {
    explicit Apics(Clock& clock) : local(clock, [this](std::uint8_t vector) { io.end(vector); }), io(local) {}
    LocalApic local;
    IoApic io;
};

Pc::Pc(Clock& clock, PcOptions options)
    : apics_(options.apic ? std::make_unique<Apics>(clock) : nullptr),
      pit_(clock, lines_),
      cmos_(clock, lines_, {.memory_size = options.memory_size, .wall_time = options.wall_time}),
      com1_(clock, lines_, kCom1Line, std::move(options.serial_output)),
      keyboard_(lines_, [this](const ExitRequest& request) { request_exit(request); }),
      power_(keyboard_, [this](const ExitRequest& request) { request_exit(request); }),
      debug_exit_([this](const ExitRequest& request) { request_exit(request); }),
      fw_cfg_(std::move(options.memory)),
      vga_(clock) {
    claim_ports();
    if (apics_) {
        memory_.claim(IoApic::kAddress, IoApic::kSize, apics_->io);
        memory_.claim(LocalApic::kAddress, LocalApic::kSize, apics_->local);
    }
    program_as_firmware();
}

Pc::~Pc() = default;

void Pc::claim_ports() {
    const struct {
        std::uint16_t first;
        unsigned count;
        PortDevice& device;
        unsigned width;
    } ranges[] = {
        {0x020, 2, pic_, 1},      {0x040, 4, pit_, 1},   {0x060, 1, keyboard_, 1}, {0x061, 1, pit_, 1},    {0x064, 1, keyboard_, 1},
        {0x070, 2, cmos_, 1},     {0x092, 1, power_, 1}, {0x0A0, 2, pic_, 1},      {0x0F0, 1, math_error_, 1}, {0x0F4, 4, debug_exit_, 4},
        {0x3B4, 2, vga_, 1},      {0x3BA, 1, vga_, 1},   {0x3C0, 16, vga_, 1},     {0x3D4, 2, vga_, 1},    {0x3DA, 1, vga_, 1},
        {0x3F8, 8, com1_, 1},     {0x4D0, 2, pic_, 1},   {0x510, 2, fw_cfg_, 2},   {0x514, 8, fw_cfg_, 4},
        {0x604, 2, power_, 2},    {0xCF8, 4, power_, 4}, {0xB004, 2, power_, 2},
    };
    for (const auto& range : ranges) ports_.claim(range.first, range.count, range.device, range.width);
}

void Pc::Lines::set_line(unsigned line, bool high) {
    pc_.pic_.set_line(line, high);
    if (!pc_.apics_) return;
    pc_.apics_->io.set_input(line == 0 ? 2 : line, high);
    pc_.route_pic();
}

/// The 8259s' output to LINT0 and to input 0 of the I/O APIC. Called at each change, for either may look at its edges.
void Pc::route_pic() {
    apics_->local.set_lint0(pic_.has_interrupt());
    apics_->io.set_input(0, pic_.has_interrupt());
}

void Pc::request_exit(const ExitRequest& request) {
    if (!exit_request_) exit_request_ = request;
}

void Pc::update() {
    if (!apics_) {
        interrupt_waits_ = pic_.has_interrupt();
        return;
    }
    route_pic();
    const bool external = apics_->local.passes_external() || (apics_->io.passes_external() && apics_->local.is_enabled());
    interrupt_waits_ = (external && pic_.has_interrupt()) || apics_->local.has_interrupt();
}

void Pc::program_as_firmware() {
    static constexpr struct {
        std::uint16_t port;
        std::uint8_t value;
    } kWrites[] = {
        {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xFB},  // master: ICW1 to ICW4, mask
        {0xA0, 0x11}, {0xA1, 0x70}, {0xA1, 0x02}, {0xA1, 0x01}, {0xA1, 0xFF},  // slave
        {0x43, 0x36}, {0x40, 0x00}, {0x40, 0x00},                              // counter 0: square wave, 65536
        {0x43, 0x54}, {0x41, 18},                                              // counter 1: memory refresh
        {0x43, 0xB6}, {0x42, 0x33}, {0x42, 0x05},                              // counter 2: a tone, gate closed
    };
    for (const auto& one : kWrites) port_out(one.port, 1, one.value);
}

std::uint32_t Pc::port_in(std::uint16_t port, unsigned size) {
    const std::uint32_t out = ports_.port_in(port, size);
    update();
    return out;
}

void Pc::port_out(std::uint16_t port, unsigned size, std::uint32_t value) {
    ports_.port_out(port, size, value);
    update();
}

std::uint8_t Pc::acknowledge_interrupt() {
    // ExtINT needs no priority and goes first; without any request the spurious one is whose turn it would be.
    const bool external = !apics_ || (pic_.has_interrupt() && (apics_->local.passes_external() || apics_->io.passes_external()));
    const std::uint8_t vector = external ? pic_.acknowledge() : apics_->local.acknowledge();
    update();
    return vector;
}

void Pc::raise_math_error() {
    math_error_.raise();
    update();
}

std::uint32_t Pc::memory_read(std::uint64_t address, unsigned size) {
    const std::uint32_t out = memory_.read(address, size);
    update();
    return out;
}

void Pc::memory_write(std::uint64_t address, unsigned size, std::uint32_t value) {
    memory_.write(address, size, value);
    update();
}

Nanoseconds Pc::next_event() {
    const Nanoseconds apic = apics_ ? apics_->local.next_event() : kNever;
    return std::min({pit_.next_event(), cmos_.next_event(), com1_.next_event(), apic});
}

void Pc::advance(Nanoseconds now) {
    pit_.advance(now);
    cmos_.advance(now);
    com1_.advance(now);
    if (apics_) apics_->local.advance(now);
    update();
}

std::size_t Pc::push_serial_input(std::span<const std::uint8_t> bytes) {
    const std::size_t taken = com1_.push_input(bytes);
    update();
    return taken;
}

void Pc::flush() { com1_.flush(); }

}  // namespace trapline::executor
