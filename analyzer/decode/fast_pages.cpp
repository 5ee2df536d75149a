// SPDX-License-Identifier: Apache-2.0
// Fills the pages: an entry is fast when its length follows from opcode and ModRM alone and each leaf has one claim that
// nothing else bears on.
#include "decode/fast_pages.h"

#include <algorithm>
#include <array>
#include <map>

#include "support/error.h"

namespace trapline::decode {
namespace {

using isa::OpcodeMap;
using isa::PrefixSet;

constexpr PrefixSet::Bit kPrefixes[4] = {PrefixSet::np, PrefixSet::p66, PrefixSet::f3, PrefixSet::f2};
constexpr unsigned kLeafCount = 16;  // register or memory × ModRM.reg
constexpr unsigned kRegisterLeaf = 8;

/// A prefix state of a page, taken apart.
struct State {
    explicit State(unsigned number) : prefix(kPrefixes[number & 3]), w((number & 4) != 0), lock((number & 8) != 0) {}
    PrefixSet::Bit prefix;
    bool w, lock;
};

/// First bytes that lead elsewhere in this mode: VEX, EVEX, XOP or REX2, whatever else they may be.
bool is_contested(Mode mode, std::uint8_t opcode) {
    return opcode == 0x62 || opcode == 0xC4 || opcode == 0xC5 || opcode == 0x8F || (mode == Mode::long64 && opcode == 0xD5);
}

/// Immediate bytes, with the mode's own address size.
unsigned immediate_size(Mode mode, const State& state, const Slot& slot) {
    const int osize = isa::operand_size(mode, slot.osize64, state.prefix == PrefixSet::p66, state.w);
    return static_cast<unsigned>(isa::immediate_size(slot.imm, mode, osize, width_bits(mode)));
}

/// One leaf of an entry: an operand kind and a ModRM.reg.
struct Leaf {
    FormIndex form = kComplexLeaf;
    unsigned immediate = 0;
};

class PageBuilder {
public:
    PageBuilder(const FormTables& tables, const OpcodeMaps& maps) : tables_(tables), maps_(maps) {}

    FastPages build() {
        out_.leaves.push_back(kComplexLeaf);
        for (Mode mode : kAllModes)
            for (unsigned state = 0; state < kPrefixStates; ++state)
                for (unsigned opcode = 0; opcode < kPageOpcodes; ++opcode)
                    out_.pages.push_back(entry(mode, State(state), opcode < 256 ? OpcodeMap::one : OpcodeMap::m0f, static_cast<std::uint8_t>(opcode)));
        return std::move(out_);
    }

private:
    static constexpr FastEntry kSlow{FastEntry::kComplex};  // and leaf 0, which is complex

    FastEntry entry(Mode mode, const State& state, OpcodeMap map, std::uint8_t opcode) {
        const Slot& slot = maps_.slot(map, opcode);
        if (slot.form == SlotForm::prefix || slot.form == SlotForm::escape || slot.mod == isa::ModRequirement::ignored) return kSlow;
        if (state.w && mode != Mode::long64) return kSlow;
        if (map == OpcodeMap::one && (is_contested(mode, opcode) || (mode == Mode::long64 && (opcode & 0xF0) == 0x40))) return kSlow;
        const bool has_modrm = slot.form == SlotForm::modrm;

        std::array<Leaf, kLeafCount> leaves;
        for (unsigned i = 0; i < kLeafCount; ++i) leaves[i] = leaf(mode, state, map, opcode, slot, (i & kRegisterLeaf) != 0, i & 7);
        // TEST alone among its group has an immediate; anything else that differs inside a slot is left to the full decoder.
        const unsigned usual = leaves[2].immediate;
        unsigned test = 0;
        if (leaves[0].immediate != usual && leaves[1].immediate == leaves[0].immediate && leaves[8].immediate == leaves[0].immediate &&
            leaves[9].immediate == leaves[0].immediate && usual == 0)
            test = leaves[0].immediate;
        std::array<FormIndex, kLeafCount> forms;
        for (unsigned i = 0; i < kLeafCount; ++i) {
            const unsigned expected = usual + ((i & 6) == 0 ? test : 0);
            forms[i] = leaves[i].immediate == expected ? leaves[i].form : kComplexLeaf;
        }
        if (std::all_of(forms.begin(), forms.end(), [](FormIndex form) { return form == kComplexLeaf; })) return kSlow;

        unsigned mask = 0;
        for (unsigned i = 0; i < kLeafCount; ++i) {
            if (forms[i] != forms[i & 7]) mask |= kRegisterLeaf;
            if (forms[i] != forms[i & kRegisterLeaf]) mask |= 7;
        }
        FastEntry out;
        out.bits = place(forms, mask) | mask << FastEntry::kMaskShift | (1 + usual) << FastEntry::kLengthShift | test << FastEntry::kTestShift |
                   (has_modrm ? FastEntry::kModrm : 0);
        return out;
    }

    Leaf leaf(Mode mode, const State& state, OpcodeMap map, std::uint8_t opcode, const Slot& base, bool is_register, unsigned reg) const {
        Leaf out;
        const std::uint8_t mod = is_register ? 3 : 0;
        const Slot& slot = maps_.refine(base, mode, state.prefix, mod, static_cast<std::uint8_t>(reg), 0);
        out.immediate = immediate_size(mode, state, slot);
        // With REX.R a case that names registers above 7 may hold, and cases may turn on rm.
        for (unsigned rm = 0; rm < 8; ++rm)
            for (unsigned high = 0; high <= (base.reg_field == RegField::reg && mode == Mode::long64 ? 8u : 0u); high += 8)
                if (&maps_.refine(base, mode, state.prefix, mod, static_cast<std::uint8_t>(reg | high), static_cast<std::uint8_t>(rm)) != &slot) return out;
        if (slot.form == SlotForm::hole || !slot.modes.contains(mode) || (slot.prefix.bits & state.prefix) == 0) return out;
        if (slot.mod == isa::ModRequirement::memory && is_register) return out;
        if (slot.mod == isa::ModRequirement::reg && !is_register) return out;
        if (state.lock && !(slot.lock && slot.form == SlotForm::modrm && !is_register)) return out;
        const SlotIndex& index = tables_.slot(mode, map, opcode);
        const Choice choice = tables_.choices[tables_.buckets[index.base + bucket_number(index.selector, prefix_number(state.prefix), is_register, reg)]];
        const Claim* only = nullptr;
        for (std::uint32_t i = choice.begin; i < choice.begin + choice.count; ++i) {
            const Claim& claim = tables_.claims[tables_.claim_lists[i]];
            if (claim.encoding.requires_rex2 || (claim.encoding.requires_lock && !state.lock)) continue;  // not in this state
            if (only != nullptr) return out;
            only = &claim;
        }
        if (only != nullptr && only->certain && (!state.lock || only->encoding.lock_allowed)) out.form = only->form;
        return out;
    }

    std::uint32_t place(const std::array<FormIndex, kLeafCount>& forms, unsigned mask) {
        const std::size_t size = mask + 1u;  // the selected index is at most the mask
        const std::vector<FormIndex> row(forms.begin(), forms.begin() + static_cast<std::ptrdiff_t>(size));
        const auto [found, fresh] = rows_.emplace(row, static_cast<std::uint32_t>(out_.leaves.size()));
        TRAPLINE_ASSERT(found->second <= FastEntry::kLeafBits, "the pages have more leaves than an entry can name");
        if (fresh) out_.leaves.insert(out_.leaves.end(), row.begin(), row.end());
        return found->second;
    }

    const FormTables& tables_;
    const OpcodeMaps& maps_;
    FastPages out_;
    std::map<std::vector<FormIndex>, std::uint32_t> rows_;
};

}  // namespace

FastPages build_fast_pages(const FormTables& tables, const OpcodeMaps& maps) { return PageBuilder(tables, maps).build(); }

}  // namespace trapline::decode
