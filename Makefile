PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN = .venv/bin

.PHONY: install demo test test-all lint bench docs clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: .venv/installed
	$(BIN)/expunge bench digits --forget-set random-50 --forget-set class-3 --forget-set memorised-50 --out out/demo \
	    $(addprefix --method ,fine-tune gradient-ascent neg-grad-plus random-labels scrub)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest --numprocesses 2 --dist worksteal --quiet --durations 10

test-all: lint
	$(BIN)/pytest --numprocesses 2 --dist worksteal --quiet --durations 20 -m "not gpu or gpu"

bench: .venv/installed
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

# Pages and tables that are made of other files: docs/methods.md, results/README.md and what `expunge info` knows of it.
docs: .venv/installed
	$(BIN)/python runs/collect.py
	$(BIN)/python runs/method_cards.py

clean:
	rm -rf .venv out build dist *.egg-info
