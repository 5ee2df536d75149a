// SPDX-License-Identifier: Apache-2.0
// fw_cfg: items, the file directory, DMA.
#include "executor/device/fw_cfg.h"

#include <algorithm>
#include <array>

namespace trapline::executor {

namespace {

constexpr std::uint16_t kSignature = 0x0000, kId = 0x0001, kDirectory = 0x0019, kLastFile = 0x3FFF;
constexpr std::uint32_t kHasTraditional = 1, kHasDma = 2;
constexpr std::size_t kDirectoryEntry = 64, kNameBytes = 56;
constexpr std::uint32_t kDmaError = 1, kDmaRead = 2, kDmaSkip = 4, kDmaSelect = 8, kDmaWrite = 16;
constexpr std::uint64_t kDmaSignature = 0x51454D5520434647;  // "QEMU CFG"

std::uint32_t big_endian(std::span<const std::uint8_t, 4> bytes) {
    return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 | static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
}

void put_big_endian(std::uint8_t* to, std::uint32_t value) {
    for (unsigned i = 0; i < 4; ++i) to[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

}  // namespace

FwCfg::FwCfg(BusMemory memory) : memory_(std::move(memory)) {
    const bool has_dma = memory_.read && memory_.write;
    add_item(kSignature, {'Q', 'E', 'M', 'U'});
    add_item(kId, {static_cast<std::uint8_t>(kHasTraditional | (has_dma ? kHasDma : 0)), 0, 0, 0});
    add_item(kDirectory, {0, 0, 0, 0});
    select(kSignature);
}

void FwCfg::add_item(std::uint16_t key, std::vector<std::uint8_t> bytes) { items_[key] = std::move(bytes); }

void FwCfg::add_file(std::string_view name, std::vector<std::uint8_t> bytes) {
    if (next_file_ > kLastFile) return;
    std::vector<std::uint8_t>& directory = items_[kDirectory];
    directory.resize(directory.size() + kDirectoryEntry);
    std::uint8_t* entry = directory.data() + directory.size() - kDirectoryEntry;
    put_big_endian(entry, static_cast<std::uint32_t>(bytes.size()));
    entry[4] = static_cast<std::uint8_t>(next_file_ >> 8);
    entry[5] = static_cast<std::uint8_t>(next_file_);
    std::copy_n(name.begin(), std::min(name.size(), kNameBytes - 1), entry + 8);  // its end stays 0
    put_big_endian(directory.data(), static_cast<std::uint32_t>(directory.size() / kDirectoryEntry));
    add_item(next_file_++, std::move(bytes));
}

void FwCfg::select(std::uint16_t key) {
    const auto found = items_.find(key);
    selected_ = found == items_.end() ? nullptr : &found->second;
    offset_ = 0;
}

std::uint8_t FwCfg::next_byte() {
    if (selected_ == nullptr || offset_ >= selected_->size()) return 0;
    return (*selected_)[offset_++];
}

std::uint32_t FwCfg::transfer(std::uint32_t control, std::uint32_t length, std::uint64_t address) {
    if ((control & kDmaSelect) != 0) select(static_cast<std::uint16_t>(control >> 16));
    const std::uint64_t size = selected_ == nullptr ? 0 : selected_->size();
    if ((control & kDmaRead) != 0) {
        // Item bytes in one piece, zeros behind them in small ones. Nothing beyond RAM is written, so RAM bounds the work.
        const std::uint64_t present = std::min<std::uint64_t>(length, size - std::min(size, offset_));
        if (present != 0 && !memory_.write(address, std::span(*selected_).subspan(offset_, present))) return kDmaError;
        static constexpr std::array<std::uint8_t, 4096> kZeros{};
        for (std::uint64_t done = present; done < length;) {
            const std::uint64_t chunk = std::min<std::uint64_t>(length - done, kZeros.size());
            if (!memory_.write(address + done, std::span(kZeros).first(chunk))) return kDmaError;
            done += chunk;
        }
        offset_ += present;
    } else if ((control & kDmaWrite) != 0) {
        return kDmaError;
    } else if ((control & kDmaSkip) != 0) {
        offset_ = std::min(size, offset_ + length);
    }
    return 0;
}

void FwCfg::start_dma() {
    if (!memory_.read || !memory_.write) return;
    const std::uint64_t at = static_cast<std::uint64_t>(dma_high_) << 32 | dma_low_;
    dma_high_ = dma_low_ = 0;
    std::array<std::uint8_t, 16> request{};  // control, length, address: all big-endian
    if (!memory_.read(at, request)) return;
    const std::span<const std::uint8_t, 16> fields(request);
    const std::uint64_t address = static_cast<std::uint64_t>(big_endian(fields.subspan<8, 4>())) << 32 | big_endian(fields.subspan<12, 4>());
    const std::uint32_t result = transfer(big_endian(fields.first<4>()), big_endian(fields.subspan<4, 4>()), address);
    std::array<std::uint8_t, 4> answer{};
    put_big_endian(answer.data(), result);
    memory_.write(at, answer);
}

std::uint32_t FwCfg::port_in(std::uint16_t port, unsigned size) {
    if (port == 0x511 && size == 1) return next_byte();
    if (port < 0x514 || !memory_.read) return port == 0x510 ? 0 : 0xFFFFFFFF;
    // Big-endian: the lowest port has the signature's highest byte.
    std::uint32_t out = 0;
    for (unsigned i = 0; i < size; ++i) out |= static_cast<std::uint32_t>(kDmaSignature >> (56 - 8 * (port - 0x514u + i)) & 0xFF) << (8 * i);
    return out;
}

void FwCfg::port_out(std::uint16_t port, unsigned size, std::uint32_t value) {
    if (port == 0x510 && size == 2) select(static_cast<std::uint16_t>(value));
    if (size != 4) return;
    if (port == 0x514) dma_high_ = __builtin_bswap32(value);
    if (port == 0x518) {
        dma_low_ = __builtin_bswap32(value);
        start_dma();
    }
}

}  // namespace trapline::executor
