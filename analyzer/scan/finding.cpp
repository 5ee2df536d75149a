// SPDX-License-Identifier: Apache-2.0
// The words for evidence.
#include "scan/finding.h"

namespace trapline {

std::string_view to_string(Evidence evidence) {
    switch (evidence) {
        case Evidence::reached: return "reached";
        case Evidence::swept: return "swept";
        case Evidence::hidden: return "hidden";
        case Evidence::executed: return "executed";
    }
    return "unknown";
}

}  // namespace trapline
