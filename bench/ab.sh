#!/usr/bin/env bash
# Compares two versions of the provider: both run side by side on the same nats-server and the same Kafka, and are loaded
# in turns. What the machine does meanwhile falls on both.
# usage: ab.sh [-a REVISION] [-b REVISION] [-ways handle,publish,echo,request] [-in-flight 1,64] [-size 1024] [-rounds 5]
#              [-duration 600ms] [-profile DIR] [-env-b KEY=VALUE,...] [-link-b KEY=VALUE]...
#   -a    what to compare with, default HEAD
#   -b    what is compared, default what lies in the folder
#   -env-b and -link-b change the second one's environment and the settings of its links
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
cleanup() {
  for tree in "$work"/tree-*; do
    if [ -d "$tree" ]; then git -C "$here" worktree remove --force "$tree"; fi
  done
  rm -rf "$work"
}
trap cleanup EXIT
a=HEAD b='' args=()
while [ $# -gt 0 ]; do
  case $1 in
    -a) a=$2; shift ;;
    -b) b=$2; shift ;;
    -profile) args+=("$1" "$(realpath -m "$2")"); shift ;;
    *) args+=("$1") ;;
  esac
  shift
done
# provider NAME [REVISION]
provider() {
  local root=$here/..
  if [ -n "${2:-}" ]; then
    root=$work/tree-$1
    git -C "$here" worktree add -q --detach "$root" "$2"
  fi
  (cd "$root" && go build -trimpath -o "$work/$1" ./bench/provider)
}
provider a "$a"
provider b "$b"
(cd "$here/alone" && go test -c -tags bench -o "$work/alone.test" .)
cd "$here/alone"
MESSAGING_KAFKA_REQUIRE_ALL=1 "$work/alone.test" -test.run '^TestAB$' -test.timeout 60m -test.count 1 \
  -a "$work/a" -b "$work/b" "${args[@]}"
