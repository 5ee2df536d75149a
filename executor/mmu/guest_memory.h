// SPDX-License-Identifier: Apache-2.0
// The guest's physical memory, and the pages that hold its code as it is run. Both are files in memory, so that any page can
// be mapped at any linear address; the monitor sees both at addresses of its own.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "support/error.h"

namespace trapline::executor {

inline constexpr std::uint32_t kPageBytes = 4096;

/// A file in memory with a view of it. Move-only; unmaps and closes.
class SharedPages {
public:
    /// `bytes` is a multiple of the page size. Memory is taken from the host when it is first touched. Fails with `host_limit`.
    static Result<SharedPages> create(const char* name, std::uint64_t bytes);
    SharedPages() = default;
    SharedPages(SharedPages&& other) noexcept { *this = std::move(other); }
    SharedPages& operator=(SharedPages&& other) noexcept;
    ~SharedPages();

    int descriptor() const { return descriptor_; }
    std::uint8_t* data() const { return data_; }
    std::uint64_t size() const { return size_; }
    std::uint32_t pages() const { return static_cast<std::uint32_t>(size_ / kPageBytes); }
    std::uint8_t* page(std::uint32_t number) const { return data_ + std::uint64_t{number} * kPageBytes; }

private:
    int descriptor_ = -1;
    std::uint8_t* data_ = nullptr;
    std::uint64_t size_ = 0;
};

}  // namespace trapline::executor
