// SPDX-License-Identifier: Apache-2.0
// The code that interfaces give for instructions: every template assembles for every register, at every operand size, and
// comes out as the bytes that the manuals' encodings give.
#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "decode/assembler.h"
#include "isa/loader.h"

using namespace trapline;

namespace {

const isa::Database& database() {
    static const isa::LoadOutcome kOutcome = isa::load_database(isa::embedded_spec_files());
    REQUIRE(kOutcome.errors.empty());
    return kOutcome.database;
}

struct Use {
    std::uint32_t site = 0;
    std::string reg;
};

// Replaces placeholders as analyzer/isa/abi.h advises: addresses by symbols that `.set` defines behind the code.
Result<decode::Assembled> assemble(const isa::Abi& abi, const isa::AbiTemplate& entry, const Use& use) {
    using Kind = isa::AbiPlaceholder::Kind;
    const isa::AbiArea* area = abi.find_area(entry.mode);
    REQUIRE(area != nullptr);
    // As signed numbers of the mode's width: in 32-bit code a displacement from RIP wraps at 4 GiB.
    const auto number = [&](VirtAddr address) {
        return entry.mode == Mode::long64 ? static_cast<std::int64_t>(address.value) : static_cast<std::int32_t>(address.value);
    };
    std::string text, symbols = fmt::format(".set gate, {}\n", number(area->gate));
    for (std::string line : entry.lines) {
        for (std::size_t open = 0; (open = line.find('{', open)) != std::string::npos;) {
            const std::size_t close = line.find('}', open);
            REQUIRE(close != std::string::npos);
            const std::string name = line.substr(open + 1, close - open - 1);
            const auto placeholder = abi.parse_placeholder(name);
            REQUIRE(placeholder);
            std::string value;
            switch (placeholder->kind) {
                case Kind::field:
                    value = fmt::format("field_{}", placeholder->field->name);
                    symbols += fmt::format(".set {}, {}\n", value, number(area->address(*placeholder->field)));
                    break;
                case Kind::gate: value = "gate"; break;
                case Kind::site: value = fmt::format("{}", use.site); break;
                case Kind::resume: value = "offset next"; break;
                case Kind::reg: value = use.reg; break;
                case Kind::label: value = fmt::format("label_{}", placeholder->label); break;
                case Kind::next: value = "next"; break;
            }
            line.replace(open, close - open + 1, value);
            open += value.size();
        }
        text += line + "\n";
    }
    return decode::assemble(text + "next:\n" + symbols, entry.mode, area->stubs.begin);
}

std::string hex(const std::vector<std::uint8_t>& bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) text += fmt::format("{:02X}", byte);
    return text;
}

// The bytes of Trapline's template for a form.
std::string bytes_of(std::string_view form, Mode mode, const std::string& reg = {}, int operand_bits = 0) {
    const isa::Abi* abi = database().find_abi("trapline");
    REQUIRE(abi != nullptr);
    const isa::AbiTemplate* entry = abi->find_template(form, mode, operand_bits);
    REQUIRE(entry != nullptr);
    const auto assembled = assemble(*abi, *entry, {0x01020304, reg});
    if (!assembled) FAIL(assembled.error().describe());
    return hex(assembled->bytes);
}

}  // namespace

TEST_CASE("every template of every interface assembles, for every register", "[decode]") {
    int assembled = 0;
    for (const isa::Abi& abi : database().abis)
        for (const isa::AbiTemplate& entry : abi.templates) {
            const bool wide = entry.mode == Mode::long64;
            const auto registers = wide ? std::vector<std::string>{"rax", "rsp", "rdi", "r8", "r15", "eax", "r13d"} : std::vector<std::string>{"eax", "esp", "edi"};
            for (const std::string& reg : registers) {
                const auto result = assemble(abi, entry, {7, reg});
                INFO(abi.id << ", " << entry.title << ", " << reg);
                if (!result) FAIL(result.error().describe());
                CHECK_FALSE(result->bytes.empty());
                ++assembled;
            }
        }
    CHECK(assembled > 100);
}

TEST_CASE("virtual interrupt flag templates are single stores", "[decode]") {
    // C6 /0 ib: mov r/m8, imm8. 64-bit: ModRM 04 SIB 25 disp32; 32-bit: prefix 36 (SS), ModRM 05 disp32.
    CHECK(bytes_of("cli", Mode::long64) == "C604250910FFFF00");
    CHECK(bytes_of("cli", Mode::protected32) == "36C605091000FE00");
    CHECK(bytes_of("sti", Mode::long64) == "C604250910FFFF02" "C604250020FFFF00");
    CHECK(bytes_of("sti", Mode::protected32) == "36C605091000FE02" "36C605002000FE00");
}

TEST_CASE("a read of a control register is a load", "[decode]") {
    CHECK(bytes_of("mov_r64_cr0", Mode::long64, "r9") == "4C8B0C252010FFFF");
    CHECK(bytes_of("mov_r32_cr4", Mode::protected32, "ebx") == "368B1D381000FE");
    CHECK(bytes_of("smsw_r", Mode::long64, "ecx", 32) == "8B0C252010FFFF");
    CHECK(bytes_of("smsw_r", Mode::long64, "rcx", 64) == "488B0C252010FFFF");
}

TEST_CASE("the hypercall touches neither stack nor flags nor registers", "[decode]") {
    // Stubs begin at FFFFFFFFFFE00000: mov dword [call_site], imm32 (11 bytes); mov qword [call_resume], imm32 (12); jmp rel32.
    CHECK(bytes_of("", Mode::long64) == "C70425B810FFFF04030201" "48C70425C010FFFF1C00E0FF" "E9E4FF1E00");
    // At FC000000: ljmp 33:FC000007, then 64-bit code: C7 05 rel32 imm32, twice, and jmp rel32.
    CHECK(bytes_of("", Mode::protected32) == "EA070000FC3300" "C705A710000204030201" "C705A5100002200000FC" "E9E0FFFF01");
}

TEST_CASE("16-bit operand forms and memory forms go by hypercall", "[decode]") {
    const isa::Abi* abi = database().find_abi("trapline");
    for (const Mode mode : {Mode::protected32, Mode::long64}) {
        for (const char* form : {"pushf_o16", "popf_o16", "smsw_m16", "sgdt_m16_64", "wrmsr", "no_such_form"}) CHECK(abi->find_template(form, mode) == abi->find_hypercall(mode));
        for (const char* form : {"smsw_r", "str_r", "sldt_r"}) {
            CHECK(abi->find_template(form, mode, 16) == abi->find_hypercall(mode));
            CHECK(abi->find_template(form, mode, 32) != abi->find_hypercall(mode));
        }
    }
    CHECK(abi->find_template("sldt_r", Mode::protected32, 64) == abi->find_hypercall(Mode::protected32));
    CHECK(abi->find_template("cli", Mode::protected16) == nullptr);
}
