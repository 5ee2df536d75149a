// SPDX-License-Identifier: Apache-2.0
// Messages go through, and a hostile monitor's are refused.
#include "executor/host/monitor_message.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "executor/host/terminal.h"

using namespace trapline;
using namespace trapline::executor;

namespace {

Ended sample() {
    Ended ended;
    ended.numbers.ending = 4;
    ended.numbers.code = 7;
    ended.numbers.registers.eip = 0xC0100000;
    ended.numbers.delivered[14] = 3;
    ended.detail = "vector 14";
    ended.screen = "screen\n";
    ended.sites.resize(2);
    ended.sites[1].linear = 0x1234;
    ended.sites[1].counts[2] = 99;
    return ended;
}

std::uint32_t next(MessageReader& reader) {
    const auto kind = reader.next();
    REQUIRE(kind);
    return *kind;
}

}  // namespace

TEST_CASE("Messages arrive as they were sent, in whatever pieces", "[executor]") {
    const std::string stream = render_message(Started{"Multiboot 1", "a b", 0x100000, 5}) + render_message(sample()) + render_message(Error{ErrorCode::refused, "too little", "image", 7, {}});
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, stream.size()}) {
        MessageReader reader;
        std::vector<std::uint32_t> kinds;
        for (std::size_t at = 0; at < stream.size(); at += piece) {
            reader.add(stream.data() + at, std::min(piece, stream.size() - at));
            while (const std::uint32_t kind = next(reader)) {
                kinds.push_back(kind);
                if (kind == 1) {
                    const auto started = reader.take_started();
                    REQUIRE(started);
                    CHECK(started->protocol == "Multiboot 1");
                    CHECK(started->command_line == "a b");
                    CHECK(started->entry == 0x100000);
                    CHECK(started->layers == 5);
                } else if (kind == 2) {
                    const auto ended = reader.take_ended();
                    REQUIRE(ended);
                    CHECK(ended->numbers.registers.eip == 0xC0100000);
                    CHECK(ended->numbers.delivered[14] == 3);
                    CHECK(ended->detail == "vector 14");
                    CHECK(ended->screen == "screen\n");
                    REQUIRE(ended->sites.size() == 2);
                    CHECK(ended->sites[1].counts[2] == 99);
                } else {
                    const auto error = reader.take_failed();
                    REQUIRE(error);
                    CHECK(error->describe() == Error{ErrorCode::refused, "too little", "image", 7, {}}.describe());
                }
            }
        }
        CHECK(kinds == std::vector<std::uint32_t>{1, 2, 3});
    }
}

TEST_CASE("What no monitor would send is refused", "[executor]") {
    const auto header = [](std::uint32_t kind, std::uint32_t size) {
        std::string out(8, '\0');
        std::memcpy(out.data(), &kind, 4);
        std::memcpy(out.data() + 4, &size, 4);
        return out;
    };
    const auto first = [](const std::string& bytes) {
        MessageReader reader;
        reader.add(bytes.data(), bytes.size());
        return reader.next();
    };
    CHECK_FALSE(first(header(0, 0)));
    CHECK_FALSE(first(header(4, 0)));
    CHECK_FALSE(first(header(2, 0xFFFFFFFF)));
    CHECK(first(header(2, MessageReader::kLargest)).value() == 0);

    // Each message cut at every byte, with its header telling the smaller size, and each longer than it is.
    const std::string whole[] = {render_message(Started{"p", "c", 1, 1}), render_message(sample()), render_message(Error{ErrorCode::io, "m", "f", {}, {}})};
    for (const std::string& message : whole) {
        const auto kind = static_cast<std::uint32_t>(message[0]);
        const std::string payload = message.substr(8);
        for (std::size_t size = 0; size <= payload.size() + 1; ++size) {
            if (size == payload.size()) continue;
            std::string cut = payload.substr(0, size);
            cut.resize(size, 'x');
            MessageReader reader;
            const std::string bytes = header(kind, static_cast<std::uint32_t>(size)) + cut;
            reader.add(bytes.data(), bytes.size());
            REQUIRE(next(reader) == kind);
            const bool whole_sites = kind == 2 && size < payload.size() && (payload.size() - size) % sizeof(SiteRecord) == 0 && (payload.size() - size) / sizeof(SiteRecord) <= 2;
            const bool accepted = kind == 1 ? reader.take_started().has_value() : kind == 2 ? reader.take_ended().has_value() : reader.take_failed().has_value();
            CHECK(accepted == whole_sites);  // the list of sites has no count of its own
        }
    }
    // An error code that does not exist.
    std::string wrong = whole[2];
    wrong[8] = 100;
    MessageReader reader;
    reader.add(wrong.data(), wrong.size());
    REQUIRE(next(reader) == 3);
    CHECK(reader.take_failed().error().code == ErrorCode::inconsistent);
}

TEST_CASE("Ctrl-A x ends, Ctrl-A Ctrl-A is one Ctrl-A, across any cut of the keys", "[executor]") {
    struct Case {
        std::string keys, out;
        bool ends;
    };
    const Case cases[] = {{"abc", "abc", false}, {"a\x01\x01z", "a\x01z", false}, {"a\x01x", "a", true}, {"a\x01Xb", "a", true}, {"\x01" "c", "\x01" "c", false}, {"\x03\x1a", "\x03\x1a", false},
                          {"\x01\x01x", "\x01x", false}, {"\x01", "", false}};
    for (const Case& one : cases)
        for (const std::size_t piece : {std::size_t{1}, std::size_t{8}}) {
            EscapeFilter filter;
            std::string out;
            bool ends = false;
            for (std::size_t at = 0; at < one.keys.size() && !ends; at += piece) ends = filter.feed(std::span(one.keys).subspan(at, std::min(piece, one.keys.size() - at)), out);
            CHECK(out == one.out);
            CHECK(ends == one.ends);
        }
}
