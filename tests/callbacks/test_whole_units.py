"""`SparsityTarget` of whole units."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts import compact, strip
from keras_dlparts.callbacks import SparsityTarget
from keras_dlparts.callbacks.whole_units import links_between, without_units
from keras_dlparts.layers import BayesianSparsityDropout


def sparse(layer):
    return BayesianSparsityDropout(layer, warmup=2, seed=0)


def net():
    """(a convolution, a flattening and two dense layers, the three that are sparse)."""
    layers = [sparse(kl.Conv2D(3, 2, activation="relu")), sparse(kl.Dense(5, "tanh"))]
    layers.append(sparse(kl.Dense(2)))
    first, *rest = layers
    model = keras.Sequential([keras.Input((3, 3, 2)), first, kl.Flatten(), *rest])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model, layers


def drawn(layers):
    draw = np.random.default_rng(0)
    return [draw.exponential(size=layer.keep.shape) for layer in layers]


def test_the_units_of_the_least_mean_squared_score_go():
    """By hand: the weights of a unit are its column and, behind the flattening of 2 x 2
    places, the rows 0, 3, 6, 9 and on of the next layer."""
    model, layers = net()
    scores = drawn(layers)
    conv, dense, last = scores
    mean = {}
    for k in range(3):
        own = np.concatenate([conv[..., k].ravel(), dense[k::3].ravel()])
        mean["conv", k] = np.mean(own**2)
    for k in range(5):
        own = np.concatenate([dense[:, k], last[k]])
        mean["dense", k] = np.mean(own**2)
    links = links_between(model, layers)
    assert [(link.first, link.second) for link in links] == [
        (layers[0], layers[1]),
        (layers[1], layers[2]),
    ]
    total = sum(score.size for score in scores)
    assert total == 24 + 60 + 10
    kept = [np.ones(score.shape, bool) for score in scores]
    for at, (kind, k) in enumerate(sorted(mean, key=mean.get)[:3]):
        # One weight fewer than are there: one more unit goes.
        stay = sum(map(np.count_nonzero, kept)) - 1
        if kind == "conv":
            kept[0][..., k], kept[1][k::3] = False, False
        else:
            kept[1][:, k], kept[2][k] = False, False
        found = without_units(links, layers, scores, stay)
        for ours, expected in zip(found, kept, strict=True):
            np.testing.assert_array_equal(ours, expected, err_msg=f"{at}")


def test_the_last_unit_of_a_layer_stays_and_the_outputs_too():
    model, layers = net()
    links = links_between(model, layers)
    conv, dense, last = without_units(links, layers, drawn(layers), 1)
    assert conv.any(axis=(0, 1, 2)).sum() == dense.any(axis=0).sum() == 1
    assert last.any(axis=0).all()


@pytest.mark.long
def test_training_leaves_units_that_compact_takes_out():
    keras.utils.set_random_seed(0)
    model, layers = net()
    draw = np.random.default_rng(0)
    x = draw.normal(size=(64, 3, 3, 2)).astype("float32")
    y = x[:, 0, 0] + x[:, 1, 1]
    target = SparsityTarget(0.4, whole_units=True)
    model.fit(x, y, epochs=4, verbose=0, callbacks=[target])
    left = sum(layer.counts()[0] for layer in layers)
    assert 0.2 * 94 < left <= 0.4 * 94
    small = compact(model)
    kernels = [layer.kernel for layer in small.layers if hasattr(layer, "kernel")]
    assert sum(np.prod(kernel.shape) for kernel in kernels) == left
    np.testing.assert_allclose(
        small.predict(x, verbose=0), strip(model).predict(x, verbose=0), atol=1e-5
    )


def test_units_that_feed_a_sum_stay():
    x = keras.Input((4,))
    hidden = sparse(kl.Dense(3))(x)
    total = kl.Add()([hidden, sparse(kl.Dense(3))(x)])
    model = keras.Model(x, sparse(kl.Dense(2))(total))
    model.compile("adam", "mse")
    target = SparsityTarget(0.5, whole_units=True)
    with pytest.raises(ValueError, match="can take units out"):
        model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0, callbacks=[target])


def test_units_inside_of_a_nested_model_go():
    inner = keras.Sequential([keras.Input((4,)), sparse(kl.Dense(6))])
    inner.add(sparse(kl.Dense(3)))
    model = keras.Sequential([keras.Input((4,)), inner, kl.Dense(1)])
    (link,) = links_between(model, inner.layers)
    assert (link.first, link.second) == tuple(inner.layers)


def test_a_frozen_layer_keeps_its_units():
    model, layers = net()
    layers[1].trainable = False
    assert links_between(model, [layers[0], layers[2]]) == []


def test_whole_units_must_be_said_plainly():
    with pytest.raises(TypeError, match="`whole_units` must be True or False"):
        SparsityTarget(0.5, whole_units="yes")
