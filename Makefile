# Every target makes what it needs; nothing has to be run before it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Most of what is installed is never imported: Python compiles what is when it is.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: setup demo test test-cloud ui lint stress bench lock clean
.DEFAULT_GOAL := demo

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -r requirements.lock
	$(BIN)/python $(INSTALL) --no-deps --editable .
	@touch $@

demo: $(STAMP)          ## build the telecom source and make its synthetic copy
	$(BIN)/synth-pipeline demo

test: $(STAMP)          ## the test suite; the runner's closing line comes last
	$(BIN)/python -m pytest -n 2 --dist worksteal -q $(ARGS)

test-cloud: $(VENV)-cloud/.installed  ## BigQuery and Snowflake on emulators, which need other versions of some packages
	$(VENV)-cloud/bin/python -m pytest -q -p no:bqemulator synth_pipeline_tests/connectors/test_bigquery.py synth_pipeline_tests/connectors/test_snowflake.py $(ARGS)

# Sees the packages of the environment and puts those of the emulators before them.
$(VENV)-cloud/.installed: $(STAMP) requirements-cloud.lock
	$(BIN)/python -m venv $(VENV)-cloud
	$(VENV)-cloud/bin/python $(INSTALL) --no-deps --ignore-installed -r requirements-cloud.lock
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$($(VENV)-cloud/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/environment.pth
	@touch $@

ui: $(STAMP)            ## Dagster's web pages on http://localhost:3000, with the demo as a partition
	@test -f data/telecom.db || $(BIN)/synth-pipeline demo --build-only
	$(BIN)/python -m synth_pipeline.orchestration.ui $(ARGS)

lint: $(STAMP)          ## style, types, layers
	$(BIN)/ruff check synth_pipeline synth_pipeline_tests benchmarks
	$(BIN)/mypy synth_pipeline
	$(BIN)/lint-imports

stress: $(STAMP)        ## generated schemas of every kind through the whole pipeline
	$(BIN)/python -m benchmarks.stress $(ARGS)

bench: $(STAMP)         ## prints tables of speed and quality
	$(BIN)/python -m benchmarks.bench $(ARGS)

clean:                  ## removes what runs have made, not the environment
	rm -rf artifacts data/telecom.db out .dagster

lock: $(STAMP)          ## pins the newest versions that pyproject.toml allows
	$(BIN)/python $(INSTALL) pip-tools
	$(BIN)/pip-compile --quiet --upgrade --extra dev --strip-extras --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file $(VENV)/lock.txt pyproject.toml
	@{ sed -n '/^[^#]/q;p' requirements.lock; sed -e '/^#/d' -e '/^$$/d' -e '/^synth-pipeline/d' -e '/^nvidia-/d' -e '/^triton/d' \
	    -e 's/+cpu$$//' $(VENV)/lock.txt; } > $(VENV)/lock.new && mv $(VENV)/lock.new requirements.lock
