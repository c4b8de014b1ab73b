"""Each loss of `Autoencoder` against numpy, integrals and finite differences."""

import keras
import numpy as np
import pytest
from helpers.precision import FLOAT64
from keras import layers as kl
from keras import ops

from keras_dlparts import ConfigError, backend, train
from keras_dlparts.layers import GaussianSampling, KSparse, MaskingNoise, SaltAndPepper
from keras_dlparts.models import Autoencoder
from keras_dlparts.models.reconstruction import contraction
from keras_dlparts.models.reconstruction.active_units import ActiveUnits
from keras_dlparts.regularizers import SparsityKL
from keras_dlparts.schedules import Ramp

RANDOM = np.random.default_rng(0)
SHOWN = {"bfloat16": "float32", "float64": "float64"}  # of a policy
BITS = RANDOM.integers(0, 2, (8, 6)).astype("float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def loss_of(model, x, training=False):
    """The loss as `fit` takes it."""
    x = ops.convert_to_tensor(x)
    prediction = model(x, training=training)
    return float(numpy(model.compute_loss(x, None, prediction, None, training)))


def made(encoder, **options):
    """A compiled model with weights of a size that makes all terms count."""
    keras.utils.set_random_seed(0)
    model = Autoencoder(encoder, input_shape=(6,), **options)
    random = np.random.default_rng(0)  # the same ones, whatever ran before
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 0.7, weight.shape))
    model.compile("adam")
    return model


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def test_mean_square_and_bernoulli_and_gaussian_misfit():
    model = made([kl.Dense(3, "tanh")])
    W, c, V, b = map(numpy, model.weights)
    y = np.tanh(BITS @ W + c) @ V + b
    np.testing.assert_allclose(
        loss_of(model, BITS), np.mean((BITS - y) ** 2), rtol=1e-5
    )
    np.testing.assert_allclose(model.reconstruct(BITS), y, rtol=1e-4, atol=1e-5)

    model = made([kl.Dense(3, "tanh")], likelihood="bernoulli")
    W, c, V, b = map(numpy, model.weights)
    p = sigmoid(np.tanh(BITS @ W + c) @ V + b)
    log_p = np.sum(BITS * np.log(p) + (1 - BITS) * np.log(1 - p), axis=1)
    np.testing.assert_allclose(loss_of(model, BITS), -log_p.mean(), rtol=1e-5)
    np.testing.assert_allclose(model.reconstruct(BITS), p, rtol=1e-4)

    model = made([kl.Dense(3, "tanh")], likelihood="gaussian")
    s = np.exp(float(numpy(model.log_deviation)))
    y = model.reconstruct(BITS)
    log_p = -((BITS - y) ** 2) / (2 * s * s) - np.log(s * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(loss_of(model, BITS), -log_p.sum(1).mean(), rtol=1e-5)


def test_penalties_of_the_code_are_those_of_keras_activities():
    kl_penalty = SparsityKL(0.1, weight=2.0)
    model = made([kl.Dense(3, "sigmoid")], penalty=kl_penalty)
    h, y = model.encode(BITS), model.reconstruct(BITS)
    r = h.mean(0)
    expected = np.sum(0.1 * np.log(0.1 / r) + 0.9 * np.log(0.9 / (1 - r)))
    found = loss_of(model, BITS) - np.mean((BITS - y) ** 2)
    np.testing.assert_allclose(found, 2 * expected, rtol=1e-4)
    model = made([kl.Dense(3)], penalty=keras.regularizers.L1(0.3))
    h, y = model.encode(BITS), model.reconstruct(BITS)
    found = loss_of(model, BITS) - np.mean((BITS - y) ** 2)
    np.testing.assert_allclose(found, 0.3 * np.abs(h).sum(1).mean(), rtol=1e-4)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", None])
def test_exact_estimated_and_numeric_contraction_agree(activation):
    model = made([kl.Dense(3, activation)], contraction=1.0)
    assert contraction.is_one_dense(model.encoder.layers)
    x = RANDOM.normal(size=(5, 6)).astype("float32")
    dense = model.encoder.layers[-1]
    exact = numpy(contraction.exact(model.encode(x), dense.kernel, dense.activation))
    # All 2^3 signs, each once: then Hutchinson's mean is the norm itself.
    signs = 2.0 * ((np.arange(8)[:, None] >> np.arange(3)) & 1) - 1
    probes = [
        numpy(
            contraction.estimated(
                model.encoder, *map(ops.convert_to_tensor, (x, v.astype("float32")))
            )
        )
        for v in np.repeat(signs[:, None], 5, axis=1)
    ]
    np.testing.assert_allclose(np.mean(probes, axis=0), exact, rtol=1e-4)
    step, numeric = 1e-2, 0.0
    for i in range(6):
        moved = step * np.eye(6, dtype="float32")[i]
        slope = (model.encode(x + moved) - model.encode(x - moved)) / (2 * step)
        numeric = numeric + np.sum(slope**2, axis=1)
    np.testing.assert_allclose(numeric, exact, rtol=1e-3)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_contraction_is_of_what_the_code_layer_gives(activation):
    """Where one unit is left, one product with a sign is the whole norm."""
    model = made([kl.Dense(5, activation)], code=KSparse(1), contraction=1.0)
    x = RANDOM.normal(size=(5, 6)).astype("float32")
    step, numeric = 1e-3, 0.0
    for i in range(6):
        moved = step * np.eye(6, dtype="float32")[i]
        slope = (model.encode(x + moved) - model.encode(x - moved)) / (2 * step)
        numeric = numeric + np.sum(slope**2, axis=1)
    found = loss_of(model, x) - np.mean((x - model.reconstruct(x)) ** 2)
    assert found == pytest.approx(numeric.mean(), rel=1e-2)


@pytest.mark.long
def test_contraction_of_a_deep_encoder_trains_all_its_kernels():
    """The loss of the estimate is differentiated once more, to its kernels."""
    model = made([kl.Dense(4, "tanh"), kl.Dense(2, "tanh")], contraction=10.0)
    penalty = model.terms["penalty"]
    model.fit(BITS, epochs=1, verbose=0)
    before = float(numpy(penalty.result()))
    model.optimizer.learning_rate = 0.05
    model.fit(BITS, epochs=20, verbose=0)
    assert float(numpy(penalty.result())) < 0.5 * before


def test_denoising_is_measured_on_the_clean_input_and_corrupts_in_training_only():
    class Zeros(kl.Layer):
        def call(self, x, training=False):
            return 0 * x if training else x

    model = made([kl.Dense(3, "tanh")], corruption=Zeros())
    clean, nothing = model.reconstruct(BITS), model.reconstruct(0 * BITS)
    found = loss_of(model, BITS, training=True)
    np.testing.assert_allclose(found, np.mean((BITS - nothing) ** 2), rtol=1e-5)
    found = loss_of(model, BITS)
    np.testing.assert_allclose(found, np.mean((BITS - clean) ** 2), rtol=1e-5)


def one_dimensional(**options):
    return made(
        [kl.Dense(4, "tanh")],
        code=GaussianSampling(1, seed=1, **options.pop("of_code", {})),
        likelihood="bernoulli",
        **options,
    )


def test_elbo_and_likelihood_equal_the_integrals_over_a_code_of_one_dimension():
    model = one_dimensional()
    m = model.encode(BITS)
    h = numpy(model.encoder(BITS))
    v = np.exp(numpy(model.sampling.moments(ops.convert_to_tensor(h))[1]))
    z = np.linspace(-9, 9, 2001)
    p = model.decode(z[:, None])
    log_px = BITS @ np.log(p).T + (1 - BITS) @ np.log(1 - p).T
    prior = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    q = np.exp(-((z - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)
    gap = np.log(np.maximum(q, 1e-300) / prior)
    elbo = np.trapezoid(q * (log_px - gap), z, axis=1).mean()
    rows = ops.convert_to_tensor(np.tile(BITS, (4000, 1)))
    np.testing.assert_allclose(-loss_of(model, rows), elbo, atol=0.02)
    exact = np.log(np.trapezoid(np.exp(log_px) * prior, z, axis=1))
    found = model.log_likelihood(BITS, samples=4000)
    assert abs(found.value - exact.mean()) < 4 * found.deviation < 0.3


def test_likelihood_equals_the_exact_one_of_a_linear_gaussian_model():
    model = made(
        [kl.Dense(4, "tanh")],
        decoder=[kl.Dense(6)],
        code=GaussianSampling(2, seed=1),
        likelihood="gaussian",
    )
    W, b = map(numpy, model.decoder.layers[-1].weights)
    s = np.exp(float(numpy(model.log_deviation)))
    cov = W.T @ W + s * s * np.eye(6)
    d = BITS - b
    exact = -0.5 * (
        np.sum(d * np.linalg.solve(cov, d.T).T, axis=1)
        + np.linalg.slogdet(2 * np.pi * cov)[1]
    )
    found = model.log_likelihood(BITS, samples=20000)
    assert abs(found.value - exact.mean()) < 4 * found.deviation < 0.2


def test_the_bound_of_many_codes_lies_between_elbo_and_likelihood():
    several = one_dimensional(importance_samples=20)
    one = one_dimensional()
    one.set_weights(several.get_weights())
    rows = np.tile(BITS, (200, 1))
    elbo, bound = (-loss_of(model, rows, training=True) for model in (one, several))
    likelihood = several.log_likelihood(BITS, 2000).value
    assert elbo < bound - 0.01
    assert bound < likelihood + 0.02
    assert several.reconstruct(BITS).shape == BITS.shape


@pytest.mark.long
def test_terms_are_columns_and_beta_moves_in_the_compiled_step():
    model = one_dimensional(of_code={"beta": Ramp(4), "free_bits": 0.05})
    history = model.fit(BITS, batch_size=8, epochs=3, verbose=0).history
    assert sorted(history) == ["active_units", "kl", "loss", "reconstruction"]
    assert float(numpy(model.sampling.steps)) == 3
    beta = [0, 0.25, 0.5]
    weighed = np.array(history["loss"]) - history["reconstruction"]
    np.testing.assert_allclose(weighed, np.multiply(beta, history["kl"]), atol=1e-3)
    # In evaluation the loss is the bound, with all of the divergence.
    found = model.evaluate(BITS, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        found["loss"], found["reconstruction"] + found["kl"], rtol=1e-5
    )


def test_units_whose_mean_does_not_move_are_not_active():
    metric = ActiveUnits(3)
    means = np.float32([[0, 1, 5], [0.1, -1, 5]])
    metric.update_state(ops.convert_to_tensor(means))
    assert float(numpy(metric.result())) == 1
    metric.update_state(ops.convert_to_tensor(means + np.float32([1, 0, 0])))
    assert float(numpy(metric.result())) == 2


def test_sample_weights_weigh_rows():
    model = made([kl.Dense(3, "tanh")], likelihood="bernoulli")
    weights = np.float32([2, 0, 0, 0, 0, 0, 0, 1])
    x = ops.convert_to_tensor(BITS)
    found = float(numpy(model.compute_loss(x, None, None, weights)))
    p = model.reconstruct(BITS)
    rows = -np.sum(BITS * np.log(p) + (1 - BITS) * np.log(1 - p), axis=1)
    np.testing.assert_allclose(found, np.mean(weights * rows), rtol=1e-5)


class Halves(keras.utils.PyDataset):
    """Each array of a tuple in two batches; what is None stays so."""

    def __init__(self, data):
        super().__init__()
        self.data = data

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return tuple(None if part is None else part[rows] for part in self.data)


WEIGHTS = np.float32([3, 0, 0, 0, 0, 2, 0, 1])


@pytest.mark.long
@pytest.mark.skipif(backend.name() == "tensorflow", reason="refused there")
@pytest.mark.parametrize("given", [tuple, Halves, lambda data: [*Halves(data)]])
def test_train_weighs_rows_without_targets(given, tmp_path):
    found = []
    for targets in (None, BITS):
        model = made([kl.Dense(3, "tanh")])
        data = given((BITS, targets, WEIGHTS))
        more = {"batch_size": 4} if given is tuple else {}
        train({"seed": 0}, model=model, data=data, epochs=3, out=tmp_path, **more)
        found.append(model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.skipif(backend.name() != "tensorflow", reason="the others take them")
def test_on_tensorflow_weights_without_targets_are_refused_in_words(tmp_path):
    model = made([kl.Dense(3, "tanh")])
    with pytest.raises(ConfigError, match="sample weights and no targets"):
        train(model=model, data=(BITS, None, WEIGHTS), out=tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("loss", [None, "mean_absolute_error"])
def test_a_short_last_batch_counts_as_its_rows(loss):
    model = made([kl.Dense(3, "tanh")], penalty="l1", contraction=0.1)
    model.compile(keras.optimizers.SGD(0.0), loss)
    x = np.concatenate([BITS, BITS[:2], 10 * BITS[2:3]])
    data = {"y": x, "batch_size": 10, "verbose": 0}
    history = model.fit(x, shuffle=False, validation_data=(x, x), **data).history
    whole = model.evaluate(x, **data | {"batch_size": 11}, return_dict=True)
    for name, value in whole.items():
        expected = pytest.approx(value, rel=1e-4)
        assert history[name] == history[f"val_{name}"] == [expected], name
    assert whole["loss"] == pytest.approx(
        whole["reconstruction"] + whole["penalty"], rel=1e-4
    )


def test_tied_kernels_get_the_gradient_of_both_uses():
    model = made([kl.Dense(3, "tanh")], tied=True)
    kernel = model.encoder.layers[-1].kernel
    x = ops.convert_to_tensor(BITS)
    _, found = backend.gradient(model, x, None)
    index = [v.path for v in model.trainable_variables].index(kernel.path)
    start, step = numpy(kernel), 1e-2
    numeric = np.zeros_like(start)
    for place in np.ndindex(start.shape):
        losses = []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * step
            kernel.assign(moved)
            losses.append(np.mean((model.reconstruct(BITS) - BITS) ** 2, dtype="f8"))
        numeric[place] = (losses[0] - losses[1]) / (2 * step)
    np.testing.assert_allclose(numpy(found[index]), numeric, rtol=3e-2, atol=3e-4)


def images():
    return [
        kl.Conv2D(4, 3, strides=2, padding="same"),
        kl.BatchNormalization(),
        kl.ReLU(),
        kl.MaxPooling2D(2),
        kl.Conv2D(3, 2, activation="relu"),
        kl.Dropout(0.2),
        kl.Flatten(),
        kl.Dense(5, "tanh"),
    ]


def test_a_convolutional_encoder_is_mirrored():
    for shape in ((8, 8, 1), (9, 11, 2), (10, 7, 1)):
        model = Autoencoder(images(), code=2, input_shape=shape)
        kinds = [type(layer).__name__ for layer in model.decoder.layers]
        assert kinds[:3] == ["Dense", "Dense", "Reshape"]
        assert kinds[-1] == "Conv2DTranspose"
        assert "Dropout" not in kinds
        assert kinds.count("BatchNormalization") == 1
        x = RANDOM.uniform(size=(2, *shape)).astype("float32")
        assert model.reconstruct(x).shape == x.shape
        assert model.interpolate(x, x[::-1], 3).shape == (2, 3, *shape)


@pytest.mark.usefixtures("channels_first")
@pytest.mark.parametrize("rank", [1, 2])
def test_a_mirror_has_the_format_of_the_encoder(rank):
    last = {"data_format": "channels_last"}
    conv, pool = (getattr(kl, f"{kind}{rank}D") for kind in ("Conv", "MaxPooling"))
    for padding in ("valid", "same"):  # what is pooled is padded, and cut
        encoder = [conv(3, 2, **last), pool(2, padding=padding, **last)]
        x = RANDOM.uniform(size=(2, *(6, 8)[:rank], 1)).astype("float32")
        model = Autoencoder(encoder, input_shape=x.shape[1:])
        assert model.reconstruct(x).shape == x.shape


def test_noise_in_the_encoder_is_left_out_of_the_mirror():
    encoder = [MaskingNoise(0.3), kl.Dense(4), SaltAndPepper(0.3), kl.Dense(3)]
    model = Autoencoder(encoder, input_shape=(6,))
    kinds = [type(layer).__name__ for layer in model.decoder.layers]
    assert kinds == ["Dense", "Dense"]


@pytest.mark.parametrize(
    "options",
    [
        {"code": 2, "tied": True},
        {"code": KSparse(2), "corruption": MaskingNoise(0.3), "contraction": 0.1},
        {
            "code": GaussianSampling(2, beta=Ramp(3)),
            "likelihood": "bernoulli",
            "importance_samples": 2,
        },
        {"decoder": [kl.Dense(6)], "penalty": SparsityKL(0.1, 0.5)},
    ],
)
def test_a_saved_model_comes_back(options, tmp_path):
    model = made([kl.Dense(5, "sigmoid")], **options)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.reconstruct(BITS), model.reconstruct(BITS), rtol=1e-5
    )
    assert len(loaded.weights) == len(model.weights)
    loaded.fit(BITS, epochs=1, verbose=0)


@pytest.mark.long
def test_pretraining_learns_the_layers_of_the_model_itself():
    x = RANDOM.uniform(size=(40, 6)).astype("float32")
    model = made([kl.Dense(5, "tanh"), kl.Dense(3, "tanh")], code=2, tied=True)
    before, seen = model.get_weights(), []

    def fit(machine, x, epochs, batch_size, number):
        seen.append((number, x.shape, [w.path for w in machine.encoder.weights]))
        return machine.fit(x, batch_size=batch_size, epochs=epochs, verbose=0).history

    histories = model.pretrain(x, epochs=3, batch_size=20, learning_rate=0.01, fit=fit)
    assert [len(history["loss"]) for history in histories] == [3, 3, 3]
    assert [shape for _, shape, _ in seen] == [(40, 6), (40, 5), (40, 3)]
    for old, new in zip(before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new)


@pytest.mark.long
def test_a_config_pretrains_and_trains_without_a_loss(tmp_path):
    config = {
        "data": {"use": "digits", "batch_size": 500},
        "model": {
            "use": "Autoencoder",
            "encoder": [
                "Flatten",
                {"use": "Dense", "units": 20, "activation": "relu"},
            ],
            "code": {
                "use": "GaussianSampling",
                "units": 2,
                "beta": {"use": "Ramp", "steps": {"epochs": 1}},
            },
            "likelihood": "bernoulli",
        },
        "pretrain": {"epochs": 2, "learning_rate": 0.01},
        "fit": {"epochs": 2},
    }
    run = train(config, out=tmp_path)
    assert {"reconstruction", "kl", "val_kl", "active_units"} <= set(run.history)
    assert run.config["pretrain"]["learning_rate"] == 0.01
    assert (run.path / "pretraining.csv").read_text().count("\n") == 3
    figures = run.model.figures(run)
    assert {"Reconstructions", "Samples", "Codes", "Walk"} <= set(figures)
    with pytest.raises(ConfigError, match=r"unknown key 'momentum'"):
        train({**config, "pretrain": {"epochs": 1, "momentum": 0.5}}, out=tmp_path)


def refused(match, encoder=None, call=None, **options):
    def make():
        given = {"input_shape": (6,)} | options
        call(Autoencoder(encoder or [kl.Dense(5)], **given))

    with pytest.raises(ValueError, match=match):
        make()


def test_errors_say_what_to_do():
    refused(r"shape of the input, \(6,\).*gives \(4,\); end it", decoder=[kl.Dense(4)])
    refused("k=6 for 5 units; lower k", code=KSparse(6))
    refused("units=None; give it as", code=GaussianSampling(), likelihood="gaussian")
    refused("use 'bernoulli' for values", code=GaussianSampling(2))
    refused("give code=GaussianSampling", importance_samples=2)
    refused(
        "leave one out",
        code=GaussianSampling(2, free_bits=0.1),
        likelihood="gaussian",
        importance_samples=2,
    )
    refused("or build it of layers.TiedDense", tied=True, decoder=[kl.Dense(6)])
    refused(
        "leave that activation out",
        decoder=[kl.Dense(6, "sigmoid")],
        likelihood="bernoulli",
    )
    refused("has a SimpleRNN layer", encoder=[kl.SimpleRNN(3)], input_shape=(4, 2))
    refused("Only a variational code has a prior", call=lambda m: m.sample(2))
    refused("Only a variational auto", call=lambda m: m.log_likelihood(BITS))
    refused("`code` must be at least 1", code=0)
    refused(
        r"takes values in \[0, 1\].*Received: 0 to 255",
        likelihood="bernoulli",
        call=lambda m: loss_of(m, 255 * BITS),
    )
    with pytest.raises(ValueError, match="give `input_shape=`"):
        Autoencoder([kl.Dense(3)]).decode(BITS)


def test_values_out_of_range_stop_a_compiled_step():
    model = made([kl.Dense(3)], likelihood="bernoulli")
    if backend.name() == "jax":  # which raises nothing from a compiled step
        history = model.fit(2 * BITS, epochs=1, verbose=0).history
        assert np.isnan(history["loss"]).all()
        return
    with pytest.raises(Exception, match=r"takes values in \[0, 1\]"):
        model.fit(2 * BITS, epochs=1, verbose=0)


@pytest.mark.parametrize("tied", [False, True])
def test_what_it_makes_computes_in_the_dtype_of_the_model(tied):
    policy = "mixed_bfloat16"
    encoder = [kl.Conv2D(2, 3, activation="relu", dtype=policy)]
    encoder.append(kl.MaxPooling2D(2, dtype=policy))
    model = Autoencoder(encoder, code=3, tied=tied, dtype=policy)
    model.build((None, 6, 6, 1))
    made = [*model.made_layers, *model.decoder.layers]
    assert {layer.compute_dtype for layer in made} == {"bfloat16"}


def test_a_penalty_sums_over_the_batch_in_float32():
    """The sum of |h| is 1024000, beyond float16."""
    half = {"dtype": "mixed_float16"}
    dense = kl.Dense(1000, kernel_initializer="ones", **half)
    l1 = keras.regularizers.L1(1e-3)
    model = Autoencoder([dense], penalty=l1, input_shape=(4,), **half)
    model.compile("sgd")
    x = np.ones((256, 4), "float32")
    logs = model.evaluate(x, batch_size=256, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["penalty"], 4.0, rtol=1e-3)


@pytest.mark.parametrize("policy", ["bfloat16", FLOAT64])
def test_losses_of_regularizers_may_have_another_dtype(policy):
    dense = kl.Dense(3, kernel_regularizer="l2", dtype=policy)
    model = Autoencoder([dense], input_shape=(6,), dtype=policy)
    model.compile("sgd")
    history = model.fit(BITS, verbose=0).history
    assert history["loss"][0] > history["reconstruction"][0]


@pytest.mark.parametrize("policy", ["bfloat16", FLOAT64])
def test_the_likelihood_is_the_same_in_every_dtype(policy):
    def variational(policy):
        code = GaussianSampling(2, seed=0, dtype=policy)
        more = {"code": code, "likelihood": "bernoulli", "dtype": policy}
        return Autoencoder([kl.Dense(3, dtype=policy)], input_shape=(6,), **more)

    model, same = variational(policy), variational("float32")
    assert model.encode(BITS).dtype == model.sample(2).dtype == SHOWN[policy]
    assert model.reconstruct(BITS).dtype == SHOWN[policy]
    same.set_weights([w.astype("float32") for w in model.get_weights()])
    found, expected = (m.log_likelihood(BITS, samples=50).rows for m in (model, same))
    np.testing.assert_allclose(found, expected, rtol=0.02)
