"""A restricted Boltzmann machine that trains inside any Keras model.

    E(v, h) = -b v - c h - v W h            Bernoulli units
    F(v)    = -b v - sum_j softplus(x_j),   x = c + v W,   p(v) = exp(-F(v)) / Z
    loss    = mean F(v) - mean F(stop(v_k))

v_k are samples after k Gibbs steps: from the data (contrastive divergence, CD-k) or
from chains that go on from batch to batch (persistent CD). The gradient of the loss is
the CD-k gradient, so any Keras optimizer trains it. With a sparsity target p each
hidden unit's running mean activity q_j is pulled to it: the gradient with respect to
x_ij gains sparsity_cost (q_j - p) / batch.
Shapes: v (batch, visible) -> (batch, units), or (batch,) for the free energy. Training
adds the loss; inference gives the same output, without draws.
Other units: `boltzmann.py`; log Z: `partition.py`.
Hinton 2002, "Training products of experts by minimizing contrastive divergence";
Tieleman 2008, "Training RBMs using approximations to the likelihood gradient".
"""

import numbers

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.checks import check_count
from keras_dlparts.layers import boltzmann, partition, rbm_figures
from keras_dlparts.layers.rbm_monitor import Monitor

_ALONE = "the units are drawn at random in every step of learning"
CASES = {
    "RBM": (
        {
            "arguments": {"units": 5, "seed": 1, "sparsity_target": 0.1},
            "input_shape": (4, 6),
            "alone": _ALONE,
            "input_dtype": "int32",
        },
        {
            "arguments": {
                "units": 5,
                "visible": "gaussian",
                "hidden": "relu",
                "persistent": True,
                "chains": 4,
                "output": "samples",
            },
            "input_shape": (4, 6),
            "alone": _ALONE,
        },
        {
            "arguments": {"units": 3, "output": "free_energy", "monitor": False},
            "input_shape": (4, 6),
            "alone": _ALONE,
            "input_dtype": "int32",
        },
    )
}
OUTPUTS = ("probabilities", "samples", "free_energy")
_DECAY = 0.9  # of the running mean activity
_SLACK = 1e-5  # what rounding may put a value outside [0, 1]


@keras.saving.register_keras_serializable("dlparts")
class RBM(keras.layers.Layer):
    """Restricted Boltzmann machine; contrastive divergence by plain `fit`.

    The loss needs no targets: `model.compile(optimizer)` without a loss and
    `model.fit(x)`. Its value says little, only its gradient counts; the logs also have
    `free_energy`, `reconstruction_error` (mean squared, after one mean-field step) and,
    for Bernoulli visible units, `pseudo_likelihood` (by one flipped unit a row). In
    training these are taken from at most 32 rows of every fourth batch. The validation
    loss is minus the pseudo-likelihood, or else the reconstruction error. With
    `trainable=False` there is no loss at all.

    On several replicas each draws for its share of the batch, and steps its own rows
    of the persistent chains, which are put together when they are read. The mean
    activities are the mean over replicas, what the logs count adds up over them.

    Args:
        units: Integer, `>= 1`. The hidden units.
        visible: `"bernoulli"`, for values in [0, 1] that are states or probabilities,
            or `"gaussian"` of variance 1: standardise the data.
        hidden: `"bernoulli"` or `"relu"`, noisy rectified linear units.
        k: Integer, `>= 1`. Gibbs steps a training step.
        persistent: Whether the chains go on from batch to batch.
        chains: Integer, `>= 1`. How many persistent chains. Replicas of a strategy
            share them evenly.
        sparsity_target: Float between 0 and 1, the wanted mean activity of a Bernoulli
            hidden unit; None for no such pull.
        sparsity_cost: Float. The strength of that pull.
        output: `"probabilities"` (the mean of h), `"samples"` (h, through which a
            gradient passes as if it were the mean; in inference the mean) or
            `"free_energy"` (F, one number a row).
        monitor: Whether to note the figures above, for the logs.
        kernel_initializer: Of W; None for normal draws of deviation 0.01.
        visible_bias_initializer: Of b.
        hidden_bias_initializer: Of c.
        kernel_regularizer: Of W.
        kernel_constraint: Of W.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: Tensor of shape `(batch, visible)`.
        training: Boolean. Whether to add the contrastive loss.

    Output shape: `(batch, units)`, or `(batch,)` for `"free_energy"`.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((6,)), RBM(4, seed=0)])
    >>> model.compile(keras.optimizers.SGD(0.1))
    >>> x = np.repeat([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], 50, axis=0)
    >>> history = model.fit(x, batch_size=10, epochs=30, verbose=0).history
    >>> history["reconstruction_error"][-1] < history["reconstruction_error"][0]
    True
    >>> model.layers[-1].sample(5, steps=100).shape == (5, 6)
    True

    Reference: Hinton 2012, "A practical guide to training RBMs"
    """

    def __init__(
        self,
        units,
        visible="bernoulli",
        hidden="bernoulli",
        k=1,
        persistent=False,
        chains=100,
        sparsity_target=None,
        sparsity_cost=0.1,
        output="probabilities",
        monitor=True,
        kernel_initializer=None,
        visible_bias_initializer="zeros",
        hidden_bias_initializer="zeros",
        kernel_regularizer=None,
        kernel_constraint=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("units", units), ("k", k), ("chains", chains)):
            check_count(name, value)
        for name, value, known in (
            ("visible", visible, boltzmann.VISIBLE),
            ("hidden", hidden, boltzmann.HIDDEN),
            ("output", output, OUTPUTS),
        ):
            if value not in known:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(map(repr, known))}. "
                    f"Received: {name}={value!r}"
                )
        if sparsity_target is not None:
            _check_sparsity(sparsity_target, hidden)
        self.units = units
        self.visible = visible
        self.hidden = hidden
        self.k = k
        self.persistent = persistent
        self.chains = chains
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.output_kind = output
        self.monitor = monitor
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.visible_bias_initializer = keras.initializers.get(visible_bias_initializer)
        self.hidden_bias_initializer = keras.initializers.get(hidden_bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)
        self.monitored = None
        if monitor:
            self.sums = backend.RunningSums(5)
            self.monitored = Monitor(self.sums, visible)

    def build(self, input_shape):
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(
                "RBM takes rows of visible units, (batch, visible), of a known number. "
                f"Received: an input of shape {tuple(input_shape)}. "
                "Put a Flatten before it"
            )
        visible = input_shape[-1]
        common = {"dtype": "float32", "autocast": False}
        kernel_initializer = self.kernel_initializer
        if kernel_initializer is None:
            kernel_initializer = keras.initializers.RandomNormal(0.0, 0.01, self.seed)
        self.kernel = self.add_weight(
            (visible, self.units),
            kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
            **common,
        )
        self.visible_bias = self.add_weight(
            (visible,), self.visible_bias_initializer, name="visible_bias", **common
        )
        self.hidden_bias = self.add_weight(
            (self.units,), self.hidden_bias_initializer, name="hidden_bias", **common
        )
        common |= {"trainable": False, "synchronization": "on_read"}
        start = 0.0 if self.sparsity_target is None else self.sparsity_target
        self.activity = keras.Variable(
            keras.initializers.Constant(start),
            (self.units,),
            aggregation="mean",
            name="activity",
            **common,
        )
        if self.persistent:
            # A replica writes its own rows and leaves the others zero, so that the
            # sum over replicas is all of them; `share` tells its rows' scale.
            common["aggregation"] = "sum"
            self.particles = keras.Variable(
                "zeros", (self.chains, self.units), name="particles", **common
            )
            self.share = keras.Variable(
                "ones", (self.chains, 1), name="share", **common
            )

    def call(self, inputs, training=False):
        v = self._states(inputs, self.compute_dtype)
        W, b, c = self._tensors()
        if self.trainable and training:
            self._learn(ops.stop_gradient(v), W, b, c)
        x = boltzmann.to_hidden(v, W, c)
        if self.trainable and not training and self.monitor:
            self.add_loss(self.monitored.note(self, v, x, W, b, c))
        if self.output_kind == "free_energy":
            output = boltzmann.free_energy(v, x, b, self.visible, self.hidden)
        else:
            output = boltzmann.hidden_mean(x, self.hidden)
        if self.output_kind == "samples" and training:
            h = self._sample_hidden(x, self.seed_generator.next())
            output = output + ops.stop_gradient(h - output)
        return ops.cast(output, self.compute_dtype)

    def _tensors(self):
        return tuple(
            ops.convert_to_tensor(w)
            for w in (self.kernel, self.visible_bias, self.hidden_bias)
        )

    def _states(self, inputs, dtype="float32"):
        """The visible states, checked and cast."""
        v = ops.cast(inputs, dtype)
        if self.visible == "bernoulli":
            message = (
                "Bernoulli visible units take values in [0, 1]: scale the data, or use "
                "visible='gaussian' on standardised data"
            )
        else:
            message = "Gaussian visible units take finite values: clean the data"
        backend.require(self._fits(v), message, v)
        return v

    def _fits(self, v):
        if self.visible == "bernoulli":
            return ops.all(ops.abs(v - 0.5) <= 0.5 + _SLACK)
        return ops.all(ops.isfinite(v))

    def _learn(self, v, W, b, c):
        """Add the contrastive loss, and step the chains on."""
        x = boltzmann.to_hidden(v, W, c)
        seed = self.seed_generator.next()
        h = self._own_particles() if self.persistent else self._sample_hidden(x, seed)
        v_k = self._walk(h, seed, *map(ops.stop_gradient, (W, b, c)))
        x_k = boltzmann.to_hidden(v_k, W, c)
        data, chain = (
            ops.mean(boltzmann.free_energy(*pair, b, self.visible, self.hidden))
            for pair in ((v, x), (v_k, x_k))
        )
        # What no compiled step can raise as an error is to be seen in the loss.
        loss = data - chain + ops.where(self._fits(v), 0.0, np.nan)
        if self.persistent:
            self._keep_particles(self._sample_hidden(x_k, seed, 2 * self.k))
        mean = ops.mean(ops.stop_gradient(boltzmann.hidden_mean(x, self.hidden)), 0)
        activity = _DECAY * self.activity + (1 - _DECAY) * mean
        self.activity.assign(activity)
        if self.sparsity_target is not None:
            pull = ops.stop_gradient(activity) - self.sparsity_target
            loss += self.sparsity_cost * ops.sum(pull * ops.mean(x, 0))
        self.add_loss(loss)
        if self.monitor:
            noise = backend.draw("uniform", (), seed, 2 * self.k + 1)
            now = map(ops.stop_gradient, (v, x, W, b, c))
            self.monitored.sample(self, *now, noise)

    def _sample_hidden(self, x, seed, step=0):
        x = ops.stop_gradient(x)
        noise = "uniform" if self.hidden == "bernoulli" else "normal"
        noise = backend.draw(noise, ops.shape(x), seed, step)
        return boltzmann.hidden_sample(x, noise, self.hidden)

    def _walk(self, h, seed, W, b, c):
        """v_k after k - 1 whole Gibbs steps from h."""
        noise = "uniform" if self.visible == "bernoulli" else "normal"

        def to_visible(h, i):
            y = boltzmann.to_visible(h, W, b)
            drawn = backend.draw(noise, ops.shape(y), seed, 2 * i + 1)
            v = boltzmann.visible_sample(y, drawn, self.visible)
            return ops.cast(v, self.compute_dtype)

        def body(i, h):
            x = boltzmann.to_hidden(to_visible(h, i), W, c)
            return ops.cast(self._sample_hidden(x, seed, 2 * i + 2), h.dtype)

        h = ops.cast(h, self.compute_dtype)
        if self.k > 1:
            h = ops.fori_loop(0, self.k - 1, body, h)
        return to_visible(h, self.k - 1)

    def _own_rows(self):
        """Where this replica's particles are: the first row, and how many."""
        replica, count = backend.replica()
        if self.chains % count:
            raise ValueError(
                f"`chains` must be divisible by the {count} replicas, which share the "
                f"chains. Received: chains={self.chains}"
            )
        rows = self.chains // count
        return replica * rows, rows

    def _own_particles(self):
        first, rows = self._own_rows()
        h, share = map(ops.convert_to_tensor, (self.particles, self.share))
        h = ops.slice(h, (first, 0), (rows, self.units))
        return h / ops.slice(share, (first, 0), (rows, 1))

    def _keep_particles(self, h):
        first, rows = self._own_rows()
        for variable, own in ((self.particles, h), (self.share, ops.ones((rows, 1)))):
            others = ops.zeros(variable.shape)
            variable.assign(ops.slice_update(others, (first, 0), own))

    def free_energy(self, v):
        """F(v) of each row of v, shape `(batch,)`; float32."""
        v, x, _, b, _ = self._outside(v)
        return boltzmann.free_energy(v, x, b, self.visible, self.hidden)

    def reconstruct(self, v):
        """E[v given E[h given v]], of the shape of v."""
        x = self._outside(v)[1]
        return self.visible_given(boltzmann.hidden_mean(x, self.hidden))

    def visible_given(self, h):
        """E[v given h] of each row of h, shape `(batch, visible)`."""
        self._must_be_built()
        W, b, _ = self._tensors()
        y = boltzmann.to_visible(ops.cast(h, "float32"), W, b)
        return boltzmann.visible_mean(y, self.visible)

    def pseudo_log_likelihood(self, v, exact=False):
        """sum_i log p(v_i given the others) of each row, shape `(batch,)`.

        Args:
            v: Array `(batch, visible)`; Bernoulli visible units only.
            exact: Whether to go through all units. If not, one unit a row is drawn,
                and its term counts for all.
        """
        if self.visible != "bernoulli":
            raise ValueError(
                "The pseudo-likelihood needs visible='bernoulli'. Received: "
                f"visible={self.visible!r}"
            )
        v, x, W, b, _ = self._outside(v)
        rows, units = v.shape
        if exact:
            return _pseudo_likelihood(v, x, W, b, hidden=self.hidden)
        noise = backend.draw("uniform", (rows,), self.seed_generator.next())
        chosen = ops.cast(ops.floor(noise * units), "int32")
        change = boltzmann.flip_difference(v, x, W, b, chosen, self.hidden)
        return boltzmann.pseudo_log_likelihood(change, units)

    def sample(self, n, steps, start=None, clamp=None, means=False):
        """Visible states after Gibbs sampling, in one compiled loop.

        Args:
            n: Integer, `>= 1`. How many chains.
            steps: Integer, `>= 1`. Gibbs steps of each.
            start: Array `(n, visible)` that they start from. None: states drawn from
                the visible biases alone.
            clamp: Array `(n, visible)` or `(visible,)`: the values of units that stay,
                and NaN for those that are to be completed.
            means: Whether to give the means of the last step's draws instead of these.
        """
        check_count("n", n)
        check_count("steps", steps)
        self._must_be_built()
        W, b, c = self._tensors()
        shape = (n, W.shape[0])
        if start is not None:
            start = self._states(np.broadcast_to(ops.convert_to_numpy(start), shape))
        held = np.full(shape, np.nan, "float32")
        if clamp is not None:
            held[...] = ops.convert_to_numpy(clamp)
            free = np.isnan(held)
            self._states(np.where(free, 0, held))
        seed = self.seed_generator.next()
        count = ops.convert_to_tensor(steps, "int32")
        kinds = {"visible": self.visible, "hidden": self.hidden}
        v, mean = gibbs(start, held, W, b, c, seed, count, **kinds)
        return mean if means else v

    def log_partition(self, method="exact", steps=1000, chains=100):
        """log Z as `(value, deviation)`.

        Args:
            method: `"exact"` counts the states of the smaller Bernoulli side, which
                must have at most 20 units. `"ais"` estimates it by annealed importance
                sampling, for Bernoulli hidden units.
            steps: Integer, `>= 1`. Temperatures of `"ais"`.
            chains: Integer, `>= 2`. Chains of `"ais"`.
        """
        self._must_be_built()
        W, b, c = self._tensors()
        if method == "exact":
            arrays = map(ops.convert_to_numpy, (W, b, c))
            return partition.exact(*arrays, self.visible, self.hidden)
        if method != "ais":
            raise ValueError(
                f"`method` must be 'exact' or 'ais'. Received: method={method!r}"
            )
        check_count("steps", steps)
        check_count("chains", chains, 2)
        if self.hidden != "bernoulli":
            raise ValueError(
                "`method='ais'` needs Bernoulli hidden units, whose Gibbs steps are "
                f"exact. Received: hidden={self.hidden!r}"
            )
        seed = self.seed_generator.next()
        return partition.annealed(W, b, c, seed, steps, chains, self.visible)

    def log_likelihood(self, v, log_partition=None):
        """log p(v) of each row, shape `(batch,)`: -F(v) - log Z.

        Args:
            v: Array `(batch, visible)`.
            log_partition: log Z, a number, if it is known; None to count it exactly.
        """
        if log_partition is None:
            log_partition = self.log_partition().value
        return -self.free_energy(v) - log_partition

    def _must_be_built(self):
        if not self.built:
            raise ValueError(
                f"RBM {self.name!r} has no weights yet. Call it on data, or "
                "`build((None, visible))` it"
            )

    def _outside(self, v):
        """v, x = c + v W and the weights, for use outside `call`."""
        shape = tuple(np.shape(v))
        if not self.built:
            self.build(shape)
        if len(shape) != 2 or shape[1] != self.kernel.shape[0]:
            raise ValueError(
                f"`v` must have the shape (batch, {self.kernel.shape[0]}). "
                f"Received: {shape}"
            )
        v = self._states(v)
        W, b, c = self._tensors()
        return v, boltzmann.to_hidden(v, W, c), W, b, c

    def figures(self, run):
        """Filters, fantasies, activities and the free energy by epoch."""
        return rbm_figures.figures(self, run)

    def compute_output_shape(self, input_shape):
        if self.output_kind == "free_energy":
            return (input_shape[0],)
        return (input_shape[0], self.units)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "units": self.units,
            "visible": self.visible,
            "hidden": self.hidden,
            "k": self.k,
            "persistent": self.persistent,
            "chains": self.chains,
            "sparsity_target": self.sparsity_target,
            "sparsity_cost": self.sparsity_cost,
            "output": self.output_kind,
            "monitor": self.monitor,
            "kernel_initializer": serialize(self.kernel_initializer),
            "visible_bias_initializer": serialize(self.visible_bias_initializer),
            "hidden_bias_initializer": serialize(self.hidden_bias_initializer),
            "kernel_regularizer": serialize(self.kernel_regularizer),
            "kernel_constraint": serialize(self.kernel_constraint),
            "seed": self.seed,
        }


def _gibbs(start, held, W, b, c, seed, steps, *, visible, hidden):
    """(v, E[v given h]) after `steps` Gibbs steps; NaN in `held` leaves a unit free."""
    free = ops.isnan(held)
    noises = (
        "uniform" if visible == "bernoulli" else "normal",
        "uniform" if hidden == "bernoulli" else "normal",
    )
    shapes = ops.shape(held), (ops.shape(held)[0], ops.shape(W)[1])

    def clamped(v):
        return ops.where(free, v, held)

    def body(i, state):
        x = boltzmann.to_hidden(state[0], W, c)
        drawn = backend.draw(noises[1], shapes[1], seed, 2 * i + 1)
        h = boltzmann.hidden_sample(x, drawn, hidden)
        y = boltzmann.to_visible(h, W, b)
        drawn = backend.draw(noises[0], shapes[0], seed, 2 * i + 2)
        v = boltzmann.visible_sample(y, drawn, visible)
        return clamped(v), clamped(boltzmann.visible_mean(y, visible))

    if start is None:
        drawn = backend.draw(noises[0], shapes[0], seed)
        start = boltzmann.visible_sample(b + ops.zeros(shapes[0]), drawn, visible)
    start = clamped(start)
    return ops.fori_loop(0, steps, body, (start, start))


def _all_flips(v, x, W, b, *, hidden):
    """sum over i of log p(v_i given the others), unit by unit."""
    rows = ops.zeros_like(v[:, 0])

    def body(i, total):
        units = ops.cast(rows, "int32") + ops.cast(i, "int32")
        change = boltzmann.flip_difference(v, x, W, b, units, hidden)
        return total + boltzmann.pseudo_log_likelihood(change, 1)

    return ops.fori_loop(0, ops.shape(v)[1], body, rows)


gibbs = backend.compiled(_gibbs, ("visible", "hidden"))
_pseudo_likelihood = backend.compiled(_all_flips, ("hidden",))


def _check_sparsity(target, hidden):
    if hidden != "bernoulli":
        raise ValueError(
            "`sparsity_target` is the chance that a Bernoulli hidden unit is on. "
            f"Received: sparsity_target={target}, hidden={hidden!r}"
        )
    if isinstance(target, bool) or not isinstance(target, numbers.Real):
        raise TypeError(
            f"`sparsity_target` must be a number. Received: sparsity_target={target!r}"
        )
    if not 0 < target < 1:
        raise ValueError(
            "`sparsity_target` must be between 0 and 1. "
            f"Received: sparsity_target={target}"
        )
