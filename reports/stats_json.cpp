// SPDX-License-Identifier: Apache-2.0
// Must match reports/schema/stats.json.
#include "reports/stats_json.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <set>
#include <utility>

#include "reports/json_document.h"
#include "reports/plan_members.h"
#include "reports/run_counters.h"
#include "reports/scan_members.h"
#include "reports/text_encoding.h"
#include "support/bytes.h"

namespace trapline::reports {
namespace {

Json counts_to_json(const RunCounts& counts) {
    Json json = Json::object();
    for (std::size_t i = 0; i < counts.size(); ++i)
        if (counts[i].count != 0) json[std::string(kRunArrivals[i])] = {{"count", counts[i].count}, {"nanoseconds", counts[i].nanoseconds}};
    return json;
}

/// Sums over all ways, and each way.
void put_counts(Json& json, const RunCounts& counts) {
    RunCount sum;
    for (const RunCount& one : counts) {
        sum.count += one.count;
        sum.nanoseconds += one.nanoseconds;
    }
    json["executions"] = sum.count;
    json["nanoseconds"] = sum.nanoseconds;
    json["techniques"] = counts_to_json(counts);
}

template <class Pairs>
Json pairs_to_json(const Pairs& pairs) {
    Json json = Json::object();
    for (const auto& [name, count] : pairs) json[std::string(name)] = count;
    return json;
}

/// Reads one document. Members that it does not need may be missing; those that are there are read all the same.
class StatsReader {
public:
    StatsReader(const Json& json, const std::string& name, StatsNeed need) : name_(name), need_(need), document_(json, "", name, status_) {}

    Result<RunStatistics> run() {
        read_schema(document_, kStatsSchema, "trapline run --stats FILE");
        read_image();
        read_guest();
        if (wanted(document_, "technique")) document_.read_word("technique", out_.technique, {"trap", "breakpoint", "hypercall", "auto"});
        if (wanted(document_, "containment")) read_containment();
        read_ending();
        read_times();
        read_host();
        if (wanted(document_, "techniques")) out_.arrivals = read_ways(document_);
        read_counters("exits", kExitCounters, out_.exits);
        read_counters("mmu", kMmuCounters, out_.mmu);
        read_events();
        read_mnemonics();
        read_sites();
        document_.finish();
        if (!status_) return tl::unexpected(status_.error());
        return std::move(out_);
    }

private:
    bool wanted(ObjectReader& reader, std::string_view key) const { return need_ == StatsNeed::all || reader.has(key); }

    void read_image() {
        const Json* value = document_.object("image");
        if (value == nullptr) return;
        ObjectReader image(*value, "/image", name_, status_);
        if (wanted(image, "name")) image.read("name", out_.image);
        read_sha256(image, out_.sha256);
        image.finish();
    }
    void read_guest() {
        const Json* value = wanted(document_, "guest") ? document_.object("guest") : nullptr;
        if (value == nullptr) return;
        ObjectReader guest(*value, "/guest", name_, status_);
        guest.read("protocol", out_.protocol);
        guest.read("command_line", out_.command_line);
        guest.read("memory", out_.memory);
        guest.finish();
    }
    void read_containment() {
        document_.read("containment", out_.containment);
        constexpr std::string_view kLayers[] = {"no-new-privileges", "no-tracing", "limits", "namespaces", "landlock", "seccomp"};
        for (const std::string& layer : out_.containment)
            if (std::find(std::begin(kLayers), std::end(kLayers), layer) == std::end(kLayers))
                document_.refuse("containment", fmt::format("found \"{}\", expected one of {}", fitted(printable(layer), 40), fmt::join(kLayers, ", ")));
    }
    void read_ending() {
        const Json* value = wanted(document_, "ending") ? document_.object("ending") : nullptr;
        if (value == nullptr) return;
        ObjectReader ending(*value, "/ending", name_, status_);
        ending.read_word("kind", out_.ending, {"power-off", "halted", "reset", "debug-exit", "triple-fault", "interrupted", "unsupported", "host-limit"});
        ending.read("code", out_.code);
        ending.read("detail", out_.detail);
        ending.finish();
    }
    void read_times() {
        const Json* value = wanted(document_, "nanoseconds") ? document_.object("nanoseconds") : nullptr;
        if (value == nullptr) return;
        ObjectReader times(*value, "/nanoseconds", name_, status_);
        times.read("wall", out_.wall);
        times.read("guest", out_.guest);
        times.read("monitor", out_.monitor);
        times.read("idle", out_.idle);
        times.finish();
    }

    /// Came to this version of the document later, so it may be missing.
    void read_host() {
        const Json* value = document_.has("host") ? document_.object("host") : nullptr;
        if (value == nullptr) return;
        ObjectReader host(*value, "/host", name_, status_);
        host.read("mappings", out_.host.mappings);
        host.read("mappings_allowed", out_.host.mappings_allowed);
        host.read("overflows", out_.host.overflows);
        host.read("peak_memory", out_.host.peak_memory);
        host.finish();
    }

    /// Reads the "techniques" of an object.
    RunCounts read_ways(ObjectReader& owner) {
        RunCounts counts;
        const Json* value = owner.object("techniques");
        if (value == nullptr) return counts;
        ObjectReader ways(*value, owner.pointer_to("techniques"), name_, status_);
        for (std::size_t i = 0; i < counts.size(); ++i) {
            const Json* way = ways.has(kRunArrivals[i]) ? ways.object(kRunArrivals[i]) : nullptr;
            if (way == nullptr) continue;
            ObjectReader arrivals(*way, ways.pointer_to(kRunArrivals[i]), name_, status_);
            arrivals.read("count", counts[i].count);
            arrivals.read("nanoseconds", counts[i].nanoseconds);
            arrivals.finish();
        }
        ways.finish();
        return counts;
    }
    /// Reads "executions", "nanoseconds" and "techniques", which have to agree where they are all there. Counts without ways
    /// are taken as trapped: whoever counted did not say how.
    RunCounts read_counts(ObjectReader& owner) {
        RunCount sum;
        owner.read("executions", sum.count);
        if (wanted(owner, "nanoseconds")) owner.read("nanoseconds", sum.nanoseconds);
        if (!wanted(owner, "techniques")) return RunCounts{sum};
        const RunCounts counts = read_ways(owner);
        compare(owner, "executions", sum.count, counts, &RunCount::count);
        if (owner.has("nanoseconds")) compare(owner, "nanoseconds", sum.nanoseconds, counts, &RunCount::nanoseconds);
        return counts;
    }
    static void compare(ObjectReader& owner, std::string_view key, std::uint64_t found, const RunCounts& counts, std::uint64_t RunCount::*member) {
        std::uint64_t rest = found;
        for (const RunCount& one : counts) {
            if (one.*member > rest) return owner.refuse(key, fmt::format("found {}, expected the sum over its techniques, which is more", found), ErrorCode::inconsistent);
            rest -= one.*member;
        }
        if (rest != 0) owner.refuse(key, fmt::format("found {}, expected {}, the sum over its techniques", found, found - rest), ErrorCode::inconsistent);
    }

    template <std::size_t N>
    void read_counters(std::string_view key, const std::array<RunCounter, N>& names, std::vector<std::pair<std::string_view, std::uint64_t>>& out) {
        const Json* value = wanted(document_, key) ? document_.object(key) : nullptr;
        if (value == nullptr) return;
        ObjectReader counters(*value, document_.pointer_to(key), name_, status_);
        for (const RunCounter& counter : names) {
            out.emplace_back(counter.name, 0);
            if (!counter.added || counters.has(counter.name)) counters.read(counter.name, out.back().second);
        }
        counters.finish();
    }

    void read_events() {
        const Json* events = wanted(document_, "events") ? document_.array("events") : nullptr;
        std::set<std::uint32_t> met;
        for (std::size_t i = 0; events != nullptr && i < events->size() && status_; ++i) {
            ObjectReader event((*events)[i], fmt::format("/events/{}", i), name_, status_);
            std::pair<std::uint32_t, std::uint64_t> one;
            event.read("vector", one.first);
            event.read("count", one.second);
            event.finish();
            if (one.first > 255) event.refuse("vector", fmt::format("found {}, expected a vector from 0 to 255", one.first));
            if (event.ok() && one.second == 0) event.refuse("count", "found 0, expected 1 or more");
            if (event.ok() && !met.insert(one.first).second) event.refuse("vector", fmt::format("found {} a second time, expected each vector once", one.first), ErrorCode::inconsistent);
            out_.events.push_back(one);
        }
    }

    void read_mnemonics() {
        const Json* mnemonics = wanted(document_, "mnemonics") ? document_.array("mnemonics") : nullptr;
        std::set<std::string_view> met;
        for (std::size_t i = 0; mnemonics != nullptr && i < mnemonics->size() && status_; ++i) {
            ObjectReader reader((*mnemonics)[i], fmt::format("/mnemonics/{}", i), name_, status_);
            RunMnemonic one;
            reader.read("mnemonic", one.mnemonic);
            one.arrivals = read_counts(reader);
            reader.finish();
            // The view is into the parsed document, which outlives the set.
            if (reader.ok() && !met.insert((*mnemonics)[i]["mnemonic"].get_ref<const std::string&>()).second)
                reader.refuse("mnemonic", fmt::format("found \"{}\" a second time, expected each mnemonic once", fitted(printable(one.mnemonic), 40)), ErrorCode::inconsistent);
            out_.mnemonics.push_back(std::move(one));
        }
    }

    void read_sites() {
        const Json* sites = document_.array("sites");
        if (sites != nullptr && sites->size() > kMostRunSites)
            document_.refuse("sites", fmt::format("found {} sites, expected at most {}", sites->size(), kMostRunSites), ErrorCode::refused);
        std::set<std::pair<std::string_view, std::uint64_t>> met;
        for (std::size_t i = 0; sites != nullptr && i < sites->size() && status_; ++i) {
            ObjectReader reader((*sites)[i], fmt::format("/sites/{}", i), name_, status_);
            RunSite one;
            reader.read_word("part", one.part, kParts);
            reader.read_address("address", one.address);
            if (wanted(reader, "bytes")) {
                reader.read_bytes("bytes", one.bytes);
                if (reader.ok() && (one.bytes.empty() || one.bytes.size() > kLongestInsn))
                    reader.refuse("bytes", fmt::format("found {} bytes, expected an instruction of 1 to {}", one.bytes.size(), kLongestInsn));
            }
            if (wanted(reader, "mnemonic")) reader.read("mnemonic", one.mnemonic);
            one.arrivals = read_counts(reader);
            reader.finish();
            if (!reader.ok()) return;
            const std::string_view part = *std::find(kParts.begin(), kParts.end(), one.part);
            if (!met.emplace(part, one.address).second)
                reader.refuse("address", fmt::format("found {} a second time, expected each site once", hex_address(one.address)), ErrorCode::inconsistent);
            out_.sites.push_back(std::move(one));
        }
    }

    static constexpr std::size_t kLongestInsn = 15;
    inline static const std::vector<std::string_view> kParts = {"", "payload", kOtherCode};

    const std::string& name_;
    const StatsNeed need_;
    Status status_;
    ObjectReader document_;
    RunStatistics out_;
};

}  // namespace

std::string render_stats_json(const RunStatistics& statistics) {
    return collect([&](const Sink& sink) {
        DocumentWriter writer(sink);
        writer.member("schema", kStatsSchema);
        writer.member("image", {{"name", statistics.image}, {"sha256", statistics.sha256}});
        writer.member("guest", {{"protocol", statistics.protocol}, {"command_line", statistics.command_line}, {"memory", statistics.memory}});
        writer.member("technique", statistics.technique);
        writer.member("containment", statistics.containment);
        writer.member("ending", {{"kind", statistics.ending}, {"code", statistics.code}, {"detail", statistics.detail}});
        writer.member("nanoseconds", {{"wall", statistics.wall}, {"guest", statistics.guest}, {"monitor", statistics.monitor}, {"idle", statistics.idle}});
        writer.member("host", {{"mappings", statistics.host.mappings}, {"mappings_allowed", statistics.host.mappings_allowed}, {"overflows", statistics.host.overflows}, {"peak_memory", statistics.host.peak_memory}});
        writer.member("techniques", counts_to_json(statistics.arrivals));
        writer.member("exits", pairs_to_json(statistics.exits));
        writer.member("mmu", pairs_to_json(statistics.mmu));
        writer.list("events", statistics.events.size(), [&](std::size_t i) {
            return Json{{"vector", statistics.events[i].first}, {"count", statistics.events[i].second}};
        });
        writer.list("mnemonics", statistics.mnemonics.size(), [&](std::size_t i) {
            Json json = {{"mnemonic", statistics.mnemonics[i].mnemonic}};
            put_counts(json, statistics.mnemonics[i].arrivals);
            return json;
        });
        writer.list("sites", statistics.sites.size(), [&](std::size_t i) {
            const RunSite& site = statistics.sites[i];
            Json json = {{"part", site.part}, {"address", hex_address(site.address)}, {"bytes", to_hex(site.bytes)}, {"mnemonic", site.mnemonic}};
            put_counts(json, site.arrivals);
            return json;
        });
        writer.end();
    });
}

Result<RunStatistics> parse_stats_json(std::string_view text, const std::string& name, StatsNeed need) {
    const Result<Json> json = parse_json(text, name);
    if (!json) return tl::unexpected(json.error());
    return StatsReader(*json, name, need).run();
}

}  // namespace trapline::reports
