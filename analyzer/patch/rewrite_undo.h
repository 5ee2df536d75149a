// SPDX-License-Identifier: Apache-2.0
// The record by which a patched file becomes the original again, bit for bit.
//
// Layout, little-endian; numbers marked * are unsigned LEB128:
//   0x00 "TRPLUNDO"   0x08 u16 major 1   0x0A u16 minor 0   0x0C u32 number of edits
//   0x10 u64 size of the original        0x18 its SHA-256 (32 bytes)
//   0x38 u64 offset, 0x40 u64 size of what was inserted: bytes of the patched file that the original does not have
//   0x48 edits by offset: *gap from the end of the edit before, *length, the original bytes
//        *length of what stood at the original's end and was dropped, its bytes
#pragma once

#include <string>

#include "patch/rewrite_writer.h"

namespace trapline::patch {

/// Original bytes at an offset of the original file.
struct UndoEdit {
    std::uint64_t offset = 0;
    Buffer bytes;
};

struct UndoRecord {
    std::uint64_t original_size = 0;
    std::string original_sha256;  ///< hex
    std::uint64_t inserted_at = 0, inserted_size = 0;
    std::vector<UndoEdit> edits;  ///< by offset, without overlap
    Buffer dropped_tail;          ///< such as a signature that no longer holds
};

/// Starts the record of `original` with nothing done to it.
UndoRecord start_undo(Bytes original);

/// Notes that the original's bytes [offset, offset + size) are going to change. Bytes noted twice are kept once.
void note_edit(UndoRecord& record, Bytes original, std::uint64_t offset, std::uint64_t size);

/// Renders the record; the result's size does not depend on the inserted range, so that range may include it.
Buffer encode_undo(const UndoRecord& record);

/// Reads a record at the start of `bytes`. Fails with `malformed`, `truncated`, or `unsupported` for a newer major version.
Result<UndoRecord> decode_undo(Bytes bytes, const std::string& file);

/// Puts the original together and holds it against the recorded SHA-256. Fails with `inconsistent` when it differs:
/// the patched file was changed after it was made; and with `malformed` when the record does not fit the file.
/// `replaced`, when not empty, stands for the bytes at its offset before the check (a stream that was made anew).
Result<Buffer> apply_undo(Bytes patched, const UndoRecord& record, const UndoEdit& replaced, const std::string& file);

}  // namespace trapline::patch
