// SPDX-License-Identifier: Apache-2.0
// One writer, many followers.
#include "image/expanding_bytes.h"

namespace trapline::image {
namespace {

/// Followers are woken this often: a thousandth of a kernel, and several pages of work for each.
constexpr std::size_t kPublished = std::size_t{256} << 10;

}  // namespace

void ExpandingBytes::append(Bytes more) {
    if (bytes_.capacity() - bytes_.size() < more.size()) {
        const std::unique_lock still(moving_);
        bytes_.insert(bytes_.end(), more.begin(), more.end());
        publish();
        return;
    }
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    if (bytes_.size() - published_.size() >= kPublished) publish();
}

void ExpandingBytes::finish() {
    publish();
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
}

void ExpandingBytes::publish() {
    const std::lock_guard lock(mutex_);
    published_ = bytes_;
    changed_.notify_all();
}

void ExpandingBytes::follow(const std::function<bool(Bytes all, std::size_t seen)>& use) const {
    for (std::size_t seen = 0;;) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return finished_ || published_.size() > seen; });
        if (published_.size() == seen) return;
        lock.unlock();
        // The writer takes its locks in the same order, so the bytes that are read below stay until this one is let go.
        const std::shared_lock still(moving_);
        lock.lock();
        const Bytes all = published_;
        lock.unlock();
        if (!use(all, seen)) return;
        seen = all.size();
    }
}

bool ExpandingBytes::finished() const {
    const std::lock_guard lock(mutex_);
    return finished_;
}

}  // namespace trapline::image
