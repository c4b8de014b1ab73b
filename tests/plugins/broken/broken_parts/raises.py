"""A part whose module fails while it is imported."""

import keras

raise RuntimeError("the licence server does not answer")


class Raises(keras.layers.Layer):
    """Is never reached."""
