"""Configs: a file or a dict -> a compiled model."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_dlparts.config.experiment import Experiment, load

if TYPE_CHECKING:
    import keras


def build(config: str | os.PathLike | dict, sets: Sequence[str] = ()) -> "keras.Model":
    """Build and compile the model that a config describes.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself.
        sets: texts such as `"optimizer.learning_rate=3e-4"` that override it.

    Returns: a compiled `keras.Model`. Its weights repeat: the config's `seed` is
    set first.

    Example:

    >>> model = build({
    ...     "model": [{"use": "Input", "shape": [4]}, {"use": "Dense", "units": 2}],
    ...     "loss": "mse",
    ... })
    >>> model.output_shape
    (None, 2)
    """
    from keras_dlparts.config.assemble import assemble

    return assemble(load(config, sets)).model
