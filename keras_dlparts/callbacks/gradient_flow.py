"""Gradient flow: how large gradients and activations are in each layer, in training.

    gradient of layer l     || dL/dW_l ||                 over all its weights
    activation of layer l   sqrt(mean h_l^2)              over batch and units

Both of the training loss on the batch of the step at hand, in training mode, before
the step. A net whose gradients vanish or explode shows it as a slope over the layers.
Keras compiles the measurement as it compiles a training step: a second model shares
the layers, and its optimizer writes down the gradients' norms instead of stepping.
Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
neural networks".
"""

import contextlib
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend, graphs
from keras_dlparts.backend import keras_private
from keras_dlparts.callbacks.measuring import Measuring
from keras_dlparts.data.source import Source

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
    weights, a block being one layer; their names are in `layers`. Activations are
    noted for Sequential and Functional models only. A run of `dlparts train` has the
    notes as `gradient_flow.csv`.

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
                self._probe = _Probe(self.model)
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
            # Without activations, as of a subclassed model, there are no such columns.
            for layer, values in zip(self.layers, by_layer, strict=False):
                columns[f"{kind}:{layer}"] = values
        return {"gradient_flow": columns}

    def figures(self, run):
        """The norms by layer and step, as pictures and as a table of the last ones."""
        if not self.history["step"]:
            return {}
        with_activations = bool(self.history["activation"][0])
        found = {}
        with contextlib.suppress(ImportError):  # without matplotlib only the table
            found["Gradient norm by layer"] = heat_map(self, "gradient")
            if with_activations:
                title = "Activation (root mean square) by layer"
                found[title] = heat_map(self, "activation")
        last = [self.history["gradient"][-1]]
        names = ["gradient norm"]
        if with_activations:
            last.append(self.history["activation"][-1])
            names.append("activation rms")
        found[f"At step {self.history['step'][-1]}"] = [
            {"layer": layer, **{n: f"{v:.3g}" for n, v in zip(names, row, strict=True)}}
            for layer, *row in zip(self.layers, *last, strict=True)
        ]
        return found


def heat_map(flow, what):
    """A Figure of one kind of norm: layers downwards, steps to the right."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    values = np.asarray(flow.history[what], "float64").T
    finite = values[np.isfinite(values) & (values > 0)]
    low, high = (finite.min(), finite.max()) if finite.size else (1e-3, 1.0)
    # At least a factor of ten, so that small differences do not look like large ones.
    middle = math.sqrt(low * high)
    low, high = min(low, middle / math.sqrt(10)), max(high, middle * math.sqrt(10))
    count = len(flow.layers)
    figure = Figure(figsize=(7, min(10, 1.4 + 0.22 * count)), layout="constrained")
    axes = figure.add_subplot()
    steps = flow.history["step"]
    edges = [*steps, steps[-1] + flow.every]
    mesh = axes.pcolormesh(
        edges,
        np.arange(count + 1),
        np.clip(np.nan_to_num(values, nan=high, posinf=high), low, high),
        norm=LogNorm(low, high),
        cmap="viridis",
        rasterized=True,
    )
    axes.invert_yaxis()
    shown = [*range(0, count, max(1, math.ceil(count / 40)))]
    axes.set_yticks([i + 0.5 for i in shown], [flow.layers[i] for i in shown], size=7)
    axes.set_xlabel("step")
    figure.colorbar(mesh, ax=axes)
    return figure


class _Norms(keras.optimizers.Optimizer):
    """Writes down the squares of the gradients' norms, and leaves the weights."""

    def __init__(self):
        super().__init__(learning_rate=0.0, name="norms")

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.squares = [
                self.add_variable((), dtype="float32", name=f"square_{i}")
                for i, _ in enumerate(variables)
            ]

    def update_step(self, gradient, variable, learning_rate):
        gradient = ops.cast(ops.convert_to_tensor(gradient), "float32")
        square = self.squares[keras_private.variable_index(self, variable)]
        self.assign(square, ops.sum(ops.square(gradient)))


class _Probe(keras.Model):
    """A model with another's layers, whose training step only measures."""

    def __init__(self, model):
        super().__init__(name="gradient_flow")
        measured = [layer for layer in model.layers if layer.trainable_weights]
        self.measured = measured
        self.net, self.activations = model, None
        hidden = graphs.outputs(model) if graphs.has_graph(model) else {}
        if hidden:
            plain = isinstance(model, keras.Sequential)
            x = model.inputs[0] if plain else model.input
            y = model.outputs[0] if plain else model.output
            self.net = keras.Model(x, [y, [hidden[id(one)][0] for one in measured]])
            self.activations = self.add_weight(
                shape=(len(measured),),
                initializer="zeros",
                trainable=False,
                name="activations",
            )
        self.compile(
            _Norms(),
            model.loss,
            loss_weights=model.get_compile_config().get("loss_weights"),
            jit_compile=model.jit_compile,
            run_eagerly=model.run_eagerly,
            auto_scale_loss=False,
        )

    def call(self, inputs, training=None):
        if self.activations is None:
            return self.net(inputs, training=training)
        outputs, hidden = self.net(inputs, training=training)
        hidden = [ops.cast(h, "float32") for h in hidden]
        self.activations.assign(
            ops.stack([ops.sqrt(ops.mean(ops.square(h))) for h in hidden])
        )
        return outputs

    def measure(self, x, y=None, sample_weight=None):
        """(gradient norms, activation sizes), lists of a number a layer."""
        self.train_on_batch(x, y, sample_weight)
        squares = {
            id(variable): float(ops.convert_to_numpy(square))
            for variable, square in zip(
                self.trainable_variables, self.optimizer.squares, strict=True
            )
        }
        gradients = [
            math.sqrt(sum(squares[id(v)] for v in layer.trainable_weights))
            for layer in self.measured
        ]
        if self.activations is None:
            return gradients, []
        sizes = ops.convert_to_numpy(self.activations)
        return gradients, [float(size) for size in sizes]
