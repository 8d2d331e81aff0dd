# Each target does all of its own set-up in .venv; all it needs is Python >= 3.10, make and the package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-slow lint benchmarks typecheck-tree clean

demo: $(VENV)/.installed
	$(BIN)/t2av-bench demo

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto

test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/.lint typecheck-tree
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd build/typecheck && PYTHONPATH=. $(CURDIR)/$(BIN)/lint-imports $(CURDIR)/pyproject.toml

# A tree of links that looks like the installed package: mypy cannot follow setuptools' package_dir (see pyproject.toml).
typecheck-tree:
	rm -rf build/typecheck
	mkdir -p build/typecheck/t2av_bench
	ln -s $(CURDIR)/t2av_bench/* build/typecheck/t2av_bench/
	ln -s $(CURDIR)/metrics $(CURDIR)/models $(CURDIR)/manifests build/typecheck/t2av_bench/

$(VENV)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) -e .
	touch $@

$(VENV)/.test: $(VENV)/.installed
	$(PIP) -e '.[test]'
	touch $@

$(VENV)/.lint: $(VENV)/.installed
	$(PIP) -e '.[lint]'
	touch $@

clean:
	rm -rf build dist demo-output *.egg-info
