// SPDX-License-Identifier: Apache-2.0
// SHA-256 from LLVM's support library.
#include "image/digest.h"

#include <llvm/ADT/ArrayRef.h>
#include <llvm/Support/SHA256.h>

namespace trapline::image {

std::string sha256_hex(Bytes bytes) {
    const auto digest = llvm::SHA256::hash(llvm::ArrayRef<std::uint8_t>(bytes.data(), bytes.size()));
    return to_hex(Bytes(digest.data(), digest.size()));
}

}  // namespace trapline::image
