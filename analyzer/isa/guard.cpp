// SPDX-License-Identifier: Apache-2.0
// Parser and evaluator of guards.
#include "isa/guard.h"

#include <algorithm>

namespace trapline::isa {

/// Recursive descent over `a || b && !c`, with comparisons of atoms and small numbers.
class GuardParser {
public:
    GuardParser(std::string_view text, const std::vector<Atom>& atoms) : text_(text), atoms_(atoms) { guard_.text_ = text; }

    Result<Guard> run() {
        if (!parse_either()) return tl::unexpected<Error>(std::move(error_));
        skip_blanks();
        if (position_ != text_.size()) {
            refuse("expected &&, || or the end of the guard");
            return tl::unexpected<Error>(std::move(error_));
        }
        std::sort(guard_.atoms_.begin(), guard_.atoms_.end());
        guard_.atoms_.erase(std::unique(guard_.atoms_.begin(), guard_.atoms_.end()), guard_.atoms_.end());
        return std::move(guard_);
    }

private:
    using Op = Guard::Op;
    static constexpr int kMaxDepth = 64;  // far above any real guard; keeps hostile nesting off the stack

    struct Operand {
        std::uint16_t node;
        int domain;  // number of values; 0 for a literal
        int literal;
    };

    void skip_blanks() {
        while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\t')) ++position_;
    }
    bool accept(std::string_view token) {
        skip_blanks();
        if (text_.substr(position_, token.size()) != token) return false;
        position_ += token.size();
        return true;
    }
    bool refuse(std::string what) {
        if (error_.message.empty()) {
            error_.code = ErrorCode::malformed;
            error_.message = "guard \"" + std::string(text_) + "\", column " + std::to_string(position_ + 1) + ": " + what;
        }
        return false;
    }
    std::uint16_t add(Op op, std::uint16_t left, std::uint16_t right) {
        guard_.nodes_.push_back({op, left, right});
        return static_cast<std::uint16_t>(guard_.nodes_.size() - 1);
    }

    bool parse_either() {
        if (++depth_ > kMaxDepth) return refuse("nested too deeply");
        if (!parse_both()) return false;
        while (accept("||")) {
            const std::uint16_t left = last_;
            if (!parse_both()) return false;
            last_ = add(Op::either, left, last_);
        }
        --depth_;
        return true;
    }
    bool parse_both() {
        if (!parse_unary()) return false;
        while (accept("&&")) {
            const std::uint16_t left = last_;
            if (!parse_unary()) return false;
            last_ = add(Op::both, left, last_);
        }
        return true;
    }
    bool parse_unary() {
        skip_blanks();
        if (position_ < text_.size() && text_[position_] == '!' && text_.substr(position_, 2) != "!=") {
            ++position_;
            if (++depth_ > kMaxDepth) return refuse("nested too deeply");
            if (!parse_unary()) return false;
            --depth_;
            last_ = add(Op::negate, last_, 0);
            return true;
        }
        if (accept("(")) {
            if (!parse_either()) return false;
            return accept(")") || refuse("expected a closing parenthesis");
        }
        return parse_comparison();
    }
    bool parse_comparison() {
        Operand left{};
        if (!parse_operand(left)) return false;
        struct Spelling {
            std::string_view token;
            Op op;
            bool swapped;
        };
        static constexpr Spelling kSpellings[] = {{"==", Op::equal, false},      {"!=", Op::differs, false},
                                                  {"<=", Op::less_equal, false}, {">=", Op::less_equal, true},
                                                  {"<", Op::less, false},        {">", Op::less, true}};
        for (const Spelling& spelling : kSpellings) {
            if (!accept(spelling.token)) continue;
            Operand right{};
            if (!parse_operand(right)) return false;
            if (!fits(left, right) || !fits(right, left)) return false;
            last_ = spelling.swapped ? add(spelling.op, right.node, left.node) : add(spelling.op, left.node, right.node);
            return true;
        }
        if (left.domain != 2) return refuse("a number or a level is not a condition: compare it, as in cpl > 0");
        last_ = left.node;
        return true;
    }
    bool fits(const Operand& literal, const Operand& atom) {
        if (literal.domain != 0 || atom.domain == 0 || literal.literal < atom.domain) return true;
        return refuse("found the value " + std::to_string(literal.literal) + ", expected 0 to " + std::to_string(atom.domain - 1));
    }
    bool parse_operand(Operand& out) {
        skip_blanks();
        const std::size_t begin = position_;
        while (position_ < text_.size()) {
            const char c = text_[position_];
            const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
            if (!word) break;
            ++position_;
        }
        const std::string_view word = text_.substr(begin, position_ - begin);
        if (word.empty()) return refuse("expected an atom or a number");
        if (word.size() == 1 && word[0] >= '0' && word[0] <= '9') {
            out = {add(Op::literal, static_cast<std::uint16_t>(word[0] - '0'), 0), 0, word[0] - '0'};
            return true;
        }
        for (std::size_t i = 0; i < atoms_.size(); ++i) {
            if (atoms_[i].id != word) continue;
            guard_.atoms_.push_back(static_cast<AtomIndex>(i));
            out = {add(Op::atom, static_cast<std::uint16_t>(i), 0), atoms_[i].domain, 0};
            return true;
        }
        position_ = begin;
        return refuse("unknown word \"" + std::string(word) + "\", expected one of x86/atoms.json" + suggestion(word));
    }
    // Names the atoms that share the longest prefix: enough to spot a typing error without listing them all.
    std::string suggestion(std::string_view word) const {
        std::size_t best = 1;
        std::string text;
        for (const Atom& atom : atoms_) {
            const auto [mine, theirs] = std::mismatch(word.begin(), word.end(), atom.id.begin(), atom.id.end());
            const auto shared = static_cast<std::size_t>(mine - word.begin());
            if (shared < best) continue;
            if (shared > best) text.clear();
            best = shared;
            text += (text.empty() ? "" : ", ") + atom.id;
        }
        return text.empty() ? "" : " (near: " + text + ")";
    }

    std::string_view text_;
    const std::vector<Atom>& atoms_;
    Guard guard_;
    Error error_;
    std::size_t position_ = 0;
    std::uint16_t last_ = 0;
    int depth_ = 0;
};

Result<Guard> Guard::parse(std::string_view text, const std::vector<Atom>& atoms) {
    if (text.size() > 4096) return fail(ErrorCode::malformed, "guard of " + std::to_string(text.size()) + " characters, expected at most 4096");
    return GuardParser(text, atoms).run();
}

bool Guard::evaluate(const Assignment& values) const {
    return nodes_.empty() || value(static_cast<std::uint16_t>(nodes_.size() - 1), values) != 0;
}

int Guard::value(std::uint16_t index, const Assignment& values) const {
    const Node& node = nodes_[index];
    switch (node.op) {
        case Op::literal: return node.left;
        case Op::atom: return values[node.left];
        case Op::negate: return !value(node.left, values);
        case Op::both: return value(node.left, values) && value(node.right, values);
        case Op::either: return value(node.left, values) || value(node.right, values);
        case Op::equal: return value(node.left, values) == value(node.right, values);
        case Op::differs: return value(node.left, values) != value(node.right, values);
        case Op::less: return value(node.left, values) < value(node.right, values);
        case Op::less_equal: return value(node.left, values) <= value(node.right, values);
    }
    return 0;
}

}  // namespace trapline::isa
