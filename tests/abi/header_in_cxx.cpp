// SPDX-License-Identifier: Apache-2.0
// The layout in C++: that this compiles is the test.
#include "header_layout.h"

extern "C" int abi_holds_in_cxx() { return 1; }
