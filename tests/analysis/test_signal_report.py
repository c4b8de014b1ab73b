"""Signals by layer: right on nets whose answer is known, and the verdict names it."""

import json

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from keras_dlparts.analysis import signal_report
from keras_dlparts.layers import LayerNormLSTM, Residual
from keras_dlparts.watched import watched_pass


def data(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def dense(units, activation=None, variance=1.0, **more):
    """A layer whose weights have this variance times n_in."""
    start = keras.initializers.VarianceScaling(
        variance, "fan_in", "untruncated_normal", seed=more.pop("seed", 0)
    )
    return kl.Dense(units, activation, kernel_initializer=start, **more)


def row_of(keras_net, *layers, x, **more):
    model = keras_net([keras.Input(x.shape[1:]), *layers])
    return model, signal_report(model, x, singular_values=False, **more)


def test_a_linear_net_is_its_matrices():
    """dL/dx = u W^T, for the direction u that the report draws: seed 0."""
    x = data(16, 5)
    layers = [kl.Dense(4, name="a"), kl.Dense(3, name="b")]
    _, report = row_of(keras.Sequential, *layers, x=x)
    a, b = (ops.convert_to_numpy(layer.kernel).astype("float64") for layer in layers)
    u = np.random.default_rng(0).normal(size=(16, 3))
    one, two = report.signals
    assert two.gradient == pytest.approx((u**2).mean(), rel=1e-4)
    assert one.gradient == pytest.approx(((u @ b.T) ** 2).mean(), rel=1e-4)
    norms = [np.linalg.norm(u), np.linalg.norm(u @ b.T), np.linalg.norm(u @ b.T @ a.T)]
    assert two.multiplier == pytest.approx(norms[1] / norms[0], rel=1e-4)
    assert one.multiplier == pytest.approx(norms[2] / norms[1], rel=1e-4)
    y = x @ a
    assert (one.mean, one.variance) == pytest.approx((y.mean(), y.var()), rel=1e-4)
    lengths = np.linalg.norm(y, axis=1)
    cosine = (y * np.roll(y, 1, 0)).sum(1) / lengths / np.roll(lengths, 1)
    assert one.correlation == pytest.approx(cosine.mean(), abs=1e-5)
    assert one.weight_variance == pytest.approx(5 * a.var(), rel=1e-5)
    assert one.saturated is None


@pytest.mark.parametrize("factor", [0.05, 30.0])
def test_the_verdict_names_the_layer_that_was_planted(factor):
    layers = [dense(64, "tanh", seed=i, name=f"layer_{i}") for i in range(8)]
    x = data(32, 64)
    layers[5].build((None, 64))
    layers[5].kernel.assign(factor * layers[5].kernel.numpy())
    _, report = row_of(keras.Sequential, *layers, x=x)
    named = [v for v in report.verdicts if "layer_5" in v]
    assert named
    assert not any(
        f"layer_{i} multiplies" in v for v in report.verdicts for i in range(5)
    )
    if factor < 1:
        assert report.verdicts[0].startswith("layer_5 multiplies the gradient by 0.0")
        assert 'tanh wants 1: `Critical("tanh")`' in report.verdicts[0]
    else:
        assert "saturated" in named[0]


def test_a_healthy_net_has_nothing_that_stands_out():
    layers = [dense(128, "relu", 2.0, seed=i) for i in range(6)]
    _, report = row_of(keras.Sequential, *layers, x=data(32, 128))
    assert report.verdicts == [
        "Nothing stands out: signals and gradients reach every layer."
    ]
    # The theory's chi_1 is 1 for He's weights.
    assert np.median([s.multiplier for s in report.signals]) == pytest.approx(
        1, abs=0.1
    )


@pytest.mark.parametrize(("variance", "word"), [(0.3, "vanishes"), (9.0, "explodes")])
def test_a_net_that_fades_or_grows_as_a_whole(variance, word):
    layers = [dense(64, None, variance, seed=i) for i in range(18)]
    _, report = row_of(keras.Sequential, *layers, x=data(16, 64))
    assert word in report.verdicts[0]
    factor = float(report.verdicts[0].partition(", by ")[2].partition(" ")[0])
    assert factor == pytest.approx(variance**0.5, rel=0.1)


def test_a_layer_with_a_way_around_it_is_not_blamed():
    """The same layer that is named in a row is not in a branch."""
    bad = [dense(32, None, 1e-4, name=name) for name in ("in_branch", "in_row")]
    x = data(16, 32)
    rest = [dense(32, seed=i) for i in range(4)]
    _, report = row_of(keras.Sequential, Residual([bad[0]]), *rest, bad[1], x=x)
    found = {s.name: s for s in report.signals}
    assert found["in_branch"].multiplier == pytest.approx(0.01, rel=0.2)
    text = " ".join(report.verdicts)
    assert "in_row" in text
    assert "in_branch" not in text
    inputs = keras.Input((32,))
    first = dense(32, name="first", seed=9)(inputs)
    h = bad[0](first) + first
    for layer in rest:
        h = layer(h)
    report = signal_report(keras.Model(inputs, h), x, singular_values=False)
    found = {s.name: s for s in report.signals}
    assert found["in_branch"].share < 0.1
    assert not any("in_branch" in v for v in report.verdicts)


def test_shared_and_nested_layers_have_a_row_a_call():
    shared = dense(6, name="shared")
    inner = keras.Sequential([shared, kl.ReLU(name="relu")], name="inner")
    x = data(8, 6)
    _, report = row_of(keras.Sequential, shared, inner, kl.Flatten(), x=x)
    assert [s.name for s in report.signals] == ["shared", "shared (call 2)", "relu"]
    w = ops.convert_to_numpy(shared.kernel).astype("float64")
    assert report.signals[1].variance == pytest.approx((x @ w @ w).var(), rel=1e-4)


class Own(keras.Model):
    """A subclassed model: no graph says what it does."""

    def __init__(self):
        super().__init__()
        self.b, self.a = kl.Dense(4, "tanh", name="b"), kl.Dense(4, name="a")

    def call(self, x):
        return self.b(self.a(x))


def test_a_subclassed_model_and_the_loss():
    model, x, y = Own(), data(8, 4), np.zeros((8, 4), "float32")
    model.compile("sgd", "mse")
    model(x)
    before = [v.numpy() for v in model.variables]
    report = signal_report(model, (x, y))
    assert ([s.name for s in report.signals], report.of) == (["a", "b"], "the loss")
    output = ops.convert_to_numpy(model(x))
    slope = 2 * output / output.size * (1 - output**2)  # dL/du of the last layer
    assert report.signals[1].gradient == pytest.approx((slope**2).mean(), rel=1e-3)
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())
    assert "call" not in vars(model.a)
    assert model.b.activation is keras.activations.tanh


def test_dead_and_saturated_units_are_counted():
    negative = keras.initializers.Constant(-50.0)
    layers = [
        dense(10, "relu", bias_initializer=negative, name="dead"),
        dense(10, "tanh", bias_initializer=negative, name="flat"),
        dense(2),
    ]
    _, report = row_of(keras.Sequential, *layers, x=data(16, 6))
    dead, flat, _ = report.signals
    assert (dead.dead, dead.saturated) == (1.0, None)
    assert (flat.dead, flat.saturated) == (1.0, 1.0)
    assert any("100% of the units are dead" in v for v in report.verdicts)
    assert any("saturated in flat" in v for v in report.verdicts)


@pytest.mark.long
def test_each_step_of_a_recurrent_layer_is_a_layer_deep():
    """A linear recurrence h <- x + r h multiplies the gradient by r a step."""
    cell = kl.SimpleRNN(
        8,
        "linear",
        kernel_initializer="identity",
        recurrent_initializer=keras.initializers.Identity(0.2),
        name="rnn",
    )
    _, report = row_of(keras.Sequential, cell, x=data(8, 6, 8))
    (signal,) = report.signals
    assert signal.steps == 6
    assert signal.step_multiplier == pytest.approx(0.2, rel=1e-4)
    assert "0.2 a step" in report.verdicts[0]
    assert not cell.unroll  # it was for the passes only
    _, report = row_of(keras.Sequential, LayerNormLSTM(5, name="ln"), x=data(8, 4, 3))
    (signal,) = report.signals
    assert (signal.name, signal.steps, signal.saturated is None) == ("ln", 4, False)


@pytest.mark.long
def test_a_transformer_block_and_its_picture():
    inputs = keras.Input((6, 8))
    h = kl.LayerNormalization()(inputs)
    h = kl.MultiHeadAttention(2, 4, name="attention")(h, h) + inputs
    after = kl.Dense(32, "gelu", name="wide")(kl.LayerNormalization()(h))
    model = keras.Model(inputs, kl.Dense(8, name="back")(after) + h)
    report = signal_report(model, data(8, 6, 8))
    names = [s.name for s in report.signals]
    assert {"query", "key", "value", "attention_output", "wide", "back"} <= {*names}
    assert report.jacobian.shape == (48, 48)
    assert str(report).splitlines()[0].startswith("layer ")
    json.dumps(report.as_dict())
    assert len(report.figure().axes) == 5
    assert {"wide", "back"} <= {*report.places}


@pytest.mark.study
@pytest.mark.parametrize("name", ["ResNet50V2", "MobileNetV2"])
def test_networks_of_keras_applications(name):
    """Batch normalisation keeps every signal; nothing in them is to be blamed."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3))
    report = signal_report(model, data(8, 64, 64, 3), singular_values=False)
    convolutions = [s for s in report.signals if s.weight_variance is not None]
    assert len(convolutions) > 30
    assert all(np.isfinite(s.gradient) and s.gradient > 0 for s in convolutions)
    assert not any("multiplies the gradient" in v for v in report.verdicts)


def test_a_pass_leaves_nothing_behind_when_it_fails():
    layer = kl.Dense(2, "tanh")
    model = keras.Sequential([keras.Input((3,)), layer])

    def fails():
        raise KeyError("stop")

    with pytest.raises(KeyError):
        watched_pass(model, fails)
    assert layer.activation is keras.activations.tanh
    assert "call" not in vars(layer)


def test_what_cannot_be_reported_on_is_told():
    with pytest.raises(ValueError, match="must be built"):
        signal_report(keras.Sequential([kl.Dense(2)]), data(4, 3))
    model = keras.Sequential([keras.Input((3,)), kl.Dense(2)])
    with pytest.raises(ValueError, match="at least 2 samples"):
        signal_report(model, data(1, 3))
    model.layers[0].kernel.assign(np.full((3, 2), np.inf))
    report = signal_report(model, data(4, 3), singular_values=False)
    assert "not finite" in report.verdicts[0]
