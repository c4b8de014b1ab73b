"""GAN against hand-written losses and slopes, and what each option is to do."""

import types

import keras
import numpy as np
import pytest
from helpers.precision import FLOAT64
from keras import layers as kl
from keras import ops

import keras_dlparts
from keras_dlparts import backend, distribute
from keras_dlparts.metrics import ModeCoverage
from keras_dlparts.models import GAN
from keras_dlparts.models.adversarial import gan_figures, objectives
from keras_dlparts.optimizers import Phased
from keras_dlparts.testing import replication

X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
OBJECTIVES = objectives.OBJECTIVES


def gan(**options):
    keras.utils.set_random_seed(0)
    given = {
        "generator": [kl.Dense(2, "tanh")],
        "discriminator": [kl.Dense(3, "tanh"), kl.Dense(1)],
        "latent": 2,
        "seed": 1,
    }
    return GAN(**given | options)


def by_sgd(model, steps=None, rate=1.0):
    """A net whose steps are its slopes."""
    sgd = {n: keras.optimizers.SGD(rate) for n in ("discriminator", "generator")}
    model.compile(Phased(sgd, steps), run_eagerly=backend.name() == "torch")
    return model


def weights(model):
    """(D's, G's) as float64."""
    backend.up_to_date(model)
    return [
        [w.astype("float64") for w in net.get_weights()]
        for net in (model.discriminator, model.generator)
    ]


def codes(model, rows):
    """The codes that the next step draws first, and the generator that draws them."""
    seeds = backend.SeedGenerator(0)
    seeds.state.assign(model.seed_generator.state)
    z = keras.random.normal((rows, 2), seed=seeds)
    return ops.convert_to_numpy(z).astype("float64"), seeds


def judge(d, x):
    """D of float64 weights."""
    return np.tanh(x @ d[0] + d[1]) @ d[2] + d[3]


def softplus(s):
    return np.logaddexp(0, s)


def loss_of_d(d, x, f, objective):
    r, s = judge(d, x), judge(d, f)
    if objective == "wasserstein":
        return s.mean() - r.mean()
    if objective == "least_squares":
        return ((r - 1) ** 2).mean() / 2 + (s**2).mean() / 2
    return softplus(-r).mean() + softplus(s).mean()


def loss_of_g(d, g, z, objective):
    s = judge(d, np.tanh(z @ g[0] + g[1]))
    return {
        "minimax": -softplus(s).mean(),
        "non_saturating": softplus(-s).mean(),
        "least_squares": ((s - 1) ** 2).mean() / 2,
        "wasserstein": -s.mean(),
    }[objective]


def slopes(loss, values, step=1e-5):
    """The gradient of a loss of a list of arrays, by central differences."""
    found = []
    for number, value in enumerate(values):
        slope = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            moved = [v.copy() for v in values]
            moved[number][place] += step
            above = loss(moved)
            moved[number][place] -= 2 * step
            slope[place] = (above - loss(moved)) / (2 * step)
        found.append(slope)
    return found


def close(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def descended(values, slopes):
    return [v - s for v, s in zip(values, slopes, strict=True)]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_is_that_of_two_optimizers(objective):
    """D descends its loss, G its own, each with the other as it was."""
    model = by_sgd(gan(objective=objective))
    d, g = weights(model)
    z, _ = codes(model, len(X))
    logs = model.train_on_batch(X, return_dict=True)
    f = np.tanh(z @ g[0] + g[1])
    new_d = descended(d, slopes(lambda d: loss_of_d(d, X, f, objective), d))
    new_g = descended(g, slopes(lambda g: loss_of_g(d, g, z, objective), g))
    for ours, theirs in zip(weights(model), (new_d, new_g), strict=True):
        close(ours, theirs)
    assert logs["discriminator_loss"] == pytest.approx(
        loss_of_d(d, X, f, objective), rel=1e-5
    )
    assert logs["generator_loss"] == pytest.approx(
        loss_of_g(d, g, z, objective), rel=1e-5
    )


def test_by_turns_g_goes_back_through_the_d_that_has_learnt():
    """The lecture notes' two updates: D first, then G through D, which stays."""
    model = by_sgd(gan(objective="minimax"), {"discriminator": 1, "generator": 1})
    d, g = weights(model)
    z, _ = codes(model, len(X))
    model.train_on_batch(X)
    f = np.tanh(z @ g[0] + g[1])
    d = descended(d, slopes(lambda d: loss_of_d(d, X, f, "minimax"), d))
    for ours, theirs in zip(weights(model), (d, g), strict=True):
        close(ours, theirs)
    z, _ = codes(model, len(X))
    model.train_on_batch(X)
    g = descended(g, slopes(lambda g: loss_of_g(d, g, z, "minimax"), g))
    for ours, theirs in zip(weights(model), (d, g), strict=True):
        close(ours, theirs)


def test_label_smoothing_moves_the_target_of_real_samples():
    r, s = np.random.default_rng(2).normal(size=(2, 5)).astype("float32")
    for objective in OBJECTIVES[:3]:
        found = objectives.discriminator_loss(r, s, objective, 0.1)
        expected = loss_of_given(r, s, objective, 0.1)
        assert float(found) == pytest.approx(expected, rel=1e-5), objective


def loss_of_given(r, s, objective, e):
    if objective == "least_squares":
        return ((r - 1 + e) ** 2).mean() / 2 + (s**2).mean() / 2
    # Cross-entropy with the targets 1 - e and 0.
    p, q = 1 / (1 + np.exp(-r)), 1 / (1 + np.exp(-s))
    real = -((1 - e) * np.log(p) + e * np.log(1 - p)).mean()
    return real - np.log(1 - q).mean()


@pytest.mark.parametrize("penalty", ["r1", "gradient_penalty"])
def test_a_penalty_s_slope_goes_through_the_slope_of_d(penalty):
    model = by_sgd(gan(objective="wasserstein", **{penalty: 3.0}), rate=0.1)
    d, g = weights(model)
    z, seeds = codes(model, len(X))
    u = ops.convert_to_numpy(keras.random.uniform((len(X), 1), seed=seeds))
    logs = model.train_on_batch(X, return_dict=True)
    f = np.tanh(z @ g[0] + g[1])

    def penalty_of(d):
        x = X if penalty == "r1" else u * X + (1 - u) * f
        h = np.tanh(x @ d[0] + d[1])
        norm = np.linalg.norm(((1 - h**2) * d[2][:, 0]) @ d[0].T, axis=1)
        if penalty == "r1":
            return 3 / 2 * (norm**2).mean()
        return 3 * ((norm - 1) ** 2).mean()

    assert logs["penalty"] == pytest.approx(penalty_of(d), rel=1e-5)
    whole = slopes(lambda d: loss_of_d(d, X, f, "wasserstein") + penalty_of(d), d)
    close(weights(model)[0], [v - 0.1 * s for v, s in zip(d, whole, strict=True)])


def test_batch_norm_sees_real_and_generated_apart_and_moves_once_for_each():
    model = gan(
        discriminator=[kl.BatchNormalization(momentum=0.9), kl.Dense(1)],
        generator=[kl.BatchNormalization(momentum=0.9), kl.Dense(2)],
    )
    by_sgd(model, rate=0.0)
    z, _ = codes(model, len(X))
    norm = model.discriminator.layers[0]
    model.train_on_batch(X)
    backend.up_to_date(model)
    m = z.mean(axis=0)
    found = ops.convert_to_numpy(model.generator.layers[0].moving_mean)
    np.testing.assert_allclose(found, 0.1 * m, rtol=1e-4, atol=1e-6)
    kernel, bias = (ops.convert_to_numpy(w) for w in model.generator.layers[1].weights)
    f = (z - m) / np.sqrt(z.var(axis=0) + 1e-3) @ kernel + bias
    once = 0.9 * 0.1 * X.mean(axis=0) + 0.1 * f.mean(axis=0)
    found = ops.convert_to_numpy(norm.moving_mean)
    np.testing.assert_allclose(found, once, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_packing_puts_samples_side_by_side():
    images = np.arange(4 * 2 * 3 * 2).reshape(4, 2, 3, 2).astype("float32")
    found = ops.convert_to_numpy(objectives.packed(images, 2))
    expected = [np.concatenate(images[i : i + 2], axis=-1) for i in (0, 2)]
    np.testing.assert_array_equal(found, expected)
    model = by_sgd(gan(packing=3))
    assert model.discriminator.weights[0].shape == (6, 3)
    assert model.predict(X, verbose=0).shape == (2, 1)
    with pytest.raises(ValueError, match="multiple of packing=3"):
        model(X[:5])
    # TensorFlow's graphs learn the number of rows when they run.
    with pytest.raises(Exception, match="multiple of packing=3"):
        model.fit(X[:5], verbose=0)


@pytest.mark.long
def test_classes_are_seen_by_both_nets():
    y = np.array([0, 1, 2, 2, 1, 0])
    model = by_sgd(gan(classes=3))
    assert model.discriminator.weights[0].shape == (5, 3)
    assert model.generator.weights[0].shape == (5, 2)
    once = model.evaluate(X, y, verbose=0, return_dict=True)
    s = model.predict(X, verbose=0)
    chosen = s[np.arange(6), y]
    expected = 1 / (1 + np.exp(-chosen))
    assert once["real_score"] == pytest.approx(expected.mean(), rel=1e-5)
    model.fit(X, np.eye(3)[y], verbose=0)  # one-hot labels do as well
    one, other = (model.sample(3, labels=c, seed=0) for c in (0, 1))
    assert not np.allclose(one, other)
    with pytest.raises(ValueError, match=r"needs the labels .* fit\(x, labels\)"):
        model.fit(X, verbose=0)
    model = by_sgd(gan(classes=3))
    with pytest.raises(ValueError, match="class numbers, or one-hot of 3 classes"):
        model.fit(X, np.ones((6, 2)), verbose=0)
    images = objectives.with_label(np.zeros((2, 4, 4, 1)), np.eye(3)[:2])
    found = ops.convert_to_numpy(images)
    assert found.shape == (2, 4, 4, 4)
    np.testing.assert_array_equal(found[1, 2, 3], [0, 0, 1, 0])


def test_the_average_follows_the_generator():
    model = by_sgd(gan(average=0.9))
    _, mean = weights(model)
    for _ in range(3):
        _, g = weights(model)
        mean = [0.9 * a + 0.1 * b for a, b in zip(mean, g, strict=True)]
        model.train_on_batch(X)
    backend.up_to_date(model)
    close([ops.convert_to_numpy(a) for a in model.averages], mean)
    z = np.random.default_rng(5).standard_normal((4, 2), "float32")
    close([model.sample(4, seed=5)], [np.tanh(z @ mean[0] + mean[1])])
    assert not np.allclose(
        model.sample(4, seed=5, averaged=False), model.sample(4, seed=5)
    )


@pytest.mark.long
def test_a_generator_that_is_frozen_later_keeps_its_average(tmp_path):
    model = by_sgd(gan(generator=[kl.Dense(2), kl.BatchNormalization()], average=0.9))
    model.train_on_batch(X)
    backend.up_to_date(model)
    before = [ops.convert_to_numpy(a) for a in model.averages]
    model.generator.trainable = False
    model.compile("sgd")
    model.train_on_batch(X)
    backend.up_to_date(model)
    last = [w.numpy() for w in model.generator.weights[:4]]  # none moves
    mean = [0.9 * a + 0.1 * b for a, b in zip(before, last, strict=True)]
    close([ops.convert_to_numpy(a) for a in model.averages], mean)
    model.save(tmp_path / "gan.keras")
    again = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(again.sample(3, seed=0), model.sample(3, seed=0))


@pytest.mark.parametrize("policy", ["bfloat16", FLOAT64])
def test_the_average_is_kept_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = gan(average=0.9)
    finally:
        keras.config.set_dtype_policy("float32")
    _, before = weights(model)
    by_sgd(model).train_on_batch(X)
    backend.up_to_date(model)
    for a, b in zip(model.averages, before, strict=True):
        assert a.dtype == "float32"
        np.testing.assert_allclose(ops.convert_to_numpy(a), b, rtol=1e-5)
    for averaged in (True, False):
        samples = model.sample(4, averaged=averaged)
        assert samples.dtype == ("float32" if policy == "bfloat16" else "float64")
        assert np.isfinite(samples).all()


def test_noise_is_on_what_d_sees_in_training_only():
    model = gan(instance_noise=0.5)
    x = np.zeros((400, 2), "float32")
    seen = ops.convert_to_numpy(model._shown(ops.convert_to_tensor(x), True))
    assert seen.std() == pytest.approx(0.5, rel=0.1)
    np.testing.assert_array_equal(model._shown(ops.convert_to_tensor(x), False), x)


@pytest.mark.long
def test_metrics_are_told_of_samples(tmp_path):
    model = by_sgd(gan(sample_metrics=[ModeCoverage(deviation=1.0)]))
    logs = model.fit(X, validation_data=(X,), verbose=0).history
    assert 1 <= logs["modes"][0] <= 8
    assert 1 <= logs["val_modes"][0] <= 8
    model.save(tmp_path / "gan.keras")
    again = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(again.sample(3, seed=0), model.sample(3, seed=0))
    assert again.sample_metrics[0].deviation == 1.0


CONFIG = {
    "data": {"use": "gaussians", "samples": 48, "batch_size": 16},
    "model": {
        "use": "GAN",
        "generator": [{"use": "Dense", "units": 4}, {"use": "Dense", "units": 2}],
        "discriminator": [
            {"use": "Dropout", "rate": 0.3},
            {"use": "Dense", "units": 1},
        ],
        "latent": 2,
        "average": 0.9,
        "sample_metrics": ["ModeCoverage"],
    },
    "optimizer": {
        "use": "Phased",
        "groups": {"discriminator": "Adam", "generator": "Adam"},
        "steps": {"discriminator": 1, "generator": 1},
    },
    "fit": {"epochs": 2},
}


@pytest.mark.study
def test_a_run_stopped_in_mid_phase_goes_on_bit_by_bit(tmp_path):
    """An epoch has three steps, so that the second begins with the generator's."""
    whole = keras_dlparts.train(CONFIG, out=tmp_path / "a", verbose=0)
    first = keras_dlparts.train(CONFIG, out=tmp_path / "b", epochs=1, verbose=0)
    second = keras_dlparts.train(
        CONFIG, directory=first.path, epochs=2, resume=True, verbose=0
    )
    columns = {"learning_rate_generator", "gradient_norm_generator", "val_modes"}
    assert columns <= set(whole.history)
    paths = [run.path / "last.keras" for run in (whole, second)]
    models = [keras_dlparts.load_model(path) for path in paths]
    for one, other in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(one, other)
    text = (whole.path / "report.html").read_text()
    assert "Samples, and D over the plane" in text


def test_figures_are_of_the_samples():
    pytest.importorskip("matplotlib")

    history = {"discriminator_loss": [1.0], "generator_loss": [2.0]}
    found = gan().figures(types.SimpleNamespace(history=history))
    assert set(found) == {"Samples, and D over the plane", "Both losses by epoch"}
    drawn = gan_figures.images(np.random.default_rng(0).random((9, 4, 4, 3)))
    assert drawn.axes[0].images[0].get_array().shape == (15, 15, 3)


@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
@pytest.mark.long
def test_two_replicas_equal_one_device():
    """With a generator that does not look at its codes, which replicas draw apart."""

    def trained(strategy):
        keras.utils.set_random_seed(0)  # for the generator's own layer
        with strategy.scope():
            model = by_sgd(
                gan(generator=[kl.Rescaling(0.0), kl.Dense(2)], average=0.5),
                {"discriminator": 1, "generator": 1},
                rate=0.1,
            )
        model.fit(np.tile(X, (4, 1)), batch_size=8, shuffle=False, verbose=0)
        return [v.numpy() for v in [*model.weights, *model.optimizer.variables]]

    one, two = map(trained, (distribute.strategy("none"), replication.two_replicas()))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_mixed_precision_trains_the_two_nets(monkeypatch):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = gan()
    finally:
        keras.config.set_dtype_policy("float32")
    by_sgd(model, rate=0.1)
    before = weights(model)
    logs = model.train_on_batch(X, return_dict=True)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(logs["loss"])
    for net, old in zip(weights(model), before, strict=True):
        assert all(np.abs(a - b).max() > 0 for a, b in zip(net, old, strict=True))


BAD = [
    ({"latent": None}, "Give `latent`, such as latent=64"),
    ({"latent": 0}, "`latent` must be at least 1"),
    ({"objective": "hinge"}, "`objective` must be one of 'minimax'"),
    ({"generator": []}, "a model, a layer or a list of layers"),
    (
        {"generator": [kl.Dense(2), kl.Reshape((2, 1, 1))]}
        | {"discriminator": [kl.Flatten(), kl.LSTM(2), kl.Dense(1)]},
        "must take what the",
    ),
    ({"packing": 0}, "`packing` must be at least 1"),
    ({"average": 1.0}, "`average` must be a finite number"),
    ({"classes": 1}, "`classes` must be at least 2"),
    ({"objective": "wasserstein", "label_smoothing": 0.1}, "has none"),
    ({"discriminator": [kl.BatchNormalization(), kl.Dense(1)], "r1": 1.0}, "`r1` is"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        gan(**options)


def test_what_does_not_fit_says_what_to_do():
    with pytest.raises(ValueError, match=r"shape \(2,\), and data of shape \(3,\)"):
        by_sgd(gan()).fit(np.ones((4, 3)), verbose=0)
    model = gan()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="is its `objective`"):
        model.fit(X, X, verbose=0)
    built = keras.Sequential([keras.Input((3,)), kl.Dense(2)])
    assert gan(generator=built, latent=None).latent == 3
    built = keras.Sequential([keras.Input((3,)), kl.Dense(2)])
    with pytest.raises(ValueError, match="must be what the generator takes"):
        gan(generator=built, latent=2)
    with pytest.raises(ValueError, match="Give the model `average`"):
        gan().sample(1, averaged=True)
    with pytest.raises(ValueError, match="Give the model `classes`"):
        gan().sample(1, labels=0)


def test_a_config_says_where_it_is_wrong():
    def told(**changes):
        model = CONFIG["model"] | changes.pop("model", {})
        with pytest.raises(keras_dlparts.ConfigError) as error:
            keras_dlparts.build(CONFIG | changes | {"model": model})
        return str(error.value)

    assert "model.latent" in told(model={"latent": None})
    assert "Give `latent`" in told(model={"latent": None})
    assert "data of shape (2,)" in told(
        model={"generator": [{"use": "Dense", "units": 3}]}
    )
    assert "is its `objective`" in told(loss="MeanSquaredError")
    groups = {"groups": {"discriminator": "Adam", "generators": "Adam"}, "steps": None}
    assert "belongs to none of the groups" in told(
        optimizer=CONFIG["optimizer"] | groups
    )
    model = CONFIG["model"] | {"classes": 8, "packing": 4}
    assert keras_dlparts.build(CONFIG | {"model": model}).classes == 8
