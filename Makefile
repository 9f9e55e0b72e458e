# `make repro` runs the pipeline and `make test` the tests. Each sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export TOKENIZERS_PARALLELISM ?= true
# on a busy machine threads that wait in a loop cost several times the work itself
export OMP_WAIT_POLICY ?= passive

.PHONY: repro test check bench agreement hosts torture setup setup-dev help

repro: setup ## run the pipeline: whatever params, data or code have changed
	lmcore unlock
	dvc repro

test: setup-dev ## run the tests; ALL=1 adds those of whole pipelines, edited and killed
	pytest -m '$(if $(ALL),,not pipeline and) not hosts' -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: setup-dev ## check style and types
	ruff check . && ruff format --check . && mypy

bench: setup-dev ## measure speed beside lm-eval and minicons; needs a pipeline that has run
	python -m bench
	python -m bench --training

agreement: setup-dev ## compare whole suites with lm-eval and minicons; needs LMCORE_DATA, half an hour
	pytest -m agreement --override-ini addopts=-ra

hosts: setup-dev ## test Ray, S3 and trainings over hosts; needs Linux, root and pip install -e '.[ray,s3]' 'moto[server]'
	pytest -m hosts --override-ini addopts=-ra

torture: setup-dev ## kill a small pipeline fifty times, and fill disks where it runs as root; half an hour
	python -m tests.torture

setup: $(VENV)/installed ## make .venv and install what the pipeline needs

setup-dev: $(VENV)/installed-dev ## install what tests and checks need, too

help: ## show these lines
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile

# torch first and alone: what comes after must accept it, never replace it
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lmcore needs Python 3.11 or newer; name one with `make PYTHON=python3.12 …`")'
	$(PYTHON) -m venv $(VENV)
	pip install --quiet $$(grep '^torch==' constraints.txt)
	pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
