"""Configs: a file or a dict -> a compiled model."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from keras_dlparts.config.experiment import Experiment, load

if TYPE_CHECKING:
    import keras


def build(
    config: str | os.PathLike | dict,
    sets: Sequence[str] = (),
    *,
    model: "keras.Model | Callable[[], keras.Model] | None" = None,
) -> "keras.Model":
    """Build and compile the model that a config describes.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself. In a dict,
            layers, optimizers, losses and other objects of Keras may stand where parts
            stand.
        sets: texts such as `"optimizer.learning_rate=3e-4"` that override it.
        model: a model of your own, not compiled yet, or a function that makes one; in
            place of the config's `model:`, which says how to compile it.

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

    beside = {} if model is None else {"model": model}
    return assemble(load(config, sets, beside=beside)).model
