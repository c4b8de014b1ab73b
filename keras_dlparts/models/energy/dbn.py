"""A deep belief net: restricted Boltzmann machines learnt one on another.

    h_0 = x,   h_l = E[h given h_(l-1)] = sigmoid(c_l + h_(l-1) W_l)      l = 1 .. L
    classifier    y = W h_L + b                            no activation: y are logits
    autoencoder   g_L = h_L,  g_(l-1) = sigmoid(b_l + g_l W_l^T)    y = g_0

Pre-training learns machine l on h_(l-1), from the first to the last, each from the
features that the machines below give once: greedy, layer by layer. Then the net is
fine-tuned by back-propagation; the autoencoder's decoder starts from the transposed
weights and is free from there.
Shapes: x (batch, ...) flattened to (batch, visible) -> y (batch, classes), or that of
x flattened. Training and inference differ in dropout.
Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets"; Hinton &
Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks".
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy.boltzmann import VISIBLE
from keras_dlparts.layers.energy.rbm import RBM
from keras_dlparts.models.energy import greedy
from keras_dlparts.support.bounds import Count, Positive, Share
from keras_dlparts.support.quantization import MakesLayers

CASES = {
    "DBN": (
        {
            "arguments": {
                "units": [5, 4],
                "classes": 3,
                "dropout": 0.5,
                "input_shape": (2, 3),
                "seed": 1,
            },
            "input_shape": (4, 2, 3),
            "still": {"dropout": 0.0},
        },
        {
            "arguments": {"units": [5, 4], "visible": "gaussian", "input_shape": (6,)},
            "input_shape": (4, 6),
        },
    )
}


@keras.saving.register_keras_serializable("dlparts")
class DBN(MakesLayers, keras.Model):
    """Sigmoid layers that can be pre-trained as restricted Boltzmann machines.

    `pretrain(x)` learns the machines; then `compile` and `fit` fine-tune the net. A
    config does both: a section `pretrain:` beside `fit:`. Without pre-training it is an
    ordinary net of the same shape.

    Args:
        units: List of integers, at least one: the hidden units of each machine.
        classes: Integer, the outputs of a classifier; None for an autoencoder.
        visible: `"bernoulli"`, for inputs in [0, 1], or `"gaussian"` of variance 1.
        dropout: Float, `0 <= dropout < 1`, after each hidden layer in fine-tuning.
        input_shape: Tuple, without the batch.
        seed: Optional integer, for weights and draws that repeat.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).integers(0, 2, (64, 6)).astype("float32")
    >>> model = DBN([5, 4], classes=2, input_shape=(6,), seed=0)
    >>> histories = model.pretrain(x, epochs=2)
    >>> [len(history["loss"]) for history in histories]
    [2, 2]
    >>> model(x).shape == (64, 2)
    True
    """

    def __init__(
        self,
        units: Sequence[int] = (256, 128),
        classes: int | None = None,
        visible: Literal["bernoulli", "gaussian"] = "bernoulli",
        dropout: float = 0.0,
        input_shape: Sequence[int] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        several = isinstance(units, list | tuple) and units
        if not several or not all(isinstance(u, int) and u > 0 for u in units):
            raise ValueError(
                "`units` must be a list of integers >= 1, at least one. "
                f"Received: units={units!r}"
            )
        if classes is not None and (not isinstance(classes, int) or classes < 1):
            raise ValueError(
                f"`classes` must be an integer >= 1 or None. Received: {classes!r}"
            )
        if visible not in VISIBLE:
            raise ValueError(
                f"`visible` must be one of {', '.join(map(repr, VISIBLE))}. "
                f"Received: visible={visible!r}"
            )
        super().__init__(**kwargs)
        self.units = list(units)
        self.classes = classes
        self.visible = visible
        self.dropout = dropout
        self.given_shape = None if input_shape is None else tuple(input_shape)
        self.seed = seed
        self.flatten = keras.layers.Flatten(dtype=self.dtype_policy)
        self.hidden = [self._dense(u, "sigmoid", i) for i, u in enumerate(units)]
        self.drops = [
            backend.own_draws(
                keras.layers.Dropout(
                    dropout, seed=self._seed(100 + i), dtype=self.dtype_policy
                )
            )
            for i, _ in enumerate(units)
        ]
        self.head = None if classes is None else self._dense(classes, None, 200)
        self.decoder = []
        if input_shape is not None:
            self.build((None, *input_shape))

    def _seed(self, i):
        return None if self.seed is None else self.seed + i

    def _dense(self, units, activation, i, name=None):
        initializer = keras.initializers.GlorotUniform(self._seed(i))
        return keras.layers.Dense(
            units,
            activation,
            kernel_initializer=initializer,
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        if self.built:
            return
        features = math.prod(input_shape[1:])
        sizes = [features, *self.units]
        self.flatten.build(input_shape)
        for layer, size in zip(self.hidden, sizes[:-1], strict=True):
            layer.build((None, size))
        if self.head is not None:
            self.head.build((None, sizes[-1]))
        else:
            for i, size in reversed([*enumerate(sizes[:-1])]):
                last = "sigmoid" if i or self.visible == "bernoulli" else None
                self.decoder.append(self._dense(size, last, 300 + i))
                self.decoder[-1].build((None, sizes[i + 1]))
        self.built = True
        self.quantize_again()

    def made(self):
        return [*self.hidden, *([self.head] if self.head else []), *self.decoder]

    def call(self, inputs, training=None):
        h = self.flatten(inputs)
        for layer, drop in zip(self.hidden, self.drops, strict=True):
            h = layer(h)
            if self.dropout:
                h = drop(h, training=training)
        if self.head is not None:
            return self.head(h)
        for layer in self.decoder:
            h = layer(h)
        return h

    def features(self, x: Any, batch_size: int = 1024) -> np.ndarray:
        """h_L of all rows of x, an array `(rows, units[-1])`."""
        return greedy.through(self.hidden, greedy.flat(x), batch_size)

    def pretrain(
        self,
        x: Any,
        epochs: int = 10,
        batch_size: int = 100,
        learning_rate: Positive = 0.1,
        momentum: Share = 0.5,
        k: Count = 1,
        persistent: bool = False,
        data_init: bool = False,
        fit: Callable | None = None,
        **options,
    ) -> list[dict[str, list[float]]]:
        """Learn the machines one on another, and take their weights.

        Args:
            x: Array `(rows, ...)`.
            epochs: Integer, `>= 0`. Of each machine.
            batch_size: Integer, `>= 1`.
            learning_rate: Float, of SGD.
            momentum: Float, of SGD.
            k: Integer, `>= 1`. Gibbs steps of contrastive divergence.
            persistent: Whether the Gibbs chains go on from batch to batch.
            data_init: Whether each machine's visible biases start from the rates of
                the data that it learns on.
            fit: A function `(model, x, epochs, batch_size, layer_number) -> history`
                that trains; None for Keras' own `fit`.
            **options: Of `layers.RBM`: `sparsity_target`, `chains`, ...

        Returns: a list of histories, a dict of lists for each machine.
        """
        if not self.built:
            self.build((None, *x.shape[1:]))
        h, histories = greedy.flat(x), []
        if self.visible == "bernoulli":
            greedy.check_chances(h)
        seeds = greedy.seeds(len(self.hidden), self._seed(400))
        for i, layer in enumerate(self.hidden):
            visible = self.visible if i == 0 else "bernoulli"
            rbm = RBM(
                layer.units,
                visible=visible,
                k=k,
                persistent=persistent,
                seed=seeds[i],
                data_init=data_init,
                **options,
            )
            machine = keras.Sequential([keras.Input((h.shape[1],)), rbm])
            rbm.adapt(h)
            machine.compile(keras.optimizers.SGD(learning_rate, momentum))
            histories.append((fit or greedy.fit)(machine, h, epochs, batch_size, i))
            self._take(i, rbm)
            if i + 1 < len(self.hidden):
                h = greedy.through([layer], h)
        return histories

    def _take(self, i, rbm):
        """Machine i's weights into the encoder, and transposed into the decoder."""
        W, b, c = map(
            ops.convert_to_numpy, (rbm.kernel, rbm.visible_bias, rbm.hidden_bias)
        )
        self.hidden[i].set_weights([W, c])
        if self.decoder:
            self.decoder[len(self.hidden) - 1 - i].set_weights([W.T, b])

    def compute_output_shape(self, input_shape):
        last = self.classes or math.prod(input_shape[1:])
        return (input_shape[0], last)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "classes": self.classes,
            "visible": self.visible,
            "dropout": self.dropout,
            "input_shape": self.given_shape,
            "seed": self.seed,
        }
