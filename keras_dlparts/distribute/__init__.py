"""Many devices by name: the strategies are TensorFlow's and Keras' own.

    mirrored            tf.distribute.MirroredStrategy: the devices of one machine
    multi_worker        several processes or machines, on TensorFlow or JAX
    tpu                 tf.distribute.TPUStrategy, through the cluster resolver
    jax_data_parallel   keras.distribution.DataParallel: what devices JAX has
    none                one device
    auto                what the machine has

A strategy is a module of this folder with a function `strategy(...)`, whose signature
says its options. Importing this package imports no backend.
"""

import importlib
from typing import TYPE_CHECKING, Any, Literal

from keras_dlparts import static
from keras_dlparts.distribute.picking import pick
from keras_dlparts.support import progress

if TYPE_CHECKING:
    from keras_dlparts.backend import own_draws as own_draws

__all__ = ["options", "own_draws", "replicas", "strategy"]

NAMES = ("auto", "none", "mirrored", "multi_worker", "tpu", "jax_data_parallel")


def strategy(
    name: Literal[
        "auto", "none", "mirrored", "multi_worker", "tpu", "jax_data_parallel"
    ] = "auto",
    *,
    verbose: Literal["auto", 0, 1] = "auto",
    **options,
):
    """Make a strategy by its name. Build, compile and fit a model in its `scope()`.

    Args:
        name: `"mirrored"`, `"multi_worker"`, `"tpu"`, `"jax_data_parallel"`, `"none"`,
            or `"auto"` for what the machine has.
        verbose: `"auto"` or 1 to report on standard error what `"auto"` picked, and
            why; 0 for silence.
        **options: The strategy's own, such as `devices` of `"mirrored"`: see the
            module of that name in `keras_dlparts.distribute`. `"auto"` and `"none"`
            take none.

    Returns: a `tf.distribute` strategy, on JAX a `keras.distribution.DataParallel`, or
        for `"none"` an object whose `scope()` does nothing.

    Raises:
        ValueError: the name is unknown, the backend another, an option wrong, or a
            device absent.

    Example:

    >>> one = strategy("none")
    >>> with one.scope():
    ...     pass
    >>> replicas(one)
    1
    """
    if name not in NAMES:
        raise ValueError(
            f"`name` must be one of {', '.join(map(repr, NAMES))}. Received: {name!r}"
        )
    if name == "auto":
        if options:
            raise ValueError(
                "'auto' takes no options: which strategy takes them is not known yet. "
                f"Received: {', '.join(options)}. Name the strategy, or leave them out"
            )
        name, why = pick()
        progress.news(verbose)(f"distribute: auto is {name}: {why}")
    known = _options(name)
    if unknown := [option for option in options if option not in known]:
        raise ValueError(
            f"{name!r} takes the options {', '.join(known) or '(none)'}. Received: "
            f"{', '.join(unknown)}"
        )
    module = importlib.import_module(f"keras_dlparts.distribute.{name}")
    return module.strategy(**options)


def options(name: str) -> dict[str, str | None]:
    """{option: its default as source, None if required} of a strategy.

    >>> options("mirrored")
    {'devices': 'None'}
    """
    if name == "auto":
        return {}
    return dict(static.describe(f"keras_dlparts.distribute.{name}:strategy").arguments)


_options = options  # `strategy` has an argument of this name


def __getattr__(name):
    if name == "own_draws":  # imported late, because it imports Keras
        return importlib.import_module("keras_dlparts.backend").own_draws
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def replicas(strategy: Any) -> int:
    """Among how many devices a strategy shares each batch.

    >>> replicas(strategy("none"))
    1
    """
    mesh = getattr(strategy, "device_mesh", None)  # keras.distribution's
    return strategy.num_replicas_in_sync if mesh is None else mesh.devices.size


def __dir__():
    return __all__
