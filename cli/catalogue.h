// SPDX-License-Identifier: Apache-2.0
// The catalogue of real images (corpus/catalogue.json) and the lock file that says what was fetched of it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace trapline::cli {

/// One image of the catalogue.
struct CatalogueEntry {
    std::string name, title;
    std::string package;       ///< the Debian package, or a meta package
    std::string through;       ///< pattern of the package that the meta package depends on; empty when `package` is meant
    std::string version;       ///< pattern of the versions that the name stands for
    std::string architecture;  ///< Debian's name: "amd64", "i386"
    std::string path;          ///< pattern of the image's path in the package; empty when the package itself is the image
    std::string format;        ///< what the first bytes are: an image::Content name, or "raw"
};

/// Parses a catalogue; unknown keys, missing keys and names used twice are errors with a JSON pointer.
Result<std::vector<CatalogueEntry>> parse_catalogue(std::string_view text, const std::string& file);
/// Gives the catalogue compiled into the program.
const std::vector<CatalogueEntry>& catalogue();

/// What was fetched under one name. Paths are relative to the lock file's folder.
struct LockedImage {
    std::string package, version, architecture;
    std::string deb, deb_sha256;
    std::string file, sha256;  ///< the image itself; the .deb where the entry has no path
};
using LockFile = std::map<std::string, LockedImage>;

/// Reads a lock file; a missing one is empty.
Result<LockFile> read_lock(const std::string& path);
/// Replaces the lock file in one step; after a failure the old one stands.
Status write_lock(const std::string& path, const LockFile& lock);

/// Hashes a file of at most 4 GiB with SHA-256; lower-case hex.
Result<std::string> sha256_of_file(const std::string& path);
/// Names the format of a file by its first bytes as CatalogueEntry::format does.
Result<std::string> format_of_file(const std::string& path);

}  // namespace trapline::cli
