"""A deep Boltzmann machine, and the classifier that it may become.

    E(h_0, .., h_L) = -sum_l b_l h_l - sum_l h_(l-1) W_l h_l        h_0 = v = x
    mu_l            = sigmoid(b_l + mu_(l-1) W_l + W_(l+1) mu_(l+1))  means given v
    log p(v)       >= -E(v, mu) + H(mu) - log Z

    classifier      g_1 = sigmoid(b_1 + v W_1 + mu_2 W_2^T),  g_l = sigmoid(b_l + ..)
                    y   = W g_L + b              no activation: y are logits

`pretrain` learns machine l on the means of the machine below. Every layer but the first
and the last will be driven from both sides, so each machine is doubled where it lacks
one: the first from below, the last from above, those between them both ways.
The classifier has weights of its own that begin as those of the machine, which stays as
it is and gives mu_2 as further input: so g_l begins near mu_l.
Shapes: x (batch, ...) flattened to (batch, visible) -> mu_L (batch, units[-1]), or y
(batch, classes). Training and inference differ in the loss and in dropout.
How it learns: `layers/energy/deep_machine.py`.
Salakhutdinov & Hinton 2009, "Deep Boltzmann machines".
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy.deep_machine import DeepMachine
from keras_dlparts.layers.energy.partition import LogPartition
from keras_dlparts.layers.energy.rbm import RBM
from keras_dlparts.models.energy import greedy
from keras_dlparts.support.bounds import Count, NotNegative, Positive, Share
from keras_dlparts.support.checks import check_count, check_rate
from keras_dlparts.support.quantization import MakesLayers

CASES = {
    "DBM": (
        {
            "arguments": {
                "units": [5, 4],
                "chains": 4,
                "centering": True,
                "input_shape": (2, 3),
                "seed": 1,
            },
            "input_shape": (4, 2, 3),
            "input_dtype": "int32",
            "alone": "the units are drawn at random in every step of learning",
        },
        {
            "arguments": {
                "units": [5, 4, 3],
                "classes": 3,
                "dropout": 0.5,
                "input_shape": (6,),
                "seed": 1,
            },
            "input_shape": (4, 6),
            "input_dtype": "int32",
            "still": {"dropout": 0.0},
        },
    )
}
_LOOKED_AT = 10_000  # rows whose means are the offsets


@keras.saving.register_keras_serializable("dlparts")
class DBM(MakesLayers, keras.Model):
    """Deep Boltzmann machine: learns by plain `fit`, then classifies if asked to.

    Without `classes` it is the machine. `compile(optimizer)` needs no loss, `fit(x)`
    learns by mean field and persistent chains, and what comes out are the means of the
    last layer. The loss says little, only its gradient counts; the logs have
    `free_energy`, E(v, mu) - H(mu), which is minus the bound up to log Z. The
    validation loss is minus the pseudo-likelihood by that bound, of one flipped unit a
    row.

    With `classes` it is a classifier: `pretrain(x)` learns the machine, layer by layer
    and then as a whole, and `compile` and `fit(x, y)` fine-tune. A config does both: a
    section `pretrain:` beside `fit:`. `classifier(classes)` makes one of a machine that
    has learnt by `fit`.

    On several replicas each infers for its share of the batch, and steps its own rows
    of the chains.

    Args:
        units: List of integers, at least two: the hidden layers.
        classes: Integer, the outputs of a classifier; None for the machine itself.
        dropout: Float, `0 <= dropout < 1`, after each hidden layer of the classifier.
        k: Integer, `>= 1`. Sweeps of the chains a training step.
        chains: Integer, `>= 1`. How many persistent chains. Replicas of a strategy
            share them evenly.
        inference_steps: Integer, `>= 1`. Mean-field updates of all hidden layers.
        damping: Float, `0 <= damping < 1`: how much of an old mean an update keeps.
        centering: Whether units count from fixed offsets: 0.5, or after `pretrain` the
            means that the data gives them. Learning is then less sensitive to how often
            units are on.
        data_init: Whether `adapt(data)` sets the visible biases, and the visible
            offsets if there are any, from the data. A run of `dlparts train` calls it
            by itself, and `pretrain` does without.
        input_shape: Tuple, without the batch.
        seed: Optional integer, for weights and draws that repeat.

    Example:

    >>> import numpy as np
    >>> x = np.repeat([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], 50, axis=0)
    >>> model = DBM([4, 3], k=5, input_shape=(6,), seed=0)
    >>> histories = model.pretrain(x, epochs=5, batch_size=10)
    >>> model.compile(keras.optimizers.SGD(0.05))
    >>> history = model.fit(x, batch_size=10, epochs=10, verbose=0).history
    >>> bool(model.bound(x).mean() > -6 * np.log(2))  # better than a fair coin a unit
    True
    >>> model.classifier(2)(x).shape == (100, 2)
    True
    """

    def __init__(
        self,
        units: Sequence[int] = (500, 1000),
        classes: int | None = None,
        dropout: float = 0.0,
        k: int = 1,
        chains: int = 100,
        inference_steps: int = 10,
        damping: float = 0.0,
        centering: bool = False,
        data_init: bool = False,
        input_shape: Sequence[int] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        several = isinstance(units, list | tuple) and len(units) > 1
        if not several or not all(isinstance(u, int) and u > 0 for u in units):
            raise ValueError(
                "`units` must be a list of integers >= 1, at least two. "
                f"Received: units={units!r}. With a single hidden layer it is "
                "`layers.RBM`"
            )
        if classes is not None:
            check_count("classes", classes)
        check_rate("dropout", dropout)
        super().__init__(**kwargs)
        self.units = list(units)
        self.classes = classes
        self.dropout = dropout
        self.given_shape = None if input_shape is None else tuple(input_shape)
        self.seed = seed
        self._options = {
            "units": self.units,
            "k": k,
            "chains": chains,
            "inference_steps": inference_steps,
            "damping": damping,
            "centering": centering,
            "data_init": data_init,
        }
        self.flatten = keras.layers.Flatten(dtype=self.dtype_policy)
        self.machine = DeepMachine(
            **self._options,
            learns=classes is None,
            seed=seed,
            name="machine",
            dtype=self.dtype_policy,
        )
        self.hidden, self.drops, self.head = [], [], None
        if classes is not None:
            self.hidden = [self._dense(u, "sigmoid", i) for i, u in enumerate(units)]
            for i, _ in enumerate(units):
                drop = keras.layers.Dropout(
                    dropout, seed=self._seed(100 + i), dtype=self.dtype_policy
                )
                self.drops.append(backend.own_draws(drop))
            self.head = self._dense(classes, None, 200)
        if input_shape is not None:
            self.build((None, *input_shape))

    def _seed(self, i):
        return None if self.seed is None else self.seed + i

    def _dense(self, units, activation, i):
        initializer = keras.initializers.GlorotUniform(self._seed(i))
        return keras.layers.Dense(
            units,
            activation,
            kernel_initializer=initializer,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        if self.built:
            return
        visible = math.prod(input_shape[1:])
        self.flatten.build(input_shape)
        self.machine.build((None, visible))
        size = visible + self.units[1]
        for layer in self.hidden:
            layer.build((None, size))
            size = layer.units
        if self.head is not None:
            self.head.build((None, size))
        self.built = True
        self.quantize_again()

    def made(self):
        return [*self.hidden, *([self.head] if self.head else [])]

    def call(self, inputs, training=None):
        v = self.flatten(inputs)
        means = self.machine(v, training=training)
        if self.head is None:
            return means[:, -self.units[-1] :]
        second = means[:, self.units[0] : self.units[0] + self.units[1]]
        h = ops.concatenate([ops.cast(v, second.dtype), second], axis=1)
        for layer, drop in zip(self.hidden, self.drops, strict=True):
            h = layer(h)
            if self.dropout:
                h = drop(h, training=training)
        return self.head(h)

    def pretrain(
        self,
        x: Any,
        epochs: int = 10,
        batch_size: int = 100,
        learning_rate: Positive = 0.1,
        momentum: Share = 0.5,
        k: Count = 1,
        persistent: bool = False,
        data_init: bool = False,
        fit: Callable | None = None,
        joint_epochs: NotNegative | None = None,
        joint_learning_rate: Positive = 0.01,
        **options,
    ) -> list[dict[str, list[float]]]:
        """Learn a machine for each layer, one on another, and then all of them as one.

        Args:
            x: Array `(rows, ...)`.
            epochs: Integer, `>= 0`. Of each layer's machine.
            batch_size: Integer, `>= 1`.
            learning_rate: Float, of SGD, for the layers' machines.
            momentum: Float, of SGD.
            k: Integer, `>= 1`. Gibbs steps of contrastive divergence.
            persistent: Whether the Gibbs chains go on from batch to batch.
            data_init: Whether each machine's visible biases start from the rates of
                the data that it learns on.
            fit: A function `(model, x, epochs, batch_size, number) -> history` that
                trains; None for Keras' own `fit`. The machine as a whole has the last
                number.
            joint_epochs: Integer, `>= 0`. Of the machine as a whole. None: for a
                classifier as many as `epochs`, else 0, for `fit` does that.
            joint_learning_rate: Float, of SGD, for the machine as a whole.
            **options: Of `layers.RBM`, for the layers' machines.

        Returns: a list of histories, a dict of lists for each machine.
        """
        if not self.built:
            self.build((None, *np.shape(x)[1:]))
        x, histories = greedy.flat(x), []
        greedy.check_chances(x)
        options |= {"k": k, "persistent": persistent, "data_init": data_init}
        fit = fit or greedy.fit
        seeds = greedy.seeds(len(self.units) + 1, self._seed(400))
        h, parts = x, []
        for i, units in enumerate(self.units):
            machine, rbm = self._doubled(i, h.shape[1], units, seeds[i], options)
            rbm.adapt(_twice(h) if i == 0 else h)
            machine.compile(keras.optimizers.SGD(learning_rate, momentum))
            histories.append(fit(machine, h, epochs, batch_size, i))
            parts.append(self._halved(i, rbm))
            if i + 1 < len(self.units):
                h = greedy.through([machine], h)
        self._compose(parts, x)
        if joint_epochs is None:
            joint_epochs = 0 if self.classes is None else epochs
        if joint_epochs:
            whole = DeepMachine(**self._options, seed=seeds[-1])
            model = keras.Sequential([keras.Input((x.shape[1],)), whole])
            whole.copy(self.machine)
            model.compile(keras.optimizers.SGD(joint_learning_rate, momentum))
            number = len(self.units)
            histories.append(fit(model, x, joint_epochs, batch_size, number))
            self.machine.copy(whole)
        self.recognize()
        return histories

    def _doubled(self, i, below, units, seed, options):
        """(model, RBM) of layer i, with two tied copies of its free side."""
        last = i + 1 == len(self.units)
        if i == 0:
            rbm = RBM(units, seed=seed, kernel_constraint=_Tied(0), **options)
            copies = [keras.layers.Concatenate()]
        else:
            more = {"units": 2 * units, "kernel_constraint": _Tied(1)} if last else {}
            rbm = RBM(**{"units": units, "seed": seed, **more, **options})
            copies = []
        inputs = keras.Input((below,))
        h = copies[0]([inputs, inputs]) if copies else inputs
        return keras.Model(inputs, rbm(h)), rbm

    def _halved(self, i, rbm):
        """(W, b, c) of a layer, of what its doubled machine has learnt."""
        W, b, c = (
            ops.convert_to_numpy(w)
            for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias)
        )
        if i == 0:
            return np.mean(np.split(W, 2), 0), np.mean(np.split(b, 2), 0), c
        if i + 1 < len(self.units):
            return W / 2, b, c
        return np.mean(np.split(W, 2, 1), 0), b, np.mean(np.split(c, 2), 0)

    def _compose(self, parts, x):
        """Be the machine of all layers; one that two machines share has both's mean."""
        kernels, below, above = zip(*parts, strict=True)
        between = [(c + b) / 2 for c, b in zip(above[:-1], below[1:], strict=True)]
        biases = [below[0], *between, above[-1]]
        self.machine.take(kernels, biases)
        if self._options["centering"]:
            some = x[:: math.ceil(len(x) / _LOOKED_AT)]
            means = [h.mean(axis=0) for h in self.machine.means(some)]
            self.machine.take(kernels, biases, means)

    def _arrays(self):
        """Kernels and biases of the machine, without offsets, as arrays."""
        return tuple(
            [ops.convert_to_numpy(a) for a in each] for each in self.machine.plain()
        )

    def recognize(self):
        """Let a classifier's layers begin as those of its machine; `pretrain` does it.

        Without `classes` there is nothing to do.
        """
        if self.classes is None:
            return
        kernels, biases = self._arrays()
        kernels[0] = np.concatenate([kernels[0], kernels[1].T])
        for layer, W, b in zip(self.hidden, kernels, biases[1:], strict=True):
            layer.set_weights([W, b])

    def classifier(self, classes: int, dropout: float = 0.0) -> "DBM":
        """A classifier that begins as this machine, which it has a copy of.

        Args:
            classes: Integer, `>= 1`. The outputs.
            dropout: Float, `0 <= dropout < 1`, after each hidden layer.

        Returns: a `DBM` with `classes`.
        """
        self._must_be_built()
        config = {**self.get_config(), "classes": classes, "dropout": dropout}
        shape = self.given_shape or (self.machine.visible,)
        made = DBM.from_config({**config, "input_shape": shape, "name": None})
        made.machine.copy(self.machine)
        made.recognize()
        return made

    def _must_be_built(self):
        if not self.built:
            raise ValueError(
                f"DBM {self.name!r} has no weights yet. Call it on data, or give "
                "`input_shape`"
            )

    def features(self, x: Any) -> np.ndarray:
        """The means of the last hidden layer of all rows of x, `(rows, units[-1])`."""
        return self.machine.means(greedy.flat(x))[-1]

    def energy(self, states: Sequence[Any]):
        """E of each row of the layers' states `[v, h_1, .., h_L]`; shape `(rows,)`.

        Args:
            states: List of arrays, `(rows, units)` of each layer.
        """
        return self.machine.energy(states)

    def bound(self, x: Any, log_partition: float | None = None) -> np.ndarray:
        """What log p(x) is at least, in nats, for each row: -E(x, mu) + H(mu) - log Z.

        Args:
            x: Array `(rows, ...)`.
            log_partition: log Z, a number, if it is known; None to count it exactly.
        """
        free_energy = self.machine.free_energy(greedy.flat(x))
        if log_partition is None:
            log_partition = self.log_partition().value
        return -free_energy - log_partition

    def log_partition(
        self,
        method: Literal["exact", "ais"] = "exact",
        steps: int = 5000,
        chains: int = 100,
        data: Any = None,
    ) -> LogPartition:
        """log Z as `(value, deviation)`, of the machine of even against odd layers.

        Args:
            method: `"exact"` counts the states of the even layers or of the odd ones,
                at most 20 units. `"ais"` estimates it as `layers.RBM.log_partition`
                does, with the same checks and warnings.
            steps: Integer, `>= 1`. Temperatures of `"ais"`.
            chains: Integer, `>= 2`. Chains of `"ais"` from each start.
            data: Array `(rows, ...)` like what the machine learnt from, for `"ais"`.
                Give it wherever there is some.
        """
        self._must_be_built()
        data = None if data is None else greedy.flat(data)
        return self.machine.log_partition(method, steps, chains, data)

    def sample(
        self,
        n: int,
        steps: int,
        start: Any = None,
        clamp: Any = None,
        means: bool = False,
    ):
        """Visible states after Gibbs sampling, `(n, visible)`, in one compiled loop.

        Args:
            n: Integer, `>= 1`. How many chains.
            steps: Integer, `>= 1`. Gibbs steps of each: all odd layers, then all even.
            start: Array `(n, visible)` that they start from, the hidden layers at their
                means. None: states drawn from the biases alone.
            clamp: Array `(n, visible)` or `(visible,)`: the values of units that stay,
                and NaN for those that are to be completed.
            means: Whether to give the means of the last step's draws instead of these.
        """
        self._must_be_built()
        return self.machine.sample(n, steps, start, clamp, means)

    def figures(self, run):
        """Samples, the filters of the first two layers, the free energy by epoch."""
        return self.machine.figures(run)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.classes or self.units[-1])

    def get_config(self):
        return {
            **super().get_config(),
            **self._options,
            "classes": self.classes,
            "dropout": self.dropout,
            "input_shape": self.given_shape,
            "seed": self.seed,
        }


class _Tied(keras.constraints.Constraint):
    """Keeps both halves of a kernel alike, along an axis: two copies of its units."""

    def __init__(self, axis):
        self.axis = axis

    def __call__(self, W):
        first, second = ops.split(W, 2, axis=self.axis)
        mean = (first + second) / 2
        return ops.concatenate([mean, mean], axis=self.axis)


def _twice(x):
    """x beside itself, so many rows at a time."""
    for first in range(0, len(x), _LOOKED_AT):
        part = x[first : first + _LOOKED_AT]
        yield np.concatenate([part, part], axis=1)
