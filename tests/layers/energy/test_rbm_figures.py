"""What RBM shows in a report: pictures where there are images, tables in any case."""

import types

import keras
import numpy as np
import pytest

from keras_dlparts.layers import RBM
from keras_dlparts.layers.energy import rbm_figures


def shown(units, history, **options):
    layer = RBM(5, seed=0, **options)
    model = keras.Sequential([keras.Input((units,)), layer])
    model.compile(keras.optimizers.SGD(0.1))
    x = np.random.default_rng(0).integers(0, 2, (20, units))
    model.fit(x, verbose=0)
    return layer, layer.figures(types.SimpleNamespace(history=history))


def pixels(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


@pytest.mark.parametrize("persistent", [False, True])
def test_filters_fantasies_activities_and_free_energy(persistent):
    pytest.importorskip("matplotlib")
    history = {"free_energy": [-1.0, -2.0], "val_free_energy": [-1.0, -1.5]}
    layer, found = shown(9, history, persistent=persistent, chains=4)
    assert [*found] == [
        "Filters",
        "Fantasies",
        "Mean activity of the hidden units",
        "Free energy by epoch",
        "Hidden units",
    ]
    # The first of five filters is the upper left 3 x 3 of a 3 x 2 arrangement.
    image = pixels(found["Filters"])
    assert image.shape == (2 * 4 - 1, 3 * 4 - 1)
    W = layer.get_weights()[0]
    np.testing.assert_allclose(image[:3, :3], W[:, 0].reshape(3, 3), rtol=1e-6)
    assert np.nanmin(pixels(found["Fantasies"])) >= 0
    lines = found["Free energy by epoch"].axes[0].lines
    assert [[*line.get_ydata()] for line in lines] == [*history.values()]
    (row,) = found["Hidden units"]
    assert row["units"] == 5
    assert 0 < float(row["mean activity"]) < 1


def test_units_that_make_no_image_are_shown_as_a_map():
    pytest.importorskip("matplotlib")
    _, found = shown(6, {}, visible="gaussian", hidden="relu")
    assert pixels(found["Filters"]).shape == (5, 6)
    assert "Free energy by epoch" not in found


def test_without_weights_there_is_nothing_to_show():
    assert RBM(3).figures(None) == {}


@pytest.mark.parametrize(
    ("units", "expected"), [(784, 28), (64, 8), (1, None), (8, None)]
)
def test_the_side_of_an_image(units, expected):
    assert rbm_figures.side(units) == expected
