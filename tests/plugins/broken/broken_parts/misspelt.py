"""A part whose entry point has another name than it."""

import keras


class Misspelt(keras.layers.Layer):
    """Is named otherwise in pyproject.toml."""
