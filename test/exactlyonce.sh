#!/usr/bin/env bash
# Counts what comes out of components that turn records into records while everything around them breaks, with and
# without transactions, by both group protocols. The status is 0 when the promises hold. See test/exactlyonce.
# usage: test/exactlyonce.sh [ci|long]     5,000 records a pipeline, about 1.5 minutes, or 50,000, about 7 (default)
# EXACTLYONCE_SEED=N repeats the schedule of a run that printed N. EXACTLYONCE_DURATION (such as 10m, of the faults) and
# EXACTLYONCE_RECORDS change the rest. EXACTLYONCE_KEEP=1 keeps the logs of a good run too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
form=${1:-${EXACTLYONCE:-long}}
case $form in ci | long) ;; *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
# What is missing on this machine is to be named as a failure: nobody calls this in order to skip it.
export EXACTLYONCE=$form MESSAGING_KAFKA_REQUIRE_ALL=1
exec "${GO:-go}" test -tags exactlyonce -count=1 -v -timeout 1h -run '^TestEachOutput' ./test/exactlyonce
