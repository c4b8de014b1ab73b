"""Configs: a file or a dict -> a compiled model.

What imports Keras is imported in the functions, after the config was loaded: it may
name the backend, and Keras keeps the one that it is imported with.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras_dlparts.config.experiment import Experiment, load
from keras_dlparts.support.checks import check_count

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
    experiment = load(config, sets, beside={} if model is None else {"model": model})
    from keras_dlparts.config.assemble import assemble

    return assemble(experiment).model


def plan(
    config: str | os.PathLike | dict, sets: Sequence[str] = (), replicas: int = 2
) -> dict[str, Any]:
    """What training a config on several replicas holds and moves.

    Args:
        config: path of a YAML, TOML or JSON file, or the dict itself.
        sets: texts `path=value` that override it.
        replicas: Integer, `>= 1`. Among how many each batch is shared.

    Returns: a dict of plain values: `replicas`, `batch_size` (of the config, shared by
        the replicas) and `batch_size_per_replica`, the largest share; `parameters` and
        `trainable_parameters`; bytes on each replica as `weight_bytes`,
        `gradient_bytes`, `optimizer_bytes`, `activation_bytes` and their sum
        `replica_bytes`; `activations`, the largest ten as `[layer, bytes]`;
        `wire_bytes_per_step` and `steps_per_update`; `seconds_per_step`, for each of
        `planning.LINKS` the time the wire takes.

    Example:

    >>> found = plan({
    ...     "data": {"use": "spirals", "samples": 40, "batch_size": 16},
    ...     "model": [{"use": "Dense", "units": 3}],
    ...     "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    ... }, replicas=4)
    >>> found["parameters"], found["gradient_bytes"], found["wire_bytes_per_step"]
    (9, 36, 54)
    """
    check_count("replicas", replicas)
    experiment = load(config, sets)
    from keras_dlparts.config.planning import planned

    return planned(experiment, replicas)
