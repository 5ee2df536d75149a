// SPDX-License-Identifier: Apache-2.0
// Which of the project's documents a text is, by its "schema" member.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "support/error.h"

namespace trapline::reports {

/// The documents that a report can be made of.
enum class DocumentKind : std::uint8_t { scan, plan, stats };

/// Tells which of them a JSON text is; its reader says whether it is a good one. Of another major version it is told too.
/// Fails where the text is not JSON, has no schema, or is another document: then the error says which can be read.
Result<DocumentKind> find_document_kind(std::string_view text, const std::string& name);

}  // namespace trapline::reports
