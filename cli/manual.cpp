// SPDX-License-Identifier: Apache-2.0
// trapline manual: man pages from the same declarations that --help prints, so that they cannot drift apart.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "cli/command.h"

namespace trapline::cli {

namespace {

// roff(7): a line that starts with a dot or an apostrophe is a request, a backslash an escape, a bare hyphen a dash.
std::string escape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if ((c == '.' || c == '\'') && (i == 0 || text[i - 1] == '\n')) out += "\\&";
        if (c == '\\') out += "\\e";
        else if (c == '-') out += "\\-";
        else out += c;
    }
    return out;
}

std::string upper(std::string text) {
    for (char& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return text;
}

std::string options(const CLI::App& app) {
    std::string out;
    for (const CLI::Option* option : app.get_options()) {
        out += ".TP\n\\fB" + escape(option->get_name(true, true)) + "\\fR";
        if (!option->get_type_name().empty() && option->get_type_size() > 0) out += " \\fI" + escape(option->get_type_name()) + "\\fR";
        out += "\n" + escape(option->get_description());
        if (!option->get_default_str().empty()) out += escape(" (default: " + option->get_default_str() + ")");
        out += "\n";
    }
    return out;
}

std::string page(const std::string& title, const CLI::App& app) {
    std::string out = ".TH " + upper(title) + " 1 \"\" \"trapline " TRAPLINE_VERSION "\" \"Trapline manual\"\n";
    out += ".SH NAME\n" + escape(title) + " \\- " + escape(app.get_description().substr(0, app.get_description().find('\n'))) + "\n";
    std::string synopsis = title;
    std::replace(synopsis.begin(), synopsis.end(), '-', ' ');
    out += ".SH SYNOPSIS\n\\fB" + synopsis + "\\fR [\\fIOPTIONS\\fR]";
    for (const CLI::Option* option : app.get_options([](const CLI::Option* o) { return o->get_positional(); }))
        out += " \\fI" + escape(option->get_name(true)) + "\\fR" + (option->get_items_expected_max() > 1 ? " ..." : "");
    out += "\n.SH DESCRIPTION\n" + escape(app.get_description()) + "\n";
    out += ".SH OPTIONS\n" + options(app);
    const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
    if (!commands.empty()) {
        out += ".SH COMMANDS\n";
        for (const CLI::App* command : commands)
            if (!command->get_name().empty() && !command->get_group().empty())
                out += ".TP\n\\fB" + escape(command->get_name()) + "\\fR\n" + escape(command->get_description()) + "\n" + (app.get_parent() != nullptr ? ".RS\n" + options(*command) + ".RE\n" : "");
    }
    if (!app.get_footer().empty()) out += ".SH NOTES\n" + escape(app.get_footer()) + "\n";
    out += ".SH EXIT STATUS\n0 done; 1 findings, where \\-\\-fail\\-on was given, or a guest that failed; 2 wrong usage; 3 bad input; 4 a bug of the program; 5 the host cannot do it.\n";
    return out;
}

int write_pages(const CLI::App& app, const std::string& directory) {
    std::error_code code;
    std::filesystem::create_directories(directory, code);
    if (code) {
        print_error(Error{ErrorCode::io, "cannot create the folder: " + code.message(), directory, std::nullopt, {}});
        return kBadInput;
    }
    const auto write = [&](const std::string& title, const CLI::App& command) {
        const Status status = write_output(directory + "/" + title + ".1", page(title, command));
        if (!status) print_error(status.error());
        return status.has_value();
    };
    bool done = write("trapline", app);
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!command->get_group().empty()) done = write("trapline-" + command->get_name(), *command) && done;
    return done ? kDone : kBadInput;
}

}  // namespace

Run add_manual(CLI::App& app, const GlobalOptions&, CLI::App*& command) {
    auto directory = std::make_shared<std::string>();
    command = app.add_subcommand("manual", "Write the man pages of all commands into a folder");
    command->group("");  // for packagers; not shown among the commands
    command->add_option("DIR", *directory, "folder")->required();
    return [directory, &app] { return write_pages(app, *directory); };
}

}  // namespace trapline::cli
