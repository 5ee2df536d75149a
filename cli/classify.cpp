// SPDX-License-Identifier: Apache-2.0
// trapline classify: tags of single encodings, from the command line or as a batch of TSV lines.
#include <fmt/core.h>

#include <fstream>
#include <iostream>
#include <map>

#include "cli/command.h"
#include "decode/decoder.h"
#include "support/bytes.h"

namespace trapline::cli {

namespace {

struct Options {
    std::string mode = "64";
    std::string profile = "base";
    std::string batch;
    bool batch_given = false;  ///< --batch may come without a file: standard input
    std::vector<std::string> hex;
};

/// The decoder and the tags of one profile, made when a line first asks for it.
struct ProfileTools {
    ProfileTools(const isa::Database& database, const isa::Profile& profile) : tags(database, profile), reconciler(database, profile) {}
    classify::TagTable tags;
    decode::Reconciler reconciler;
};

class Classifier {
public:
    explicit Classifier(const isa::Database& database) : database_(database) {}

    /// Gives the TSV line for one encoding, without a newline.
    Result<std::string> line(const std::string& mode_text, const std::string& hex, const std::string& profile_text) {
        const auto mode = parse_mode(mode_text);
        if (!mode) return fail(ErrorCode::malformed, "found mode \"" + mode_text + "\", expected 16r, 16p, 32 or 64");
        const isa::Profile* profile = database_.find_profile(profile_text);
        if (profile == nullptr) return fail(ErrorCode::malformed, "unknown profile \"" + profile_text + "\" (trapline isa list --profiles)");
        const auto bytes = parse_hex(hex);
        if (!bytes) return tl::unexpected<Error>(bytes.error());
        auto& tools = tools_[profile];
        if (!tools) tools = std::make_unique<ProfileTools>(database_, *profile);

        const std::string head = mode_text + "\t" + hex + "\t" + profile_text + "\t";
        const decode::Decoded decoded = profile->modes.contains(*mode) ? tools->reconciler.decode(*bytes, *mode, VirtAddr{0}) : decode::Decoded{};
        if (!decoded.valid) return head + "no\t-\t-\t-\t-\t-\t-\t-";
        const classify::Tags tags = decoded.record != nullptr ? tools->tags.at(*decoded.record, *mode) : classify::Tags{};
        return head + fmt::format("yes\t{}\t{}\t{}\t{}\t{}\t{}\t{}", decoded.length, decoded.mnemonic, decoded.record != nullptr ? decoded.record->id : decoded.mnemonic,
                                  tags.privileged_text(), tags.control_sensitive ? "yes" : "no", classify::to_string(tags.behavior),
                                  tags.critical() ? "yes" : "no");
    }

private:
    const isa::Database& database_;
    std::map<const isa::Profile*, std::unique_ptr<ProfileTools>> tools_;
};

constexpr std::string_view kHeader =
    "mode\tbytes_hex\tprofile\tvalid\tlength\tmnemonic\tform\tprivileged\tcontrol_sensitive\tbehavior_sensitive\tcritical";

std::vector<std::string> split_tabs(const std::string& line) {
    std::vector<std::string> fields(1);
    for (const char c : line) {
        if (c == '\t') fields.emplace_back();
        else if (c != '\r') fields.back() += c;
    }
    return fields;
}

int run_batch(Classifier& classifier, std::istream& input, const std::string& name) {
    int result = kDone;
    std::string line;
    fmt::print("{}\n", kHeader);
    for (std::size_t number = 1; std::getline(input, line); ++number) {
        if (line.empty() || line == "\r" || line[0] == '#') continue;
        const auto fields = split_tabs(line);
        if (number == 1 && fields[0] == "mode") continue;  // a header, as our own output has
        Result<std::string> answer = fields.size() == 3
                                         ? classifier.line(fields[0], fields[1], fields[2])
                                         : fail(ErrorCode::malformed, fmt::format("found {} tab-separated fields, expected 3: mode, bytes_hex, profile", fields.size()));
        if (answer) {
            fmt::print("{}\n", *answer);
        } else {
            fmt::print(stderr, "trapline: error: {}:{}: {}\n", name, number, answer.error().message);
            result = kBadInput;
        }
    }
    // A folder opens like a file and fails at the first read.
    if (input.bad()) {
        print_error(Error{ErrorCode::io, "found a folder or a file that cannot be read, expected TSV lines", name, std::nullopt, {}});
        result = kBadInput;
    }
    return result;
}

int run(const Options& options, const GlobalOptions& global) {
    if (options.hex.empty() && !options.batch_given) {
        fmt::print(stderr, "trapline: error: expected HEX bytes or --batch, e.g. trapline classify --mode 32 0f01e0\n");
        return kUsage;
    }
    const auto loaded = load(global);
    if (!loaded) return kBadInput;
    Classifier classifier(loaded->database);
    if (options.batch_given) {
        if (options.batch.empty() || options.batch == "-") return run_batch(classifier, std::cin, "standard input");
        std::ifstream file(options.batch);
        if (!file) {
            print_error(Error{ErrorCode::io, "cannot open", options.batch, std::nullopt, {}});
            return kBadInput;
        }
        return run_batch(classifier, file, options.batch);
    }
    if (find_profile(loaded->database, options.profile) == nullptr) return kUsage;
    int result = kDone;
    fmt::print("{}\n", kHeader);
    for (const std::string& hex : options.hex) {
        const auto answer = classifier.line(options.mode, hex, options.profile);
        if (answer) {
            fmt::print("{}\n", *answer);
        } else {
            fmt::print(stderr, "trapline: error: \"{}\": {}\n", hex, answer.error().message);
            result = kBadInput;
        }
    }
    return result;
}

}  // namespace

Run add_classify(CLI::App& app, const GlobalOptions& global, CLI::App*& command) {
    auto options = std::make_shared<Options>();
    command = app.add_subcommand("classify", "Tell the tags of instruction encodings");
    command->add_option("--mode", options->mode, "16r, 16p, 32 or 64")->capture_default_str()->type_name("16r|16p|32|64")->check(CLI::IsMember({"16r", "16p", "32", "64"}).description(""));
    command->add_option("--profile", options->profile, "profile that tags are asked for")->capture_default_str();
    auto* batch = command->add_option("--batch", options->batch, "read TSV lines (mode, bytes_hex, profile) from FILE, or - for standard input")
        ->type_name("FILE")
        ->expected(0, 1);
    command->add_option("HEX", options->hex, "bytes of one instruction each, e.g. 0f01e0")->excludes(batch);
    command->footer("Writes TSV with a header line. Example: trapline classify --mode 64 9d fa 0f01e0");
    return [options, &global, batch] {
        options->batch_given = batch->count() > 0;
        return run(*options, global);
    };
}

}  // namespace trapline::cli
