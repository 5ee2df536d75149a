// SPDX-License-Identifier: Apache-2.0
// One finding as a JSON object, with the field names of the command line's documentation; shared by scan.json and JSON
// lines. Internal to reports/.
#pragma once

#include "reports/json_document.h"
#include "scan/finding.h"

namespace trapline::reports {

/// Makes the object's text, on one line. `source` is null when no debug information names a line; strings are empty when
/// unknown.
std::string finding_json(const Finding& finding);

/// Reads it back; a fault goes to `status` with `pointer` as the finding's place. Also refused: tags that contradict each
/// other (critical but privileged, critical but not sensitive, sensitive and unprivileged but not critical).
Finding finding_from_json(const Json& value, const std::string& pointer, const std::string& name, Status& status);

/// Makes {file, line}, or null for an empty file.
Json source_to_json(const std::string& file, std::uint32_t line);
/// Reads the "source" member of `reader`'s object.
void read_source(ObjectReader& reader, const std::string& name, Status& status, std::string& file, std::uint32_t& line);
/// Reads the "privileged" member: yes, no or cond:TOKEN.
void read_privileged(ObjectReader& reader, std::string& privileged);
/// Reads the "evidence" member; only a plan's may be "executed".
enum class EvidenceOf : std::uint8_t { scan, plan };
void read_evidence(ObjectReader& reader, Evidence& evidence, EvidenceOf document);

}  // namespace trapline::reports
