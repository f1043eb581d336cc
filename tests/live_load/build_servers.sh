#!/bin/bash
# Builds servers from Debian's source packages with sleds, for attach_often.py.
#
#   build_servers.sh DIR        DIR/redis, DIR/redis-clang, DIR/memcached, DIR/lighttpd, DIR/nghttp2: source trees, built
#
# Needs libevent-dev, libev-dev, libssl-dev, libc-ares-dev and zlib1g-dev. The machine's apt configuration stays as it is; the lists of source packages go below DIR.
set -euo pipefail

[[ $# == 1 ]] || {
  echo "usage: build_servers.sh DIR" >&2
  exit 1
}
mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial"
dir=$(cd "$1" && pwd)
assembler=$(cd "$(dirname "$0")/../../cmake/gcc" && pwd)
flags="-O2 -g1 -fpatchable-function-entry=18,16"

# shellcheck disable=SC2016  # the dollars are apt's
apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(SIGNED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' |
  awk -F'|' '$1 == "Packages" && $6 == "main" && ($2 == "Debian" || $2 ~ /ORIGIN/) {
    signed = $3 ~ /^\// ? "[signed-by=" $3 "] " : ""
    print "deb-src " signed $4 " " $5 " " $6
  }' | sort -u > "$dir/apt/sources.list"
apt_options=(
  -o "Dir::Etc::sourcelist=$dir/apt/sources.list" -o Dir::Etc::sourceparts=-
  -o "Dir::State::lists=$dir/apt/lists" -o "Dir::Cache::archives=$dir/apt/archives"
  -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o APT::Sandbox::User=root
)
cd "$dir"
apt-get "${apt_options[@]}" -q update
apt-get "${apt_options[@]}" -q source --download-only redis memcached lighttpd nghttp2
for package in redis memcached lighttpd nghttp2; do
  [[ -d $package ]] || dpkg-source --no-check -x "${package}"_*.dsc "$package"
done
[[ -d redis-clang ]] || cp -r redis redis-clang

redis=(MALLOC=libc BUILD_TLS=no USE_SYSTEMD=no CFLAGS="$flags" redis-server)
make -C redis "${redis[@]}"
make -C redis-clang CC=clang "${redis[@]}"
(cd memcached && ./configure CFLAGS="$flags" --disable-docs && make memcached)
(cd lighttpd && ./configure CFLAGS="$flags" --without-pcre2 --without-bzip2 --without-zlib && make)
# C++, and its own load generator. GCC 12 does not link it without our assembler.
cxx="$flags -B$assembler"
cmake -S nghttp2 -B nghttp2/build -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$cxx" -DCMAKE_CXX_FLAGS="$cxx" -DENABLE_APP=ON
cmake --build nghttp2/build --target nghttpd h2load -j2
