#!/bin/bash
# The daemon beside the floor and the sketch broker, in one run: the ratios of issue 2; with
# SOCKET=msgq those of issue 4, for its dialect msgq; with SOCKET=clacks those of issue 3; with
# SOCKET=communicator those of issue 5.
#
#   ./compare.sh [repetitions] [OUT]
#
# Prints a table with a verdict for each target; status 1 if one is missed, 2 if a run failed.
# OUT (default: a temporary file, whose lines are printed before the table) gets a line for
# each run. Build both first, in this folder and in the repository's root:
#   cargo build --release
# From the environment: SOCKET (tcp, unix, msgq, clacks or communicator), CHAPPE (the daemon's binary), WORKS (workloads),
# EXTRA (more peers of run.sh, for context), and what run.sh takes. Ten thousand
# idle stations need a hard limit of 11,000 descriptors (ulimit -Hn).
set -u
here=$(cd "$(dirname "$0")" && pwd)
reps=${1:-5} out=${2:-} SOCKET=${SOCKET:-tcp}
bench=$here/target/release/brokerbench
[ -x "$bench" ] || { echo "$bench is missing: run 'cargo build --release' in $here" >&2; exit 2; }
[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 11000 ] ||
  echo "warning: only $(ulimit -Hn) descriptors; W5 needs 11000, or a smaller IDLE" >&2
shown=
[ -n "$out" ] || { out=$(mktemp) shown=1; trap 'rm -f "$out"' EXIT; }
: >"$out" || exit 2

me=chappe-$SOCKET floor=floor-$SOCKET sketch=mini-text
works="W1 W1s W1p W2 W3s W5s W6"
case $SOCKET in
unix) sketch=mini-text-unix ;;
msgq) sketch=mini-text-unix works="M1 M2 M3s" ;;
clacks) sketch=mini-text-unix works="C1 C4" ;;
communicator) sketch=mini-text-unix works="K1 K2" ;;
esac

peers() { # who runs a workload: the daemon and what it is held against
  case $1 in
  W1s) echo "$me" ;;
  C4) echo "redis-unix memcached-unix $me" ;;
  W1p) echo "$floor $sketch $me" ;;
  *) echo "$sketch $me" ;;
  esac
}

failed=0
for r in $(seq "$reps"); do
  for w in ${WORKS:-$works}; do
    before=$(wc -l <"$out")
    set -- $(peers "$w") ${EXTRA:-}
    "$here/run.sh" "$out" "$*" "$w" 1
    [ $(($(wc -l <"$out") - before)) -eq $# ] || failed=1
  done
done
[ -z "$shown" ] || cat "$out"
echo "$(nproc) CPUs, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), Linux $(uname -r), $(date -u +%F)"
"$bench" verdict "$out" --socket "$SOCKET" || exit $((failed ? 2 : 1))
exit $((failed ? 2 : 0))
