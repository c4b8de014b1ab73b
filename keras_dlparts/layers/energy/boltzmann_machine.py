"""A Boltzmann machine on any graph, which trains inside any Keras model.

    x = (v, h)     E(x) = -b x - 1/2 x W x      x_i in {0, 1}, w_ij = w_ji, w_ii = 0
    mu_j = sigmoid(b_j + (v, mu) W_j)           mean field, in turn until it settles
    loss = mean E(v, stop(mu)) - mean E(stop(x_k))

x_k are persistent chains after k more sweeps of Gibbs sampling, so the gradient of the
loss is that of the mean-field bound log p(v) >= -E(v, mu) + H(mu) - log Z, with its
expectation over the model replaced by chains. Without hidden units it is the gradient
of log p(v).
Shapes: v (batch, visible) -> mu (batch, units). Training adds the loss; inference gives
the same output, without draws.
The graph and what is computed on it: `pairwise.py`.
Ackley, Hinton & Sejnowski 1985, "A learning algorithm for Boltzmann machines"; Peterson
& Anderson 1987, "A mean field theory learning algorithm for neural networks";
Salakhutdinov & Hinton 2009, "Deep Boltzmann machines".
"""

from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import pairwise, pairwise_partition, particles, rows
from keras_dlparts.layers.energy.partition import LogPartition
from keras_dlparts.support.checks import check_count, check_word
from keras_dlparts.support.losses import add_loss, nan_unless

_ALONE = "the units are drawn at random in every step of learning"
CASES = {
    "BoltzmannMachine": (
        {
            "arguments": {"units": 3, "chains": 4, "seed": 1},
            "input_shape": (4, 5),
            "alone": _ALONE,
            "input_dtype": "int32",
            "not_exported": {"torch onnx": "PyTorch's exporter has no `ravel`"},
        },
        {
            "arguments": {
                "units": 2,
                "chains": 4,
                "connections": "visible-hidden",
                "inference": "gibbs",
            },
            "input_shape": (4, 5),
            "alone": _ALONE,
            "input_dtype": "int32",
            "not_exported": {"torch onnx": "PyTorch's exporter has no `ravel`"},
        },
    )
}
_WORDS = ("full", "visible-hidden")
_SLACK = 1e-5  # what rounding may put a value outside [0, 1]
_MOST_HIDDEN = 16  # whose states are counted, where they are connected
_NO_CHANCES = (
    "Units of a Boltzmann machine take values in [0, 1], states or chances: scale the "
    "data"
)


@keras.saving.register_keras_serializable("dlparts")
class BoltzmannMachine(keras.layers.Layer):
    """Boltzmann machine with any connections, hidden units or none; plain `fit`.

    The loss needs no targets: `model.compile(optimizer)` without a loss and
    `model.fit(x)`. Its value says little, only its gradient counts. The validation loss
    is minus the pseudo-likelihood of the visible units, the hidden ones at their means.
    With `trainable=False` there is no loss at all.

    On several replicas each infers for its share of the batch, and steps its own rows
    of the chains, which are put together when they are read.

    Args:
        units: Integer, `>= 0`. The hidden units.
        connections: `"full"`, every unit with every other; `"visible-hidden"`, as in an
            RBM; or a symmetric matrix of 0 and 1, `(n, n)` for n = visible + units,
            the visible ones first.
        k: Integer, `>= 1`. Sweeps of the chains a training step.
        chains: Integer, `>= 1`. How many persistent chains. Replicas of a strategy
            share them evenly.
        inference: `"mean_field"` or `"gibbs"`: whether hidden units given the data have
            their means or, in training, states after as many sweeps.
        inference_steps: Integer, `>= 1`. Sweeps over the hidden units.
        kernel_initializer: Of W; None for normal draws of deviation 0.01.
        bias_initializer: Of b.
        kernel_regularizer: Of W, of which the half above the diagonal is kept.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, visible)`, values in [0, 1].
        training: Boolean. Whether to add the loss.

    Output shape: `(batch, units)`, the means of the hidden units; without hidden units
    `(batch, visible)`, the chance of each unit to be 1 given the others.

    Example:

    >>> import numpy as np
    >>> layer = BoltzmannMachine(0, seed=0)  # two units that are always alike
    >>> model = keras.Sequential([keras.Input((2,)), layer])
    >>> model.compile(keras.optimizers.SGD(0.2))
    >>> x = np.repeat([[0, 0], [1, 1]], 50, axis=0)
    >>> _ = model.fit(x, batch_size=20, epochs=30, verbose=0)
    >>> log_p = layer.log_likelihood(np.array([[0, 1], [1, 1]]))
    >>> p = np.exp(keras.ops.convert_to_numpy(log_p))
    >>> bool(p[0] < 0.1 < 0.3 < p[1])
    True

    Reference: Ackley, Hinton & Sejnowski 1985, "A learning algorithm for Boltzmann
    machines"
    """

    def __init__(
        self,
        units: int,
        connections: Literal["full", "visible-hidden"]
        | Sequence[Sequence[int]] = "full",
        k: int = 1,
        chains: int = 100,
        inference: Literal["mean_field", "gibbs"] = "mean_field",
        inference_steps: int = 10,
        kernel_initializer: str | keras.initializers.Initializer | None = None,
        bias_initializer: str | keras.initializers.Initializer = "zeros",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("units", units, 0)
        check_count("k", k)
        check_count("chains", chains)
        check_word("inference", inference, ("mean_field", "gibbs"))
        check_count("inference_steps", inference_steps)
        self.units = units
        self.connections = _checked_connections(connections)
        self.k = k
        self.chains = chains
        self.inference = inference
        self.inference_steps = inference_steps
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)

    def build(self, input_shape):
        self.visible = rows.width(self, input_shape)
        n = self.visible + self.units
        mask = _mask(self.connections, self.visible, self.units)
        blocks = sorted(pairwise.colored(mask), key=len)  # the largest is the last
        order = [i for block in blocks for i in block]
        self._order = np.array(order, "int32")
        self._place = np.argsort(order).astype("int32")
        self._sizes = tuple(map(len, blocks))
        self._hidden = self._order >= self.visible
        self._above = np.triu(mask, 1).astype("float32")
        common = {"dtype": "float32", "autocast": False}
        initializer = self.kernel_initializer
        if initializer is None:
            initializer = keras.initializers.RandomNormal(0.0, 0.01, self.seed)
        # Only what is above the diagonal counts, and it counts for both halves of W.
        self.kernel = self.add_weight(
            (n, n),
            initializer,
            regularizer=self._regularize if self.kernel_regularizer else None,
            name="kernel",
            **common,
        )
        self.bias = self.add_weight((n,), self.bias_initializer, name="bias", **common)
        self.particles, self.share = particles.variables(self.chains, n)

    def _regularize(self, kernel):
        return self.kernel_regularizer(kernel * self._above)

    def call(self, inputs, training=False):
        v = ops.cast(inputs, "float32")
        backend.require(_are_chances(v), _NO_CHANCES, v)
        W, b = self._machine()
        fixed = ops.stop_gradient(W), ops.stop_gradient(b)
        x = self._means(ops.stop_gradient(v), *fixed)
        if self.trainable:
            loss = self._loss(x, W, b) if training else self._score(x, *fixed)
            add_loss(self, loss)
        return ops.cast(self._output(x, *fixed), self.compute_dtype)

    def _machine(self):
        """W and b in the order of the blocks."""
        upper = self.kernel * self._above
        W, b = upper + ops.transpose(upper), ops.convert_to_tensor(self.bias)
        if (np.diff(self._order) == 1).all():
            return W, b
        W = ops.take(ops.take(W, self._order, axis=0), self._order, axis=1)
        return W, ops.take(b, self._order)

    def _arranged(self, v, h):
        """Visible and hidden units in the order of the blocks."""
        return ops.take(ops.concatenate([v, h], axis=1), self._order, axis=1)

    def _apart(self, x):
        """Visible and hidden units of what is in the order of the blocks."""
        x = ops.take(x, self._place, axis=1)
        return x[:, : self.visible], x[:, self.visible :]

    def _means(self, v, W, b):
        """v and the means of the hidden units, in the order of the blocks."""
        half = ops.full((ops.shape(v)[0], self.units), 0.5, dtype="float32")
        x = self._arranged(v, half)
        steps = self.inference_steps if self.units else 0
        return pairwise.mean_field(x, W, b, self._hidden, steps, sizes=self._sizes)

    def _loss(self, x, W, b):
        """The mean energy of the data less that of the chains, which go on."""
        fixed = ops.stop_gradient(W), ops.stop_gradient(b)
        seed = self.seed_generator.next()
        if self.inference == "gibbs" and self.units:
            noise = backend.draw("uniform", ops.shape(x), seed)
            x = ops.where(self._hidden, ops.cast(noise < x, "float32"), x)
            seed = self.seed_generator.next()
            x = pairwise.gibbs(
                *(x, *fixed, self._hidden, seed, self.inference_steps),
                sizes=self._sizes,
            )
            seed = self.seed_generator.next()
        chains = particles.own(self.particles, self.share)
        everywhere = np.ones(self._order.shape, bool)
        chains = pairwise.gibbs(
            *(chains, *fixed, everywhere, seed, self.k), sizes=self._sizes
        )
        particles.keep(self.particles, self.share, chains)
        # One matrix product for both, and so one in the gradient.
        energies = pairwise.energy(ops.concatenate([x, chains]), W, b)
        rows = ops.shape(x)[0]
        loss = ops.mean(energies[:rows]) - ops.mean(energies[rows:])
        return loss + nan_unless(_are_chances(x))

    def _score(self, x, W, b):
        """Minus the pseudo-likelihood of the visible units, the mean of the rows."""
        drive = b + ops.matmul(x, W)
        terms = x * ops.softplus(-drive) + (1 - x) * ops.softplus(drive)
        return ops.mean(ops.sum(ops.where(self._hidden, 0.0, terms), axis=-1))

    def _output(self, x, W, b):
        if self.units:
            return self._apart(x)[1]
        return self._apart(ops.sigmoid(b + ops.matmul(x, W)))[0]

    def energy(self, x):
        """E of each row of x, an array `(rows, visible + units)`; shape `(rows,)`."""
        rows.must_be_built(self)
        x = self._rows("x", x, self.visible + self.units)
        v, h = x[:, : self.visible], x[:, self.visible :]
        return pairwise.energy(self._arranged(v, h), *self._machine())

    def bound(self, v):
        """-E(v, mu) + H(mu) of each row of v, at most log p(v) + log Z."""
        v, machine = self._outside(v)
        x = self._means(v, *machine)
        mu = self._apart(x)[1]
        return pairwise.entropy(mu) - pairwise.energy(x, *machine)

    def free_energy(self, v):
        """F(v) = -log(sum over h of exp(-E(v, h))) of each row of v, shape `(batch,)`.

        Exact: hidden units that are connected with each other are counted, at most 16.
        """
        v, machine = self._outside(v)
        W, b = (ops.take(a, self._place, axis=0) for a in machine)
        W = ops.take(W, self._place, axis=1)
        n = self.visible
        drive = b[n:] + ops.matmul(v, W[:n, n:])
        alone = pairwise.energy(v, W[:n, :n], b[:n])
        if not self._among_hidden():
            return alone - ops.sum(ops.softplus(drive), axis=-1)
        if self.units > _MOST_HIDDEN:
            raise ValueError(
                "Hidden units that are connected with each other are counted, at most "
                f"{_MOST_HIDDEN}. Received: {self.units} hidden units. Use "
                "`bound(v)`, which -F(v) is at least"
            )
        h = rows.states(self.units).astype("float32")
        among = pairwise.energy(ops.convert_to_tensor(h), W[n:, n:], 0 * b[n:])
        each = ops.matmul(drive, ops.convert_to_tensor(h.T)) - among
        return alone - ops.logsumexp(each, axis=-1)

    def sample(
        self,
        n: int,
        steps: int,
        start=None,
        clamp=None,
        temperatures: int = 1,
        means: bool = False,
    ):
        """Visible states after sweeps of Gibbs sampling, shape `(n, visible)`.

        Args:
            n: Integer, `>= 1`. How many chains.
            steps: Integer, `>= 1`. Sweeps of each.
            start: Array `(n, visible)` that they start from. None: states drawn from
                the biases alone.
            clamp: Array `(n, visible)` or `(visible,)`: the values of units that stay,
                and NaN for those that are to be completed.
            temperatures: Integer, `>= 1`. With more than one, each chain goes on at so
                many inverse temperatures, evenly from 1 to 0, and neighbours swap their
                states: parallel tempering, for machines whose modes are far apart.
            means: Whether to give the chances of the visible units, given the last
                states of all others, instead of their states.
        """
        check_count("n", n)
        check_count("steps", steps)
        check_count("temperatures", temperatures)
        rows.must_be_built(self)
        W, b = self._machine()
        shape = (n, self.visible)
        noise = backend.draw("uniform", (n, len(self._order)), self._seed())
        x = ops.cast(noise < ops.sigmoid(b), "float32")
        v, h = self._apart(x)
        if start is not None:
            start = np.broadcast_to(ops.convert_to_numpy(start), shape)
            v = self._rows("start", start, self.visible)
        free = np.ones((n, len(self._order)), bool)
        if clamp is not None:
            held = np.broadcast_to(ops.convert_to_numpy(clamp), shape)
            given = ~np.isnan(held)
            filled = self._rows("clamp", np.where(given, held, 0), self.visible)
            v = ops.where(given, filled, v)
            free[:, self._place[: self.visible]] = ~given
        x = self._arranged(v, h)
        free = ops.convert_to_tensor(free)
        count = ops.convert_to_tensor(steps, "int32")
        if temperatures == 1:
            x = pairwise.compiled_gibbs(
                *(x, W, b, free, self._seed(), count), sizes=self._sizes
            )
        else:
            x, free = (ops.tile(a, (temperatures, 1)) for a in (x, free))
            x = pairwise.compiled_tempered(
                *(x, W, b, free, self._seed(), count),
                sizes=self._sizes,
                betas=tuple(np.linspace(1, 0, temperatures).tolist()),
            )
            free = free[:n]
        if means:
            x = ops.where(free, ops.sigmoid(b + ops.matmul(x, W)), x)
        return self._apart(x)[0]

    def log_partition(
        self,
        method: Literal["exact", "ais"] = "exact",
        steps: int = 5000,
        chains: int = 100,
        data=None,
    ) -> LogPartition:
        """log Z as `(value, deviation)`.

        An estimate of `"ais"` is too small where its chains miss what the machine
        prefers. It anneals from two machines, takes the larger estimate, and holds it
        against a bound that is certain; where that is higher, it is returned with a
        deviation of infinity, and a warning.

        Args:
            method: `"exact"` counts the states of all units but the largest block
                without connections, at most 20 units; `"ais"` estimates it by annealed
                importance sampling.
            steps: Integer, `>= 1`. Temperatures of `"ais"`.
            chains: Integer, `>= 2`. Chains of `"ais"` from each start.
            data: Array `(rows, visible)` like what the machine learnt from, for
                `"ais"`. Give it wherever there is some.
        """
        rows.must_be_built(self)
        W, b = self._machine()
        if method == "exact":
            arrays = map(ops.convert_to_numpy, (W, b))
            return pairwise_partition.exact(*arrays, self._sizes)
        check_word("method", method, ("exact", "ais"))
        check_count("steps", steps)
        check_count("chains", chains, 2)
        states = None
        if data is not None:
            v = self._rows("data", data, self.visible)
            states = ops.convert_to_numpy(self._means(v, W, b))
        return pairwise_partition.annealed(
            *(W, b, self._sizes, self._seed, steps, chains, states)
        )

    def log_likelihood(self, v, log_partition: float | None = None):
        """log p(v) of each row, shape `(batch,)`: -F(v) - log Z.

        Args:
            v: Array `(batch, visible)`.
            log_partition: log Z, a number, if it is known; None to count it exactly.
        """
        free_energy = self.free_energy(v)
        if log_partition is None:
            log_partition = self.log_partition().value
        return -free_energy - log_partition

    def _seed(self):
        return self.seed_generator.next()

    def _among_hidden(self):
        """Whether hidden units are connected with each other."""
        return self._above[self.visible :, self.visible :].any()

    def _rows(self, name, x, width):
        """Rows of values in [0, 1] as a tensor, for use outside `call`."""
        shape = tuple(np.shape(x))
        if len(shape) != 2 or shape[1] != width:
            raise ValueError(
                f"`{name}` must have the shape (rows, {width}). Received: {shape}"
            )
        x = ops.cast(x, "float32")
        backend.require(_are_chances(x), _NO_CHANCES, x)
        return x

    def _outside(self, v):
        """v as a tensor, and the machine, for use outside `call`."""
        if not self.built:
            self.build(tuple(np.shape(v)))
        return self._rows("v", v, self.visible), self._machine()

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units or input_shape[1])

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "units": self.units,
            "connections": self.connections,
            "k": self.k,
            "chains": self.chains,
            "inference": self.inference,
            "inference_steps": self.inference_steps,
            "kernel_initializer": serialize(self.kernel_initializer),
            "bias_initializer": serialize(self.bias_initializer),
            "kernel_regularizer": serialize(self.kernel_regularizer),
            "seed": self.seed,
        }


def _are_chances(x):
    return ops.all(ops.abs(x - 0.5) <= 0.5 + _SLACK)


def _checked_connections(connections):
    """A word, or a symmetric matrix without self-connections as nested lists."""
    if isinstance(connections, str):
        check_word("connections", connections, _WORDS)
        return connections
    matrix = np.asarray(connections)
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1]:
        raise ValueError(
            "`connections` must be a square matrix of 0 and 1, or one of "
            f"{', '.join(map(repr, _WORDS))}. Received: shape {matrix.shape}"
        )
    if not np.isin(matrix, (0, 1)).all():
        raise ValueError(
            "`connections` must hold 0 and 1 only. "
            f"Received: {matrix.min()} to {matrix.max()}"
        )
    i, j = np.argwhere(matrix != matrix.T)[0] if (matrix != matrix.T).any() else (0, 0)
    if i != j:
        raise ValueError(
            "`connections` must be symmetric: a connection goes both ways. Received: "
            f"{int(matrix[i, j])} from unit {i} to unit {j}, {int(matrix[j, i])} back"
        )
    own = np.flatnonzero(np.diag(matrix))
    if len(own):
        raise ValueError(
            "`connections` must have a diagonal of 0: no unit is connected with "
            f"itself. Received: a 1 at the units {own[:5].tolist()}"
        )
    return matrix.astype(int).tolist()


def _mask(connections, visible, units):
    """The connections of a machine as a boolean matrix."""
    n = visible + units
    if connections == "full":
        return ~np.eye(n, dtype=bool)
    if connections == "visible-hidden":
        side = np.arange(n) < visible
        return side[:, None] != side
    matrix = np.asarray(connections, bool)
    if len(matrix) != n:
        raise ValueError(
            "`connections` must have a row for each visible and hidden unit. Received: "
            f"{len(matrix)} rows for {visible} visible and {units} hidden units"
        )
    return matrix
