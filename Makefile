# Outrider: every target is a line or two over SwiftPM. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test build build-bench bench bench-ann bench-text bench-embed bench-peers gate nightly lint format serve doctor check clean

# What a person may set: make demo DOCS=/path, LANGUAGE=multi, make serve DATA=/path ARGS="--port 8080", make bench BEIR=/path MODE=text
DOCS ?=
LANGUAGE ?= en
DATA ?= outrider-data
ARGS ?=
BEIR ?= ../shared/data/scifact
MODE ?= hybrid

outrider := .build/release/outrider
bench := .build/release/outrider-bench

# $(call step,NAME,COMMAND): says what is done, does it, says how long it took.
define step
@echo "==> $(1)"; start=$$SECONDS; $(2); echo "    done in $$((SECONDS - start)) s"
endef

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Installs what is missing, builds, indexes DOCS=/path and the project's own documentation, asks a question; LANGUAGE=multi for other languages than English
ifeq ($(LANGUAGE),multi)
	@scripts/setup.sh multilingual
	@scripts/setup.sh convert $(outrider)
endif
	@$(outrider) demo $(if $(DOCS),--docs "$(DOCS)") $(if $(filter multi,$(LANGUAGE)),--embedding-model multilingual-e5-small --data outrider-data-multi) $(ARGS)

test: ## Installs what is missing, builds, runs every test (one after another: some measure time)
	@scripts/setup.sh test
	$(call step,building the tests,swift build --build-tests)
	@scripts/setup.sh convert .build/debug/outrider
	$(call step,testing the scripts of the benchmarks,cd Benchmarks && python3 -m unittest discover -q -s harness/tests -t . && python3 -m unittest discover -q -s attack -t .)
	@echo "==> testing"; swift test --skip-build --disable-xctest --no-parallel $(ARGS)

build: ## Installs what is missing and builds the optimized binary
	@scripts/setup.sh
	$(call step,building $(outrider),swift build -c release --product outrider)
	@scripts/setup.sh convert $(outrider)

build-bench: build ## Builds the program that measures the engine's parts
	$(call step,building $(bench),swift build -c release --product outrider-bench)

serve: build ## Serves DATA=outrider-data with its web UI, until Ctrl-C
	@$(outrider) serve --data "$(DATA)" $(ARGS)

bench: build ## Measures quality and speed on the BEIR folder BEIR=/path with MODE=text, vector or hybrid
	@$(outrider) eval "$(BEIR)" --mode "$(MODE)" $(ARGS)

bench-ann: DATA = mnist-784
bench-ann: build-bench ## Measures the vector index beside faiss, hnswlib, usearch and ScaNN: DATA="mnist-784 minilm-100k static-1m"
	@scripts/bench-setup.sh
	@.deps/bench-venv/bin/python Benchmarks/ann/run.py $(DATA) $(ARGS)

bench-text: build-bench ## Measures the text index beside tantivy and SQLite FTS5 on a million passages
	@scripts/bench-setup.sh
	@.deps/bench-venv/bin/python Benchmarks/text/run.py --outrider $(bench) $(ARGS)

bench-embed: build-bench ## Measures the embedder beside ONNX Runtime and OpenVINO
	@scripts/bench-setup.sh
	@.deps/bench-venv/bin/python Benchmarks/embed/run.py --outrider $(bench) $(ARGS)

bench-peers: build ## Measures the served product beside a service in Python (FastAPI, ONNX Runtime, faiss, bm25s): ARGS="--older BINARY --only new,repeated"
	@scripts/bench-setup.sh
	@.deps/bench-venv/bin/python Benchmarks/peers/run.py --outrider $(outrider) $(ARGS)

gate: build ## Counts allocations and processor time of ten calls and compares them with what is recorded; ARGS=--record records
	@python3 Benchmarks/gate/run.py --outrider $(outrider) $(ARGS)

nightly: gate ## What takes longer than a test may: the gate, and the benchmarks' scripts with their peers
	@scripts/bench-setup.sh
	cd Benchmarks/ann && ../../.deps/bench-venv/bin/python -m unittest -q test_ann
	cd Benchmarks/embed && ../../.deps/bench-venv/bin/python -m unittest -q test_embed
	cd Benchmarks/peers && ../../.deps/bench-venv/bin/python -m unittest -q test_peers

doctor: build ## Prints what this machine has and what is missing
	@$(outrider) doctor $(ARGS)

lint: ## Checks the layout of the Swift code and the syntax of the scripts
	$(call step,checking Swift,swift format lint --strict --parallel --recursive Sources Tests Package.swift)
	$(call step,checking scripts,for script in scripts/*.sh findings/*.sh .ci/run; do bash -n "$$script"; ! command -v shellcheck >/dev/null || shellcheck "$$script"; done)

format: ## Rewrites the Swift code in the project's layout
	$(call step,formatting Swift,swift format format --in-place --parallel --recursive Sources Tests Package.swift)

check: lint test ## What everyone runs before sharing: lint and test

clean: ## Removes the builds of this checkout; the machine's cache (scripts/setup.sh paths) stays
	@rm -rf .build .build-* .build_*
