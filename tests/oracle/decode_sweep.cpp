// SPDX-License-Identifier: Apache-2.0
// Compares the structure parser's lengths with LLVM's and Capstone's over all executable bytes of a file, and prints
// each class of difference with its count, one example and the reason that decoder-differences.json gives.
//
//   decode_sweep FILE 16r|16p|32|64 [SECTION]      an ELF file, all executable sections or one; else flat code
//
// Exit codes: 0 every difference is explained, 1 some are not, 2 usage, 3 bad input.
#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Object/ObjectFile.h>

#include "decode/decoder.h"
#include "decode/differences.h"
#include "decode/structure.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

struct DifferenceClass {
    std::uint64_t count = 0;
    std::uint64_t first_address = 0;
    std::string bytes, witness_text, reason;
};

struct Tally {
    std::uint64_t instructions = 0, bytes = 0, invalid_for_all = 0;
    std::map<std::string, DifferenceClass> classes;
};

std::string place(const Structure& structure) {
    const isa::EncodingKey& key = structure.key;
    std::string text = fmt::format("{} {:02X}", isa::to_string(key.map), key.opcode);
    switch (key.prefix) {
        case isa::PrefixSet::np: break;
        case isa::PrefixSet::p66: text += " 66"; break;
        case isa::PrefixSet::f3: text += " f3"; break;
        case isa::PrefixSet::f2: text += " f2"; break;
    }
    if (key.has_modrm) text += fmt::format(" /{} {}", key.reg & 7, key.mod == 3 ? "reg" : "mem");
    if (key.lock) text += " lock";
    return text;
}

void sweep(Bytes code, std::uint64_t address, Mode mode, Tally& tally) {
    const auto llvm = make_llvm_witness(), capstone = make_capstone_witness();
    const OpcodeMaps& maps = OpcodeMaps::embedded();
    const DecoderDifferences& differences = DecoderDifferences::embedded();
    for (std::size_t at = 0; at < code.size();) {
        const Bytes rest = code.subspan(at);
        const Structure structure = parse_structure(maps, rest, mode);
        const int ours = structure.valid() ? structure.length : 0;
        int settled = ours;
        for (Witness* witness : {llvm.get(), capstone.get()}) {
            const int theirs = witness->length(rest, mode);
            if (settled == 0 && witness == llvm.get()) settled = theirs;
            if (theirs == ours) continue;
            const Opinion opinion = witness->decode(rest, mode, VirtAddr{address + at});
            const Says says = theirs == 0 ? Says::invalid : ours == 0 ? Says::valid : Says::length;
            const Difference* row = differences.find(witness->name(), structure, says, opinion.mnemonic);
            const std::string name = fmt::format("{:<9} {:<24} ours {} ({}), theirs {} {}", witness->name(), place(structure), ours,
                                                 to_string(structure.status), theirs, opinion.mnemonic);
            DifferenceClass& entry = tally.classes[name];
            if (entry.count++ == 0) {
                entry.first_address = address + at;
                entry.bytes = to_hex(rest.first(std::min<std::size_t>(rest.size(), kMaxInstructionLength)));
                entry.witness_text = opinion.text;
                if (row != nullptr) entry.reason = row->reason;
            }
        }
        ++tally.instructions;
        if (settled == 0) ++tally.invalid_for_all;
        at += static_cast<std::size_t>(std::max(settled, 1));
    }
    tally.bytes += code.size();
}

int report(const Tally& tally, double seconds) {
    std::uint64_t unexplained = 0;
    for (const auto& [name, entry] : tally.classes) {
        fmt::print("{:>9}  {}\n           at {:#x}: {}  {}\n           {}\n", entry.count, name, entry.first_address, entry.bytes,
                   entry.witness_text, entry.reason.empty() ? "UNEXPLAINED" : entry.reason);
        if (entry.reason.empty()) unexplained += entry.count;
    }
    fmt::print("{} bytes, {} instructions, {} classes of difference, {} instructions with an unexplained one, {} bytes that nobody "
               "decodes, {:.1f} s\n",
               tally.bytes, tally.instructions, tally.classes.size(), unexplained, tally.invalid_for_all, seconds);
    return unexplained == 0 ? 0 : 1;
}

int run(const std::string& path, Mode mode, const std::string& only) {
    auto buffer = llvm::MemoryBuffer::getFile(path, false, false);
    if (!buffer) {
        fmt::print(stderr, "{}: {}\n", path, buffer.getError().message());
        return 3;
    }
    const llvm::StringRef text = (*buffer)->getBuffer();
    const auto as_bytes = [](llvm::StringRef data) { return Bytes(reinterpret_cast<const std::uint8_t*>(data.data()), data.size()); };
    const auto start = std::chrono::steady_clock::now();
    Tally tally;
    auto object = llvm::object::ObjectFile::createObjectFile((*buffer)->getMemBufferRef());
    if (!object) {
        llvm::consumeError(object.takeError());
        sweep(as_bytes(text), 0, mode, tally);
    } else {
        for (const llvm::object::SectionRef& section : (*object)->sections()) {
            llvm::Expected<llvm::StringRef> name = section.getName();
            llvm::Expected<llvm::StringRef> contents = section.getContents();
            const bool readable = static_cast<bool>(name) && static_cast<bool>(contents);
            if (readable && section.isText() && (only.empty() || *name == only)) sweep(as_bytes(*contents), section.getAddress(), mode, tally);
            llvm::consumeError(name.takeError());
            llvm::consumeError(contents.takeError());
        }
    }
    return report(tally, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

}  // namespace

int main(int argc, char** argv) {
    const std::optional<Mode> mode = argc >= 3 ? parse_mode(argv[2]) : std::nullopt;
    if (!mode || argc > 4) {
        fmt::print(stderr, "usage: decode_sweep FILE 16r|16p|32|64 [SECTION]\n");
        return 2;
    }
    return run(argv[1], *mode, argc == 4 ? argv[3] : "");
}
