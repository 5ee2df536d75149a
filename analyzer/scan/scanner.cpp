// SPDX-License-Identifier: Apache-2.0
// The order of work: splits, sweep, descent, findings. Everything that runs in parallel writes to a slot of its own, and
// the cut into chunks depends on the image alone, so the document is the same for any number of threads.
#include "scan/scanner.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <mutex>
#include <optional>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <unordered_map>

#include "scan/descent.h"
#include "scan/finding_writer.h"
#include "scan/sweep.h"

namespace trapline::scan {
namespace {

/// Small enough to spread over any number of processors, large enough to hide what starting a task costs.
constexpr std::uint64_t kChunkBytes = 64 * 1024;
/// A finding takes about a kilobyte. Stock kernels have some ten thousand; a file full of CLI would have a billion.
constexpr std::uint64_t kMaxFindings = 1'000'000;
/// Code that is scanned of an image that does not tell its size.
constexpr std::uint64_t kDefaultBudget = std::uint64_t{1} << 30;

using MnemonicCounts = std::unordered_map<std::string, std::uint64_t>;

/// What the scan of one chunk gives.
struct ChunkResult {
    SweepCounts counts;
    std::vector<Finding> findings;
    std::vector<std::uint64_t> offsets;  ///< of the findings
    MnemonicCounts mnemonics;
    std::uint64_t unconfirmed = 0;       ///< flagged places that the full decode does not know
};

class Scan {
public:
    Scan(const image::Image& image, const isa::Database& database, const classify::TagTable& tags, const ScanOptions& options)
        : image_(image), database_(database), tags_(tags), options_(options), flagged_(database, tags),
          decoder_(database, tags.profile()),
          reconcilers_([&database, &tags] { return std::make_unique<decode::Reconciler>(database, tags.profile()); }) {}

    ScanDocument run() {
        const auto start = std::chrono::steady_clock::now();
        describe_image();
        choose_sections();
        const CodePlaces places(image_, sections_);

        const int jobs = job_count();
        // An arena alone is held to one thread for each processor, with a warning from oneTBB.
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(jobs));
        tbb::task_arena arena(jobs);
        std::optional<TableEdges> edges;
        std::optional<TableContext> tables;
        arena.execute([&] { tbb::parallel_invoke([&] { sweep(); }, [&] { edges.emplace(image_, places, sections_); }, [&] { tables.emplace(image_); }); });
        edges->mark(sections_);
        DescentResult descent;
        arena.execute([&] { descent = descend(image_, sections_, places, *edges, decoder_, flagged_, jobs); });
        const FindingWriter writer(image_, tags_, *tables);
        arena.execute([&] { write_findings(writer); });
        gather(writer, descent);
        note_limits(descent);
        note_disagreements();
        document_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return std::move(document_);
    }

    /// Hands the swept and descended sections over. Once, after run.
    CodeFacts take_facts() {
        const int jobs = job_count();
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(jobs));
        tbb::task_arena arena(jobs);
        return arena.execute([&] { return CodeFacts(image_, std::move(sections_), decoder_); });
    }

private:
    int job_count() const { return options_.jobs > 0 ? options_.jobs : tbb::info::default_concurrency(); }

    void describe_image() {
        document_.image = image_.name;
        document_.format = image::to_string(image_.format);
        document_.architecture = image_.architecture;
        document_.sha256 = image_.sha256;
        document_.build_id = image_.build_id;
        switch (image_.symbol_source) {
            case image::SymbolSource::none: document_.symbol_source = "none"; break;
            case image::SymbolSource::symtab: document_.symbol_source = "symtab"; break;
            case image::SymbolSource::kallsyms: document_.symbol_source = "kallsyms"; break;
        }
        document_.wrappers = image_.wrappers;
        document_.size = image_.size;
        document_.relocatable = image_.relocatable;
        document_.profile = tags_.profile().id;
        document_.database_version = database_.version;
        document_.program_version = TRAPLINE_VERSION;
        document_.notes = image_.notes;
    }

    /// Takes the executable sections. Sections of a hostile file may all map the same bytes, and each would cost memory
    /// and time for itself, so together they may be twice as large as the file and no more.
    void choose_sections() {
        std::uint64_t budget = image_.size != 0 ? 2 * image_.size : kDefaultBudget;
        ModeSet modes;
        std::uint64_t refused = 0;
        for (image::SectionIndex i = 0; i < image_.sections.size(); ++i) {
            const image::Section& section = image_.sections[i];
            if (!section.executable || section.bytes.empty()) continue;
            if (!options_.section.empty() && section.name != options_.section) continue;
            if (section.bytes.size() > budget) {
                if (refused++ == 0)
                    document_.notes.push_back(fmt::format(
                        "section {} (and any named below) not scanned: executable sections overlap, together they are "
                        "more than twice the file's {} bytes", section.name, image_.size));
                continue;
            }
            budget -= section.bytes.size();
            modes.insert(mode_of(section));
            sections_.push_back(section_code(i));
        }
        if (refused > 1) document_.notes.push_back(fmt::format("{} sections not scanned for that reason", refused));
        if (!options_.section.empty() && sections_.empty())
            document_.notes.push_back(fmt::format("no executable section is named {}", options_.section));
        for (Mode mode : kAllModes)
            if (modes.contains(mode) && !tags_.profile().modes.contains(mode))
                document_.notes.push_back(fmt::format("the image has {} code, which profile {} does not describe; it is "
                                                      "scanned as if it did", to_string(mode), tags_.profile().id));
    }

    /// What was decoded ahead belongs to the first scan alone: it is written over.
    SectionCode section_code(image::SectionIndex i) {
        const image::Section& section = image_.sections[i];
        const std::uint64_t begin = section.file_offset.value, end = begin + section.bytes.size();
        // In the file's order and apart from each other, so that no two share a cell.
        if (cells_ahead_ == nullptr || image_.code_ahead->width != section.width || begin < taken_ahead_ || end > cells_ahead_->size())
            return SectionCode(section, i);
        taken_ahead_ = end;
        return SectionCode(section, i, CodeMap(cells_ahead_, begin, section.bytes.size()));
    }

    void sweep() {
        tbb::parallel_for(std::size_t{0}, sections_.size(), [&](std::size_t i) {
            sections_[i].splits = find_splits(image_, sections_[i].index);
        });
        for (std::size_t i = 0; i < sections_.size(); ++i) {
            const std::vector<Chunk> cut = cut_chunks(sections_[i], i, kChunkBytes);
            chunks_.insert(chunks_.end(), cut.begin(), cut.end());
            total_ += sections_[i].bytes.size();
        }
        results_.resize(chunks_.size());
        tbb::parallel_for(std::size_t{0}, chunks_.size(), [&](std::size_t i) {
            const Chunk& chunk = chunks_[i];
            results_[i].counts = sweep_chunk(chunk, sections_[chunk.section], decoder_, flagged_);
            report_progress(chunk.end - chunk.begin);
        });
    }

    void report_progress(std::uint64_t bytes) {
        if (!options_.progress) return;
        const std::lock_guard lock(progress_mutex_);
        done_ += bytes;
        options_.progress(done_, total_);
    }

    /// Decodes in full what the sweep flagged, and with count_all everything that it met.
    void write_findings(const FindingWriter& writer) {
        std::uint64_t room = kMaxFindings;
        std::vector<std::uint64_t> quota(chunks_.size());
        for (std::size_t i = 0; i < chunks_.size(); ++i) {
            quota[i] = std::min(room, results_[i].counts.flagged);
            room -= quota[i];
        }
        tbb::parallel_for(std::size_t{0}, chunks_.size(), [&](std::size_t i) {
            if (results_[i].counts.flagged == 0 && !options_.count_all) return;
            write_chunk(chunks_[i], quota[i], writer, results_[i]);
        });
    }

    void write_chunk(const Chunk& chunk, std::uint64_t quota, const FindingWriter& writer, ChunkResult& result) {
        const SectionCode& code = sections_[chunk.section];
        for (std::uint64_t at = chunk.begin; at < chunk.end;) {
            // Of a thousand instructions one is flagged.
            if (!options_.count_all && (at = code.map.next_flagged(at, chunk.end)) == chunk.end) break;
            const int length = code.map.swept_length(at);
            if (length == 0) {
                ++at;
                continue;
            }
            if (options_.count_all) ++result.mnemonics[std::string(decoder_.mnemonic(decode_brief(code.window(at), code.mode, decoder_).form))];
            if (code.map.is_flagged(at) && quota > 0) {
                --quota;
                const Evidence evidence = code.map.is_reached(at) ? Evidence::reached : Evidence::swept;
                if (auto finding = writer.write(code, at, evidence, *reconcilers_.local())) {
                    result.findings.push_back(std::move(*finding));
                    result.offsets.push_back(at);
                } else {
                    ++result.unconfirmed;
                }
            }
            at += static_cast<std::uint64_t>(length);
        }
    }

    /// Puts chunks and what lies across them into one list in file order.
    void gather(const FindingWriter& writer, const DescentResult& descent) {
        std::vector<std::pair<CodePlace, Finding>> across = findings_off_sweep(writer, descent);
        std::vector<image::SourcePlace> places;
        const auto add = [&](CodePlace place, Finding& finding) {
            places.push_back({sections_[place.section].index, sections_[place.section].address_of(place.offset)});
            document_.findings.push_back(std::move(finding));
        };
        auto other = across.begin();
        const auto take_before = [&](CodePlace place) {
            for (; other != across.end() && other->first < place; ++other) add(other->first, other->second);
        };
        std::size_t findings = across.size();
        for (const ChunkResult& result : results_) findings += result.findings.size();
        document_.findings.reserve(findings);
        places.reserve(findings);
        document_.sections.resize(sections_.size());
        for (std::size_t i = 0; i < sections_.size(); ++i) {
            SectionSummary& summary = document_.sections[i];
            summary.name = sections_[i].section->name;
            summary.address = sections_[i].section->address.value;
            summary.size = sections_[i].bytes.size();
            summary.reached_bytes = descent.reached_bytes[i];
        }
        for (std::size_t i = 0; i < chunks_.size(); ++i) {
            ChunkResult& result = results_[i];
            SectionSummary& summary = document_.sections[chunks_[i].section];
            summary.instructions += result.counts.instructions;
            summary.padding_bytes += result.counts.padding_bytes;
            summary.undecodable_bytes += result.counts.undecodable_bytes;
            summary.straddling_bytes += result.counts.straddling_bytes;
            for (std::size_t k = 0; k < result.findings.size(); ++k) {
                const CodePlace place{chunks_[i].section, result.offsets[k]};
                take_before(place);
                add(place, result.findings[k]);
            }
            for (const auto& [mnemonic, count] : result.mnemonics) document_.all_mnemonics[mnemonic] += count;
        }
        take_before({sections_.size(), 0});
        for (std::string& note : writer.add_source_lines(document_.findings, places)) document_.notes.push_back(std::move(note));
        for (const Finding& finding : document_.findings)
            if (const isa::Record* record = database_.find_record(finding.form))
                document_.overrides += !record->overrides.empty();
    }

    /// Findings where the sweep has no start: met by descent, and heads that a symbol cuts off.
    std::vector<std::pair<CodePlace, Finding>> findings_off_sweep(const FindingWriter& writer, const DescentResult& descent) {
        std::vector<std::pair<CodePlace, Evidence>> places;
        for (const DescentFinding& found : descent.findings)
            places.emplace_back(found.place, found.hidden ? Evidence::hidden : Evidence::reached);
        for (const ChunkResult& result : results_)
            for (const Straddler& head : result.counts.flagged_straddlers)
                places.emplace_back(CodePlace{head.section, head.offset}, Evidence::hidden);
        // A head that descent met too stands here twice; it overlaps what starts at the symbol, so both say hidden.
        std::stable_sort(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        places.erase(std::unique(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
                     places.end());
        if (places.size() > kMaxDescentFindings) places.resize(kMaxDescentFindings);

        std::vector<std::pair<CodePlace, Finding>> findings;
        for (const auto& [place, evidence] : places)
            if (auto finding = writer.write(sections_[place.section], place.offset, evidence, *reconcilers_.local()))
                findings.emplace_back(place, std::move(*finding));
        return findings;
    }

    void note_limits(const DescentResult& descent) {
        std::uint64_t flagged = 0, straddling = 0, unconfirmed = 0;
        for (const ChunkResult& result : results_) {
            flagged += result.counts.flagged;
            straddling += result.counts.straddling;
            unconfirmed += result.unconfirmed;
        }
        const auto note = [&](bool condition, std::string text) {
            if (condition) document_.notes.push_back(std::move(text));
        };
        note(flagged > kMaxFindings,
             fmt::format("{} flagged instructions, of which the first {} are listed", flagged, kMaxFindings));
        note(descent.truncated, fmt::format("more than {} flagged overlapping decodes; the rest is not listed", kMaxDescentFindings));
        note(straddling != 0, fmt::format("{} instructions run over a symbol; decoding starts again there", straddling));
        note(descent.hidden_instructions != 0,
             fmt::format("{} instructions overlap others (control flow leads inside an instruction)", descent.hidden_instructions));
        note(descent.refused_pointers != 0,
             fmt::format("{} pointers from relocations or data lead inside an instruction and were not followed",
                         descent.refused_pointers));
        note(unconfirmed != 0, fmt::format("{} flagged instructions were not confirmed by the full decode", unconfirmed));
    }

    /// Counts the findings on which decoders differ, by decoder and what it says; each finding carries the reason.
    void note_disagreements() {
        std::map<std::string, std::uint64_t> classes;
        std::uint64_t findings = 0, unexplained = 0;
        for (const Finding& finding : document_.findings) {
            findings += !finding.disagreements.empty();
            for (const DecoderNote& note : finding.disagreements) {
                ++classes[fmt::format("{} on {} ({})", note.decoder, finding.mnemonic, note.says)];
                unexplained += note.reason.empty();
            }
        }
        if (findings == 0) return;
        std::string text = fmt::format("decoders disagree on {} instructions, {} without a known reason:", findings, unexplained);
        for (const auto& [name, count] : classes)
            text += fmt::format("{} {} x {}", &name == &classes.begin()->first ? "" : ";", count, name);
        document_.notes.push_back(std::move(text));
    }

    const image::Image& image_;
    const isa::Database& database_;
    const classify::TagTable& tags_;
    const ScanOptions& options_;
    FlaggedForms flagged_;
    const decode::InstructionDecoder decoder_;
    tbb::enumerable_thread_specific<std::unique_ptr<decode::Reconciler>> reconcilers_;  ///< for the text of findings
    std::shared_ptr<ZeroedBytes> cells_ahead_ = image_.code_ahead ? image_.code_ahead->take() : nullptr;
    std::uint64_t taken_ahead_ = 0;  ///< end of those cells of it that sections have
    std::vector<SectionCode> sections_;
    std::vector<Chunk> chunks_;
    std::vector<ChunkResult> results_;
    std::uint64_t total_ = 0, done_ = 0;
    std::mutex progress_mutex_;
    ScanDocument document_;
};

}  // namespace

ScanDocument scan(const image::Image& image, const isa::Database& database, const classify::TagTable& tags,
                  const ScanOptions& options) {
    const auto work = std::make_shared<Scan>(image, database, tags, options);
    ScanDocument document = work->run();
    if (options.retire) options.retire(work);
    return document;
}

ScanWithFacts scan_with_facts(const image::Image& image, const isa::Database& database, const classify::TagTable& tags,
                              const ScanOptions& options) {
    Scan work(image, database, tags, options);
    ScanDocument document = work.run();
    return {std::move(document), work.take_facts()};
}

}  // namespace trapline::scan
