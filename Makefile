# Everything a fresh clone needs is Python >= 3.11 and make; each target installs what it uses into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= 2
# Azure's own emulator is a package for node: where there is npm, `make test` runs the blob suite against it.
AZURITE := $(if $(shell command -v npm),$(VENV)/.azurite)
# The page draws waveforms with a package for node; without npm it has a plain bar instead.
WAVEFORM := $(if $(shell command -v npm),$(VENV)/.waveform)
AZURITE_BLOB := $(VENV)/azurite/node_modules/.bin/azurite-blob

.PHONY: demo demo-modal demo-qwen test test-deep coverage screenshots check bench format clean

demo: $(VENV)/.demo $(WAVEFORM)
	@exec $(BIN)/python -m examples.reference_server

# The same server as a client of Modal or Qwen, against a fake that needs no account.
demo-modal demo-qwen: $(VENV)/.demo $(WAVEFORM)
	@exec $(BIN)/python -m examples.reference_server --offline $(@:demo-%=%)

# By scope: a process runs all tests of a module, which then share what it starts.
PYTEST = TTSORCH_AZURITE="$$(ls $(AZURITE_BLOB) 2>/dev/null)" $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

test: $(VENV)/.check $(VENV)/.pgbouncer $(VENV)/.chromium $(AZURITE) $(WAVEFORM)
	$(PYTEST) -m "not deep"

# What the state machine hangs on is covered wholly, by tests that do the same each time, in the same process.
CORE := states errors capabilities orchestrator _announcer _asking _calls _casting _clips _driver _events/* _flights \
  _intake _journal _one_chunk _outbox _pauses _payload_hash _retention _slots _speaking _steps \
  _storing _sweep
OTHER_PROCESSES := benchmarks browser openapi scale server
comma := ,
space := $(subst ,, )

coverage: $(VENV)/.check $(VENV)/.pgbouncer $(AZURITE) $(WAVEFORM)
	$(PYTEST) -m "not deep and not hypothesis" tests $(OTHER_PROCESSES:%=--ignore=tests/%) --cov --cov-report=
	@$(BIN)/coverage report --skip-covered --fail-under=95
	@$(BIN)/coverage report --fail-under=100 --include='$(subst $(space),$(comma),$(CORE:%=*/ttsorch/%.py))'

test-deep: $(VENV)/.check $(VENV)/.pgbouncer $(VENV)/.chromium $(WAVEFORM)
	$(BIN)/python -m pytest -n $(WORKERS) -m deep --timeout=1800

# The pictures of docs/the-page.md, drawn anew.
screenshots: $(VENV)/.check $(VENV)/.chromium $(WAVEFORM)
	TTSORCH_SCREENSHOTS=1 $(BIN)/python -m pytest -m "not deep" tests/browser/test_states.py

check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/draw_states.py --check
	$(BIN)/python docs/write_openapi.py --check

# All of them take some minutes; BENCH=adapters runs one. A missed bar is shown and is no error.
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(BENCH)

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/.pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ttsorch needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) "pip>=25.1"
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.pip
	$(PIP_INSTALL) --editable '.[local]' --group demo
	@touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/.pip
	$(PIP_INSTALL) --editable '.[local,object,postgres,testing]' --group bench
	@touch $@

$(VENV)/.check: pyproject.toml | $(VENV)/.pip
	$(PIP_INSTALL) --editable '.[local,cli,object,postgres,testing]' --group check
	@touch $@ $(VENV)/.demo $(VENV)/.bench

$(VENV)/.azurite: | $(VENV)/.pip
	npm install --silent --no-audit --no-fund --prefix $(VENV)/azurite azurite@3.37 \
		|| echo "Azurite could not be installed: the tests of Azure are left out."
	@touch $@

# The lock file has its version and its hash.
$(VENV)/.waveform: examples/reference_server/waveform/package.json examples/reference_server/waveform/package-lock.json | $(VENV)/.pip
	@mkdir -p $(VENV)/waveform && cp $^ $(VENV)/waveform/
	npm ci --silent --no-audit --no-fund --ignore-scripts --prefix $(VENV)/waveform \
		|| echo "wavesurfer.js could not be installed: the page has a plain bar instead of waveforms."
	@touch $@

# No wheel brings PgBouncer. Where it can't be installed, its tests are skipped, and say so.
$(VENV)/.pgbouncer: | $(VENV)/.pip
	@command -v pgbouncer >/dev/null || test -x /usr/sbin/pgbouncer \
	  || { test "$$(id -u)" = 0 && { apt-get install -y -qq pgbouncer || { apt-get update -qq && apt-get install -y -qq pgbouncer; }; } >/dev/null 2>&1; } \
	  || echo "PgBouncer is not here: apt-get install pgbouncer, to run its tests too."
	@touch $@

# Playwright drives the distribution's browser. Where it can't be installed, the tests of the page are skipped, and say so.
$(VENV)/.chromium: | $(VENV)/.pip
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { test "$$(id -u)" = 0 && { apt-get install -y -qq chromium || { apt-get update -qq && apt-get install -y -qq chromium; }; } >/dev/null 2>&1; } \
	  || echo "Chromium is not here: apt-get install chromium, to run the tests of the page too."
	@touch $@
