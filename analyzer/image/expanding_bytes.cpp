// SPDX-License-Identifier: Apache-2.0
// One writer, many followers.
#include "image/expanding_bytes.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace trapline::image {
namespace {

/// Followers are woken this often: a thousandth of a kernel, and several pages of work for each.
constexpr std::size_t kPublished = std::size_t{256} << 10;

/// Four followers that wake up at once must not take the processor from the writer, whom all wait for: a batch thread never does.
void yield_to_writer() {
#if defined(__linux__)
    const sched_param priority{};
    static_cast<void>(sched_setscheduler(0, SCHED_BATCH, &priority));  // refused, everything is as right and a little slower
#endif
}

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
    yield_to_writer();
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
