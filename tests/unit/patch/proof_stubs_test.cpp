// SPDX-License-Identifier: Apache-2.0
// Sound stubs are proved, and each way to break one is caught.
#include <catch2/catch.hpp>

#include "proof_windows.h"

namespace trapline::patch::proof {
namespace {

constexpr ProofOptions kOptions{11, 64};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    if (at == std::string::npos) FAIL("\"" << from << "\" is not in the text:\n" << text);
    return text.replace(at, from.size(), to);
}

void check_holds(const Sketch& sketch) {
    Window window = make_window(sketch);
    const Proof proof = prove_window(window, kOptions);
    INFO(proof.difference << "\n" << proof.report);
    CHECK(proof.holds);
    CHECK(proof.rounds == 64);
}

/// Checks that a broken stub is caught, and for the reason that is wrong with it.
void check_caught(const Sketch& sketch, const std::string& reason) {
    Window window = make_window(sketch);
    const Proof proof = prove_window(window, kOptions);
    INFO(proof.report);
    CHECK_FALSE(proof.holds);
    CHECK_THAT(proof.difference, Catch::Contains(reason));
}

/// The same with another stub.
Sketch with_stub(Sketch sketch, const std::string& from, const std::string& to) {
    sketch.stub = replaced(sketch.stub, from, to);
    return sketch;
}

Sketch pushf32() {
    return {Mode::protected32, "f: pushfd\na: mov eax, [ebx + 4]\nb: add eax, ecx\n",
            "s_f: pushfd\npush eax\npush ecx\nmov eax, ss:[flags_if]\nmov ecx, [esp + 8]\nlea eax, [eax + ecx]\nmov ecx, ss:[flags_fixed]\n"
            "lea eax, [eax + ecx]\nmov [esp + 8], eax\npop ecx\npop eax\n"
            "s_a: mov eax, [ebx + 4]\ns_b: add eax, ecx\ns_end: jmp end\n",
            {{"f", 8, false}}};
}

Sketch pushf64() {
    return {Mode::long64, "f: pushfq\na: mov rax, [rip + 0x1000]\n",
            "s_f: pushfq\npush rax\npush rcx\nmov rax, [flags_if]\nmov rcx, [rsp + 16]\nlea rax, [rax + rcx]\nmov rcx, [flags_fixed]\n"
            "lea rax, [rax + rcx]\nmov [rsp + 16], rax\npop rcx\npop rax\n"
            "s_a: mov rax, [rip + a + 7 + 0x1000]\ns_end: jmp end\n",
            {{"f", 16, false}}};
}

Sketch popf32() {
    return {Mode::protected32, "a: lea esp, [esp + ecx * 4]\nf: popfd\nb: mov edx, 1\n",
            "s_a: lea esp, [esp + ecx * 4]\n"
            "s_f: push eax\nmov eax, [esp + 4]\nand eax, 0x3000\nsub eax, 0x200\nmov ss:[flags_fixed], eax\nmov eax, [esp + 4]\nand eax, 0x200\n"
            "mov ss:[flags_if], eax\npop eax\njz off\npopfd\nmov byte ptr ss:[after_flags], 0\njmp s_b\noff: popfd\n"
            "s_b: mov edx, 1\ns_end: jmp end\n",
            {{"f", 4, false}}};
}

Sketch popf64() {
    return {Mode::long64, "f: popfq\na: movzx ecx, byte ptr [rdi]\nb: inc rcx\n",
            "s_f: push rax\nmov rax, [rsp + 8]\nand eax, 0x3000\nsub rax, 0x200\nmov [flags_fixed], rax\nmov rax, [rsp + 8]\nand eax, 0x200\n"
            "mov [flags_if], rax\npop rax\njz off\npopfq\nmov byte ptr [after_flags], 0\njmp s_a\noff: popfq\n"
            "s_a: movzx ecx, byte ptr [rdi]\ns_b: inc rcx\ns_end: jmp end\n",
            {{"f", 8, false}}};
}

Sketch sti32() {
    return {Mode::protected32, "f: sti\na: mov eax, [edx]\nb: bsf ecx, eax\n",
            "s_f: mov byte ptr ss:[flags_if + 1], 2\nmov byte ptr ss:[after_sti], 0\ns_a: mov eax, [edx]\ns_b: bsf ecx, eax\ns_end: jmp end\n",
            {{"f", 0, false}}};
}

Sketch cli64() {
    return {Mode::long64, "f: cli\na: bsf rax, rdi\nb: add rcx, rax\n",
            "s_f: mov byte ptr [flags_if + 1], 0\ns_a: bsf rax, rdi\ns_b: add rcx, rax\ns_end: jmp end\n", {{"f", 0, false}}};
}

Sketch hypercall32() {
    return {Mode::protected32, "a: bsr eax, ecx\nf: sgdt [ebx]\nb: lea ebx, [ebx + eax]\n",
            "s_a: bsr eax, ecx\ns_f: ljmp 0x33, offset wide\nwide: .code64\nmov dword ptr [rip + call_site], 0\nmov dword ptr [rip + call_resume], offset s_b\n"
            "jmp gate\n.code32\ns_b: lea ebx, [ebx + eax]\ns_end: jmp end\n",
            {{"f", 0, false}}};
}

Sketch hypercall64() {
    return {Mode::long64, "f: mov ax, cs\na: rdmsr\nb: or rax, rdx\n",
            "s_f: mov dword ptr [call_site], 0\nmov qword ptr [call_resume], offset s_a\njmp gate\n"
            "s_a: mov dword ptr [call_site], 1\nmov qword ptr [call_resume], offset s_b\njmp gate\ns_b: or rax, rdx\ns_end: jmp end\n",
            {{"f", 0, false}, {"a", 0, true}}};
}

Sketch branch32() {
    return {Mode::protected32, "a: test eax, eax\nb: jz b + 0x40\nf: mov ecx, cr3\n",
            "s_a: test eax, eax\ns_b: jz b + 0x40\ns_f: mov ecx, ss:[vcpu_cr3]\ns_end: jmp end\n", {{"f", 0, true}}};
}

Sketch call64() {
    return {Mode::long64, "f: cli\na: call a + 0x2000\n", "s_f: mov byte ptr [flags_if + 1], 0\ns_a: push offset end\njmp a + 0x2000\n", {{"f", 0, false}}};
}

TEST_CASE("proof: sound stubs hold") {
    check_holds(pushf32());
    check_holds(pushf64());
    check_holds(popf32());
    check_holds(popf64());
    check_holds(sti32());
    check_holds(cli64());
    check_holds(hypercall32());
    check_holds(hypercall64());
    check_holds(branch32());
    check_holds(call64());
}

TEST_CASE("proof: a clobbered flag is caught") {
    // ADD in place of LEA leaves its flags.
    check_caught(with_stub(pushf32(), "lea eax, [eax + ecx]\nmov ecx", "add eax, ecx\nmov ecx"), "differs");
    check_caught(with_stub(cli64(), "mov byte ptr [flags_if + 1], 0", "and byte ptr [flags_if + 1], 0"), "");
    // ... even where the next instruction does not read them.
    check_caught(with_stub(call64(), "mov byte ptr [flags_if + 1], 0", "and byte ptr [flags_if + 1], 0"), "flags");
}

TEST_CASE("proof: a lost register is caught") {
    check_caught(with_stub(pushf64(), "pop rcx\npop rax", "pop rax\npop rcx"), "r");
    check_caught(with_stub(pushf32(), "push ecx\nmov eax, ss:[flags_if]\nmov ecx, [esp + 8]", "push edx\nmov eax, ss:[flags_if]\nmov ecx, [esp + 8]"), "");
    check_caught(with_stub(branch32(), "mov ecx, ss:[vcpu_cr3]", "mov edx, ss:[vcpu_cr3]"), "");
    check_caught(with_stub(branch32(), "vcpu_cr3", "vcpu_cr0"), "ecx");
}

TEST_CASE("proof: a wrong resume is caught") {
    check_caught(with_stub(hypercall32(), "offset s_b", "offset s_end"), "");
    check_caught(with_stub(hypercall64(), "offset s_a", "offset s_b"), "the patch lacks the operation");
    check_caught(with_stub(hypercall64(), "offset s_a", "offset s_f"), "");
    check_caught(with_stub(hypercall64(), "jmp end", "jmp b"), "");
    check_caught(with_stub(cli64(), "s_end: jmp end", "s_end: jmp end + 1"), "");
}

TEST_CASE("proof: a wrong resume is caught where the operation does not come back") {
    const Sketch iret{Mode::protected32, "a: bsr eax, ecx\nf: iretd\nint3\n",
                      "s_a: bsr eax, ecx\ns_f: ljmp 0x33, offset wide\nwide: .code64\nmov dword ptr [rip + call_site], 0\nmov dword ptr [rip + call_resume], offset next\n"
                      "jmp gate\n.code32\nnext: int3\n", {{"f", 0, false}}};
    Window window = make_window(iret);
    window.sites[0].resume = 0xFC000023;
    CHECK(window.stubs[0].end.value == 0xFC000024);
    CHECK(prove_window(window, kOptions).holds);
    window.sites[0].resume = 0xFC000022;
    CHECK_THAT(prove_window(window, kOptions).difference, Catch::Contains("goes on at 0xfc000023"));
}

TEST_CASE("proof: what the VMM keeps for itself is not the stub's to write") {
    check_caught(with_stub(cli64(), "s_a:", "mov byte ptr [flags_if + 0x10], 1\ns_a:"), "event_waits");
    check_caught(with_stub(cli64(), "s_a:", "mov byte ptr [call_site - 8], 1\ns_a:"), "the vCPU's page");
}

TEST_CASE("proof: a wrong site is caught") {
    check_caught(with_stub(hypercall64(), "[call_site], 1", "[call_site], 0"), "expected the operation of");
    check_caught(with_stub(hypercall64(), "[call_site], 1", "[call_site], 2"), "a hypercall for site 2");
}

TEST_CASE("proof: a missing check for events is caught") {
    check_caught(with_stub(popf32(), "mov byte ptr ss:[after_flags], 0\n", ""), "lacks an event");
    check_caught(with_stub(popf64(), "mov byte ptr [after_flags], 0\n", ""), "lacks an event");
    check_caught(with_stub(sti32(), "mov byte ptr ss:[after_sti], 0\n", ""), "lacks an event");
}

TEST_CASE("proof: a wrong shadow is caught") {
    check_caught(with_stub(sti32(), "after_sti", "after_flags"), "event delivered");
    check_caught(with_stub(popf64(), "after_flags", "after_sti"), "event delivered");
    // STI as the last instruction: the shadow reaches out of the window.
    Sketch last{Mode::long64, "a: bsf rax, rdi\nf: sti\n", "s_a: bsf rax, rdi\ns_f: mov byte ptr [flags_if + 1], 2\nmov byte ptr [after_sti], 0\ns_end: jmp end\n", {{"f", 0, false}}};
    check_holds(last);
    check_caught(with_stub(last, "after_sti", "after_flags"), "adds an event");
    check_caught(with_stub(last, "mov byte ptr [after_sti], 0\n", ""), "shadow");
    // A NOP behind STI is the instruction that the shadow covers: without it CLI would be.
    Sketch nop{Mode::long64, "f: sti\na: nop\nb: cli\nc: bsf rax, rdi\n",
               "s_f: mov byte ptr [flags_if + 1], 2\nmov byte ptr [after_sti], 0\ns_a: nop\ns_b: mov byte ptr [flags_if + 1], 0\ns_c: bsf rax, rdi\ns_end: jmp end\n",
               {{"f", 0, false}, {"b", 0, false}}};
    check_holds(nop);
    check_caught(with_stub(nop, "s_a: nop\n", ""), "lacks an event");
}

TEST_CASE("proof: swapped neighbours are caught") {
    check_caught(with_stub(pushf32(), "s_a: mov eax, [ebx + 4]\ns_b: add eax, ecx\n", "s_b: add eax, ecx\ns_a: mov eax, [ebx + 4]\n"), "");
    check_caught(with_stub(sti32(), "s_a: mov eax, [edx]\ns_b: bsf ecx, eax", "s_b: bsf ecx, eax\ns_a: mov eax, [edx]"), "");
    // Two stores of constants: only what is opaque between them tells the order.
    Sketch stores{Mode::protected32, "f: cli\na: mov dword ptr [ebx], 1\nb: bsf ecx, eax\n",
                  "s_f: mov byte ptr ss:[flags_if + 1], 0\ns_a: mov dword ptr [ebx], 1\ns_b: bsf ecx, eax\ns_end: jmp end\n", {{"f", 0, false}}};
    check_holds(stores);
    Window window = make_window(with_stub(stores, "s_a: mov dword ptr [ebx], 1\ns_b: bsf ecx, eax", "s_b: bsf ecx, eax\ns_a: mov dword ptr [ebx], 1"));
    CHECK_FALSE(prove_equivalence(window, kOptions).holds);
}

TEST_CASE("proof: a wrong branch is caught") {
    check_caught(with_stub(branch32(), "jz b + 0x40", "jz b + 0x41"), "control leaves to");
    check_caught(with_stub(branch32(), "jz b + 0x40", "jnz b + 0x40"), "");
    check_caught(with_stub(call64(), "a + 0x2000", "a + 0x2001"), "control leaves to");
    check_caught(with_stub(call64(), "push offset end", "push offset s_a"), "");
    check_caught(with_stub(call64(), "push offset end\njmp a", "call a"), "");
    // A branch on a comparison that random registers would hardly ever meet.
    Sketch rare{Mode::long64, "f: cli\na: cmp rax, 0x12345678\nb: jz b + 0x40\n",
                "s_f: mov byte ptr [flags_if + 1], 0\ns_a: cmp rax, 0x12345678\ns_b: jz b + 0x40\ns_end: jmp end\n", {{"f", 0, false}}};
    check_holds(rare);
    check_caught(with_stub(rare, "b + 0x40", "b + 0x44"), "control leaves to");
}

TEST_CASE("proof: a rip-relative operand must keep its address") {
    check_caught(with_stub(pushf64(), "a + 7 + 0x1000", "a + 8 + 0x1000"), "rax");
    check_caught(with_stub(pushf64(), "[rip + a + 7 + 0x1000]", "[rip + 0x100000]"), "");
    Sketch opaque{Mode::long64, "f: cli\na: bsf rax, [rip + 0x1000]\n",
                  "s_f: mov byte ptr [flags_if + 1], 0\ns_a: bsf rax, [rip + a + 8 + 0x1000]\ns_end: jmp end\n", {{"f", 0, false}}};
    check_holds(opaque);
    check_caught(with_stub(opaque, "a + 8", "a + 9"), "");
}

TEST_CASE("proof: memory must stay the guest's") {
    // More of the stack than was declared.
    Sketch deep = pushf32();
    deep.sites[0].stack_bytes = 4;
    check_caught(deep, "memory at");
    // The data segment may be the user's: without SS the store goes astray.
    check_caught(with_stub(sti32(), "ss:[flags_if + 1]", "[flags_if + 1]"), "");
    // A stub must not write what only the VMM may.
    check_caught(with_stub(cli64(), "[flags_if + 1], 0", "[vcpu_cr0], 0"), "");
    check_caught(with_stub(cli64(), "[flags_if + 1], 0", "[gate], 0"), "VMM's pages");
}

TEST_CASE("proof: the virtual flags must be exact") {
    check_caught(with_stub(popf32(), "and eax, 0x3000", "and eax, 0x1000"), "");
    check_caught(with_stub(popf64(), "sub rax, 0x200", "sub eax, 0x200"), "");
    check_caught(with_stub(popf64(), "and eax, 0x200", "and eax, 0x300"), "");
    // PUSHF of the processor at CPL 3 shows IF 1 and IOPL 0.
    check_caught({Mode::long64, "f: pushfq\na: bsf rax, [rdi + 4]\n", "s_f: pushfq\ns_a: bsf rax, [rdi + 4]\ns_end: jmp end\n", {{"f", 0, false}}}, "");
}

TEST_CASE("proof: what traps may stay, what does not trap may not") {
    Sketch moved{Mode::long64, "f: rdmsr\na: bsf rax, [rdi]\n", "s_f: rdmsr\ns_a: bsf rax, [rdi]\ns_end: jmp end\n", {{"f", 0, true}}};
    check_holds(moved);
    Sketch silent{Mode::long64, "f: str [rdi]\na: bsf rax, [rdi]\n", "s_f: str [rdi]\ns_a: bsf rax, [rdi]\ns_end: jmp end\n", {{"f", 0, false}}};
    check_caught(silent, "");
    Sketch selector{Mode::long64, "f: mov eax, cs\na: bsf rax, [rdi]\n", "s_f: mov eax, cs\ns_a: bsf rax, [rdi]\ns_end: jmp end\n", {{"f", 0, false}}};
    check_caught(selector, "does not trap");
    Sketch closed{Mode::protected32, "f: cli\na: bsf eax, [edi + 4]\n", "s_f: cli\ns_a: bsf eax, [edi + 4]\ns_end: jmp end\n", {{"f", 0, false}}};
    check_holds(closed);  // #GP(0) with IOPL 0, and the VMM has a site for it
}

TEST_CASE("proof: the map leads to each instruction") {
    check_caught(with_stub(cli64(), "s_a:", ""), "expected one for");
    check_caught(with_stub(cli64(), "s_f: mov byte ptr [flags_if + 1], 0\ns_a: bsf", "s_f: s_a: mov byte ptr [flags_if + 1], 0\nbsf"), "two steps");
    check_caught(with_stub(pushf32(), "pop eax\ns_a:", "s_a: pop eax\n"), "");
    Window window = make_window(cli64());
    window.steps.back().guest += 1;
    CHECK_THAT(prove_window(window, kOptions).difference, Catch::Contains("the map says that control resumes at"));
    window = make_window(cli64());
    window.steps[1].address += 1;
    CHECK_THAT(prove_map(window, kOptions).difference, Catch::Contains("where no instruction"));
}

TEST_CASE("proof: a stub that never ends or runs into nothing is caught") {
    check_caught(with_stub(cli64(), "jmp end", "jmp s_end"), "has not left the window");
    check_caught(with_stub(cli64(), "s_end: jmp end", "nop"), "control leaves to");
    check_caught(with_stub(hypercall32(), "ljmp 0x33, offset wide\nwide: .code64\n", "nop\n.code64\n"), "");
}

TEST_CASE("proof: a report shows the state and both sides") {
    Window window = make_window(with_stub(popf32(), "and eax, 0x3000", "and eax, 0x1000"));
    const Proof proof = prove_window(window, kOptions);
    for (const char* part : {"state: entry 0xc1001000", "original:", "patched", "popfd", "and eax, 0x1000", "seed"}) CHECK_THAT(proof.report, Catch::Contains(part));
}

}  // namespace
}  // namespace trapline::patch::proof
