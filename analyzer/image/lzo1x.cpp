// SPDX-License-Identifier: Apache-2.0
// The LZO1X bit stream, as Linux Documentation/staging/lzo.rst describes it.
#include "image/lzo1x.h"

namespace trapline::image {
namespace {

// Walks one block. `bad` is set once and stays: reads past the end give 0.
class Lzo1xBlock {
public:
    Lzo1xBlock(Bytes in, std::size_t expected, std::vector<std::uint8_t>& out)
        : in_(in), out_(out), start_(out.size()), limit_(out.size() + expected) {}

    const char* expand() {
        const std::uint8_t first = peek();
        if (first > 17) {  // 18..: first - 17 literals, and the state as after as many
            ++at_;
            const std::size_t count = first - 17u;
            literals(count);
            state_ = count < 4 ? count : 4;
        }
        while (!bad_) {
            const std::uint8_t op = next();
            if (bad_) break;
            if (op < 16 && state_ == 0) {  // a run of literals
                literals(length(op, 15) + 3);
                state_ = 4;
                continue;
            }
            if (op == 17 && at_ + 2 <= in_.size() && in_[at_] == 0 && in_[at_ + 1] == 0) {  // end of stream
                at_ += 2;
                break;
            }
            match(op);
        }
        if (bad_) return bad_;
        if (out_.size() != limit_) return "the block is shorter than its header says";
        if (at_ != in_.size()) return "bytes follow the end marker of the block";
        return nullptr;
    }

private:
    std::uint8_t peek() {
        if (at_ < in_.size()) return in_[at_];
        if (!bad_) bad_ = "the block ends inside an instruction";
        return 0;
    }
    std::uint8_t next() {
        const std::uint8_t byte = peek();
        if (!bad_) ++at_;
        return byte;
    }
    // A length field of `mask` values; zero means: as many 255s as there are zero bytes, and the byte after them.
    std::size_t length(std::uint8_t op, std::uint8_t mask) {
        std::size_t value = op & mask;
        if (value != 0) return value;
        value = mask;
        std::uint8_t byte = next();
        while (byte == 0 && !bad_) {
            value += 255;
            byte = next();
        }
        return value + byte;
    }
    void literals(std::size_t count) {
        if (bad_) return;
        if (count > in_.size() - at_) {
            bad_ = "literals pass the end of the block";
        } else if (count > limit_ - out_.size()) {
            bad_ = "the block is longer than its header says";
        } else {
            out_.insert(out_.end(), in_.begin() + static_cast<std::ptrdiff_t>(at_), in_.begin() + static_cast<std::ptrdiff_t>(at_ + count));
            at_ += count;
        }
    }
    void copy(std::size_t distance, std::size_t count) {
        if (bad_) return;
        if (distance > out_.size() - start_) {
            bad_ = "a match reaches before the block";
        } else if (count > limit_ - out_.size()) {
            bad_ = "the block is longer than its header says";
        } else {
            // One by one: a match may overlap what it produces.
            for (std::size_t i = 0; i < count; ++i) out_.push_back(out_[out_.size() - distance]);
        }
    }
    void match(std::uint8_t op) {
        std::size_t distance = 0;
        std::size_t count = 0;
        std::uint8_t low = op;  // its two low bits say how many literals follow
        if (op >= 64) {
            count = op >= 128 ? 5u + (op >> 5 & 3u) : 3u + (op >> 5 & 1u);
            distance = (std::size_t{next()} << 3) + (op >> 2 & 7u) + 1;
        } else if (op >= 16) {
            const bool near = op >= 32;
            count = length(op, near ? 31 : 7) + 2;
            low = next();
            const std::size_t field = (low | std::size_t{next()} << 8) >> 2;
            distance = near ? field + 1 : 16384u + ((op & 8u) << 11) + field;
        } else if (state_ == 4) {
            count = 3;
            distance = (std::size_t{next()} << 2) + (op >> 2 & 3u) + 2049;
        } else {
            count = 2;
            distance = (std::size_t{next()} << 2) + (op >> 2 & 3u) + 1;
        }
        copy(distance, count);
        state_ = low & 3u;
        literals(state_);
    }

    Bytes in_;
    std::vector<std::uint8_t>& out_;
    std::size_t start_;
    std::size_t limit_;
    std::size_t at_ = 0;
    std::size_t state_ = 0;  // literals copied by the last instruction; 4 stands for four or more
    const char* bad_ = nullptr;
};

}  // namespace

const char* expand_lzo1x(Bytes block, std::size_t expected, std::vector<std::uint8_t>& out) {
    const std::size_t start = out.size();
    const char* wrong = Lzo1xBlock(block, expected, out).expand();
    if (wrong != nullptr) out.resize(start);
    return wrong;
}

}  // namespace trapline::image
