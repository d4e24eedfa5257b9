# One list of commands, the same on a laptop and in continuous integration.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Workers of the test run; the suite is meant for two cores.
WORKERS ?= 2

.PHONY: help environment demo test oldest newest oldest-lsdb new-examples often fuzz kills lock audit mutants nightly test-slow service-tests lint types shape docs docs-test release release-check real match-quality homogenize learners bench ci clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "starscale needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[docs]'
	@touch $@

environment: $(VENV)/.docs ## all that tests and documentation need

demo: $(VENV)/.core       ## a mock sky, every step on it, a catalogue and a report in demo/
	$(BIN)/starscale demo -o demo

# Tests of one file share what they are prepared with, so that they stay together.
test: $(VENV)/.dev        ## the fast tests
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

test-slow: $(VENV)/.dev   ## the slow tests
	$(BIN)/python -m pytest -q -n $(WORKERS) -m slow

# The newest Python that is found here.
NEWEST ?= $(firstword $(foreach v,3.14 3.13 3.12 3.11,$(shell python$(v) -c 'print("python$(v)")' 2>/dev/null)))
# Old packages use what newer packages below them have deprecated: these warnings are not errors here.
OLDEST_TESTS ?= -W default::DeprecationWarning

oldest:                   ## the fast tests with the lowest versions of pyproject.toml, on Python 3.11
	python3.11 -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest/bin/python --resolution lowest-direct -e '.[baselines]'
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest/bin/python 'hypothesis>=6.120' 'pandas==2.2.*' 'duckdb>=1.2' 'pytest>=8.3' 'pytest-xdist>=3.6' 'radon>=6'
	.venv-oldest/bin/python -m pytest -q -n $(WORKERS) $(OLDEST_TESTS)

newest:                   ## the fast tests with the newest versions, on the newest Python found
	$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager -e '.[dev]'
	.venv-newest/bin/python -m pytest -q -n $(WORKERS)

oldest-lsdb: $(VENV)/.dev ## the service tests with the lowest version of LSDB
	STARSCALE_LSDB_VENV=$(CURDIR)/.venv-lsdb-oldest STARSCALE_LSDB_VERSION=0.10.0 ./.ci/service-tests $(BIN)/python

new-examples: $(VENV)/.dev ## the tests, with other random examples than in every run
	STARSCALE_NEW_EXAMPLES=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m 'not service and not docs'

often: $(VENV)/.dev       ## the slow tests, with four times the random examples and kills
	STARSCALE_OFTEN=4 $(BIN)/python -m pytest -q -n $(WORKERS) -m slow

# Files of each kind, and the first of their numbers.
FUZZ_INPUTS ?= 100000
FUZZ_FIRST ?= 1000000
fuzz: $(VENV)/.dev        ## changed files of every kind (FUZZ_INPUTS of each): a result or one clear error; hours
	$(BIN)/python tests/fuzz/campaign.py --inputs $(FUZZ_INPUTS) --first $(FUZZ_FIRST)

# Ends of each verb that writes, and the seed of their moments.
KILLS ?= 50
KILLS_SEED ?= 1
kills: $(VENV)/.dev       ## verbs ended by signals and by lack of memory, repeated: the files of an undisturbed call? hours
	$(BIN)/python tests/support/kills.py --kills $(KILLS) --seed $(KILLS_SEED)

# Versions that were tried together: make CONSTRAINTS=requirements/ci.txt environment
CONSTRAINTS ?=

lock:                     ## the versions of all packages, for CONSTRAINTS
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-audit/bin/uv pip compile --quiet --universal --no-header --extra dev --extra docs pyproject.toml -o requirements/ci.txt

audit: $(VENV)/.dev       ## known weaknesses, licences and a bill of materials (sbom.json) of all packages
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit cyclonedx-bom
	$(BIN)/python tests/support/licences.py
	.venv-audit/bin/cyclonedx-py environment $(BIN)/python --output-reproducible -o sbom.json
	.venv-audit/bin/pip-audit --path $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# Faults of each kernel that are tried, and the seed that they are drawn with.
MUTANTS ?= 100
MUTANTS_SEED ?= 1
MUTATE = $(BIN)/python tests/support/mutants.py --most $(MUTANTS) --seed $(MUTANTS_SEED)
mutants: $(VENV)/.dev     ## small faults in kernels, one at a time: do their tests find them? hours
	$(MUTATE) src/starscale/vocabulary/accounting.py tests/model/test_accounting.py
	$(MUTATE) src/starscale/tables/cuts.py tests/tables/test_cuts.py
	$(MUTATE) src/starscale/tables/sql/comparisons.py tests/tables/sql/test_meaning.py tests/tables/test_sql.py
	$(MUTATE) src/starscale/features/splits.py tests/features/test_splits.py
	$(MUTATE) src/starscale/crossmatch/kernel/select.py tests/crossmatch/kernel/test_select_score.py tests/crossmatch/kernel/test_kernel.py
	$(MUTATE) src/starscale/crossmatch/kernel/score.py tests/crossmatch/kernel/test_select_score.py
	$(MUTATE) src/starscale/homogenization/kernel/solve.py tests/homogenization/kernel/test_solve.py
	$(MUTATE) src/starscale/homogenization/kernel/merge.py tests/homogenization/kernel/test_merge.py
	$(MUTATE) src/starscale/learn/uncertainty/calibration.py tests/learn/uncertainty/test_calibration.py

nightly: oldest newest oldest-lsdb new-examples often  ## what is too long for every change: other versions and examples

service-tests: $(VENV)/.dev  ## tests that need other programs (a browser, a TAP server, LSDB)
	./.ci/service-tests $(BIN)/python

lint: $(VENV)/.dev        ## style
	$(BIN)/ruff check src tests benchmarks examples docs release
	$(BIN)/ruff format --check src tests benchmarks examples docs release

types: $(VENV)/.dev       ## types
	$(BIN)/mypy

shape: $(VENV)/.dev       ## measures of the source tree, each with its limit
	$(BIN)/python tests/support/shape.py

docs: $(VENV)/.docs       ## build the documentation in docs/_build
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

docs-test: $(VENV)/.dev   ## run every command and every Python block of README and docs; built pages in a browser
	STARSCALE_AXE=$$(./.ci/axe $(BIN)/python) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m docs tests/test_docs.py tests/test_docs_browser.py

real: $(VENV)/.dev        ## measurements on real tables and on the independent mock sky (needs ../shared/data)
	$(BIN)/python benchmarks/real_data.py

match-quality: $(VENV)/.dev  ## the cross-match beside the nearest neighbour, on mock skies and real stars
	$(BIN)/python benchmarks/crossmatch.py

homogenize: $(VENV)/.dev  ## labels on one scale, against known truth and on real surveys (needs ../shared/data)
	$(BIN)/python benchmarks/homogenize.py

learners: $(VENV)/.dev    ## every learner on the same splits, real and mock (needs ../shared/data; hours)
	$(BIN)/python benchmarks/learners.py
	$(BIN)/python benchmarks/default_learner.py

bench: $(VENV)/.dev       ## speed, as ratios to what one would use instead
	$(BIN)/python benchmarks/train_paper_network.py
	$(BIN)/python benchmarks/train_paper_bundle.py
	$(BIN)/python benchmarks/predict_speed.py
	$(BIN)/python benchmarks/end_to_end.py
	$(BIN)/python benchmarks/end_to_end_predict.py
	$(BIN)/python benchmarks/run_large.py
	$(BIN)/python benchmarks/crossmatch_speed.py
	$(BIN)/python benchmarks/homogenize_speed.py

release:                  ## changelog from changes/, version numbers: make release VERSION=0.2.0
	$(PYTHON) release/changelog.py $(VERSION)

release-check:            ## wheel and sdist: twine check, each installed alone and used; Dockerfile and recipe
	PYTHON=$(PYTHON) ./release/check

ci:                       ## everything that continuous integration does
	./.ci/run

clean:                    ## remove what was built
	rm -rf $(VENV) .venv-lsdb .venv-lsdb-oldest .venv-oldest .venv-newest .venv-release .venv-audit sbom.json build dist demo docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
