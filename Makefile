# make up     start the portal here (installs, migrates, runs until Ctrl-C)
# make demo   fill the example project (starts what is needed)
# make test   all tests on SQLite, and on PostgreSQL what may differ there; browser tests included
# make clients  MLflow's and KServe's clients, for tests/mlflow, tests/serve and the benchmarks
# make faults   the tests of faults with more rounds, and 100 rounds of each race, on both databases
# make mutants  takes each rule of four eyes away and expects its tests to go red
# make budgets  the measurements that have a bar of time; fails when one is missed
# make check  format, lint, types, import contracts, templates, spelling, assets, migrations
PYTHON ?= python3
BIN := .venv/bin
export PYTHON

.PHONY: up demo test check format bench budgets faults mutants vendor lock clean runtime dev clients help

help:
	@sed -n 's/^# //p' Makefile

runtime:
	@scripts/venv runtime

dev:
	@scripts/venv dev

clients:
	@scripts/venv mlflow2
	@scripts/venv mlflow3
	@scripts/venv kserve

up: runtime
	@PYTHON= exec $(BIN)/mlportal up

demo: runtime
	@PYTHON= $(BIN)/mlportal demo

test: dev clients
	PYTHON= scripts/test -n 3 --dist loadfile --no-loadscope-reorder

faults: dev
	FAULT_ROUNDS=$${FAULT_ROUNDS:-5} PYTHON= scripts/test -m faults
	RACE_ROUNDS=$${RACE_ROUNDS:-100} PYTHON= scripts/test tests/deployments/test_concurrency.py \
	  tests/deployments/test_lock_order.py
	FUZZ_EVERY_ROUTE=1 PYTHON= scripts/test tests/house/test_api_fuzz.py

# Takes each rule of four eyes away in a copy and expects its tests to go red.
mutants: dev
	PYTHON= $(BIN)/python scripts/mutants.py

bench: dev clients
	PYTHON= scripts/bench

budgets: dev
	PYTHON= scripts/bench pages pages_in_browser monitoring_pages dataset_grid evidence

check: dev
	PYTHON= scripts/check

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

vendor:
	$(PYTHON) frontend/vendor.py

# Needs uv on PATH. The lists carry hashes and no registry host.
lock:
	for list in runtime dev s3 otel mlflow2 mlflow3 kserve; do uv pip compile --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --override requirements/without-torch.in \
	  requirements/$$list.in -o requirements/$$list.txt || exit 1; done

clean:
	rm -rf .venv .venv-mlflow2 .venv-mlflow3 .venv-kserve .mypy_cache .ruff_cache .pytest_cache .import_linter_cache static-root test-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
