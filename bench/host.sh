#!/usr/bin/env bash
# Measures echoes through a real wasmCloud host, over bare wRPC and through the provider and a real Kafka, side by side.
# usage: host.sh [-duration 5s] [-rounds 5] [-in-flight 1,16,64] [-size 1024] [-link KEY=VALUE]... [-out FILE]
#                [-profile DIR]
# See README.md. Status 1: records were lost or something failed. How fast it was has no influence on the status.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Built in full first: a compiler that runs beside the measurement would be measured too.
(cd "$here" && go test -c -tags bench -o "$work/bench.test" .)
# Relative paths are of the folder that the script was called in; the test finds the project from its own.
args=()
while [ $# -gt 0 ]; do
  case $1 in
    -out|-profile)
      [ $# -ge 2 ] || { echo "host.sh: $1 needs a value" >&2; exit 2; }
      path=$2
      [ "$path" = - ] || path=$(realpath -m "$path")
      args+=("$1" "$path"); shift ;;
    *) args+=("$1") ;;
  esac
  shift
done
cd "$here"
# Nothing may be left out: a benchmark that skips has measured nothing.
MESSAGING_KAFKA_REQUIRE_ALL=1 "$work/bench.test" -test.run '^TestHost$' -test.timeout 60m -test.count 1 "${args[@]}"
