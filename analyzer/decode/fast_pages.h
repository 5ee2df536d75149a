// SPDX-License-Identifier: Apache-2.0
// Flat pages over maps one and 0F for the instructions of ordinary code: length and form by two loads. Whatever a page
// does not decide it marks complex; the full decoder does the rest, and both are held equal in the tests.
#pragma once

#include <vector>

#include "decode/form_tables.h"

namespace trapline::decode {

struct FastPages {
    std::vector<FastEntry> pages;
    std::vector<FormIndex> leaves;
};

FastPages build_fast_pages(const FormTables& tables, const OpcodeMaps& maps);

}  // namespace trapline::decode
