"""Many steps a call: small steps on data at hand, in one compiled loop.

    flops a step  = 6 batch sum over layers of weights x places of the output
    steps a call  = 5e9 / flops a step, at most an epoch and 32 MiB of data
                    (5e11 / flops a step on an accelerator)

A call from Python costs about as much as the arithmetic of a small step, or many times
that. The rule takes nothing that a clock says, so that a run repeats: it makes a call
about a tenth of a second long on a slow processor. One step a call where a callback
looks at each batch, on PyTorch, and wherever else the backend cannot loop. A callback
that measures every n steps, and can do so between two calls, has a call begin there.

Data that take at most an eighth of the memory of JAX' accelerator are copied there
once, and the batches are cut out there. Then a call may be of any size.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_dlparts import backend, graphs
from keras_dlparts.data.batches import Batches, JoinedBatches
from keras_dlparts.support.checks import check_count

_FLOPS_A_CALL = 5e9
_FLOPS_A_CALL_ACCELERATED = 5e11
_BYTES_A_CALL = 32 * 2**20
_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


def steps_a_call(model, batches, callbacks=()):
    """How many steps a call of a compiled model's training should take.

    Args:
        model: A built and compiled `keras.Model`.
        batches: The training data.
        callbacks: The callbacks that are to see the training.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> steps_a_call(model, [np.zeros((32, 4))])  # no `Batches`
    1
    """
    looking = [
        callback
        for callback in callbacks
        if any(
            getattr(type(callback), hook) is not getattr(keras.callbacks.Callback, hook)
            for hook in _BATCH_HOOKS
        )
    ]
    looked_at = not all(getattr(each, "between_calls", False) for each in looking)
    can = type(batches) is Batches and backend.can_run_chunks(model)
    flops = _flops(model, batches.batch_size) if can and not looked_at else math.inf
    if flops == math.inf:
        return 1
    a_call = _FLOPS_A_CALL_ACCELERATED if backend.accelerators() else _FLOPS_A_CALL
    most = a_call / max(flops, 1)
    if not _can_hold(batches):
        arrays = [a for a in keras.tree.flatten(batches[0]) if a is not None]
        size = sum(array.nbytes for array in arrays)
        most = min(most, _BYTES_A_CALL / max(size, 1))
    steps = max(1, min(int(most), len(batches)))
    for each in looking:
        steps = each.every // math.ceil(each.every / steps)
    return steps


def _flops(model, batch_size):
    """About what a training step computes; infinite where that cannot be told."""
    total = 0
    for layer in graphs.leaves(model):
        weights = sum(math.prod(w.shape) for w in layer.trainable_weights)
        if not weights:
            continue
        try:
            places = [tuple(y.shape)[1:-1] for y in keras.tree.flatten(layer.output)]
        except AttributeError:  # called by a layer around it: no outputs known
            return math.inf
        if any(size is None for shape in places for size in shape):
            return math.inf
        total += weights * max(math.prod(shape) for shape in places)
    return 6 * batch_size * total


def prepared(model, batches, steps):
    """What to give `fit` as its data, the model being readied for `steps` a call."""
    model.steps_per_execution = steps
    if steps == 1 or type(batches) is not Batches or not backend.can_run_chunks(model):
        return batches
    backend.run_chunks(model, batches.batch_size)
    held = backend.hold(batches.parts()) if _can_hold(batches) else None
    return JoinedBatches(batches, steps, held)


def _can_hold(batches):
    """Whether the device holds all that the batches are cut from."""
    return batches.change is None and backend.can_hold(batches.parts())


def many_steps(
    model: keras.Model,
    x: Any,
    y: Any = None,
    batch_size: int = 32,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    shuffle: bool = True,
    sample_weight: Any = None,
    seed: int = 0,
) -> keras.utils.PyDataset:
    """Ready a compiled model for many small steps a call, and its data for `fit`.

    A call from Python costs more than the arithmetic of a small step. `fit` on what
    this returns makes the steps of `fit` on the arrays, in one compiled loop for as
    many batches as make about 5e9 operations (5e11 on an accelerator), at most an epoch
    and 32 MiB of data. To `fit` and its callbacks such a chunk is one batch. `train`
    does this by itself. JAX' accelerator holds the data, if they take an eighth of its
    memory at most, and the 32 MiB do not count there.

    It stays at one step a call on PyTorch, under a strategy of several replicas, with
    `run_eagerly`, with a `train_step` of the model's own, and where a callback looks
    at each batch. Compiling the model again ends it.

    Args:
        model: A built and compiled model.
        x: Arrays as `fit` takes them.
        y: Likewise, or None.
        batch_size: Integer, `>= 1`.
        callbacks: Those that `fit` will get.
        shuffle: Whether each epoch has an order of its own, which the seed decides.
        sample_weight: Arrays as `fit` takes them, or None.
        seed: Integer, `>= 0`, of the order.

    Returns:
        The data, to be given to `fit` in place of the arrays, with `shuffle=False`.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((64, 4), "float32"), np.ones((64, 1), "float32")
    >>> data = many_steps(model, x, y, batch_size=8)
    >>> _ = model.fit(data, epochs=5, shuffle=False, verbose=0)
    """
    for ready, how in (
        (model.built, "give it an `Input`, or call it once"),
        (model.compiled, "call `compile` before"),
    ):
        if not ready:
            raise ValueError(
                f"`model` must be built and compiled. Received: {model.name!r}, which "
                f"is not; {how}"
            )
    check_count("batch_size", batch_size, 1)
    options = {"batch_size": batch_size, "shuffle": shuffle, "seed": seed}
    batches = Batches(x, y, sample_weight=sample_weight, **options)
    return prepared(model, batches, steps_a_call(model, batches, callbacks))
