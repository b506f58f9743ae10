#!/usr/bin/env bash
# Runs the benchmarks of single packages (codec, calls, dispatcher, acknowledging, publishing) and compares time, bytes
# and allocations with those that were recorded last.
# usage: micro.sh [-record] [-count N] [-benchtime T]
#   -record     keep what was measured as results/micro.txt, which later runs are compared with
#   -count N    how often each is run, default 6: fewer say nothing about chance
#   -benchtime  how long each runs, default 0.2s
# The status says whether the benchmarks ran, and never how fast: recorded on another machine, times tell little, and
# allocations as much as ever.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
packages=(./internal/wasmcloud/wrpc ./internal/wasmcloud/messaging ./internal/payload/wit ./internal/engine/dispatch ./internal/engine/produce)
recorded=$here/results/micro.txt record='' count=6 benchtime=0.2s
while [ $# -gt 0 ]; do
  case $1 in
    -record) record=1 ;;
    -count) count=$2; shift ;;
    -benchtime) benchtime=$2; shift ;;
    *) echo "micro.sh: what is $1?" >&2; exit 2 ;;
  esac
  shift
done
new=$(mktemp)
trap 'rm -f "$new"' EXIT
# Built before, and one package after the other: a compiler beside a benchmark would be measured too.
go test -count=1 -run '^$' "${packages[@]}" >/dev/null
# Lines of the tests' own would break the lines of results.
go test -p 1 -run '^$' -bench . -benchmem -count "$count" -benchtime "$benchtime" "${packages[@]}" |
  grep -E '^(goos|goarch|pkg|cpu|Benchmark|PASS|FAIL|ok)' >"$new"
if [ -s "$recorded" ]; then
  go tool -modfile=test/tools/go.mod benchstat -table pkg -ignore goos,goarch,cpu recorded="$recorded" now="$new" ||
    { echo "micro.sh: benchstat could not be run; what was measured:"; cat "$new"; }
else
  cat "$new"
fi
if [ -n "$record" ]; then
  cp "$new" "$recorded"
  echo "recorded: $recorded"
fi
