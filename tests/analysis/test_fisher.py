"""The Fisher diagonal against closed forms."""

import keras
import numpy as np
import pytest

from keras_dlparts.analysis import fisher_diagonal
from keras_dlparts.analysis.fisher import draw_labels

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype("float32")


def softmax(z):
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def classifier(loss, classes=4, **layer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(classes, **layer)])
    model.layers[0].kernel.assign(RANDOM.normal(size=(3, classes)))
    model.compile(loss=loss)
    return model


def closed_form(model, p_of, draws):
    """F and the standard error of its estimate.

    The gradient to output c is v = p_c - 1[y = c], so E v^2 = p (1 - p), and the
    variance of v^2 is p (1 - p) (1 - 2 p)^2; a kernel's part has it times x^2.
    """
    kernel, bias = model.get_weights()
    p = p_of(X @ kernel + bias)
    mean, variance = p * (1 - p), p * (1 - p) * (1 - 2 * p) ** 2
    parts = (X**2, X**4), (np.ones((40, 1)), np.ones((40, 1)))
    return [(a.T @ mean / 40, np.sqrt(b.T @ variance / draws) / 40) for a, b in parts]


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), None),
        (keras.losses.CategoricalCrossentropy(), "softmax"),
        ("sparse_categorical_crossentropy", "softmax"),
        (keras.losses.BinaryCrossentropy(from_logits=True), None),
        ("binary_crossentropy", "sigmoid"),
    ],
)
def test_drawn_labels_give_the_closed_form(loss, activation):
    model = classifier(loss, activation=activation)
    binary = "inary" in getattr(loss, "name", str(loss))
    p_of = (lambda z: 1 / (1 + np.exp(-z))) if binary else softmax
    found = fisher_diagonal(model, X, draws=25)
    for ours, (theirs, error) in zip(found, closed_form(model, p_of, 25), strict=True):
        assert (abs(ours - theirs) < 5 * error + 1e-6).all()
        assert (theirs > 10 * error).any()  # so the margin says something


def test_the_empirical_one_is_the_mean_of_squared_gradients():
    """Of the squared error too, where dL/dw = 2 (x w + b - y) x / outputs."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, kernel_regularizer="l2")]
    )
    model.compile(loss="mse")
    y = RANDOM.normal(size=(40, 2)).astype("float32")
    kernel, bias = model.get_weights()
    error = X @ kernel + bias - y
    found = fisher_diagonal(model, X, y)
    np.testing.assert_allclose(found[0], (X**2).T @ error**2 / 40, rtol=1e-4)
    np.testing.assert_allclose(found[1], (error**2).mean(axis=0), rtol=1e-4)


def test_it_is_taken_in_inference():
    """With a drop rate of 0.9 the training pass would be another."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = classifier(loss)
    y = RANDOM.integers(0, 4, 40)
    dropping = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dropout(0.9), *model.layers]
    )
    dropping.compile(loss=loss)
    for ours, theirs in zip(
        fisher_diagonal(dropping, X, y), fisher_diagonal(model, X, y), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_labels_are_drawn_by_their_probabilities():
    p = np.array([[0.2, 0.5, 0.3]] * 5)
    u = np.array([0.0, 0.19999, 0.2, 0.69999, 0.99999])
    np.testing.assert_array_equal(draw_labels(p, u), [0, 0, 1, 1, 2])
    # not quite one in sum, as float32 has it
    assert draw_labels(p[:1] * 0.999, np.array([0.9999999])) == 2


def test_seeds_repeat():
    model = classifier(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    one, same, other = (fisher_diagonal(model, X, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_bad_arguments():
    model = classifier("mse")
    with pytest.raises(ValueError, match=r"cross-entropy of Keras; give `y`.*Received"):
        fisher_diagonal(model, X)
    with pytest.raises(ValueError, match=r"as long. Received: 40 and 2"):
        fisher_diagonal(model, X, X[:2])
    with pytest.raises(ValueError, match="`draws` must be at least 1"):
        fisher_diagonal(model, X, draws=0)
    smoothed = keras.losses.CategoricalCrossentropy(label_smoothing=0.3)
    model.compile(loss=smoothed)
    with pytest.raises(ValueError, match=r"-log p.*Received: label_smoothing=0.3"):
        fisher_diagonal(model, X)
    fisher_diagonal(model, X[:1], np.eye(4)[:1])
    model.compile(loss={"dense": "mse"})
    with pytest.raises(ValueError, match="one output and one loss"):
        fisher_diagonal(model, X)
    wide = keras.Sequential([keras.Input((2, 3)), keras.layers.Dense(4)])
    wide.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"\(batch, classes\).*Received.*\(4, 2, 4\)"):
        fisher_diagonal(wide, np.ones((4, 2, 3), "float32"))
    unbuilt = keras.Sequential([keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="must be compiled"):
        fisher_diagonal(unbuilt, X)
