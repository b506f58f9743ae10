#!/usr/bin/env bash
# Runs every check and test that this machine can run, and names at the end what it could not and how to mend that.
# usage: run.sh     (which is what "make test" calls)
# Environment:
#   CI=true or MESSAGING_KAFKA_REQUIRE_ALL=1   what cannot be run counts as failed
#   PACKAGES="./internal/wrpc ..."             the packages of the first run of go test (default: all but the suites)
#   SUITES="e2e ..."                           which suites below test/ follow (default: all; - is none)
#   CHAOS=ci                                   what test/chaos does (default: nothing, but ci where nothing may be left out)
#   SOAK_DURATION=3m                           how long test/soak takes (default: no time, but 3m where nothing may be left out)
# What is built for the tests is kept in ${XDG_CACHE_HOME:-~/.cache}/messaging-kafka.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The tests read the same two variables, and in the same way: what is no "no" is a "yes".
set_in() { case ${1,,} in '' | 0 | f | false) return 1 ;; esac; }
require_all=''
if set_in "${CI:-}" || set_in "${MESSAGING_KAFKA_REQUIRE_ALL:-}"; then require_all=1; fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
began=$SECONDS
failed=() left_out=()

# step TEXT COMMAND...: announces and runs a command, and goes on whatever becomes of it. Status 3 is a command's word
# that something is missing on this machine; what it is stands in its last line.
step() {
  local text=$1 from=$SECONDS status=0
  shift
  printf '\n=== %s\n' "$text"
  "$@" 2>&1 | tee "$tmp/step" || status=${PIPESTATUS[0]}
  case $status in
    0) ;;
    3) left_out+=("$text: $(tail -n1 "$tmp/step")") ;;
    *) failed+=("$text") ;;
  esac
  printf '    (%d s)\n' $((SECONDS - from))
  return 0
}

# missing TEXT: ends a step as one that this machine cannot do.
missing() { printf '%s\n' "$*"; return 3; }

# offline FILE: tells whether a command failed because the network, or a name in it, is out of reach.
offline() { grep -qE 'no such host|dial tcp|i/o timeout|connection refused|network is unreachable' "$1"; }

# online COMMAND...: a command that fetches what it needs once.
online() {
  local status=0
  "$@" >"$tmp/online" 2>&1 || status=$?
  cat "$tmp/online"
  [ $status -ne 0 ] || return 0
  if offline "$tmp/online"; then missing "it needs the network this time"; return; fi
  return $status
}

# The one thing whose data come from outside each time. A machine without a way there learns nothing, which is said,
# but is no fault of the project: this is never counted as failed.
vulnerabilities() {
  online make --no-print-directory vulnerabilities || return
  if grep -q '^SKIPPED: ' "$tmp/online"; then : >"$tmp/unknown"; fi # a file: steps run in a shell of their own
}

host() {
  if ! command -v cargo >/dev/null; then
    test/host/build -n >/dev/null 2>&1 || missing "the real wasmCloud host is built with Rust: install it (https://rustup.rs)"
    return
  fi
  test/host/build -n 2>/dev/null || { echo "building a real wasmCloud host: about 12 minutes, once"; test/host/build; }
}

components() {
  local target=wasm32-wasip2
  if command -v rustc >/dev/null && command -v rustup >/dev/null && [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    rustup target add $target || { missing "Rust's target $target is missing and could not be fetched: rustup target add $target"; return; }
  fi
  test/components/build all
}

# The jars are fetched here once, and not by several tests at the same time.
kafka() {
  local version versions
  command -v java >/dev/null || { missing "java is missing: install a JRE, 17 or later (Debian and Ubuntu: apt-get install default-jre-headless)"; return; }
  versions=$(sed -n 's/^\tKafka[0-9]* *= "\(.*\)"$/\1/p' internal/testkit/kafka.go)
  [ -n "$versions" ] || { echo "internal/testkit/kafka.go names no version of Kafka"; return 1; }
  for version in $versions; do KAFKA_VERSION=$version test/kafka/kafka-lib || return; done
}

# A browser for the suite page. Where it is missing, Debian's is fetched if this machine lets us; where that fails, the
# suite is left out, which is said here and in the summary: a browser is too much to ask of everybody.
browser() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name"; then return; fi
  done
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "fetching Debian's chromium"
    if DEBIAN_FRONTEND=noninteractive timeout 300 sh -c 'apt-get -qq update; exec apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core' >"$tmp/apt" 2>&1 &&
      command -v chromium; then return; fi
    tail -n 3 "$tmp/apt"
  fi
  : >"$tmp/no-browser"
  echo "SKIPPED: there is no chromium, so the page is not looked at: install it (Debian: apt-get install chromium)"
}

# gotest [ARGUMENTS OF report] -- ARGUMENTS OF go test
gotest() {
  local options=()
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  # Both can say no: go test where it could not even begin, the report where a test was skipped.
  go test -json -count=1 "$@" | "$tmp/report" -state "$tmp/counts" ${require_all:+-no-skips} "${options[@]}"
}

command -v go >/dev/null || { echo "go is missing: install it (https://go.dev/dl); go.mod says which version" >&2; exit 3; }
go build -o "$tmp/report" ./test/report

step "gofmt and go vet" make --no-print-directory vet
step "staticcheck" online make --no-print-directory staticcheck
step "govulncheck" vulnerabilities
step "go.mod is tidy" online go mod tidy -diff
step "docs/settings.md and docs/metrics.md are what the declarations say" go test -count=1 -run Docs ./internal/settings ./internal/telemetry
step "Java and Kafka's jars" kafka
step "test components and examples" components
step "the real wasmCloud host" host

# Folders below test/ with tests in them are suites, which get the machine to themselves, one after another. Some have
# a build tag of their own name. What breaks most comes last.
suites=()
for dir in test/*/; do
  suite=$(basename "$dir")
  case $suite in report | chaos) continue ;; esac
  if compgen -G "$dir*_test.go" >/dev/null; then suites+=("$suite"); fi
done
if compgen -G "test/chaos/*_test.go" >/dev/null; then suites+=(chaos); fi
read -ra suites <<<"${SUITES:-${suites[*]}}"
[ "${suites[*]}" != - ] || suites=()

if [ -n "${PACKAGES:-}" ]; then
  read -ra packages <<<"$PACKAGES"
else
  mapfile -t packages < <(go list ./... | grep -Ev '/test/' || true)
  packages+=(./test/report)
fi
# What it says is for a reader; on a machine that others use, no figure of time would be worth a failure.
step "benchmarks of single packages, beside those recorded last" online bench/micro.sh -benchtime 50ms

# Two packages at a time suit two cores: many of them start brokers, and all are slower under the race detector.
step "go test -race, ${#packages[@]} packages" gotest -- -race -p 2 -timeout 20m "${packages[@]}"

# Chaos and soak take minutes and are for those who ask for them (CHAOS=ci, SOAK_DURATION=3m), or for everything.
if [ -n "$require_all" ]; then export CHAOS=${CHAOS:-ci} SOAK_DURATION=${SOAK_DURATION:-3m}; fi
export SOAK_OUT=${SOAK_OUT:-$tmp/soak}
for suite in "${suites[@]}"; do
  if [ "$suite" = page ] && [ -e "$tmp/no-browser" ]; then continue; fi
  step "go test -race ./test/$suite" gotest -tests -- -race -tags "$suite" -timeout 30m "./test/$suite"
  if [ "$suite" = soak ] && [ -e "$SOAK_OUT/soak.txt" ]; then cat "$SOAK_OUT/soak.txt"; fi
done

printf '\n=== summary (%d min)\n' $(((SECONDS - began + 59) / 60))
"$tmp/report" -state "$tmp/counts" -total || failed+=("go test")
[ ! -e "$tmp/unknown" ] || echo "not known: whether a vulnerability is known of what is used; govulncheck did not reach its database"
[ ! -e "$tmp/no-browser" ] || echo "not looked at: the page in a browser; there is no chromium"
for text in "${left_out[@]}"; do echo "could not be run: $text"; done
for text in "${failed[@]}"; do echo "FAILED: $text"; done
if [ -n "$require_all" ] && [ ${#left_out[@]} -gt 0 ]; then
  echo "FAILED: nothing may be left out here (CI or MESSAGING_KAFKA_REQUIRE_ALL is set)"
  exit 1
fi
[ ${#failed[@]} -eq 0 ]
