# messaging-kafka. "make help" lists the targets.

GO        ?= go
DIST      ?= dist
FUZZTIME  ?= 30s
# Which version this is: the tag, or the commit until there is one. Outside of a checkout, give VERSION and COMMIT.
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT    ?= $(shell git describe --always --abbrev=40 --exclude '*' --dirty 2>/dev/null || echo unknown)
# The archive's issue time: that of the commit, so that everybody who builds it gets the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH

# Where the keys of the archive are. Empty = those in the user's configuration folder, made when missing.
ISSUER_KEY  ?=
SUBJECT_KEY ?=
# What make release makes, and for what. Empty = dist/release/VERSION, and all targets that there are.
RELEASE ?=
TARGETS ?=

# Tools have a go.mod of their own, which pins them with their sums.
tool = $(GO) tool -modfile='$(CURDIR)/test/tools/go.mod'
# Fetched and built at the first call, which takes minutes; from then on it needs no network.
# Where govulncheck looks vulnerabilities up. Empty = the Go team's database, by the network; file:///PATH is a copy of it.
VULNDB ?=

# What tests alone need is in modules of their own, below the program's, so that whoever builds the program does not
# fetch it. Checks of the code go through all of them.
modules = $(patsubst %/go.mod,%,$(shell find . -name node_modules -prune -o -name testdata -prune -o -name go.mod -print | grep -v '^./test/tools/' | sort))
in_modules = @set -e; for module in $(modules); do echo "$(1) (in $$module)"; (cd "$$module" && $(1)); done

version_package = $(shell $(GO) list -m)/internal/base/version
ldflags = -s -w -X $(version_package).version=$(VERSION) -X $(version_package).commit=$(COMMIT)
# The linker is told the version, so Go need not look at the checkout: what else lies in it then changes no byte.
# grpcnotrace: without it grpc-go keeps code in every program that nobody can reach here, a third of its size.
build   = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -tags 'grpcnotrace $(TAGS)' -ldflags '$(ldflags)'
# Build tags; nodev leaves "dev" out, with its NATS server and its Kafka. Archives have it: a host starts the provider, nothing else.
TAGS ?=

# Which suites make verify runs. Empty = all.
SUITES ?=

BENCH_ROUNDS ?= 5

# How long "make simulate" takes, or which seed it runs.
FOR  ?= 5m
SEED ?=

# How long "make soak" takes, and where what it saw is kept.
SOAK_DURATION ?= 2h
SOAK_OUT      ?= $(abspath $(DIST))/soak

# The suites below test/, tests of packages on a real Kafka and the benchmarks have build tags, without which no tool looks at them.
tags = $(shell grep -rhox --include='*_test.go' '//go:build [a-z0-9]*' bench internal test 2>/dev/null | cut -d' ' -f2 | grep -vx unix | sort -u | paste -sd, -)

.DEFAULT_GOAL := build
.PHONY: help build test verify lint vet staticcheck golangci vulnerabilities tidy tidy-check par release fuzz docs bench bench-compare bench-host chaos exactly-once simulate simulate-faults soak soak-nightly clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

build: ## build the program for this machine: dist/messaging-kafka
	$(build) -o $(DIST)/messaging-kafka ./cmd/messaging-kafka

test: ## run the tests that everybody runs, in minutes, and name those that this machine cannot
	./test/run.sh

verify: ## run all the rest: real hosts, brokers and browsers, security, chaos, releases (SUITES="e2e page")
	SUITES='$(SUITES)' ./test/verify.sh

lint: vet staticcheck golangci vulnerabilities ## check the code without running it

vet:
	@unformatted=$$($$($(GO) env GOROOT)/bin/gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "gofmt has something to say about:"; echo "$$unformatted"; exit 1; fi
	$(call in_modules,$(GO) vet -tags '$(tags)' ./...)

staticcheck:
	$(call in_modules,$(tool) staticcheck -tags '$(tags)' ./...)

golangci: ## check the code by the linters of .golangci.yml
	$(GO) tool -modfile='$(abspath test/tools/lint/go.mod)' golangci-lint run --build-tags '$(tags)' ./...

tidy: ## have every go.mod and go.sum say what is used
	$(call in_modules,$(GO) mod tidy)
	$(GO) -C test/tools mod tidy
	$(GO) -C test/tools/lint mod tidy

tidy-check:
	$(call in_modules,$(GO) mod tidy -diff)
	$(GO) -C test/tools mod tidy -diff
	$(GO) -C test/tools/lint mod tidy -diff

# The database is the one thing here that needs the network each time. Without it nothing is known, and that is said;
# with a copy of one's own (VULNDB) there is no excuse. Modules for tests alone have nothing that is shipped.
vulnerabilities:
	@echo "$(tool) govulncheck $(if $(VULNDB),-db $(VULNDB)) ./..."; \
	out=$$($(tool) govulncheck $(if $(VULNDB),-db $(VULNDB)) ./... 2>&1); code=$$?; echo "$$out"; \
	if [ $$code -ne 0 ] && [ -z "$(VULNDB)" ] && echo "$$out" | grep -q '^govulncheck: fetching vulnerabilities: '; then \
		echo "SKIPPED: govulncheck did not reach its database, so vulnerabilities were not looked up"; \
	else exit $$code; fi

par: ## cross-compile for linux and pack dist/messaging-kafka.par.gz
	GOOS=linux GOARCH=amd64 $(MAKE) --no-print-directory build DIST=$(DIST)/x86_64-linux TAGS=nodev
	GOOS=linux GOARCH=arm64 $(MAKE) --no-print-directory build DIST=$(DIST)/aarch64-linux TAGS=nodev
	$(build) -o $(DIST)/messaging-kafka ./cmd/messaging-kafka
	$(DIST)/messaging-kafka par --out $(DIST)/messaging-kafka.par.gz \
		--binary x86_64-linux=$(DIST)/x86_64-linux/messaging-kafka \
		--binary aarch64-linux=$(DIST)/aarch64-linux/messaging-kafka \
		$(if $(ISSUER_KEY),--issuer-key '$(ISSUER_KEY)') $(if $(SUBJECT_KEY),--subject-key '$(SUBJECT_KEY)')

release: ## write archive, programs, SBOMs, provenance and signed checksums into dist/release/VERSION
	VERSION='$(VERSION)' COMMIT='$(COMMIT)' ISSUER_KEY='$(ISSUER_KEY)' SUBJECT_KEY='$(SUBJECT_KEY)' \
		./scripts/release.sh $(if $(RELEASE),-o '$(RELEASE)') $(TARGETS)

fuzz: ## fuzz each target for FUZZTIME
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

docs: ## write docs/settings.md, docs/metrics.md and the keys in docs/bridge.md anew from the declarations
	$(GO) test ./internal/settings -run Docs -update
	$(GO) test ./internal/bridge/config -run Docs -update
	$(GO) test ./internal/observe/telemetry -run Docs -update

bench: ## measure the provider without a host (BENCH_ROUNDS=5), and write docs/performance.md
	BENCH_ROUNDS='$(BENCH_ROUNDS)' ./bench/run.sh

bench-compare: ## compare the benchmarks of single packages with those recorded last
	./bench/micro.sh

bench-host: ## measure echoes and batches through a real host and a real Kafka
	./bench/host.sh
	./bench/batches.sh

exactly-once: ## count what transactions make while things break
	./test/exactlyonce.sh

chaos: ## break things while records flow, and count them
	./test/chaos.sh

simulate: ## run the engine in virtual time against faults at random for FOR (5m), or SEED alone
	$(GO) run ./test/simulation/simulate $(if $(SEED),-run '$(SEED)',-for '$(FOR)')

simulate-faults: ## bring back known faults one at a time, and count the seeds until each is found
	$(GO) run ./test/simulation/simulate -known

soak: ## let load and links come and go for SOAK_DURATION (2h), and look for what is left behind
	SOAK_DURATION='$(SOAK_DURATION)' SOAK_OUT='$(SOAK_OUT)' MESSAGING_KAFKA_REQUIRE_ALL=1 $(GO) test -count=1 -v -timeout 0 -run '^TestSoak$$' ./test/soak

soak-nightly: ## the same for 15 minutes
	@$(MAKE) --no-print-directory soak SOAK_DURATION=15m

clean: ## remove what was built
	rm -rf $(DIST)
