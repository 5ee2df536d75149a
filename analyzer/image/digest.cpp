// SPDX-License-Identifier: Apache-2.0
// OpenSSL's SHA-256, which uses the processor's own instructions where it has them.
#include "image/digest.h"

#include <array>

#include <openssl/evp.h>

#include "support/error.h"

namespace trapline::image {

std::string sha256_hex(Bytes bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    const int done = EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
    TRAPLINE_ASSERT(done == 1, "SHA-256 of memory cannot fail");
    return to_hex(Bytes(digest.data(), size));
}

}  // namespace trapline::image
