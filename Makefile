# Passalong. `make` lists what there is; `make run` and `make test` do all their set-up themselves on a Debian machine
# with Go, Node and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build run readers test lint bench torture generate tools check clean

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
NPM     := npm ci --ignore-scripts --no-audit --no-fund
BUNDLE  := collector/bundle/node_modules/.package-lock.json
SNIPPET := snippet/node_modules/.package-lock.json
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: bin/libchdb.so bin/country.mmdb ## the binary, with its engine and country database beside it, in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/passalong ./collector/cmd/passalong

run: build ## build, start the collector with an example page, print where to open it
	@echo 'Open http://localhost:8080/pages/article.html; Ctrl-C stops.'
	bin/passalong serve --data-dir data --site localhost=localhost,127.0.0.1 --pages docs/examples/pages

readers: tools $(SNIPPET) ## three Chromium profiles hand the example article of a running `make run` on
	node snippet/test/three-readers.mjs http://localhost:8080/pages/article.html

test: build tools $(SNIPPET) ## every test: snippet in Chromium, generated files, Go with the race detector and a real ClickHouse
	$(MAKE) --no-print-directory check
	@# The browser's tests run beside the others; their output is shown when they are done.
	@cd snippet && { npm test >../bin/snippet-test.log 2>&1; echo $$? >../bin/snippet-test.exit; } & \
	go test -race -timeout 15m ./...; code=$$?; wait; \
	tail -n 6 bin/snippet-test.log; \
	if [ "$$(cat bin/snippet-test.exit)" != 0 ]; then cat bin/snippet-test.log; code=1; fi; \
	go test -race ./snippet || code=1; exit $$code

lint: $(SNIPPET) ## vet, golangci-lint (few rules, each with its reason), TypeScript
	test -x bin/tools/golangci-lint || GOBIN=$(CURDIR)/bin/tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	go vet ./...
	bin/tools/golangci-lint run ./...
	cd snippet && npm run check

bench: build ## the speed of each part, several runs each
	go test -run '^$$' -bench . -benchmem -count 3 ./collector/... ./schema/...

torture: build tools ## kills, faults and fuzzing, at most 30 minutes on two cores (TORTURE=long for more)
	TORTURE=$(or $(TORTURE),short) go test -race -timeout 40m -count 1 ./collector/... ./schema/...
	for dir in $$(grep -rlE '^func Fuzz' --include '*_test.go' collector | xargs -n1 dirname | sort -u); do \
	  for fuzz in $$(grep -hoE '^func Fuzz[A-Za-z]+' $$dir/*_test.go | sed 's/func //'); do \
	    go test -run '^$$' -fuzz "^$$fuzz\$$" -fuzztime $(if $(filter long,$(TORTURE)),120s,5s) -fuzzminimizetime 1x ./$$dir || exit 1; done; done

generate: tools $(SNIPPET) ## everything that is made from something else and committed
	go generate ./...
	cd snippet && npm run build

check: ## fail when regenerating changes a committed file
	@before=$$(git ls-files -z | xargs -0 sha256sum 2>/dev/null | sha256sum); $(MAKE) --no-print-directory generate >/dev/null && \
	after=$$(git ls-files -z | xargs -0 sha256sum 2>/dev/null | sha256sum); \
	if [ "$$before" != "$$after" ]; then echo 'Regenerating changed these files; commit them:'; git status --short; exit 1; fi

# What the tests need of the system: a browser, the compiler of the spool's format, and what kills at a system call.
tools:
	@command -v chromium >/dev/null && command -v protoc >/dev/null && command -v strace >/dev/null || { \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core protobuf-compiler strace >/dev/null; }

clean: ## remove what was built
	rm -rf bin collector/bundle/node_modules snippet/node_modules

$(BUNDLE): collector/bundle/package-lock.json
	cd collector/bundle && $(NPM)
	@touch $@

$(SNIPPET): snippet/package-lock.json
	cd snippet && $(NPM)
	@touch $@

# Links rather than copies: the engine has 566 MB.
bin/libchdb.so: $(BUNDLE)
	@mkdir -p bin
	ln -f collector/bundle/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so $@ 2>/dev/null || cp collector/bundle/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so $@
	@touch $@

bin/country.mmdb: $(BUNDLE)
	@mkdir -p bin
	ln -f collector/bundle/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb $@ 2>/dev/null || cp collector/bundle/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb $@
	@touch $@
