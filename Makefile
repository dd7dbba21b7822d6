# make help lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PREFIX  ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
# How long make soak does its worst, after 200 kills.
SOAKTIME ?= 10m
# A package's tests together; the longest is the stories on a slow engine.
TESTTIME ?= 40m
# How many tests of a package run at the same time: most of a story is waiting, not computing.
PARALLEL ?= 4

STATICCHECK  := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCILINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK  := golang.org/x/vuln/cmd/govulncheck@v1.9.0
SCRIPTS      := $(wildcard scripts/*) pkg/deploy/swap.sh tests/dockerd/lifeline.sh .ci/run bench/run_test.sh $(wildcard examples/*/tests/*/test.sh)

.PHONY: help build demo check test lint bench test-engines test-ecs fuzz soak install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/runtests, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/runtests ./cmd/runtests

demo: ## run the suite of examples/ocaml on a real engine (as root it installs and starts what is missing)
	@scripts/engine >/dev/null
	@$(MAKE) --no-print-directory build
	@scripts/demo

check: ## before each commit: lint, and the tests that need no engine; a minute
	@scripts/packages test lint
	@scripts/check $(STATICCHECK) $(GOLANGCILINT) -- $(SCRIPTS)

# The stories take longest: ./tests comes first, and the other packages beside it.
test: ## every test, on a real engine
	@scripts/packages test
	@export DOCKER_HOST=$$(scripts/engine) && [[ $$DOCKER_HOST ]] && scripts/base-images busybox && \
	{ scripts/base-images bookworm || [[ $$EUID -ne 0 ]]; } && \
	export RUNTESTS_TEST_IMAGE=runtests-busybox && \
	export RUNTESTS_NOT_RUN=$$(mktemp) && trap 'rm -f "$$RUNTESTS_NOT_RUN"' EXIT && \
	(set -x && go vet ./... && go test -race -count=1 -timeout $(TESTTIME) -parallel $(PARALLEL) ./tests ./...) && \
	if [[ -s $$RUNTESTS_NOT_RUN ]]; then echo 'make test: NOT RUN:'; sort "$$RUNTESTS_NOT_RUN"; fi

lint: ## gofmt, vet, staticcheck, golangci-lint, govulncheck, shellcheck, tidy go.mod
	@scripts/packages lint
	@scripts/lint $(STATICCHECK) $(GOLANGCILINT) $(GOVULNCHECK) -- $(SCRIPTS)

bench: build ## figures beside run_test.sh and a Makefile of images on the same engine; ten minutes
	@scripts/packages bench
	@export DOCKER_HOST=$$(scripts/engine) && [[ $$DOCKER_HOST ]] && scripts/base-images busybox && \
	go build -o bin/bare ./bench/bare && go build -o bin/send ./bench/send && go run ./bench

test-engines: build ## the stories on other engines: Docker 26.1 and 28.5, Podman (root; takes long)
	@scripts/test-engines

test-ecs: build ## examples/ecs from its images to a client behind Apache, beside the origin's script; root, ten minutes at first
	@scripts/packages test
	@export DOCKER_HOST=$$(scripts/engine) && [[ $$DOCKER_HOST ]] && scripts/base-images busybox bookworm && \
	bin/runtests -f examples/ecs/runtests.yaml build ecs-bookworm-deps && \
	RUNTESTS_ECS=ecs-bookworm-deps go test -count=1 -timeout 30m -v -run '^TestECSThroughApache$$' ./tests/

fuzz: ## each fuzz target for FUZZTIME (10s)
	@scripts/fuzz $(FUZZTIME)

soak: ## 200 kills, then kills, signals, engine and mail faults at random for SOAKTIME (10m); root; prints figures
	@scripts/packages test
	@export DOCKER_HOST=$$(scripts/engine) && [[ $$DOCKER_HOST ]] && scripts/base-images busybox && \
	RUNTESTS_KILLS=200 SOAKTIME=$(SOAKTIME) go test -count=1 -timeout 24h -v -run 'TestKilledAtAnyMoment|TestSoak' ./tests/

install: ## binary, man page and crontab.example under PREFIX (/usr/local), below DESTDIR
	@[[ -x bin/runtests ]] || { echo 'make install: there is no bin/runtests yet: run make build first' >&2; exit 1; }
	install -D -m 755 bin/runtests '$(DESTDIR)$(PREFIX)/bin/runtests'
	install -D -m 644 docs/runtests.1 '$(DESTDIR)$(PREFIX)/share/man/man1/runtests.1'
	install -D -m 644 crontab.example '$(DESTDIR)$(PREFIX)/share/doc/runtests/crontab.example'

clean: ## what was built and what the demo logged (files only: images stay)
	rm -rf bin examples/*/logs
