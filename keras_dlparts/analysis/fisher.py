"""The diagonal of the Fisher information: how much each weight's move shows.

    F_j = E_x E_{y ~ p(y | x, w)} (d log p(y | x, w) / d w_j)^2

with -log p the model's compiled loss of one sample, in inference, without what layers
and regularisers add. With labels given, these take the place of the drawn y: that is
the "empirical" Fisher, which differs from this one unless the fit is perfect. Shapes:
as the weights.

Kunstner et al. 2019, "Limitations of the empirical Fisher approximation",
arXiv:1905.12558; used as in Kirkpatrick et al. 2017, "Overcoming catastrophic
forgetting", arXiv:1612.00796.
"""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.analysis.unchanged import check_compiled, unchanged
from keras_dlparts.support.progress import tracked

_KINDS = {
    "SparseCategoricalCrossentropy": "sparse",
    "sparse_categorical_crossentropy": "sparse",
    "CategoricalCrossentropy": "one hot",
    "categorical_crossentropy": "one hot",
    "BinaryCrossentropy": "binary",
    "binary_crossentropy": "binary",
}


def draw_labels(probabilities, u):
    """Class c where u falls into c's part of [0, 1). The noise is an argument."""
    ends = np.cumsum(probabilities, axis=-1)
    found = (u[:, None] >= ends / ends[:, -1:]).sum(axis=-1)
    return np.minimum(found, probabilities.shape[-1] - 1)


def fisher_diagonal(
    model: keras.Model,
    x: Any,
    y: Any = None,
    draws: int = 1,
    seed: int = 0,
    verbose: Literal["auto", 0, 1] = "auto",
) -> list[np.ndarray]:
    """The diagonal of a compiled model's Fisher information on data.

    One gradient for each sample and draw, so it is for thousands of samples, not for
    millions. The model is left exactly as it was.

    Args:
        model: A compiled `keras.Model` with one output, and a loss that is -log p of a
            sample: a cross-entropy. Where `y` is given, any loss.
        x: Inputs, an array.
        y: Optional targets, for the empirical Fisher. If None, they are drawn from the
            model's own prediction; the loss must then be a cross-entropy.
        draws: Integer, `>= 1`. Labels drawn a sample; not used with `y`.
        seed: Integer, for the labels.
        verbose: `"auto"` or 1 to report progress on standard error, 0 for silence.

    Returns:
        A list of arrays in the order and shapes of `model.trainable_variables`.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile(loss=loss)
    >>> [part.shape for part in fisher_diagonal(model, np.ones((5, 2), "float32"))]
    [(2, 3), (3,)]

    Reference: Kunstner et al. 2019, https://arxiv.org/abs/1905.12558
    """
    check_compiled(model)
    loss = None if isinstance(model.loss, dict | list) else keras.losses.get(model.loss)
    if loss is None:
        raise ValueError(
            f"`model` must have one output and one loss. Received: loss={model.loss!r}"
        )
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1. Received: draws={draws}")
    if y is not None and len(y) != len(x):
        raise ValueError(
            f"`x` and `y` must be as long. Received: {len(x)} and {len(y)}"
        )

    kind = _KINDS.get(getattr(loss, "__name__", type(loss).__name__))
    if y is None and kind is None:
        raise ValueError(
            "Labels can be drawn where the loss is a cross-entropy of Keras; give `y` "
            f"elsewhere. Received: loss={model.loss!r}"
        )
    smoothing = _config(loss).get("label_smoothing")
    if y is None and smoothing:
        raise ValueError(
            "Labels can be drawn where the loss is -log p of the label, and a smoothed "
            f"one is not. Received: label_smoothing={smoothing}; give `y`, or compile "
            "the model without it"
        )

    def loss_of(model, x, y, sample_weight):
        prediction = model(x, training=False)
        # Keras' binary one is a mean over the outputs; -log p is the sum.
        outputs = prediction.shape[-1] if kind == "binary" else 1
        return outputs * ops.sum(loss(y, prediction))

    with unchanged(model):
        targets = [y] if y is not None else _drawn(model, loss, kind, x, draws, seed)
        measure = backend.gradient_function(model, loss_of=loss_of)
        total = [np.zeros(v.shape) for v in model.trainable_variables]
        for i in tracked(range(len(x)), "Fisher information", verbose):
            for target in targets:
                _, gradients = measure(x[i : i + 1], target[i : i + 1])
                for part, g in zip(total, gradients, strict=True):
                    if g is not None:
                        part += ops.convert_to_numpy(g).astype("float64") ** 2
    return [part / (len(x) * len(targets)) for part in total]


def _config(loss):
    """The config of a loss; a plain function has none."""
    return getattr(loss, "get_config", dict)()


def _drawn(model, loss, kind, x, draws, seed):
    """Targets drawn from the model's prediction, in the form that the loss takes."""
    prediction = np.concatenate(
        [
            ops.convert_to_numpy(model(x[i : i + 256], training=False))
            for i in range(0, len(x), 256)
        ]
    ).astype("float64")
    if prediction.ndim != 2:
        raise ValueError(
            "Labels can be drawn for outputs of shape (batch, classes); give `y` "
            f"elsewhere. Received: outputs of shape {prediction.shape}"
        )
    if _config(loss).get("from_logits"):
        if kind == "binary":
            prediction = 1 / (1 + np.exp(-prediction))
        else:
            prediction = np.exp(prediction - prediction.max(axis=-1, keepdims=True))
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        if kind == "binary":
            u = random.uniform(size=prediction.shape)
            found.append((u < prediction).astype("float32"))
            continue
        labels = draw_labels(prediction, random.uniform(size=len(prediction)))
        if kind == "one hot":
            labels = np.eye(prediction.shape[-1], dtype="float32")[labels]
        found.append(labels)
    return found
