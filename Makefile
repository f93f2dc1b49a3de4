# make run   builds the page and serves it, in development mode
# make test  brings what the tests need and runs them all
# The others are for those who work on Atrium: see .github/CONTRIBUTING.md.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

ADDR   ?= 127.0.0.1:8080
ROUNDS ?=
TRACE  ?=
FUZZ   ?= 1000000x

.PHONY: run build test lint bench stress fuzz page tools clean

run: page
	go run ./cmd/atrium serve --dev --addr $(ADDR)

build: page
	go build -o bin/atrium ./cmd/atrium

# The app, embedded by web/web.go. Without Node a placeholder is embedded instead.
page: web/node_modules/.package-lock.json
	cd web && npm run --silent build

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-fund --no-audit
	@touch $@

# Everything runs with the race detector, against the real binary, but for what
# measures memory.
test: tools page bin/atrium-race
	go test -race ./...
	go test ./internal/mux -run IdleMemory
	cd web && ATRIUM_BIN=$(CURDIR)/bin/atrium-race npm test --silent

.PHONY: bin/atrium-race
bin/atrium-race: page
	go build -race -o $@ ./cmd/atrium

lint: web/node_modules/.package-lock.json
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go tool staticcheck ./...
	cd web && npm run --silent check

# Full lengths of what make test runs in short.
stress: tools bin/atrium-race
	go test ./collab/docsync -run Simulated -rounds $(or $(ROUNDS),20000)
	go test -race -timeout 60m ./cmd/atrium -kill-rounds $(or $(ROUNDS),50)
	go test -race -timeout 90m ./cmd/atrium -run TestCluster -cluster-rounds $(or $(ROUNDS),20)
	go test -race -timeout 60m ./cmd/atrium -cluster
	cd web && ATRIUM_BIN=$(CURDIR)/bin/atrium-race ROUNDS=$(or $(ROUNDS),50) npx vitest run interop/kill.test.ts
	cd web && ATRIUM_BIN=$(CURDIR)/bin/atrium-race ROUNDS=$(or $(ROUNDS),200) npx vitest run interop/rounds.test.ts
	cd web && ATRIUM_BIN=$(CURDIR)/bin/atrium-race ROUNDS=$(or $(ROUNDS),200) npx vitest run interop/patches.test.ts
	cd web && ATRIUM_BIN=$(CURDIR)/bin/atrium-race ROUNDS=$(or $(ROUNDS),30) npx vitest run client/test/faults.test.ts
	go test ./cmd/atrium -run StalledReaders -v -stall 45s -stall-changes 10000

# FUZZ says how long each target runs: a number of inputs with an x, or a time.
fuzz:
	@for p in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz || true); do \
			echo "$$p $$f"; go test $$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ); \
		done; \
	done

# TRACE names a gzipped editing trace of the editing-traces collection; without
# it a synthetic one is typed. (go test has a -trace flag of its own, which
# writes to the file that it names.)
bench: build
	go test -run '^$$' -bench . $$(go list ./... | grep -v docsync)
	go test -run '^$$' -bench . -benchtime 5x ./collab/docsync $(if $(TRACE),-args -edits $(abspath $(TRACE)))
	$(if $(TRACE),cd web && ATRIUM_BIN=$(CURDIR)/bin/atrium TRACE=$(abspath $(TRACE)) npm run --silent trace)
	bin/atrium bench docs
	bin/atrium bench docs --observers 500 --rate 5 --beside '$(JS_SERVER)'
	bin/atrium bench docs --observers 100 --preload 20000 --rate 1 --duration 5s --beside '$(JS_SERVER)'
	$(if $(TRACE),bin/atrium bench docs --trace $(abspath $(TRACE)) --preload 259770 --observers 100 --rate 1 --duration 3s --no-floor --v2)
	bin/atrium bench cursors
	bin/atrium bench chat
	bin/atrium bench push
	bin/atrium bench idle
	bin/atrium bench edits
	$(ON_STORES) bin/atrium bench edits
	for n in 1 2; do \
		for b in docs chat push; do $(ON_STORES) bin/atrium bench $$b --nodes $$n; done; \
	done

# With a Postgres and a Redis of its own, which the bench is told of.
ON_STORES = go run ./internal/scratch/run --
JS_SERVER = exec node web/bench/automerge-server.mjs

# What the tests need besides Go: name of the command, then of the Debian package.
TOOLS = gcc:gcc node:nodejs npm:npm chromium:chromium strace:strace sqlite3:sqlite3 redis-server:redis-server nginx:nginx-light

tools:
	@missing=; for t in $(TOOLS); do PATH=$$PATH:/usr/sbin command -v "$${t%%:*}" >/dev/null || missing="$$missing $${t##*:}"; done; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; \
		else echo "The tests need$$missing: install them first."; exit 1; fi; \
	fi; \
	node -e 'const [a, b] = process.versions.node.split(".").map(Number); if (a < 20 || a === 20 && b < 19) { console.log("The tests need Node 20.19 or newer, not " + process.version + "."); process.exit(1) }'

clean:
	rm -rf bin web/node_modules web/*/node_modules web/client/dist $(filter-out web/dist/.gitkeep,$(wildcard web/dist/*))
