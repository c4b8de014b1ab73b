"""What the claim on the Neocognitron is made of."""

import keras
import numpy as np
import pytest

from examples.claims.claim import load


@pytest.fixture(scope="module")
def study():
    return load("neocognitron").module()


def test_images_move_one_of_four_ways_and_nothing_else_changes(study):
    x = np.zeros((40, 28, 28, 1), "float32")
    x[:, 14, 14] = 1
    moved = study.shifted(x, 3, np.random.default_rng(0))
    places = {tuple(place) for place in np.argwhere(moved)[:, 1:3].tolist()}
    assert places == {(14, 17), (14, 11), (17, 14), (11, 14)}
    assert (moved.sum((1, 2, 3)) == 1).all()
    np.testing.assert_array_equal(study.shifted(x, 0, np.random.default_rng(0)), x)


def test_of_imprinted_planes_each_responds_most_to_its_own_pattern(study):
    model = study.net(0, planes=(12, 64), unlabelled=800)
    layer = model.get_layer("s1")
    x = np.random.default_rng(0).random((3, 28, 28, 1)).astype("float32")
    fields = study.fields(x, layer, np.random.default_rng(0))
    study.imprint(layer, fields)
    y = keras.ops.convert_to_numpy(layer(fields.astype("float32")))[:, 0, 0]
    assert y.argmax(axis=-1).tolist() == [*range(len(fields))]
    assert (y <= 1).all()  # (1 + r) s - r for similarities s, which are 1 at most


def test_the_readout_tells_classes_apart_and_picks_its_penalty(study):
    random = np.random.default_rng(0)
    y = random.integers(10, size=300)
    f = np.eye(10)[y] + 0.1 * random.normal(size=(300, 10))
    readout = study.Readout(f[:200], y[:200], f[200:], y[200:])
    assert readout.validation == readout.score(f[200:], y[200:]) > 0.95
