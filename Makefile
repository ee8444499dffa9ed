# Everything here runs from a clean checkout; `make test` is what CI runs.
.PHONY: all build test lint ring12 ring3 fuzz soak conformance bench bench-big bench-auth dist service

ROUNDS  ?= 3

all: build

build:
	go build -o mxdesk ./cmd/mxdesk

test: lint ring12 conformance ring3

lint:
	.ci/lint

# Rings 1 and 2: in process, with the race detector.
ring12:
	go test -race -short ./...
	go test -run 'Hostile|Allocations' ./auth

# Ring 3: the built binary and its real neighbours on loopback.
ring3:
	.ci/install
	ROUNDS=$(ROUNDS) MINUTES=1 go test -count=1 -timeout 20m -run 'TestReal' -v ./cmd/mxdesk/...

# The faults of ring 3 for ROUNDS each, of which the table takes MINUTES at most;
# with RUN those that have it in their names: make soak RUN=kill ROUNDS=200
# MINUTES=50. The table for docs/proof.md comes after an interrupt, too. Then the
# kills of an upgrade and of a collection, ROUNDS each.
soak:
	.ci/install
	RUN='$(RUN)' ROUNDS=$(ROUNDS) MINUTES=$(MINUTES) go test -count=1 -timeout 20h -run TestRealFault -v ./cmd/mxdesk
	ROUNDS=$(ROUNDS) go test -count=1 -timeout 2h -run TestRealKillUpgrade -v ./cmd/mxdesk
	ROUNDS=$(ROUNDS) go test -count=1 -timeout 2h -run 'TestDamage|TestKill' -v ./ticketing/store/badgerdb

fuzz:
	.ci/fuzz $(or $(MINUTES),1)

# Debian packages and tarballs for both architectures in dist/.
dist:
	cmd/mxdesk/package/build dist

# The Debian package under a systemd of its own, in a container: three minutes,
# needs root, debootstrap and systemd-container.
service:
	.ci/check-service

# The suites of other projects, as one table: docs/conformance.md has the same.
conformance:
	go run ./.ci/conformance

# What a verification costs beside its cryptography, and beside go-msgauth.
bench-auth:
	.ci/bench-auth

# Mails taken in beside Postfix, rspamd and Dovecot: docs/performance.md. About
# seven minutes, QUICK=1 a minute and a half. ARGS go to the program: ARGS=--json.
bench:
	.ci/install-bench
	go build -o dist/bench ./cmd/bench
	dist/bench intake $(ARGS)
	.ci/bench-auth

# Cost of a mail, lists and lookups at 1 k, 100 k and 1 M tickets: TICKETS=100000.
bench-big:
	go build -o dist/bench ./cmd/bench
	dist/bench big $(ARGS)
