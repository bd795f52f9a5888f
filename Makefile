# The two commands: `make demo` shows the main job, `make test` is everything CI runs.
# On a fresh Debian machine they need Go, git, make and root; what else they use they install.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VERSION            := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
CONTAINERD_VERSION := 2.4.2
KUBELET_VERSION    := 1.37.2
BUF_VERSION        := 1.75.0
GOLANGCI_VERSION   := 2.15.0
NODE_VERSION       := 24.21.0
NPM_VERSION        := 11.19.1

TOOLS      := $(CURDIR)/.tools
CONTAINERD := $(TOOLS)/containerd-$(CONTAINERD_VERSION)/containerd
KUBELET    := $(TOOLS)/kubelet-$(KUBELET_VERSION)/kubelet
BUF        := $(TOOLS)/buf-$(BUF_VERSION)/buf
GOLANGCI   := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint
NODE       := $(TOOLS)/node-$(NODE_VERSION)/node_modules/.bin/node

# The console's tools run on this Node, whatever the machine has.
WITH_NODE := export PATH=$(dir $(NODE)):$$PATH &&
# npm ci writes this file last.
CONSOLE_MODULES := console/node_modules/.package-lock.json
# Folders are among them for the files that are gone.
CONSOLE_SOURCES := $(shell find console/src console/public -not -name '*.test.ts') $(addprefix console/,index.html package-lock.json vite.config.ts tsconfig.json)

MODULES  := . cmd/portcullis-scan e2e
PACKAGES := containerd runc containernetworking-plugins systemd clamav-daemon postgresql
BROWSER  := chromium fonts-noto-cjk
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: build generate released console console-lint console-test console-browser console-pictures test demo demo-stop format lint unit e2e e2e-kubelet bench bench-central soak fuzz tools packages browser clean

build: console ## bin/portcullisd, bin/portcullis-bypass, bin/portcullis-central, bin/portcullis, bin/portcullis-scan
	$(GO_BUILD) -o bin/ ./cmd/...
	cd cmd/portcullis-scan && $(GO_BUILD) -o ../../bin/ .

generate: $(BUF) $(CONSOLE_MODULES) ## Go and TypeScript code of the API
	cd api && $(BUF) format -w && $(BUF) generate
	$(WITH_NODE) cd console && $(BUF) generate ../api -o src/api

RELEASE := first
released: packages $(BUF) ## after RELEASE: its API is what later ones must not break, its schema what they must bring up to date
	cd api && $(BUF) build --exclude-source-info -o released.binpb
	go test -count=1 -run '^TestAReleasedSchema' ./central/store -release $(RELEASE)

console: console/dist/index.html.br ## the console's pages, which portcullis-central embeds

# What it is built with is no prerequisite: where the pages are built, neither Node nor a network is needed.
console/dist/index.html.br: $(CONSOLE_SOURCES)
	@$(MAKE) --no-print-directory $(CONSOLE_MODULES)
	$(WITH_NODE) cd console && npm run --silent build -- --logLevel warn

console-lint: $(BUF) $(CONSOLE_MODULES) ## formatting, types and generated code of the console
	@$(WITH_NODE) generated=$$(mktemp -d) && trap "rm -rf $$generated" EXIT && cd console && \
	$(BUF) generate ../api -o $$generated && \
	diff -r $$generated src/api || { echo "run make generate and commit the result"; exit 1; }
	$(WITH_NODE) cd console && npm run --silent check

console-test: $(CONSOLE_MODULES) ## the console's unit tests
	$(WITH_NODE) cd console && npm run --silent test

console-browser: build browser packages $(CONSOLE_MODULES) $(CONTAINERD) ## the console in a browser, on a real central with a real node
	cd e2e && go build -o ../bin/consolelab ./consolelab
	$(WITH_NODE) cd console && ../bin/consolelab npm run --silent browser

console-pictures: build browser packages $(CONSOLE_MODULES) $(CONTAINERD) ## docs/images: every page in both languages and themes
	cd e2e && go build -o ../bin/consolelab ./consolelab
	$(WITH_NODE) cd console && ../bin/consolelab npm run --silent pictures

test: format lint unit console-test console-browser e2e ## everything CI runs, but for e2e-kubelet

demo: build packages $(CONTAINERD) ## the whole system on a real containerd; KEEP=1 leaves it running
	cd e2e && go build -o ../bin/demo ./demo
	bin/demo $(if $(KEEP),keep)

demo-stop: ## end the demo that KEEP=1 left running, and all that belongs to it
	@bin/demo stop

format: ## formatting and module files are as the tools would write them
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	for module in $(MODULES); do (cd $$module && go mod tidy -diff); done

lint: console-lint $(GOLANGCI) $(BUF) ## golangci-lint, the import rules included; the API's definition and code; the console
	cd api && $(BUF) lint && $(BUF) format -d --exit-code && $(BUF) breaking --against released.binpb
	@generated=$$(mktemp -d) && trap "rm -rf $$generated" EXIT && cd api && $(BUF) generate -o $$generated && \
	for file in $$(cd $$generated && find . -name '*.go'); do \
	  diff -q $$generated/$$file $$file || { echo "run make generate and commit the result"; exit 1; }; \
	done
	for module in $(MODULES); do (cd $$module && $(GOLANGCI) run --config $(CURDIR)/.golangci.yml); done

unit: packages $(CONTAINERD) ## unit tests, with the race detector; clamd is real
	go test -race ./...
	cd cmd/portcullis-scan && go test -race ./...

e2e: build packages $(CONTAINERD) ## real containerd 1.6 and 2.4, runc, journald
	cd e2e && go test -count=1 -timeout 20m $$(go list ./... | grep -v /pods)

e2e-kubelet: build packages $(CONTAINERD) $(KUBELET) ## pods of a real kubelet, and chaos
	cd e2e && go test -count=1 -timeout 30m ./pods

bench: build packages $(CONTAINERD) ## benchmarks; docs/performance.md has the figures
	go test -run '^$$' -bench . -count 5 ./policy ./event ./scanner-client/...
	go test -run '^$$' -bench SideBySide -benchtime 75x ./proxy/wire/wiretest
	go test -run '^$$' -bench ResidentMemory -benchtime 1x ./internal/node
	cd e2e && go test -run '^$$' -bench SideBySide -benchtime 9x .

# Settings: PORTCULLIS_BENCH_NODES, _DECISIONS and _CHANGES of the fleet, PORTCULLIS_BENCH_EVENTS of the database.
bench-central: export PORTCULLIS_BENCH_NODES ?= 10000
bench-central: export PORTCULLIS_BENCH_EVENTS ?= 5000000
bench-central: packages ## a central with 10,000 nodes, and its database full of events; docs/performance.md has the figures
	go test -run '^$$' -bench Central -benchtime 1x -timeout 2h ./internal/fleet
	go test -run '^$$' -bench BenchmarkEvents -benchtime 5x -timeout 3h ./central/store

SOAK := 30m
soak: build ## the daemon under load for SOAK, the relay through 10,000 restarts of the runtime
	RELAY_CYCLES=10000 go test -run 'ComesAndGoes' -count 1 -v ./proxy/relay
	SOAK=$(SOAK) go test -run '^TestSoak$$' -count 1 -timeout 0 -v ./internal/node

FUZZTIME := 30s
fuzz: ## every fuzz target for FUZZTIME
	for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$package; \
	  done; \
	done

tools: $(GOLANGCI) $(BUF) $(CONTAINERD) ## linter and containerd, built from their Go modules

$(GOLANGCI):
	GOBIN=$(@D) CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION)

# Node comes from the npm registry, because Debian 12's is too old for Vite. Debian's npm brings it and then
# rests: it only works with Debian's Node.
$(NODE):
	@command -v npm >/dev/null || { [ "$$(id -u)" = 0 ] || { echo "as root: apt-get install npm"; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm; }
	case $$(uname -m) in x86_64) arch=x64;; aarch64) arch=arm64;; *) echo "no Node for $$(uname -m)"; exit 1;; esac; \
	npm install --no-audit --no-fund --prefix $(TOOLS)/node-$(NODE_VERSION) node-linux-$$arch@$(NODE_VERSION) npm@$(NPM_VERSION)

$(CONSOLE_MODULES): console/package-lock.json | $(NODE)
	$(WITH_NODE) cd console && npm ci --no-audit --no-fund --ignore-scripts
	touch $@

$(BUF):
	GOBIN=$(@D) CGO_ENABLED=0 go install github.com/bufbuild/buf/cmd/buf@v$(BUF_VERSION)

$(CONTAINERD):
	GOBIN=$(@D) CGO_ENABLED=0 go install -tags no_btrfs \
	  github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@v$(CONTAINERD_VERSION) \
	  github.com/containerd/containerd/v2/cmd/containerd@v$(CONTAINERD_VERSION)

# Ten minutes from nothing. The version is what it tells others of itself.
$(KUBELET):
	cd e2e/kubelet && CGO_ENABLED=0 go build -o $@ \
	  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$(KUBELET_VERSION)" k8s.io/kubernetes/cmd/kubelet

# gcc is for the race detector only. Services that Debian would start are not wanted: the tests start
# their own. apt-get runs when a package is missing, so that a machine that
# has them all needs no network.
packages: WANTED = $(PACKAGES) gcc libc6-dev
browser: WANTED = $(BROWSER)
packages browser:
	@missing=""; \
	for package in $(WANTED); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ]; then echo "as root: apt-get install$$missing"; exit 1; fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $$missing; \
	fi

clean:
	rm -rf bin .tools console/node_modules
	git clean -qfdX console/dist
