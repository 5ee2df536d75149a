// SPDX-License-Identifier: Apache-2.0
// Files of modules and their texts.
#include "cli/guest_modules.h"

#include "cli/input_file.h"

namespace trapline::cli {

GuestModule parse_module(const std::string& argument) {
    const std::size_t equals = argument.find('=');
    const std::string file = argument.substr(0, equals);
    return {file, equals == std::string::npos ? file : argument.substr(equals + 1), {}};
}

Result<std::vector<GuestModule>> read_modules(const std::vector<std::string>& arguments) {
    std::vector<GuestModule> modules;
    for (const std::string& argument : arguments) {
        GuestModule module = parse_module(argument);
        auto bytes = read_input_file(module.file);
        if (!bytes) return tl::unexpected(bytes.error());
        module.bytes = std::move(*bytes);
        modules.push_back(std::move(module));
    }
    return modules;
}

std::vector<executor::BootModule> boot_modules(const std::vector<GuestModule>& modules) {
    std::vector<executor::BootModule> out;
    for (const GuestModule& module : modules) out.push_back({Bytes(reinterpret_cast<const std::uint8_t*>(module.bytes.data()), module.bytes.size()), module.text});
    return out;
}

}  // namespace trapline::cli
