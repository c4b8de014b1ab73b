"""A kernel machine as a net: how like an input is to templates, then their sum.

    f_k(x) = b_k + sum_i a_ik phi(|x - x_i|^2 / width^2)       i = 1 .. templates

Shapes: x (batch, ...) -> f (batch, outputs). Training and inference are the same.
"""

from collections.abc import Sequence
from typing import Literal

import keras

from keras_dlparts.layers import RadialBasis

CASES = {
    "KernelMachine": (
        {
            "arguments": lambda folder: {
                "templates": 3,
                "outputs": 2,
                "centers": keras.initializers.RandomNormal(seed=1),
                "input_shape": (2, 3),
            },
        },
    )
}


def KernelMachine(
    templates: int,
    outputs: int = 10,
    kernel: Literal[
        "gaussian", "laplacian", "inverse_multiquadric", "multiquadric", "thin_plate"
    ] = "gaussian",
    width: float | None = None,
    centers: Literal["data", "kmeans"] | keras.initializers.Initializer = "data",
    learn_templates: bool = False,
    kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
    input_shape: Sequence[int] | None = None,
    seed: int | None = None,
    name: str = "kernel_machine",
) -> keras.Model:
    """Templates from the data, of which a linear combination is learnt.

    It is `RadialBasis` and `Dense`, to be trained by any loss: `"hinge"` or
    `"categorical_hinge"` for a machine with a margin, `"mse"` for a ridge. A run of a
    config draws the templates among the training data; elsewhere call
    `model.layers[-2].adapt(x.reshape(len(x), -1))`, for templates are flat. With as
    many templates as there are different rows all of them are templates. For these,
    `keras_dlparts.sklearn.KernelMachine` solves exactly what `fit` comes near to, and
    gives a model like this one.

    Args:
        templates: Integer, `>= 1`.
        outputs: Integer, `>= 1`.
        kernel: The function of the distance, see `RadialBasis`.
        width: Float greater than 0. None: from the distances of the templates.
        centers: Where the templates come from, see `RadialBasis`.
        learn_templates: Whether templates and width are trained too.
        kernel_regularizer: Of the coefficients.
        input_shape: Tuple, without the batch. None: that of the first data.
        seed: Optional integer, for the same templates each time.
        name: The model's name.

    Returns:
        A `keras.Model` from `(batch, ...)` to `(batch, outputs)`; without an
        `input_shape` a `keras.Sequential` that is built on the first data.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 4, 4))
    >>> model = KernelMachine(20, outputs=3, input_shape=(4, 4))
    >>> model.layers[-2].adapt(x.reshape(len(x), -1))
    >>> tuple(model(x).shape)
    (50, 3)
    """
    layers = [
        keras.layers.Flatten(),
        RadialBasis(
            templates,
            kernel,
            centers=centers,
            initial_width=width,
            learn_centers=learn_templates,
            learn_width=learn_templates,
            seed=seed,
        ),
        keras.layers.Dense(outputs, kernel_regularizer=kernel_regularizer),
    ]
    if input_shape is None:
        return keras.Sequential(layers, name=name)
    x = inputs = keras.Input(tuple(input_shape))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x, name=name)
