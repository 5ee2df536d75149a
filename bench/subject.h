// SPDX-License-Identifier: Apache-2.0
// What is measured on: the code of one real image, and the places in it where the sweep finds instructions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "classify/tags.h"
#include "image/image.h"
#include "isa/database.h"
#include "support/bytes.h"
#include "support/error.h"

namespace trapline::bench {

/// One instruction of the sweep.
struct Place {
    std::uint64_t offset : 60;  ///< in its section
    std::uint64_t length : 4;   ///< bytes, 1..15
};

/// The instructions of one executable section, in order. Padding and undecodable bytes are left out.
struct Code {
    Bytes bytes;  ///< the whole section, owned by the image
    Mode mode = Mode::long64;
    std::vector<Place> places;
};

/// The instructions of the largest executable section one behind the other, without padding and what does not decode.
struct DenseCode {
    std::vector<std::uint8_t> bytes;
    Mode mode = Mode::long64;
    std::vector<Place> places;  ///< in `bytes`
};

/// An image with its instructions. All decoders are given the same places, so that one which loses step with the code
/// does not get other work than the rest, and all do the same number of bytes.
struct Subject {
    std::string path;
    std::unique_ptr<isa::Database> database;
    std::unique_ptr<classify::TagTable> tags;  ///< under profile base
    image::Image image;                        ///< of those inside `path` the one with the most executable bytes
    std::vector<Code> code;
    DenseCode dense;
    std::uint64_t executable_bytes = 0;  ///< padding and undecodable bytes among them
    std::uint64_t instructions = 0;
    std::uint64_t instruction_bytes = 0;  ///< what every rate is counted in
};

/// Opens `path` and sweeps it once, unmeasured. Fails where the file does, and when there is no code in it.
Result<Subject> open_subject(const std::string& path);

}  // namespace trapline::bench
