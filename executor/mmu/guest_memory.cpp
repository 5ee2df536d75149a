// SPDX-License-Identifier: Apache-2.0
#include "executor/mmu/guest_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace trapline::executor {

Result<SharedPages> SharedPages::create(const char* name, std::uint64_t bytes) {
    SharedPages pages;
    pages.descriptor_ = memfd_create(name, MFD_CLOEXEC);
    if (pages.descriptor_ < 0 || ftruncate(pages.descriptor_, static_cast<off_t>(bytes)) != 0)
        return fail(ErrorCode::host_limit, fmt::format("no memory of {} bytes for the guest: {}", bytes, std::strerror(errno)));
    void* const view = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, pages.descriptor_, 0);
    if (view == MAP_FAILED) return fail(ErrorCode::host_limit, fmt::format("no room for {} bytes of guest memory: {}", bytes, std::strerror(errno)));
    pages.data_ = static_cast<std::uint8_t*>(view);
    pages.size_ = bytes;
    return pages;
}

SharedPages& SharedPages::operator=(SharedPages&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

SharedPages::~SharedPages() {
    if (data_ != nullptr) munmap(data_, size_);
    if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace trapline::executor
