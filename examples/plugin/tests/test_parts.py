"""Each part against a few lines of numpy from its formula."""

import keras
import numpy as np
import pytest
from acme_parts import GatedMLP, Rings, WeightNorms


def test_gated_mlp_is_its_formula():
    layer = GatedMLP(units=5, activation="relu")
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    y = keras.ops.convert_to_numpy(layer(x))
    w_g, w_v, w_o = layer.get_weights()
    np.testing.assert_allclose(
        y, (np.maximum(x @ w_g, 0) * (x @ w_v)) @ w_o, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(("units", "error"), [(0, ValueError), (True, TypeError)])
def test_gated_mlp_needs_units(units, error):
    GatedMLP(units=1)
    with pytest.raises(error, match=r"`units` must be.*Received"):
        GatedMLP(units=units)


def test_weight_norms_are_those_of_the_weights():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    norms = WeightNorms()
    x = np.ones((4, 2))
    history = model.fit(x, x[:, :1], epochs=2, callbacks=[norms], verbose=0)
    flat = np.concatenate([w.ravel() for w in model.get_weights()])
    np.testing.assert_allclose(
        history.history["weight_norm"][-1], np.linalg.norm(flat), rtol=1e-6
    )
    assert [len(values) for values in norms.norms.values()] == [2, 2]


def test_rings_have_their_radii():
    x, y = Rings(classes=4, noise=0, samples=40).train.arrays()
    np.testing.assert_allclose(np.hypot(*x.T), (y + 1) / 4, rtol=1e-6)


@pytest.mark.parametrize("bad", [{"classes": 1}, {"noise": -0.1}, {"samples": 3}])
def test_rings_reject(bad):
    Rings(classes=2, noise=0, samples=4)
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}` must be"):
        Rings(**bad)
