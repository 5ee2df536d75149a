// SPDX-License-Identifier: Apache-2.0
// Ownership and errors of libarchive readers, for the two files that use the library.
#pragma once

#include <archive.h>
#include <memory>
#include <string>

#include "support/error.h"

namespace trapline::image {

struct ArchiveReaderClose {
    void operator()(archive* a) const { archive_read_free(a); }
};
using ArchiveReader = std::unique_ptr<archive, ArchiveReaderClose>;

/// Turns the reader's last error into ours: `truncated` where the library says the input ended, else `malformed`.
/// `offset` is the number of compressed bytes it had consumed.
Error libarchive_error(archive* a, std::string doing, const std::string& name);

}  // namespace trapline::image
