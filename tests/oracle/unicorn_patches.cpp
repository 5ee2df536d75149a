// SPDX-License-Identifier: Apache-2.0
// Both sides of a window on processors of Unicorn's, from one state.
#include "unicorn_patches.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "patch/proof/compare.h"
#include "patch/proof/flags.h"
#include "unicorn_guest.h"

namespace trapline {
namespace {

using namespace patch::proof;

constexpr std::uint64_t kPage = 4096, kMostPrinted = 10;
constexpr std::size_t kMostInstructions = 1000;
constexpr std::uint64_t page_of(std::uint64_t address) { return address & ~(kPage - 1); }

class PatchComparer {
public:
    PatchComparer(Mode mode, PatchComparison& result) : mode_(mode), result_(result), original_(mode, 0), patched_(mode, 3) {}

    /// Compares one window; gives the reason when no state could be compared.
    std::string compare(Window& window, unsigned states, std::uint64_t seed) {
        window_ = &window;
        std::string why;
        unsigned compared = 0;
        for (const std::uint64_t entry : window.entries)
            for (unsigned i = 0; i < states; ++i) {
                Start start = make_start(window, entry, seed, i * 8 + (i & 1));  // no event waits: there is nobody to deliver it
                start.cpu.segment_base = {};
                start.event_waits = false;
                if (std::string reason = compare_state(start); !reason.empty()) why = reason;
                else ++compared;
            }
        result_.states += compared;
        result_.patches += compared > 0;
        return compared > 0 ? std::string() : why;
    }

private:
    const Layout& layout() const { return *window_->layout; }

    void fill(std::uint64_t page, std::uint8_t* out, bool fetch, const SparseMemory& memory, const Code& code) const {
        if (fetch || holds_code(code, page)) std::fill_n(out, kPage, std::uint8_t{0xF4});
        else fill_data(page, out, memory);
        for (const CodePiece& piece : code.pieces())
            for (std::size_t i = 0; i < piece.bytes.size(); ++i)
                if (page_of(piece.begin + i) == page) out[(piece.begin + i) & (kPage - 1)] = piece.bytes[i];
    }

    static void fill_data(std::uint64_t page, std::uint8_t* out, const SparseMemory& memory) {
        for (std::uint64_t i = 0; i < kPage; i += 8) {
            const std::uint64_t value = memory.load(page + i, 8);
            for (unsigned byte = 0; byte < 8; ++byte) out[i + byte] = static_cast<std::uint8_t>(value >> (8 * byte));
        }
    }

    std::string compare_state(const Start& start) {
        const SparseMemory memory(start.seed);
        original_.reset();
        patched_.reset();
        forgotten_.clear();
        bool first = true;
        const WindowSite* site = nullptr;
        std::uint64_t sp_before = 0;
        const auto sp = [](UnicornGuest& guest) { return guest.general()[kRsp]; };
        original_.fill_page = [&](std::uint64_t page, std::uint8_t* out, bool fetch) { fill(page, out, fetch, memory, window_->original); };
        original_.is_code = [&](std::uint64_t address) {
            if (site != nullptr && site->stack_bytes > 0) {
                const std::uint64_t low = std::min(sp_before, sp(original_));
                forgotten_.push_back({VirtAddr{low - site->stack_bytes}, VirtAddr{low}});
            }
            site = window_->find_site(address);
            if (site != nullptr) sp_before = sp(original_);
            return std::exchange(first, false) || (window_->is_guest(address) && !window_->is_entry(address));
        };
        const UnicornEnd end = run(original_, start, start.cpu.flags);
        if (original_.reason() == "vector 1" || (end == UnicornEnd::left && (original_.flags() & kTrap) != 0)) return "it sets TF, and the VMM would have to handle the single-step trap";
        if (end != UnicornEnd::left) return end == UnicornEnd::counted ? "it does not leave the window" : "the original: " + original_.reason();

        first = true;
        patched_.fill_page = [&](std::uint64_t page, std::uint8_t* out, bool fetch) {
            fill(page, out, fetch, memory, window_->patched);
            if (page == layout().vcpu) fill_vcpu(start, out);
            if (page == layout().pending) std::fill_n(out, kPage, std::uint8_t{0xFF});
        };
        patched_.is_code = [&](std::uint64_t address) {
            if (window_->is_stub(address) || window_->is_detour(address)) return true;
            return std::exchange(first, false) || (window_->is_guest(address) && !window_->is_entry(address));
        };
        const UnicornEnd patched_end = run(patched_, start, (start.cpu.flags & ~kIopl) | kInterrupt);
        if (patched_end != UnicornEnd::left) {
            fail(start, fmt::format("the patch does not leave the window: {}", patched_.reason()));
            return {};
        }
        if (std::string difference = find_difference(start, memory); !difference.empty()) fail(start, difference);
        return {};
    }

    UnicornEnd run(UnicornGuest& guest, const Start& start, std::uint64_t flags) const {
        guest.set_general(start.cpu.general);
        guest.set_flags(flags);
        return guest.run(start.entry, kMostInstructions);
    }

    void fill_vcpu(const Start& start, std::uint8_t* out) {
        std::fill_n(out, kPage, std::uint8_t{0});
        const auto put = [&](std::uint32_t offset, std::uint64_t value) {
            for (unsigned byte = 0; byte < 8; ++byte) out[offset + byte] = static_cast<std::uint8_t>(value >> (8 * byte));
        };
        put(layout().flags_if, start.cpu.flags & kInterrupt);
        put(layout().flags_fixed, (start.cpu.flags & kIopl) - kInterrupt);
        const std::uint64_t system[kSystemRegisters] = {original_.control(0), original_.control(2), original_.control(3),       original_.control(4),
                                                        original_.control(8), original_.local_table(), original_.task_register()};
        for (std::size_t i = 0; i < kSystemRegisters; ++i) put(layout().system[i], system[i]);
    }

    std::uint64_t vcpu_word(std::uint32_t offset) {
        if (patched_.pages().count(layout().vcpu) == 0) patched_.write(layout().vcpu + kPage - 1, {0});  // maps it
        const std::vector<std::uint8_t> page = patched_.read_page(layout().vcpu);
        std::uint64_t value = 0;
        for (unsigned byte = 0; byte < 8; ++byte) value |= static_cast<std::uint64_t>(page[offset + byte]) << (8 * byte);
        return value;
    }

    std::string find_difference(const Start& start, const SparseMemory& memory) {
        if (original_.ip() != patched_.ip()) return fmt::format("control leaves to {:#x}, expected {:#x}", patched_.ip(), original_.ip());
        const GeneralRegisters one = original_.general(), two = patched_.general();
        for (std::size_t i = 0; i < (mode_ == Mode::long64 ? 16u : 8u); ++i)
            if (one[i] != two[i]) return fmt::format("register {} is {:#x}, expected {:#x}", i, two[i], one[i]);
        const std::uint64_t flags = (patched_.flags() + vcpu_word(layout().flags_if) + vcpu_word(layout().flags_fixed)) & 0xFFFFFFFF;
        if (original_.flags() != flags) return fmt::format("the guest's flags are {:#x}, expected {:#x}", flags, original_.flags());
        const bool rose = (start.cpu.flags & kInterrupt) == 0 && (original_.flags() & kInterrupt) != 0;
        if (rose && patched_.pages().count(layout().pending) == 0) return "IF rose and the VMM was not asked for delivery";
        return compare_memory(memory);
    }

    std::string compare_memory(const SparseMemory& memory) {
        std::set<std::uint64_t> pages = original_.pages();
        pages.insert(patched_.pages().begin(), patched_.pages().end());
        for (const std::uint64_t page : pages) {
            if (layout().is_reserved(page, kPage) || holds_code(window_->original, page) || holds_code(window_->patched, page) || original_.is_fetched(page) || patched_.is_fetched(page)) continue;
            std::vector<std::uint8_t> untouched(kPage);
            fill_data(page, untouched.data(), memory);
            const auto content = [&](UnicornGuest& guest) { return guest.pages().count(page) != 0 ? guest.read_page(page) : untouched; };
            const std::vector<std::uint8_t> one = content(original_), two = content(patched_);
            for (std::uint64_t i = 0; i < kPage; ++i) {
                const bool forgotten = std::any_of(forgotten_.begin(), forgotten_.end(), [&](const AddressRange& range) { return range.contains(VirtAddr{page + i}); });
                if (one[i] != two[i] && !forgotten) return fmt::format("memory at {:#x} is {:#x}, expected {:#x}", page + i, two[i], one[i]);
            }
        }
        return {};
    }

    static bool holds_code(const Code& code, std::uint64_t page) {
        return std::any_of(code.pieces().begin(), code.pieces().end(), [&](const CodePiece& piece) { return piece.begin < page + kPage && piece.end() > page; });
    }

    void fail(const Start& start, const std::string& difference) {
        if (++result_.failures > kMostPrinted) return;
        fmt::print("window at {:#x}: {}\n{}", start.entry, difference, describe_difference(*window_, start, difference));
    }

    const Mode mode_;
    PatchComparison& result_;
    UnicornGuest original_, patched_;
    Window* window_ = nullptr;
    std::vector<AddressRange> forgotten_;
};

/// Whether a site's code asks the VMM, who is not there.
bool needs_vmm(const PlanDocument& plan, std::size_t patch, Mode mode, const isa::Abi& abi, const Window& window) {
    return plan.patches[patch].technique == Technique::breakpoint || std::any_of(window.sites.begin(), window.sites.end(), [&](const WindowSite& site) {
               const isa::AbiTemplate* const code = abi.find_template(plan.sites[site.number].form, mode, site.instruction.bits());
               return code == nullptr || code->calls_vmm;
           });
}

}  // namespace

PatchComparison compare_patches(const PlanDocument& plan, const patch::proof::WindowBuilder& builder, const isa::Abi& abi, unsigned states, std::uint64_t seed) {
    PatchComparison result;
    std::map<Mode, std::unique_ptr<PatchComparer>> comparers;
    for (std::size_t i = 0; i < plan.patches.size(); ++i) {
        auto window = builder.build(i);
        if (!window) {
            ++result.left_out[window.error().message];
            continue;
        }
        const Mode mode = window->layout->mode;
        if (needs_vmm(plan, i, mode, abi, *window)) {
            ++result.left_out["the operation needs the VMM"];
            continue;
        }
        auto& comparer = comparers[mode];
        if (!comparer) comparer = std::make_unique<PatchComparer>(mode, result);
        if (const std::string why = comparer->compare(*window, states, seed); !why.empty()) ++result.left_out[why];
    }
    return result;
}

}  // namespace trapline
