# Everything a newcomer needs: `make demo` and `make test`. The rest is listed by `make help`.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO ?= cargo
SEEDS ?= 100000
N ?= 100000
SIZES ?= 1000,10000,100000
SEED ?= 1
MINUTES ?= 10
STORM ?= 150
SOAK ?= 30
MEMBERS ?= 3
LEARNERS ?= 0
LONG_MINUTES ?= 60

export CARGO_TARGET_DIR ?= $(CURDIR)/target
CHAOS_DIR = $(CARGO_TARGET_DIR)/chaos

.PHONY: help setup build test verify fix demo cluster bench bench-curves bench-reaction bench-patch bench-restart bench-idle bench-profile bench-calls bench-beside chaos-build chaos chaos-long mutants sim soak storm clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: ## install the system packages that are missing (Debian; needs root or sudo only then)
	@scripts/setup.sh

build: setup ## build the release binaries and print the path of `anneal`
	@$(CARGO) build --release --locked -p anneal --bin anneal
	@echo "$(CARGO_TARGET_DIR)/release/anneal"

test: setup ## run every test
	@$(CARGO) test --locked --workspace --features anneal/failpoints

verify: setup ## format, clippy, architecture lints, docs, code map; writes nothing to the tree
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --locked --workspace --all-targets --features anneal/failpoints -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet
	@$(CARGO) test --locked -p anneal-tests --test architecture
	@echo "verify: all good"

fix: setup ## repair what format and clippy can repair
	@$(CARGO) fmt --all
	@$(CARGO) clippy --fix --allow-dirty --allow-staged --workspace --all-targets

demo: setup ## build, converge a real stack, change it, break it, take it down
	@$(CARGO) build --release --locked -p anneal --bin anneal --example webserver
	@scripts/demo.sh "$(CARGO_TARGET_DIR)/release"

cluster: build ## three members on this machine, to play with; Ctrl-C ends them
	@scripts/cluster.sh "$(CARGO_TARGET_DIR)/release/anneal"

bench: setup ## the benchmark table (N=100000 resources)
	@$(CARGO) build --release --locked -p anneal --bin anneal
	@$(CARGO) run --release --locked -p anneal-tests --bin bench -- --resources $(N)

bench-curves: setup ## every operation by shape and size, with slopes and a plot: SIZES=1000,10000,100000
	@$(CARGO) build --release --locked -p anneal --bin anneal
	@$(CARGO) run --release --locked -p anneal-tests --bin bench -- curves --sizes $(SIZES) \
		--json "$(CARGO_TARGET_DIR)/curves.json" --svg "$(CARGO_TARGET_DIR)/curves.svg"

bench-reaction: ## how soon a change is heeded while N=100000 resources converge, and what small stacks feel
bench-patch: ## a patch of one resource in a stack of N=100000 against one in a small stack
bench-restart: ## a member restarted, the leader killed, an engine killed, with N=100000 resources
bench-idle: ## what N=100000 settled resources cost
bench-profile: ## where the CPU time goes while N=100000 resources are made, by stage; needs perf
bench-reaction bench-patch bench-restart bench-idle bench-profile: bench-%: setup
	@$(CARGO) build --release --locked -p anneal --bin anneal
	@$(CARGO) run --release --locked -p anneal-tests --bin bench -- $* --resources $(N)

bench-calls: setup ## calls of the simulated cloud: how many at a time, and was each made once
	@$(CARGO) build --release --locked -p anneal --bin anneal
	@$(CARGO) build --release --locked -p anneal-tests --bin cloud
	@$(CARGO) run --release --locked -p anneal-tests --bin bench -- calls

bench-beside: setup ## the same graphs with Terraform or OpenTofu, if one is installed
	@$(CARGO) build --release --locked -p anneal --bin anneal
	@$(CARGO) run --release --locked -p anneal-tests --bin bench -- beside

chaos-build: setup
	@$(CARGO) build --release --locked -p anneal --bin anneal --features failpoints
	@$(CARGO) build --release --locked -p anneal-tests --bin cloud --bin chaos
	@mkdir -p "$(CHAOS_DIR)"
	@cd "$(CARGO_TARGET_DIR)/release" && cp anneal cloud chaos "$(CHAOS_DIR)"
	@rm "$(CARGO_TARGET_DIR)/release/anneal" # it can be told to die, and nobody else should use it

chaos: chaos-build ## break a cluster on purpose: SEED=1 MINUTES=10 MEMBERS=3 LEARNERS=0 POINTS=yes, as root PARTITIONS=yes DISKS=yes
	@"$(CHAOS_DIR)/chaos" --seed $(SEED) --minutes $(MINUTES) \
		--members $(MEMBERS) --learners $(LEARNERS) $(if $(PARTITIONS),--partitions) \
		$(if $(POINTS)$(DISKS),--failpoints) $(if $(DISKS),--disks) \
		--report "$(CARGO_TARGET_DIR)/chaos-$(SEED).json" --keep "$(CARGO_TARGET_DIR)/chaos-$(SEED)"

chaos-long: chaos-build ## the same for an hour in the background, from SEED=1 on; scripts/chaos-long.sh says how to look and to stop
	@scripts/chaos-long.sh start "$(CHAOS_DIR)" "$(CARGO_TARGET_DIR)/chaos-long" $(LONG_MINUTES) $(SEED)

mutants: setup ## break the code on purpose; each break must be noticed: ONLY=name,name
	@$(CARGO) build --locked -p anneal-tests --bin mutants
	@"$(CARGO_TARGET_DIR)/debug/mutants" $(if $(ONLY),--only "$(ONLY)") --directory "$(CARGO_TARGET_DIR)/mutants" \
		--report "$(CARGO_TARGET_DIR)/mutants.json"

sim: setup ## random histories of the state machine, and some under the dispatcher: SEEDS=100000
	@ANNEAL_SIM_SEEDS=$(SEEDS) $(CARGO) test --release --locked -p anneal-statemachine --test simulation -- --nocapture
	@ANNEAL_SIM_SEEDS=$$(( ($(SEEDS) + 19) / 20 )) $(CARGO) test --release --locked -p anneal-node --test dispatch -- --nocapture

soak: setup ## three members busy for SOAK=30 minutes: are memory, disk and descriptors flat?
	@$(CARGO) build --release --locked -p anneal --bin anneal
	@$(CARGO) run --release --locked -p anneal-tests --bin soak -- --minutes $(SOAK) --report "$(CARGO_TARGET_DIR)/soak.json"

storm: setup ## proposals, purges and checkpoints at the highest rate: STORM=150
	@ANNEAL_STORM_SECONDS=$(STORM) $(CARGO) test --release --locked -p anneal-node --test storm -- --nocapture

clean: ## remove the build
	@$(CARGO) clean
