"""What answers for one number of rows answers for others after it.

A function that TensorFlow has compiled for one number of rows is traced anew when it
meets a second one, and then for any number: the shapes that it sees hold None there.
"""

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts import backend
from keras_dlparts.layers import RBM, BoltzmannMachine, GaussianSampling, Hopfield
from keras_dlparts.models import DBM, Autoencoder, EncoderDecoder

ROWS = 12, 5, 3
V = np.random.default_rng(0).integers(0, 2, (ROWS[0], 6)).astype("float32")
SYMBOLS = np.array([[2, 3, 4, 1]] * ROWS[0])


def rbm():
    layer = RBM(4)
    layer(V)
    yield lambda n: layer.sample(n, 2)
    yield lambda n: layer.sample(n, 2, start=V[:n], clamp=V[:n])
    yield lambda n: layer.pseudo_log_likelihood(V[:n], exact=True)


def boltzmann_machine():
    layer = BoltzmannMachine(2)
    layer(V)
    yield lambda n: layer.sample(n, 2)
    yield lambda n: layer.sample(n, 2, temperatures=3)
    yield lambda n: layer.bound(V[:n])


def many_blocks():
    """So many that a sweep goes through the units one by one."""
    layer = BoltzmannMachine(20)
    layer(V)
    yield lambda n: layer.sample(n, 1, temperatures=3)
    yield lambda n: layer.bound(V[:n])


def hopfield():
    layer = Hopfield()
    layer.store(2 * V[:2] - 1)
    yield lambda n: layer.recall(2 * V[:n] - 1)

    def stored(n):
        layer.store(2 * V[[0] * n] - 1)  # one pattern, which can be kept
        return V[:n]

    yield stored


def dbm():
    model = DBM([4, 3], input_shape=(6,))
    yield lambda n: model.sample(n, 2)
    yield lambda n: model.bound(V[:n])
    yield lambda n: model.features(V[:n])


def autoencoder():
    code = GaussianSampling(2)
    model = Autoencoder([kl.Dense(3)], code=code, likelihood="bernoulli")
    model.compile("sgd")
    model.fit(V, verbose=0)
    yield lambda n: model.log_likelihood(V[:n], samples=50).rows
    yield lambda n: model.reconstruct(V[:n])
    yield lambda n: model.sample(n)


def sequences():
    model = EncoderDecoder(kl.GRU(3), kl.GRU(3), vocabulary=5, embedding=2)
    model.build([(None, 4), (None, 4)])
    for method in ("greedy", "sample", "beam"):
        yield lambda n, method=method: model.generate(SYMBOLS[:n], method=method)


def values():
    model = EncoderDecoder(kl.GRU(3), kl.GRU(3))
    model.build([(None, 3, 2), (None, 3, 2)])
    yield lambda n: model.generate(V.reshape(-1, 3, 2)[:n])


ALL = (
    rbm,
    boltzmann_machine,
    many_blocks,
    hopfield,
    dbm,
    autoencoder,
    sequences,
    values,
)


@pytest.mark.long
@pytest.mark.skipif(
    backend.name() != "tensorflow",
    reason="JAX compiles anew for every number of rows, and PyTorch compiles nothing",
)
@pytest.mark.parametrize("answers", ALL, ids=lambda answers: answers.__name__)
def test_three_numbers_of_rows_in_turn(answers):
    keras.utils.set_random_seed(0)
    for answer in answers():
        for n in ROWS:
            found = keras.ops.convert_to_numpy(answer(n))
            assert len(found) == n
            assert np.isfinite(found).all()
