#!/usr/bin/env bash
# Which lines the tests run, part by part: the summary of each part, and a list of the lines that nothing ran.
#
#   host-tests/coverage.sh              all parts
#   host-tests/coverage.sh PART...      only these: core, smoltcp, linux
#
# Needs cargo-llvm-cov, cargo-nextest and the component llvm-tools. What counts are tests that say what must
# happen: the simulation, fuzzing and QEMU run much of the core and prove other things, so they are left out.
# A part is the folder's own files, its unit tests with them. Processes under test are asked to end instead of
# being killed (transport-linux/tests/support/end.rs), or their counts would be lost; those that a test itself
# kills are not counted.
#
# The lists are in target/coverage/PART.txt. It takes about twenty minutes on two processors,
# most of it building.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
command -v cargo-llvm-cov >/dev/null || { echo "missing: cargo install cargo-llvm-cov --locked" >&2; exit 2; }
mkdir -p target/coverage

failed=0
# A test that fails does not spoil the figures; the script says so at its end.
run() { cargo llvm-cov --no-report nextest --no-fail-fast "$@" || failed=1; }

report() { # PART, and what is not of it
  cargo llvm-cov report --ignore-filename-regex "/($2|host-tests|registry|rustlib)/" --text --show-missing-lines |
    sed -n '/^Uncovered Lines:/,$p' >"target/coverage/$1.txt"
  printf '\n== %s\n' "$1"
  cargo llvm-cov report --ignore-filename-regex "/($2|host-tests|registry|rustlib)/" --summary-only |
    awk '$1 == "TOTAL" { print "lines " $10 " of " $8 ", regions " $4 " of " $2 }'
}

[ $# -gt 0 ] || set -- core smoltcp linux
for part in "$@"; do
  cargo llvm-cov clean --workspace # programs of before would count as never run
  case $part in
    core)
      run -p chappe-core -p chappe-host-tests --features chappe-core/discovery -E 'not (binary(/^sim/) or test(/^qemu_/))'
      report core 'transport-[a-z]+'
      ;;
    smoltcp)
      run -p chappe-smoltcp
      report smoltcp 'core|transport-linux'
      ;;
    linux)
      run -p chappe-linux
      report linux 'core|transport-smoltcp'
      ;;
    *)
      echo "no such part: $part" >&2
      exit 2
      ;;
  esac
done
exit "$failed"
