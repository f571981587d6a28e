# densecorr: every target sets itself up in .venv first (pip, or uv where it is installed). Nothing is installed
# outside this folder; once done, the set-up costs nothing until pyproject.toml or the constraints change.
#
#   make demo ARGS="--size small"     make test ARGS="-k geodesics"     make bench ONLY=name

BIN := .venv/bin
STAMP := .venv/densecorr-is-set-up
ARGS ?=
ONLY ?=
WORKERS ?= 2

.PHONY: help setup demo test test-slow test-browser check format bench constraints

help:
	@echo "make demo         the whole product on the built-in data, from set-up to report"
	@echo "make test         the tests (test-slow: those that take minutes)"
	@echo "make test-browser the review panel in Chromium and the real FiftyOne App (chromium and MongoDB: see infra/README.md)"
	@echo "make check        formatting, lint, types, import directions (format: mends the first two)"
	@echo "make bench        speed and memory against the baselines; ONLY=name runs one"
	@echo "make setup        only the set-up; the others do it by themselves"
	@echo "make constraints  write the versions in .venv to infra/constraints.txt"
	@echo "More options: make demo ARGS=\"--size small\", make test ARGS=\"-k geodesics\""

setup: $(STAMP)
	@echo "densecorr is set up in .venv"

$(STAMP): pyproject.toml infra/set_up.sh infra/constraints.txt infra/constraints-cpu.txt
	@bash infra/set_up.sh
	@touch $@

demo: $(STAMP)
	@$(BIN)/densecorr demo $(ARGS)

# Bytecode is kept even where the environment says not to: each worker, and each of the some hundred processes that
# tests start, would compile the packages and rewrite the tests' assertions anew.
test: $(STAMP)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow $(ARGS)

# Skipped tests are listed with what they lack. A MongoDB that .ci/run or infra/get_mongod.sh left in .venv is used.
test-browser: $(STAMP)
	OMP_NUM_THREADS=1 DENSECORR_MONGOD="$${DENSECORR_MONGOD:-$(abspath $(wildcard .venv/mongo/bin/mongod))}" \
		$(BIN)/python -m pytest tests/browser -m browser -n $(WORKERS) --dist loadfile -rs $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

# torch stays out: a user with a GPU takes the build for their driver.
constraints: $(STAMP)
	$(BIN)/python -m pip freeze --all --exclude-editable --exclude torch --exclude pip > infra/constraints.txt.new
	mv infra/constraints.txt.new infra/constraints.txt
