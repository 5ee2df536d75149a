// SPDX-License-Identifier: Apache-2.0
// What came of holding a patched image against its plan: a document without behaviour.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trapline {

/// What is wrong at one place.
enum class VerifyKind : std::uint8_t {
    write,      ///< "write": the image does not have the bytes that the plan writes
    stub,       ///< "stub": nor those of a stub
    unpatched,  ///< "unpatched": a critical instruction that control flow reaches stands there, and nothing is done about it
    unknown,    ///< "unknown": such an instruction that the plan does not know
    proof,      ///< "proof": a patch does something else than the original
    image,      ///< "image": a part of the plan's image was not found
};
inline constexpr std::array<VerifyKind, 6> kAllVerifyKinds = {VerifyKind::write,   VerifyKind::stub,  VerifyKind::unpatched,
                                                              VerifyKind::unknown, VerifyKind::proof, VerifyKind::image};
std::string_view to_string(VerifyKind kind);

struct VerifyFinding {
    VerifyKind kind = VerifyKind::proof;
    std::string part;            ///< of a bzImage; else empty
    std::string section;         ///< empty where none is meant
    std::uint64_t address = 0;   ///< as the plan counts
    std::string symbol;          ///< empty when unknown
    std::uint64_t symbol_offset = 0;
    std::string text;            ///< one sentence without a full stop
    std::string report;          ///< of a proof: the state and both traces, several lines; else empty
};

/// What became of the critical instructions of one part.
struct VerifyPart {
    std::string part;            ///< of a bzImage; else empty
    std::uint64_t patches = 0, proved = 0;
    std::uint64_t critical_reached = 0, critical_swept = 0;  ///< as in VerifyReport
    std::uint64_t interpreted = 0;  ///< of those reached: in the setup, whose real-mode code an interpreter runs whole
};

/// A goal of the project and what the plan reaches of it, in the counts of sites that a share is made of.
struct VerifyGoal {
    std::string part;            ///< of a bzImage; empty for the whole image
    std::string what;            ///< "critical sites covered"
    double wanted = 0;           ///< per cent
    bool at_least = true;        ///< false: at most
    std::uint64_t sites = 0, of = 0;
    bool met = false;
};

struct VerifyReport {
    std::string image;           ///< the patched one
    std::string plan_sha256;     ///< of the image that the plan is for
    std::uint64_t seed = 0, rounds_each = 0;
    std::uint64_t writes = 0, stubs = 0;             ///< compared
    std::uint64_t patches = 0, proved = 0, rounds = 0;
    std::uint64_t critical_reached = 0;              ///< critical instructions of the re-scan that control flow reaches, stubs left out
    std::uint64_t critical_swept = 0;                ///< those that only the sweep meets, or hidden ones
    std::vector<VerifyPart> parts;                   ///< in the order of the image
    std::vector<VerifyGoal> goals;                   ///< part by part, then of the whole image
    std::vector<VerifyFinding> findings;             ///< by part, kind, address
    std::vector<std::string> notes;
};

}  // namespace trapline
