PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN = .venv/bin
# One thread for each of the two processes, or the linear algebra of both fights over the cores. What is compiled is kept,
# whatever the shell says: whole commands start hundreds of processes, each of which would compile all modules anew.
PYTEST = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses 2 --dist worksteal
QUICK = tests/test_layers.py tests/test_records.py tests/test_target.py tests/test_fingerprint.py tests/methods/test_equations.py

.PHONY: install demo quick test tests test-faults test-all lint bench docs site clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: .venv/installed
	$(BIN)/expunge bench digits --forget-set random-50 --forget-set class-3 --forget-set memorised-50 --out out/demo \
	    $(addprefix --method ,ssd bad-teacher scrub salun delete dmm)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The inner loop: laws of the house, the table of methods and the contracts, without what trains or counts for long.
quick: lint
	$(PYTEST) --quiet -m "not slow and not faults" $(QUICK)

# The types are checked beside the tests: a minute of one core, which the tests leave free at their end.
test: .venv/installed
	@$(MAKE) --no-print-directory --jobs 2 lint tests

tests: .venv/installed
	$(PYTEST) --quiet --durations 10

# Workers, disks and schedulers that die; whole commands, in processes of their own.
test-faults: .venv/installed
	$(PYTEST) --quiet --durations 10 -m faults

test-all: lint
	$(PYTEST) --quiet --durations 20 -m "slow or not slow"

bench: .venv/installed
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

# Pages and tables that are made of other files: docs/methods.md, the tables of docs/threats.md, results/README.md, and what
# `expunge info` and `expunge threats` know of them.
docs: .venv/installed
	$(BIN)/python runs/collect.py
	$(BIN)/python runs/method_cards.py
	$(BIN)/python runs/collect_attacks.py

# The documentation as static files, in out/site; a link that leads nowhere ends it.
site: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python runs/site.py

clean:
	rm -rf .venv out build dist *.egg-info
