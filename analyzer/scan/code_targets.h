// SPDX-License-Identifier: Apache-2.0
// Every address of code that something is known to lead to: branches, calls, operands, relocations, symbols and tables.
// A false target only costs a rewriter room, a missed one breaks the guest: where the bytes leave a doubt, it is a target.
#pragma once

#include <vector>

#include "scan/code_facts.h"

namespace trapline::scan {

/// Lists the targets of an image: sorted, without repeats. The sections have been swept, and descent has marked what it
/// reached. Runs in parallel under the caller's arena; takes one byte of memory for each byte of code while it works.
///
/// - branch, returned: of every swept instruction and of those that descent found between them. Behind UD2 counts as
///   returned: the trap handler of Linux's WARN resumes there.
/// - reference: a rip-relative operand, and any immediate, displacement or far pointer of 4 or 8 bytes whose value is an
///   address of code under scan (sign- or zero-extended). 16-bit code is left out: its addresses are relative to
///   segments that the bytes do not tell.
/// - In a relocatable image an absolute field means nothing by itself; slots give the addresses there, and a
///   PC-relative one is resolved from the end of the instruction that holds it.
/// - pointer: of every origin in Image::pointers. Where the image has no relocations that name them, any aligned word of
///   data whose value is an address of code, be it the start of something or the label of a switch.
std::vector<CodeTarget> find_targets(const image::Image& image, const std::vector<SectionCode>& sections, const CodePlaces& places,
                                     const decode::InstructionDecoder& decoder);

}  // namespace trapline::scan
