// SPDX-License-Identifier: Apache-2.0
// Members that several JSON documents share. Internal to reports/.
#pragma once

#include <string_view>

#include "reports/json_document.h"
#include "scan/finding.h"

namespace trapline::reports {

/// Makes the "image" member: what was scanned.
Json image_to_json(const ScanDocument& document);

/// Reads the "schema" member, which must be `expected`. Another major version of the same schema is `unsupported`; the
/// message says that the document is to be made again by `command`, and of a newer one which program reads it.
void read_schema(ObjectReader& reader, std::string_view expected, std::string_view command);

}  // namespace trapline::reports
