// SPDX-License-Identifier: Apache-2.0
// The one error type of the project and the Result that carries it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace trapline {

/// Says which kind of refusal an Error is; the command line maps kinds to exit codes.
enum class ErrorCode : std::uint8_t {
    io,            ///< The operating system refused a read, a write or a rename.
    truncated,     ///< The input ends before what it announces.
    malformed,     ///< The input breaks its own format.
    unsupported,   ///< The format is understood but this feature of it is not.
    inconsistent,  ///< Two inputs, each well-formed, contradict each other.
    refused,       ///< A limit or a safety rule forbids it (bomb, path outside, mismatch of hashes).
    host_limit,    ///< This machine cannot do it (missing CPU feature, permission, memory).
};

/// Names the code as it appears in JSON error objects and messages.
std::string_view to_string(ErrorCode code);

/// Describes one refusal: what was found, what was expected, and where.
struct Error {
    ErrorCode code = ErrorCode::malformed;
    std::string message;                         ///< "found X, expected Y", no trailing period or newline
    std::string file;                            ///< path or archive member ("a.deb!boot/vmlinuz"); empty if none
    std::optional<std::uint64_t> offset;         ///< byte offset in `file`
    std::string pointer;                         ///< JSON pointer inside `file`; empty if none

    /// Renders "file:offset: message" for people; offsets in hex.
    std::string describe() const;
    /// Prefixes `message` with what was being done, outermost first.
    Error within(std::string_view doing) &&;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

/// Makes the failed side of a Result.
tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string file = {},
                           std::optional<std::uint64_t> offset = std::nullopt);

[[noreturn]] void assertion_failed(const char* condition, const char* why, const char* file, int line);

}  // namespace trapline

/// Stops the program on a bug of our own; never used for input. Stays on in release builds.
#define TRAPLINE_ASSERT(condition, why) \
    ((condition) ? static_cast<void>(0) : ::trapline::assertion_failed(#condition, why, __FILE__, __LINE__))
