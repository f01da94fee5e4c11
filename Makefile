# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make demo   the whole chain on the embedded sky, figures and report included
#   make test   the tests

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test setup lint format clean

demo: setup
	snakemake
	snakemake --report results/report.html

test: setup
	pytest --numprocesses auto --dist loadfile

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("sanspec needs Python 3.11 or newer: make demo PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

lint: setup
	ruff check src tests benchmarks
	ruff format --check src tests benchmarks
	snakefmt --check Snakefile workflow
	snakemake --lint

format: setup
	ruff check --fix src tests benchmarks
	ruff format src tests benchmarks
	snakefmt Snakefile workflow

clean:
	rm -rf results .snakemake
