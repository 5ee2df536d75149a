// SPDX-License-Identifier: Apache-2.0
// Assembles hand-written windows.
#include "proof_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "decode/assembler.h"
#include "isa/loader.h"

namespace trapline::patch::proof {
namespace {

/// Addresses by name as `.set` lines behind the code. Those of 32-bit code count from its first byte: there relative fields
/// wrap, and the assembler refuses them against a bare number.
std::string define(const std::map<std::string, std::uint64_t>& names, Mode mode, std::uint64_t base) {
    std::string out = "\n";
    for (const auto& [name, value] : names)
        out += mode == Mode::long64 ? fmt::format(".set {}, {:#x}\n", name, value) : fmt::format(".set {}, first_byte + {}\n", name, static_cast<std::int64_t>(value - base));
    return out;
}

/// The interface's places, with numbers from its page, not from its loader.
std::map<std::string, std::uint64_t> interface_names(Mode mode) {
    const std::uint64_t gate = mode == Mode::long64 ? 0xFFFFFFFFFFFF0000 : 0xFE000000, vcpu = gate + 0x1000, pending = gate + 0x2000;
    return {{"gate", gate}, {"after_sti", pending}, {"after_flags", pending + 8}, {"flags_if", vcpu + 0x008}, {"flags_fixed", vcpu + 0x010}, {"vcpu_cr0", vcpu + 0x020},
            {"vcpu_cr3", vcpu + 0x030}, {"call_site", vcpu + 0x0b8}, {"call_resume", vcpu + 0x0c0}};
}

decode::Assembled assemble(const std::string& text, const std::map<std::string, std::uint64_t>& names, Mode mode, std::uint64_t address) {
    const std::string whole = "first_byte:\n" + text + define(names, mode, address);
    auto assembled = decode::assemble(whole, mode, VirtAddr{address});
    if (!assembled) FAIL(assembled.error().describe() << "\n" << whole);
    return std::move(*assembled);
}

}  // namespace

const isa::Database& test_database() {
    static const isa::LoadOutcome outcome = isa::load_database(isa::embedded_spec_files());
    return outcome.database;
}

const Layout& test_layout(Mode mode) {
    static const std::map<Mode, Layout> layouts = [] {
        std::map<Mode, Layout> made;
        for (const Mode each : {Mode::protected32, Mode::long64}) {
            const isa::Abi* const abi = test_database().find_abi("trapline");
            REQUIRE(abi != nullptr);
            auto layout = read_layout(*abi, each);
            if (!layout) FAIL(layout.error().describe());
            made.emplace(each, *layout);
        }
        return made;
    }();
    return layouts.at(mode);
}

std::vector<std::uint8_t> assemble_at(std::string_view text, Mode mode, std::uint64_t address) {
    return assemble(std::string(text), interface_names(mode), mode, address).bytes;
}

Window make_window(const Sketch& sketch) {
    const bool wide = sketch.mode == Mode::long64;
    const std::uint64_t begin = wide ? kWindow64 : kWindow32, stub = wide ? 0xFFFFFFFFFFE00000 : 0xFC000000;
    Window window;
    window.layout = &test_layout(sketch.mode);
    const decode::Assembled original = assemble(sketch.original, {}, sketch.mode, begin);
    const std::uint64_t end = begin + original.bytes.size();
    REQUIRE(original.bytes.size() >= 5);

    std::map<std::string, std::uint64_t> labels = {{"end", end}}, known = interface_names(sketch.mode);
    for (const auto& [name, value] : original.symbols)
        if (name != "first_byte") labels[name] = value;
    known.insert(labels.begin(), labels.end());
    const decode::Assembled code = assemble(sketch.stub, known, sketch.mode, stub);
    for (const auto& [name, value] : code.symbols)
        if (name.rfind("s_", 0) == 0) {
            REQUIRE(labels.count(name.substr(2)) == 1);
            window.steps.push_back({value, labels[name.substr(2)]});
        }
    std::sort(window.steps.begin(), window.steps.end(), [](const MapStep& a, const MapStep& b) { return a.address < b.address; });

    window.guest = {{VirtAddr{begin}, VirtAddr{end}}};
    window.entries = {begin};
    window.original.add(begin, original.bytes);
    std::vector<std::uint8_t> head = assemble("jmp stub", {{"stub", stub}}, sketch.mode, begin).bytes;
    REQUIRE(head.size() == 5);
    head.resize(original.bytes.size(), 0xCC);
    window.patched.add(begin, head);
    window.patched.add(stub, code.bytes);
    window.stubs = {{VirtAddr{stub}, VirtAddr{stub + code.bytes.size()}}};
    for (std::size_t i = 0; i < sketch.sites.size(); ++i) {
        WindowSite site;
        site.number = static_cast<std::uint32_t>(i);
        REQUIRE(labels.count(sketch.sites[i].label) == 1);
        site.address = labels[sketch.sites[i].label];
        site.instruction = window.original.at(site.address, sketch.mode);
        site.stack_bytes = sketch.sites[i].stack_bytes;
        site.traps = sketch.sites[i].traps;
        window.sites.push_back(site);
    }
    return window;
}

}  // namespace trapline::patch::proof
