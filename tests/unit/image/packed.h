// SPDX-License-Identifier: Apache-2.0
// Compressed streams and packages for the tests, made by libarchive's writers.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <string>
#include <utility>
#include <vector>

#include "elf_builder.h"

namespace trapline::image::test {

struct Member {
    std::string name;
    Buffer bytes;
};

/// Writes an archive of `format` through `filter` (libarchive's codes).
inline Buffer pack(int format, int filter, const std::vector<Member>& members) {
    Buffer out(std::size_t{8} << 20);
    std::size_t used = 0;
    archive* a = archive_write_new();
    // set_format does not know ar.
    if (format == ARCHIVE_FORMAT_AR)
        archive_write_set_format_ar_svr4(a);
    else
        archive_write_set_format(a, format);
    archive_write_add_filter(a, filter);
    archive_write_set_bytes_in_last_block(a, 1);
    archive_write_open_memory(a, out.data(), out.size(), &used);
    for (const Member& member : members) {
        archive_entry* entry = archive_entry_new();
        archive_entry_set_pathname(entry, member.name.c_str());
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, static_cast<la_int64_t>(member.bytes.size()));
        archive_write_header(a, entry);
        archive_write_data(a, member.bytes.data(), member.bytes.size());
        archive_entry_free(entry);
    }
    archive_write_close(a);
    archive_write_free(a);
    out.resize(used);
    return out;
}

inline Buffer compress(int filter, const Buffer& bytes) { return pack(ARCHIVE_FORMAT_RAW, filter, {{"data", bytes}}); }

/// A package as dpkg-deb lays it out, with the given files in data.tar.xz.
inline Buffer make_deb(const std::vector<Member>& files) {
    const std::string version = "2.0\n";
    const Buffer data = pack(ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_XZ, files);
    return pack(ARCHIVE_FORMAT_AR, ARCHIVE_FILTER_NONE,
                {{"debian-binary", Buffer(version.begin(), version.end())}, {"data.tar.xz", data}});
}

}  // namespace trapline::image::test
