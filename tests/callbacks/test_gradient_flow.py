"""GradientFlow measures what a hand computation does, and leaves training alone."""

import math

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts import backend
from keras_dlparts.callbacks import GradientFlow
from keras_dlparts.layers import BayesianSparsityDropout
from keras_dlparts.models import GAN, Autoencoder, ResNet

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 4)).astype("float32")
Y = RANDOM.normal(size=(12, 2)).astype("float32")


def net(seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            kl.Dense(6, "tanh", name="first"),
            kl.BatchNormalization(name="norm"),
            kl.Dropout(0.5),
            kl.Dense(2, kernel_regularizer="l2", name="last"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    return model


def fit(model, *callbacks, epochs=3):
    return model.fit(
        X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
    ).history["loss"]


@pytest.mark.long
def test_training_stays_as_it_is():
    keras.utils.set_random_seed(1)
    plain = net()
    losses = fit(plain)
    watched = net()
    assert fit(watched, GradientFlow(every=1, data=(X[:4], Y[:4]))) == losses
    for ours, theirs in zip(watched.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.long
def test_norms_are_those_of_the_gradient():
    model = net()
    model.layers[2].rate = 0.0
    flow = GradientFlow(every=100, data=(X, Y))
    _, gradients = backend.gradient(model, X, Y)
    model.layers[1].moving_mean.assign(np.zeros(6))
    arrays = [keras.ops.convert_to_numpy(g).astype("float64") for g in gradients]
    hidden = [kl for kl in model.layers if kl.name != "dropout"]
    kernel, bias = (w.numpy() for w in hidden[0].weights)
    first = np.tanh(X @ kernel + bias)
    normal = (first - first.mean(0)) / np.sqrt(first.var(0) + 1e-3)
    fit(model, flow, epochs=1)
    assert flow.layers == ["first", "norm", "last"]
    pairs = [arrays[i : i + 2] for i in (0, 2, 4)]
    expected = [np.sqrt(sum((g**2).sum() for g in pair)) for pair in pairs]
    np.testing.assert_allclose(flow.history["gradient"][0], expected, rtol=1e-4)
    sizes = [np.sqrt((h**2).mean()) for h in (first, normal)]
    np.testing.assert_allclose(flow.history["activation"][0][:2], sizes, rtol=1e-4)


def test_an_embedding_counts_repeated_rows_once():
    x = np.array([[2, 3, 2, 1], [5, 2, 1, 0]])
    layers = [kl.Embedding(6, 3), kl.Flatten(), kl.Dense(1)]
    model = keras.Sequential([keras.Input((4,), dtype="int32"), *layers])
    model.compile("sgd", "mse")
    expected = [
        np.linalg.norm(keras.ops.convert_to_numpy(g))
        for g in backend.gradient(model, x, Y[:2, :1])[1][:1]
    ]
    flow = GradientFlow(data=(x, Y[:2, :1]))
    model.fit(x, Y[:2, :1], verbose=0, callbacks=[flow])
    np.testing.assert_allclose(flow.history["gradient"][0][:1], expected, rtol=1e-5)


@pytest.mark.parametrize("loss", ["mse", None])
def test_a_model_with_a_loss_of_its_own_shows_the_gradients_of_that(loss):
    model = Autoencoder([kl.Dense(3, "tanh")], contraction=100.0, input_shape=(4,))
    model.compile("sgd", loss)
    gradients = map(keras.ops.convert_to_numpy, backend.gradient(model, X, X)[1])
    kernel, bias, *_ = gradients
    flow = GradientFlow(data=(X, X))
    model.fit(X, X, batch_size=12, verbose=0, callbacks=[flow])
    found = dict(zip(flow.layers, flow.history["gradient"][0], strict=True))
    expected = np.sqrt((kernel**2).sum() + (bias**2).sum())
    assert expected > 10
    assert found["encoder"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.long
def test_both_nets_of_a_gan_have_gradients():
    nets = [kl.Dense(3, "relu"), kl.Dense(4)], [kl.Dense(3, "relu"), kl.Dense(1)]
    model = GAN(*nets, latent=2)
    model.compile("sgd")
    flow = GradientFlow(data=(X, None))
    model.fit(X, verbose=0, callbacks=[flow])
    assert flow.layers == ["generator", "discriminator"]
    assert min(flow.history["gradient"][0]) > 0


def test_losses_of_several_outputs_are_logged_as_without_it():
    def logged(*callbacks):
        keras.utils.set_random_seed(0)
        x = keras.Input((4,))
        model = keras.Model(x, [kl.Dense(1, name="a")(x), kl.Dense(1, name="b")(x)])
        model.compile("sgd", ["mse", "mae"])
        y = Y[:, :1], Y[:, 1:]
        return model.fit(X, y, 4, shuffle=False, verbose=0, callbacks=callbacks).history

    flow = GradientFlow(data=(5 * X, (Y[:, :1], Y[:, 1:])))
    plain, watched = logged(), logged(flow)
    assert {*plain} == {"loss", "a_loss", "b_loss"}
    for name, (value,) in plain.items():
        assert watched[name] == [pytest.approx(value, rel=1e-6)], name


class Batches(keras.utils.PyDataset):
    """Batches that note which of them were asked for."""

    asked = ()

    def __len__(self):
        return 3

    def __getitem__(self, i):
        self.asked = (*self.asked, i)
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


@pytest.mark.long
def test_it_measures_every_nth_step_on_the_batch_at_hand():
    flow, batches = GradientFlow(every=2), Batches()
    flow.set_data(batches)
    fit(net(), flow)
    assert flow.history["step"] == [0, 2, 4, 6, 8]
    assert batches.asked == (0, 2, 1, 0, 2)


class Own(keras.Model):
    """Calls one layer outside of a loop, and one within."""

    def __init__(self):
        super().__init__()
        self.dense, self.looped = kl.Dense(2), kl.Dense(2)

    def call(self, x):
        x = self.dense(x)
        return keras.ops.fori_loop(0, 1, lambda i, h: self.looped(h), x)


def test_a_subclassed_model_shows_what_is_not_within_a_loop():
    model = Own()
    model.compile("sgd", "mse", jit_compile=False)
    model(X)
    h = X @ model.dense.kernel.numpy()
    flow = GradientFlow(data=(X, Y))
    fit(model, flow, epochs=1)
    assert len(flow.history["gradient"][0]) == 2
    seen, hidden = flow.history["activation"][0]
    assert seen == pytest.approx(np.sqrt((h**2).mean()), rel=1e-5)
    eager = keras.backend.backend() == "torch"
    assert math.isnan(hidden) or eager
    assert len(flow.figures(None)) == 3


def test_a_layer_that_counts_its_steps_is_measured():
    sparse = BayesianSparsityDropout(kl.Dense(3), name="sparse")
    model = keras.Sequential([keras.Input((4,)), sparse, kl.Dense(2)])
    model.compile("adam", "mse")
    flow = GradientFlow(data=(X, Y))
    fit(model, flow, epochs=1)
    assert flow.layers == ["sparse", model.layers[1].name]
    assert np.isfinite(flow.history["gradient"]).all()


@pytest.mark.long
def test_figures_of_a_residual_net():
    pytest.importorskip("matplotlib")
    model = ResNet(8, (8, 8, 1), 3, filters=2)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.ones((4, 8, 8, 1), "float32"), np.array([0, 1, 2, 0])
    flow = GradientFlow(every=1, data=(x, y))
    assert flow.figures(None) == {}
    model.fit(x, y, verbose=0, callbacks=[flow])
    assert "stage2_block1" in flow.layers
    pictures = list(flow.figures(None).values())
    assert [hasattr(picture, "savefig") for picture in pictures] == [True, True, False]
    assert [row["layer"] for row in pictures[2]] == flow.layers


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_that_ends_where_a_step_would_be_measured_leaves_the_model_whole():
    """Keras asks for one more step before it finds the data's end."""
    batches = ((X[:4], Y[:4]) for _ in range(2))
    plain, flow = net(), GradientFlow(every=2, data=(X, Y))
    plain.fit(X[[0, 1, 2, 3] * 2], Y[[0, 1, 2, 3] * 2], 4, shuffle=False, verbose=0)
    watched = net()
    watched.fit(batches, shuffle=False, verbose=0, callbacks=[flow])
    for ours, theirs in zip(watched.weights, plain.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
    assert np.isfinite(watched.evaluate(X, Y, verbose=0))


def test_arguments_at_their_bounds():
    GradientFlow(every=1)
    with pytest.raises(ValueError, match="`every` must be at least 1"):
        GradientFlow(every=0)
    with pytest.raises(TypeError, match="an integer"):
        GradientFlow(every=1.0)
    with pytest.raises(TypeError, match="a batch"):
        GradientFlow(data=X)
    with pytest.raises(ValueError, match="needs a batch"):
        fit(net(), GradientFlow())


@pytest.mark.parametrize("outer", ["functional", "sequential"])
def test_a_nested_model_is_one_layer(outer):
    """Its own `output` is of the inner graph, which the outer inputs do not reach."""
    start = keras.Input((4,))
    inner = keras.Model(start, kl.Dense(6, "tanh")(start), name="inner")
    last = kl.Dense(2, name="last")
    if outer == "functional":
        x = keras.Input((4,))
        model = keras.Model(x, last(inner(x) * 2))
    else:
        model = keras.Sequential([keras.Input((4,)), inner, last])
    model.compile("sgd", "mse")
    size = np.sqrt(np.mean(np.square(inner.predict(X, verbose=0))))
    flow = GradientFlow(data=(X, Y))
    fit(model, flow, epochs=1)
    assert flow.layers == ["inner", "last"]
    assert flow.history["activation"][0][0] == pytest.approx(size, rel=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("size", [1e-5, 100.0])
def test_norms_in_half_precision_are_those_of_float32(size):
    """Unscaled small ones were 0; by the first scale of Keras large ones overflow."""
    x = RANDOM.normal(size=(512, 6)).astype("float32")
    y, found = np.ones((512, 1), "float32"), []
    for policy in ("float32", "mixed_float16"):
        keras.utils.set_random_seed(0)
        hidden, last = kl.Dense(8, "tanh", dtype=policy), kl.Dense(1)
        model = keras.Sequential([keras.Input((6,)), hidden, last])
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-9))
        model.compile(optimizer, "mse", jit_compile=False)
        last.kernel.assign(size * last.kernel)
        flow = GradientFlow(data=(x, y))
        model.fit(x, y, batch_size=512, verbose=0, callbacks=[flow])
        found.append(flow.history["gradient"][0])
    np.testing.assert_allclose(found[1], found[0], rtol=0.02)
