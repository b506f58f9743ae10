#!/usr/bin/env bash
# Everything that "make test" leaves out: checks of the code, and the suites below test/ on real hosts, brokers and
# browsers, in the order of what breaks most. It names at the end what it could not run and how to mend that.
# usage: verify.sh     (which is what "make verify" calls)
# Environment:
#   CI=true or MESSAGING_KAFKA_REQUIRE_ALL=1   what cannot be run counts as failed
#   SUITES="e2e ..."                           which suites (default: all; - is none, only the checks)
#   CHAOS=ci                                   what test/chaos does (default: nothing, but ci where nothing may be left out)
#   SOAK_DURATION=3m                           how long test/soak takes (default: no time, but 3m where nothing may be left out)
# What is built for the tests is kept in ${XDG_CACHE_HOME:-~/.cache}/messaging-kafka.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. test/steps.sh

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

wasi_host() {
  if ! command -v cargo >/dev/null; then
    test/wasi-host/build -n >/dev/null 2>&1 || missing "wasmtime and wac are built with Rust: install it (https://rustup.rs)"
    return
  fi
  test/wasi-host/build -n 2>/dev/null || { echo "building wasmtime and wac: about 20 minutes, once"; test/wasi-host/build; }
}

# The shims, and the tests of their codec.
shims() {
  wasm_target || return
  shims/build || return
  CARGO_TARGET_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/messaging-kafka/shims-test cargo test --locked --manifest-path shims/Cargo.toml
}

# wasm_target fetches Rust's target for components where that is missing.
wasm_target() {
  local target=wasm32-wasip2
  if command -v rustc >/dev/null && command -v rustup >/dev/null && [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    rustup target add $target || { missing "Rust's target $target is missing and could not be fetched: rustup target add $target"; return; }
  fi
}

components() {
  wasm_target || return
  test/components/build all
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

# The tests of single packages that take a real Kafka, of each version: their files have a build tag. The other tests of these
# packages are those of make test.
brokers() {
  local files names
  mapfile -t files < <(grep -rlx --include='*_test.go' '//go:build brokers' internal)
  names=$(sed -n 's/^func \(Test[A-Za-z0-9]*\)(.*/\1/p' "${files[@]}" | paste -sd '|')
  mapfile -t packages < <(for file in "${files[@]}"; do echo "./$(dirname "$file")"; done | sort -u)
  gotest --format testname -- -count=1 -race -p 1 -tags brokers -timeout 20m -run "^($names)\$" "${packages[@]}"
}

# The suites, what breaks most first. A folder below test/ with tests in it that is not listed comes last.
suites=(brokers integration simulation charts e2e acceptance page security exactlyonce chaos release soak)
for dir in test/*/; do
  suite=$(basename "$dir")
  if compgen -G "$dir*_test.go" >/dev/null && [[ " ${suites[*]} " != *" $suite "* ]]; then suites+=("$suite"); fi
done
chosen=${SUITES:-}
read -ra suites <<<"${SUITES:-${suites[*]}}"
[ "${suites[*]}" != - ] || suites=()
uses() { [[ " ${suites[*]} " == *" $1 "* ]]; } # uses SUITE

if [ -z "$chosen" ] || [ "$chosen" = - ]; then
  step "staticcheck" online make --no-print-directory staticcheck
  step "golangci-lint (its first build takes minutes)" online make --no-print-directory golangci
  step "govulncheck" vulnerabilities
  step "go.mod is tidy, in all modules" online make --no-print-directory tidy-check
  # What it says is for a reader; on a machine that others use, no figure of time would be worth a failure.
  step "benchmarks of single packages, beside those recorded last" online bench/micro.sh -benchtime 50ms
fi
if [ ${#suites[@]} -gt 0 ]; then step "Java and Kafka's jars" kafka; fi
if uses e2e || uses acceptance || uses exactlyonce || uses chaos; then
  step "test components and examples" components
  step "the real wasmCloud host" host
fi
if uses acceptance || uses release; then step "shims, with their own tests" shims; fi
if uses acceptance; then step "a host of wasi:http, and wac" wasi_host; fi
if uses page; then step "a browser" browser; fi

# Chaos and soak take minutes and are for those who ask for them (CHAOS=ci, SOAK_DURATION=3m), or for everything.
if [ -n "$require_all" ]; then export CHAOS=${CHAOS:-ci} SOAK_DURATION=${SOAK_DURATION:-3m}; fi
export SOAK_OUT=${SOAK_OUT:-$tmp/soak}
# Suites get the machine to themselves, one after another. Some have a build tag of their own name.
for suite in "${suites[@]}"; do
  if [ "$suite" = page ] && [ -e "$tmp/no-browser" ]; then continue; fi
  if [ "$suite" = brokers ]; then
    step "go test -race, packages on real Kafkas" brokers
    continue
  fi
  # Without the race detector: nothing runs beside anything in there, and Helm would be built twice.
  if [ "$suite" = charts ]; then
    step "go test ./deploy/charts" within deploy/charts gotest -- -count=1 -timeout 10m .
    continue
  fi
  # The simulation's second tag lets virtual time pass the Kafka client's locks.
  at=. package=./test/$suite/... # some have packages of their own below them
  if [ -e "test/$suite/go.mod" ]; then at=test/$suite package=.; fi
  step "go test -race ./test/$suite" within "$at" gotest --format testname -- -count=1 -race -tags "$suite,synctests" -timeout 30m "$package"
  if [ "$suite" = simulation ]; then
    step "simulated runs, each of them twice and the same to the byte" go run ./test/simulation/simulate -from 1 -for 1m -check
  fi
  if [ "$suite" = soak ] && [ -e "$SOAK_OUT/soak.txt" ]; then cat "$SOAK_OUT/soak.txt"; fi
done

summary
