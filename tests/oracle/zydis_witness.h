// SPDX-License-Identifier: Apache-2.0
// Zydis as a third witness, for tests and benchmarks only: the program itself does without it.
#pragma once

#include <memory>

#include "decode/decoder.h"

namespace trapline::oracle {

/// Makes a witness named "zydis" that decodes with every validity check of the library, Intel's branches and without
/// Knights Corner's MVEX.
std::unique_ptr<decode::Witness> make_zydis_witness();

}  // namespace trapline::oracle
