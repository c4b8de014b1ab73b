"""Dropout's noise projected into input space: what input would have done the same?

    g_i(x)     what comes out of the i-th dropout layer, nothing dropped
    g~_i(x)    the same in one pass in which all of them drop
    x*_i       = argmin_z || g_i(z) - g~_i(x) ||^2          one for each layer i
    residual   = || g_i(x*_i) - g~_i(x) || / || g_i(x) - g~_i(x) ||

Each x*_i starts at x, where the residual is 1; at 0 it explains the dropped activation
wholly. The x*_i of all layers and samples are found together, by gradient steps on one
large batch. One x* for all layers at once would have to meet every mask, which for
drop rate p, d units and a share s of them active has probability (1 - p)^(d s).
Bouthillier et al. 2015, "Dropout as data augmentation", arXiv:1506.08700.
"""

import random
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend, dropping, feeding
from keras_dlparts.layers.orders import check_count


class Projection(NamedTuple):
    """What `project_noise` finds: a dict by layer's name each."""

    inputs: dict
    residual: dict


def project_noise(
    model, x, layers=None, steps=300, optimizer=None, batch_size=1024, seed=None
):
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
        optimizer: A Keras optimizer for the inputs, or its name. By default
            `Adam(0.1)` on inputs divided by their standard deviation.
        batch_size: Integer. How many samples at once, each of them for all layers.
        seed: Optional integer, for masks that repeat.

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
    scale = float(x.std()) or 1.0
    parts = []
    with backend.unmoved(model):
        dropping.reseed(model, random.getrandbits(32) if seed is None else seed)
        for batch in feeding.inputs(x, batch_size):
            targets = drawn.predict_on_batch(batch)
            _check_samples(targets, batch)
            search = _Search(batch, targets, clean, scale)
            search.compile(_fresh(optimizer), loss=None)
            search.fit(np.zeros((steps, 1)), batch_size=1, shuffle=False, verbose=0)
            star = ops.convert_to_numpy(search.star) * scale
            at_first = _distances(clean.predict_on_batch(batch), targets)
            # A layer's own inputs, each by itself.
            found = [clean.predict_on_batch(z)[i] for i, z in enumerate(star)]
            left = _distances(found, targets) / np.maximum(at_first, 1e-12)
            parts.append((star, left))
    names = drawn.names
    stars, residuals = (np.concatenate(a, axis=1) for a in zip(*parts, strict=True))
    return Projection(*(dict(zip(names, a, strict=True)) for a in (stars, residuals)))


def _fresh(optimizer):
    """An optimizer that has no variables yet."""
    if optimizer is None:
        return keras.optimizers.Adam(0.1)
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
        super().__init__(name="hidden")
        self.net, self.watched, self.drop = net, layers, drop
        self.run_eagerly = net.run_eagerly
        self.names = []

    def call(self, inputs, training=False):
        seen = []

        def watch(layer, call):
            def watched(*arguments, **more):
                if self.drop and layer._call_has_training_arg:
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
    """The inputs as the only weights: (layers, batch, ...), and their distance."""

    def __init__(self, x, targets, clean, scale):
        super().__init__(name="search")
        self.goals = keras.tree.map_structure(ops.convert_to_tensor, targets)
        self.scale = scale
        # In a function: Keras must not take the model's weights for this one's.
        self.hidden = lambda z: clean(z, training=False)
        stacked = np.stack([x] * len(targets)) / scale
        self.star = self.add_weight(
            shape=stacked.shape,
            initializer=lambda shape, dtype: ops.cast(stacked, dtype),
            name="star",
        )

    def call(self, inputs):
        star = ops.convert_to_tensor(self.star) * self.scale
        count, batch = star.shape[:2]
        found = self.hidden(ops.reshape(star, (count * batch, *star.shape[2:])))
        for i, (h, goal) in enumerate(zip(found, self.goals, strict=True)):
            # All rows went through the whole net; these are the i-th layer's own.
            own = h[i * batch : (i + 1) * batch]
            self.add_loss(ops.sum(ops.square(ops.cast(own - goal, "float32"))))
        return inputs


def _distances(found, targets):
    """|| h - goal || of each layer and sample: (layers, batch)."""
    pairs = zip(found, targets, strict=True)
    flat = [(h - goal).reshape(len(goal), -1) for h, goal in pairs]
    return np.stack([np.linalg.norm(rows.astype("float64"), axis=1) for rows in flat])
