# What a clone needs is Python >= 3.11 (with venv) and make; all else is set up here, in .venv and .hutong, by the first target.
#
#   make demo      set up, run the demo, leave nothing running (KEEP=1 keeps the bus up)
#   make test      set up, run the test suite   (LONG=1: clusters and long faults too; ARGS="tests/unit -x" for a part of it)
#   make bench     Hutong beside its peers, on a bus of its own      (QUICK=1: three minutes; ARGS="--list" and others)
#   make native    build the Rust transcoder (the other targets do it too, where there is a Rust toolchain)
#   make fuzz      a million hostile values against every surface               (ARGS="--values 10000" for less)
#   make torture   faults under load, and what became of every event             (ARGS="--short", "--list" and others)
#   make sbom      write what is locked as a bill of materials, CycloneDX, into build/
#   make audit     ask the OSV database, on the internet, what is known against any package that is locked
#   make lint      style, types, import rules
#   make format    put the code into the style
#   make lock      resolve the newest versions that pyproject.toml allows into requirements.lock
#   make clean     stop the bus and remove everything that was made here

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
NATIVE := .venv/.native
CODE := $(wildcard hutong services connectors deploy demo bench tests)

# uv sets up in 5 seconds what pip takes 30 for. It is installed from the lock like all the rest; where it gets through to no
# package index (it does not read pip's configuration), pip does the same work.
UV_LINES := sed -n '/^uv==/,/[^\\]$$/p' requirements.lock

.PHONY: demo test bench native fuzz torture audit sbom lint format lock clean setup
.DEFAULT_GOAL := help

.PHONY: help
help:
	@sed -n '/^#   make/s/^#   //p' Makefile

demo: $(NATIVE)
	@$(BIN)/hutong demo $(if $(KEEP),--keep)

test: $(NATIVE)
	@sh tests/peers.sh >.venv/peers.log 2>&1 || echo "== no Prometheus to be had (see .venv/peers.log): its tests are left out"
	@echo "== running the tests"
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@# What became of each test is noted: the last step asks whether those that docs/threat-model.md names ran and passed.
	@rm -f .venv/outcomes
	@$(BIN)/python -m pytest -q -n auto --dist loadscope --outcomes .venv/outcomes tests/unit tests/behaviour
	@# Each file has a bus of its own. The longest come first, so that none is left to the end alone.
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --outcomes .venv/outcomes $(if $(LONG),-m "") \
	   tests/integration/test_torture.py tests/e2e tests/integration/test_coordinator_faults.py tests/integration
	@$(BIN)/python -m tests.threats --outcomes .venv/outcomes $(if $(LONG),--long)
endif

bench: $(NATIVE)
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS)

fuzz: $(NATIVE)
	@$(BIN)/python -m tests.fuzz $(ARGS)

torture: $(NATIVE)
	@$(BIN)/python -m tests.torture $(ARGS)

sbom: $(READY)
	@$(BIN)/python -m tests.sbom $(ARGS)

audit: $(READY)
	@$(BIN)/python -m tests.audit

native: $(READY)
	@rm -f $(NATIVE)
	@$(MAKE) --no-print-directory $(NATIVE)

# Without a Rust toolchain, or where its packages cannot be had, the transcoder in Python does the same work, more slowly.
# Nothing of a crate is run before its sum has been compared with the one in native/crates.lock.
$(NATIVE): $(READY) $(wildcard native/src/*.rs) native/Cargo.toml native/crates.lock native/pyproject.toml
	@if ! command -v cargo >/dev/null; then \
	   echo "== no Rust toolchain (cargo) here: routing in pure Python"; \
	 elif echo "== building the Rust transcoder in native/" && \
	   cargo fetch --quiet --manifest-path native/Cargo.toml >.venv/native.log 2>&1 && \
	   $(BIN)/python native/crates.py >>.venv/native.log 2>&1 && \
	   VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/maturin develop --release --locked --quiet --manifest-path native/Cargo.toml \
	     >>.venv/native.log 2>&1; then \
	   echo "== routing in Rust"; \
	 else \
	   echo "== the Rust transcoder could not be built (see .venv/native.log): routing in pure Python"; \
	 fi
	@touch $(NATIVE)

lint: $(READY)
	@echo "== ruff check"; $(BIN)/ruff check $(CODE)
	@echo "== ruff format --check"; $(BIN)/ruff format --check $(CODE)
	@echo "== mypy"; $(BIN)/mypy
	@echo "== lint-imports"; $(BIN)/lint-imports
	@if command -v cargo >/dev/null; then \
	   echo "== cargo fmt, cargo clippy"; \
	   cargo fmt --manifest-path native/Cargo.toml --check && \
	   cargo clippy --manifest-path native/Cargo.toml --release --quiet -- --deny warnings; \
	 fi

format: $(READY)
	@$(BIN)/ruff check --fix-only $(CODE)
	@$(BIN)/ruff format $(CODE)

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "hutong needs Python >= 3.11, and $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there);" \
	         "install a newer one, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@echo "== making a virtual environment in .venv"
	@$(PYTHON) -m venv .venv || { echo "on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "== installing what requirements.lock names"
	@$(UV_LINES) > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.txt
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock || \
	  { echo "== uv does not get through; trying pip" && \
	    $(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock; }
	@echo "== installing hutong itself, from this directory"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $(READY)

lock:
	@test -x $(BIN)/uv || { echo "make setup first" >&2; exit 1; }
	@# The first two build the project itself, without isolation: hatchling as in pyproject.toml, and what its editable mode needs.
	@printf 'hatchling==1.33.0\neditables\nuv\n' | $(BIN)/uv pip compile pyproject.toml - --all-extras --group dev --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock

clean:
	@test ! -x $(BIN)/hutong || test ! -d .hutong || $(BIN)/hutong down
	@echo "== removing .venv, .hutong and caches"
	@rm -rf .venv .hutong native/target .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist bench/.cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
