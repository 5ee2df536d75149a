// SPDX-License-Identifier: Apache-2.0
#include "executor/host/terminal.h"

#include <unistd.h>

namespace trapline::executor {

bool is_own_terminal(int descriptor) { return isatty(descriptor) != 0 && tcgetpgrp(descriptor) == getpgrp(); }

RawTerminal::RawTerminal(int descriptor) : descriptor_(descriptor) {
    termios now{};
    if (!is_own_terminal(descriptor) || tcgetattr(descriptor, &now) != 0) return;
    termios raw = now;
    raw.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(descriptor, TCSADRAIN, &raw) == 0) before_ = now;
}

RawTerminal::~RawTerminal() { restore(); }

void RawTerminal::restore() {
    if (before_) tcsetattr(descriptor_, TCSADRAIN, &*before_);
    before_.reset();
}

bool EscapeFilter::feed(std::span<const char> keys, std::string& out) {
    constexpr char kEscape = 1;  // Ctrl-A
    for (const char key : keys) {
        if (!escaped_) {
            if (key == kEscape) escaped_ = true;
            else out += key;
            continue;
        }
        escaped_ = false;
        if (key == 'x' || key == 'X') return true;
        out += kEscape;
        if (key != kEscape) out += key;
    }
    return false;
}

}  // namespace trapline::executor
