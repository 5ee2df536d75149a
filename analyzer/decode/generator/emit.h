// SPDX-License-Identifier: Apache-2.0
// Writes the decoder's tables as C++.
#pragma once

#include <string>

#include "decode/form_tables.h"
#include "support/error.h"

namespace trapline::decode {

/// Writes one source file that defines generated_form_tables, generated_database_version and OpcodeMaps::generated.
/// The file appears complete or not at all.
Status write_decoder_source(const std::string& path, std::string_view database_version, const OpcodeMaps& maps, const FormTables& tables);

}  // namespace trapline::decode
