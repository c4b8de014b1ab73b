# make demo · make test · make test-all · make check · make docs
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch
NEXT ?= keras-nightly
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The tests that also run on JAX and PyTorch.
ANYWHERE = $(addprefix tests/,contracts layers optimizers training test_backend.py \
	test_keras_private.py)
FAST = -m "not slow and not study and not long"
ELSEWHERE = -m "not slow and not study"
# XLA's optimisations take longer than what they save in a test.
QUICK_XLA = XLA_FLAGS=--xla_backend_optimization_level=0
QUICK_JAX = JAX_DISABLE_MOST_OPTIMIZATIONS=1 \
	JAX_COMPILATION_CACHE_DIR=$(abspath $(VENV))/jax \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

.PHONY: demo test test-all test-more test-studies test-next check docs clean

# A stamp is touched when its packages are installed; a later call installs nothing.
$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	@echo "installing keras_dlparts with TensorFlow for the CPU (a few minutes, once)"
	$(PIP) --editable '.[cpu,tune,plot]'
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.made
	@echo "installing what the tests need (a few minutes, once)"
	$(PIP) --editable '.[cpu,tune,plot,tfds,export,dev]'
	touch $(VENV)/.demo $@

$(VENV)/.all: $(VENV)/.test
	@echo "installing JAX and PyTorch for the other backends (once)"
	$(PIP) --editable '.[jax]' '$(TORCH)'
	touch $@

demo: $(VENV)/.demo
	@$(BIN)/dlparts train examples/digits.yaml

# This stays under 8 minutes on two cores, however many parts are added.
test: $(VENV)/.test
	$(QUICK_XLA) $(BIN)/python -m pytest -q -n 2 $(FAST)

# All tests: also those that kill, start processes or a browser, and other backends.
test-all: test test-more test-studies

# JAX' tests compile thousands of small steps: with fewer optimisations, and each equal
# one once, since what was compiled is kept in a folder.
test-more: $(VENV)/.all
	$(BIN)/python -m pytest -q -n 2 -m "(slow or long) and not study"
	$(QUICK_JAX) KERAS_BACKEND=jax $(BIN)/python -m pytest -q -n 2 $(ANYWHERE) $(ELSEWHERE)
	KERAS_BACKEND=torch $(BIN)/python -m pytest -q -n 2 $(ANYWHERE) $(ELSEWHERE)

# Each study of the examples once, as short as it can be, and tests that take minutes.
test-studies: $(VENV)/.all
	$(BIN)/python -m pytest -q -n 2 -m study

# The fast tests against the newest nightly build of Keras, in an environment of its
# own. Its files take the place of those of Keras, whose metadata stays: the package
# and TensorFlow ask for a distribution of that name.
test-next:
	$(MAKE) VENV=$(VENV)-next $(VENV)-next/.test
	rm -rf $(VENV)-next/lib/python*/site-packages/keras
	$(VENV)-next/bin/python -m pip install --quiet --pre --no-deps --upgrade \
		--force-reinstall $(NEXT)
	$(VENV)-next/bin/python -c 'import keras; print("Keras", keras.__version__)'
	$(VENV)-next/bin/python -m pytest -q -n 2 $(FAST) \
		-W "ignore:keras-dlparts was tested:UserWarning"

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/lint_private.py
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/.test
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) $(VENV)-next build dist *.egg-info
