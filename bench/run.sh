#!/usr/bin/env bash
# Measures the provider without a host, how it grows and starts, and single packages; keeps the results in bench/results
# and writes them into docs/performance.md. It takes under ten minutes on two cores once everything is fetched.
# usage: run.sh [-rounds 5] [-duration 600ms]      Environment: BENCH_ROUNDS is -rounds
# Status 1: values were lost or something failed. How fast it was has no influence on the status.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rounds=${BENCH_ROUNDS:-5} duration=600ms began=$SECONDS
while [ $# -gt 0 ]; do
  case $1 in
    -rounds) rounds=$2; shift ;;
    -duration) duration=$2; shift ;;
    *) echo "run.sh: what is $1?" >&2; exit 2 ;;
  esac
  shift
done
# Nothing may be left out: a benchmark that skips has measured nothing.
export MESSAGING_KAFKA_REQUIRE_ALL=1
# Built in full first: a compiler that runs beside a measurement would be measured too.
(cd "$here/alone" && go test -c -tags bench -o "$work/alone.test" .)
(
  cd "$here/.."
  export CGO_ENABLED=0
  go build -trimpath -buildvcs=false -o /dev/null ./bench/provider
  go build -trimpath -buildvcs=false -tags nodev -o /dev/null ./cmd/messaging-kafka
)
cd "$here/alone"
status=0
measure() { "$work/alone.test" -test.run "$1" -test.timeout 60m -test.count 1 -out "$here/results" "${@:2}" || status=1; }
measure '^TestProvider$' -rounds "$rounds" -duration "$duration"
measure '^TestScale$'
printf '\n'
"$here/micro.sh" -record -benchtime 0.1s || status=1
# What failed has left the results as they were.
(cd "$here/.." && go run ./bench/report -docs) || status=1
printf 'took %d s\n' $((SECONDS - began))
exit $status
