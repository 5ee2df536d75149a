// SPDX-License-Identifier: Apache-2.0
// Must match reports/schema/stats.json.
#include "reports/stats_json.h"

#include "reports/execution_counts.h"
#include "reports/json_document.h"
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

}  // namespace trapline::reports
