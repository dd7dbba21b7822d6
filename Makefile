# make help lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PREFIX  ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
# How long make soak injects faults at random, after its 200 kills.
SOAKTIME ?= 10m
# Time limit for the tests of one package; the stories on a slow engine take longest.
TESTTIME ?= 40m
# How many tests of a package run at the same time: most of a story is waiting, not computing.
PARALLEL ?= 4

STATICCHECK  := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCILINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOLICENSES   := github.com/google/go-licenses@v1.6.0
GOVULNCHECK  := golang.org/x/vuln/cmd/govulncheck@v1.9.0
SCRIPTS      := $(wildcard scripts/*) pkg/deploy/swap.sh pkg/deploy/place.sh tests/dockerd/lifeline.sh .ci/run bench/run_test.sh $(wildcard examples/*/tests/*/test.sh)

.PHONY: help build demo picture notices check test lint bench test-engines test-ecs fuzz soak install clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/runtests, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/runtests ./cmd/runtests

demo: ## run the suite of examples/ocaml on a real engine (as root: install and start what is missing)
	@scripts/engine >/dev/null
	@$(MAKE) --no-print-directory build
	@scripts/demo

check: ## before each commit: run the linters, and the tests that need no engine; a minute
	@scripts/packages test lint
	@scripts/check $(STATICCHECK) $(GOLANGCILINT) -- $(SCRIPTS)

# The stories take longest: ./tests comes first, and the other packages beside it. The conformance suite runs 200 containers
# at once: it comes last, alone.
test: ## run every test, on a real engine
	@scripts/packages test
	@export DOCKER_HOST=$$(scripts/engine) && [[ $$DOCKER_HOST ]] && scripts/base-images busybox && \
	{ scripts/base-images bookworm || [[ $$EUID -ne 0 ]]; } && \
	export RUNTESTS_TEST_IMAGE=runtests-busybox && \
	export RUNTESTS_NOT_RUN=$$(mktemp) && trap 'rm -f "$$RUNTESTS_NOT_RUN"' EXIT && \
	(set -x && go vet ./... && go test -race -count=1 -timeout $(TESTTIME) -parallel $(PARALLEL) ./tests $$(go list ./... | grep -v /conformance$$) && \
	go test -race -count=1 -timeout $(TESTTIME) ./pkg/runner/conformance) && \
	if [[ -s $$RUNTESTS_NOT_RUN ]]; then echo 'make test: NOT RUN:'; sort "$$RUNTESTS_NOT_RUN"; fi

lint: ## gofmt, vet, staticcheck, golangci-lint, govulncheck, shellcheck, go.mod and notices up to date
	@scripts/packages lint
	@scripts/lint $(STATICCHECK) $(GOLANGCILINT) $(GOVULNCHECK) -- $(SCRIPTS)

bench: build ## compare with run_test.sh, and with a Makefile of images, on the same engine (ten minutes)
	@scripts/packages bench
	@export DOCKER_HOST=$$(scripts/engine) && [[ $$DOCKER_HOST ]] && scripts/base-images busybox && \
	go build -o bin/bare ./bench/bare && go build -o bin/send ./bench/send && go run ./bench

test-engines: build ## run the tests on other engines: Docker 26.1 and 28.5, Podman (root; takes long)
	@scripts/test-engines

test-ecs: build ## deploy examples/ecs behind Apache, and compare with the original script (root; ten minutes the first time)
	@scripts/packages test
	@export DOCKER_HOST=$$(scripts/engine) && [[ $$DOCKER_HOST ]] && scripts/base-images busybox bookworm && \
	bin/runtests -f examples/ecs/runtests.yaml build ecs-bookworm-deps && \
	RUNTESTS_ECS=ecs-bookworm-deps go test -count=1 -timeout 30m -v -run '^TestECSThroughApache$$' ./tests/

picture: build ## write the report in README.md and docs/page.png, from a real run
	@scripts/picture

notices: ## write THIRD-PARTY-NOTICES, from what is linked into the binary (the first time needs the network)
	@scripts/notices $(GOLICENSES)

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@scripts/fuzz $(FUZZTIME)

soak: ## kill runs 200 times, then inject faults at random for SOAKTIME (10m), and print figures (root)
	@scripts/packages test
	@export DOCKER_HOST=$$(scripts/engine) && [[ $$DOCKER_HOST ]] && scripts/base-images busybox && \
	RUNTESTS_KILLS=200 SOAKTIME=$(SOAKTIME) go test -count=1 -timeout 24h -v -run 'TestKilledAtAnyMoment|TestSoak' ./tests/

install: ## install binary, man page, licence and crontab.example under DESTDIR and PREFIX (/usr/local)
	@[[ -x bin/runtests ]] || { echo 'make install: bin/runtests is missing: run make build first' >&2; exit 1; }
	install -D -m 755 bin/runtests '$(DESTDIR)$(PREFIX)/bin/runtests'
	install -D -m 644 docs/runtests.1 '$(DESTDIR)$(PREFIX)/share/man/man1/runtests.1'
	install -D -m 644 crontab.example '$(DESTDIR)$(PREFIX)/share/doc/runtests/crontab.example'
	install -D -m 644 -t '$(DESTDIR)$(PREFIX)/share/doc/runtests' LICENSE THIRD-PARTY-NOTICES

clean: ## remove bin/ and the logs of the examples (images stay)
	rm -rf bin examples/*/logs
