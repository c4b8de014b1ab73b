"""GeneratedSamples keeps what a model makes, and draws it."""

import types

import keras
import numpy as np
import pytest

from keras_dlparts.callbacks import GeneratedSamples
from keras_dlparts.layers import GaussianSampling
from keras_dlparts.models import DBM, Autoencoder


class Made(keras.Model):
    """A model whose samples tell how often it was asked."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.asked = shape, 0

    def sample(self, n, seed):
        self.asked += 1
        return np.full((n, *self.shape), self.asked + seed, "float32")


def told(model, epochs, **options):
    seen = GeneratedSamples(**options)
    seen.set_model(model)
    for epoch in range(epochs):
        seen.on_epoch_end(epoch)
    return seen


def test_it_keeps_the_samples_of_every_so_many_epochs():
    seen = told(Made((2,)), 5, n=3, every=2, seed=7)
    assert [*seen.samples] == ["2", "4"]
    np.testing.assert_array_equal(seen.samples["4"], np.full((3, 2), 9))
    assert told(keras.Sequential(), 2).samples == {}  # it makes none
    with pytest.raises(ValueError, match="`every` must be at least 1"):
        GeneratedSamples(every=0)


def test_it_keeps_nothing_of_models_that_make_none_from_a_seed():
    dense = keras.layers.Dense(4)
    plain = Autoencoder([dense], input_shape=(3,))
    deep = DBM([3, 2], chains=2, input_shape=(3,))
    assert told(plain, 1).samples == told(deep, 1).samples == {}
    some = {"code": GaussianSampling(2), "likelihood": "gaussian"}
    variational = Autoencoder([dense], input_shape=(3,), **some)
    assert told(variational, 1, n=5).samples["1"].shape == (5, 3)


@pytest.mark.long
@pytest.mark.parametrize("shape", [(2,), (4, 4), (4, 4, 1), (4, 4, 3)])
def test_it_draws_points_and_images(shape):
    pytest.importorskip("matplotlib")
    run = types.SimpleNamespace(history={})
    (figure,) = told(Made(shape), 20).figures(run).values()
    assert len(figure.axes) == 8  # of twenty epochs, the first and the last among them
    names = [a.get_ylabel() or a.get_title().split()[-1] for a in figure.axes]
    assert (names[0], names[-1]) == ("1", "20")
    assert told(Made((5,)), 2).figures(run) == {}
    assert GeneratedSamples().figures(run) == {}
