#!/bin/bash
# Builds the SQLite shell from the files that fetch.sh made.
#
#   build.sh SOURCE_DIR OUTPUT [COMPILER FLAGS AND FURTHER SOURCES...]
#
# OUTPUT is the shell. Nothing is done when it was made by the same compiler from the same version with the same flags
# before. CC names another compiler than gcc.
set -euo pipefail

[[ $# -ge 2 ]] || {
  echo "usage: build.sh SOURCE_DIR OUTPUT [FLAGS...]" >&2
  exit 2
}
source_dir=$1
output=$2
shift 2
compiler=${CC:-gcc}

# No thread, no extension, no line editing: the workload is the library's own work.
options=(-DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_ENABLE_MATH_FUNCTIONS)
recipe=$(
  cat "$source_dir/version"
  "$compiler" --version | head -1
  printf '%s\n' "${options[@]}" "$@"
  for argument in "$@"; do
    [[ -f $argument ]] && sha256sum "$argument"
  done
  sha256sum "$0"
)
if [[ -x $output && -f $output.recipe && $(<"$output.recipe") == "$recipe" ]]; then
  exit 0
fi

mkdir -p "$(dirname "$output")"
rm -f "$output.recipe"
"$compiler" -O2 -g -w "${options[@]}" "$@" \
  "$source_dir/shell.c" "$source_dir/sqlite3.c" -I"$source_dir" -lm -o "$output"
printf '%s\n' "$recipe" > "$output.recipe"
