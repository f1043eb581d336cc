#!/bin/bash
# Fetches Debian's sqlite3 source package and makes the two files that the shell is built from: sqlite3.c and shell.c.
#
#   fetch.sh DIR        DIR/sqlite3.c, DIR/sqlite3.h, DIR/shell.c, DIR/version
#
# Does nothing when they are there. The machine's apt configuration stays as it is: the addresses of the sources are
# those that apt already uses, the lists of source packages go below DIR.
set -euo pipefail

die() {
  echo "fetch.sh: $*" >&2
  exit 1
}

[[ $# == 1 ]] || die "usage: fetch.sh DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[[ -f $dir/version ]] && exit 0

for tool in apt-get dpkg-source tclsh make gcc; do
  command -v "$tool" >/dev/null || die "$tool is missing (./dev deps installs what is needed)"
done

apt_dir=$dir/apt
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
(cd "$apt_dir" && apt-get "${apt_options[@]}" -q source --download-only sqlite3)
dpkg-source --no-check -x "$apt_dir"/sqlite3_*.dsc "$apt_dir/tree"

cd "$apt_dir/tree"
./configure --disable-tcl --disable-readline > "$dir/configure.log"
make sqlite3.c shell.c > "$dir/make.log"
cp sqlite3.c sqlite3.h shell.c "$dir"
dpkg-parsechangelog -S Version > "$dir/version.new"
cd "$dir"
rm -rf "$apt_dir"
mv version.new version
