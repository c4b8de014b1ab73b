"""Dropout's noise projected into input space: what input would have done the same?

    g_i(x)     what comes out of the i-th dropout layer, nothing dropped
    g~_i(x)    the same in one pass in which all of them drop
    x*_i       = argmin_z || g_i(z) - g~_i(x) ||^2          one for each layer i
    residual   = || g_i(x*_i) - g~_i(x) || / || g_i(x) - g~_i(x) ||

Each x*_i starts at x, where the residual is 1; at 0 it explains the dropped activation
wholly. The x*_i of all layers and samples are found together, by gradient steps on one
large batch. Each steps in a unit of its own, so that one learning rate serves all:
along its first gradient d the step that is best where g_i is linear, with J its slope,
is ||d||^2 / (2 ||J d||^2).
One x* for all layers at once would have to meet every mask, which for drop rate p, d
units and a share s of them active has probability (1 - p)^(d s).
Bouthillier et al. 2015, "Dropout as data augmentation", arXiv:1506.08700.
"""

import random
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.analysis import dropping
from keras_dlparts.backend import feeding, keras_private
from keras_dlparts.support.checks import check_count
from keras_dlparts.support.progress import tracked


class Projection(NamedTuple):
    """What `project_noise` finds: a dict by layer's name each."""

    inputs: dict
    residual: dict


def project_noise(
    model: keras.Model,
    x: Any,
    layers: Sequence[str | keras.layers.Layer] | None = None,
    steps: int = 300,
    optimizer: str | keras.optimizers.Optimizer | None = None,
    batch_size: int = 1024,
    seed: int | None = None,
    verbose: Literal["auto", 0, 1] = "auto",
) -> Projection:
    """Find the inputs that lead a net where dropout led it.

    Masks are drawn once for every sample. Then for each dropout-like layer an input
    x* is searched whose clean activation there is the dropped one. The model is left
    as it was.

    Args:
        model: A built `keras.Model` with dropout-like layers (`monte_carlo` says which
            those are) and one input of floats.
        x: Array of inputs.
        layers: Optional list of layers, or of their names, whose noise to project; a
            layer inside a recurrent cell cannot be looked at, the recurrent one can.
        steps: Integer. How many gradient steps.
        optimizer: A Keras optimizer for the inputs, or its name; a learning rate of 1
            is each sample's best first step. By default `SGD(0.2)`: of the searches
            that were tried on nets of the digits and of MNIST it ended nearest to x
            at a residual as low. Momentum passes the nearest solution and goes on.
        batch_size: Integer. How many samples at once, each of them for all layers.
        seed: Optional integer, for masks that repeat.
        verbose: `"auto"` or 1 to report progress on standard error, 0 for silence.

    Returns:
        `(inputs, residual)`, a named tuple of two dicts with an entry for each layer:
        the x*, an array like x, and the residual of each sample.

    Example:

    >>> net = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)]
    >>> model = keras.Sequential(net)
    >>> x = np.random.default_rng(0).normal(size=(5, 4))
    >>> found = project_noise(model, x, layers=[model.layers[-1]], seed=1)
    >>> (residual,) = found.residual.values()
    >>> bool((residual < 0.1).all())  # 4 inputs can reach any 3 outputs
    True
    """
    check_count("steps", steps)
    check_count("batch_size", batch_size)
    if not feeding.is_arrays(x) or len(keras.tree.flatten(x)) != 1:
        raise TypeError(
            "`x` must be one array of inputs: it is what moves. "
            f"Received: {type(x).__name__}"
        )
    x = np.asarray(ops.convert_to_numpy(x), "float32")
    if not len(x):
        raise ValueError("`x` must hold at least one sample. Received: none")
    found = dropping.find(model, layers)
    drawn, clean = _Hidden(model, found, True), _Hidden(model, found, False)
    parts = []
    with backend.unmoved(model):
        dropping.reseed(model, random.getrandbits(32) if seed is None else seed)
        batches = [*feeding.inputs(x, batch_size)]
        for batch in tracked(batches, "noise as inputs", verbose):
            targets = drawn.predict_on_batch(batch)
            _check_samples(targets, batch)
            search = _Search(batch, targets, clean)
            search.compile(_fresh(optimizer), loss=None)
            search.set_units(clean)
            search.fit(np.zeros((steps, 1)), batch_size=1, shuffle=False, verbose=0)
            star = search.star()
            at_first = _distances(clean.predict_on_batch(batch), targets)
            left = _distances(_own(clean, star), targets)
            parts.append((star, left / np.maximum(at_first, 1e-12)))
    names = drawn.names
    stars, residuals = (np.concatenate(a, axis=1) for a in zip(*parts, strict=True))
    return Projection(*(dict(zip(names, a, strict=True)) for a in (stars, residuals)))


def _fresh(optimizer):
    """An optimizer that has no variables yet."""
    if optimizer is None:
        return keras.optimizers.SGD(0.2)
    optimizer = keras.optimizers.get(optimizer)
    return type(optimizer).from_config(optimizer.get_config())


def _check_samples(targets, x):
    for target in targets:
        if len(target) != len(x):
            raise ValueError(
                "`layers` must be called on the batch as it is. Received: one whose "
                f"outputs have shape {target.shape} for {len(x)} samples; take the "
                "layer around it"
            )


class _Hidden(keras.Model):
    """What comes out of some layers of a model, which drop or do not."""

    def __init__(self, net, layers, drop):
        super().__init__(name="hidden", dtype="float32")
        self.net, self.watched, self.drop = net, layers, drop
        self.run_eagerly = net.run_eagerly
        self.names = []

    def call(self, inputs, training=False):
        seen = []

        def watch(layer, call):
            def watched(*arguments, **more):
                if self.drop and keras_private.takes_training(layer):
                    more["training"] = True
                outputs = call(*arguments, **more)
                first = keras.tree.flatten(outputs)[0]
                seen.append((layer.name, first))
                return outputs

            return watched

        with backend.intercepted(self.watched, watch):
            self.net(inputs)
        times = [name for name, _ in seen]
        self.names = [
            name if times.count(name) == 1 else f"{name} ({times[:i].count(name) + 1})"
            for i, name in enumerate(times)
        ]
        return [outputs for _, outputs in seen]


class _Search(keras.Model):
    """The inputs x + unit * z of (layers, batch, ...), z being the only weights."""

    def __init__(self, x, targets, clean):
        super().__init__(name="search", dtype="float32")
        self.start = np.stack([x] * len(targets))
        self.goals = [ops.convert_to_tensor(t.astype("float32")) for t in targets]
        # In a function: Keras must not take the model's weights for this one's.
        self.hidden = lambda x: clean(x, training=False)
        self.z = self.add_weight(shape=self.start.shape, initializer="zeros", name="z")
        self.unit = self.add_weight(
            shape=self.start.shape[:2] + (1,) * (x.ndim - 1),
            initializer="ones",
            trainable=False,
            name="unit",
        )

    def set_units(self, clean):
        """unit^2 = ||d||^2 / (2 ||J d||^2), with J d from a small step along d."""
        zeros = np.zeros((1, 1), "float32")
        _, (d,) = backend.gradient(self, zeros, None)
        d = _by_sample(ops.convert_to_numpy(d))
        length = np.linalg.norm(d, axis=-1, keepdims=True)
        # Small against x, and large enough for float32.
        step = 1e-2 * (np.linalg.norm(_by_sample(self.start), axis=-1).mean() or 1.0)
        along = step * d / np.maximum(length, 1e-30)
        there = self.start + along.reshape(self.start.shape)
        bend = _distances(_own(clean, there), _own(clean, self.start)) / step
        unit = np.where(bend > 0, np.sqrt(0.5) / np.maximum(bend, 1e-30), 0)
        self.unit.assign(unit.reshape(self.unit.shape))

    def star(self):
        return self.start + self.unit.numpy() * self.z.numpy()

    def call(self, inputs):
        unit, z = ops.convert_to_tensor(self.unit), ops.convert_to_tensor(self.z)
        x = ops.convert_to_tensor(self.start) + unit * z
        count, batch = self.start.shape[:2]
        found = self.hidden(ops.reshape(x, (count * batch, *self.start.shape[2:])))
        for i, (h, goal) in enumerate(zip(found, self.goals, strict=True)):
            # All rows went through the whole net; these are the i-th layer's own.
            own = h[i * batch : (i + 1) * batch]
            self.add_loss(ops.sum(ops.square(ops.cast(own, "float32") - goal)))
        return inputs


def _by_sample(arrays):
    """(layers, batch, elements)."""
    return arrays.reshape(*arrays.shape[:2], -1)


def _own(clean, star):
    """What comes out of each layer of its own inputs, each by itself."""
    return [clean.predict_on_batch(x)[i] for i, x in enumerate(star)]


def _distances(found, targets):
    """|| h - goal || of each layer and sample: (layers, batch)."""
    pairs = zip(found, targets, strict=True)
    off = [h.astype("float64") - goal.astype("float64") for h, goal in pairs]
    return np.stack([np.linalg.norm(d.reshape(len(d), -1), axis=1) for d in off])
