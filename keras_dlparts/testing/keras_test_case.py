"""Keras' own test of a layer, which is not public: the one place that reaches it."""

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
