#!/bin/bash
# Fetches and unpacks one of Debian's source packages.
#
#   apt_source.sh PACKAGE DIR       DIR/apt/tree: the source; DIR/apt is the caller's to remove
#
# The machine's apt configuration stays as it is: the addresses of the sources are those that apt already uses, the lists
# of source packages go below DIR.
set -euo pipefail

die() {
  echo "apt_source.sh: $*" >&2
  exit 1
}

[[ $# == 2 ]] || die "usage: apt_source.sh PACKAGE DIR"
package=$1
for tool in apt-get dpkg-source; do
  command -v "$tool" >/dev/null || die "$tool is missing (./dev deps installs what is needed)"
done

apt_dir=$(cd "$2" && pwd)/apt
rm -rf "$apt_dir"
mkdir -p "$apt_dir/lists/partial" "$apt_dir/archives/partial"

# Every archive of Debian itself that apt knows binary packages of, asked for source packages.
# shellcheck disable=SC2016  # the dollars are apt's
apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(SIGNED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' |
  awk -F'|' '$1 == "Packages" && $6 == "main" && ($2 == "Debian" || $2 ~ /ORIGIN/) {
    signed = $3 ~ /^\// ? "[signed-by=" $3 "] " : ""
    print "deb-src " signed $4 " " $5 " " $6
  }' | sort -u > "$apt_dir/sources.list"
[[ -s $apt_dir/sources.list ]] || die "apt knows no Debian archive"

apt_options=(
  -o "Dir::Etc::sourcelist=$apt_dir/sources.list" -o Dir::Etc::sourceparts=-
  -o "Dir::State::lists=$apt_dir/lists"
  -o "Dir::Cache::archives=$apt_dir/archives"
  -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
  # The directory is the user's, which apt's unprivileged download user may not enter.
  -o APT::Sandbox::User=root
)
apt-get "${apt_options[@]}" -q update
(cd "$apt_dir" && apt-get "${apt_options[@]}" -q source --download-only "$package")
dpkg-source --no-check -x "$apt_dir/${package}"_*.dsc "$apt_dir/tree"
