// SPDX-License-Identifier: Apache-2.0
// Verdicts on real bytes, with the compiled-in database. Expected validity and names are the manuals'.
#include <catch2/catch.hpp>

#include "decode/decoder.h"
#include "decode/differences.h"
#include "decode/instruction_decoder.h"
#include "decode/witness_text.h"
#include "isa/loader.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

constexpr Mode k16r = Mode::real16, k16p = Mode::protected16, k32 = Mode::protected32, k64 = Mode::long64;

const isa::Database& database() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    return outcome.database;
}

Reconciler& reconciler() {
    static Reconciler instance = [] {
        const isa::Profile* base = database().find_profile("base");
        REQUIRE(base != nullptr);
        return Reconciler(database(), *base);
    }();
    return instance;
}

std::vector<std::uint8_t> bytes_of(std::string_view hex) {
    auto bytes = parse_hex(hex);
    REQUIRE(bytes.has_value());
    return *bytes;
}

Decoded verdict_on(std::string_view hex, Mode mode) { return reconciler().decode(bytes_of(hex), mode, VirtAddr{0x1000}); }

struct Valid {
    const char* hex;
    Mode mode;
    int length;
    const char* mnemonic;
    bool recorded;
};
struct Invalid {
    const char* hex;
    Mode mode;
};

}  // namespace

TEST_CASE("reconcile: instructions of records and others", "[decode]") {
    const Valid row = GENERATE(values<Valid>({
        {"9d", k64, 1, "popfq", true},
        {"9d", k32, 1, "popfd", true},
        {"669d", k32, 2, "popf", true},
        {"fa", k16r, 1, "cli", true},
        {"f3fa", k64, 2, "cli", true},                 // a REP that selects nothing is ignored
        {"0f01ee", k64, 3, "rdpkru", true},            // Capstone rejects it
        {"f20f01ff", k64, 4, "pvalidate", true},
        {"f00f20c0", k64, 4, "mov", true},             // MOV CR8 on AMD
        {"0f2004", k64, 3, "mov", true},               // ModRM.mod is ignored; LLVM rejects it
        {"0f01c1", k16r, 3, "vmcall", true},           // an unrestricted guest's way out of real mode
        {"0f01d7", k16p, 3, "enclu", true},            // #GP(0) from 16-bit code, not #UD
        {"f1", k64, 1, "int1", true},                  // LLVM rejects it
        {"6207", k32, 2, "bound", true},
        {"0fb9cc", k64, 3, "ud1", true},               // Capstone: two bytes
        {"90", k64, 1, "nop", true},
        {"f30f1efa", k64, 4, "endbr64", true},
        {"4889c3", k64, 3, "mov", false},
        {"63c0", k64, 2, "movsxd", false},
        {"c0f001", k32, 3, "shl", false},              // /6 is an alias; LLVM rejects it
        {"66f390", k64, 3, "pause", true},             // LLVM rejects it with 66
        {"48660511221122", k64, 5, "add", false},      // LLVM loses 66 behind a REX that does not count
        {"660f3810c1", k16p, 5, "pblendvb", false},       // both take 66 for an operand size in 16-bit code
        {"f04883400801", k64, 6, "add", false},
        {"f0ff00", k64, 3, "inc", false},
    }));
    INFO(row.hex << " in " << to_string(row.mode));
    const Decoded decoded = verdict_on(row.hex, row.mode);
    INFO(decoded.invalid_reason);
    CHECK(decoded.valid);
    CHECK(decoded.length == row.length);
    CHECK(decoded.mnemonic == row.mnemonic);
    if (row.recorded) CHECK(decoded.record != nullptr);
    const Insn insn = reconciler().decoder().decode(bytes_of(row.hex), row.mode);
    CHECK(insn.length == decoded.length);
    CHECK(insn.form == decoded.form);
    CHECK(reconciler().decoder().record(insn.form) == decoded.record);
}

TEST_CASE("reconcile: what processors reject", "[decode]") {
    const Invalid row = GENERATE(values<Invalid>({
        {"0f20c8", k64},     // CR1
        {"440f20c8", k64},   // CR9
        {"0f20e8", k32},     // CR5
        {"440f21c0", k64},   // DR8
        {"8ec8", k64},       // MOV CS
        {"0f01d2", k64},     // a hole in group 7
        {"f30f01d0", k64},   // XGETBV takes no F3
        {"0f24c0", k64},     // test registers are gone
        {"0f24d8", k32},
        {"63c0", k16r},      // ARPL in real mode
        {"0f00c0", k16r},    // SLDT in real mode
        {"0f01c2", k16r},    // VMLAUNCH in real mode
        {"06", k64},         // PUSH ES
        {"9a112233445566", k64},
        {"62c0", k32},       // BOUND with a register, too short for EVEX
        {"f0fa", k64},       // LOCK CLI
        {"f00f01d8", k64},
        {"f00faef0", k64},
        {"f00f22d8", k64},   // LOCK reaches CR8 by CR0 only
        {"f089c8", k64},
        {"f0ffc0", k64},     // INC takes LOCK in memory only
        {"0f24c0", k32},     // there never was a TR0
        {"c5f877", k16r},
        {"0f", k64},
        {"", k64},
    }));
    if (std::string_view(row.hex).empty()) {
        CHECK_FALSE(reconciler().decode(Bytes(), row.mode, VirtAddr{}).valid);
        CHECK(reconciler().decoder().decode(Bytes(), row.mode).length == 0);
        return;
    }
    INFO(row.hex << " in " << to_string(row.mode));
    const Decoded decoded = verdict_on(row.hex, row.mode);
    CHECK_FALSE(decoded.valid);
    CHECK(decoded.length == 0);
    CHECK(decoded.record == nullptr);
    CHECK_FALSE(decoded.invalid_reason.empty());
    CHECK(reconciler().decoder().decode(bytes_of(row.hex), row.mode).length == 0);
}

TEST_CASE("reconcile: a witness that differs is named with the reason", "[decode]") {
    const Decoded pkru = verdict_on("0f01ee", k64);
    REQUIRE(pkru.disagreements.size() == 1);
    CHECK(pkru.disagreements[0].decoder == "capstone");
    CHECK(pkru.disagreements[0].says == "invalid");
    CHECK_FALSE(pkru.disagreements[0].reason.empty());
    CHECK(pkru.text == "rdpkru");

    const Decoded ud1 = verdict_on("0fb9cc", k64);
    REQUIRE(ud1.disagreements.size() == 1);
    CHECK(ud1.disagreements[0].says == "length 2");

    CHECK(verdict_on("fa", k64).disagreements.empty());
    CHECK(verdict_on("f089c8", k64).disagreements.size() >= 1);  // LLVM gives LOCK and MOV as two instructions
}

TEST_CASE("reconcile: every example that its profile has decodes to its length with each difference explained", "[decode]") {
    const isa::Profile& base = *database().find_profile("base");
    for (const isa::Record& record : database().records) {
        if (!isa::exists_in(record, base)) continue;
        for (const isa::Example& example : record.examples) {
            INFO(record.id << " " << to_hex(example.bytes) << " in " << to_string(example.mode));
            const Decoded decoded = reconciler().decode(example.bytes, example.mode, VirtAddr{0x1000});
            CHECK(decoded.valid);
            CHECK(decoded.length == static_cast<int>(example.bytes.size()));
            for (const Disagreement& disagreement : decoded.disagreements) {
                INFO(disagreement.decoder << " says " << disagreement.says);
                CHECK_FALSE(disagreement.reason.empty());
            }
        }
    }
}

TEST_CASE("reconcile: profiles of old processors have their own forms", "[decode]") {
    const isa::Profile* i8086 = database().find_profile("i8086");
    REQUIRE(i8086 != nullptr);
    Reconciler old(database(), *i8086);
    const Decoded pop_cs = old.decode(bytes_of("0f01"), k16r, VirtAddr{});
    CHECK(pop_cs.valid);
    CHECK(pop_cs.length == 1);
    CHECK(pop_cs.mnemonic == "pop");

    const isa::Profile* i386 = database().find_profile("i386");
    REQUIRE(i386 != nullptr);
    Reconciler later(database(), *i386);
    CHECK(later.decode(bytes_of("0f24f0"), k32, VirtAddr{}).valid);         // mov eax, tr6
    CHECK_FALSE(later.decode(bytes_of("0f24d8"), k32, VirtAddr{}).valid);   // TR3 came with the i486
    CHECK_FALSE(later.decode(bytes_of("0fa2"), k32, VirtAddr{}).valid);     // CPUID came later
}

TEST_CASE("witness: text is brought to one form", "[decode]") {
    CHECK(single_spaced("\tmov\teax,  ebx   # imm = 0x1") == "mov eax, ebx");
    CHECK(mnemonic_of("lock add dword ptr [rax], eax") == "add");
    CHECK(mnemonic_of("rep movsb byte ptr [rdi], byte ptr [rsi]") == "movsb");
    CHECK(mnemonic_of("{evex} vaddps xmm0, xmm1, xmm2") == "vaddps");
    CHECK(mnemonic_of("data16").empty());
    CHECK(with_mnemonic("lock mov rax, cr0", "movx") == "lock movx rax, cr0");
}

TEST_CASE("witness: LLVM's separate prefixes are joined with what follows", "[decode]") {
    const auto llvm = make_llvm_witness();
    const auto bytes = bytes_of("f0480fb10f");
    const Opinion opinion = llvm->decode(bytes, k64, VirtAddr{});
    CHECK(opinion.length == 5);
    CHECK(opinion.mnemonic == "cmpxchg");
    CHECK(llvm->length(bytes, k64) == 5);
    CHECK(llvm->length(bytes_of("f0"), k64) == 0);  // LOCK with nothing behind it
    CHECK(llvm->decode(bytes_of("e800000000"), k64, VirtAddr{0x1000}).text == "call 0x1005");
}
