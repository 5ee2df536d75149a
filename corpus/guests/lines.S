// SPDX-License-Identifier: Apache-2.0
// Code with line tables: assembled with -g. Line markers, as a preprocessor leaves them, name the files and lines that a
// scan must find, so that neither moves when this file is edited.
#include "form.inc"

form here
# 42 "arch/x86/kernel/relative.c"
    cli
    sti

    form on_one_line
# 7 "/src/linux/arch/x86/absolute.h"
    pushf; popf
    ret
# 100000 "arch/x86/kernel/relative.c"
    hlt
    ret
