"""Keras' own test of a layer, which is not public: the one place that reaches it."""

import importlib
import types
import unittest
import warnings

from keras_dlparts.testing.cases import ContractError


def run_layer_test(layer_class, **options):
    """Keras' `run_layer_test`, its failures as they are."""
    try:
        from keras.src.testing import TestCase

        test = TestCase().run_layer_test
    except (ImportError, AttributeError) as error:
        import keras

        raise ContractError(
            f"Keras {keras.__version__} has moved `keras.src.testing.TestCase."
            "run_layer_test`, which is not public. Mend it in "
            f"keras_dlparts/testing/keras_test_case.py. ({error})"
        ) from error
    with warnings.catch_warnings():
        # Its own training step feeds a generator, and trains what has no weights.
        warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
        warnings.filterwarnings("ignore", message=".*not have any trainable weights")
        test(layer_class, **options)


def own_tests(module, replaced):
    """[(name, function)] of Keras' own tests in a module that its wheel ships.

    Args:
        module: its name under `keras.src.layers`, such as `"rnn.lstm_test"`.
        replaced: {name in `keras.src.layers`: the class to test in its place}.
    """
    path = f"keras.src.layers.{module}"
    tests = importlib.import_module(path)
    tests.layers = types.SimpleNamespace(**{**vars(tests.layers), **replaced})
    loader = unittest.defaultTestLoader
    return [
        (name, test_class(name).debug)
        for test_class in vars(tests).values()
        if isinstance(test_class, type) and test_class.__module__ == path
        for name in loader.getTestCaseNames(test_class)
        if not _is_skipped(getattr(test_class, name))
    ]


def _is_skipped(test):
    """Whether Keras' own marks leave a test out here: another backend, no GPU."""
    marks = getattr(test, "pytestmark", [])
    return any(mark.name == "skipif" and mark.args[0] for mark in marks)
