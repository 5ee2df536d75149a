// SPDX-License-Identifier: Apache-2.0
// What the monitor, in whose process hostile code runs, gives up before it runs any: other processes, files, the network, and
// every system call that it has no use for. The process is the wall: code that breaks out of the guest's 32-bit world finds
// nothing here that it could use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/error.h"

namespace trapline::executor {

/// The parts of the wall. Those marked optional are left out where the host does not have them.
enum class Layer : std::uint8_t {
    no_new_privileges,
    no_tracing,      ///< not dumpable: other processes of the user cannot read it, and it leaves no core
    limits,          ///< no new processes, descriptors or core files; bounded memory
    namespaces,      ///< optional: a user namespace without rights, an empty network, no shared IPC
    landlock,        ///< optional: no file can be opened
    seccomp,
};
inline constexpr unsigned kLayers = 6;
std::string_view to_string(Layer layer);

/// The descriptors that the monitor keeps. Standard input, output and error are the guest's input, the guest's output and a pipe for a last
/// word; all must be open.
struct KeptDescriptors {
    int results = -1;         ///< written
    int trace = -1;           ///< written; -1 for none
    int ram = -1, code = -1;  ///< memory files, mapped
    std::uint64_t heap_bytes = std::uint64_t{768} << 20;  ///< private memory that the process may have
};

/// Gives up everything but system calls. Returns the layers (bits by Layer) that are in force. Call in the forked child, while it has one
/// thread. Fails with `host_limit` where one that is not optional is refused.
Result<std::uint32_t> confine_process(const KeptDescriptors& kept);
/// Gives up system calls: allowed are from now on those that running a guest takes.
Status confine_calls(const KeptDescriptors& kept);

/// Why this host has no Landlock; empty when it has. For `doctor`.
std::string missing_landlock();

}  // namespace trapline::executor
