"""TiedDense and TiedConv: one kernel in two layers; MaxUnpooling undoes its pooling."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers import MaxUnpooling, TiedConv, TiedDense

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype("float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@keras.saving.register_keras_serializable("test_tied")
class Subclassed(keras.Model):
    """A tie in a model of a class of one's own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encoder = keras.layers.Dense(3, "tanh")
        self.decoder = TiedDense(self.encoder)

    def call(self, x):
        return self.decoder(self.encoder(x))


def functional():
    x = keras.Input((5,))
    dense = keras.layers.Dense(3, "tanh")
    return keras.Model(x, TiedDense(dense)(dense(x)))


def sequential():
    dense = keras.layers.Dense(3, "tanh")
    model = keras.Sequential([keras.Input((5,)), dense])
    model.add(TiedDense(dense))
    return model


@pytest.mark.parametrize("make", [functional, sequential, Subclassed])
def test_a_tie_is_saved_and_loaded(make, tmp_path):
    model, x = make(), normal(4, 5)
    model(x)
    assert [tuple(w.shape) for w in model.weights] == [(5, 3), (3,), (5,)]
    for weight in model.weights:
        weight.assign(normal(*weight.shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), rtol=1e-6)
    # Still one kernel: what changes in the one layer changes in the other.
    assert len(loaded.weights) == 3
    dense, tied = loaded.layers[-2:]
    assert tied.layer.kernel is dense.kernel
    model.save_weights(tmp_path / "w.weights.h5")
    loaded.load_weights(tmp_path / "w.weights.h5")


def test_the_shared_kernel_gets_both_gradients():
    model, x = functional(), normal(4, 5)
    model.compile("sgd", "mse")
    kernel = model.weights[0]
    _, gradients = backend.gradient(model, x, x)
    start, step = numpy(kernel), 1e-2
    numeric = np.zeros_like(start)
    for place in np.ndindex(start.shape):
        losses = []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * step
            kernel.assign(moved)
            losses.append(np.mean((numpy(model(x)) - x) ** 2, dtype="float64"))
        numeric[place] = (losses[0] - losses[1]) / (2 * step)
    np.testing.assert_allclose(numpy(gradients[0]), numeric, rtol=2e-2, atol=2e-4)


@pytest.mark.parametrize(
    ("kind", "shape", "options"),
    [
        (keras.layers.Conv1D, (7, 2), {"strides": 3, "padding": "valid"}),
        (keras.layers.Conv1D, (6, 2), {"dilation_rate": 2, "padding": "causal"}),
        (keras.layers.Conv2D, (6, 5, 2), {"strides": 2, "padding": "same"}),
        (keras.layers.Conv2D, (7, 8, 1), {"strides": (3, 2), "padding": "valid"}),
        (keras.layers.Conv3D, (3, 4, 3, 1), {"padding": "same"}),
    ],
)
def test_a_tied_convolution_is_the_adjoint(kind, shape, options):
    conv = kind(4, 2 if len(shape) > 3 else 3, use_bias=False, **options)
    x = normal(1, *shape)
    y = numpy(conv(x))
    tied, h = TiedConv(conv, use_bias=False), normal(*y.shape)
    back = numpy(tied(h))
    assert back.shape == x.shape == tied.compute_output_shape(h.shape)
    np.testing.assert_allclose(np.sum(y * h), np.sum(x * back), rtol=1e-4)


@pytest.mark.usefixtures("channels_first")
def test_a_tied_convolution_has_the_format_of_the_other_one():
    conv = keras.layers.Conv2D(4, 2, data_format="channels_last", use_bias=False)
    x = normal(1, 6, 5, 2)
    h = numpy(conv(x))
    back = numpy(TiedConv(conv, use_bias=False)(h))
    np.testing.assert_allclose(np.sum(h * h), np.sum(x * back), rtol=1e-4)


def test_several_decoders_of_one_encoder_need_no_names():
    x, image = keras.Input((5,)), keras.Input((6, 2))
    dense, conv = keras.layers.Dense(3), keras.layers.Conv1D(4, 3)
    h, filtered = dense(x), conv(image)
    outputs = [TiedDense(dense)(h), TiedDense(dense)(h)]
    outputs += [TiedConv(conv)(filtered), TiedConv(conv)(filtered)]
    model = keras.Model([x, image], outputs)
    assert len({layer.name for layer in model.layers}) == 8
    assert TiedDense(dense, name="decoder").name == "decoder"


def test_ties_say_what_they_need():
    dense = keras.layers.Dense(3)
    with pytest.raises(ValueError, match="must be built before"):
        TiedDense(dense)(normal(2, 3))
    dense.build((None, 5))
    with pytest.raises(ValueError, match="takes as many features as"):
        TiedDense(dense)(normal(2, 4))
    with pytest.raises(TypeError, match="`layer` must be a Dense layer"):
        TiedDense(keras.layers.Flatten())
    conv = keras.layers.Conv1D(4, 2, groups=2)
    with pytest.raises(ValueError, match="one group"):
        TiedConv(conv)
    conv = keras.layers.Conv1D(4, 2)
    conv.build((None, None, 2))
    with pytest.raises(ValueError, match="must be known"):
        TiedConv(conv)(normal(1, 3, 4))


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (1, 2, 2)])
def test_unpooling_puts_each_maximum_back(sizes):
    pool = getattr(keras.layers, f"MaxPooling{len(sizes)}D")(sizes)
    x = normal(2, *[2 * size + 1 for size in sizes], 3)
    h = pool(x)
    y = numpy(MaxUnpooling(sizes)([h, x]))
    assert y.shape == x.shape
    assert set(np.unique(y)) == {0.0, *np.unique(numpy(h))}
    np.testing.assert_array_equal(y[y != 0], x[y != 0])
    np.testing.assert_array_equal(numpy(pool(np.where(y == 0, -9, y))), numpy(h))


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (1, 2, 2)])
def test_unpooling_takes_images_of_any_size(sizes):
    pool = getattr(keras.layers, f"MaxPooling{len(sizes)}D")(sizes)
    inputs = keras.Input((*[None] * len(sizes), 3))
    outputs = MaxUnpooling(sizes)([pool(inputs), inputs])
    model = keras.Model(inputs, outputs)
    assert model.output_shape == model.input_shape
    for more in (1, 2):
        x = normal(2, *[2 * size + more for size in sizes], 3)
        wanted = numpy(MaxUnpooling(sizes)([pool(x), x]))
        np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)


def test_of_equal_maxima_the_first_counts():
    x = np.ones((1, 4, 1), "float32")
    y = numpy(MaxUnpooling(2)([3 * x[:, :2], x]))
    assert y.ravel().tolist() == [3, 0, 3, 0]


def test_unpooling_says_what_it_takes():
    with pytest.raises(ValueError, match="h has the shape of x pooled by pool_size=2"):
        MaxUnpooling(2)([normal(1, 3, 1), normal(1, 5, 1)])
    with pytest.raises(ValueError, match="a list of two tensors"):
        MaxUnpooling(2)([normal(1, 3, 1), normal(1, 5, 5, 1)])
