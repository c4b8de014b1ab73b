"""What is asked of parts on two replicas. The docstring of a check is its rule.

On TensorFlow they are a `MirroredStrategy`, on JAX a `DataParallel`, over two devices
that the processor is split into when `keras_dlparts.testing` is imported: import it
before anything makes a tensor. JAX computes on two devices what it would on one, so a
case's excuses do not hold there. PyTorch has no replicas.

A case may say `"still"`, arguments with which nothing in the part is random;
`"per_share"`, why a replica computes otherwise on its share of a batch, whereupon the
two shares are made equal; or `"alone"`, why two replicas cannot equal one device. The
last two belong into the part's docstring too.
"""

import contextlib
import functools

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend, distribute
from keras_dlparts.backend import keras_private
from keras_dlparts.distribute import jax_data_parallel, mirrored
from keras_dlparts.testing.cases import require
from keras_dlparts.testing.examples import example

_BATCH = 8
_STEPS = 3
_RATE = 0.003  # small: some models enlarge rounding errors, and more with long steps
# float32 rounds the sum of two halves otherwise than that of the whole.
_CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def split_processor():
    """Make the processor two devices, unless the backend has started."""
    if backend.name() == "tensorflow":
        mirrored.split(2)
    elif backend.name() == "jax":
        jax_data_parallel.split(2)


@functools.cache
def two_replicas():
    """A strategy of two replicas, or None on PyTorch."""
    names = {"tensorflow": "mirrored", "jax": "jax_data_parallel"}
    name = names.get(backend.name())
    return name and distribute.strategy(name, devices=2)


def two_replicas_equal_one_device(case, fit=False):
    """Two replicas that share each batch end with the weights, the losses and the
    metrics of one device, where nothing is random.

    TensorFlow would take far longer for the graphs of `fit` than for its steps, so
    they are taken without it. With `fit` it is `fit` that takes them.
    """
    reason = case.alone or case.per_share
    require(
        not reason or "replica" in (case.target.__doc__ or ""),
        f"Its case says {reason!r}. The docstring must tell what it does on replicas.",
    )
    strategy = two_replicas()
    if strategy is None:
        return
    apart = backend.name() == "tensorflow"  # each replica sees its share alone
    if case.alone and apart:
        return
    if case.still and apart:
        case = case.changed(case.still)
    one = _trained(case, distribute.strategy("none"), fit or not apart)
    two = _trained(case, strategy, fit or not apart)
    for (what, ours), (_, theirs) in zip(one, two, strict=True):
        if not np.allclose(ours, theirs, **_CLOSE):
            most = np.abs(np.subtract(ours, theirs)).max()
            require(
                False,
                f"After {_STEPS} steps {what} differs by up to {most:.3g}. If "
                "the part draws at random, name in its case the arguments that stop "
                'it, as "still": {"rate": 0.0}; if it looks at more than one sample, '
                'say so, as "per_share": "..."; or why it can never equal one device, '
                'as "alone": "...".',
            )


def _trained(case, strategy, fit):
    """[(what, its values)] after a few steps: weights, losses and metrics."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        jit = backend.name() == "jax"
        ours = example(case, _BATCH, jit_compile=jit, learning_rate=_RATE)
        model, batch = ours.model, (ours.x, ours.y)
        for callback in ours.callbacks:  # it may change the optimizer
            callback.set_model(model)
        backend.build_optimizer(model)
        if case.per_share and backend.name() == "tensorflow":
            batch = keras.tree.map_structure(_with_equal_halves, batch)
        if not (fit or ours.callbacks):
            logs = _stepped(model, batch, strategy)
    if fit or ours.callbacks:
        model.run_eagerly = not fit
        # TensorFlow's scope is for making a model only, DataParallel's for fitting too.
        plain = contextlib.nullcontext()
        with plain if backend.name() == "tensorflow" else strategy.scope():
            options = {"callbacks": ours.callbacks, "shuffle": False, "verbose": 0}
            logs = model.fit(_Steps(*batch), **options).history
        if ours.callbacks:  # what they log besides may be of one device
            logs = {"loss": logs["loss"]}
    variables = [*model.weights, *model.optimizer.variables]
    weights = [(f"the variable {v.path!r}", v.numpy()) for v in variables]
    return weights + sorted(logs.items())


def _stepped(model, batch, strategy):
    """Take the steps of `fit` by hand, on TensorFlow; the metrics in the end."""
    keras_private.build_all(model, *batch)  # makes the metrics' variables
    share = _BATCH // distribute.replicas(strategy)

    def step():
        start = int(backend.replica()[0]) * share
        rows = slice(start, start + share)
        model.train_step(keras.tree.map_structure(lambda a: a[rows], batch))

    for _ in range(_STEPS):
        step() if share == _BATCH else strategy.run(step)
    return {k: ops.convert_to_numpy(v) for k, v in model.get_metrics_result().items()}


class _Steps(keras.utils.PyDataset):
    """The same batch a few times, for which Keras traces less than for arrays."""

    def __init__(self, x, y):
        super().__init__()
        # TensorFlow's data sets take tuples for structures, and lists for tensors.
        self.batch = tuple(x) if isinstance(x, list) else x, y

    def __len__(self):
        return _STEPS

    def __getitem__(self, index):
        # Copies: on several devices TensorFlow computes in the arrays' own memory.
        return keras.tree.map_structure(np.copy, self.batch)


def _with_equal_halves(array):
    half = array[: _BATCH // 2]
    return np.concatenate([half, half])


def replicas_draw_differently(case):
    """A part that draws at random draws other numbers on each replica, and others
    again in the next step."""
    if backend.name() != "tensorflow":
        return
    with two_replicas().scope():
        if case.part.kind == "models":
            ours = example(case, _BATCH)
            part, x = ours.model, ours.x
        else:
            part, x = case.make(), case.inputs(_BATCH)
            part(x, training=False)

        def call():
            outputs = two_replicas().run(lambda: part(x, training=True))
            return [
                np.concatenate([np.ravel(ops.convert_to_numpy(y)) for y in replica])
                for replica in zip(
                    *(y.values for y in keras.tree.flatten(outputs)), strict=True
                )
            ]

        call()  # from here on a part that remembers samples has some
        (a, b), (c, d) = call(), call()
    if np.array_equal(a, c) and np.array_equal(b, d):
        return  # nothing is random
    for ours, theirs, when in ((a, b, "the same step"), (b, c, "the next step")):
        require(
            not np.array_equal(ours, theirs),
            f"Two replicas drew the same numbers in {when}. Draw with "
            "`keras_dlparts.backend.SeedGenerator`, which differs by replica.",
        )
