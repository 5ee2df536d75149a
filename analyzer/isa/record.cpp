// SPDX-License-Identifier: Apache-2.0
// Names of the database's enumerations, and the id rule.
#include "isa/record.h"

#include <array>

namespace trapline::isa {

namespace {
constexpr std::array<std::string_view, 9> kKinds = {"mode", "protection", "relocation", "resource_map", "interrupt", "io", "time", "identity", "user"};
constexpr std::array<std::string_view, 3> kCauses = {"privilege", "feature", "data"};
constexpr std::array<std::string_view, 9> kEras = {"i8086", "i186", "i286", "i386", "i486", "pentium", "p6", "x86-64", "modern"};
}  // namespace

std::string_view to_string(ResourceKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }
std::string_view to_string(FaultCause cause) { return kCauses[static_cast<std::size_t>(cause)]; }
std::string_view to_string(Era era) { return kEras[static_cast<std::size_t>(era)]; }

std::optional<Era> parse_era(std::string_view text) {
    for (std::size_t i = 0; i < kEras.size(); ++i)
        if (kEras[i] == text) return static_cast<Era>(i);
    return std::nullopt;
}

std::string expected_id(const Record& record) {
    std::string id = record.stem.empty() ? record.mnemonic : record.stem;
    for (const std::string& operand : record.operands) id += "_" + operand;
    if (record.encoding.osize != 0) id += "_o" + std::to_string(record.encoding.osize);
    if (record.encoding.asize != 0) id += "_a" + std::to_string(record.encoding.asize);
    if (!record.variant.empty()) id += "_" + record.variant;
    return id;
}

}  // namespace trapline::isa
