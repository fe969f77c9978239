# Two commands do everything on a fresh machine with python3 (3.11 to 3.14) and make:
#   make search   set up, search the noise schedule for the digits, show the leaderboard, write the JSON
#   make test     set up, run the tests
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-conformance python search test test-slow host-tools lint types bench clean

PYTHON ?= python3
VENV ?= .venv
SPEC ?= searches/digits.yaml
BIN := $(VENV)/bin

help:
	@sed -n 's/^#   //p' Makefile
	@echo 'make test-slow   the tests with real Ray, kills, hosts, a browser and other software; make lint types; make bench'
	@echo 'PYTHON=python3.13 names another Python, VENV=FOLDER another folder than .venv for what is installed'

# Before anything is made; in words of every Python.
python:
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON). Name a Python: make PYTHON=python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("Python 3.11 to 3.14 is needed, this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.11 ...")'
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment. On Debian run, as root: apt-get install python3-venv" >&2; exit 1; }

setup: python
	@"$(PYTHON)" install.py "$(VENV)"

setup-dev: setup
	@"$(PYTHON)" install.py "$(VENV)" dev

# With other software that reads our exports.
setup-conformance: setup-dev
	@"$(PYTHON)" install.py "$(VENV)" dev conformance

search: setup
	@"$(BIN)/python" -m search run "$(SPEC)" --output best_schedule.json

test: setup-dev
	@"$(BIN)/python" -m pytest -m 'not integration'

# sshd, rsync and PostgreSQL for the tests on hosts of their own, Chromium for MLflow's pages; installed if missing, no
# service is started.
host-tools:
	@sh tests/integration/host_tools.sh

test-slow: setup-conformance host-tools
	@"$(BIN)/python" -m pytest --timeout 1200 -m 'integration or conformance'

lint: setup-dev
	@"$(BIN)/ruff" check .
	@"$(BIN)/ruff" format --check .

types: setup-dev
	@"$(BIN)/python" -m mypy

bench: setup
	@"$(BIN)/python" -m bench

clean:
	rm -rf "$(VENV)" "$(VENV).lock" .cache build ./*.egg-info
