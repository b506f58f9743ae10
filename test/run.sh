#!/usr/bin/env bash
# The tests that everybody runs, in minutes: units and fuzz seeds under the race detector, against an embedded NATS server,
# an embedded Kafka and, where there is Java, a real one. What it could not run is named at the end. "make verify" is all
# the rest.
# usage: run.sh     (which is what "make test" calls)
# Environment:
#   CI=true or MESSAGING_KAFKA_REQUIRE_ALL=1   what cannot be run counts as failed
#   PACKAGES="./internal/wasmcloud/wrpc ..."             the packages (default: all but the suites of verify.sh)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. test/steps.sh

step "gofmt and go vet" make --no-print-directory vet
step "Java and Kafka's jars" kafka

if [ -n "${PACKAGES:-}" ]; then
  read -ra packages <<<"$PACKAGES"
else
  # Those that take longest begin first, or the last minute would have one of them alone.
  longest='/internal/(engine/consume|wasmcloud/provider|wasmcloud/wrpc|cli|observe/admin|engine/request)$'
  mapfile -t packages < <(go list ./... | grep -Ev '/test/' | grep -E "$longest"; go list ./... | grep -Ev "/test/|$longest")
fi
# Tests wait for others' answers more than they work, all together for about twice as long, so more of them run at once than
# there are processors: packages beside each other, and tests of one package.
step "go test -race, ${#packages[@]} packages" gotest -- -count=1 -race -p 4 -parallel 8 -timeout 20m "${packages[@]}"
if [ -z "${PACKAGES:-}" ]; then
  # Prometheus' parser, which only this test needs, is in a module of its own.
  step "go test -race ./deploy/observability" within deploy/observability gotest -- -count=1 -race -timeout 10m .
  # The rest of the suite, other versions and restarts of the broker are for verify.sh.
  step "go test -race ./test/integration, on a real Kafka" gotest --format testname -- -count=1 -race -timeout 10m \
    -run '^Test(OnEveryKafkaVersion|OrderSurvivesFailuresAndRetries|TransactionsLeaveNoLag)$/^(4|order)/^(each|batches|the_group|a_provider)' ./test/integration
fi

summary
