# Two commands: `make up` shows the hub with its demo, `make test` proves it. The rest is for builders and operators.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data
HTTP_PORT ?= 8080
MLLP_PORT ?= 2575
GROWTH ?= 100000

.PHONY: up test check bench chaos parts clean install install-dev

# Installs the pinned packages; pip checks every hash. uv does the same, only faster, where it can be had.
define install
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if ! cmp -s $(1) $(VENV)/installed-$(notdir $(1)); then \
	  echo "installing $(1)"; \
	  ($(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/installer.txt \
	    && $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r $(1)) 2>/dev/null \
	  || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(1) || exit 1; \
	  cp $(1) $(VENV)/installed-$(notdir $(1)); fi
	@$(BIN)/python -c "import hub" 2>/dev/null && test -x $(BIN)/ooievaar || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q audit authz connectors fhir_profiles hub
endef

install:
	$(call install,requirements/run.txt)

install-dev:
	$(call install,requirements/dev.txt)

up: install
	$(BIN)/ooievaar up --demo --data $(DATA) --http-port $(HTTP_PORT) --mllp-port $(MLLP_PORT)

# Kafka, PostgreSQL and Chromium; whatever cannot be had is skipped by the tests, with a count that nobody can overlook.
parts:
	@bash deploy/parts.sh

test: install-dev parts check
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup tests

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# `make bench GROWTH=1000000` follows the cost of an event to a million stored ones; that alone takes some twenty minutes.
bench: install-dev parts
	$(BIN)/python -m bench --growth $(GROWTH)

chaos: install-dev parts
	$(BIN)/python -m pytest -q tests/chaos --rounds 300 --timeout=7200

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
