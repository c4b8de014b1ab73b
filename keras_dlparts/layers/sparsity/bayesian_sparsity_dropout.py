"""Bayesian sparsity dropout: the data decide which weights to drop, and which for good.

The model of a layer, from lecture notes, has a scale tau_j for each weight w_j:

    p(y_next | x, W) = N(f(W x), sigma^2 I)    p(sigma^2) ~ const
    p(W | tau)       = prod_j N(w_j | 0, tau_j)
    p(tau_j | gamma) = gamma/2 exp(-gamma tau_j / 2)     "laplace"
    p(tau_j)         ~ 1 / tau_j                         "jeffreys"

A window is an epoch of B mini-batches. W_b are the weights that the optimizer's step on
mini-batch b leaves; a step is rho long, as a root mean square over steps and weights.

    Monte-Carlo   m_j = 1/B sum_b w_bj              the estimate of E[W | data]
                  v_j = 1/B sum_b (w_bj - m_j)^2    its spread
    E-step        e_j = E[1/tau_j | w_j / s]        s^2 = mean_j m_j^2 after the warm-up
                      = sqrt(gamma) s / |w_j|       "laplace"
                      = s^2 / w_j^2                 "jeffreys"
    M-step        w_j <- w_j / (1 + c e_j)          c = force strength/s rho/sqrt(B)
    drop          p_j = N(0 | m_j, s_j^2) / N(m_j | m_j, s_j^2)
                      = exp(-m_j^2 / (2 s_j^2))     s_j^2 = v_j + mean_i v_i
    training      y = f((W z) x)                    z_j = 0 with probability p_j, else 1
    inference     y = f(E[W z] x)                   E[w_j z_j] = (1 - p_j) m_j
    shut down     for good, if |m_j| < level s_j at the end of a window

In the notes' estimate of E[W | data] the weights of each mini-batch count by likelihood
and prior. Here the optimizer's steps follow the likelihood and the M-step the prior, so
the weights that are met are drawn in that proportion already, and each counts once. The
notes' sigma^2, one a layer, is the noise of the steps: rho/sqrt(B) is the error that it
leaves in what an epoch of B of them says about a weight. With it no learning rate is
needed, and neither the batch size nor the unit of the weights changes what gamma and
`strength` mean; the more data, the less the prior counts. The M-step is the ridge
1/2 e_j w_j^2, as a shrink after the optimizer's step rather than a term of the loss,
which an optimizer like Adam would rescale. After the warm-up c and p_j grow from
nothing to the above in `ramp` windows; then shutting down begins. `force` is 1;
with `callbacks.SparsityTarget`, which says itself how many weights are left, it is 0,
and the layer neither pulls weights nor shuts them down.

The M-step holds a weight fast that it finds near zero, one that a needed weight only
passes on its way to the other sign included. So the warm-up has to be long enough for
weights to change their sign. By default it ends with the first window t >= 2 by which

    sum_(t' <= t) B rho_t' >= 3 s                    they have gone far enough
    or  B rho_t < 1/(2 t) sum_(t' <= t) B rho_t'     or have come to rest

(a uniform initializer has weights of up to 1.73 s).
Shapes: those of the layer inside. Figueiredo 2003, "Adaptive sparseness for supervised
learning", has the EM of both priors.
"""

import typing
from typing import Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.sparsity.shrinking import (
    counted_in,
    judged,
    over_left,
    shrunk,
    spread_of,
)
from keras_dlparts.layers.sparsity.sparsity_figures import figures_of
from keras_dlparts.layers.sparsity.weights_left import WeightsLeft
from keras_dlparts.support.checks import check_count, check_number
from keras_dlparts.support.quantization import is_whole, keep_whole


class Window(typing.NamedTuple):
    """What the mini-batches of a window say. A new one begins with n = 0."""

    mean: object  # of the weights
    square: object  # the sum of (w_b - mean)^2
    n: object  # mini-batches so far
    way: object  # the sum of the mean squares of the steps


class Verdict(typing.NamedTuple):
    """What the windows that are over decided."""

    keep: object  # 1 - p, and 0 for what is shut down
    window: object  # how many windows are over
    batches: object  # in the last one
    rho: object  # of the last one
    scale: object  # s
    travel: object  # the way of all steps in the warm-up
    waited: object  # windows of warm-up, as far as is known


# The variables of a layer: their names, whether they are matrices, and what they begin
# with. They are saved in this order, so new ones come last.
_VARIABLES = (
    ("pulled", True, "zeros"),  # all that the prior took: w = kernel - pulled
    ("last", True, "zeros"),  # the kernel at the last step
    ("mean", True, "zeros"),
    ("square", True, "zeros"),
    ("keep", True, "ones"),
    ("n", False, "zeros"),
    ("window", False, "zeros"),
    ("batches", False, "ones"),
    ("way", False, "zeros"),
    ("rho", False, "zeros"),
    ("scale", False, "zeros"),
    ("epoch_over", False, "zeros"),  # 1 once `fit` went on to another epoch
    ("began", False, "zeros"),  # n when the metrics were last reset
    ("travel", False, "zeros"),
    ("waited", False, "ones"),
    ("force", False, "ones"),
)
_OLDER = 13, 15  # how many of them files of older versions have
_LEAST_WARMUP = 2
_FAR = 3.0  # times s
_REST = 0.5  # times the way of the mean window
PRIORS = ("jeffreys", "laplace")
_KINDS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Embedding,
)

CASES = {
    "BayesianSparsityDropout": (
        {
            "arguments": lambda folder: {
                "layer": keras.layers.Dense(5, name="inner"),
                "every": 1,
                "warmup": 1,
                "ramp": 1,
                "seed": 3,
            },
            "input_shape": (4, 8),
            "still": {"warmup": 1000},
        },
        {
            "arguments": lambda folder: {
                "layer": keras.layers.Conv2D(4, 3, activation="relu", name="inner"),
                "prior": "laplace",
                "seed": 1,
            },
            "input_shape": (2, 6, 5, 3),
            "still": {"warmup": 1000},
        },
        {
            "arguments": lambda folder: {
                "layer": keras.layers.EinsumDense("abc,cd->abd", (3, 4), name="inner"),
                "seed": 1,
            },
            "input_shape": (2, 3, 5),
            "still": {"warmup": 1000},
        },
    )
}


def check_kind(layer):
    """Say what cannot be wrapped, and what to do about it."""
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(
            "`layer` must be a layer with a kernel. "
            f"Received: layer={layer!r} of type {type(layer).__name__}"
        )
    if not isinstance(layer, _KINDS):
        names = ", ".join(kind.__name__ for kind in _KINDS)
        raise ValueError(
            f"`layer` must be one of {names}. Received: a {type(layer).__name__}, "
            f"{layer.name!r}; wrap those of its layers that are"
        )
    check_own_weights(layer)
    for kind in ("regularizer", "constraint"):
        for weight in ("kernel", "embeddings"):
            if getattr(layer, f"{weight}_{kind}", None) is not None:
                raise ValueError(
                    f"`layer` must have no `{weight}_{kind}`: the prior takes its "
                    f"place. Received: {layer.name!r}, which has one; leave it out"
                )


def check_own_weights(layer):
    """Raise unless a layer computes with the very weights that its optimizer writes."""
    if not is_whole(layer):
        raise ValueError(
            "`layer` must have its own weights in full. Received: "
            f"{layer.name!r}, which is quantized or has LoRA weights; do that after "
            "`keras_dlparts.strip`"
        )


@keras.saving.register_keras_serializable("dlparts")
class BayesianSparsityDropout(keras.layers.Wrapper):
    """Learns which weights of a layer to drop, and shuts down those it can do without.

    It is used under plain `compile` and `fit`, with any optimizer. In training each
    weight is dropped at random with a probability that follows from where the weight
    went over the last epoch. Meanwhile a prior pulls all weights towards zero, the
    small ones most. At the end of each epoch, which is when `fit` resets the metrics,
    weights that cannot be told from zero are shut down: they stay exactly zero from
    there on. In inference the layer uses the mean of the weights over the epoch.

    The fraction of weights left is a metric of the model, `<name>_left`, so `evaluate`
    gives it too; `callbacks.SparsityLog` logs that of the whole model. To say how many
    shall be left, give `fit` a `callbacks.SparsityTarget`.
    `keras_dlparts.strip` makes a plain model of the result, `keras_dlparts.compact` a
    smaller one. `model.quantize` leaves the wrapped layer as it is: strip before.

    Five numbers a weight are kept besides the weight and the optimizer's own. The
    optimizer's variable is the weight without the prior's pull, so leave out weight
    decay: it would see another weight.

    Args:
        layer: A Dense, EinsumDense, Conv1D, Conv2D, Conv3D or Embedding layer. Its bias
            is left alone.
        prior: `"jeffreys"`, sparser, or `"laplace"`.
        gamma: Float, > 0. The rate of the exponential distribution of tau under
            `"laplace"`, in units of the layer's own weights; `"jeffreys"` has none.
        level: Float, > 0. A weight is shut down when its mean is below so many times
            the spread.
        strength: Float, >= 0. How much the prior counts: the higher, the fewer weights
            are left, and the less accurate the model.
        warmup: Integer, >= 1, or None. Epochs that only measure. With None they are at
            least two, and as many as it takes until the optimizer's steps add up to
            three times the size of the weights, or are half as long as in the mean
            epoch: before that a weight that is still to change its sign would be held
            at zero. The layer's `waited` tells how many.
        ramp: Integer, >= 1. Epochs after those in which pull and dropping grow.
        every: None for windows that are epochs, or the steps in a window. Give it with
            `train_on_batch`, and where an epoch is a single step.
        seed: Optional integer, for draws that repeat.

    Call arguments:
        inputs: What the layer inside takes.
        training: Boolean. Whether to drop, measure and pull. A layer that is not
            `trainable` does as in inference.

    Output shape: that of the layer inside. Masks pass as they do there.

    Example:

    >>> import keras, numpy as np
    >>> layer = BayesianSparsityDropout(keras.layers.Dense(1), warmup=5, ramp=5, seed=0)
    >>> model = keras.Sequential([keras.Input((20,)), layer])
    >>> model.compile(keras.optimizers.Adam(0.05), "mse")
    >>> x = np.random.default_rng(0).normal(size=(512, 20))
    >>> _ = model.fit(x, x[:, 0] - x[:, 1], epochs=20, verbose=0)
    >>> [int(j) for j in np.flatnonzero(layer.posterior_kernel())]
    [0, 1]
    >>> round(layer.sparsity, 2)
    0.9

    Reference: Figueiredo 2003, "Adaptive sparseness for supervised learning"
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        prior: Literal["jeffreys", "laplace"] = "jeffreys",
        gamma: float = 1.0,
        level: float = 1.0,
        strength: float = 2.0,
        warmup: int | None = None,
        ramp: int = 5,
        every: int | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        check_kind(layer)
        kwargs.setdefault("name", f"sparse_{layer.name}")
        super().__init__(layer, **kwargs)
        keep_whole(
            layer,
            "BayesianSparsityDropout computes with its weights as they are. Quantize "
            "what `keras_dlparts.strip(model)` gives",
        )
        if prior not in PRIORS:
            raise ValueError(
                f"`prior` must be 'jeffreys' or 'laplace'. Received: prior={prior!r}"
            )
        check_number("gamma", gamma, above=0)
        check_number("level", level, above=0)
        check_number("strength", strength, least=0)
        if warmup is not None:
            check_count("warmup", warmup, 1)
        check_count("ramp", ramp, 1)
        if every is not None:
            check_count("every", every, 1)
        self.prior = prior
        self.gamma = gamma
        self.level = level
        self.strength = strength
        self.warmup = warmup
        self.ramp = ramp
        self.every = every
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)
        self.supports_masking = layer.supports_masking
        self.weights_left = WeightsLeft(self, name=f"{self.name}_left")

    def build(self, input_shape=None):
        super().build(input_shape)
        check_own_weights(self.layer)
        shape = self.written().shape
        for name, is_matrix, initial in _VARIABLES:
            if name == "waited":
                initial = keras.initializers.Constant(self.warmup or _LEAST_WARMUP)
            variable = backend.running_variable(
                shape if is_matrix else (), name, initial
            )
            setattr(self, name, variable)

    def load_own_variables(self, store):
        """As of any layer, and from a file whose layer lacked the last variables."""
        if len(store.keys()) in _OLDER:
            for at in range(len(store.keys())):
                getattr(self, _VARIABLES[at][0]).assign(store[f"{at}"])
            return
        super().load_own_variables(store)

    def end_epoch(self):
        """Called when the metrics are reset: the next step begins another window.

        Keras tells a layer nothing of epochs, and callbacks would have to be given to
        each `fit`. What reaches a layer is that `fit` resets the metrics before each
        epoch. It does so before a validation too, and `train_on_batch` before each
        step. So a reset counts as the end of an epoch if two steps have been made since
        the last one; an epoch of a single step needs `every`.
        """
        n = backend.number(self.n)
        if n - backend.number(self.began) >= 2:
            self.epoch_over.assign(1.0)
        self.began.assign(n)

    def written(self):
        """The variable that the optimizer writes."""
        inner = self.layer
        return inner.kernel if hasattr(inner, "kernel") else inner.embeddings

    def call(self, inputs, training=False):
        check_own_weights(self.layer)
        draws = training and self.learns
        with backend.full_precision():
            kernel = self._sampled() if draws else self.posterior_kernel()
        outputs = self._inner(inputs, ops.cast(kernel, self.layer.compute_dtype))
        return ops.cast(outputs, self.compute_dtype)

    def _inner(self, inputs, kernel):
        """The layer's outputs with another kernel than its own."""
        inner, written = self.layer, self.written()
        name = next(name for name, value in vars(inner).items() if value is written)
        # Past Keras' attribute tracking: the layer itself is not to change.
        object.__setattr__(inner, name, kernel)
        try:
            return inner(inputs)
        finally:
            object.__setattr__(inner, name, written)

    def posterior_kernel(self):
        """E[W z], the kernel of inference: of the last epoch, or of this one so far."""
        mean = ops.convert_to_tensor(self.mean)
        start = ops.cast(self.written(), "float32") - self.pulled
        return ops.where(self.window + self.n > 0, mean, start) * self.keep

    def _sampled(self):
        """The weights after the last step, some dropped; the state moves on."""
        written = ops.cast(self.written(), "float32")
        k = ops.stop_gradient(written)
        # Unchanged if gradients are being accumulated, or in a second call of a step.
        stepped = ops.any(ops.not_equal(k, self.last))
        self._update(stepped, ("pulled", *Window._fields), lambda: self._look(k))
        self.last.assign(k)
        over = self.epoch_over > 0 if self.every is None else self.n >= self.every
        over = ops.logical_and(over, self.n > 0)
        self._update(over, (*Verdict._fields, "n", "way"), self._judge)
        self.began.assign(ops.minimum(self.began, self.n))
        self.epoch_over.assign(0.0)
        u = backend.draw("uniform", k.shape, self.seed_generator.next())
        w = (k - self.pulled) + (written - k)  # the gradient of w is that of `written`
        return w * ops.cast(u < self.keep, "float32")

    def _values(self, names):
        # On TensorFlow `convert_to_tensor` leaves a variable a variable. In Keras'
        # StatelessScope one that is assigned to itself would have no value.
        return [getattr(self, name).value for name in names]

    def _update(self, condition, names, update):
        """Where the condition holds, give named variables the values of `update`."""
        values = ops.cond(condition, update, lambda: tuple(self._values(names)))
        backend.assign([getattr(self, name) for name in names], values)

    def _look(self, k):
        """(pulled, *Window) after one more mini-batch: count its weights in, then let
        the prior pull."""
        verdict = Verdict(*self._values(Verdict._fields))
        before = Window(*self._values(Window._fields))
        pulled, last = self._values(["pulled", "last"])
        w, n = k - pulled, before.n + 1.0
        mean, square = counted_in(w, n, before.mean, before.square)
        first = verdict.window + before.n == 0  # where the weights begin is no step
        step = over_left(ops.square(k - last), verdict.keep)
        way = before.way + ops.where(first, 0.0, step)
        part = self._part(verdict.window, verdict.waited)
        strength = self.strength * ops.convert_to_tensor(self.force)
        a = strength * part * verdict.rho / ops.sqrt(verdict.batches)
        w = shrunk(w, a, verdict.scale, self.prior, self.gamma)
        pulled = k - ops.where(verdict.keep > 0, w, 0.0)
        return pulled, *Window(mean, square, n, way)

    def _judge(self):
        """(*Verdict, n, way) at the end of a window, of what its mini-batches say."""
        before = Verdict(*self._values(Verdict._fields))
        found = Window(*self._values(Window._fields))
        window = before.window + 1.0
        rho = ops.sqrt(found.way / found.n)
        size = ops.sqrt(ops.mean(ops.square(found.mean)))
        here, waited = rho * found.n, before.waited
        travel = before.travel + here
        if self.warmup is None:
            goes_on = ops.logical_and(
                travel < _FAR * size, here >= _REST * travel / window
            )
            goes_on = ops.logical_and(goes_on, window == waited)
            waited = waited + ops.cast(goes_on, "float32")
        scale = ops.where(window <= waited, size, before.scale)
        full = self._part(before.window, before.waited) >= 1
        full = ops.logical_and(full, self.force > 0)
        level = self.level * ops.cast(full, "float32")
        part = self._part(window, waited)
        variance = found.square / found.n
        keep = judged(found.mean, variance, before.keep, part, level)
        zero = ops.zeros_like(found.n)
        # On PyTorch `found.n` is the variable's own memory, which is set to 0 too: code
        # that is compiled does that first, and dividing by `batches` gives NaN.
        batches = ops.copy(found.n)
        verdict = Verdict(keep, window, batches, rho, scale, travel, waited)
        return *verdict, zero, zero

    def _part(self, window, waited):
        """How far the ramp has come in a window, the first one being 0."""
        return ops.clip((window - waited + 1.0) / self.ramp, 0.0, 1.0)

    @property
    def learns(self):
        """Whether training changes it: whether neither it nor its layer is frozen."""
        return self.trainable and self.layer.trainable

    @property
    def sparsity(self):
        """The fraction of the kernel's weights that are shut down."""
        left, all_of_them = self.counts()
        return 1 - left / all_of_them

    def counts(self):
        """(weights left, weights) of the kernel."""
        keep = ops.convert_to_numpy(self.keep)
        return int(np.count_nonzero(keep)), keep.size

    def moments(self):
        """(m_j, s_j) of this window so far, or of the one just ended, arrays."""
        names = ["mean", "square", "n", "batches", "keep"]
        mean, square, n, batches, keep = self._values(names)
        spread = spread_of(square / ops.where(n > 0, n, batches), keep)
        return ops.convert_to_numpy(mean), ops.convert_to_numpy(spread)

    def keep_only(self, left):
        """Shut all weights down for good but those where an array is true."""
        keep = ops.convert_to_tensor(self.keep)
        self.keep.assign(ops.where(ops.convert_to_tensor(left), keep, 0.0))

    def notes(self):
        """The variables that a plain layer does without."""
        inner = {id(weight) for weight in self.layer.weights}
        return [weight for weight in self.weights if id(weight) not in inner]

    def plain_weights(self):
        """{id of a variable: its value in a plain layer with the same outputs}."""
        return {id(self.written()): self.posterior_kernel()}

    def compute_mask(self, inputs, previous_mask=None):
        return self.layer.compute_mask(inputs, previous_mask)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def figures(self, run):
        """Weights left by epoch and layer, and the kernel before and after."""
        return figures_of(self, run)

    def get_config(self):
        return {
            **super().get_config(),
            "prior": self.prior,
            "gamma": self.gamma,
            "level": self.level,
            "strength": self.strength,
            "warmup": self.warmup,
            "ramp": self.ramp,
            "every": self.every,
            "seed": self.seed,
        }
