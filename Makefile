# Two commands: `make repro` runs the pipeline, `make test` the tests. Each sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export TOKENIZERS_PARALLELISM ?= true
# on a busy machine threads that wait in a loop cost several times the work itself
export OMP_WAIT_POLICY ?= passive

.PHONY: repro test check bench agreement torture setup

repro: setup
	lmcore unlock
	dvc repro

test: setup
	pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: setup
	ruff check . && ruff format --check . && mypy

bench: setup
	python -m bench
	python -m bench --training

agreement: setup
	pytest -m agreement --override-ini addopts=-ra

# half an hour; as root also full disks
torture: setup
	python -m tests.torture

setup: $(VENV)/installed

# torch first and alone: what comes after must accept it, never replace it
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lmcore needs Python 3.11 or newer; name one with `make PYTHON=python3.12 …`")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet $$(grep '^torch==' constraints.txt)
	pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
