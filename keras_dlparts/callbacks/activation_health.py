"""Activation health: dead and saturated units of each layer, in training.

    flat(u)       |f'(u)| < max |f'| / 20        f the layer's activation
    s_j           mean of flat(u_j)              over the batch and all places
    saturated     mean of s_j                    where f is flat at both of its ends
    dead          mean of [s_j = 1]              where it is at one at least

u_j are the pre-activations of unit j in training mode. A dead unit has no gradient from
any sample of the batch: a ReLU that never switches on, a tanh that is always at an end.
Shapes: u (batch, ..., units) -> s (units,), a number a layer in each measurement.
Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
networks".
"""

import contextlib
import math
import warnings
from typing import Any

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from keras_dlparts import backend
from keras_dlparts.callbacks.heat_map import heat_map
from keras_dlparts.callbacks.measuring import Measuring
from keras_dlparts.data.source import Source
from keras_dlparts.support.checks import check_number
from keras_dlparts.watched import first_pass, flat_ends, watched_pass

CASES = {
    "ActivationHealth": (
        {
            "arguments": lambda folder: {
                "every": 1,
                "data": (np.ones((8, 3), "float32"), np.ones((8, 1), "float32")),
            },
        },
    )
}
# Layers that are an activation and have none.
_OWN = (kl.ReLU, kl.LeakyReLU, kl.ELU)


def flat_share(u, low, high, axis=-1):
    """s_j of pre-activations: the share where a function is flat, for each unit."""
    flat = ops.cast(ops.logical_or(u <= low, u >= high), "float32")
    axis = axis % len(u.shape)
    return ops.mean(flat, axis=[i for i in range(len(u.shape)) if i != axis])


class ActivationHealth(Measuring):
    """Notes which units of a net are dead or saturated, as training goes.

    For any model of Keras; of shared layers each call is noted. What is noted are the
    layers that apply an activation with a flat end, as `Dense(8, "relu")` or `ReLU()`;
    recurrent layers, whose cells run in a loop, are not looked into. It measures on the
    batch of the step at hand, which `dlparts train` hands over; with a plain `fit` give
    a batch. A measurement is one compiled forward pass, and training stays as it is.

    `history` has `step`, and a list over the `layers` for each step in `dead` and
    `saturated` (nan where the activation has one flat end only). `units` has s_j of the
    last measurement by layer, and `dead_since` the step from which on a unit was found
    dead each time, or -1. The logs of an epoch get `dead_units`, the share of all
    units, and `saturated`, the mean over layers. A run of `dlparts train` has all steps
    in `activation_health.csv`.

    Args:
        every: Integer, `>= 1`. Measure each `every` steps.
        limit: Float, `0 < limit <= 1`, or None. Warn, once for each layer, when so
            large a share of its units is dead or of its values saturated.
        stop: Whether training ends then, too.
        data: What to measure on: a batch `(x, y)` or `(x, y, sample_weight)`; a
            `tf.data.Dataset`, `DataLoader`, `PyDataset` or other iterable of batches,
            or a function that makes one; a data source; or a split of the run's data
            by name. None for the batch of the step, which `dlparts train` hands over
            and a plain `fit` does not.

    Example:

    >>> dead = keras.initializers.Constant(-9)
    >>> dense = keras.layers.Dense(4, "relu", bias_initializer=dead, name="hidden")
    >>> model = keras.Sequential([keras.Input((3,)), dense, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    >>> health = ActivationHealth(data=(x, y))
    >>> model.fit(x, y, verbose=0, callbacks=[health]).history["dead_units"]
    [1.0]
    >>> health.layers, health.units["hidden"]
    (['hidden'], array([1., 1., 1., 1.], dtype=float32))
    """

    columns = ("dead_units", "saturated")
    between_calls = True

    def __init__(
        self,
        every: int = 100,
        limit: float | None = None,
        stop: bool = False,
        data: Source | str | Any | None = None,
    ):
        super().__init__(every, data)
        if limit is not None:
            check_number("limit", limit, above=0, most=1)
        if stop and limit is None:
            raise ValueError(
                "`stop` needs to know when. Received: stop=True, limit=None; give a "
                "`limit`, such as 0.9"
            )
        self.limit = limit
        self.stop = stop
        self._forget()

    def _forget(self):
        self._read = None
        self.layers = []
        self.history = {"step": [], "dead": [], "saturated": []}
        self.units, self.dead_since, self.warned = {}, {}, []

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._forget()

    def on_train_batch_begin(self, batch, logs=None):
        if self.due(batch):
            self.measure(self.past + batch, self.data_of(batch)[0])

    def measure(self, step, x):
        """Note the units' state on a batch of inputs."""
        x = keras.tree.map_structure(ops.convert_to_tensor, x)
        if self._read is None:
            self._read = _Reader(self.model, x)
        shares = self._read(x)
        self.layers = [*shares]
        dead, saturated = [], []
        for name, s in shares.items():
            before = self.dead_since.get(name, np.full(len(s), -1))
            now = np.where(before < 0, step, before)
            self.dead_since[name] = np.where(s == 1, now, -1)
            dead.append(float((s == 1).mean()))
            both = self._read.both[name]
            saturated.append(float(s.mean()) if both else math.nan)
        self.units = shares
        self.history["step"].append(step)
        self.history["dead"].append(dead)
        self.history["saturated"].append(saturated)
        self._judge(step)

    def _judge(self, step):
        """Warn of layers beyond the limit, and end the training if that is asked."""
        for i, name in enumerate(self.layers if self.limit is not None else ()):
            found = []
            for kind, what in (
                ("dead", "of its units are dead"),
                ("saturated", "of its values are saturated"),
            ):
                share = self.history[kind][-1][i]
                if share >= self.limit:
                    found.append(f"{share:.0%} {what}")
            if not found:
                continue
            self.model.stop_training = self.model.stop_training or self.stop
            if name not in self.warned:
                self.warned.append(name)
                warnings.warn(
                    f"{name} at step {step}: {' and '.join(found)}, so little gradient "
                    "passes. A smaller learning rate, weights from `lsuv` or "
                    "`Critical`, a normalization before the activation or LeakyReLU "
                    "keep units in use",
                    stacklevel=2,
                )

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if logs is None or not self.history["step"]:
            return
        every = np.concatenate([s == 1 for s in self.units.values()])
        logs["dead_units"] = float(every.mean())
        saturated = np.array(self.history["saturated"][-1])
        if not np.isnan(saturated).all():
            logs["saturated"] = float(np.nanmean(saturated))

    def measurements(self):
        """A row a step, which `dlparts train` writes as activation_health.csv."""
        columns = {"step": self.history["step"]}
        for kind in ("dead", "saturated"):
            by_layer = zip(*self.history[kind], strict=True)
            for layer, values in zip(self.layers, by_layer, strict=True):
                if not np.isnan(values).all():
                    columns[f"{kind}:{layer}"] = values
        return {"activation_health": columns}

    def figures(self, run):
        """Shares by layer and step, the units one by one, and a table of the last."""
        if not self.history["step"]:
            return {}
        found, steps = {}, self.history["step"]
        with contextlib.suppress(ImportError):  # without matplotlib only the table
            for kind, title in (
                ("dead", "Dead units by layer"),
                ("saturated", "Saturated values by layer"),
            ):
                values = np.array(self.history[kind]).T
                shown = ~np.isnan(values).all(axis=1)
                names = [n for n, s in zip(self.layers, shown, strict=True) if s]
                if names:
                    found[title] = heat_map(
                        names, steps, self.every, values[shown], share=True
                    )
            found[f"Units of each layer, the flattest first, at step {steps[-1]}"] = (
                _units(self.units)
            )
        found[f"At step {steps[-1]}"] = [
            {
                "layer": name,
                "dead": f"{dead:.1%}",
                "saturated": "" if math.isnan(saturated) else f"{saturated:.1%}",
                "dead at least since": _longest(self.dead_since[name]),
            }
            for name, dead, saturated in zip(
                self.layers,
                self.history["dead"][-1],
                self.history["saturated"][-1],
                strict=True,
            )
        ]
        return found


def _longest(since):
    """The step since which the unit is dead that has been so for longest."""
    dead = since[since >= 0]
    return f"step {dead.min()}" if len(dead) else ""


def _units(units):
    """A Figure of s_j: a layer a line, its units sorted from left to right."""
    from matplotlib.figure import Figure

    at = np.linspace(0, 1, 200)
    lines = [
        np.interp(at, np.linspace(0, 1, len(s)), np.sort(s)[::-1])
        for s in units.values()
    ]
    figure = Figure(figsize=(7, min(10, 1.4 + 0.22 * len(lines))), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(
        lines, aspect="auto", vmin=0, vmax=1, cmap="magma", extent=(0, 1, len(lines), 0)
    )
    shown = [*range(0, len(lines), max(1, math.ceil(len(lines) / 40)))]
    names = [*units]
    axes.set_yticks([i + 0.5 for i in shown], [names[i] for i in shown], size=7)
    axes.set_xlabel("share of the layer's units")
    figure.colorbar(image, ax=axes, label="share of flat inputs")
    return figure


class _Reader:
    """{name of a call: s_j} of a model's layers on a batch, compiled.

    Args:
        model: A built model.
        x: A batch of inputs, for a first pass that is not compiled: it shows which
            calls can be seen.
    """

    def __init__(self, model, x):
        calls, _ = first_pass(model, x)
        ends = {}
        for call in calls:
            found = _flat_ends(call)
            if found is not None and np.isfinite(found).any():
                ends[call.key] = found
        if not ends:
            raise ValueError(
                "ActivationHealth looks at layers that apply an activation with a flat "
                f"end, as relu, tanh or gelu. Received: model {model.name!r}, in which "
                "none is seen"
            )
        noted = [call for call in calls if call.key in ends]
        self.names = [call.name for call in noted]
        self.both = {c.name: bool(np.isfinite(ends[c.key]).all()) for c in noted}

        def read(x):
            _, calls, _ = watched_pass(
                model, lambda: model(x, training=True), keys={*ends}, unroll=False
            )
            return [flat_share(_u(c), *ends[c.key], axis=_axis(c)) for c in calls]

        self.run = backend.reading(model, read)

    def __call__(self, x):
        values = map(ops.convert_to_numpy, self.run(x))
        return dict(zip(self.names, values, strict=True))


def _u(call):
    """The pre-activations of a call, or None."""
    return call.inputs if isinstance(call.layer, _OWN) else call.pre


def _flat_ends(call):
    """Where the activation of a call is flat, or None."""
    if _u(call) is None:
        return None
    return flat_ends(call.layer if isinstance(call.layer, _OWN) else call.activation)


def _axis(call):
    """The axis of the units, which an activation of its own takes from the setting."""
    form = getattr(call.layer, "data_format", None)
    if isinstance(call.layer, (kl.Activation, *_OWN)) and len(_u(call).shape) > 2:
        form = keras.config.image_data_format()
    return 1 if form == "channels_first" else -1
