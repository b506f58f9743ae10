#!/usr/bin/env bash
# Measures records from topic to topic through a real wasmCloud host, one a call and in batches, and through a bridge with a
# component in wasmtime and a program behind it, side by side.
# usage: batches.sh [-duration 5s] [-rounds 5] [-size 1024] [-ways "WORD|WORD"] [-link KEY=VALUE]... [-out FILE]
#                   [-profiles ADDRESS]
# See README.md. Status 1: records were lost or something failed. How fast it was has no influence on the status.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Built in full first: a compiler that runs beside the measurement would be measured too.
(cd "$here/batches" && go test -c -tags bench -o "$work/batches.test" .)
out=$here/results/batches.json
args=()
while [ $# -gt 0 ]; do
  case $1 in
    -out)
      [ $# -ge 2 ] || { echo "batches.sh: $1 needs a value" >&2; exit 2; }
      out=$2
      [ "$out" = - ] || out=$(realpath -m "$out")
      shift ;;
    *) args+=("$1") ;;
  esac
  shift
done
[ "$out" = - ] || args+=(-out "$out")
cd "$here/batches"
# Nothing may be left out: a benchmark that skips has measured nothing.
MESSAGING_KAFKA_REQUIRE_ALL=1 "$work/batches.test" -test.run '^TestBatches$' -test.timeout 60m -test.count 1 "${args[@]}"
