// SPDX-License-Identifier: Apache-2.0
// A file without a format: all of it is code of one width at one address.
#pragma once

#include "image/content.h"
#include "image/image.h"

namespace trapline::image {

/// Makes an image of one executable section named "raw" at options.raw_base, with its first byte as the entry.
/// 16-bit code is taken for real-mode code. `options.raw` must be set. Fails when the code would pass the end of the
/// address space of its width.
Result<Image> open_raw(const Layer& layer, const OpenOptions& options);

}  // namespace trapline::image
