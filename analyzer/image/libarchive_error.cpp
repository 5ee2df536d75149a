// SPDX-License-Identifier: Apache-2.0
// Turns what libarchive reports into our errors.
#include "image/libarchive_error.h"

#include <fmt/format.h>
#include <string_view>

namespace trapline::image {

Error libarchive_error(archive* a, std::string doing, const std::string& name) {
    const char* text = archive_error_string(a);
    const std::string said = text ? text : "no reason given";
    // The library has no error code for "ended early"; its filters all say it in one of these words.
    const bool truncated = said.find("runcated") != std::string::npos || said.find("nexpected end") != std::string::npos ||
                           said.find("premature") != std::string::npos ||
                           said.find("No progress is possible") != std::string::npos;  // liblzma at an early end
    const la_int64_t consumed = archive_filter_bytes(a, -1);
    Error error;
    error.code = truncated ? ErrorCode::truncated : ErrorCode::malformed;
    error.message = fmt::format("{}: {}", doing, said);
    error.file = name;
    if (consumed > 0) error.offset = static_cast<std::uint64_t>(consumed);
    return error;
}

}  // namespace trapline::image
