// SPDX-License-Identifier: Apache-2.0
// OpenSSL's SHA-256, which uses the processor's own instructions where it has them.
#include "image/digest.h"

#include <array>
#include <new>

#include <openssl/evp.h>

#include "support/error.h"

namespace trapline::image {

Sha256::Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context_) throw std::bad_alloc();
    const int done = EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
    TRAPLINE_ASSERT(done == 1, "SHA-256 is always there");
}

void Sha256::add(Bytes more) {
    const int done = EVP_DigestUpdate(context_.get(), more.data(), more.size());
    TRAPLINE_ASSERT(done == 1, "SHA-256 of memory cannot fail");
}

std::string Sha256::hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    const int done = EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    TRAPLINE_ASSERT(done == 1, "SHA-256 of memory cannot fail");
    return to_hex(Bytes(digest.data(), size));
}

std::string sha256_hex(Bytes bytes) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    const int done = EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
    TRAPLINE_ASSERT(done == 1, "SHA-256 of memory cannot fail");
    return to_hex(Bytes(digest.data(), size));
}

}  // namespace trapline::image
