// SPDX-License-Identifier: Apache-2.0
#include "executor/cpu/execution.h"

namespace trapline::executor {

bool Execution::refuse(unsigned which) {
    fault = which == kSs ? Fault::stack_fault() : Fault::general_protection();
    return false;
}

bool Execution::misaligned() {
    fault = {Vector::alignment_check, 0, 0};
    return false;
}

}  // namespace trapline::executor
