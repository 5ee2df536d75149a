// SPDX-License-Identifier: Apache-2.0
// Puts a guest into fresh memory and the processor where its entry protocol wants it: Linux (bzImage or the kernel's own ELF
// file), Multiboot, and plain ELF programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "executor/cpu/vcpu.h"
#include "executor/device/mp_table.h"
#include "executor/mmu/guest_memory.h"
#include "support/address.h"
#include "support/bytes.h"
#include "support/error.h"

namespace trapline::executor {

/// A file that is loaded beside the image.
struct BootModule {
    Bytes bytes;
    std::string text;              ///< handed over with it: a command line or a name
};

struct BootRequest {
    Bytes image;
    std::string name;              ///< of the image, for errors
    BootModule initrd;             ///< initial RAM disk, of Multiboot guests the first module; empty for none
    std::vector<BootModule> modules;  ///< of Multiboot guests, behind the initrd
    std::string command_line;
    bool exact_command_line = false;  ///< add nothing to it
    unsigned tsc_khz = 0;          ///< of the host's time-stamp counter, told to kernels that can be told; 0 for unknown
    bool relocate = false;         ///< let a kernel choose another address for itself
    std::optional<MpProcessor> processor;  ///< told with the APICs in an MP table at F0000h; Linux kernels get one at 0 in any case
};

struct BootReport {
    std::string protocol;          ///< "Linux boot protocol 2.15 (bzImage)", "Multiboot 1", ...
    std::string command_line;      ///< as the guest gets it
    std::uint64_t entry = 0;       ///< physical
    std::vector<AddressRange> text;///< linear ranges that hold code alone, as the image's section headers say; at link and at load addresses
};

/// Finds out what the image is, loads it, and sets the processor. Fails with `unsupported` for what has no protocol known here, `malformed`
/// and `truncated` for broken headers, `refused` where memory is too small (and says how much is needed).
Result<BootReport> boot(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu);

}  // namespace trapline::executor
