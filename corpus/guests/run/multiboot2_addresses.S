// SPDX-License-Identifier: Apache-2.0
// A Multiboot 2 header that says itself what is to be loaded where; ELF headers in the file do not count then. See
// multiboot2_addresses.md.
#include "multiboot2_tags.inc"

begin_header
    header_tag 2, 0, header, 0x100000, end_of_data, end_of_image
    header_tag 3, 0, _start
end_header
