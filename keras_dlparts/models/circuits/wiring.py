"""Dense layers from units that are written down as linear forms.

    unit of layer l   =  activation(a form)
    a form            =  sum_i w_i (unit i of layer l - 1) + b

so that a construction reads as in a proof: `bit = u - v`, `x = 2 * x - bit`.
"""

import warnings

import keras
import numpy as np
from keras import ops

# How many binary digits a number holds: up to 2^n all integers are exact.
SIGNIFICAND = {"float32": 24, "float64": 53}


@keras.saving.register_keras_serializable("dlparts", name="circuit_floor")
def floor(x):
    """The largest integer that is not above x, as an activation; its slope is 0."""
    return ops.floor(x)


class Form:
    """A sum of units of one layer with weights, and a constant.

    Args:
        layer: Integer. The layer whose units it takes.
        weights: {number of a unit: its weight}.
        constant: Float.
    """

    def __init__(self, layer, weights, constant=0.0):
        self.layer, self.weights, self.constant = layer, weights, constant

    def __add__(self, other):
        if not isinstance(other, Form):
            return Form(self.layer, self.weights, self.constant + other)
        if other.layer != self.layer:
            raise ValueError(
                "A sum must be of units of one layer. Received: units of layer "
                f"{self.layer} and of layer {other.layer}"
            )
        weights = dict(self.weights)
        for unit, weight in other.weights.items():
            weights[unit] = weights.get(unit, 0.0) + weight
        return Form(self.layer, weights, self.constant + other.constant)

    def __mul__(self, factor):
        weights = {unit: weight * factor for unit, weight in self.weights.items()}
        return Form(self.layer, weights, self.constant * factor)

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


class Wiring:
    """A net that is written layer by layer.

    Args:
        inputs: Integer. How many numbers go in.
    """

    def __init__(self, inputs):
        self.layers = []
        self.units = self._units(inputs)

    def _units(self, count):
        return [Form(len(self.layers), {i: 1.0}) for i in range(count)]

    def layer(self, activation, forms):
        """The forms of the units of a new layer that apply an activation to forms."""
        self._add(activation, forms)
        self.units = self._units(len(forms))
        return self.units

    def grouped(self, activation, *groups):
        """A new layer of several lists of forms; its units come in the same lists."""
        units = iter(self.layer(activation, [form for each in groups for form in each]))
        return [[next(units) for _ in each] for each in groups]

    def _add(self, activation, forms):
        kernel = np.zeros((len(self.units), len(forms)))
        bias = np.zeros(len(forms))
        for j, form in enumerate(forms):
            if form.weights and form.layer != len(self.layers):
                raise ValueError(
                    "A layer must take units of the layer before it. Received: units "
                    f"of layer {form.layer} for layer {len(self.layers) + 1}"
                )
            for i, weight in form.weights.items():
                kernel[i, j] = weight
            bias[j] = form.constant
        self.layers.append((kernel, bias, activation))

    def model(self, outputs, name, dtype="float32"):
        """The Keras model whose outputs are some forms of the last layer's units."""
        self._add("linear", outputs)
        return assembled(self.layers, name, dtype)


def assembled(layers, name, dtype="float32"):
    """A Sequential model of Dense layers with given weights.

    Args:
        layers: List of (kernel, bias, activation). The activation is one of Keras' by
            name, a function, or `"clip"`, which is `min(max(x, 0), 1)`.
        name: The model's name.
        dtype: Of weights and computation.
    """
    model = keras.Sequential(name=name)
    model.add(keras.Input((len(layers[0][0]),), dtype=dtype))
    for kernel, bias, activation in layers:
        clipped = activation == "clip"
        dense = keras.layers.Dense(
            kernel.shape[1], "linear" if clipped else activation, dtype=dtype
        )
        model.add(dense)
        dense.set_weights([kernel, bias])
        if clipped:
            model.add(keras.layers.ReLU(max_value=1.0, dtype=dtype))
    return model


def check_dtype(dtype):
    """How many binary digits a dtype holds; an error where products lose some.

    Accelerators may shorten float32 to TF32 (11 digits) or bfloat16 (8) in products of
    matrices, and Keras computes products of float64 in float32 on some backends. A
    circuit would be silently wrong there, so a product is tried.
    """
    if dtype not in SIGNIFICAND:
        raise ValueError(
            f"`dtype` must be one of {', '.join(map(repr, SIGNIFICAND))}: others hold "
            f"too few digits. Received: dtype={dtype!r}"
        )
    digits = SIGNIFICAND[dtype]
    whole = np.diag(2.0**digits - 1 - 2 * np.arange(16))
    with warnings.catch_warnings():
        # JAX warns where it makes float32 of float64.
        warnings.simplefilter("ignore")
        product = ops.matmul(
            ops.convert_to_tensor(whole, dtype), ops.eye(16, dtype=dtype)
        )
    if (ops.convert_to_numpy(product) == whole).all():
        return digits
    if dtype == "float64":
        raise ValueError(
            "`dtype` must be 'float32' with this backend: there Keras does not "
            "multiply in float64, as it does on TensorFlow. Received: dtype='float64'"
        )
    raise RuntimeError(
        "A circuit needs products in whole float32, and this device shortens them. "
        "Received: a product that has lost digits. Switch that off (TensorFlow: "
        "tf.config.experimental.enable_tensor_float_32_execution(False); JAX: "
        "jax.config.update('jax_default_matmul_precision', 'highest'); PyTorch: "
        "torch.set_float32_matmul_precision('highest'))"
    )


def check_digits(name, value, dtype):
    """Raise unless so many binary digits fit into a number of a dtype."""
    most = check_dtype(dtype)
    if value > most:
        other = "; on TensorFlow dtype='float64' holds 53" if most < 53 else ""
        raise ValueError(
            f"`{name}` must be at most {most}, the binary digits that {dtype} holds: "
            f"inputs that differ in later ones are the same number. Received: "
            f"{name}={value}{other}"
        )
