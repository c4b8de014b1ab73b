"""A multilayer perceptron.

    h_0 = flat(x),  h_l = dropout(act(norm(W_l h_(l-1))))  for l = 1 .. L
    y   = W h_L + b                              no activation: y are logits

Shapes: x (batch, ...) -> y (batch, outputs). Training and inference differ in
dropout and batch normalisation.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import keras

from keras_dlparts import backend

_NORMS = {
    "batch": keras.layers.BatchNormalization,
    "layer": keras.layers.LayerNormalization,
}
CASES = {
    "MLP": (
        {
            "arguments": {
                "hidden": [4, 4],
                "outputs": 3,
                "dropout": 0.5,
                "norm": "layer",
                "input_shape": (2, 3),
                "seed": 1,
            },
            "still": {"dropout": 0.0},
            "not_exported": {
                "torch onnx": "PyTorch's exporter takes no layer normalisation with "
                "batches of any size, Keras' own neither"
            },
        },
    )
}


def MLP(
    hidden: Sequence[int] = (256, 256),
    outputs: int = 10,
    activation: str | Callable = "relu",
    norm: Literal["batch", "layer"] | None = None,
    dropout: float = 0.0,
    kernel_initializer: str | keras.initializers.Initializer = "glorot_uniform",
    kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
    input_shape: Sequence[int] | None = None,
    seed: int | None = None,
    name: str = "mlp",
) -> keras.Model:
    """Dense layers in a row, with norm, activation and dropout after each.

    Args:
        hidden: List of integers: the units of each hidden layer. May be empty.
        outputs: Integer. The units of the last layer, which has no activation.
        activation: The hidden layers' activation, by name.
        norm: `"batch"`, `"layer"`, or None for no normalisation. A Dense layer with
            batch normalisation after it has no bias: beta is one.
        dropout: Float, `0 <= dropout < 1`, after each hidden layer.
        kernel_initializer: Of the Dense layers.
        kernel_regularizer: Of the Dense layers.
        input_shape: Tuple, without the batch. None: that of the first data.
        seed: Optional integer, for dropout that repeats.
        name: The model's name.

    Returns:
        A `keras.Model` from `(batch, ...)` to `(batch, outputs)`; without an
        `input_shape` a `keras.Sequential` that is built on the first data.

    Example:

    >>> model = MLP([16, 16], outputs=3, norm="batch", input_shape=(8,))
    >>> model.output_shape
    (None, 3)
    """
    if norm not in (*_NORMS, None):
        raise ValueError(
            f"`norm` must be 'batch', 'layer' or None. Received: norm={norm!r}"
        )

    def dense(units, **more):
        return keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.get(kernel_initializer).clone(),
            kernel_regularizer=kernel_regularizer,
            **more,
        )

    layers = [keras.layers.Flatten()]
    for i, units in enumerate(hidden):
        layers.append(dense(units, use_bias=norm != "batch"))
        if norm:
            layers.append(_NORMS[norm]())
        layers.append(keras.layers.Activation(activation))
        if dropout:
            layer_seed = None if seed is None else seed + i
            drop = keras.layers.Dropout(dropout, seed=layer_seed)
            layers.append(backend.own_draws(drop))
    layers.append(dense(outputs))
    if input_shape is None:
        return keras.Sequential(layers, name=name)
    x = inputs = keras.Input(tuple(input_shape))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x, name=name)
