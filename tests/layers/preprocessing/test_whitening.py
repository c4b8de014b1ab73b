import keras
import numpy as np
import pytest

from keras_dlparts.layers import Whitening
from keras_dlparts.layers.preprocessing.whitening import whitening_matrix

DATA = np.random.default_rng(0).normal(size=(400, 3)) @ [
    [4, 1, 1],
    [0, 2, 1],
    [0, 0, 1],
]
DATA = DATA + np.array([10, -5, 3])


def whitened(x, data=DATA, **arguments):
    layer = Whitening(**arguments)
    layer.adapt(data)
    return keras.ops.convert_to_numpy(layer(x))


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_covariance_becomes_the_identity(kind):
    y = whitened(DATA, kind=kind, epsilon=1e-8)
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(3), atol=1e-4)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)


def test_pca_is_that_of_scikit_learn_up_to_signs():
    decomposition = pytest.importorskip("sklearn.decomposition")
    theirs = decomposition.PCA(whiten=True).fit_transform(DATA)
    # scikit-learn divides the covariance by n - 1.
    want = theirs * np.sqrt(len(DATA) / (len(DATA) - 1))
    got = whitened(DATA, epsilon=1e-9)
    np.testing.assert_allclose(abs(got), abs(want), rtol=1e-3, atol=1e-4)


def test_zca_is_the_inverse_root_of_the_covariance():
    C = np.cov(DATA.T, bias=True) + 0.3 * np.eye(3)
    root = np.linalg.inv(whitening_matrix(C - 0.3 * np.eye(3), "zca", 0.3))
    np.testing.assert_allclose(root @ root, C, rtol=1e-10)
    np.testing.assert_allclose(root, root.T, rtol=1e-10)
    want = (DATA - DATA.mean(axis=0)) @ np.linalg.inv(root)
    got = whitened(DATA, kind="zca", epsilon=0.3)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["pca", "zca"])
@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_inverse(kind, epsilon):
    y = whitened(DATA, kind=kind, epsilon=epsilon)
    back = whitened(y, kind=kind, epsilon=epsilon, invert=True)
    np.testing.assert_allclose(back, DATA, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_directions_without_variance_stay_zero(kind):
    # A constant, and a copy of another feature: rank 2 of 4.
    x = np.float32(DATA[:, :2])
    x = np.stack([x[:, 0], np.full(len(x), 0.1, "float32"), x[:, 1], x[:, 0]], axis=1)
    y = whitened(x, data=x, kind=kind, epsilon=1e-6)
    assert np.isfinite(y).all()
    variances = np.linalg.eigvalsh(np.cov(y.T, bias=True))
    np.testing.assert_allclose(variances, [0, 0, 1, 1], atol=1e-3)
    # More features than samples.
    few = np.random.default_rng(0).normal(size=(3, 8))
    assert np.isfinite(whitened(few, data=few, kind=kind)).all()


def test_several_axes_make_one_vector():
    x = np.random.default_rng(1).normal(size=(300, 2, 5, 3)) @ [
        [2, 1, 0],
        [0, 1, 1],
        [1, 0, 3],
    ]
    y = whitened(x, data=x, axis=(1, 3), epsilon=1e-8)
    vectors = y.transpose(0, 2, 1, 3).reshape(-1, 6)
    np.testing.assert_allclose(np.cov(vectors.T, bias=True), np.eye(6), atol=1e-3)
    plain = x.transpose(0, 2, 1, 3).reshape(-1, 6)
    want = whitened(plain, data=plain, epsilon=1e-8)
    np.testing.assert_allclose(vectors, want, rtol=1e-3, atol=1e-4)


def test_signs_do_not_depend_on_the_solver():
    matrix = whitening_matrix(np.cov(DATA.T), "pca", 1e-5)
    largest = np.abs(matrix).argmax(axis=0)
    assert (matrix[largest, range(3)] > 0).all()


@pytest.mark.parametrize("invert", [False, True])
def test_before_adapt_it_passes_its_input_on(invert):
    x = np.float32(DATA[:5])
    y = keras.ops.convert_to_numpy(Whitening(invert=invert)(x))
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"kind": "svd"}, ValueError),
        ({"epsilon": 0}, ValueError),
        ({"epsilon": float("inf")}, ValueError),
        ({"epsilon": "1e-5"}, TypeError),
        ({"epsilon": True}, TypeError),
        ({"axis": None}, ValueError),
        ({"axis": ()}, ValueError),
        ({"invert": 1}, TypeError),
    ],
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error, match=r"must.*Received"):
        Whitening(**arguments)
