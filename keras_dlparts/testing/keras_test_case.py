"""Keras' own tests of layers, run on ours."""

import types
import unittest
import warnings

from keras_dlparts.backend import keras_private
from keras_dlparts.testing.cases import ContractError


def run_layer_test(layer_class, **options):
    """Keras' `run_layer_test`, its failures as they are."""
    try:
        test = keras_private.test_case()().run_layer_test
    except (ImportError, AttributeError) as error:
        import keras

        raise ContractError(
            f"Keras {keras.__version__} has moved its `TestCase.run_layer_test`, which "
            "is not public. Mend `test_case` in "
            f"keras_dlparts/backend/keras_private.py. ({error})"
        ) from error
    with warnings.catch_warnings():
        # Keras' training step is fed by a generator, and layers may have no weights.
        warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
        warnings.filterwarnings("ignore", message=".*not have any trainable weights")
        test(layer_class, **options)


def own_tests(module, replaced):
    """[(name, function)] of Keras' own tests in a module that its wheel ships.

    Args:
        module: its name in Keras' folder of layers, such as `"rnn.lstm_test"`.
        replaced: {name of a layer there: the class to test in its place}.
    """
    tests = keras_private.layer_tests(module)
    tests.layers = types.SimpleNamespace(**{**vars(tests.layers), **replaced})
    loader = unittest.defaultTestLoader
    return [
        (name, test_class(name).debug)
        for test_class in vars(tests).values()
        if isinstance(test_class, type) and test_class.__module__ == tests.__name__
        for name in loader.getTestCaseNames(test_class)
        if not _is_skipped(getattr(test_class, name))
    ]


def _is_skipped(test):
    """Whether Keras' own marks leave a test out here: another backend, no GPU."""
    marks = getattr(test, "pytestmark", [])
    return any(mark.name == "skipif" and mark.args[0] for mark in marks)
