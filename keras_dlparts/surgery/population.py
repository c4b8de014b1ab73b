"""Population statistics for batch normalisation, after training.

Algorithm 2 of the paper, over training batches B of m values each:

    E[x] = mean_B mu_B        Var[x] = m / (m - 1) * mean_B sigma_B^2

Ioffe & Szegedy 2015, "Batch normalization", arXiv:1502.03167.
"""

from typing import Any

import keras
import numpy as np
from keras import layers as kl

from keras_dlparts import backend, graphs
from keras_dlparts.backend import feeding


def recalibrate(model: keras.Model, data: Any, batch_size: int = 32) -> keras.Model:
    """Set the statistics of all batch normalisations from data, by Algorithm 2.

    One pass over training batches: every layer works as in training, on its batch's
    own mean and variance, so that each one sees what it saw in training. The moving
    averages are then replaced by the mean of the batches' means, and of their
    variances times m / (m - 1), m being the values a mean was taken over. Nothing
    else of the model moves. A frozen layer (`trainable = False`) and one that
    renormalises keep their statistics.

    Args:
        model: A built `keras.Model`. It is changed.
        data: Training data: an array, a `keras.utils.PyDataset`, or anything that
            yields batches `x` or `(x, y, ...)`, such as a `tf.data.Dataset`. A list of
            arrays is read as batches: give the inputs of a model with several as a
            tuple of arrays, or in batches, `[(x,)]`.
        batch_size: Integer. For an array; best the one of the training.

    Returns:
        The model.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    >>> model = recalibrate(model, np.array([[1.0], [3.0], [5.0], [7.0]]), batch_size=2)
    >>> norm = model.layers[-1]
    >>> float(norm.moving_mean[0]), float(norm.moving_variance[0])
    (4.0, 2.0)
    """
    norms = recalibrated_in(model)
    if not norms:
        raise ValueError(
            "`model` must have a BatchNormalization that is trainable. "
            f"Received: {model.name!r}, without one"
        )
    statistics = {layer: [] for layer in norms}
    with backend.unmoved(model), _watched(statistics):
        for x in feeding.inputs(data, batch_size):
            model(x, training=True)
    for layer, batches in statistics.items():
        if not batches:
            raise ValueError(
                "`data` must hold a batch, and each layer must be in use. "
                f"Received: nothing for {layer.name!r}"
            )
        mean, variance = np.mean(batches, axis=0)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
    return model


def recalibrated_in(model):
    """The batch normalisations of a model whose statistics `recalibrate` sets."""
    return [
        layer
        for layer in graphs.layers(model)
        if isinstance(layer, kl.BatchNormalization)
        and layer.trainable
        and not layer.renorm
    ]


def _moments(x, axis, mask=None):
    """The mean and the unbiased variance of each channel over all else."""
    x = np.moveaxis(keras.ops.convert_to_numpy(x).astype("float64"), axis, -1)
    if mask is not None:
        x = x[keras.ops.convert_to_numpy(mask)]
    x = x.reshape(-1, x.shape[-1])
    if len(x) < 2:
        raise ValueError(
            "A batch must give each BatchNormalization two values a channel, or there "
            f"is no variance. Received: {len(x)}; leave such a batch out"
        )
    return x.mean(axis=0), x.var(axis=0, ddof=1)


def _watched(statistics):
    """Note the moments of what each layer is called on."""

    def watch(layer, call):
        def watched(inputs, *arguments, mask=None, **more):
            statistics[layer].append(_moments(inputs, layer.axis, mask))
            return call(inputs, *arguments, mask=mask, **more)

        return watched

    return backend.intercepted(statistics, watch)
