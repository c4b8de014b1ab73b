"""Gradient flow: how large gradients and activations are in each layer, in training.

    gradient of layer l     || dL/dW_l ||                 over all its weights
    activation of layer l   sqrt(mean h_l^2)              over batch and units

Both of the training loss on the batch of the step at hand, in training mode, before
the step. A net whose gradients vanish or explode shows it as a slope over the layers.
Keras compiles the measurement as it compiles a training step: a second model calls the
first, and its optimizer writes down the gradients' norms instead of stepping.
Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
neural networks".
"""

import contextlib
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.callbacks.heat_map import heat_map
from keras_dlparts.callbacks.measuring import Measuring
from keras_dlparts.data.source import Source
from keras_dlparts.watched import first_pass, watched_pass

CASES = {
    "GradientFlow": (
        {
            "arguments": lambda folder: {
                "every": 1,
                "data": (np.ones((8, 3), "float32"), np.ones((8, 1), "float32")),
            },
        },
    )
}


class GradientFlow(Measuring):
    """Notes the size of gradients and activations of every layer as training goes.

    It measures on the batch of the step at hand, which `dlparts train` hands over.
    With a plain `fit` give a batch: Keras shows callbacks none. The training itself
    stays as it is, random draws and moving averages included. A measurement costs
    about a training step, and the first one compiles it.

    The notes are in `history`: `step`, and a list over the layers for each step in
    `gradient` and `activation`. The layers are those of the model with trainable
    weights, a block being one layer; their names are in `layers`. The activation of a
    layer that is called several times is that of its first call; of one that is called
    within a loop it cannot be seen, and is nan. A run of `dlparts train` has the notes
    as `gradient_flow.csv`.

    Args:
        every: Integer, `>= 1`. Measure each `every` steps.
        data: What to measure on: a batch `(x, y)` or `(x, y, sample_weight)`; a
            `tf.data.Dataset`, `DataLoader`, `PyDataset` or other iterable of batches,
            or a function that makes one; a data source; or a split of the run's data
            by name. None for the batch of the step, which `dlparts train` hands over
            and a plain `fit` does not.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    >>> flow = GradientFlow(every=2, data=(x, y))
    >>> _ = model.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[flow])
    >>> flow.history["step"]
    [0, 2, 4, 6]
    """

    between_calls = True

    def __init__(self, every: int = 100, data: Source | str | Any | None = None):
        super().__init__(every, data)
        self._forget()

    def _forget(self):
        self._probe = None
        self.layers = []
        self.history = {"step": [], "gradient": [], "activation": []}

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._forget()

    def on_train_batch_begin(self, batch, logs=None):
        if not self.due(batch):
            return
        with backend.unmoved(self.model):
            data = self.data_of(batch)
            if self._probe is None:
                self._probe = _Probe(self.model, data[0])
            gradients, activations = self._probe.measure(*data)
        self.layers = [layer.name for layer in self._probe.measured]
        self.history["step"].append(self.past + batch)
        self.history["gradient"].append(gradients)
        self.history["activation"].append(activations)

    def measurements(self):
        """A row a step, which `dlparts train` writes as gradient_flow.csv."""
        columns = {"step": self.history["step"]}
        for kind in ("gradient", "activation"):
            by_layer = zip(*self.history[kind], strict=True)
            for layer, values in zip(self.layers, by_layer, strict=True):
                columns[f"{kind}:{layer}"] = values
        return {"gradient_flow": columns}

    def figures(self, run):
        """The norms by layer and step, as pictures and as a table of the last ones."""
        if not self.history["step"]:
            return {}
        found = {}
        with contextlib.suppress(ImportError):  # without matplotlib only the table
            for kind, title in (
                ("gradient", "Gradient norm by layer"),
                ("activation", "Activation (root mean square) by layer"),
            ):
                values = np.array(self.history[kind], "float64").T
                steps = self.history["step"]
                found[title] = heat_map(self.layers, steps, self.every, values)
        last = [self.history[kind][-1] for kind in ("gradient", "activation")]
        names = ["gradient norm", "activation rms"]
        found[f"At step {self.history['step'][-1]}"] = [
            {"layer": layer, **{n: f"{v:.3g}" for n, v in zip(names, row, strict=True)}}
            for layer, *row in zip(self.layers, *last, strict=True)
        ]
        return found


class _Norms(keras.optimizers.Optimizer):
    """Writes down the squares of the gradients' norms, and leaves the weights."""

    def __init__(self):
        super().__init__(learning_rate=0.0, name="norms")
        self.scale = self.add_variable((), "ones", "float32", name="scale")

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.squares = [
                self.add_variable((), dtype="float32", name=f"square_{i}")
                for i, _ in enumerate(variables)
            ]

    def scale_loss(self, loss):
        return loss * ops.cast(self.scale, loss.dtype)

    def update_step(self, gradient, variable, learning_rate):
        gradient = ops.cast(backend.dense(gradient), "float32") / self.scale
        square = self.squares[keras_private.variable_index(self, variable)]
        self.assign(square, ops.sum(ops.square(gradient)))


class _Probe(keras.Model):
    """A model that calls another one, and whose training step only measures."""

    def __init__(self, model, x):
        super().__init__(name="gradient_flow")
        self.net = model
        self.measured = [layer for layer in model.layers if layer.trainable_weights]
        calls, around = first_pass(model, x)
        self.keys = {call.key for call in (*calls, *around)}
        self.activations = self.add_weight(
            shape=(len(self.measured),),
            initializer="zeros",
            trainable=False,
            name="activations",
        )
        self.compile(
            _Norms(),
            jit_compile=model.jit_compile,
            run_eagerly=model.run_eagerly,
            auto_scale_loss=False,
        )

    def call(self, inputs, training=None):
        def run():
            return self.net(inputs, training=training)

        made, calls, around = watched_pass(self.net, run, keys=self.keys, unroll=False)
        outputs = {call.key: call.output for call in (*calls, *around)}
        sizes = [
            math.nan if h is None else ops.sqrt(ops.mean(ops.square(_float32(h))))
            for h in (outputs.get((id(layer), 0)) for layer in self.measured)
        ]
        self.activations.assign(ops.stack([_float32(size) for size in sizes]))
        return made

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        return keras_private.compute_loss(self.net, x, y, y_pred, sample_weight)

    def measure(self, x, y=None, sample_weight=None):
        """(gradient norms, activation sizes), lists of a number a layer."""

        def at(scale):
            backend.hold_copies(self.net.variables)
            self.optimizer.scale.assign(scale)
            self.train_on_batch(x, y, sample_weight)
            return [ops.convert_to_tensor(square) for square in self.optimizer.squares]

        found = backend.at_loss_scale(self.net, at)
        squares = {
            id(variable): float(ops.convert_to_numpy(square))
            for variable, square in zip(self.trainable_variables, found, strict=True)
        }
        gradients = [
            math.sqrt(sum(squares[id(v)] for v in layer.trainable_weights))
            for layer in self.measured
        ]
        sizes = ops.convert_to_numpy(self.activations)
        return gradients, [float(size) for size in sizes]


def _float32(tensor):
    return ops.cast(tensor, "float32")
