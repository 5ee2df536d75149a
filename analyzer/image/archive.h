// SPDX-License-Identifier: Apache-2.0
// Debian packages: an ar archive whose data.tar.* holds the files. Nothing is ever written to disk.
#pragma once

#include <functional>

#include "image/content.h"
#include "image/image.h"

namespace trapline::image {

/// Says why a member's name is unsafe ("absolute path", "'..' in the path", ...); null when it is not.
/// Nothing is unpacked here, but names reach reports and output folders.
const char* unsafe_member_name(std::string_view name);

/// Opens the package in `layer` and hands every regular file of it that is, by its first bytes, an ELF file, a bzImage
/// or a compressed file that could be either, to `on_member`, which returns false to stop. Other files are passed over;
/// what is named a module (.ko, .ko.xz, ...) is always handed over. Members of unsafe name are reported to
/// `on_member_error` as `refused` and skipped. Fails for the container as a whole: not a Debian package, damaged,
/// more members than max_members, more bytes than max_decompressed. Memory: one member at a time.
Status open_deb(const Layer& layer, const OpenOptions& options, const std::function<bool(Layer&&)>& on_member,
                const std::function<void(Error)>& on_member_error);

}  // namespace trapline::image
