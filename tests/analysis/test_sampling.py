"""monte_carlo, against formulas and against passes in training mode."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import keras_dlparts
from keras_dlparts import backend, graphs, registry
from keras_dlparts.analysis import dropping
from keras_dlparts.backend import keras_private
from keras_dlparts.data import Batches
from keras_dlparts.layers import (
    LayerNormLSTM,
    MaskingNoise,
    ModernHopfield,
    RandomDropout,
    Residual,
    SaltAndPepper,
    StochasticDepth,
    WeightNormalization,
)
from keras_dlparts.testing.cases import cases

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(10, 4, 6)).astype("float32")


def answer(model, x, **arguments):
    return keras_dlparts.monte_carlo(model, x, verbose=False, **arguments)


def variables(model):
    return [v.numpy() for v in model.variables]


def linear(*layers):
    """y = sum_j of what comes out of the layers."""
    model = keras.Sequential([keras.Input((50,)), *layers])
    model.add(kl.Dense(1, use_bias=False, kernel_initializer="ones"))
    return model


def test_mean_and_spread_of_dropout_by_the_formula():
    """E[y] = sum x and Var[y] = rate / (1 - rate) sum x^2; n = 400 passes.

    The mean is within 5 sd / sqrt(n); sd itself within 5 / sqrt(2 n) of its size.
    """
    x = RANDOM.normal(1, 1, (3, 50)).astype("float32")
    mean, std, scaled = answer(linear(kl.Dropout(0.2)), x, samples=400, seed=0)
    sd = np.sqrt(0.25 * (x**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(scaled, x.sum(axis=1, keepdims=True), rtol=1e-5)
    assert (abs(mean - scaled) < 5 * sd / 20).all()
    assert (abs(std / sd - 1) < 5 / np.sqrt(800)).all()


def functional():
    inputs = keras.Input((4, 6))
    x = kl.MultiHeadAttention(2, 3, dropout=0.5)(inputs, inputs)
    x = kl.Attention(dropout=0.5)([x, x])
    return keras.Model(inputs, x)


@keras.saving.register_keras_serializable("test")
class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([kl.Dense(3), kl.SpatialDropout1D(0.5)])

    def call(self, inputs):
        return self.inner(inputs)


KINDS = {
    "random": lambda: RandomDropout(0.9),
    "depth": lambda: StochasticDepth(0.5),
    "masking": lambda: MaskingNoise(0.5),
    "salt and pepper": lambda: SaltAndPepper(0.5),
    "hopfield": lambda: ModernHopfield(queries=2, dropout=0.5),
    "gaussian": lambda: kl.GaussianDropout(0.5),
    "noise": lambda: kl.GaussianNoise(0.5),
    "alpha": lambda: kl.AlphaDropout(0.5),
    "residual": lambda: Residual(kl.Dense(6), stochastic_depth=0.5),
    "time": lambda: kl.TimeDistributed(kl.Dropout(0.5)),
    "lstm": lambda: kl.LSTM(3, dropout=0.5),
    "gru": lambda: kl.GRU(3, recurrent_dropout=0.5),
    "both ways": lambda: kl.Bidirectional(kl.SimpleRNN(3, dropout=0.5)),
    "stacked": lambda: kl.RNN([kl.LSTMCell(3), kl.GRUCell(2, recurrent_dropout=0.5)]),
    "fused": lambda: LayerNormLSTM(3, dropout=0.5),
    "zoneout": lambda: LayerNormLSTM(3, zoneout=0.5),
    "wrapped": lambda: WeightNormalization(kl.LSTM(3, dropout=0.5)),
    "attention": functional,
    "nested": lambda: keras.Sequential([kl.Dense(3), Subclass()]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_is_a_pass_in_training_mode(kind):
    """Nothing but dropping is random in training here, so that is the reference."""
    model = keras.Sequential([keras.Input((4, 6)), KINDS[kind]()])
    got = answer(model, X, samples=3, seed=7, batch_size=10)
    dropping.reseed(model, 7)
    passes = [ops.convert_to_numpy(model(X, training=True)) for _ in range(3)]
    np.testing.assert_allclose(got.mean, np.mean(passes, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.std, np.std(passes, 0), rtol=1e-3, atol=1e-4)
    assert got.std.mean() > 1e-3
    scaled = ops.convert_to_numpy(model(X))
    np.testing.assert_allclose(got.weight_scaling, scaled, rtol=1e-4, atol=1e-5)


# Our layers that draw in training, and whether they count as dropout-like.
DRAWING = {
    "RBM": False,  # it learns from the draws and does not pass them on
    "BayesianSparsityDropout": False,  # training mode measures and moves weights
    "BoltzmannMachine": False,
    "FeatureSpaceAugmentation": False,  # augmentation
    "GaussianSampling": False,  # training mode draws the code and adds a loss
    "LayerNormGRUCell": False,  # the layer around a cell counts: "fused" above
    "LayerNormLSTMCell": False,
    "LayerNormSimpleRNNCell": False,
    "MaskingNoise": True,
    "ModernHopfield": True,
    "NoisyBatchNormalization": False,  # batch normalisation
    "RandomDropout": True,
    "SaltAndPepper": True,
    "StochasticDepth": True,
}


def test_each_of_our_layers_that_draws_was_decided_about():
    """A new layer with random draws fails here until it stands in the table."""
    found = {}
    for part in registry.parts("layers"):
        for case in cases(part):
            for layer in graphs.layers(case.make()):
                name, module = type(layer).__name__, type(layer).__module__
                ours = module.startswith("keras_dlparts.")
                if ours and keras_private.seed_generators(layer):
                    counts = dropping.is_dropout_like(layer)
                    found[name] = found.get(name, False) or counts
    assert found == DRAWING


def test_attention_without_a_rate_does_not_count():
    assert not dropping.is_dropout_like(ModernHopfield(queries=2))


def normalised():
    norm = kl.BatchNormalization(momentum=0.5)
    model = linear(norm, kl.Dropout(0.5, seed=1))
    norm.moving_mean.assign(np.full(50, 2.0))
    return model


def test_batch_normalisation_is_in_inference_and_the_model_stays():
    """With a batch of one sample training would give zeros: x - mean(x) = 0."""
    model, x = normalised(), np.full((3, 50), 4.0, "float32")
    before = variables(model)
    mean, _, scaled = answer(model, x, samples=30, batch_size=1, seed=0)
    np.testing.assert_allclose(scaled, 100 / np.sqrt(1.001), rtol=1e-4)
    assert (abs(mean - scaled) < 5 * np.sqrt(50 * 4) / np.sqrt(30)).all()
    for old, new in zip(before, variables(model), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.long
def test_it_works_in_the_middle_of_training_and_leaves_it_alone():
    """The same weights with and without a callback that asks after each epoch."""

    class Ask(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            answer(self.model, x, samples=2)

    x = RANDOM.normal(size=(8, 50)).astype("float32")
    weights = []
    for callbacks in ([], [Ask()]):
        keras.utils.set_random_seed(1)
        model = linear(kl.BatchNormalization(), kl.Dropout(0.5))
        model.compile("sgd", "mse")
        model.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=callbacks)
        weights.append(variables(model))
    for old, new in zip(*weights, strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-5, atol=1e-6)


def test_seeds():
    model, x = linear(kl.Dropout(0.5), RandomDropout(0.5)), np.ones((5, 50))
    first = answer(model, x, samples=2, seed=3, batch_size=2)
    model(x, training=True)  # what was drawn before does not matter
    again = answer(model, x, samples=2, seed=3, batch_size=2)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    for seed in (4, None, None):
        other = answer(model, x, samples=2, seed=seed, batch_size=2)
        assert not np.array_equal(first.mean, other.mean)
        assert not np.array_equal(again.mean, other.mean)
        again = other


def test_data_in_every_shape_it_comes():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    drop = kl.Dropout(0.5)
    model = keras.Model({"a": a, "b": b}, {"sum": drop(kl.Add()([a, b])), "a": drop(a)})
    x = {"a": RANDOM.normal(size=(7, 3)), "b": np.zeros((7, 3))}
    want = answer(model, x, samples=3, batch_size=3, seed=1)
    assert {name: y.shape for name, y in want.std.items()} == {
        "sum": (7, 3),
        "a": (7, 3),
    }
    batches = Batches(x, np.zeros(7), batch_size=3)
    for data in (batches, [batches[i] for i in range(3)], (b for b in batches)):
        got = answer(model, data, samples=3, seed=1)
        for one, other in zip(want, got, strict=True):
            np.testing.assert_allclose(one["sum"], other["sum"], rtol=1e-6)


def test_the_activation_comes_before_the_mean():
    """Of logits the mean of the softmax is asked for, not the softmax of the mean."""
    model = keras.Sequential([keras.Input((6,)), kl.Dropout(0.5)])
    x = 5 * X[:, 0]
    logits, chances = (
        answer(model, x, samples=9, seed=1, activation=name)
        for name in (None, "softmax")
    )
    np.testing.assert_allclose(chances.mean.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        chances.weight_scaling, ops.convert_to_numpy(ops.softmax(x)), rtol=1e-4
    )
    softened = ops.convert_to_numpy(ops.softmax(logits.mean))
    assert abs(softened - chances.mean).max() > 0.01


@keras.saving.register_keras_serializable("test")
class Flip(kl.Layer):
    """What a plugin may bring: its own noise, and a word that it is some."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(0)
        self.calls = 0

    def call(self, inputs, training=False):
        self.calls += 1
        if not training:
            return inputs
        u = keras.random.uniform(ops.shape(inputs), seed=self.seeds)
        return ops.where(u < 0.5, -inputs, inputs)


class SayingFlip(Flip):
    dropout_like = True


class SilentDropout(kl.Dropout):
    dropout_like = False


def test_the_rule_for_plugins():
    x = np.ones((2, 50))
    assert (answer(linear(SayingFlip()), x, samples=4).std > 0).all()
    with pytest.raises(ValueError, match=r"drops at random.*of Dense, Flip\. A layer"):
        answer(linear(Flip()), x)
    with pytest.raises(ValueError, match="drops at random"):
        answer(linear(SilentDropout(0.5)), x)
    for layers in (["flip"], None):
        model = linear(Flip(name="flip"), SilentDropout(0.5))
        layers = layers or [model.get_layer("flip")]
        std = answer(model, x, samples=4, layers=layers).std
        assert (std > 0).all()


@pytest.mark.skipif(not backend.can_compile(), reason="PyTorch runs eagerly, see docs")
def test_passes_are_compiled():
    """The layer's Python runs when it is traced, not in each of the 200 passes."""
    flip = SayingFlip()
    model = linear(flip)
    flip.calls = 0
    answer(model, np.ones((100, 50)), samples=50, batch_size=25)
    assert 0 < flip.calls < 10


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"samples": 0}, ValueError, "`samples` must be at least 1"),
        ({"samples": 2.5}, TypeError, "`samples` must be an integer"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1"),
        ({"layers": ["no"]}, ValueError, r"`layers` must name.*Received: \['no'\]; it"),
        ({"layers": []}, ValueError, "at least one"),
        ({"x": np.ones((0, 50))}, ValueError, "at least one sample"),
    ],
)
def test_bad_arguments(arguments, error, message):
    arguments = {"x": np.ones((2, 50)), **arguments}
    with pytest.raises(error, match=message):
        answer(linear(kl.Dropout(0.5)), **arguments)


def test_bad_models():
    with pytest.raises(TypeError, match=r"a keras.Model. Received: Dense"):
        answer(kl.Dense(1), X)
    unbuilt = keras.Sequential([kl.Dropout(0.5), kl.Dense(1)], name="unbuilt")
    with pytest.raises(ValueError, match="Received: 'unbuilt'; call it"):
        answer(unbuilt, X)


def test_a_layer_named_twice_is_sampled_once():
    model = linear(kl.Dropout(0.2, name="a"), kl.Dropout(0.2, name="b"))
    x = np.ones((3, 50), "float32")
    once = answer(model, x, layers=["a"], samples=3, seed=0)
    twice = answer(model, x, layers=["a", model.layers[0], "a"], samples=3, seed=0)
    np.testing.assert_array_equal(once.mean, twice.mean)
    assert "call" not in vars(model.layers[0])


def test_a_layer_that_is_intercepted_twice_is_wrapped_once():
    layer, calls = kl.ReLU(), []

    def watch(layer, call):
        return lambda x: calls.append(1) or call(x)

    with backend.intercepted([layer, layer], watch):
        layer(np.ones(1))
    layer(np.ones(1))
    assert calls == [1]


def test_one_name_of_several_layers_is_refused():
    """Nested models may repeat names; each name of one model is unique."""
    inner = keras.Sequential([kl.Dropout(0.9, name="drop")])
    model = linear(kl.Dropout(0.2, name="drop"), inner)
    x = np.ones((3, 50), "float32")
    with pytest.raises(ValueError, match=r"'drop', the name of 2 layers.*themselves"):
        answer(model, x, layers=["drop"], samples=2)
    outer = answer(model, x, layers=[model.layers[0]], samples=50, seed=0)
    within = answer(model, x, layers=inner.layers, samples=50, seed=0)
    assert (within.std > 2 * outer.std).all()
