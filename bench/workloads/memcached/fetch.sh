#!/bin/bash
# Fetches Debian's memcached source package and configures it, so that its files can be compiled with any flags.
#
#   fetch.sh DIR        DIR/source: the configured tree; DIR/version
#
# Does nothing when they are there. Needs libevent-dev.
set -euo pipefail

[[ $# == 1 ]] || {
  echo "usage: fetch.sh DIR" >&2
  exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[[ -f $dir/version ]] && exit 0

"$here/../apt_source.sh" memcached "$dir"
cd "$dir/apt/tree"
dpkg-parsechangelog -S Version > "$dir/version.new"
# Without its own second store, which nothing here uses; the storm of warnings of other compilers is not ours to fix.
./configure --disable-docs --disable-extstore > "$dir/configure.log"
rm -rf "$dir/source"
mv "$dir/apt/tree" "$dir/source"
rm -rf "$dir/apt"
mv "$dir/version.new" "$dir/version"
