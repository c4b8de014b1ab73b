"""What a restricted machine with given weights can be asked: energies, samples, log Z.

    E(v, h) = -b v - c h - v W h            Bernoulli units
    F(v)    = -b v - sum_j softplus(x_j),   x = c + v W,   p(v) = exp(-F(v)) / Z

Shapes: v (batch, visible), h and x (batch, units). Other units: `boltzmann.py`; log Z:
`partition.py`. How it learns: `rbm.py`.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import boltzmann, partition, rows
from keras_dlparts.layers.energy.gibbs import compiled_gibbs
from keras_dlparts.support.checks import check_count, check_word

_SLACK = 1e-5  # what rounding may put a value outside [0, 1]


class Bipartite(keras.layers.Layer):
    """The weights of a machine and the questions that they alone answer.

    Args:
        units: Integer, `>= 1`. The hidden units.
        visible: `"bernoulli"` or `"gaussian"`.
        hidden: `"bernoulli"` or `"relu"`.
        kernel_initializer: Of W; None for normal draws of deviation 0.01.
        visible_bias_initializer: Of b.
        hidden_bias_initializer: Of c.
        kernel_regularizer: Of W.
        kernel_constraint: Of W.
        seed: Optional integer, for draws that repeat.
    """

    def __init__(
        self,
        units: int,
        visible: Literal["bernoulli", "gaussian"] = "bernoulli",
        hidden: Literal["bernoulli", "relu"] = "bernoulli",
        kernel_initializer: str | keras.initializers.Initializer | None = None,
        visible_bias_initializer: str | keras.initializers.Initializer = "zeros",
        hidden_bias_initializer: str | keras.initializers.Initializer = "zeros",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        kernel_constraint: str | keras.constraints.Constraint | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("units", units)
        check_word("visible", visible, boltzmann.VISIBLE)
        check_word("hidden", hidden, boltzmann.HIDDEN)
        self.units = units
        self.visible = visible
        self.hidden = hidden
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.visible_bias_initializer = keras.initializers.get(visible_bias_initializer)
        self.hidden_bias_initializer = keras.initializers.get(hidden_bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)

    def build(self, input_shape):
        visible = rows.width(self, input_shape)
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
        rows.must_be_built(self)
        W, b, _ = self._tensors()
        y = boltzmann.to_visible(ops.cast(h, "float32"), W, b)
        return boltzmann.visible_mean(y, self.visible)

    def pseudo_log_likelihood(self, v, exact: bool = False):
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

    def sample(self, n: int, steps: int, start=None, clamp=None, means: bool = False):
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
        rows.must_be_built(self)
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
        v, mean = compiled_gibbs(start, held, W, b, c, seed, count, **kinds)
        return mean if means else v

    def log_partition(
        self,
        method: Literal["exact", "ais"] = "exact",
        steps: int = 5000,
        chains: int = 100,
        data=None,
    ) -> partition.LogPartition:
        """log Z as `(value, deviation)`.

        An estimate of `"ais"` is too small where its chains miss what the machine
        prefers, and the deviation cannot tell. So it anneals from two machines, takes
        the larger estimate, and holds it against a bound that is certain: log Z is at
        least the logarithm of the summed exp(-F(v)) of any distinct states. They are
        those of `data`, of Gibbs chains that begin there and at random hidden units,
        and of the annealed chains.
        Where the bound is higher, it is returned with a deviation of infinity, and a
        warning.

        Args:
            method: `"exact"` counts the states of the smaller Bernoulli side, which
                must have at most 20 units. `"ais"` estimates it by annealed importance
                sampling, for Bernoulli hidden units.
            steps: Integer, `>= 1`. Temperatures of `"ais"`.
            chains: Integer, `>= 2`. Chains of `"ais"` from each start.
            data: Array `(rows, visible)` like what the machine learnt from, for
                `"ais"`: annealing starts from its base rates too. Without it the
                states of Gibbs chains serve, which may miss what the data would show;
                give it wherever there is some.
        """
        rows.must_be_built(self)
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
        if data is not None:
            data = self._outside(data)[0]
        return partition.annealed(
            *(W, b, c, self.seed_generator.next, steps, chains, self.visible, data)
        )

    def log_likelihood(self, v, log_partition: float | None = None):
        """log p(v) of each row, shape `(batch,)`: -F(v) - log Z.

        Args:
            v: Array `(batch, visible)`.
            log_partition: log Z, a number, if it is known; None to count it exactly.
        """
        if log_partition is None:
            log_partition = self.log_partition().value
        return -self.free_energy(v) - log_partition

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

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "units": self.units,
            "visible": self.visible,
            "hidden": self.hidden,
            "kernel_initializer": serialize(self.kernel_initializer),
            "visible_bias_initializer": serialize(self.visible_bias_initializer),
            "hidden_bias_initializer": serialize(self.hidden_bias_initializer),
            "kernel_regularizer": serialize(self.kernel_regularizer),
            "kernel_constraint": serialize(self.kernel_constraint),
            "seed": self.seed,
        }


def _all_flips(v, x, W, b, *, hidden):
    """sum over i of log p(v_i given the others), unit by unit."""
    rows = ops.zeros_like(v[:, 0])

    def body(i, total):
        units = ops.cast(rows, "int32") + ops.cast(i, "int32")
        change = boltzmann.flip_difference(v, x, W, b, units, hidden)
        return total + boltzmann.pseudo_log_likelihood(change, 1)

    return ops.fori_loop(0, ops.shape(v)[1], body, rows)


_pseudo_likelihood = backend.compiled(_all_flips, ("hidden",))
