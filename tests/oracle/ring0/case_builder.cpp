// SPDX-License-Identifier: Apache-2.0
// States by atoms, operands by the set-up, and the second content of each resource.
#include "case_builder.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace trapline::ring0 {

namespace {

// In real mode code runs in another segment than the handlers', which is 0, and far transfers lead to a third.
constexpr std::uint32_t kRealTarget = 0x10, kRealCode = 0x20;

template <class Range>
void put(Range& range, std::size_t offset, std::uint64_t value, std::size_t bytes) {
    TRAPLINE_ASSERT(offset + bytes <= std::size(range), "a set-up writes outside its window");
    for (std::size_t i = 0; i < bytes; ++i) range[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// One case in the making.
class Maker {
public:
    Maker(const isa::Database& database, const Image& image, const isa::Record* record, const Setup& setup, const isa::Assignment& values)
        : database_(database), image_(image), record_(record), setup_(setup), values_(values), mode_(image.mode) {}

    int atom(std::string_view id) const {
        const auto index = database_.find_atom(id);
        TRAPLINE_ASSERT(index.has_value(), "a case asks for an atom that atoms.json lacks");
        return values_.empty() ? 0 : values_[*index];
    }
    bool mentions(std::string_view id) const {
        const auto index = database_.find_atom(id);
        const auto in = [&](const isa::Guard& guard) { return std::binary_search(guard.atoms().begin(), guard.atoms().end(), *index); };
        return record_ != nullptr && (std::any_of(record_->faults.begin(), record_->faults.end(), [&](const isa::Fault& fault) { return in(fault.when); }) ||
                                      std::any_of(record_->reads.begin(), record_->reads.end(), [&](const isa::Effect& effect) { return in(effect.when); }) ||
                                      std::any_of(record_->writes.begin(), record_->writes.end(), [&](const isa::Effect& effect) { return in(effect.when); }));
    }

    void defaults(unsigned cpl) {
        Slots& s = out_.input.slots;
        for (unsigned i = rax; i <= r15; ++i) s[i] = mode_ == Mode::long64 || i < r8 ? 0x01010101ull * (0x10 + i) : 0;
        s[rsp] = kStack;
        s[rip] = kCode;
        s[rflags] = 2;
        const bool real = mode_ == Mode::real16;
        if (!real) {
            s[cs] = selector(kCode_ + cpl, cpl);
            for (Slot slot : {ss, ds, es, fs, gs}) s[slot] = selector(kStack_ + cpl, cpl);
            if (mode_ != Mode::long64)
                for (Slot slot : {probe_ds, probe_es, probe_fs, probe_gs}) s[slot] = kProbes;
            if (mode_ != Mode::long64 && cpl == 0) s[probe_ss] = kProbes;
        }
        s[real_mode] = real;
        if (real) {
            s[cs] = kRealCode;
            s[rip] = kCode - (kRealCode << 4);
        }
        s[cr0] = mode_ == Mode::long64 ? 0x80000031 : real ? 0x30 : 0x31;
        s[cr2] = 0x2000;
        s[cr3] = mode_ == Mode::long64 ? kPages1 : 0;
        s[cr4] = (mode_ == Mode::long64 ? 0x20 : 0) | 0x600 | 0x40000;
        s[efer] = mode_ == Mode::long64 ? 0x501 : 1;
        for (unsigned i = 0; i < 4; ++i) s[dr0 + i] = 0x1000 * (i + 1);
        s[dr6] = 0xFFFF0FF0;
        s[dr7] = 0x400;
        s[gdtr_base] = kGdt1;
        s[gdtr_limit] = kDescriptorCount * 8 - 1;
        s[idtr_base] = real ? 0 : kIdt1;
        s[idtr_limit] = idt_limit();
        s[ldtr] = selector(kLdt1Low);
        s[tr] = selector(kTss1Low);
        if (mode_ == Mode::long64) {
            s[fs_base] = 0x1000;
            s[gs_base] = 0x2000;
        }
        s[kernel_gs_base] = 0x4000;
        s[star] = flat(kFlat1) | (kLanding + 2 * kLandingStride);
        s[lstar] = kLanding + 3 * kLandingStride;
        s[cstar] = kLanding + 4 * kLandingStride;
        s[fmask] = 0x700;
        s[sysenter_cs] = selector(kFlat1);
        s[sysenter_esp] = kStack + 0x40;
        s[sysenter_eip] = kLanding + 5 * kLandingStride;
        s[tsc_aux] = 0x21;
        s[xcr0] = 1;
        s[pat] = 0x0007040600070406;
        s[vm_hsave] = kVmHostSave;
        s[io] = 0x44332211;
    }

    /// Puts the machine into the state; fails on an atom that it cannot be given.
    Status enter() {
        Slots& s = out_.input.slots;
        struct Bit {
            std::string_view atom;
            Slot slot;
            int bit;
        };
        static constexpr Bit kBits[] = {
            {"cr4.tsd", cr4, 2}, {"cr4.pce", cr4, 8}, {"cr4.umip", cr4, 11}, {"cr4.pvi", cr4, 1}, {"cr4.vme", cr4, 0}, {"cr4.de", cr4, 3},
            {"cr4.fsgsbase", cr4, 16}, {"cr4.osxsave", cr4, 18}, {"cr4.osfxsr", cr4, 9}, {"cr4.pke", cr4, 22}, {"cr4.pcide", cr4, 17},
            {"cr0.ts", cr0, 3}, {"cr0.em", cr0, 2}, {"cr0.mp", cr0, 1}, {"efer.sce", efer, 0}, {"efer.svme", efer, 12},
            {"rflags.nt_set", rflags, 14}, {"if_set", rflags, 9}, {"rflags.of_set", rflags, 11}, {"rfbm.pkru", rax, 9},
        };
        // What the operands are chosen by, or what only a resource shows that nobody sees.
        static constexpr std::string_view kElsewhere[] = {
            "cpl", "iopl", "real", "protected", "long", "io_bitmap.allows", "sel.rpl", "sel.null", "desc.dpl", "desc.conforming", "desc.accessed", "desc.gate",
            "desc.not_present", "gate.dpl", "gate.interrupt", "popped.cpl", "value.flushes", "operand_invalid", "data_segment_inner", "nmi_window", "efer.lma",
        };
        for (std::size_t i = 0; i < values_.size(); ++i) {
            const isa::Atom& found = database_.atoms[i];
            const auto bit = std::find_if(std::begin(kBits), std::end(kBits), [&](const Bit& row) { return row.atom == found.id; });
            if (bit != std::end(kBits)) {
                if (!mentions(found.id)) continue;
                const std::uint64_t mask = std::uint64_t{1} << bit->bit;
                s[bit->slot] = values_[i] != 0 ? s[bit->slot] | mask : s[bit->slot] & ~mask;
            } else if (found.id == "sysenter_cs_valid") {
                if (mentions(found.id) && values_[i] == 0) s[sysenter_cs] = 0;
            } else if (found.id == "iopl") {
                s[rflags] |= static_cast<std::uint64_t>(values_[i]) << 12;
            } else if (values_[i] != 0 && std::find(std::begin(kElsewhere), std::end(kElsewhere), found.id) == std::end(kElsewhere)) {
                return fail(ErrorCode::unsupported, found.id);
            }
        }
        if (atom("rflags.nt_set") != 0 && (mode_ == Mode::protected16 || mode_ == Mode::protected32))
            return fail(ErrorCode::unsupported, "rflags.nt_set");  // a task to return to
        if (atom("io_bitmap.allows") != 0) poke(kTss1 + kIoBitmap + kPort / 8, 0xFFFFFF00);
        if (atom("data_segment_inner") == 0 && mentions("data_segment_inner"))
            for (Slot slot : {ds, es, fs, gs}) s[slot] = selector(kStack_ + 3, 3);
        return choose_selector();
    }

    void set_others() {
        Slots& s = out_.input.slots;
        if (!mentions("iopl")) s[rflags] |= 0x3000;
        if (!mentions("io_bitmap.allows")) poke(kTss1 + kIoBitmap + kPort / 8, 0xFFFFFF00);
        if (!mentions("cr4.tsd")) s[cr4] |= 1 << 2;
        if (!mentions("cr4.pce")) s[cr4] |= 1 << 8;
        if (!mentions("cr4.umip")) s[cr4] |= 1 << 11;
    }

    Status load(const Instruction& instruction) {
        Slots& s = out_.input.slots;
        std::vector<std::uint8_t> bytes = instruction.bytes;
        for (std::size_t i = 0; i < instruction.pointer.size(); ++i)
            s[instruction.pointer[i]] = i == 0 ? static_cast<std::uint64_t>(kData - instruction.displacement) : 0;
        for (const auto& [name, text] : setup_.set) {
            const auto slot = std::find(kSlotNames.begin(), kSlotNames.end(), name);
            TRAPLINE_ASSERT(slot != kSlotNames.end(), "setups.json sets a slot that the layout lacks");
            // REP's count and the like stay as they are in modes where the register is not there.
            s[static_cast<std::size_t>(slot - kSlotNames.begin())] = value_of(text);
        }
        if (atom("rfbm.pkru") != 0 && mentions("rfbm.pkru")) s[rax] |= 0x200;
        if (setup_.operand) {
            const std::uint64_t value = value_of(*setup_.operand);
            if (instruction.last_register) s[*instruction.last_register] = value;
            else put(out_.input.data, 0, value, 8);
        }
        if (setup_.immediate) put(bytes, instruction.immediate_offset, value_of(*setup_.immediate), instruction.immediate_size);
        if (setup_.pointer.size() == 2) {
            put(bytes, instruction.immediate_offset, value_of(setup_.pointer[0]), instruction.immediate_size - 2);
            put(bytes, instruction.immediate_offset + instruction.immediate_size - 2, value_of(setup_.pointer[1]), 2);
        }
        fill(setup_.memory, out_.input.data, 0);
        fill(setup_.stack, out_.input.stack, kStackBytes / 2);
        if (setup_.timer) s[timer] = 1;
        if (record_->mnemonic == "vmload") poke(kVmcb + kVmcbState + 0x48, 0x3000);  // no reset reaches it
        if (setup_.gate) shape_gate();
        std::copy(bytes.begin(), bytes.end(), out_.input.code.begin());
        out_.input.code[bytes.size()] = 0xCD;  // int kDoneVector
        out_.input.code[bytes.size() + 1] = kDoneVector;
        length_ = bytes.size();
        return {};
    }

    /// Gives `resource` its second content.
    Status vary(std::string_view resource) {
        Slots& s = out_.input.slots;
        const auto alternate = [&](Slot slot, unsigned first, unsigned other) {
            if (mode_ == Mode::real16) s[slot] ^= 1;  // the base moves by 16 bytes
            else s[slot] += (other - first) * 8;
        };
        const auto toggle = [&](Slot slot, std::uint64_t mask) { s[slot] ^= mask; };
        if (resource == "cr0") toggle(cr0, 2);
        else if (resource == "ts") toggle(cr0, 8);
        else if (resource == "cr2") toggle(cr2, 0x1000);
        else if (resource == "cr3") s[cr3] = kPages2;
        else if (resource == "cr4") toggle(cr4, record_->mnemonic == "cpuid" ? 0x40000 : 0x40);  // leaf 1 shows OSXSAVE
        else if (resource == "efer") toggle(efer, 0x800);
        else if (resource == "tpr") s[cr8] = 5;
        else if (resource == "dr") for (unsigned i = 0; i < 4; ++i) toggle(static_cast<Slot>(dr0 + i), 0x30);
        else if (resource == "dr6") toggle(dr6, 4);
        else if (resource == "dr7") toggle(dr7, 0x100);
        else if (resource == "gdtr") vary_gdtr();
        else if (resource == "idtr") s[idtr_base] = mode_ == Mode::real16 ? kVectors2 : kIdt2;
        else if (resource == "ldtr") s[ldtr] = selector(kLdt2Low);
        else if (resource == "tr") s[tr] = selector(kTss2Low);
        else if (resource == "seg.cs") {
            alternate(cs, kCode_, kCodeOther_);
            if (mode_ == Mode::real16) s[rip] -= 0x10;
        } else if (resource == "seg.ss" || resource == "seg.ds" || resource == "seg.es" || resource == "seg.fs" || resource == "seg.gs") {
            const auto slot = std::find(kSlotNames.begin(), kSlotNames.end(), resource.substr(4));
            alternate(static_cast<Slot>(slot - kSlotNames.begin()), kStack_, kStackOther_);
        } else if (resource == "fs.base" && mode_ == Mode::long64) s[fs_base] += 0x100;
        else if (resource == "gs.base" && mode_ == Mode::long64) s[gs_base] += 0x100;
        else if (resource == "kernel_gs_base") s[kernel_gs_base] += 0x100;
        else if (resource == "syscall_msrs") {
            s[star] = flat(kFlat2) | (kLanding + 6 * kLandingStride);
            s[lstar] += 4 * kLandingStride;
        } else if (resource == "sysenter_msrs") {
            s[sysenter_cs] = selector(kFlat2);
            if (setup_.lands != "landing") s[sysenter_eip] += 4 * kLandingStride;
        } else if (resource == "tsc_aux") toggle(tsc_aux, 0xF);
        else if (resource == "msr") toggle(pat, 1);
        else if (resource == "xcr0") toggle(xcr0, 2);
        else if (resource == "pkru") toggle(pkru, 0x30);
        else if (resource == "rflags.if") toggle(rflags, 0x200);
        else if (resource == "rflags.iopl") toggle(rflags, 0x3000);
        else if (resource == "rflags.nt") toggle(rflags, 0x4000);
        else if (resource == "io.port") toggle(io, 0x0F0F0F0F);
        else if (resource == "descriptor_table") vary_descriptor();
        else if (resource == "vmcb") poke(kVmcb + kVmcbState + 0x48, 0x3100);  // the base of FS
        else if (resource == "tsc") {}  // no two readings are alike
        else return fail(ErrorCode::unsupported, std::string(resource));
        return {};
    }

    Case finish() {
        Slots& s = out_.input.slots;
        if (mode_ != Mode::long64) std::fill(s.begin() + r8, s.begin() + r15 + 1, 0);
        const std::uint64_t code_base = mode_ == Mode::real16 ? s[cs] << 4 : 0;
        out_.done_rip = kCode - code_base + length_ + 2;
        if (setup_.lands) out_.done_rip = value_of(*setup_.lands) + 2;
        const auto copy = [&](auto& to, std::uint32_t from) { std::memcpy(to.data(), image_.memory.data() + from, to.size()); };
        copy(out_.gdt1, kGdt1);
        copy(out_.gdt2, kGdt2);
        copy(out_.tables, kTables);
        // LTR marks the descriptor busy; the monitor loads TR from the first table.
        out_.gdt1[(s[tr] & ~7u) + 5] |= 2;
        for (const auto& [address, value] : out_.input.pokes) {
            const auto over = [&](auto& bytes, std::uint32_t base) {
                if (address >= base && address + 4 <= base + bytes.size()) put(bytes, address - base, value, 4);
            };
            over(out_.gdt1, kGdt1);
            over(out_.gdt2, kGdt2);
            over(out_.tables, kTables);
        }
        return std::move(out_);
    }

    void put_nop() {
        out_.input.code[0] = 0x90;
        out_.input.code[1] = 0xCD;
        out_.input.code[2] = kDoneVector;
        length_ = 1;
    }

private:
    static std::uint64_t flat(unsigned first) {
        return std::uint64_t{selector(first)} << 32 | std::uint64_t{selector(first + 2, 3)} << 48;
    }
    std::uint64_t idt_limit() const { return mode_ == Mode::long64 ? 0xFFF : mode_ == Mode::real16 ? 0x3FF : 0x7FF; }
    std::uint32_t gate_bytes() const { return mode_ == Mode::long64 ? 16 : 8; }
    void poke(std::uint32_t address, std::uint32_t value) { out_.input.pokes.emplace_back(address, value); }

    Status choose_selector() {
        const auto rpl = static_cast<unsigned>(atom("sel.rpl")), dpl = static_cast<unsigned>(atom("desc.dpl"));
        if (mode_ == Mode::real16) {
            out_.selector = setup_.code_descriptor ? kRealTarget : 0x20;
            return {};
        }
        unsigned index = 0;
        if (setup_.gate && (dpl != 0 || atom("desc.conforming") != 0)) return fail(ErrorCode::unsupported, "desc.dpl");  // the handlers' code segment
        if (atom("sel.null") != 0) index = 0;
        else if (atom("operand_invalid") != 0) index = kDescriptorCount;  // beyond the limit
        else if (atom("desc.not_present") != 0) index = kTestAbsent_ + dpl;
        else if (atom("desc.gate") != 0) {
            if (atom("desc.conforming") != 0) return fail(ErrorCode::unsupported, "desc.conforming");
            if (atom("desc.accessed") == 0) return fail(ErrorCode::unsupported, "desc.accessed");
            index = kGates_ + 2 * (4 * static_cast<unsigned>(atom("gate.dpl")) + dpl);
        } else {
            const bool accessed = atom("desc.accessed") != 0 || !mentions("desc.accessed");
            if (atom("desc.conforming") != 0) index = (accessed ? kTestConforming_ : kTestConformingUnaccessed_) + dpl;
            else if (setup_.code_descriptor) index = (accessed ? kTestCode_ : kTestCodeUnaccessed_) + dpl;
            else index = (accessed ? kTestData_ : kTestDataUnaccessed_) + dpl;
        }
        out_.selector = selector(index, rpl);
        return {};
    }

    std::uint64_t named(std::string_view name) const {
        const auto cpl = static_cast<unsigned>(atom("cpl")), popped = static_cast<unsigned>(atom("popped.cpl"));
        const bool real = mode_ == Mode::real16;
        if (name == "landing") return real ? kLanding - (kRealTarget << 4) : kLanding;
        if (name == "data") return kData;
        if (name == "stack_top") return kStack;
        if (name == "port") return kPort;
        if (name == "vmcb") return kVmcb;
        if (name == "pages2") return kPages2;
        if (name == "gdt2") return kGdt2;
        if (name == "gdt_limit") return kDescriptorCount * 8 - 1;
        if (name == "idt2") return real ? kVectors2 : kIdt2;
        if (name == "idt_limit") return idt_limit();
        if (name == "ldt2") return target_ = selector(kLdt2Low);
        if (name == "tss2") return target_ = selector(kTss2Low);
        if (name == "selector") return target_ = out_.selector;
        // A return to the same level finds other selectors of it, so that CS and SS change.
        if (name == "code_popped") return real ? kRealTarget : target_ = popped_code(popped, cpl);
        if (name == "stack_popped") return selector((popped == cpl ? kStackOther_ : kStack_) + popped, popped);
        const auto slot = std::find(kSlotNames.begin(), kSlotNames.end(), name);
        TRAPLINE_ASSERT(slot != kSlotNames.end(), "setups.json uses a name that is neither a slot nor one of the machine's places");
        return out_.input.slots[static_cast<std::size_t>(slot - kSlotNames.begin())];
    }
    std::uint64_t popped_code(unsigned popped, unsigned cpl) const {
        if (!setup_.code_descriptor) return selector((popped == cpl ? kCodeOther_ : kCode_) + popped, popped);
        const bool accessed = atom("desc.accessed") != 0 || !mentions("desc.accessed");
        const unsigned first = atom("desc.conforming") != 0 ? (accessed ? kTestConforming_ : kTestConformingUnaccessed_)
                                                            : (accessed ? kTestCode_ : kTestCodeUnaccessed_);
        return atom("sel.null") != 0 ? popped : selector(first + popped, popped);
    }

    std::uint64_t value_of(std::string_view text) const {
        std::uint64_t value = 0;
        char op = '|';
        while (!text.empty()) {
            const std::size_t end = text.find(' ');
            const std::string_view token = text.substr(0, end);
            if (token.size() == 1 && std::string_view("^|&+").find(token[0]) != std::string_view::npos) {
                op = token[0];
            } else {
                const auto number = parse_number(token);
                const std::uint64_t term = number ? *number : named(token);
                value = op == '^' ? value ^ term : op == '&' ? value & term : op == '+' ? value + term : value | term;
            }
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        }
        return value;
    }

    std::size_t width_of(char letter) const {
        switch (letter) {
            case 'b': return 1;
            case 'w': return 2;
            case 'd': return 4;
            case 'q': return 8;
            case 'z': return 0;
            case 't': return mode_ == Mode::long64 ? 8 : 4;
            default: break;
        }
        if (record_->encoding.osize != 0) return record_->encoding.osize / 8;
        if (mode_ == Mode::long64) return record_->encoding.osize64 == isa::OperandSize64::usual ? 4 : 8;
        return static_cast<std::size_t>(width_bits(mode_)) / 8;
    }

    template <class Range>
    void fill(const std::vector<std::string>& words, Range& range, std::size_t offset) {
        for (const std::string& word : words) {
            const std::size_t bytes = width_of(word[0]);
            if (word[0] == 'z') offset += value_of(std::string_view(word).substr(2));
            put(range, offset, value_of(std::string_view(word).substr(2)), bytes);
            offset += bytes;
        }
    }

    void shape_gate() {
        const auto number = static_cast<std::uint32_t>(value_of(*setup_.gate));
        out_.gate = static_cast<int>(number);
        if (mode_ == Mode::real16) return;
        for (std::uint32_t table : {kIdt1, kIdt2}) {
            const std::uint32_t at = table + number * gate_bytes() + 4;
            std::uint32_t word = image_.word(at) & ~0x6F00u;
            word |= static_cast<std::uint32_t>(atom("gate.dpl")) << 13 | (atom("gate.interrupt") != 0 ? 0xE00u : 0xF00u);
            poke(at, word);
        }
    }

    // LAR and LSL show AVL and the limit, loads of data segments the base or the accessed bit. The others show neither: for
    // them the second descriptor is of another type, and a fault or a cleared ZF shows that it was read.
    bool needs_spoiling() const {
        static constexpr std::string_view kMnemonics[] = {"verr", "verw", "lldt", "ltr", "call", "jmp", "retf", "iret", "iretd", "iretq"};
        if (record_->mnemonic == "lar" && mode_ == Mode::protected16) return true;  // 16 bits of the rights hold neither
        return std::find(std::begin(kMnemonics), std::end(kMnemonics), record_->mnemonic) != std::end(kMnemonics);
    }
    void vary_gdtr() {
        out_.input.slots[gdtr_base] = kGdt2;
        if (needs_spoiling()) spoil_descriptor(kGdt2);
    }
    void vary_descriptor() {
        if (needs_spoiling()) spoil_descriptor(kGdt1);
        else poke(kGdt1 + descriptor_offset(), image_.word(kGdt2 + descriptor_offset())), poke(kGdt1 + descriptor_offset() + 4, image_.word(kGdt2 + descriptor_offset() + 4));
    }
    std::uint32_t descriptor_offset() const { return static_cast<std::uint32_t>(target_ & ~7u); }
    void spoil_descriptor(std::uint32_t table) { poke(table + descriptor_offset() + 4, image_.word(table + descriptor_offset() + 4) & ~0x1F00u); }

    const isa::Database& database_;
    const Image& image_;
    const isa::Record* record_;
    const Setup& setup_;
    const isa::Assignment& values_;
    Mode mode_;
    Case out_;
    std::size_t length_ = 0;
    mutable std::uint64_t target_ = 0;  ///< the selector that the instruction loads
};

}  // namespace

Result<Case> CaseBuilder::build(const isa::Record& record, const Instruction& instruction, const Setup& setup, const isa::Assignment& values,
                                std::string_view varied, bool others_set) const {
    Maker maker(database_, image_, &record, setup, values);
    maker.defaults(static_cast<unsigned>(maker.atom("cpl")));
    if (Status entered = maker.enter(); !entered) return tl::unexpected(entered.error());
    if (others_set) maker.set_others();
    if (Status loaded = maker.load(instruction); !loaded) return tl::unexpected(loaded.error());
    if (!varied.empty())
        if (Status done = maker.vary(varied); !done) return tl::unexpected(done.error());
    return maker.finish();
}

Case CaseBuilder::build_nop(int cpl) const {
    const Setup none;
    const isa::Assignment values;
    Maker maker(database_, image_, nullptr, none, values);
    maker.defaults(static_cast<unsigned>(cpl));
    maker.put_nop();
    return maker.finish();
}

}  // namespace trapline::ring0
