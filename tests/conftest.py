"""The contract's replicas need a processor in two before any test starts a backend."""

import keras_dlparts.testing  # noqa: F401
