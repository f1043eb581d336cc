#!/bin/bash
# The tests of the installation: check.sh NAME (see CMakeLists.txt). From the environment: BUILD and WORK directories,
# CMAKE, CC, CXX, LIBDIR; in a cross-build TOOLCHAIN, a file for CMake, and CALLTAP_EXEC_WRAPPER, what starts programs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
prefix=$WORK/prefix
read -ra run <<< "${CALLTAP_EXEC_WRAPPER:-}"
expected_output='odd 3
even 6
odd 9
even 12
odd 15
odds'

fail() {
  echo "check.sh: $*" >&2
  exit 1
}

# runs_right PROGRAM [FUNCTION...]: it prints what it should, and each of these functions has a patchable entry; all of
# them if none is named.
runs_right() {
  [[ $("${run[@]}" "$1") == "$expected_output" ]] || fail "$1 printed something else"
  local listed function
  listed=$("${run[@]}" "$prefix/bin/calltap" list "$1")
  [[ $# -gt 1 ]] || set -- "$1" main triple greeting parting 'is_even(int)'
  for function in "${@:2}"; do
    [[ $listed == *"  $function"* ]] || fail "$1 has no patchable entry of $function: $listed"
  done
}

# configure PREFIX SOURCE DIR [OPTIONS...]: with the Calltap of PREFIX, which a toolchain file keeps CMake from searching.
configure() {
  local options=("${@:4}")
  [[ -z ${TOOLCHAIN:-} ]] || options+=(-D CMAKE_TOOLCHAIN_FILE="$TOOLCHAIN" -D Calltap_DIR="$1/$LIBDIR/cmake/Calltap")
  "$CMAKE" -S "$2" -B "$3" -D CMAKE_PREFIX_PATH="$1" -D CMAKE_BUILD_TYPE=Release "${options[@]}"
}

# build_consumer PREFIX DIR [OPTIONS...]: the consumer project with the Calltap of PREFIX.
build_consumer() {
  rm -rf "$2"
  configure "$1" "$here/consumer" "$2" "${@:3}"
  "$CMAKE" --build "$2"
}

# build_with_pkg_config PREFIX OUTPUT
build_with_pkg_config() {
  local PKG_CONFIG_PATH=$1/$LIBDIR/pkgconfig flags libraries
  export PKG_CONFIG_PATH
  read -ra flags <<< "$(pkg-config --variable=instrument calltap) $(pkg-config --cflags calltap)"
  read -ra libraries <<< "$(pkg-config --libs calltap)"
  local name
  for name in greeting parting; do
    "$CXX" -O2 -Werror "${flags[@]}" -c "$here/consumer/$name.cpp" -o "$2.$name.o"
  done
  "$CC" -O2 -Werror -DWITH_CALLTAP_HEADERS "${flags[@]}" "$here/consumer/consumer.c" "$2".{greeting,parting}.o -fuse-ld=lld \
    -Wl,--no-as-needed "${libraries[@]}" -o "$2"
}

test_to_prefix() {
  rm -rf "$prefix"
  "$CMAKE" --install "$BUILD" --prefix "$prefix"
  [[ $("${run[@]}" "$prefix/bin/calltap" --version) =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "calltap --version"
  if grep -rlF "$BUILD" "$prefix"/{include,share} "$prefix/$LIBDIR"/{cmake,pkgconfig}; then
    fail "the build directory is named in installed files"
  fi
}

test_man_pages() {
  local page name
  for page in calltap calltap-record; do
    [[ -f $prefix/share/man/man1/$page.1 ]] || fail "no man page $page(1)"
  done
  for page in "$prefix"/share/man/man1/*.1; do
    name=$(basename "$page" .1)
    grep -q "^${name//-/\\\\-} .. ." "$page" || fail "$page has no NAME line"
    grep -q '^\.SH SYNOPSIS' "$page" || fail "$page has no synopsis"
    ! grep -nE '`|^\|' "$page" || fail "$page has Markdown left in it"
  done
}

test_find_package() {
  build_consumer "$prefix" "$WORK/consumer"
  runs_right "$WORK/consumer/consumer"
  runs_right "$WORK/consumer/linked"
}

# lld is the linker that refuses entries of functions that it left out.
test_find_package_with_other_linkers() {
  build_consumer "$prefix" "$WORK/consumer_lld" -D CONSUMER_LINK_OPTIONS='-fuse-ld=lld;LINKER:--gc-sections'
  runs_right "$WORK/consumer_lld/consumer"
  # The functions of the static library are compiled when the program is linked.
  build_consumer "$prefix" "$WORK/consumer_lto" -D CMAKE_INTERPROCEDURAL_OPTIMIZATION=ON \
    -D CONSUMER_LINK_OPTIONS='-fuse-ld=gold;LINKER:--gc-sections'
  runs_right "$WORK/consumer_lto/consumer"
  runs_right "$WORK/consumer_lto/caller" greeting parting 'is_even(int)'
}

test_pkg_config() {
  build_with_pkg_config "$prefix" "$WORK/pkg_config"
  LD_LIBRARY_PATH=$prefix/$LIBDIR runs_right "$WORK/pkg_config"
}

# The examples as a user builds them: what is in the tree is only their sources.
examples=$here/../../examples
expected_of_examples=$here/../examples

# prints_as_expected PROGRAM
prints_as_expected() {
  "$here/../examples/check_output.py" "$expected_of_examples/$(basename "$1").txt" "$1"
}

test_examples_with_find_package() {
  rm -rf "$WORK/examples"
  # In a folder of its own: nothing of the tree may be found by a relative path.
  cp -a "$examples" "$WORK/examples"
  configure "$prefix" "$WORK/examples" "$WORK/examples/build"
  "$CMAKE" --build "$WORK/examples/build"
  local source count=0
  for source in "$examples"/*.c "$examples"/*.cpp; do
    prints_as_expected "$WORK/examples/build/$(basename "${source%.*}")"
    count=$((count + 1))
  done
  [[ $count == 6 ]] || fail "$count examples, not 6"
}

test_examples_with_pkg_config() {
  local PKG_CONFIG_PATH=$prefix/$LIBDIR/pkgconfig flags libraries
  export PKG_CONFIG_PATH
  read -ra flags <<< "$(pkg-config --variable=instrument calltap) $(pkg-config --cflags calltap)"
  read -ra libraries <<< "$(pkg-config --libs calltap)"
  "$CC" -O2 -Wall -Wextra -Werror "${flags[@]}" "$examples/count_calls.c" "${libraries[@]}" -o "$WORK/count_calls"
  "$CXX" -std=c++20 -O2 -Wall -Wextra -Werror "${flags[@]}" "$examples/replace_function.cpp" "${libraries[@]}" \
    -o "$WORK/replace_function"
  export LD_LIBRARY_PATH=$prefix/$LIBDIR
  prints_as_expected "$WORK/count_calls"
  prints_as_expected "$WORK/replace_function"
}

test_moved_prefix() {
  rm -rf "$WORK/moved to"
  cp -a "$prefix" "$WORK/moved to"
  build_consumer "$WORK/moved to" "$WORK/moved_consumer"
  runs_right "$WORK/moved_consumer/linked"
  [[ $(ldd "$WORK/moved_consumer/linked") =~ 'moved to'.*libcalltap ]] || fail "the library came from elsewhere"
}

# calls_of FUNCTION: its calls in the report, by the column's title.
calls_of() {
  awk -F, -v name="$1" '
    NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; next }
    $column["name"] == name { print $column["calls"] }' "$WORK/report.csv"
}

test_record_with_installed_tool() {
  build_consumer "$prefix" "$WORK/recorded_consumer"
  local data=$WORK/recorded.data program
  for program in consumer linked; do
    rm -rf "$data" "$data.old"
    [[ $("${run[@]}" "$prefix/bin/calltap" record -o "$data" -- "$WORK/recorded_consumer/$program") == "$expected_output" ]] ||
      fail "the recorded program printed something else"
    "${run[@]}" "$prefix/bin/calltap" report "$data" --format csv > "$WORK/report.csv"
    [[ $(calls_of main) == 1 && $(calls_of triple) == 5 && $(calls_of greeting) == 5 ]] || {
      cat "$WORK/report.csv"
      fail "the report does not have every call of $program"
    }
  done
}

# refused MISUSE TEXT: configuring with that mistake fails and says TEXT.
refused() {
  local output
  rm -rf "$WORK/misuse"
  if output=$("$CMAKE" -S "$here/misuse" -B "$WORK/misuse" -D CMAKE_PREFIX_PATH="$prefix" -D MISUSE="$1" 2>&1); then
    fail "'$1' was accepted"
  fi
  # CMake breaks messages into lines as it likes.
  grep -qF "$2" <<< "$(tr -s '\n ' ' ' <<< "$output")" || fail "'$1' was refused with: $output"
}

test_misuse_is_explained() {
  refused target "there is no target 'programm'"
  refused scope "'EVERYWHERE' is none of"
  refused processor "knows no patchable function entry for the processor 'm68k'"
  refused compiler "Calltap needs GCC 8 or clang 10, or later"
}

"test_$1"
