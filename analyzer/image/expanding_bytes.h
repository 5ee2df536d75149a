// SPDX-License-Identifier: Apache-2.0
// A compressed stream's contents on their way: what has come can be hashed and looked at while the rest expands.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "support/bytes.h"

namespace trapline::image {

/// What one thread appends and any number of others follow. Whoever waits for a follower sees to it that finish() is called
/// in any case: see Finisher.
class ExpandingBytes {
public:
    /// Makes room for `size` bytes in all, before the first is there. Beyond it append() works too, but copies everything.
    void reserve(std::size_t size) { bytes_.reserve(size); }
    /// Gives the room; for followers, which are called when it has been made.
    std::size_t capacity() const { return bytes_.capacity(); }
    /// Adds bytes. Followers hear of them when some have gathered.
    void append(Bytes more);
    /// Says that no more will come.
    void finish();
    /// Frees what the writer needed when this goes, not before: it takes a while, and someone waits for the bytes.
    void keep(std::shared_ptr<const void> used) { used_ = std::move(used); }
    std::size_t size() const { return bytes_.size(); }
    /// Gives the bytes away. After finish() and when all followers are done.
    std::vector<std::uint8_t> take() { return std::move(bytes_); }

    /// Calls `use` with all bytes that there are and the number of those it has seen before, again and again until no more
    /// come or it returns false. The bytes stay where they are during the call and may lie elsewhere at the next.
    void follow(const std::function<bool(Bytes all, std::size_t seen)>& use) const;
    /// Says whether finish() was called: a follower whose work is of use only ahead of time stops then.
    bool finished() const;

private:
    void publish();

    std::vector<std::uint8_t> bytes_;  ///< the writer's; followers look at what was published
    mutable std::shared_mutex moving_;  ///< held by followers while they look, by the writer while the bytes move
    mutable std::mutex mutex_;          ///< of what follows
    mutable std::condition_variable changed_;
    Bytes published_;
    bool finished_ = false;
    std::shared_ptr<const void> used_;
};

/// Calls finish() when it goes out of scope.
struct Finisher {
    ExpandingBytes& bytes;
    explicit Finisher(ExpandingBytes& of) : bytes(of) {}
    Finisher(const Finisher&) = delete;
    Finisher& operator=(const Finisher&) = delete;
    ~Finisher() { bytes.finish(); }
};

}  // namespace trapline::image
