"""The claim on noise on contexts: its sequences, and its second phase."""

import keras
import numpy as np
import pytest

from examples.claims.claim import load


@pytest.fixture(scope="module")
def study():
    return load("context_noise").module()


def test_a_reversed_sequence(study):
    x = np.array([[4, 8, 9, 5, 0, 0, 0, 0], [2, 3, 4, 5, 6, 7, 8, 9]])
    assert study.answers(x).tolist() == [
        [5, 9, 8, 4, 1, 0, 0, 0, 0],
        [9, 8, 7, 6, 5, 4, 3, 2, 1],
    ]
    drawn = study.drawn(200, seed=0)
    assert len(np.unique(drawn, axis=0)) == 200
    lengths = (drawn > 0).sum(axis=1)
    assert (lengths.min(), lengths.max()) == (4, 8)
    assert (drawn[np.arange(8) >= lengths[:, None]] == 0).all()


@pytest.mark.long
def test_the_second_phase_goes_on_from_the_first_with_noise(study):
    first = study.translator(units=6)
    weights = study.weights_of(first)
    model = study.second_phase(weights, 6, strength=0.5, seed=0)
    x = study.drawn(3, seed=1)
    y = study.answers(x)
    assert model.encode(x).shape == (3, 6)
    np.testing.assert_array_equal(model.encode(x), first.encode(x))
    whole = model.predict((x, y), verbose=0)
    np.testing.assert_allclose(whole, first.predict((x, y), verbose=0), atol=1e-5)
    noisy = keras.ops.stop_gradient(model((x, y), training=True))
    assert not np.allclose(keras.ops.convert_to_numpy(noisy), whole, atol=1e-3)
    # a decoder that always answers the end writes nothing else
    model.to_output.bias.assign(np.eye(12)[study.END] * 100)
    assert model.generate(x).tolist() == [[study.END] + [0] * 8] * 3
