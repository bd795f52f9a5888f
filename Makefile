# The two commands: `make demo` shows the main job, `make test` is everything CI runs.
# On a fresh Debian machine they need Go, git, make and root; what else they use they install.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VERSION            := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
CONTAINERD_VERSION := 2.4.2
BUF_VERSION        := 1.75.0
GOLANGCI_VERSION   := 2.15.0

TOOLS      := $(CURDIR)/.tools
CONTAINERD := $(TOOLS)/containerd-$(CONTAINERD_VERSION)/containerd
BUF        := $(TOOLS)/buf-$(BUF_VERSION)/buf
GOLANGCI   := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint

MODULES  := . cmd/portcullis-scan e2e
PACKAGES := containerd runc containernetworking-plugins systemd clamav-daemon postgresql
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: build generate test demo format lint unit e2e bench fuzz tools packages clean

build: ## bin/portcullisd, bin/portcullis, bin/portcullis-scan
	$(GO_BUILD) -o bin/ ./cmd/...
	cd cmd/portcullis-scan && $(GO_BUILD) -o ../../bin/ .

generate: $(BUF) ## Go code of the API
	cd api && $(BUF) format -w && $(BUF) generate

test: format lint unit e2e ## everything CI runs

demo: build packages $(CONTAINERD) ## the main job, on a real containerd
	cd e2e && go build -o ../bin/demo ./demo
	bin/demo

format: ## formatting and module files are as the tools would write them
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	for module in $(MODULES); do (cd $$module && go mod tidy -diff); done

lint: $(GOLANGCI) $(BUF) ## golangci-lint, the import rules included; the API's definition and code
	cd api && $(BUF) lint && $(BUF) format -d --exit-code
	@generated=$$(mktemp -d) && trap "rm -rf $$generated" EXIT && cd api && $(BUF) generate -o $$generated && \
	for file in $$(cd $$generated && find . -name '*.go'); do \
	  diff -q $$generated/$$file $$file || { echo "run make generate and commit the result"; exit 1; }; \
	done
	for module in $(MODULES); do (cd $$module && $(GOLANGCI) run --config $(CURDIR)/.golangci.yml); done

unit: packages $(CONTAINERD) ## unit tests, with the race detector; clamd is real
	go test -race ./...
	cd cmd/portcullis-scan && go test -race ./...

e2e: build packages $(CONTAINERD) ## real containerd 1.6 and 2.4, runc, journald
	cd e2e && go test -count=1 -timeout 20m ./...

bench: ## benchmarks; docs/performance.md has the figures
	go test -run '^$$' -bench . -count 5 ./policy ./scanner-client/...

FUZZTIME := 30s
fuzz: ## every fuzz target for FUZZTIME
	for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

tools: $(GOLANGCI) $(BUF) $(CONTAINERD) ## linter and containerd, built from their Go modules

$(GOLANGCI):
	GOBIN=$(@D) CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION)

$(BUF):
	GOBIN=$(@D) CGO_ENABLED=0 go install github.com/bufbuild/buf/cmd/buf@v$(BUF_VERSION)

$(CONTAINERD):
	GOBIN=$(@D) CGO_ENABLED=0 go install -tags no_btrfs \
	  github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@v$(CONTAINERD_VERSION) \
	  github.com/containerd/containerd/v2/cmd/containerd@v$(CONTAINERD_VERSION)

# gcc is for the race detector only. Services that Debian would start are not wanted: the tests start
# their own. apt-get runs when a package is missing, so that a machine that
# has them all needs no network.
packages:
	@missing=""; \
	for package in $(PACKAGES) gcc libc6-dev; do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ]; then echo "as root: apt-get install$$missing"; exit 1; fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $$missing; \
	fi

clean:
	rm -rf bin .tools
