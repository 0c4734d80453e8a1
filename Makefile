# `make demo` and `make test` work on a bare machine: both begin with scripts/setup, which brings what is missing.
BIN := .venv/bin
SHOP := topologies/shop

.PHONY: setup demo test lint types bench fuzz guarantees clean

setup:
	@scripts/setup

demo: setup
	@$(BIN)/envspin run $(SHOP) -- sh -c '$(BIN)/python -m pytest $(SHOP)/tests --envspin-env "$$ENVSPIN_ENV"'
	@$(BIN)/envspin ls

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

test: lint types
	@$(BIN)/python -m pytest

bench: setup
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	@$(BIN)/python -m benchmarks

# Writes docs/fuzzing.md; files that break something are kept in a folder that it names.
fuzz: setup
	@$(BIN)/python -m tests.fuzz --count 200000 --jobs 2

# Writes docs/guarantees.md, suite by suite; takes hours. `ONLY=G1,G6` runs some of them, `COUNT=N` fewer tries.
guarantees: setup
	@$(BIN)/python -m tests.guarantees $(if $(ONLY),--only $(ONLY)) $(if $(COUNT),--count $(COUNT))

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
