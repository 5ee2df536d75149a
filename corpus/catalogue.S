// SPDX-License-Identifier: Apache-2.0
// The catalogue's bytes, compiled into the program.
    .section .rodata
    .global trapline_catalogue, trapline_catalogue_end
trapline_catalogue:
    .incbin "catalogue.json"
trapline_catalogue_end:
    .byte 0
    .section .note.GNU-stack, "", @progbits
