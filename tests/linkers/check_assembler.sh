#!/bin/bash
# The tests of cmake/gcc/as: check_assembler.sh NAME (see CMakeLists.txt). From the environment: AS, that file; CC, a GCC.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
entry=-fpatchable-function-entry=18,16

fail() {
  echo "check_assembler.sh: $*" >&2
  exit 1
}

# fake_assembler DIR: an `as` there that copies standard input to standard output and then names itself and its arguments.
fake_assembler() {
  mkdir -p "$1"
  printf '#!/bin/sh\n[ $# -gt 2 ] && cat\necho "%s: $*"\nexit 7\n' "$1" > "$1/as"
  chmod +x "$1/as"
}

# expect TEXT STATUS COMMAND...: standard output and standard error together, and the status.
expect() {
  local text=$1 expected_status=$2 output status=0
  shift 2
  output=$("$@" 2>&1) || status=$?
  [[ $status == "$expected_status" ]] || fail "$* ended with $status: $output"
  [[ $output == "$text" ]] || fail "$* said: $output"
}

# The texts agree but for the directives of entries, and no line moves.
test_rewrites_what_gcc_12_writes() {
  fake_assembler "$work/fake"
  PATH=$work/fake:$PATH "$AS" --64 -o out.o "$here/golden/gcc12.s" > "$work/by_name" || [[ $? == 7 ]]
  PATH=$work/fake:$PATH "$AS" --64 -o out.o < "$here/golden/gcc12.s" > "$work/by_pipe" || [[ $? == 7 ]]
  [[ $(tail -n 1 "$work/by_name") == "$work/fake: --64 -o out.o --" ]] || fail "arguments: $(tail -n 1 "$work/by_name")"
  [[ $(tail -n 1 "$work/by_pipe") == "$work/fake: --64 -o out.o" ]] || fail "arguments: $(tail -n 1 "$work/by_pipe")"
  [[ -z ${CALLTAP_UPDATE_GOLDEN:-} ]] || sed '$d' "$work/by_name" > "$here/golden/gcc12.rewritten.s"
  diff "$here/golden/gcc12.rewritten.s" <(sed '$d' "$work/by_name") || fail "the text differs"
  diff "$here/golden/gcc12.rewritten.s" <(sed '$d' "$work/by_pipe") || fail "the piped text differs"
}

test_passes_on_what_needs_no_change() {
  fake_assembler "$work/fake"
  echo '	.quad __patchable_function_entries' > "$work/plain s"
  export PATH=$work/fake:$PATH
  expect "$work/fake: -o $work/plain s" 7 "$AS" -o "$work/plain s" < /dev/null
  expect "$work/fake: --version" 7 "$AS" --version
  expect "$work/fake: -I a  b -o out.o $work/plain s" 7 "$AS" -I "a  b" -o out.o "$work/plain s" < /dev/null
}

# Files without entries reach the assembler under their own names, and messages keep their lines.
test_messages_and_status_are_the_assemblers() {
  printf 'inline void f() { asm("no_such %%rax"); }\n\nint main() {\n  asm("nor_such");\n  f();\n}\n' > "$work/bad.cpp"
  printf '\n\tno_such\n' > "$work/bad.s"
  local file flags expected
  cd "$work"
  for file in bad.cpp bad.s missing.s; do
    for flags in "" -pipe -save-temps; do
      # shellcheck disable=SC2086  # no flag, or one
      expected=$("$CC" $entry $flags -c $file 2>&1) && fail "$file was accepted"
      # shellcheck disable=SC2086
      expect "$expected" 1 "$CC" $entry $flags -B"${AS%/as}" -c $file
    done
  done
}

# ended_in DIR FLAGS...: GCC with our directory and these flags ended in the fake assembler of DIR.
ended_in() {
  local said
  said=$("$CC" $entry -c main.c "${@:2}" | tail -n 1) || true
  [[ $said == "$1: "* ]] || fail "with ${*:2}: not $1 but: $said"
}

test_runs_the_assembler_that_gcc_would_run() {
  local ours=${AS%/as} flag
  echo 'int main(void) { return 0; }' > "$work/main.c"
  cd "$work"
  fake_assembler "$work/in path"
  fake_assembler "$work/in prefix"
  for flag in -pipe -O0; do
    ended_in "$work/in prefix" $flag -B"$work/in prefix" -B"$ours"
    ended_in "$work/in prefix" $flag -B"$ours/" -B"$work/in prefix"
    PATH="$work/in path:$PATH" ended_in "$work/in path" $flag -B"$ours"
  done
  # Found by its own name in $PATH it does not run itself for ever.
  PATH="$ours:$PATH" timeout 20 "$CC" $entry -c main.c -B"$ours" -o own_path.o
  PATH="$ours:$PATH" timeout 20 as --version > /dev/null
}

test_the_way_in_changes_no_object() {
  local flags object
  cp "$here/golden/gcc12.s" "$work/source.s"
  echo 'int main(void) { return 0; }' > "$work/main.c"
  cd "$work"
  "$CC" -O2 -g $entry -S main.c
  "$CC" -B"${AS%/as}" -c main.s -o expected.o
  cmp -s expected.o <("$CC" -c main.s -o plain.o; cat plain.o) && fail "the assembler changed nothing"
  for flags in -pipe -save-temps -O2; do
    "$CC" -O2 -g $entry $flags -B"${AS%/as}" -c main.c -o object.o
    # The flags are in the debug information.
    for object in expected object; do objcopy --strip-debug $object.o $object.stripped; done
    cmp expected.stripped object.stripped || fail "$flags"
  done
}

"test_$1"
