# What run.sh and verify.sh share: steps that are announced, timed and counted, and the summary. It is read by them, with
# their working directory at the root of the project.
set -euo pipefail

# The tests read the same two variables, and in the same way: what is no "no" is a "yes".
set_in() { case ${1,,} in '' | 0 | f | false) return 1 ;; esac; }
require_all=''
if set_in "${CI:-}" || set_in "${MESSAGING_KAFKA_REQUIRE_ALL:-}"; then require_all=1; fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
began=$SECONDS
failed=() left_out=() times=()

# step TEXT COMMAND...: announces and runs a command, and goes on whatever becomes of it. Status 3 is a command's word
# that something is missing on this machine; what it is stands in its last line.
step() {
  local text=$1 from=$SECONDS status=0 became=ok
  shift
  printf '\n=== %s\n' "$text"
  "$@" 2>&1 | tee "$tmp/step" || status=${PIPESTATUS[0]}
  case $status in
    0) ;;
    3) left_out+=("$text: $(tail -n1 "$tmp/step")") became='left out' ;;
    *) failed+=("$text") became=FAILED ;;
  esac
  times+=("$(printf '%6d s  %-8s  %s' $((SECONDS - from)) "$became" "$text")")
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

# The jars are fetched here once, and not by several tests at the same time.
kafka() {
  local version versions
  command -v java >/dev/null || { missing "java is missing: install a JRE, 17 or later (Debian and Ubuntu: apt-get install default-jre-headless)"; return; }
  versions=$(sed -n 's/^\tKafka[0-9]* *= "\(.*\)"$/\1/p' internal/testkit/kafka.go)
  [ -n "$versions" ] || { echo "internal/testkit/kafka.go names no version of Kafka"; return 1; }
  for version in $versions; do KAFKA_VERSION=$version test/kafka/kafka-lib || return; done
}

# gotest [ARGUMENTS OF gotestsum] -- ARGUMENTS OF go test
# How each test ended is kept for the summary, and so is what gotestsum says of those that were skipped or failed: the
# summary is what is left of a long output.
gotest() {
  local status=0 events
  events=$(mktemp "$tmp/events.XXXXXX")
  "$tmp/gotestsum" --format-icons text --format-hide-empty-pkg --jsonfile-timing-events "$events" "$@" | tee "$tmp/tests" || status=1
  sed -n '/^=== SKIP: /,/^$/p' "$tmp/tests" >>"$tmp/skipped"
  sed -n '/^=== FAIL: /,/^$/p' "$tmp/tests" | cut -c1-500 | awk 'NR <= 100' >>"$tmp/said"
  if [ -n "$require_all" ] && grep -q '"Action":"skip",.*"Test":' "$events"; then
    echo "FAILED: tests were skipped, and nothing may be left out here (CI or MESSAGING_KAFKA_REQUIRE_ALL is set)"
    status=1
  fi
  return $status
}

# tests prints what was skipped, what failed with what it said, and the counts of all runs of go test, and fails where a test did or none passed.
tests() {
  cat "$tmp/skipped" "$tmp/said"
  cat "$tmp"/events.* | awk -F'"' '
    $14 == "Test" || $8 == "fail" { ended[$8]++ }
    $8 == "fail" { print "failed: " $12 ($14 == "Test" ? "." $16 : "") }
    END {
      printf "%d passed, %d failed, %d skipped\n", ended["pass"], ended["fail"], ended["skip"]
      exit ended["fail"] || !ended["pass"]
    }'
}

# within FOLDER COMMAND...: a command that runs in another folder, such as one with a go.mod of its own.
within() { (cd "$1" && "${@:2}"); }

# summary prints how long each step took and what is not as it should be, and fails where something is not.
summary() {
  printf '\n=== summary (%d min)\n' $(((SECONDS - began + 59) / 60))
  printf '%s\n' "${times[@]}"
  if [ -e "$tmp/skipped" ]; then tests || failed+=("go test"); fi
  [ ! -e "$tmp/unknown" ] || echo "not known: whether a vulnerability is known of what is used; govulncheck did not reach its database"
  [ ! -e "$tmp/no-browser" ] || echo "not looked at: the page in a browser; there is no chromium"
  for text in "${left_out[@]}"; do echo "could not be run: $text"; done
  for text in "${failed[@]}"; do echo "FAILED: $text"; done
  if [ -n "$require_all" ] && [ ${#left_out[@]} -gt 0 ]; then
    echo "FAILED: nothing may be left out here (CI or MESSAGING_KAFKA_REQUIRE_ALL is set)"
    return 1
  fi
  [ ${#failed[@]} -eq 0 ]
}

command -v go >/dev/null || { echo "go is missing: install it (https://go.dev/dl); go.mod says which version" >&2; exit 3; }
go -C test/tools build -o "$tmp/gotestsum" gotest.tools/gotestsum
