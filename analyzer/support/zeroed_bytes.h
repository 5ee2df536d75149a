// SPDX-License-Identifier: Apache-2.0
// Large arrays of zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace trapline {

/// Bytes that are zero at first. A vector would write every one of them; here the system gives zero pages as they are
/// touched, to the thread that does.
class ZeroedBytes {
public:
    ZeroedBytes() = default;
    /// Throws std::bad_alloc as a vector does.
    explicit ZeroedBytes(std::size_t size) : bytes_(static_cast<std::uint8_t*>(std::calloc(size == 0 ? 1 : size, 1)), std::free), size_(size) {
        if (!bytes_) throw std::bad_alloc();
    }

    std::uint8_t* data() { return bytes_.get(); }
    const std::uint8_t* data() const { return bytes_.get(); }
    std::size_t size() const { return size_; }
    std::uint8_t& operator[](std::size_t at) { return bytes_.get()[at]; }
    const std::uint8_t& operator[](std::size_t at) const { return bytes_.get()[at]; }

private:
    std::unique_ptr<std::uint8_t, void (*)(void*)> bytes_{nullptr, std::free};
    std::size_t size_ = 0;
};

}  // namespace trapline
