// SPDX-License-Identifier: Apache-2.0
// The SHA-256 that documents identify an image by.
#pragma once

#include <memory>
#include <string>

#include "support/bytes.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace trapline::image {

/// Hashes bytes that come piece by piece.
class Sha256 {
public:
    Sha256();
    void add(Bytes more);
    /// The digest as sha256_hex gives it. Once, at the end.
    std::string hex();

private:
    std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

/// Hashes the bytes with SHA-256; lower-case hex of 64 digits. 1 to 2 GB/s where the processor has the SHA extensions.
std::string sha256_hex(Bytes bytes);

}  // namespace trapline::image
