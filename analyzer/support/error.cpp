// SPDX-License-Identifier: Apache-2.0
// Rendering of errors.
#include "support/error.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace trapline {

std::string_view to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::io: return "io";
        case ErrorCode::truncated: return "truncated";
        case ErrorCode::malformed: return "malformed";
        case ErrorCode::unsupported: return "unsupported";
        case ErrorCode::inconsistent: return "inconsistent";
        case ErrorCode::refused: return "refused";
        case ErrorCode::host_limit: return "host_limit";
    }
    return "unknown";
}

std::string Error::describe() const {
    std::string text = file;
    if (offset) {
        char hex[32];
        std::snprintf(hex, sizeof hex, "0x%llx", static_cast<unsigned long long>(*offset));
        text += (text.empty() ? "offset " : " at offset ") + std::string(hex);
    }
    if (!pointer.empty()) text += (text.empty() ? "" : " at ") + pointer;
    if (!text.empty()) text += ": ";
    text += message;
    return text;
}

Error Error::within(std::string_view doing) && {
    message = std::string(doing) + ": " + message;
    return std::move(*this);
}

tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string file, std::optional<std::uint64_t> offset) {
    return tl::unexpected<Error>(Error{code, std::move(message), std::move(file), offset, {}});
}

void assertion_failed(const char* condition, const char* why, const char* file, int line) {
    std::fprintf(stderr, "trapline: internal error: %s (%s) at %s:%d\nPlease report this with the input that caused it.\n",
                 why, condition, file, line);
    std::fflush(stderr);
    std::_Exit(4);
}

}  // namespace trapline
