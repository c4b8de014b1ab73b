"""A generative adversarial net: a generator G and a discriminator D play a game.

    z ~ N(0, I),   s = D(x): a number without an activation, sigmoid(s) the chance that
    D gives to x being real;   s_r = D(x),  s_f = D(G(z))

    objective         D descends                           G descends
    minimax           mean softplus(-s_r)                  -mean softplus(s_f)
                        + mean softplus(s_f)
    non_saturating    the same                             mean softplus(-s_f)
    least_squares     mean (s_r - 1)^2 / 2                 mean (s_f - 1)^2 / 2
                        + mean s_f^2 / 2
    wasserstein       mean s_f - mean s_r                  -mean s_f

    label_smoothing e  the target of real samples is 1 - e
    instance_noise n   D sees x + e and G(z) + e,  e ~ N(0, n^2 I), in training
    gradient_penalty l l mean (||dD/dx(u x + (1 - u) G(z))|| - 1)^2,  u ~ U(0, 1)
    r1 c               c/2 mean ||dD/dx(x)||^2
    packing m          D sees m samples at a time, their channels side by side
    average a          w_bar <- a w_bar + (1 - a) w, of G's weights, as each step begins
    classes K          D sees x, and G sees z, with the one-hot label of K classes

One pass trains both: D's loss stops at G(z), and G's goes back through D without
changing it. Real samples and those of G go through D in batches of their own, so batch
normalisation never mixes them, and D's state moves once for each.
Shapes: x (batch, ...) -> s (batch / m, ...), with classes (batch / m, ..., K): s for
each label that x might have. Inference: no noise, and D's and G's own inference.
Goodfellow et al. 2014, arXiv:1406.2661; Radford et al. 2016, arXiv:1511.06434; Mao et
al. 2017, arXiv:1611.04076; Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al.
2017, arXiv:1704.00028; Mescheder et al. 2018, arXiv:1801.04406; Lin et al. 2018 (Pac),
arXiv:1712.04086; Mirza & Osindero 2014 (labels), arXiv:1411.1784.
"""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend, graphs
from keras_dlparts.backend import keras_private
from keras_dlparts.models.adversarial import gan_figures, objectives
from keras_dlparts.support.checks import check_count, check_number, check_word

_ROWS = 256  # samples that are made at a time


def _case():
    return {
        "generator": [keras.layers.Dense(5, "tanh"), keras.layers.Dense(3)],
        "discriminator": [keras.layers.Dense(5, "tanh"), keras.layers.Dense(1)],
        "latent": 2,
        "seed": 1,
    }


CASES = {
    "GAN": (
        {
            "arguments": lambda folder: _case(),
            "input_shape": (4, 3),
            "alone": "replicas draw other codes z than one device does",
        },
    )
}


def _net(given, name):
    """A model from a model, a layer or a list of layers, or from their config."""
    if isinstance(given, dict):
        given = keras.saving.deserialize_keras_object(given)
    if isinstance(given, keras.Model):
        return given
    layers = [*given] if isinstance(given, list | tuple) else [given]
    if not layers or not all(isinstance(each, keras.layers.Layer) for each in layers):
        raise TypeError(
            f"`{name}` must be a model, a layer or a list of layers, at least one. "
            f"Received: {name}={given!r}"
        )
    return keras.Sequential(layers, name=name)


@keras.saving.register_keras_serializable("dlparts")
class GAN(keras.Model):
    """A generator and a discriminator that train with plain `compile` and `fit`.

    `compile` takes an optimizer and no loss. `optimizers.Phased` gives each of the two
    nets an optimizer of its own, and says whether they step at once or by turns:

        gan.compile(Phased({"discriminator": "adam", "generator": "adam"}))
        gan.compile(Phased({...}, steps={"discriminator": 5, "generator": 1}))

    Any other optimizer steps both at once. `fit` takes real samples, and their labels
    as `y` where `classes` is given. The logs tell both losses and, unless the objective
    is `"wasserstein"`, D's accuracy on real samples and on those of G; the mean of D as
    `real_score` and `fake_score`: sigmoid(s), or s itself with `"least_squares"` and
    `"wasserstein"`. Called on samples the model gives D's numbers s for them.

    On several replicas each draws codes of its own, so the result is not that of one
    device.

    Args:
        generator: A model, a layer or a list of layers from codes `(batch, latent)`,
            or `(batch, latent + classes)`, to samples of the data's shape.
        discriminator: Likewise, from samples to numbers without an activation. It sees
            `packing` times as many channels as the samples and their label have.
        latent: Integer, the length of a code. None: from the input of a built
            generator.
        objective: `"minimax"`, `"non_saturating"`, `"least_squares"` or
            `"wasserstein"`. The last one needs a discriminator that is held back, by
            `gradient_penalty` or by layers with spectral normalisation.
        label_smoothing: Float, `0 <= label_smoothing < 0.5`.
        instance_noise: Float, `>= 0`: the standard deviation of noise on what D sees.
        gradient_penalty: Float, `>= 0`: the factor of the penalty; 10 is usual.
        r1: Float, `>= 0`: the factor of the R1 penalty.
        packing: Integer, `>= 1`: how many samples D sees at a time. Every batch must be
            a multiple of it.
        average: None, or a float, `0 < average < 1`, to keep an average of the
            generator's weights, which `sample` then uses.
        classes: None, or an integer, the number of classes of the labels.
        sample_metrics: List of Keras metrics that are told of each batch
            `(real, generated)`, as `metrics.ModeCoverage`.
        seed: Optional integer, for codes and noise that repeat.

    Example:

    >>> from keras_dlparts.optimizers import Phased
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    >>> gan = GAN(
    ...     generator=[keras.layers.Dense(8, "relu"), keras.layers.Dense(2)],
    ...     discriminator=[keras.layers.Dense(8, "relu"), keras.layers.Dense(1)],
    ...     latent=4,
    ... )
    >>> gan.compile(Phased({"discriminator": "adam", "generator": "adam"}))
    >>> sorted(gan.fit(x, verbose=0).history)
    ['discriminator_loss', 'fake_accuracy', 'fake_score', 'generator_loss', 'loss',
     'real_accuracy', 'real_score']
    >>> gan.sample(5).shape
    (5, 2)
    """

    def __init__(
        self,
        generator: keras.Model | keras.layers.Layer | Sequence[keras.layers.Layer],
        discriminator: keras.Model | keras.layers.Layer | Sequence[keras.layers.Layer],
        latent: int | None = None,
        objective: Literal[
            "minimax", "non_saturating", "least_squares", "wasserstein"
        ] = "non_saturating",
        label_smoothing: float = 0.0,
        instance_noise: float = 0.0,
        gradient_penalty: float = 0.0,
        r1: float = 0.0,
        packing: int = 1,
        average: float | None = None,
        classes: int | None = None,
        sample_metrics: Sequence[keras.metrics.Metric] = (),
        seed: int | None = None,
        **kwargs,
    ):
        check_word("objective", objective, objectives.OBJECTIVES)
        check_number("label_smoothing", label_smoothing, least=0, below=0.5)
        if label_smoothing and objective == "wasserstein":
            raise ValueError(
                "`label_smoothing` moves a target, and the objective 'wasserstein' has "
                f"none. Received: label_smoothing={label_smoothing}. Leave it out"
            )
        check_number("instance_noise", instance_noise, least=0)
        check_number("gradient_penalty", gradient_penalty, least=0)
        check_number("r1", r1, least=0)
        check_count("packing", packing)
        if average is not None:
            check_number("average", average, above=0, below=1)
        if classes is not None:
            check_count("classes", classes, 2)
        super().__init__(**kwargs)
        self.generator = _net(generator, "generator")
        self.discriminator = _net(discriminator, "discriminator")
        self.objective = objective
        self.label_smoothing = label_smoothing
        self.instance_noise = instance_noise
        self.gradient_penalty = gradient_penalty
        self.r1 = r1
        self.packing = packing
        self.average = average
        self.classes = classes
        self.latent = self._latent(latent)
        self.seed = seed
        self.seed_generator = backend.SeedGenerator(seed)
        self.sample_metrics = [
            keras.saving.deserialize_keras_object(m) if isinstance(m, dict) else m
            for m in sample_metrics
        ]
        names = ["discriminator_loss", "generator_loss", "real_score", "fake_score"]
        if objective != "wasserstein":
            names += ["real_accuracy", "fake_accuracy"]
        if gradient_penalty or r1:
            names.append("penalty")
        self.trackers = [keras.metrics.Mean(name=name) for name in names]
        self._make()

    def _latent(self, latent):
        shape = getattr(self.generator, "input_shape", None) if self._is_built() else ()
        known = shape[-1] if isinstance(shape, tuple) and len(shape) == 2 else None
        if known is not None:
            known -= self.classes or 0
        if latent is None and known is None:
            raise ValueError(
                "The length of a code z must be known. Received: latent=None, and a "
                "generator that is not built. Give `latent`, such as latent=64"
            )
        latent = known if latent is None else check_count("latent", latent)
        if known is not None and latent != known:
            raise ValueError(
                "`latent`, and the classes besides, must be what the generator takes. "
                f"Received: latent={latent} with classes={self.classes}, and a "
                f"generator of input shape {shape}"
            )
        return latent

    def _is_built(self):
        return self.generator.built and graphs.has_graph(self.generator)

    def _make(self):
        """Build both nets: the codes' length decides all shapes."""
        rows = self.packing
        labels = self.classes or 0
        if not self.generator.built:
            self.generator.build((None, self.latent + labels))
        codes = keras.KerasTensor((rows, self.latent + labels))
        self.sample_shape = _shape_from("generator", self.generator, codes)
        samples = keras.KerasTensor((rows, *self.sample_shape))
        shown = backend.traced(
            self._arranged,
            *([samples, keras.KerasTensor((rows, labels))] if labels else [samples]),
        )
        shape = (None, *shown.shape[1:])
        try:
            if not self.discriminator.built:
                self.discriminator.build(shape)
            seen = keras.KerasTensor((1, *shape[1:]))
            _shape_from("discriminator", self.discriminator, seen)
        except Exception as error:
            raise ValueError(
                "The discriminator must take what the generator makes. Received: "
                f"samples of shape {self.sample_shape}, which with packing="
                f"{self.packing} and classes={self.classes} are inputs of shape "
                f"{shape[1:]}, where it says: {error}"
            ) from error
        penalised = "gradient_penalty" if self.gradient_penalty else "r1"
        if getattr(self, penalised) and any(
            isinstance(layer, keras.layers.BatchNormalization)
            for layer in graphs.layers(self.discriminator)
        ):
            raise ValueError(
                f"`{penalised}` is about the gradient at each sample, and batch "
                "normalisation in the discriminator makes it depend on the others. "
                f"Received: {penalised}={getattr(self, penalised)}. Use "
                "LayerNormalization there, or no penalty"
            )
        for name in ("generator", "discriminator"):
            backend.note_group(getattr(self, name).trainable_variables, name)
        self.averages = []
        if self.average is not None:
            averaged = _averaged(self.generator)
            # In a function: the generator has these weights, and Keras must not take
            # them for this model's own too.
            self._averaged = lambda: averaged
            self.averages = [
                backend.running_variable(
                    w.shape,
                    f"average_{i}",
                    lambda shape, dtype=None, w=w: ops.copy(ops.cast(w, "float32")),
                )
                for i, w in enumerate(averaged)
            ]
        self.build((None, *self.sample_shape))

    def build(self, input_shape):
        self.built = True  # both nets were built when they were made

    def call(self, inputs, training=None):
        if tuple(inputs.shape[1:]) != self.sample_shape:
            raise ValueError(
                "The generator must make samples of the data's shape. Received: samples"
                f" of shape {self.sample_shape}, and data of shape "
                f"{tuple(inputs.shape[1:])}. Let the generator end in that shape, as "
                "by a Reshape"
            )
        if not self.classes:
            return self.discriminator(self._shown(inputs, training), training=training)
        if training:  # the loss knows the labels, which come as y
            rows = ops.shape(inputs)[0]
            return ops.zeros((rows, self.classes), self.compute_dtype)
        found, none = [], ops.zeros((ops.shape(inputs)[0], self.classes))
        for number in range(self.classes):
            label = none + ops.one_hot(number, self.classes)
            shown = self._arranged(inputs, label)
            found.append(self.discriminator(shown, training=training))
        return ops.concatenate(found, axis=-1)

    def _shown(self, x, training, label=None):
        """What the discriminator sees of samples."""
        if training and self.instance_noise:
            noise = keras.random.normal(
                ops.shape(x), dtype="float32", seed=self.seed_generator
            )
            x = x + ops.cast(self.instance_noise * noise, x.dtype)
        return self._arranged(x, label)

    def _arranged(self, x, label=None):
        if label is not None:
            x = objectives.with_label(x, label)
        if self.packing == 1:
            return x
        rows, rule = ops.shape(x)[0], f"a multiple of packing={self.packing}"
        rule = f"Every batch must be {rule}, the last one of an epoch too: choose "
        rule += "another `batch_size`, or leave samples out"
        if not isinstance(rows, int):  # TensorFlow's graphs learn it when they run
            left = ops.mod(rows, self.packing)
            backend.require(ops.equal(left, 0), rule, rows)
            x = x[: rows - left]  # or the next line would fail before the check
        elif rows % self.packing:
            raise ValueError(f"{rule}. Received: a batch of {rows}")
        return objectives.packed(x, self.packing)

    def _labels(self, y):
        """The labels of a batch, one-hot, or None without classes."""
        if not self.classes:
            return None
        if y is None:
            raise ValueError(
                f"A net with classes={self.classes} needs the labels of the samples. "
                "Received: no y. Give them, as in fit(x, labels)"
            )
        y = ops.convert_to_tensor(y)
        if len(y.shape) == 2 and y.shape[1] == self.classes:
            return ops.cast(y, "float32")
        if len(y.shape) == 1 or (len(y.shape) == 2 and y.shape[1] == 1):
            y = ops.cast(ops.reshape(y, (-1,)), "int32")
            return ops.one_hot(y, self.classes, dtype="float32")
        raise ValueError(
            f"Labels must be class numbers, or one-hot of {self.classes} classes. "
            f"Received: y of shape {tuple(y.shape)}"
        )

    def _generated(self, rows, label, training):
        z = keras.random.normal(
            (rows, self.latent), dtype="float32", seed=self.seed_generator
        )
        if label is not None:
            z = objectives.with_label(z, label)
        return ops.cast(self.generator(z, training=training), "float32")

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if self.loss is not None or sample_weight is not None:
            what = f"loss={self.loss!r}" if self.loss is not None else "sample weights"
            raise ValueError(
                "The loss of an adversarial net is its `objective`, and every sample "
                f"counts the same. Received: {what}. Leave it out"
            )
        label, real = self._labels(y), y_pred
        x = ops.cast(ops.convert_to_tensor(x), "float32")
        if label is not None:
            shown = self._shown(x, training, label)
            real = self.discriminator(shown, training=training)
        fake = self._generated(ops.shape(x)[0], label, training)
        shown = self._shown(fake, training, label)
        if training:
            s_d, s_g = backend.apart(self.discriminator, shown, training=True)
        else:
            s_d = s_g = self.discriminator(shown, training=False)
        s_r, s_d, s_g = (ops.cast(s, "float32") for s in (real, s_d, s_g))
        values = {
            "discriminator_loss": objectives.discriminator_loss(
                s_r, s_d, self.objective, self.label_smoothing
            ),
            "generator_loss": objectives.generator_loss(s_g, self.objective),
        }
        loss = values["discriminator_loss"] + values["generator_loss"]
        if self.gradient_penalty or self.r1:
            values["penalty"] = self._penalty(x, ops.stop_gradient(fake), label)
            loss = loss + values["penalty"]
        for each in self.losses:  # of the weights, and what layers add
            loss = loss + ops.sum(ops.cast(each, "float32"))
        self._note(values, s_r, s_d, x, fake)
        if training and self.averages:
            self._move_averages()
        return loss / backend.replica()[1]

    def _penalty(self, x, fake, label):
        """The penalties, at points of their own: D's state is as it was after them."""
        nets = self.discriminator
        trainable = [v.value for v in nets.trainable_variables]
        others = [v.value for v in nets.non_trainable_variables]

        def judge(x):
            s, _ = nets.stateless_call(trainable, others, x, training=True)
            return ops.cast(s, "float32")

        real, fake = self._arranged(x, label), self._arranged(fake, label)
        # The labels are seen, and are nothing that a sample could be moved along.
        kept = self._arranged(ops.ones_like(x), None if label is None else 0 * label)
        penalty = 0.0
        if self.gradient_penalty:
            shape = (ops.shape(real)[0], *[1] * (len(real.shape) - 1))
            u = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
            slopes = backend.input_gradient(judge, u * real + (1 - u) * fake) * kept
            off = ops.mean(ops.square(objectives.norms(slopes) - 1))
            penalty = self.gradient_penalty * off
        if self.r1:
            slopes = objectives.norms(backend.input_gradient(judge, real) * kept)
            penalty = penalty + self.r1 / 2 * ops.mean(ops.square(slopes))
        return penalty

    def _note(self, values, real, fake, x, samples):
        for name, s in (("real", real), ("fake", fake)):
            score, limit = objectives.judged(s, self.objective)
            values[f"{name}_score"] = score
            if limit is not None:
                right = score > limit if name == "real" else score < limit
                values[f"{name}_accuracy"] = ops.cast(right, "float32")
        rows = ops.shape(x)[0]
        for tracker in self.trackers:
            value = ops.mean(values[tracker.name])
            tracker.update_state(ops.stop_gradient(value), sample_weight=rows)
        for metric in self.sample_metrics:
            metric.update_state(x, ops.stop_gradient(samples))

    def _move_averages(self):
        a = self.average
        for mean, w in zip(self.averages, self._averaged(), strict=True):
            w = ops.stop_gradient(ops.cast(w.value, "float32"))
            mean.assign(a * mean + (1 - a) * w)

    def sample(
        self,
        n: int,
        labels: Any = None,
        seed: int | None = None,
        averaged: bool | None = None,
    ) -> np.ndarray:
        """Samples of the generator, an array `(n, ...)` of float32 at least.

        Args:
            n: Integer, `>= 1`.
            labels: With `classes`: a class number, or one for each sample. None for
                all classes by turns.
            seed: Optional integer, for codes that repeat.
            averaged: Whether to use the average of the generator's weights. None:
                where there is one.
        """
        check_count("n", n)
        if averaged and not self.averages:
            raise ValueError(
                "There is no average of the generator's weights. Received: "
                "averaged=True. Give the model `average`, such as average=0.999"
            )
        if labels is not None and not self.classes:
            raise ValueError(
                "`labels` are for a net with classes. Received: labels and a net "
                "without. Give the model `classes`"
            )
        backend.up_to_date(self)
        if seed is None:
            seed = np.random.randint(2**31)
        z = np.random.default_rng(seed).standard_normal((n, self.latent), "float32")
        if self.classes:
            labels = np.arange(n) % self.classes if labels is None else labels
            labels = np.broadcast_to(labels, (n,))
            z = np.concatenate([z, np.eye(self.classes, dtype="float32")[labels]], 1)
        use = bool(self.averages) if averaged is None else averaged
        made = [self._made(z[i : i + _ROWS], use) for i in range(0, n, _ROWS)]
        return np.concatenate(made)

    def _made(self, z, averaged):
        if not averaged:
            made = self.generator(z, training=False)
            return ops.convert_to_numpy(backend.at_least_float32(made))
        pairs = zip(self._averaged(), self.averages, strict=True)
        means = {
            id(w): ops.convert_to_tensor(mean.numpy(), w.dtype) for w, mean in pairs
        }
        values, others = (
            [means.get(id(v), v.value) for v in variables]
            for variables in (
                self.generator.trainable_variables,
                self.generator.non_trainable_variables,
            )
        )
        made, _ = self.generator.stateless_call(values, others, z, training=False)
        return ops.convert_to_numpy(backend.at_least_float32(made))

    def figures(self, run: Any) -> dict:
        """Samples, D over the plane where samples are points in it, and both losses."""
        return gan_figures.figures(self, run)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
            "latent": self.latent,
            "objective": self.objective,
            "label_smoothing": self.label_smoothing,
            "instance_noise": self.instance_noise,
            "gradient_penalty": self.gradient_penalty,
            "r1": self.r1,
            "packing": self.packing,
            "average": self.average,
            "classes": self.classes,
            "sample_metrics": [serialize(m) for m in self.sample_metrics],
            "seed": self.seed,
        }


def _shape_from(name, net, inputs):
    """The shape of what a net gives for symbolic inputs, without the batch."""
    found = backend.traced(lambda x: net(x, training=False), inputs)
    if not isinstance(found, keras.KerasTensor):
        raise ValueError(
            f"The {name} must give one tensor. Received: {type(found).__name__}"
        )
    return tuple(found.shape[1:])


def _averaged(generator):
    """The weights of a generator that have an average: also where it is frozen, so
    that they are the same before and after."""
    own = [
        keras_private.own_trainable_variables(one) for one in graphs.layers(generator)
    ]
    learnt = {id(w) for weights in own for w in weights}
    return [w for w in generator.weights if id(w) in learnt]
