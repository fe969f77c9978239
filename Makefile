# Two commands do everything on a fresh machine with python3 (3.11 or newer) and make:
#   make search   set up, search the noise schedule for the digits, show the leaderboard, write the JSON
#   make test     set up, run the tests
.DEFAULT_GOAL := help
.PHONY: help setup search test test-slow host-tools lint types bench clean

PYTHON ?= python3
BIN := .venv/bin
SPEC ?= searches/digits.yaml
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'make test-slow   the tests with real Ray, kills, hosts, a browser and other software; make lint types; make bench'

.venv/.ready: pyproject.toml constraints.txt
	@echo 'Setting up .venv (a few minutes, once) ...'
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment. On Debian run, as root: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(PIP) .
	@touch $@

.venv/.ready-dev: .venv/.ready
	@$(PIP) '.[dev]'
	@touch $@

# Other software that reads our exports. k-diffusion's own requirements do not install beside numpy 2; the part of it
# that draws samples needs none of them.
.venv/.ready-conformance: .venv/.ready-dev
	@$(PIP) '.[dev,conformance]'
	@$(PIP) --no-deps k-diffusion==0.1.1.post1
	@touch $@

setup: .venv/.ready

search: .venv/.ready
	@$(BIN)/python -m search run $(SPEC) --output best_schedule.json

test: .venv/.ready-dev
	@$(BIN)/python -m pytest -m 'not integration'

# sshd, rsync and PostgreSQL for the tests on hosts of their own, Chromium for MLflow's pages; installed if missing, no
# service is started.
host-tools:
	@sh tests/integration/host_tools.sh

test-slow: .venv/.ready-conformance host-tools
	@$(BIN)/python -m pytest -m 'integration or conformance'

lint: .venv/.ready-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/.ready-dev
	@$(BIN)/mypy

bench: .venv/.ready
	@$(BIN)/python -m bench

clean:
	rm -rf .venv .cache build ./*.egg-info
