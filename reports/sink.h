// SPDX-License-Identifier: Apache-2.0
// Where renderers put long output: a function that takes it piece by piece, so that nothing here does I/O.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace trapline::reports {

/// Takes the next piece of a document, in order. The view is valid during the call only.
using Sink = std::function<void(std::string_view)>;

/// Gathers what `write` gives its sink into one string.
template <class Write>
std::string collect(Write&& write) {
    std::string text;
    const Sink sink = [&text](std::string_view piece) { text += piece; };
    write(sink);
    return text;
}

}  // namespace trapline::reports
