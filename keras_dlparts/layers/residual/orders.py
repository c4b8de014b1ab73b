"""The orders of linear layers, norms and activations in a residual block.

`ResidualBlock` has the table of them; its convolutions and `ResidualDenseBlock`'s Dense
layers are arranged here.
"""

import keras

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.layers.residual.remat import recomputed
from keras_dlparts.layers.residual.residual import Residual, build_all, output_shape
from keras_dlparts.layers.residual.sharing import shared_as
from keras_dlparts.support.quantization import MakesLayers

ORDERS = (
    "original",
    "bn_after_add",
    "relu_before_add",
    "relu_only",
    "full_preactivation",
)
_ACTIVATION_FIRST = ("relu_only", "full_preactivation")


def ordered(order, linears, norm, activation):
    """(branch, after): the layers of one order, around the linear ones.

    `norm` and `activation` make a new layer at each call.
    """
    if order in _ACTIVATION_FIRST:
        preactivate = order == "full_preactivation"
        branch = []
        for layer in linears:
            ends = [norm(), activation(), layer]
            branch += ends if preactivate else [activation(), layer, norm()]
        return branch, []
    branch = []
    for layer in linears:
        branch += [layer, norm(), activation()]
    if order == "original":
        return branch[:-1], [branch[-1]]
    if order == "bn_after_add":
        return branch[:-2], branch[-2:]
    return branch, []


# The orders in which a norm stands directly after each convolution.
_NORM_AFTER = ("original", "relu_before_add", "relu_only")


def arranged(block, linears, changes, project, norm, drop=None):
    """The layers of a block: those before the sum, the `Residual`, those after.

    `changes`: whether the branch changes the shape. `project` makes the linear layer
    of a shortcut that does the same, `norm` a normalising layer or None. `drop` is
    a layer to stand in front of the last linear one.
    """

    def activation():
        return keras.layers.Activation(block.activation, dtype=block.dtype_policy)

    branch, after = ordered(block.order, linears, norm, activation)
    if drop is not None:
        branch.insert(branch.index(linears[-1]), drop)
    branch = [layer for layer in branch if layer is not None]
    after = [layer for layer in after if layer is not None]
    before, shortcut = [], block.shortcut
    if shortcut == "projection" or (changes and shortcut != "none"):
        if block.resize == "pad" and shortcut != "projection":
            shortcut = "pad"
        else:
            shortcut = [project(), norm() if block.order in _NORM_AFTER else None]
            shortcut = [layer for layer in shortcut if layer is not None]
            if block.order in _ACTIVATION_FIRST:
                head = branch.index(linears[0])
                before, branch = branch[:head], branch[head:]
    residual = Residual(
        branch,
        shortcut,
        stochastic_depth=block.stochastic_depth,
        zero_init=block.zero_init,
        seed=block.seed,
        dtype=block.dtype_policy,
        **block.residual,
    )
    return [*before, residual, *after]


class Chain(MakesLayers, keras.layers.Layer):
    """Layers in a row that are made in `build`, when the input's shape is known.

    A subclass has `make(input_shape)`, which returns them.
    """

    layers = ()
    remat = False

    def build(self, input_shape):
        self.layers = self.make(input_shape)
        build_all(self.layers, input_shape)
        self.quantize_again()

    def made(self):
        return self.layers

    def call(self, inputs, training=None):
        def run(x):
            for layer in self.layers:
                # Keras hands `training` on only inside the call of this layer, and
                # with `remat` this function runs once more after it has returned.
                takes = keras_private.takes_training(layer)
                says = {"training": training} if takes else {}
                x = layer(x, **says)
            return x

        if self.remat and training:
            return recomputed(self, run, inputs)
        # Only in training: a model's exports have no functions of their own in them.
        key = shared_as(self, inputs) if training is True else None
        if key is not None:
            return backend.traced_once(run, key, inputs, self.variables)
        return run(inputs)

    def compute_output_shape(self, input_shape):
        return output_shape(self.layers or self.make(input_shape), input_shape)
