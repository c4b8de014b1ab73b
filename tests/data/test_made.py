"""The sources that make their data, and what they have in common."""

import numpy as np
import pytest

from keras_dlparts.data import (
    Adding,
    Digits,
    Gaussians,
    Mnist1d,
    Parity,
    Spirals,
    Stacked,
)
from keras_dlparts.data.mnist1d import TEMPLATES, signal, smooth

MADE = [Parity, Spirals, Adding, Mnist1d, Gaussians]


@pytest.mark.parametrize("make", MADE)
def test_seeds_repeat_and_the_test_is_other_data(make):
    one, same, other = (make(samples=200, seed=s) for s in (1, 1, 2))
    x, y = one.train.arrays()
    for a, b in zip(same.train.arrays(), (x, y), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(other.train.arrays()[0], x)
    test = one.test.arrays()[0]
    assert len(test) == 50
    assert not np.array_equal(x[:50], test)
    rows = {row.tobytes() for row in np.concatenate([x, one.validation.arrays()[0]])}
    assert not rows & {row.tobytes() for row in test}


@pytest.mark.parametrize("make", MADE)
def test_samples_at_the_boundary(make):
    assert len(make(samples=4, validation_split=0).test.arrays()[0]) == 1
    with pytest.raises(
        ValueError, match=r"`samples` must be at least 4. Received: .*=3"
    ):
        make(samples=3)


def test_digits():
    flat, square = Digits(validation_split=0), Digits(flatten=False)
    x, y = flat.train.arrays()
    assert x.shape == (1500, 64)
    assert (x.min(), x.max()) == (0, 1)
    assert set(y) == set(range(10))
    xt, _ = square.test.arrays()
    assert xt.shape == (297, 8, 8, 1)
    np.testing.assert_array_equal(xt.reshape(-1, 64), flat.test.arrays()[0])
    from sklearn.datasets import load_digits

    np.testing.assert_array_equal(
        np.concatenate([x, flat.test.arrays()[0]]) * 16, load_digits().data
    )


def test_parity():
    x, y = Parity(bits=5, samples=1000, validation_split=0).train.arrays()
    assert set(np.unique(x)) == {0, 1}
    np.testing.assert_array_equal(y, np.bitwise_xor.reduce(x.astype(int), axis=1))
    assert abs(y.mean() - 0.5) < 0.06
    with pytest.raises(ValueError, match=r"`bits` must be at least 1"):
        Parity(bits=0)


def test_spirals_lie_on_their_arms():
    source = Spirals(classes=3, turns=2, noise=0, samples=600, validation_split=0)
    x, y = source.train.arrays()
    r = np.hypot(*x.T)
    angle = np.arctan2(x[:, 1], x[:, 0])
    # Wound back, all points of one class look in one direction.
    unwound = np.exp(1j * (angle - 2 * np.pi * 2 * r))
    np.testing.assert_allclose(unwound, np.exp(2j * np.pi * y / 3), atol=1e-3)
    assert set(y) == {0, 1, 2}
    assert r.max() <= 1
    noisy = Spirals(classes=3, turns=2, noise=0.5, samples=600, validation_split=0)
    spread = (noisy.train.arrays()[0] - x).std()
    assert spread == pytest.approx(0.5, rel=0.1)
    for bad in ({"classes": 1}, {"turns": -1}, {"noise": -0.1}, {"noise": np.inf}):
        with pytest.raises(ValueError, match="Received"):
            Spirals(**bad)


@pytest.mark.parametrize("length", [2, 3, 51])
def test_adding(length):
    x, y = Adding(length=length, samples=500, validation_split=0).train.arrays()
    marks = x[..., 1]
    np.testing.assert_array_equal(marks[:, : length // 2].sum(axis=1), 1)
    np.testing.assert_array_equal(marks[:, length // 2 :].sum(axis=1), 1)
    np.testing.assert_allclose(y[:, 0], (x[..., 0] * marks).sum(axis=1), rtol=1e-6)
    assert ((y - 1) ** 2).mean() == pytest.approx(1 / 6, rel=0.25)


def test_adding_length_at_the_boundary():
    with pytest.raises(
        ValueError, match=r"`length` must be at least 2. Received: length=1"
    ):
        Adding(length=1)


def by_hand(template, length, a, k, h):
    """One signal, step by step: pad, move round, resample, scale, shear."""
    padded = np.concatenate([template, np.zeros(length - len(template))])
    moved = np.roll(padded, k)
    moved = np.append(moved, moved[0])
    ramp = np.linspace(-0.5, 0.5, 40)
    points = np.linspace(0, length - 1, 40)
    return a * np.interp(points, np.arange(length + 1), moved) + h * ramp


def test_mnist1d_signal():
    length, a = np.array([48, 72, 60]), np.array([0.8, 1.2, 1.0])
    k, h = np.array([47, 0, 40]), np.array([0.3, -0.3, 0.0])
    got = signal(TEMPLATES[[2, 0, 9]], length, a, k, h)
    for i, c in enumerate([2, 0, 9]):
        want = by_hand(TEMPLATES[c], length[i], a[i], k[i], h[i])
        np.testing.assert_allclose(got[i], want, atol=1e-12)


def test_mnist1d_data():
    source = Mnist1d()
    x, y = source.train.arrays()
    assert len(x) + len(source.validation.arrays()[0]) == 4000
    assert len(source.test.arrays()[0]) == 1000
    assert np.bincount(y, minlength=10).min() > 300
    assert abs(x).max() < 3
    # No two templates are alike, wherever they stand.
    spectra = np.abs(np.fft.rfft(TEMPLATES, 48))
    distances = np.linalg.norm(spectra[:, None] - spectra, axis=-1)
    assert distances[~np.eye(10, dtype=bool)].min() > 2


def test_smoothed_noise_keeps_its_variance_and_is_correlated():
    noise = smooth(np.random.default_rng(0).normal(0, 0.3, (4000, 40)))
    np.testing.assert_allclose(noise.std(axis=0), 0.3, rtol=0.06)
    neighbours = np.corrcoef(noise[:, 20], noise[:, 21])[0, 1]
    # Of Gaussians of width sigma = 2 at distance 1: exp(-1 / (4 sigma^2)).
    assert neighbours == pytest.approx(np.exp(-1 / 16), abs=0.02)


def test_gaussians_have_the_means_and_deviations_of_the_literature():
    for arrangement, modes, deviation in (("ring", 8, 0.01), ("grid", 25, 0.05)):
        source = Gaussians(arrangement, samples=20000, validation_split=0)
        x, y = source.train.arrays()
        means = np.stack([x[y == c].mean(axis=0) for c in range(modes)])
        np.testing.assert_allclose(means, source.means, atol=deviation / 5)
        assert (x - source.means[y]).std() == pytest.approx(deviation, rel=0.02)
    line = np.arange(-4, 5, 2)
    np.testing.assert_array_equal(np.unique(source.means), line)
    ring = Gaussians("ring", modes=3, deviation=1e-9, samples=60).train.arrays()[0]
    np.testing.assert_allclose(np.hypot(*ring.T), 1, rtol=1e-6)
    with pytest.raises(ValueError, match=r"`arrangement` must be one of 'ring'"):
        Gaussians("line")
    with pytest.raises(ValueError, match=r"`deviation` must be a finite number"):
        Gaussians(deviation=0.0)


def test_stacked_images_are_those_of_the_source():
    digits = Digits(flatten=False, validation_split=0)
    x, y = Stacked(digits, samples=50, validation_split=0).train.arrays()
    images, labels = digits.train.arrays()
    known = {
        image.tobytes(): label for image, label in zip(images, labels, strict=True)
    }
    for image, label in zip(x, y, strict=True):
        found = [known[image[..., i].tobytes()] for i in range(3)]
        assert label == found @ np.array([100, 10, 1])
    whole = Stacked(digits, validation_split=0)
    assert len(whole.train.arrays()[0]) == 1500
    with pytest.raises(TypeError, match="`source` must be a source of images"):
        Stacked("digits")
    with pytest.raises(ValueError, match=r"one channel .* x of shape \(64,\)"):
        Stacked(Digits()).train.arrays()
