// SPDX-License-Identifier: Apache-2.0
// Peer disassemblers called as directly as their libraries allow, so that they are not charged for our interface.
#pragma once

#include <memory>

#include "isa/mode.h"
#include "support/bytes.h"

namespace trapline::bench {

/// Capstone, with or without operand details.
class CapstonePeer {
public:
    CapstonePeer(Mode mode, bool detail);
    ~CapstonePeer();
    int length(Bytes bytes);  ///< 0 when it refuses the bytes

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Zydis: its minimal decoder mode, or instruction and all operands.
class ZydisPeer {
public:
    ZydisPeer(Mode mode, bool minimal);
    ~ZydisPeer();
    int length(Bytes bytes);  ///< 0 when it refuses the bytes

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trapline::bench
