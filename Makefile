# make demo · make test · make test-all · make check · make docs
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What runs on the other backends too.
ANYWHERE = $(addprefix tests/,contracts layers optimizers training test_backend.py)
FAST = -m "not slow and not study"
QUICK_JAX = JAX_DISABLE_MOST_OPTIMIZATIONS=1 \
	JAX_COMPILATION_CACHE_DIR=$(abspath $(VENV))/jax \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

.PHONY: demo test test-all test-more test-studies check docs clean

# Each stamp stands for an install; a later call installs nothing again.
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
	$(PIP) --editable '.[cpu,tune,plot,tfds,dev]'
	touch $(VENV)/.demo $@

$(VENV)/.all: $(VENV)/.test
	@echo "installing JAX and PyTorch for the other backends (once)"
	$(PIP) --editable '.[jax]' '$(TORCH)'
	touch $@

demo: $(VENV)/.demo
	@$(BIN)/dlparts train examples/digits.yaml

# At most 8 minutes on two cores, however many parts come.
test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n 2 $(FAST)

# Everything: also kills, several processes, a browser, and the other backends.
test-all: test test-more test-studies

# JAX' tests compile thousands of small steps: less optimised, and equal ones once.
test-more: $(VENV)/.all
	$(BIN)/python -m pytest -q -n 2 -m "slow and not study"
	$(QUICK_JAX) KERAS_BACKEND=jax $(BIN)/python -m pytest -q -n 2 $(ANYWHERE) $(FAST)
	KERAS_BACKEND=torch $(BIN)/python -m pytest -q -n 2 $(ANYWHERE) $(FAST)

# Each study of the examples once, as short as it goes, and what is slow twice over.
test-studies: $(VENV)/.all
	$(BIN)/python -m pytest -q -n 2 -m study

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/lint_private.py
	$(BIN)/python docs/generate.py --check

docs: $(VENV)/.test
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist *.egg-info
