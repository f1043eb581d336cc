#!/bin/bash
# Fetches Debian's sqlite3 source package and makes the two files that the shell is built from: sqlite3.c and shell.c.
#
#   fetch.sh DIR        DIR/sqlite3.c, DIR/sqlite3.h, DIR/shell.c, DIR/version
#
# Does nothing when they are there.
set -euo pipefail

die() {
  echo "fetch.sh: $*" >&2
  exit 1
}

[[ $# == 1 ]] || die "usage: fetch.sh DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[[ -f $dir/version ]] && exit 0

for tool in tclsh make gcc; do
  command -v "$tool" >/dev/null || die "$tool is missing (./dev deps installs what is needed)"
done

here=$(dirname "$(realpath "$0")")
apt_dir=$dir/apt
"$here/../apt_source.sh" sqlite3 "$dir"

cd "$apt_dir/tree"
./configure --disable-tcl --disable-readline > "$dir/configure.log"
make sqlite3.c shell.c > "$dir/make.log"
cp sqlite3.c sqlite3.h shell.c "$dir"
dpkg-parsechangelog -S Version > "$dir/version.new"
cd "$dir"
rm -rf "$apt_dir"
mv version.new version
