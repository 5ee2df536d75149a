// SPDX-License-Identifier: Apache-2.0
// The user's terminal as the guest's serial line: keys go to the guest one by one, all but an escape for the user's own wishes.
#pragma once

#include <termios.h>

#include <optional>
#include <span>
#include <string>

namespace trapline::executor {

/// A terminal in raw mode: nothing is echoed, and no key makes a signal. Output is left as it is. Restores what was before.
class RawTerminal {
public:
    /// Does nothing where `descriptor` is no terminal or belongs to another job.
    explicit RawTerminal(int descriptor);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    /// Back to what was before, if that has not happened.
    void restore();

private:
    int descriptor_;
    std::optional<termios> before_;
};

/// Says whether input can be read there without being stopped as a background job.
bool is_own_terminal(int descriptor);

/// Ctrl-A x ends the run, Ctrl-A Ctrl-A is one Ctrl-A; with any other key both go to the guest.
class EscapeFilter {
public:
    /// Appends to `out` what is for the guest. True when the user wants to end.
    bool feed(std::span<const char> keys, std::string& out);

private:
    bool escaped_ = false;
};

}  // namespace trapline::executor
