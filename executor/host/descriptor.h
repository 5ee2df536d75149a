// SPDX-License-Identifier: Apache-2.0
// An open file that is closed with its owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace trapline::executor {

/// Owns a descriptor, or none (-1). Move-only.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        if (number_ >= 0) ::close(number_);
        number_ = std::exchange(other.number_, -1);
        return *this;
    }
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    int get() const { return number_; }

private:
    int number_ = -1;
};

}  // namespace trapline::executor
