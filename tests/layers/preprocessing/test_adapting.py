"""What the layers with `adapt` have in common."""

import keras
import numpy as np
import pytest

from keras_dlparts.data import Batches
from keras_dlparts.layers import MinMaxNormalization, SoftmaxScaling, Whitening
from keras_dlparts.layers.preprocessing.adapting import Moments

LAYERS = [MinMaxNormalization, SoftmaxScaling, Whitening]
DATA = np.random.default_rng(0).normal(3, 2, (50, 4)).astype("float32")


def weights(layer, data):
    layer.adapt(data)
    return [keras.ops.convert_to_numpy(w) for w in layer.weights]


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", LAYERS)
def test_all_kinds_of_data_give_the_same(make):
    want = weights(make(), DATA)
    y = np.zeros(50)
    same(weights(make(), keras.ops.convert_to_tensor(DATA)), want)
    same(weights(make(), Batches(DATA, y, batch_size=7, shuffle=True)), want)
    same(weights(make(), [DATA[:9], DATA[9:]]), want)
    same(weights(make(), ((DATA[i : i + 20], y) for i in (0, 20, 40))), want)
    tf = pytest.importorskip("tensorflow")
    same(weights(make(), tf.data.Dataset.from_tensor_slices(DATA).batch(8)), want)
    same(weights(make(), Batches(DATA, y).to_tf_data()), want)


@pytest.mark.parametrize("make", LAYERS)
def test_adapt_starts_over(make):
    layer = make()
    layer.adapt(DATA * 5 + 1)
    same(weights(layer, DATA), weights(make(), DATA))


@pytest.mark.parametrize("make", LAYERS)
def test_statistics_are_saved_with_the_model(make, tmp_path):
    layer = make()
    model = keras.Sequential([keras.Input((4,)), layer])
    before = model.predict(DATA, verbose=0)
    layer.adapt(DATA)  # after the model was compiled for prediction
    after = model.predict(DATA, verbose=0)
    assert abs(after - before).max() > 0.1
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(loaded.predict(DATA, verbose=0), after)
    assert not model.trainable_variables


@pytest.mark.parametrize("policy", ["mixed_float16", "float16"])
@pytest.mark.parametrize("make", LAYERS)
def test_half_precision_shifts_before_it_rounds(make, policy):
    data = DATA + 70000  # more than float16 can hold
    exact, half = make(), make(dtype=policy)
    exact.adapt(data)
    half.adapt(data)
    y = half(data)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    exact, y = (keras.ops.convert_to_numpy(a) for a in (exact(data), y))
    np.testing.assert_allclose(y, exact, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("make", LAYERS)
def test_integers_are_data_too(make):
    data = np.arange(12, dtype="uint8").reshape(6, 2)
    layer, floats = make(), make()
    layer.adapt(data)
    floats.adapt(data.astype("float32"))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(layer(data)),
        keras.ops.convert_to_numpy(floats(data.astype("float32"))),
    )


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.full((3, 4), np.nan), ValueError, "data must be finite"),
        (np.zeros((0, 4)), ValueError, "at least one sample"),
        ([], ValueError, "at least one sample"),
        (np.zeros((3, 5)), ValueError, r"sizes \[4\].*Received: shape \(3, 5\)"),
        (np.zeros((3, 2, 4)), ValueError, "the rank 2"),
        ({"a": DATA}, TypeError, "Received: dict"),
        ([{"a": DATA}], TypeError, "a batch of dict"),
        (3, TypeError, "Received: int"),
        ([1.0, 2.0], TypeError, "a batch of float"),
    ],
)
def test_bad_data_changes_nothing(make, data, error, message):
    layer = make()
    before = weights(layer, DATA)
    with pytest.raises(error, match=message):
        layer.adapt(data)
    same([keras.ops.convert_to_numpy(w) for w in layer.weights], before)


@pytest.mark.parametrize("make", LAYERS)
def test_bad_axes(make):
    for axis in (0, (0, 1), 1.5, "last", True):
        with pytest.raises(ValueError, match=r"`axis` must be.*Received: axis="):
            make(axis=axis)
    for axis in (2, -2, (1, -1)):
        with pytest.raises(ValueError, match="`axis` must name different axes"):
            make(axis=axis).build((None, 4))
    with pytest.raises(ValueError, match="known size"):
        make().build((None, None))
    make(axis=1).build((None, 4))


def test_moments_of_parts_equal_those_of_the_whole():
    x = np.random.default_rng(1).normal(size=(100, 3)) @ [
        [1, 2, 3],
        [0, 1, 1],
        [0, 0, 2],
    ]
    x = x + 1e9  # would leave nothing of a naive sum of squares
    for covariance, want in ((False, x.var(axis=0)), (True, np.cov(x.T, bias=True))):
        moments = Moments(covariance)
        for part in np.split(x, [1, 2, 40]):
            moments.add(part)
        np.testing.assert_allclose(moments.variance, want, rtol=1e-6)
        np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-15)


def test_a_constant_has_no_variance_at_all():
    moments = Moments()
    for n in (3, 7, 1):
        moments.add(np.full((n, 1), 0.1))
    assert moments.variance == 0
    assert moments.mean == 0.1
