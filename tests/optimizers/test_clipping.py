"""Clipped, its rules, and the two clipped descents, against slow numpy twins."""

import functools
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend, registry
from keras_dlparts.backend import keras_private
from keras_dlparts.optimizers import (
    AdaptiveUnit,
    Clipped,
    ClippedSGD,
    ClippingRule,
    FixedNorm,
    NormalizedSGD,
    Percentile,
    RelaxedSmoothness,
    ZScore,
)

SHAPES = (3, 2), (2,)


def gradients(steps, seed=0):
    """Pairs of gradients whose norm wanders over two orders of magnitude."""
    random = np.random.default_rng(seed)
    sizes = np.exp(np.cumsum(random.normal(size=steps) * 0.7).clip(-3, 3))
    return [[size * random.normal(size=s) for s in SHAPES] for size in sizes]


def stepped(optimizer, steps):
    """The variables after each step of an optimizer along given gradients."""
    random = np.random.default_rng(1)
    variables = [
        keras.Variable(random.normal(size=s), dtype="float32", name="w") for s in SHAPES
    ]
    optimizer.build(variables)
    path = []
    for step in steps:
        apply(optimizer, step)
        path.append([ops.convert_to_numpy(v).copy() for v in variables])
    return path


@functools.cache
def compiled_step(optimizer):
    import jax

    return jax.jit(optimizer.stateless_apply)


def apply(optimizer, step):
    """One step, the way `fit` of this backend takes it."""
    moves = [ops.convert_to_tensor(g.astype("float32")) for g in step]
    variables = keras_private.trained_by(optimizer)
    if backend.name() != "jax":
        optimizer.apply(moves, variables)
        return
    both = variables, optimizer.variables
    values = [[v.value for v in each] for each in both]
    new = compiled_step(optimizer)(values[1], moves, values[0])
    for variable, value in zip(
        keras.tree.flatten(both), keras.tree.flatten(new), strict=True
    ):
        variable.assign(value)


def twin(direction, steps, rate=lambda t: 0.1, momentum=0.9):
    """SGD with momentum along `direction(gradients, variables, t)`, in numpy."""
    random = np.random.default_rng(1)
    w = [random.normal(size=s) for s in SHAPES]
    m, path = [np.zeros(s) for s in SHAPES], []
    for t, g in enumerate(steps):
        d = direction(g, w, t)
        m = [momentum * a - rate(t) * b for a, b in zip(m, d, strict=True)]
        w = [a + b for a, b in zip(w, m, strict=True)]
        path.append(w)
    return path


def assert_same_path(ours, theirs):
    for step, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=str(step))


def norm(g):
    return np.sqrt(sum((a**2).sum() for a in g))


def by_threshold(threshold):
    """A twin's direction, from the norms so far to a threshold."""
    norms = []

    def direction(g, w, t):
        norms.append(norm(g))
        factor = min(1, threshold(norms) / norms[-1])
        return [a * factor for a in g]

    return direction


def z_score_threshold():
    kept = []  # what the mean and variance were made of
    moments = {}

    def threshold(norms):
        n = norms[-1]
        if len(norms) <= 25:
            kept.append(n)
            moments.update(mu=np.mean(kept), var=np.var(kept))
            return np.inf
        sigma = np.sqrt(moments["var"])
        z = (n - moments["mu"]) / (sigma + 1e-6)
        t = moments["mu"] + 2.5 * sigma / (z / 2.5) if z > 2.5 else n
        mu = 0.97 * moments["mu"] + 0.03 * min(n, t)
        var = 0.97 * moments["var"] + 0.03 * (min(n, t) - mu) ** 2
        moments.update(mu=mu, var=var)
        return t

    return threshold


def agc(g, w, t):
    out = []
    for a, b in zip(g, w, strict=True):
        axis = 0 if a.ndim > 1 else None
        limit = 0.5 * np.maximum(np.linalg.norm(b, axis=axis, keepdims=True), 1e-3)
        size = np.linalg.norm(a, axis=axis, keepdims=True)
        out.append(a * np.where(size > limit, limit / size, 1))
    return out


TWINS = {
    "fixed": (lambda: FixedNorm(2.0), lambda: by_threshold(lambda n: 2.0)),
    "percentile": (
        lambda: Percentile(30.0),
        lambda: by_threshold(lambda n: np.percentile(n, 30)),
    ),
    "window": (
        lambda: Percentile(30.0, window=7),
        lambda: by_threshold(lambda n: np.percentile(n[-7:], 30)),
    ),
    "z score": (ZScore, lambda: by_threshold(z_score_threshold())),
    "adaptive unit": (lambda: AdaptiveUnit(0.5), lambda: agc),
    "relaxed smoothness": (
        lambda: RelaxedSmoothness(L0=0.5, L1=0.4),
        lambda: by_threshold(lambda n: min(1, 1 / (10 * 0.4)) / 0.1),
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", TWINS)
def test_rule_steps_with_its_twin(name):
    rule, direction = (make() for make in TWINS[name])
    steps = gradients(100)
    optimizer = Clipped(keras.optimizers.SGD(0.1, momentum=0.9), by=rule)
    ours = stepped(optimizer, steps)
    assert_same_path(ours, twin(direction, steps))
    logs = rule.logs()
    assert 0 < logs["clipped_fraction"] < 1
    assert logs["gradient_norm"] == pytest.approx(norm(steps[-1]), rel=1e-4)
    assert rule.logs()["clipped_fraction"] == 0  # counted anew


def mixed_direction(gamma, beta, nu):
    m = [np.zeros(s) for s in SHAPES]

    def clip(v):
        return [a * min(1, gamma / norm(v)) for a in v]

    def direction(g, w, t):
        m[:] = [beta * a + (1 - beta) * b for a, b in zip(m, g, strict=True)]
        pairs = zip(clip(m), clip(g), strict=True)
        return [nu * a + (1 - nu) * b for a, b in pairs]

    return direction


@pytest.mark.parametrize(
    ("optimizer", "direction"),
    [
        (lambda: ClippedSGD(0.1, 0.5), lambda: by_threshold(lambda n: 0.5)),
        (
            lambda: ClippedSGD(0.1, 0.5, momentum=0.9, mix=0.7),
            lambda: mixed_direction(0.5, 0.9, 0.7),
        ),
        (
            lambda: NormalizedSGD(0.1, beta=0.3),
            lambda: lambda g, w, t: [a / (norm(g) + 0.3) for a in g],
        ),
    ],
    ids=["clipped", "mixed", "normalised"],
)
def test_descent_steps_with_its_twin(optimizer, direction):
    steps = gradients(100)
    ours = stepped(optimizer(), steps)
    assert_same_path(ours, twin(direction(), steps, momentum=0))


def test_clipped_and_normalised_steps_are_within_a_factor_of_two():
    """h_c / 2 <= h_n <= 2 h_c for gamma eta_c = eta_n and eta_c = eta_n / beta."""
    random = np.random.default_rng(0)
    for eta, beta, size in np.exp(random.uniform(-7, 7, (15, 3))):
        g = [size * random.normal(size=s) for s in SHAPES]
        start = stepped(keras.optimizers.SGD(0.1), [[0 * a for a in g]])[0]
        clipped = stepped(ClippedSGD(eta / beta, gamma=beta), [g])[0]
        normal = stepped(NormalizedSGD(eta, beta), [g])[0]
        h_c, h_n = (
            norm([a - b for a, b in zip(start, end, strict=True)])
            for end in (clipped, normal)
        )
        if h_c > 1e-3:  # else float32 loses it beside weights of size 1
            assert h_c / 2 * 0.999 <= h_n <= 2 * h_c * 1.001


def test_accumulated_gradients_are_clipped_as_one():
    steps = gradients(12)
    pairs = [
        [(a + b) / 2 for a, b in zip(*steps[i : i + 2], strict=True)]
        for i in range(0, 12, 2)
    ]
    rule = Percentile(30.0)
    optimizer = keras.optimizers.SGD(0.1, 0.9, gradient_accumulation_steps=2)
    ours = stepped(Clipped(optimizer, by=rule), steps)[1::2]
    theirs = stepped(
        Clipped(keras.optimizers.SGD(0.1, 0.9), by=Percentile(30.0)), pairs
    )
    assert_same_path(ours, theirs)
    assert float(rule.variables["seen"]) == 6
    mixed = {"learning_rate": 0.1, "gamma": 0.5, "momentum": 0.9}
    ours = stepped(ClippedSGD(**mixed, gradient_accumulation_steps=2), steps)[1::2]
    assert_same_path(ours, stepped(ClippedSGD(**mixed), pairs))


def everything(optimizer):
    return [v.numpy().copy() for v in optimizer.variables]


@pytest.mark.parametrize("name", TWINS)
def test_loss_scaling_clips_what_is_unscaled_and_skips_whole(name):
    make, _ = TWINS[name]
    steps = gradients(30)

    def optimizer():
        return Clipped(keras.optimizers.SGD(0.1, 0.9), by=make())

    plain = stepped(optimizer(), steps)
    inner = optimizer()
    outer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    path = stepped(outer, [[1024 * a for a in g] for g in steps])
    assert_same_path(path, plain)
    before = everything(inner), [v.numpy() for v in keras_private.trained_by(inner)]
    apply(outer, [np.full(s, np.inf) for s in SHAPES])
    after = everything(inner), [v.numpy() for v in keras_private.trained_by(inner)]
    for one, other in zip(
        keras.tree.flatten(before), keras.tree.flatten(after), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert float(outer.dynamic_scale) == 512


@pytest.mark.parametrize("name", TWINS)
def test_norm_that_is_not_finite_moves_no_state_of_the_rule(name):
    rule = TWINS[name][0]()
    optimizer = Clipped(keras.optimizers.SGD(0.1), by=rule)
    stepped(optimizer, gradients(5))
    own = [*rule.variables.values(), rule.threshold, rule.steps, rule.clipped]
    before = [v.numpy().copy() for v in own]
    apply(optimizer, [np.full(s, np.nan) for s in SHAPES])
    for variable, value in zip(own, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def regression(optimizer, **compiled):
    """A small model, and data it can fit."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    )
    model.compile(optimizer, "mse", **compiled)
    random = np.random.default_rng(0)
    x = random.normal(size=(32, 3)).astype("float32")
    return model, x, 5 * x.sum(axis=1, keepdims=True)


def test_threshold_moves_without_a_new_trace():
    traces = []

    class Counted(keras.layers.Layer):
        def call(self, inputs):
            traces.append(1)
            return inputs

    rule = FixedNorm(1e-3)
    model, x, y = regression(Clipped(keras.optimizers.SGD(1.0), by=rule))
    model.add(Counted())
    model.compile(model.optimizer, "mse", jit_compile=backend.can_compile())
    model.fit(x, y, batch_size=8, verbose=0, shuffle=False)
    seen, before = len(traces), model.get_weights()
    rule.threshold.assign(1e-6)
    model.fit(x, y, batch_size=8, verbose=0, shuffle=False)
    moved = norm([a - b for a, b in zip(model.get_weights(), before, strict=True)])
    assert 0 < moved <= 4.5e-6
    if backend.name() != "torch":  # which calls the layer in every step
        assert len(traces) == seen


@pytest.mark.long
@pytest.mark.parametrize(
    "make",
    [
        *(
            lambda make=make: Clipped(keras.optimizers.Adam(0.01), by=make())
            for make, _ in TWINS.values()
        ),
        lambda: ClippedSGD(0.1, 0.1, momentum=0.9),
        lambda: NormalizedSGD(0.1, 0.1),
    ],
    ids=[*TWINS, "ClippedSGD", "NormalizedSGD"],
)
def test_saved_in_mid_training_it_goes_on_the_same(make, tmp_path):
    model, x, y = regression(make())
    settings = {"batch_size": 8, "verbose": 0, "shuffle": False}
    model.fit(x, y, epochs=3, **settings)
    model.save(tmp_path / "model.keras")
    model.fit(x, y, epochs=2, **settings)
    again = keras.saving.load_model(tmp_path / "model.keras")
    again.fit(x, y, epochs=2, **settings)
    for ours, theirs in zip(
        [*model.get_weights(), *everything(model.optimizer)],
        [*again.get_weights(), *everything(again.optimizer)],
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


KERAS_OPTIMIZERS = sorted(
    name
    for name, cls in vars(keras.optimizers).items()
    if isinstance(cls, type)
    and issubclass(cls, keras.optimizers.Optimizer)
    and cls is not keras.optimizers.Optimizer
    and cls.apply is keras.optimizers.Optimizer.apply  # a wrapper has its own
)


@pytest.mark.parametrize("name", KERAS_OPTIMIZERS)
def test_every_optimizer_of_keras_comes_back_from_a_file(name, tmp_path):
    inner = getattr(keras.optimizers, name)(learning_rate=0.01)
    model, x, y = regression(Clipped(inner, by=FixedNorm(0.5)), run_eagerly=True)
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.optimizer.optimizer) is type(inner)
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    for each in (model, again):
        each.train_on_batch(x, y)
    for ours, theirs in zip(
        [*model.get_weights(), *everything(model.optimizer)],
        [*again.get_weights(), *everything(again.optimizer)],
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_keras_has_the_optimizers_that_are_tried_here():
    assert {"Adam", "Lamb", "Muon", "SGD"} < {*KERAS_OPTIMIZERS}
    assert not {"LossScaleOptimizer", "MultiOptimizer"} & {*KERAS_OPTIMIZERS}


def test_every_optimizer_of_keras_is_found_by_its_name():
    """Also those that Keras' own `get` does not find, such as Lamb."""
    for part in (registry.find("optimizers", n) for n in registry.names("optimizers")):
        wraps = part.short_name in ("LossScaleOptimizer", "MultiOptimizer")
        if part.vendor != "keras" or wraps:
            continue
        for name in (part.short_name, part.short_name.lower()):
            made = Clipped(name, by=FixedNorm(1.0)).optimizer
            assert isinstance(made, part.load()), name  # PyTorch's is a subclass
    with pytest.raises(ValueError, match="Could not interpret optimizer"):
        Clipped("lam", by=FixedNorm(1.0))


def test_settings_of_the_wrapped_optimizer_are_seen_and_set_from_outside():
    settings = {
        "weight_decay": 0.3,
        "use_ema": True,
        "ema_momentum": 0.5,
        "ema_overwrite_frequency": 7,
        "loss_scale_factor": 8.0,
        "gradient_accumulation_steps": 2,
    }
    inner = keras.optimizers.SGD(0.1, **settings)
    optimizer = Clipped(inner, by=FixedNorm())
    assert {name: getattr(optimizer, name) for name in settings} == settings
    optimizer.weight_decay = 0.1
    assert inner.weight_decay == 0.1
    keras.optimizers.LossScaleOptimizer(optimizer)  # scales by itself instead
    assert inner.loss_scale_factor is None


def weights_when_validated(optimizer):
    """The weights that validation sees after an epoch with `SwapEMAWeights`."""
    seen = []

    class Note(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            seen[:] = self.model.get_weights()

    model, x, y = regression(optimizer)
    callbacks = [keras.callbacks.SwapEMAWeights(), Note()]
    settings = {"batch_size": 8, "verbose": 0, "shuffle": False}
    model.fit(x, y, validation_data=(x, y), callbacks=callbacks, **settings)
    return seen


@pytest.mark.long
def test_moving_average_of_the_wrapped_optimizer_is_swapped_in():
    def sgd():
        return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)

    clipped = weights_when_validated(Clipped(sgd(), by=FixedNorm(1e9)))
    for one, other in zip(clipped, weights_when_validated(sgd()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    with pytest.raises(ValueError, match="use_ema=False"):
        weights_when_validated(Clipped("sgd", by=FixedNorm()))


def test_mixed_precision_clips_as_float32_does():
    """Weights after fit agree as far as float16's rounding lets them."""

    def trained(policy):
        keras.utils.set_random_seed(0)
        layers = keras.layers.Dense(4, "tanh", dtype=policy), keras.layers.Dense(1)
        model = keras.Sequential([keras.Input((3,)), *layers])
        rule = FixedNorm(0.01)
        optimizer = Clipped(keras.optimizers.SGD(1.0), by=rule)
        if policy == "mixed_float16":  # as `compile` does for a model of this policy
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, 256.0)
        model.compile(optimizer, "mse")
        random = np.random.default_rng(0)
        x = random.normal(size=(32, 3)).astype("float32")
        model.fit(x, 5 * x[:, :1], epochs=4, batch_size=8, verbose=0, shuffle=False)
        assert float(rule.steps) == float(rule.clipped) == 16
        return model.get_weights()

    for one, other in zip(trained("mixed_float16"), trained("float32"), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_norm_of_an_embedding_counts_repeated_rows_once():
    model = keras.Sequential(
        [keras.Input((2,), dtype="int32"), keras.layers.Embedding(5, 3)]
    )
    rule = FixedNorm(0.5)
    model.compile(Clipped(keras.optimizers.SGD(1.0), by=rule), loss="mse")
    before = model.get_weights()[0]
    x = np.zeros((1, 2), "int32")  # the same row twice
    model.train_on_batch(x, np.ones((1, 2, 3), "float32"))
    # d/dw of mean over 6 of (w - 1)^2, twice the same row of 3
    expected = np.linalg.norm(2 * (before[0] - 1) * 2 / 6)
    assert float(rule.gradient_norm) == pytest.approx(expected, rel=1e-4)
    moved = np.linalg.norm(model.get_weights()[0] - before)
    assert moved == pytest.approx(0.5, rel=1e-4)


def test_relaxed_smoothness_follows_the_learning_rate():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([4], [0.1, 0.01])
    rule = RelaxedSmoothness(L0=0.1, L1=2.0)
    steps = gradients(10)

    def rate(t):
        return 0.1 if t <= 4 else 0.01

    direction = by_threshold(lambda n: min(1, 1 / 20) / rate(len(n) - 1))
    ours = stepped(Clipped(keras.optimizers.SGD(schedule), by=rule), steps)
    assert_same_path(ours, twin(direction, steps, rate, momentum=0))


def test_relaxed_smoothness_caps_the_learning_rate_if_asked():
    steps = [[g / 100 for g in pair] for pair in gradients(10)]
    for known, rate in ((3.0, 1 / 30), (None, 0.1)):
        rule = RelaxedSmoothness(L0=known, L1=0.0, adapt_learning_rate=True)
        ours = stepped(Clipped(keras.optimizers.SGD(0.1), by=rule), steps)
        path = twin(lambda g, w, t: g, steps, lambda t, r=rate: r, momentum=0)
        assert_same_path(ours, path)
        logs = rule.logs()
        assert logs["clip_threshold"] == pytest.approx(1 / rate)


def test_relaxed_smoothness_clips_nothing_while_it_knows_nothing():
    rule = RelaxedSmoothness()
    steps = [[1e6 * g for g in pair] for pair in gradients(3)]
    ours = stepped(Clipped(keras.optimizers.SGD(1e-6), by=rule), steps)
    path = twin(lambda g, w, t: g, steps, lambda t: 1e-6, momentum=0)
    assert_same_path(ours, path)
    assert rule.logs().keys() == {"gradient_norm", "clipped_fraction"}


def test_it_is_the_wrapped_optimizer_in_all_else():
    inner = keras.optimizers.AdamW(0.1, weight_decay=0.3, use_ema=True)
    optimizer = Clipped(inner, by=FixedNorm(1e9))
    plain = keras.optimizers.AdamW(0.1, weight_decay=0.3, use_ema=True)
    for each in (optimizer, plain):
        each.learning_rate = 0.05
    steps = gradients(10)
    assert_same_path(stepped(optimizer, steps), stepped(plain, steps))
    assert int(optimizer.iterations) == 10
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.05)
    optimizer.finalize_variable_values(keras_private.trained_by(inner))
    plain.finalize_variable_values(keras_private.trained_by(plain))
    for one, other in zip(
        keras_private.trained_by(inner), keras_private.trained_by(plain), strict=True
    ):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5)


def test_excluded_weights_are_not_clipped():
    rule = AdaptiveUnit(1e-6, exclude=["dense_1/"])
    keras.backend.clear_session()
    model, x, y = regression(Clipped(keras.optimizers.SGD(1.0), by=rule))
    before = model.get_weights()
    model.train_on_batch(x, y)
    moved = [np.abs(a - b).max() for a, b in zip(before, model.get_weights(), strict=1)]
    assert max(moved[:2]) < 1e-5 < 1e-2 < min(moved[2:])


BAD = [
    (
        lambda: FixedNorm(0.0),
        ValueError,
        "`threshold` must be a finite number, greater than 0",
    ),
    (lambda: FixedNorm("a"), TypeError, "`threshold` must be a finite number"),
    (lambda: Percentile(100.1), ValueError, "between 0 and 100"),
    (lambda: Percentile(-0.1), ValueError, "must be a finite number, at least 0"),
    (lambda: Percentile(window=0), ValueError, "`window` must be at least 1"),
    (lambda: Percentile(window=1.5), TypeError, "`window` must be an integer"),
    (
        lambda: ZScore(0.0),
        ValueError,
        "`threshold` must be a finite number, greater than 0",
    ),
    (lambda: ZScore(momentum=1.0), ValueError, r"`momentum` must be in \[0, 1\)"),
    (lambda: ZScore(warmup=0), ValueError, "`warmup` must be at least 1"),
    (
        lambda: AdaptiveUnit(0.0),
        ValueError,
        "`clip_factor` must be a finite number, greater than 0",
    ),
    (
        lambda: AdaptiveUnit(epsilon=0.0),
        ValueError,
        "`epsilon` must be a finite number, greater",
    ),
    (lambda: AdaptiveUnit(exclude="a"), TypeError, "`exclude` must be a list"),
    (
        lambda: RelaxedSmoothness(L0=-0.1),
        ValueError,
        "`L0` must be a finite number, at least 0",
    ),
    (
        lambda: RelaxedSmoothness(L1=-0.1),
        ValueError,
        "`L1` must be a finite number, at least 0",
    ),
    (
        lambda: RelaxedSmoothness(margin=0),
        ValueError,
        "`margin` must be a finite number, greater",
    ),
    (
        lambda: ClippedSGD(gamma=0.0),
        ValueError,
        "`gamma` must be a finite number, greater than 0",
    ),
    (lambda: ClippedSGD(momentum=1.0), ValueError, "`momentum` must be in"),
    (lambda: ClippedSGD(mix=1.1), ValueError, "`mix` must be in"),
    (
        lambda: NormalizedSGD(beta=0.0),
        ValueError,
        "`beta` must be a finite number, greater than 0",
    ),
    (lambda: Clipped("sgd", by=1.0), TypeError, r"such as FixedNorm\(1.0\)"),
    (
        lambda: Clipped(keras.optimizers.SGD(global_clipnorm=1.0), by=FixedNorm()),
        ValueError,
        "clips by itself",
    ),
    (
        lambda: Clipped(
            keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()), by=FixedNorm()
        ),
        ValueError,
        r"LossScaleOptimizer\(Clipped",
    ),
    (
        lambda: Clipped(Clipped("sgd", by=FixedNorm()), by=FixedNorm()),
        ValueError,
        "not another wrapper",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_bounds_themselves_are_accepted():
    Percentile(0.0), Percentile(100.0, window=1), ZScore(momentum=0.0, warmup=1)
    RelaxedSmoothness(L0=0, L1=0), ClippedSGD(momentum=0.0, mix=1.0), ClippedSGD(mix=0)


def test_a_rule_serves_one_optimizer():
    rule = FixedNorm()
    stepped(Clipped("sgd", by=rule), gradients(1))
    with pytest.raises(ValueError, match="belongs to one optimizer"):
        Clipped("sgd", by=rule)


def test_a_weight_that_is_one_number_is_one_unit():
    """Of w = 3 and g = 10, clip_factor 0.1: limit 0.3, g is cut to 0.3."""
    weight = keras.Variable(3.0, name="scale")
    rule = AdaptiveUnit(0.1)
    optimizer = Clipped(keras.optimizers.SGD(1.0), by=rule)
    optimizer.build([weight])
    apply(optimizer, [np.array(10.0)])
    assert weight.numpy() == pytest.approx(2.7, rel=1e-6)
    assert rule.logs()["clipped_fraction"] == 1


def test_exclude_must_name_a_weight():
    optimizer = Clipped("sgd", by=AdaptiveUnit(exclude=["logits"]))
    with pytest.raises(ValueError, match="'logits'; the weights are: w, w"):
        optimizer.build([keras.Variable(np.ones(s), name="w") for s in SHAPES])


def test_unbuilt_apply_says_what_to_do():
    with pytest.raises(ValueError, match="build"):
        Clipped("sgd", by=FixedNorm()).apply([ops.ones((2,))])


def test_limit_is_for_the_rule_to_give():
    with pytest.raises(NotImplementedError):
        stepped(Clipped("sgd", by=ClippingRule()), gradients(1))


REPLICAS = """
import json, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from keras_dlparts.optimizers import *

MAKE = {
    "fixed": lambda: Clipped(keras.optimizers.SGD(0.1, 0.9), by=FixedNorm(0.5)),
    "percentile": lambda: Clipped(keras.optimizers.Adam(0.1), by=Percentile(30.0)),
    "z score": lambda: Clipped(keras.optimizers.SGD(0.1), by=ZScore(1.0, warmup=3)),
    "unit": lambda: Clipped(keras.optimizers.SGD(0.1), by=AdaptiveUnit(0.05)),
    "relaxed": lambda: Clipped(keras.optimizers.SGD(0.1),
        by=RelaxedSmoothness(3.0, 1.0, adapt_learning_rate=True)),
    "clipped": lambda: ClippedSGD(0.1, 0.5, momentum=0.9),
    "normalised": lambda: NormalizedSGD(0.1, 0.5),
}
random = np.random.default_rng(0)
x = random.normal(size=(64, 3)).astype("float32")
y = 3 * x.sum(axis=1, keepdims=True) * np.exp(random.normal(size=(64, 1)))

def trained(make, strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh"),
                                  keras.layers.Dense(1)])
        model.compile(make(), "mse")
    model.fit(x, y.astype("float32"), batch_size=16, epochs=3, verbose=0, shuffle=False)
    values = [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]
    return np.concatenate([np.ravel(v) for v in values])

found = {}
for name, make in MAKE.items():
    two = trained(make, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    one = trained(make, tf.distribute.get_strategy())
    fine = np.isfinite(one)
    found[name] = float(np.abs(one - two)[fine].max() / np.abs(one[fine]).max())
    assert (fine == np.isfinite(two)).all()
print(json.dumps(found))
"""


@pytest.mark.study  # the contract has a shorter one of each part
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
def test_two_replicas_equal_one_device():
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 7
    assert max(found.values()) < 1e-5, found
