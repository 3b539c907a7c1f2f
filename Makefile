# Everything a person or CI runs. `make` alone tells what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto

.PHONY: help setup run demo-once test check format bench soak soak-tests faults pictures phrases lock debian clean

help:
	@echo "make run     hub, central and a simulated flat on this machine, with a page to play with"
	@echo "make test    the whole suite (installs what it needs, Debian packages included)"
	@echo "make check   format, lint, types, import rules"
	@echo "make bench   the budgets, measured; writes bench/results.json"
	@echo "make soak    what takes hours: properties with many examples, booted machines, then make faults"
	@echo "make faults  everything breaks, under load; a table of what was lost (FAULTS='--short' for a few minutes)"
	@echo "make pictures  take docs/pictures anew, of the running product"
	@echo "make phrases   make the hub's spoken phrases anew (needs espeak-ng)"
	@echo "make setup   only the environment, with everything a developer needs"
	@echo "make lock    write requirements/*.txt anew from pyproject.toml"

# The two environments are one folder: `run` installs what the programs need, `dev` adds the tools.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Vaktpost needs Python 3.11 or newer; this is $$($(PYTHON) --version)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "installing pinned packages (about a minute the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "installing the developer's tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.dev

run: $(VENV)/.run
	@$(BIN)/vaktpost demo

demo-once: $(VENV)/.run
	@timeout 180 $(BIN)/vaktpost demo --once --json

debian:
	@scripts/debian-packages.sh

test: $(VENV)/.dev debian
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "not soak"

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev debian
	$(BIN)/python -m bench

# `make -j2 soak FAULTS='--jobs 2'` runs both at once: the faults wait a lot, the properties do not.
soak: soak-tests faults

soak-tests: $(VENV)/.dev debian
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest -n $(JOBS) --dist loadfile -m "soak or hypothesis" --timeout 1800

faults: $(VENV)/.dev debian
	$(BIN)/python -m simulators.faults $(FAULTS)

pictures: $(VENV)/.dev debian
	$(BIN)/python -m scripts.pictures

phrases: $(VENV)/.dev
	$(BIN)/python scripts/phrases.py

lock: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.6'
	@$(BIN)/python scripts/lock.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo build *.egg-info
