// SPDX-License-Identifier: Apache-2.0
// Debian packages without touching the system: apt with package lists of its own, for any architecture.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "support/error.h"

namespace trapline::cli {

/// One version of a package that the lists offer.
struct PackageVersion {
    std::string name, version, sha256;  ///< sha256 of the .deb, vouched for by the archive's signature
    std::vector<std::string> depends;   ///< names only, alternatives one after the other
};

/// Parses what `apt-cache show` prints: one stanza for each version, newest first. Stanzas without a name and a version
/// are passed over.
std::vector<PackageVersion> parse_stanzas(std::string_view text);

/// An apt that keeps lists, cache and status below one folder and takes only sources and keyrings from the system.
class PrivateApt {
public:
    /// `folder` is made when it is missing; one folder serves one architecture ("amd64", "i386").
    /// Fails with host_limit when there is no apt, with refused when the path cannot stand in an apt configuration.
    static Result<PrivateApt> open(const std::string& folder, const std::string& architecture);

    /// Fetches the package lists. An error is apt's last word, and may mean that one of several sources is out of reach:
    /// what the others gave can be used all the same.
    Status update() const;
    /// Says whether lists are there that are younger than `hours`.
    bool has_lists(int hours) const;
    /// Gives the versions of a package; empty when the lists do not know it.
    Result<std::vector<PackageVersion>> show(const std::string& package) const;
    /// Downloads one version into `directory`, which must be empty, and gives the path of the .deb.
    Result<std::string> download(const PackageVersion& package, const std::string& directory) const;

private:
    PrivateApt(std::string folder, std::string configuration) : folder_(std::move(folder)), configuration_(std::move(configuration)) {}
    std::string folder_;
    std::string configuration_;
};

/// Says whether apt-get, apt-cache and dpkg-deb are in PATH, and apt-get's first line of --version; fails naming the missing one.
Result<std::string> apt_version();

/// Extracts the one regular file of the package that matches `pattern` (* and ?, not across slashes) into `directory` and
/// gives its path there. Fails when none or more than one matches.
Result<std::string> extract_member(const std::string& deb, const std::string& pattern, const std::string& directory);

}  // namespace trapline::cli
