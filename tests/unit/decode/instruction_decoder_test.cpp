// SPDX-License-Identifier: Apache-2.0
// The generated decoder: length and form of real bytes, all expected from the manuals; its paths against each other; its
// tables against tables built afresh.
#include <catch2/catch.hpp>

#include <random>

#include "decode/form_index.h"
#include "decode/instruction_decoder.h"
#include "isa/loader.h"

using namespace trapline;
using namespace trapline::decode;

namespace {

constexpr Mode k16r = Mode::real16, k16p = Mode::protected16, k32 = Mode::protected32, k64 = Mode::long64;

const isa::Database& database() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    return outcome.database;
}

InstructionDecoder decoder_under(const std::string& profile) {
    const isa::Profile* found = database().find_profile(profile);
    REQUIRE(found != nullptr);
    return InstructionDecoder(database(), *found);
}

const InstructionDecoder& base() {
    static const InstructionDecoder decoder = decoder_under("base");
    return decoder;
}

std::vector<std::uint8_t> bytes_of(std::string_view hex) {
    const auto bytes = parse_hex(hex);
    REQUIRE(bytes.has_value());
    return *bytes;
}

struct Row {
    const char* hex;
    Mode mode;
    int length;  ///< 0: no instruction
    const char* mnemonic;
};

/// Checks both decoding ways, alone and with bytes behind, where the pages decide.
void check_row(const Row& row) {
    INFO(row.hex << " in mode " << to_string(row.mode));
    std::vector<std::uint8_t> bytes = bytes_of(row.hex);
    const Insn exact = base().decode(bytes, row.mode);
    CHECK(int{exact.length} == row.length);
    CHECK(base().mnemonic(exact.form) == row.mnemonic);
    CHECK(base().decode_full(bytes, row.mode) == exact);
    if (row.length == 0) return;
    bytes.resize(bytes.size() + 64, 0xCC);
    CHECK(base().decode(bytes, row.mode) == exact);
}

}  // namespace

TEST_CASE("decoder: legacy instructions and prefixes", "[decode]") {
    check_row(GENERATE(values<Row>({
        {"90", k64, 1, "nop"},
        {"4190", k64, 2, "xchg"},                       // REX.B: XCHG R8, RAX
        {"f390", k64, 2, "pause"},
        {"01d8", k32, 2, "add"},
        {"6601d8", k32, 3, "add"},
        {"480111", k64, 3, "add"},
        {"4c8b842478563412", k64, 8, "mov"},
        {"0fb6c0", k32, 3, "movzx"},
        {"f00fc10b", k64, 4, "xadd"},                   // LOCK on memory
        {"f3a4", k64, 2, "movsb"},
        {"f2af", k32, 2, "scasd"},
        {"66ab", k32, 2, "stosw"},
        {"48ab", k64, 2, "stosq"},
        {"6698", k64, 2, "cbw"},
        {"98", k64, 1, "cwde"},
        {"4898", k64, 2, "cdqe"},
        {"e3fe", k64, 2, "jrcxz"},
        {"67e3fe", k64, 3, "jecxz"},
        {"e3fe", k16r, 2, "jcxz"},
        {"0f05", k64, 2, "syscall"},
        {"fa", k32, 1, "cli"},
        {"9d", k64, 1, "popfq"},
        {"669d", k64, 2, "popf"},
        {"d9f0", k32, 2, "f2xm1"},
        {"dec9", k32, 2, "fmulp"},
        {"9b", k16r, 1, "wait"},
        {"37", k16r, 1, "aaa"},
        {"6acc", k64, 2, "push"},
    })));
}

TEST_CASE("decoder: mandatory prefixes select", "[decode]") {
    check_row(GENERATE(values<Row>({
        {"0f58c1", k64, 3, "addps"},
        {"660f58c1", k64, 4, "addpd"},
        {"f30f58c1", k64, 4, "addss"},
        {"f20f58c1", k64, 4, "addsd"},
        {"66f20f58c1", k64, 5, "addsd"},                // F2 outranks 66
        {"f2f30f58c1", k64, 5, "addss"},                // the last of F2 and F3 counts
        {"f30fb8c1", k64, 4, "popcnt"},
        {"f30fbcc1", k64, 4, "tzcnt"},
        {"0fbcc1", k64, 3, "bsf"},
        {"f20f38f0c1", k64, 5, "crc32"},
        {"0f38f001", k64, 4, "movbe"},
        {"660f3a0fc108", k64, 6, "palignr"},
        {"0f0fc19e", k32, 4, "pfadd"},                  // 3DNow!: the suffix is the opcode
        {"0f0f44881096", k32, 6, "pfrcp"},
        {"0f0fc100", k32, 0, ""},                       // and 00 is none
    })));
}

TEST_CASE("decoder: immediates, offsets and far pointers by size", "[decode]") {
    check_row(GENERATE(values<Row>({
        {"f6c012", k64, 3, "test"},                     // TEST alone in its group has an immediate
        {"f6c812", k64, 3, "test"},                     // /1 is its alias
        {"f6d0", k64, 2, "not"},
        {"f7c012345678", k64, 6, "test"},
        {"66f7c01234", k64, 5, "test"},
        {"48f7c012345678", k64, 7, "test"},
        {"f7d8", k64, 2, "neg"},
        {"a01122334455667788", k64, 9, "mov"},
        {"67a011223344", k64, 6, "mov"},
        {"a011223344", k32, 5, "mov"},
        {"67a01122", k32, 4, "mov"},
        {"a31122", k16r, 3, "mov"},
        {"48b81122334455667788", k64, 10, "mov"},
        {"b811223344", k64, 5, "mov"},
        {"9a112233445566", k32, 7, "call"},
        {"9a11223344", k16r, 5, "call"},
        {"66ea112233445566", k16r, 8, "jmp"},
        {"ea112233445566", k64, 0, ""},
        {"c8112203", k64, 4, "enter"},
        {"e811223344", k64, 5, "call"},
        {"66e81122", k32, 4, "call"},
    })));
}

TEST_CASE("decoder: VEX, EVEX, XOP and REX2", "[decode]") {
    check_row(GENERATE(values<Row>({
        {"c5f877", k64, 3, "vzeroupper"},
        {"c5fc77", k64, 3, "vzeroall"},
        {"c5f458c2", k64, 4, "vaddps"},
        {"c4e2712cc2", k64, 0, ""},                     // VMASKMOVPS takes memory only
        {"c4e2712c02", k64, 5, "vmaskmovps"},
        {"c4e2f1f5c2", k64, 0, ""},                     // 66 0F38 F5 is nothing in VEX
        {"c4e2f0f5c2", k64, 5, "bzhi"},
        {"c5fc58c2", k16r, 0, ""},                      // no VEX in real mode
        {"c501", k32, 2, "lds"},
        {"c401", k32, 2, "les"},
        {"66c5fc58c2", k64, 0, ""},                     // 66 before VEX
        {"f0c5fc58c2", k64, 0, ""},
        {"62f1744858c2", k64, 6, "vaddps"},
        {"62f1746858c2", k64, 0, ""},                   // L'L = 11
        {"62f1747858c2", k64, 6, "vaddps"},             // the same L'L with b: rounding to zero
        {"62f174c958c2", k64, 6, "vaddps"},             // zeroing with k1
        {"62f174c858c2", k64, 0, ""},                   // zeroing without a mask
        {"62f17c4858c2", k64, 6, "vaddps"},
        {"6207", k32, 2, "bound"},
        {"8fe97812c0", k64, 5, "llwpcb"},
        {"8fe86085c110", k64, 6, "vpmacssww"},
        {"8f00", k64, 2, "pop"},
        {"d510b9112233ff", k64, 7, "mov"},               // REX2: MOV R17D, imm32
        {"d58058c1", k64, 4, "addps"},                   // REX2.M0 takes the place of 0F
        {"d500a11122334455667788", k64, 11, "jmpabs"},
        {"d510", k32, 2, "aad"},
        {"d50040", k64, 0, ""},                          // row 4 takes no REX2
        {"62f4741801d8", k64, 6, "add"},                 // APX: three operands
        {"62f47c0811d8", k64, 6, "adc"},
        {"62f47c0c11d8", k64, 0, ""},                    // ADC has no NF
    })));
}

TEST_CASE("decoder: what LOCK may stand before", "[decode]") {
    check_row(GENERATE(values<Row>({
        {"f00100", k64, 3, "add"},
        {"f001c0", k64, 0, ""},    // register destination
        {"f00300", k64, 0, ""},    // memory as source
        {"f0833801", k64, 0, ""},  // CMP
        {"f0830001", k64, 4, "add"},
        {"f00fb10b", k64, 4, "cmpxchg"},
        {"f00fc70e", k64, 4, "cmpxchg8b"},
        {"f0480fc70e", k64, 5, "cmpxchg16b"},
        {"f090", k64, 0, ""},
        {"f0f7d0", k64, 0, ""},
        {"f0f710", k64, 3, "not"},
        {"f0f70011223344", k64, 0, ""},  // TEST
        {"f00fba2801", k64, 5, "bts"},
        {"f00fba2001", k64, 0, ""},  // BT
    })));
}

TEST_CASE("decoder: fifteen bytes and not one more", "[decode]") {
    std::string fifteen, sixteen;
    for (int i = 0; i < 14; ++i) fifteen += "2e";
    for (int i = 0; i < 15; ++i) sixteen += "2e";
    check_row({(fifteen + "90").c_str(), k32, 15, "nop"});
    check_row({(sixteen + "90").c_str(), k32, 0, ""});
    // LOCK ADD [FS:EAX*4 + disp32], imm32 with two spare prefixes, then with three.
    check_row({"2e2e64f081048511223344112233", k32, 0, ""});  // fourteen bytes of fifteen
    check_row({"2e2e64f08104851122334411223344", k32, 15, "add"});
    check_row({"2e2e2e64f08104851122334411223344", k32, 0, ""});
}

TEST_CASE("decoder: truncation at every byte", "[decode]") {
    const Row row = GENERATE(values<Row>({
        {"f0480fc74c2410", k64, 7, ""},
        {"2e2e64f08104851122334411223344", k32, 15, ""},
        {"62f1744858842411223344", k64, 11, ""},
        {"c4e37d0684241122334455", k64, 11, ""},
        {"d500a11122334455667788", k64, 11, ""},
        {"0f0f44881096", k32, 6, ""},
        {"8fea7812842411223344ff000000", k64, 14, ""},
        {"9a112233445566", k32, 7, ""},
    }));
    const auto bytes = bytes_of(row.hex);
    INFO(row.hex);
    REQUIRE(int{base().decode(bytes, row.mode).length} == row.length);
    for (int size = 0; size < row.length; ++size) {
        INFO("cut to " << size);
        CHECK(base().decode(Bytes(bytes).first(static_cast<std::size_t>(size)), row.mode) == Insn{});
    }
}

TEST_CASE("decoder: pages and parser agree on random bytes", "[decode]") {
    // Half of the windows begin with bytes that lead somewhere: prefixes, escapes, REX, VEX and EVEX.
    constexpr std::uint8_t kLeads[] = {0x66, 0xF2, 0xF3, 0xF0, 0x67, 0x2E, 0x64, 0x0F, 0x48, 0x41, 0x4F, 0xC4, 0xC5, 0x62, 0x8F, 0xD5};
    constexpr int kWindows = 60000;
    std::mt19937 random(20240611);
    std::vector<std::uint8_t> bytes(32);
    for (const char* profile : {"base", "i386"}) {
        const InstructionDecoder decoder = decoder_under(profile);
        for (Mode mode : kAllModes) {
            int valid = 0, differences = 0;
            for (int window = 0; window < kWindows; ++window) {
                for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
                for (std::size_t i = 0; i < random() % 4; ++i) bytes[i] = kLeads[random() % std::size(kLeads)];
                const Insn insn = decoder.decode(bytes, mode);
                valid += insn.length != 0;
                if (insn == decoder.decode_full(bytes, mode) && (insn.length == 0) == (insn.form == 0)) continue;
                if (++differences == 1) UNSCOPED_INFO("first: " << to_hex(bytes));
            }
            INFO(profile << ", mode " << to_string(mode));
            CHECK(differences == 0);
            CHECK(valid > kWindows / 10);
        }
    }
}

TEST_CASE("decoder: generated tables are those of the embedded files", "[decode]") {
    REQUIRE(generated_database_version() == database().version);
    const OwnedFormTables fresh = build_form_tables(database(), OpcodeMaps::generated());
    const FormTables& generated = generated_form_tables();
    CHECK(std::equal(fresh.buckets.begin(), fresh.buckets.end(), generated.buckets.begin(), generated.buckets.end()));
    CHECK(std::equal(fresh.claim_lists.begin(), fresh.claim_lists.end(), generated.claim_lists.begin(), generated.claim_lists.end()));
    CHECK(std::equal(fresh.leaves.begin(), fresh.leaves.end(), generated.leaves.begin(), generated.leaves.end()));
    const auto same = [](const auto& left, const auto& right, auto equal) { return std::equal(left.begin(), left.end(), right.begin(), right.end(), equal); };
    CHECK(same(fresh.slots, generated.slots, [](const SlotIndex& a, const SlotIndex& b) { return a.base == b.base && a.selector == b.selector; }));
    CHECK(same(fresh.choices, generated.choices, [](const Choice& a, const Choice& b) { return a.begin == b.begin && a.count == b.count; }));
    CHECK(same(fresh.pages, generated.pages, [](const FastEntry& a, const FastEntry& b) { return a.bits == b.bits; }));
    CHECK(same(fresh.claims, generated.claims, [](const Claim& a, const Claim& b) {
        const isa::Encoding &x = a.encoding, &y = b.encoding;
        return a.form == b.form && a.certain == b.certain && x.map == y.map && x.opcode == y.opcode && x.prefix.bits == y.prefix.bits && x.has_modrm == y.has_modrm &&
               x.mod == y.mod && x.reg_mask == y.reg_mask && x.rm_mask == y.rm_mask && x.imm == y.imm && x.osize == y.osize && x.osize64 == y.osize64 &&
               x.asize == y.asize && x.w == y.w && x.rex_b == y.rex_b && x.requires_rex2 == y.requires_rex2 && x.l_mask == y.l_mask && x.vvvv_unused == y.vvvv_unused &&
               x.lock_allowed == y.lock_allowed && x.requires_lock == y.requires_lock && x.modes == y.modes && x.rules.bits == y.rules.bits;
    }));
}

TEST_CASE("decoder: a generation lacks what came later", "[decode]") {
    struct Era {
        const char* profile;
        const char* hex;
        Mode mode;
        const char* mnemonic;  ///< "" when it is no instruction there
    };
    const Era row = GENERATE(values<Era>({
        {"i8086", "01d8", k16r, "add"},
        {"i8086", "0f", k16r, "pop"},        // POP CS
        {"i8086", "60", k16r, ""},           // PUSHA came with the 80186
        {"i8086", "c8112203", k16r, ""},     // and ENTER
        {"i8086", "0fa2", k16r, "pop"},      // so 0F leads nowhere else
        {"i386", "60", k32, "pushad"},
        {"i386", "0fb6c0", k32, "movzx"},
        {"i386", "0fa2", k32, ""},           // CPUID
        {"i386", "0fc8", k32, ""},           // BSWAP: i486
        {"i386", "0f44c1", k32, ""},         // CMOVcc: P6
        {"i386", "0f58c1", k32, ""},         // SSE
        {"i386", "c5f877", k32, ""},         // VEX
        {"pentium", "0fa2", k32, "cpuid"},
        {"pentium", "0fc8", k32, "bswap"},
        {"base", "0f44c1", k32, "cmove"},
    }));
    INFO(row.hex << " under " << row.profile);
    const InstructionDecoder decoder = decoder_under(row.profile);
    std::vector<std::uint8_t> bytes = bytes_of(row.hex);
    CHECK(decoder.mnemonic(decoder.decode(bytes, row.mode).form) == row.mnemonic);
    bytes.resize(64, 0xCC);
    CHECK(decoder.mnemonic(decoder.decode(bytes, row.mode).form) == row.mnemonic);
}

TEST_CASE("decoder: a database of another version gets tables of its own", "[decode]") {
    const std::vector<isa::SpecFile> files = {
        {"x86/resources.json", R"({"schema": "trapline.resources/1", "resources": []})"},
        {"x86/innocuous-own.json", R"({"schema": "trapline.innocuous/1", "family": "innocuous-own", "title": "One", "sources": [{"doc": "intel-sdm-2", "section": "NOP"}],
            "forms": [{"mnemonic": "mynop", "slots": ["90 {B=0}"]}]})"}};
    const isa::LoadOutcome own = isa::load_database(files);
    REQUIRE(own.errors.empty());
    REQUIRE(own.database.version != generated_database_version());
    isa::Profile profile;
    profile.era = isa::Era::modern;
    const InstructionDecoder decoder(own.database, profile);
    std::vector<std::uint8_t> nop(32, 0x90);
    CHECK(decoder.mnemonic(decoder.decode(nop, k64).form) == "mynop");
    nop[0] = 0xF4;  // HLT is in no form of this database
    CHECK(decoder.decode(nop, k64) == Insn{});
}
