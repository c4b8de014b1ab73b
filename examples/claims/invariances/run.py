"""What the outputs of a normalized layer do not notice: each row of the table."""

import keras
import numpy as np

from keras_dlparts.layers import WeightNormalization

BATCH, INPUTS, UNITS = 64, 20, 12
EPSILON = 1e-9  # so small that the invariances are exact to rounding


def run(seed, data, kind, samples=BATCH):
    """The largest change of an output, over the largest output.

    The layer is a product with a matrix, the normalization, and a hyperbolic tangent.
    """
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, INPUTS))
    w = random.normal(size=(INPUTS, UNITS))
    outputs = layer(kind)
    plain = outputs(x, w)

    def change(x, w):
        return float(abs(outputs(x, w) - plain).max() / abs(plain).max())

    one, first = np.ones((1, UNITS)), np.zeros((samples, 1))
    one[0, 0], first[0] = 3.0, 1.0
    shift = random.normal(size=(INPUTS, 1))
    return {
        "matrix_scaled": change(x, 3 * w),
        "matrix_shifted": change(x, w + shift),  # the same vector for each unit
        "vector_scaled": change(x, one * w),
        "data_scaled": change(3 * x, w),
        "data_shifted": change(x + shift.T, w),
        "case_scaled": change(x * (1 + 2 * first), w),
    }


def layer(kind):
    """A function of inputs and matrix; with the batch's own statistics."""
    dense = keras.layers.Dense(UNITS, use_bias=False)
    if kind == "weight":
        whole = WeightNormalization(dense)
    elif kind == "layer":
        norm = keras.layers.LayerNormalization(epsilon=EPSILON)
        whole = keras.Sequential([dense, norm])
    else:
        norm = keras.layers.BatchNormalization(epsilon=EPSILON)
        whole = keras.Sequential([dense, norm])
    whole.build((None, INPUTS))

    def outputs(x, w):
        dense.kernel.assign(w.astype("float32"))
        y = keras.ops.tanh(whole(x.astype("float32"), training=True))
        return keras.ops.convert_to_numpy(y)

    return outputs


def draw(figure, rows):
    """The table: the change in each field."""
    names = [name for name in rows[0] if name.endswith(("scaled", "shifted"))]
    figure.set_size_inches(8, 2.2)
    axes = figure.add_subplot()
    values = np.array([[row[name] for name in names] for row in rows])
    axes.imshow(np.log10(values + 1e-8), cmap="Blues", vmin=-8, vmax=2, aspect="auto")
    for i, j in np.ndindex(values.shape):
        color = "white" if values[i, j] > 0.01 else "black"
        options = {"ha": "center", "va": "center", "size": 9, "color": color}
        axes.text(j, i, f"{values[i, j]:.1g}", **options)
    axes.set_xticks(range(len(names)), [n.replace("_", " ") for n in names], size=8)
    axes.set_yticks(range(len(rows)), [row["way"] for row in rows], size=9)
    axes.set_title("largest change of an output, over the largest output", size=10)
