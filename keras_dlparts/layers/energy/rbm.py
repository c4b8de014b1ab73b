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
What it can be asked besides: `bipartite.py`.
Hinton 2002, "Training products of experts by minimizing contrastive divergence";
Tieleman 2008, "Training RBMs using approximations to the likelihood gradient".
"""

from typing import Any, Literal

import keras
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import boltzmann, particles, rbm_figures, waiting
from keras_dlparts.layers.energy.bipartite import Bipartite
from keras_dlparts.layers.energy.rbm_monitor import Monitor
from keras_dlparts.layers.preprocessing.adapting import batches
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_word,
)
from keras_dlparts.support.losses import add_loss, nan_unless

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


@keras.saving.register_keras_serializable("dlparts")
class RBM(Bipartite):
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
        data_init: Whether `adapt(data)` sets b from the data: for Bernoulli units to
            log(p / (1 - p)), where p is how often a unit is on, for Gaussian units to
            the mean. Without it an RBM spends its first epochs on learning that. A run
            of `dlparts train` calls `adapt` by itself; elsewhere call it before `fit`.

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
        units: int,
        visible: Literal["bernoulli", "gaussian"] = "bernoulli",
        hidden: Literal["bernoulli", "relu"] = "bernoulli",
        k: int = 1,
        persistent: bool = False,
        chains: int = 100,
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.1,
        output: Literal["probabilities", "samples", "free_energy"] = "probabilities",
        monitor: bool = True,
        kernel_initializer: str | keras.initializers.Initializer | None = None,
        visible_bias_initializer: str | keras.initializers.Initializer = "zeros",
        hidden_bias_initializer: str | keras.initializers.Initializer = "zeros",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        kernel_constraint: str | keras.constraints.Constraint | None = None,
        seed: int | None = None,
        data_init: bool = False,
        **kwargs,
    ):
        super().__init__(
            units,
            visible,
            hidden,
            kernel_initializer,
            visible_bias_initializer,
            hidden_bias_initializer,
            kernel_regularizer,
            kernel_constraint,
            seed,
            **kwargs,
        )
        check_count("k", k)
        check_count("chains", chains)
        check_word("output", output, OUTPUTS)
        if sparsity_target is not None:
            _check_sparsity(sparsity_target, hidden)
        self.k = k
        self.persistent = persistent
        self.chains = chains
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.output_kind = output
        self.monitor = monitor
        check_flag("data_init", data_init)
        self.data_init = data_init
        self._waits_for_data = data_init
        self.monitored = None
        if monitor:
            self.sums = backend.RunningSums(5)
            self.monitored = Monitor(self.sums, visible)

    def build(self, input_shape):
        super().build(input_shape)
        start = 0.0 if self.sparsity_target is None else self.sparsity_target
        self.activity = backend.running_variable(
            (self.units,), "activity", keras.initializers.Constant(start)
        )
        if self.persistent:
            self.particles, self.share = particles.variables(self.chains, self.units)

    def adapt(self, data: Any):
        """Set the visible biases from data; nothing happens unless `data_init` is set.

        Args:
            data: Rows of visible units: an array or tensor, a `tf.data.Dataset` or a
                `keras.utils.PyDataset` of batches, or an iterable of batches.
        """
        if not self.data_init:
            return
        total, count = 0.0, 0
        for v in batches(data):
            total, count = total + v.sum(axis=0), count + len(v)
        if not self.built:
            self.build((None, len(total)))
        self.visible_bias.assign(boltzmann.base_rates(total, count, self.visible))
        self._waits_for_data = False

    def save_own_variables(self, store):
        super().save_own_variables(store)
        waiting.note(self._waits_for_data, store)

    def load_own_variables(self, store):
        waits, variables = waiting.read(store)
        super().load_own_variables(variables)
        self._waits_for_data = waits

    def call(self, inputs, training=False):
        v = self._states(inputs, self.compute_dtype)
        W, b, c = self._tensors()
        if self.trainable and training:
            self._learn(ops.stop_gradient(v), W, b, c)
        x = boltzmann.to_hidden(v, W, c)
        if self.trainable and not training and self.monitor:
            add_loss(self, self.monitored.note(self, v, x, W, b, c))
        if self.output_kind == "free_energy":
            output = boltzmann.free_energy(v, x, b, self.visible, self.hidden)
        else:
            output = boltzmann.hidden_mean(x, self.hidden)
        if self.output_kind == "samples" and training:
            h = self._sample_hidden(x, self.seed_generator.next())
            output = output + ops.stop_gradient(h - output)
        return ops.cast(output, self.compute_dtype)

    def _learn(self, v, W, b, c):
        """Add the contrastive loss, and step the chains on."""
        if self._waits_for_data:
            raise ValueError(
                "An RBM with `data_init=True` learns after `adapt(data)` has set its "
                "visible biases. Received: no such call. Call it with the training "
                "data, load the file of a machine that has adapted, or leave data_init "
                "out. Weights from `set_weights` do not tell that they come from one"
            )
        seed = self.seed_generator.next()
        fixed = [*map(ops.stop_gradient, (W, b, c))]
        if self.persistent:
            h = particles.own(self.particles, self.share)
        else:
            h = self._sample_hidden(boltzmann.to_hidden(v, fixed[0], fixed[2]), seed)
        v_k = self._walk(h, seed, *fixed)
        # One matrix product for both, and so one in the gradient: two small ones cost
        # more than one large one.
        both = ops.concatenate([v, v_k])
        x = boltzmann.to_hidden(both, W, c)
        energy = boltzmann.free_energy(both, x, b, self.visible, self.hidden)
        rows = ops.shape(v)[0]
        x, x_k = x[:rows], x[rows:]
        loss = ops.mean(energy[:rows]) - ops.mean(energy[rows:])
        loss += nan_unless(self._fits(v))
        if self.persistent:
            h = self._sample_hidden(x_k, seed, 2 * self.k)
            particles.keep(self.particles, self.share, h)
        mean = ops.mean(ops.stop_gradient(boltzmann.hidden_mean(x, self.hidden)), 0)
        activity = _DECAY * self.activity + (1 - _DECAY) * mean
        self.activity.assign(activity)
        if self.sparsity_target is not None:
            pull = ops.stop_gradient(activity) - self.sparsity_target
            loss += self.sparsity_cost * ops.sum(pull * ops.mean(x, 0))
        add_loss(self, loss)
        if self.monitor:
            noise = backend.draw("uniform", (), seed, 2 * self.k + 1)
            self.monitored.sample(self, v, ops.stop_gradient(x), *fixed, noise)

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

    def figures(self, run):
        """Filters, fantasies, activities and the free energy by epoch."""
        return rbm_figures.figures(self, run)

    def compute_output_shape(self, input_shape):
        if self.output_kind == "free_energy":
            return (input_shape[0],)
        return (input_shape[0], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "k": self.k,
            "persistent": self.persistent,
            "chains": self.chains,
            "sparsity_target": self.sparsity_target,
            "sparsity_cost": self.sparsity_cost,
            "output": self.output_kind,
            "monitor": self.monitor,
            "data_init": self.data_init,
        }


def _check_sparsity(target, hidden):
    if hidden != "bernoulli":
        raise ValueError(
            "`sparsity_target` is the chance that a Bernoulli hidden unit is on. "
            f"Received: sparsity_target={target}, hidden={hidden!r}"
        )
    check_number("sparsity_target", target, above=0, below=1)
