"""Autoencoders: a net that gives back its input, through a code.

    h = f(c(x)),   y = g(h),   loss = misfit(x, y) + penalties
    c: corruption, in training only     f: encoder     g: decoder

    variational     (m, l) = f(x),  z = m + exp(l / 2) e,  e ~ N(0, I)
    -ELBO           -log p(x | z) + beta KL(N(m, exp l) || N(0, I))
    k samples       -log 1/k sum_s p(x | z_s) p(z_s) / q(z_s | x)       (IWAE)
    contractive     contraction ||dh / dx||_F^2

Each term is a mean over the batch. `likelihoods.py` has the misfit, `contraction.py`
the norm, `mirroring.py` the decoder that follows from an encoder, `coding.py` what a
trained one can be asked. Shapes: x (batch, ...) -> x^, the same. Training and inference
differ in corruption, draws and KSparse. In inference the loss of a variational code is
the bound itself: beta is 1, without free bits.
Hinton & Salakhutdinov 2006; Vincent et al. 2010 (denoising); Rifai et al. 2011
(contractive); Kingma & Welling 2014 (variational); Burda et al. 2016 (IWAE).
"""

import contextvars
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.reconstruction.gaussian_sampling import (
    GaussianSampling,
    gaussian_kl,
)
from keras_dlparts.layers.residual.residual import build_all, layer_list
from keras_dlparts.models.reconstruction import contraction as contractive
from keras_dlparts.models.reconstruction.active_units import ActiveUnits
from keras_dlparts.models.reconstruction.coding import Coding
from keras_dlparts.models.reconstruction.likelihoods import (
    LIKELIHOODS,
    log_normal,
    means,
    misfit,
)
from keras_dlparts.models.reconstruction.mirroring import mirrored
from keras_dlparts.support.checks import (
    check_count,
    check_flag,
    check_number,
    check_word,
)
from keras_dlparts.support.losses import nan_unless
from keras_dlparts.support.quantization import MakesLayers

CASES = {
    "Autoencoder": (
        {
            "arguments": lambda folder: {
                "encoder": [keras.layers.Dense(5, "sigmoid")],
                "corruption": keras.layers.GaussianNoise(0.1),
                "contraction": 0.1,
                "input_shape": (6,),
            },
            "input_shape": (4, 6),
            "still": {"corruption": None},
        },
    )
}
_SLACK = 1e-5  # what rounding may put a value outside of [0, 1]


class Pass(NamedTuple):
    """What `call` found on the way; the loss needs it too."""

    code: Any  # of a variational code its means
    log_variance: Any  # or None
    z: Any  # what was decoded
    y: Any  # what the decoder gave


# The last output of a `call` on this thread, and its `Pass`. The loss of that very
# output need not compute it once more.
_LAST = contextvars.ContextVar("last", default=(None, None))


class _Given(keras.losses.Loss):
    """Averages losses of rows as Keras does: with sample weights, over replicas."""

    def call(self, y_true, y_pred):
        return y_pred


@keras.saving.register_keras_serializable("dlparts")
class Autoencoder(MakesLayers, Coding):
    """An autoencoder of any kind, trained by plain `compile(optimizer)` and `fit(x)`.

    The target is the input without corruption, whatever y the data has. The logs have
    each term: `reconstruction`, and `kl` and `active_units` of a variational code, or
    `penalty`. A loss given to `compile` takes the place of the likelihood, between y
    and the output. Each replica of a strategy takes the batch means of its share.

    `encoder` and `decoder` are `keras.Sequential` models once it is built, on the first
    batch or on `input_shape`.

    Args:
        encoder: A list of layers, or a layer or model.
        decoder: Likewise, from the code to the shape of the input; it ends without a
            sigmoid, which `likelihood="bernoulli"` applies. None for the mirror image
            of the encoder: see `docs/autoencoders.md`.
        code: An integer, for a linear code of that size behind the encoder;
            `layers.GaussianSampling(units)`, for a variational one; any other layer
            behind the encoder, such as `layers.KSparse(k)`. None: what the encoder
            gives.
        corruption: A layer that changes the input in training: a denoising
            autoencoder. `layers.MaskingNoise`, `layers.SaltAndPepper`,
            `keras.layers.GaussianNoise`.
        penalty: A regularizer of the code: `regularizers.SparsityKL`,
            `keras.regularizers.L1`. As Keras does with activities, it is divided by
            the batch size.
        contraction: Float, `>= 0`. What the squared norm of the code's derivative is
            multiplied by: a contractive autoencoder. Exact for an encoder of one Dense
            layer with sigmoid, tanh or no activation, without a `code` layer; else
            estimated in each step.
        likelihood: `"mse"`, the mean square; `"bernoulli"`, for values in [0, 1]; or
            `"gaussian"`, with one learnt deviation. The latter two are in nats, summed
            over the features, and one of them is what a variational code needs.
        tied: Whether the mirrored decoder has the encoder's kernels, transposed.
        importance_samples: Integer, `>= 1`. Codes drawn of each input; above 1 the loss
            of a variational code is the tighter bound of IWAE.
        input_shape: Tuple, without the batch.

    Example:

    >>> import numpy as np
    >>> from keras_dlparts.layers import GaussianSampling
    >>> x = np.random.default_rng(0).integers(0, 2, (64, 6)).astype("float32")
    >>> model = Autoencoder(
    ...     [keras.layers.Dense(8, "tanh")], code=GaussianSampling(2, seed=0),
    ...     likelihood="bernoulli",
    ... )
    >>> model.compile("adam")
    >>> history = model.fit(x, epochs=2, verbose=0).history
    >>> sorted(history)
    ['active_units', 'kl', 'loss', 'reconstruction']
    >>> model.encode(x).shape, model.sample(3).shape
    ((64, 2), (3, 6))
    """

    def __init__(
        self,
        encoder: keras.layers.Layer | Sequence[keras.layers.Layer],
        decoder: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
        code: int | keras.layers.Layer | None = None,
        corruption: keras.layers.Layer | None = None,
        penalty: str | keras.regularizers.Regularizer | None = None,
        contraction: float = 0.0,
        likelihood: Literal["mse", "bernoulli", "gaussian"] = "mse",
        tied: bool = False,
        importance_samples: int = 1,
        input_shape: Sequence[int] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder_layers = _flat(layer_list(encoder, "encoder"))
        given = decoder is not None
        self.decoder_layers = layer_list(decoder, "decoder") if given else None
        code = _revived(code)
        self.code = code
        self.sampling = code if isinstance(code, GaussianSampling) else None
        self.corruption = _revived(corruption)
        if self.corruption is not None:
            backend.own_draws(self.corruption)
        self.penalty = keras.regularizers.get(penalty)
        check_number("contraction", contraction, least=0)
        check_word("likelihood", likelihood, LIKELIHOODS)
        check_flag("tied", tied)
        check_count("importance_samples", importance_samples)
        self.contraction = contraction
        self.likelihood = likelihood
        self.tied = tied
        self.importance_samples = importance_samples
        self.given_shape = None if input_shape is None else tuple(input_shape)
        self._check_arguments()
        self.encoder = self.decoder = None
        self.undone = {}  # what undoes each layer of the encoder, of a mirrored one
        self.terms = {"reconstruction": keras.metrics.Mean("reconstruction")}
        if self.sampling is not None:
            self.terms["kl"] = keras.metrics.Mean("kl")
            self.terms["active_units"] = ActiveUnits(self.sampling.units)
        if self.penalty is not None or contraction:
            self.terms["penalty"] = keras.metrics.Mean("penalty")
        self.row_loss = _Given(name="rows")
        self.probe_seeds = backend.SeedGenerator()
        if input_shape is not None:
            self.build((None, *input_shape))

    def _check_arguments(self):
        code, variational = self.code, self.sampling is not None
        if code is not None and not isinstance(code, keras.layers.Layer):
            check_count("code", code)
        if variational and self.sampling.units is None:
            raise ValueError(
                "`code=GaussianSampling()` must say how wide the code is. Received: "
                "units=None; give it as GaussianSampling(units=20)"
            )
        if variational and self.likelihood == "mse":
            raise ValueError(
                "A variational code is weighed against a likelihood in nats. Received: "
                "likelihood='mse', a mean over the features; use 'bernoulli' for "
                "values in [0, 1], or else 'gaussian'"
            )
        if self.importance_samples > 1 and not variational:
            raise ValueError(
                "`importance_samples` are of a variational code. Received: "
                f"importance_samples={self.importance_samples}, code={code!r}; give "
                "code=GaussianSampling(units)"
            )
        if self.importance_samples > 1 and self.sampling.free_bits:
            raise ValueError(
                "`free_bits` belong to the bound of one sample. Received: "
                f"free_bits={self.sampling.free_bits} and "
                f"importance_samples={self.importance_samples}; leave one out"
            )
        if self.tied and self.decoder_layers is not None:
            raise ValueError(
                "`tied=True` shares kernels with a mirrored decoder. Received: a "
                "decoder too; leave it out, or build it of layers.TiedDense"
            )
        last = (self.decoder_layers or [None])[-1]
        while isinstance(last, keras.Sequential) and last.layers:
            last = last.layers[-1]
        ends = getattr(last, "activation", None)
        if self.likelihood == "bernoulli" and ends is keras.activations.sigmoid:
            raise ValueError(
                "With `likelihood='bernoulli'` the decoder gives logits, to which the "
                "sigmoid is applied here. Received: a decoder that ends in "
                f"{last.name!r}, which has a sigmoid; leave that activation out"
            )

    def build(self, input_shape):
        if self.built:
            return
        shape = tuple(input_shape)
        layers, made = [*self.encoder_layers], []
        h = build_all(layers, shape)
        narrow = not isinstance(self.code, keras.layers.Layer) and self.code is not None
        if len(h) > 2 and (narrow or self.sampling is not None):
            made.append(keras.layers.Flatten(dtype=self.dtype_policy))
        if narrow:
            made.append(
                keras.layers.Dense(self.code, name="code", dtype=self.dtype_policy)
            )
        self.made_layers = made
        layers += made
        self.encoder = keras.Sequential(
            [keras.Input(shape[1:]), *layers], name="encoder"
        )
        h = build_all(layers, shape)
        if isinstance(self.code, keras.layers.Layer):
            if not self.code.built:
                self.code.build(h)
            undone_code = [self.code] if self.sampling is not None else []
            code_shape = tuple(self.code.compute_output_shape(h))
        else:
            undone_code, code_shape = [], h
        decoder = self.decoder_layers
        if decoder is None:
            shapes = _shapes([*layers, *undone_code], shape)
            self.undone = mirrored(
                [*layers, *undone_code], shapes, self.tied, self.dtype_policy
            )
            decoder = [
                each
                for n in sorted(self.undone, reverse=True)
                for each in self.undone[n]
            ]
        self._check_decoded(build_all(decoder, code_shape), shape)
        self.decoder = keras.Sequential(
            [keras.Input(code_shape[1:]), *decoder], name="decoder"
        )
        if self.likelihood == "gaussian":
            self.log_deviation = self.add_weight((), "zeros", name="log_deviation")
        self.built = True
        self.quantize_again()

    def made(self):
        """The layers that are made here: the code's, and the mirrored decoder's."""
        decoder = [each for n in sorted(self.undone) for each in self.undone[n]]
        return [*self.made_layers, *decoder]

    def _check_decoded(self, decoded, shape):
        if tuple(decoded[1:]) != shape[1:]:
            raise ValueError(
                f"The decoder must give back the shape of the input, {shape[1:]}. "
                f"Received: a decoder that gives {tuple(decoded[1:])}; end it in "
                "layers that do, such as Reshape, or leave it out to have the encoder "
                "mirrored"
            )

    def call(self, inputs, training=None):
        x = ops.cast(inputs, self.compute_dtype)
        found = self._pass(x, training, self.importance_samples if training else 1)
        y = found.y
        if training and self.importance_samples > 1:
            y = y[: ops.shape(x)[0]]  # what the first code of each row gives
        output = means(self.likelihood, y)
        _LAST.set((output, found))
        return output

    def _pass(self, x, training, samples):
        """Corrupt, encode, draw so many codes of each row if one is drawn, decode."""
        if self.corruption is not None:
            x = self.corruption(x, training=training)
        h = self.encoder(x, training=training)
        if self.sampling is not None:
            mean, log_variance = self.sampling.moments(h)
            z = self.sampling.draw(mean, log_variance, samples) if training else mean
        else:
            mean, log_variance = self._coded(h, training), None
            z = mean
        return Pass(mean, log_variance, z, self.decoder(z, training=training))

    def _coded(self, h, training):
        if isinstance(self.code, keras.layers.Layer):
            return self.code(h, training=training)
        return h

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        output, found = _LAST.get()
        _LAST.set((None, None))
        if output is not y_pred or output is None:
            given = ops.cast(x, self.compute_dtype)
            found = self._pass(given, training, self.importance_samples)
        target = self.target(x)
        kept = self._penalties(target, found, training)
        if self.loss is not None:
            theirs = super().compute_loss(x, y, y_pred, sample_weight, training)
            self._log_mean("reconstruction", theirs * backend.replica()[1], target)
            if self.sampling is not None:
                kl = gaussian_kl(found.code, found.log_variance)
                kept += self.sampling.divergence(kl, training)
                self._log_code(found, kl)
            return theirs + self._mean(kept, None)
        if self.sampling is None:
            rows = self.misfit(target, found.y)
            self._log("reconstruction", rows)
        else:
            rows = self._bound(target, found, training)
        total = self._mean(rows, sample_weight) + self._mean(kept, None)
        if self.losses:  # of regularizers, and of layers inside
            more = super().compute_loss(x, y, y_pred, sample_weight, training)
            total = total + ops.cast(more, "float32")
        return total

    def target(self, x):
        x = ops.cast(x, "float32")
        if self.likelihood == "bernoulli":
            fits = ops.all(ops.abs(x - 0.5) <= 0.5 + _SLACK)
            message = (
                "`likelihood='bernoulli'` takes values in [0, 1]: scale the data, "
                "divide bytes by 255, or use likelihood='gaussian'"
            )
            backend.require(fits, message, x)
            x = x + nan_unless(fits)
        return x

    def misfit(self, x, y):
        s = self.log_deviation if self.likelihood == "gaussian" else None
        s = None if s is None else ops.cast(s, "float32")
        return misfit(self.likelihood, x, ops.cast(y, "float32"), s)

    def _bound(self, x, found, training):
        """The negative bound on log p of each row, of a variational code."""
        samples, rows = self.importance_samples, ops.shape(x)[0]
        m, log_variance = (
            ops.cast(each, "float32") for each in (found.code, found.log_variance)
        )
        z, y = found.z, found.y
        if not training:  # the bound is one of drawn codes
            z = self.sampling.draw(found.code, found.log_variance, samples)
            y = self.decoder(z, training=False)
        kl = gaussian_kl(m, log_variance)
        self._log_code(found, kl)
        if samples == 1:
            fit = self.misfit(x, y)
            self._log("reconstruction", fit)
            if self.sampling.free_bits and training:
                return fit + self.sampling.divergence(kl, training)
            return fit + self.sampling.weight(training) * ops.sum(kl, axis=-1)
        repeated = ops.tile(x, (samples, *(1 for _ in x.shape[1:])))
        fit = self.misfit(repeated, y)
        self._log("reconstruction", fit)
        z = ops.reshape(ops.cast(z, "float32"), (samples, rows, -1))
        gap = log_normal(z) - log_normal(z, m, log_variance)
        log_w = self.sampling.weight(training) * gap - ops.reshape(fit, (samples, rows))
        return np.log(samples) - ops.logsumexp(log_w, axis=0)

    def _penalties(self, x, found, training):
        """The penalties of the code and of its derivative, a scalar."""
        total = ops.zeros((), "float32")
        if self.penalty is not None:
            rows = ops.cast(ops.shape(x)[0], "float32")
            # The sum over a batch may be beyond half precision.
            total += self.penalty(ops.cast(found.code, "float32")) / rows
        if self.contraction:
            norms = self._norms(x, found.code, training)
            total += self.contraction * ops.mean(norms)
        if "penalty" in self.terms:
            self._log_mean("penalty", total, x)
        return total

    def _norms(self, x, h, training):
        """||dh/dx||_F^2 of each row, exact where it is known."""
        layers = self.encoder.layers
        has_layer = isinstance(self.code, keras.layers.Layer)
        if not has_layer and contractive.is_one_dense(layers):
            dense = layers[-1]
            return contractive.exact(h, dense.kernel, dense.activation)
        parts = [self.encoder]
        if has_layer and self.sampling is None:
            parts.append(self.code)
        values = [
            [
                [ops.convert_to_tensor(v) for v in part.trainable_variables],
                [ops.convert_to_tensor(v) for v in part.non_trainable_variables],
            ]
            for part in parts
        ]

        def code(x):
            h = x
            for part, given in zip(parts, values, strict=True):
                h = part.stateless_call(*given, h, training=training)[0]
            return h if self.sampling is None else self.sampling.moments(h)[0]

        v = contractive.signs(ops.shape(h), self.probe_seeds)
        return contractive.estimated(code, ops.cast(x, self.compute_dtype), v)

    def _mean(self, values, sample_weight):
        values = ops.reshape(values, (-1,))
        return self.row_loss(values, values, sample_weight)

    def _log(self, name, values):
        self.terms[name].update_state(ops.stop_gradient(values))

    def _log_mean(self, name, value, x):
        """Log the mean over the rows of x, each of which counts in the epoch's mean."""
        self.terms[name].update_state(
            ops.stop_gradient(value), sample_weight=ops.shape(x)[0]
        )

    def _log_code(self, found, kl):
        self._log("kl", ops.sum(kl, axis=-1))
        self._log("active_units", found.code)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder_layers),
            "decoder": serialize(self.decoder_layers),
            "code": serialize(self.code),
            "corruption": serialize(self.corruption),
            "penalty": serialize(self.penalty),
            "contraction": self.contraction,
            "likelihood": self.likelihood,
            "tied": self.tied,
            "importance_samples": self.importance_samples,
            "input_shape": self.given_shape,
        }


def _revived(part):
    return (
        keras.saving.deserialize_keras_object(part) if isinstance(part, dict) else part
    )


def _flat(layers):
    """Layers in a row, those of Sequential models among them one by one."""
    found = []
    for layer in layers:
        several = isinstance(layer, keras.Sequential)
        found += _flat(layer.layers) if several else [layer]
    return found


def _shapes(layers, shape):
    """What each of some layers in a row takes."""
    shapes = []
    for layer in layers:
        shapes.append(tuple(shape))
        shape = layer.compute_output_shape(shape)
    return shapes
