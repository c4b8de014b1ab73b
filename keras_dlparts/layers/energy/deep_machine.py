"""A deep Boltzmann machine as a layer, which trains inside any Keras model.

    E(h_0, .., h_L) = -sum_l b_l h_l - sum_l h_(l-1) W_l h_l        h_0 = v
    centred         = the same of h_l - o_l, with fixed offsets o_l
    loss            = mean E(v, stop(mu)) - mean F(stop(even_k))

mu are the hidden units' means given v by mean field; even_k are the even layers of
persistent chains after k more sweeps, and F is their free energy, the odd layers summed
over. The gradient of the loss is that of the bound on log p(v) in `deep.py`, with its
expectation over the model replaced by chains.
Shapes: v (batch, visible) -> mu_1 .. mu_L side by side, (batch, sum of the units).
Training adds the loss; inference gives the same output, without draws.
Salakhutdinov & Hinton 2009, "Deep Boltzmann machines"; Montavon & Müller 2012, "Deep
Boltzmann machines and the centering trick".
"""

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import (
    boltzmann,
    deep,
    deep_figures,
    particles,
    rows,
    waiting,
)
from keras_dlparts.layers.energy.bipartite import Bipartite
from keras_dlparts.layers.energy.gibbs import gibbs
from keras_dlparts.layers.energy.rbm_monitor import Means
from keras_dlparts.layers.preprocessing.adapting import batches
from keras_dlparts.support.checks import check_count, check_flag, check_rate
from keras_dlparts.support.losses import add_loss, nan_unless

_SLACK = 1e-5  # what rounding may put a value outside [0, 1]
_NO_CHANCES = (
    "Units of a deep Boltzmann machine take values in [0, 1], states or chances: scale "
    "the data"
)
_BATCH = 1000  # rows that are inferred at once, outside of training


class DeepMachine(keras.layers.Layer):
    """The weights of a deep machine, how they learn, and what they can be asked.

    Args:
        units: List of integers, at least two: the hidden layers.
        k: Integer, `>= 1`. Sweeps of the chains a training step.
        chains: Integer, `>= 1`. How many persistent chains.
        inference_steps: Integer, `>= 1`. Updates of all hidden layers by mean field.
        damping: Float, `0 <= damping < 1`: how much of an old mean an update keeps.
        centering: Whether units have offsets.
        data_init: Whether `adapt(data)` sets the visible biases, and the visible
            offsets where there are any.
        learns: Whether it has a loss, and chains; without, no weight is trainable.
        seed: Optional integer.
    """

    def __init__(
        self,
        units,
        k=1,
        chains=100,
        inference_steps=10,
        damping=0.0,
        centering=False,
        data_init=False,
        learns=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("k", k)
        check_count("chains", chains)
        check_count("inference_steps", inference_steps)
        check_rate("damping", damping)
        check_flag("centering", centering)
        check_flag("data_init", data_init)
        self.units = list(units)
        self.k = k
        self.chains = chains
        self.inference_steps = inference_steps
        self.damping = damping
        self.centering = centering
        self.data_init = data_init
        self.learns = learns
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)
        self._waits_for_data = data_init
        self.monitored = None
        if learns:
            self.sums = backend.RunningSums(2)
            self.monitored = Means(self.sums, ["free_energy"], rows=1, name="dbm")

    def build(self, input_shape):
        self.sizes = [rows.width(self, input_shape), *self.units]
        common = {"dtype": "float32", "autocast": False}
        learnt = {"trainable": self.learns, **common}
        self.kernels = []
        for i, shape in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            seed = None if self.seed is None else self.seed + i
            start = keras.initializers.RandomNormal(0.0, 0.01, seed)
            name = f"kernel_{i + 1}"
            self.kernels.append(self.add_weight(shape, start, name=name, **learnt))
        self.biases = [
            self.add_weight((size,), "zeros", name=f"bias_{i}", **learnt)
            for i, size in enumerate(self.sizes)
        ]
        self.offsets = []
        if self.centering:
            half = keras.initializers.Constant(0.5)  # the means of units without biases
            self.offsets = [
                self.add_weight(
                    (size,), half, trainable=False, name=f"offset_{i}", **common
                )
                for i, size in enumerate(self.sizes)
            ]
        if self.learns:
            even = sum(self.sizes[::2])
            self.particles, self.share = particles.variables(self.chains, even)

    @property
    def visible(self):
        """How many visible units there are."""
        return self.sizes[0]

    def plain(self):
        """(kernels, biases) of the energy without offsets, as tensors."""
        W = [ops.convert_to_tensor(kernel) for kernel in self.kernels]
        b = [ops.convert_to_tensor(bias) for bias in self.biases]
        for i, kernel in enumerate(W if self.centering else []):
            below, above = (ops.convert_to_tensor(o) for o in self.offsets[i : i + 2])
            b[i] = b[i] - ops.matmul(kernel, above)
            b[i + 1] = b[i + 1] - ops.matmul(below, kernel)
        return W, b

    def take(self, kernels, biases, means=None):
        """Be the machine with these kernels and biases, as arrays without offsets.

        Args:
            kernels, biases: Lists of arrays.
            means: List of arrays, the means of all layers: the new offsets, where there
                are any. None leaves them as they are.
        """
        biases = [np.array(b, "float32") for b in biases]
        if self.centering:
            if means is not None:
                backend.assign(self.offsets, means)
            offsets = [ops.convert_to_numpy(o) for o in self.offsets]
            for i, W in enumerate(kernels):
                biases[i] += W @ offsets[i + 1]
                biases[i + 1] += offsets[i] @ W
        backend.assign([*self.kernels, *self.biases], [*kernels, *biases])
        self._waits_for_data = False

    def copy(self, other):
        """Be the machine that another one is, with its offsets."""
        mine, theirs = ([*m.kernels, *m.biases, *m.offsets] for m in (self, other))
        backend.assign(mine, [ops.convert_to_numpy(w) for w in theirs])
        self._waits_for_data = False

    def adapt(self, data):
        """Set the visible biases, and visible offsets, from rows of visible units."""
        if not self.data_init:
            return
        total, count = 0.0, 0
        for v in batches(data):
            total, count = total + v.sum(axis=0), count + len(v)
        if not self.built:
            self.build((None, len(total)))
        kernels, biases = ([*map(ops.convert_to_numpy, a)] for a in self.plain())
        biases[0] = boltzmann.base_rates(total, count, "bernoulli")
        means = None
        if self.centering:
            means = [total / count, *map(ops.convert_to_numpy, self.offsets[1:])]
        self.take(kernels, biases, means)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        waiting.note(self._waits_for_data, store)

    def load_own_variables(self, store):
        waits, variables = waiting.read(store)
        super().load_own_variables(variables)
        self._waits_for_data = waits

    def call(self, inputs, training=False):
        v = ops.cast(inputs, "float32")
        backend.require(_are_chances(v), _NO_CHANCES, v)
        machine = deep.sides(*self.plain())
        fixed = [*map(ops.stop_gradient, machine)]
        v = ops.stop_gradient(v)
        even, odd = deep.mean_field(v, *fixed, **self._inference())
        if self.trainable and self.learns:
            if training:
                add_loss(self, self._loss(even, odd, machine, fixed))
            else:
                add_loss(self, self._score(v, even, odd, fixed))
        means = ops.concatenate(deep.apart(even, odd, self.sizes)[1:], axis=1)
        return ops.cast(means, self.compute_dtype)

    def _inference(self):
        return {"steps": self.inference_steps, "damping": self.damping}

    def _loss(self, even, odd, machine, fixed):
        """The mean energy of the data less that of the chains, which go on."""
        if self._waits_for_data:
            raise ValueError(
                "A DBM with `data_init=True` learns after `adapt(data)` or "
                "`pretrain(data)`. Received: no such call. Call one with the training "
                "data, load the file of a machine that has learnt from data, or leave "
                "data_init out. Weights from `set_weights` do not tell that they come "
                "from one"
            )
        chains = self._swept(fixed)
        M, b, c = machine
        # One matrix product for both, and so one in the gradient.
        count = ops.shape(even)[0]
        both = ops.concatenate([even, chains])
        x = boltzmann.to_hidden(both, M, c)
        data = -ops.matmul(even, b) - ops.sum(x[:count] * odd, axis=-1)
        model = boltzmann.free_energy(chains, x[count:], b, "bernoulli", "bernoulli")
        self._note(ops.stop_gradient(data) - deep.entropy(even, odd, self.visible))
        return ops.mean(data) - ops.mean(model) + nan_unless(_are_chances(even))

    def _swept(self, fixed):
        """The even layers of the chains after k more sweeps, which are kept."""
        chains = particles.own(self.particles, self.share)
        free = ops.full(ops.shape(chains), np.nan, dtype="float32")
        seed, k = self.seed_generator.next(), ops.convert_to_tensor(self.k, "int32")
        kinds = {"visible": "bernoulli", "hidden": "bernoulli"}
        M, b, c = fixed
        chains, _ = gibbs(chains, free, M, b, c, seed, k, **kinds)
        chains = ops.stop_gradient(chains)
        particles.keep(self.particles, self.share, chains)
        return chains

    def _score(self, v, even, odd, fixed):
        """Minus the pseudo-likelihood of the bound, of one flipped unit a row."""
        here = deep.energy(even, odd, *fixed) - deep.entropy(even, odd, self.visible)
        chosen = self.monitored.units_to_flip(ops.shape(v)[0], self.visible)
        self._note(here)
        flips = ops.one_hot(chosen, self.visible, dtype="float32")
        there = deep.free_energy(v + flips * (1 - 2 * v), *fixed, **self._inference())
        return -ops.mean(boltzmann.pseudo_log_likelihood(there - here, self.visible))

    def _note(self, energies):
        count = ops.cast(ops.shape(energies)[0], "float32")
        self.sums.add(ops.stack([ops.sum(energies), count]))

    def energy(self, states):
        """E of each row of the layers' states, a list of arrays; shape `(rows,)`."""
        rows.must_be_built(self)
        states = [ops.cast(h, "float32") for h in states]
        even, odd = (ops.concatenate(states[i::2], axis=1) for i in (0, 1))
        return deep.energy(even, odd, *deep.sides(*self.plain()))

    def means(self, v):
        """v and the hidden layers' means given each row of it: a list of arrays."""
        found = []
        for part, machine in self._parts(v):
            even, odd = deep.compiled_mean_field(part, *machine, **self._inference())
            found.append(deep.apart(even, odd, self.sizes))
        return [
            np.concatenate([ops.convert_to_numpy(h) for h in layer])
            for layer in zip(*found, strict=True)
        ]

    def free_energy(self, v):
        """E(v, mu) - H(mu) of each row, an array `(rows,)`: -log Z less the bound."""
        found = (
            deep.compiled_free_energy(part, *machine, **self._inference())
            for part, machine in self._parts(v)
        )
        return np.concatenate([ops.convert_to_numpy(part) for part in found])

    def _parts(self, v):
        """(rows, machine) for so many rows of v at a time."""
        v = np.asarray(ops.convert_to_numpy(v), "float32")
        if not self.built:
            self.build(v.shape)
        if v.ndim != 2 or v.shape[1] != self.visible:
            raise ValueError(
                f"Rows must have {self.visible} visible units. Received: {v.shape}"
            )
        machine = deep.sides(*self.plain())
        for first in range(0, len(v), _BATCH):
            part = ops.convert_to_tensor(v[first : first + _BATCH])
            backend.require(_are_chances(part), _NO_CHANCES, part)
            yield part, machine

    def _even(self, v):
        """v and the means of the other even layers, an array `(rows, even units)`."""
        return np.concatenate(self.means(v)[::2], axis=1)

    def restricted(self):
        """The restricted machine that this one is: even layers visible, odd hidden."""
        rows.must_be_built(self)
        machine = deep.sides(*self.plain())
        even, odd = machine[0].shape
        layer = Bipartite(odd, kernel_initializer="zeros")
        layer.seed_generator = self.seed_generator  # other draws in each call
        layer.build((None, even))
        values = [ops.convert_to_numpy(a) for a in machine]
        backend.assign([layer.kernel, layer.visible_bias, layer.hidden_bias], values)
        return layer

    def log_partition(self, method, steps, chains, data):
        """As `models.DBM.log_partition`; data are rows of visible units, or None."""
        layer = self.restricted()
        data = None if data is None else self._even(data)
        return layer.log_partition(method, steps, chains, data)

    def sample(self, n, steps, start, clamp, means):
        """As `models.DBM.sample`; start and clamp are rows of visible units."""
        layer = self.restricted()
        if start is not None:
            start = self._even(np.broadcast_to(start, (n, self.visible)))
        if clamp is not None:
            check_count("n", n)
            given = np.broadcast_to(ops.convert_to_numpy(clamp), (n, self.visible))
            clamp = np.full((n, sum(self.sizes[::2])), np.nan, "float32")
            clamp[:, : self.visible] = given
        even = layer.sample(n, steps, start, clamp, means)
        return even[:, : self.visible]

    def figures(self, run):
        """Samples, the filters of the first two layers, the free energy by epoch."""
        return deep_figures.figures(self, run)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], sum(self.units))

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "k": self.k,
            "chains": self.chains,
            "inference_steps": self.inference_steps,
            "damping": self.damping,
            "centering": self.centering,
            "data_init": self.data_init,
            "learns": self.learns,
            "seed": self.seed,
        }


def _are_chances(x):
    return ops.all(ops.abs(x - 0.5) <= 0.5 + _SLACK)
