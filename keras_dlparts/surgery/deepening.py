"""Deepening: layers that change nothing yet enter a trained model.

    identity block    act(norm(I h)) = h               where act(act(u)) = act(u)
                      I: an identity matrix, or a kernel with one at its centre
    residual block    h + W_2 act(norm(W_1 h)) = h     W_2 = 0

A deeper net can be no worse than a shallow one, since its further layers could be
identities: the thought experiment of He et al. 2016, "Deep residual learning for image
recognition", arXiv:1512.03385. Here it is built, to be trained on. The identity block
is Net2DeeperNet of Chen, Goodfellow, Shlens 2016, "Net2Net", arXiv:1511.05641.

A batch normalisation in an identity block has gamma^2 = Var + epsilon and beta = E.
With the E and Var of data it is an identity in training too, but for what batches
differ; without data they are 0 and 1.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from keras_dlparts import graphs
from keras_dlparts.backend import feeding
from keras_dlparts.layers.residual.orders import Chain
from keras_dlparts.layers.residual.residual import Residual
from keras_dlparts.support import progress
from keras_dlparts.support.checks import check_count, check_word
from keras_dlparts.surgery.copying import fresh
from keras_dlparts.surgery.stripping import check_built

_LINEAR = (kl.Dense, kl.Conv1D, kl.Conv2D, kl.Conv3D)
_ACTIVATIONS = (kl.Activation, kl.ReLU, kl.LeakyReLU, kl.ELU, kl.PReLU, kl.Softmax)
# Applied twice these give what they give once.
_IDEMPOTENT = (
    keras.activations.relu,
    keras.activations.relu6,
    keras.activations.hard_tanh,
)
_NO_ACTIVATION = (None, keras.activations.linear)


def deepen(
    model: keras.Model,
    n: int = 1,
    after: str | Sequence[str] | None = None,
    block: Literal["auto", "identity", "residual"] = "auto",
    data: Any = None,
    verbose: Literal["auto", 0, 1] = "auto",
) -> keras.Model:
    """A deeper model with the same outputs, to train on.

    Blocks are put behind hidden Dense and convolution layers and their activations,
    spread evenly over the depth. `"auto"` takes an identity block, a layer of the same
    kind and size that passes on what it gets, where the activation lets it pass (ReLU
    and others that are idempotent), and a residual block whose last kernel is 0
    elsewhere. In a model with residual sums (an `Add`, `Residual`, a residual block)
    these get residual blocks behind them, and other places none. What is inside of
    nested models stays as it is.

    Args:
        model: A built Sequential or Functional model, trained or loaded. It stays as
            it is.
        n: Integer, `>= 1`. How many blocks to add.
        after: Optional name, or list of names, of the layers to put them behind.
        block: `"auto"`, `"identity"` or `"residual"`.
        data: Optional inputs: an array, or what yields batches. Needed where an
            identity block has a batch normalisation and should pass the signal in
            training as well: it gets its statistics from them. Without, it passes the
            signal in inference only, and normalises it in training.
        verbose: `"auto"` or 1 to report on standard error where which block was put;
            0 for silence.

    Returns:
        A new `keras.Model`, not compiled. The new layers have the name of the one that
        they stand behind, with `_deeper_1` and so on.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), kl.Dense(8, "relu"), kl.Dense(2)])
    >>> deeper = deepen(model, 2, verbose=0)
    >>> [layer.name for layer in deeper.layers][1:3]
    ['dense..._deeper_1', 'dense..._deeper_2']
    >>> x = np.ones((1, 4))
    >>> bool(ops.all(deeper(x) == model(x)))
    True

    Reference: Chen, Goodfellow, Shlens 2016, https://arxiv.org/abs/1511.05641
    """
    check_built(model)
    check_count("n", n)
    check_word("block", block, ("auto", "identity", "residual"))
    if not graphs.has_graph(model):
        raise TypeError(
            "`model` must be a Sequential or Functional model: the order of another "
            f"one's layers is in its code. Received: {type(model).__name__}"
        )
    places = _chosen(model, after)
    say = progress.news(verbose)
    blocks, made = {}, []
    spread = ((np.arange(n) + 0.5) * len(places) / n).astype(int)
    counts = np.bincount(spread, minlength=len(places))
    for place, count in zip(places, counts, strict=True):
        if count:
            kind, why = place.decide(block)
            added = [one for i in range(count) for one in place.make(kind, i + 1)]
            blocks[id(place.end.operation)] = added
            made += [(place, layer) for layer in added]
            say(f"{place.end.operation.name!r}: {count} {kind} after it{why}")
    new = _extended(model, blocks)
    for _, layer in made:
        if isinstance(layer, _LINEAR):
            layer.kernel.assign(_identity(layer))
    norms = [
        (p, layer) for p, layer in made if isinstance(layer, kl.BatchNormalization)
    ]
    if norms and data is not None:
        _take_statistics(model, norms, data)
    return new


@dataclasses.dataclass
class _Place:
    """Where blocks may go: behind an activation, or behind a residual sum.

    Args:
        start: The node of the linear layer or of the sum.
        linear: The linear layer that blocks are made like.
        norm: Its batch normalisation, or None.
        activation: A layer with the activation behind it, or None.
        end: The node that blocks go behind.
        is_sum: Whether it is behind a residual sum.
    """

    start: graphs.Node
    linear: keras.Layer
    norm: keras.Layer | None
    activation: keras.Layer | None
    end: graphs.Node
    is_sum: bool

    def function(self):
        """The activation as a function, or a layer that is none of Keras' functions."""
        if self.activation is None:
            return None if self.is_sum else self.linear.activation
        if type(self.activation) is kl.ReLU:
            plain = not self.activation.negative_slope and not self.activation.threshold
            return keras.activations.relu if plain else self.activation
        return getattr(self.activation, "activation", self.activation)

    def decide(self, block):
        """(the kind of block, why it is not an identity)."""
        function = self.function()
        if self.is_sum:
            reason = "it is a residual sum"
        elif function in _NO_ACTIVATION:
            reason = "it has no activation"
        elif function not in _IDEMPOTENT:
            name = getattr(function, "__name__", type(function).__name__)
            reason = f"{name} of {name} is not {name}"
        else:
            return ("residual" if block == "residual" else "identity"), ""
        if block == "identity":
            raise ValueError(
                f"An identity block cannot stand behind {self.end.operation.name!r}: "
                f"{reason}. Received: block='identity'; use 'auto' or 'residual'"
            )
        return "residual", f", as {reason}"

    def make(self, kind, number):
        """The layers of a block."""
        name = f"{self.start.operation.name}_deeper_{number}"
        if kind == "residual":
            return [self._residual(name)]
        linear = self._like(name, activation=None)
        if self.norm is None and self.activation is None:
            linear.activation = self.linear.activation
        layers = [linear]
        if self.norm is not None:
            config = {"name": f"{name}_norm", "scale": True, "center": True}
            config = {**self.norm.get_config(), **config}
            # Beside the moving statistics 0 and 1 this gain passes the input on.
            root = float(np.sqrt(1 + self.norm.epsilon))
            config["gamma_initializer"] = keras.initializers.Constant(root)
            config["beta_initializer"] = "zeros"
            layers.append(kl.BatchNormalization.from_config(config))
        if self.activation is not None:
            config = {**self.activation.get_config(), "name": f"{name}_activation"}
            layers.append(type(self.activation).from_config(config))
        linear.bias_initializer = keras.initializers.Zeros()
        return layers

    def _residual(self, name):
        first = self._like(f"{name}_first", activation=None)
        last = self._like(f"{name}_last", activation=None)
        last.kernel_initializer = keras.initializers.Zeros()
        last.bias_initializer = keras.initializers.Zeros()
        function = self.function()
        if function in _NO_ACTIVATION:
            function = keras.activations.relu
        if isinstance(function, keras.Layer):
            between = fresh(function)
        else:
            between = kl.Activation(function, dtype=self.linear.dtype_policy)
        norm = [] if self.norm is None else [fresh(self.norm)]
        policy = self.linear.dtype_policy
        return Residual([first, *norm, between, last], name=name, dtype=policy)

    def _like(self, name, activation):
        """A linear layer like the place's that keeps the shape of its input."""
        config = {**self.linear.get_config(), "name": name, "activation": activation}
        if not isinstance(self.linear, kl.Dense):
            causal = self.linear.padding == "causal"
            config |= {"padding": "causal" if causal else "same", "strides": 1}
            if not causal:
                # A dilated window of even size has no tap at the position itself.
                pairs = zip(
                    self.linear.kernel_size, self.linear.dilation_rate, strict=True
                )
                config["dilation_rate"] = [rate if k % 2 else 1 for k, rate in pairs]
        shape = self.end.outputs[0].shape
        if isinstance(self.linear, kl.Dense):
            config["units"] = shape[-1]
        else:
            first = self.linear.data_format == "channels_first"
            config["filters"] = shape[1 if first else -1]
            if config["filters"] % self.linear.groups:
                config["groups"] = 1
        return type(self.linear).from_config(config)


def _identity(layer):
    """The kernel with which a linear layer passes its input on."""
    *window, inputs, outputs = layer.kernel.shape
    kernel = np.zeros(layer.kernel.shape)
    # The centre of a window as `padding="same"` places it, or its end.
    causal = getattr(layer, "padding", None) == "causal"
    at = tuple(size - 1 if causal else (size - 1) // 2 for size in window)
    for j in range(outputs):
        kernel[(*at, j % inputs, j)] = 1
    return kernel


def _chosen(model, after):
    """The places to use, in the order of computation."""
    places, refused = _places(model)
    if after is None:
        sums = [place for place in places if place.is_sum]
        plain = [place for place in places if place.function() not in _NO_ACTIVATION]
        if sums or plain:
            return sums or plain
        told = "".join(f"\n{name!r}: {why}" for name, why in refused.items())
        raise ValueError(
            "`model` must have a hidden Dense or convolution layer with an activation, "
            f"or a residual sum. Received: {model.name!r}, without one{told}"
        )
    found = {}
    for place in places:
        for operation in (place.start.operation, place.end.operation):
            found.setdefault(operation.name, place)
    chosen = []
    for name in [after] if isinstance(after, str) else after:
        if name not in found:
            why = refused.get(name, f"there are {', '.join(map(repr, found))}")
            raise ValueError(
                "`after` must name hidden Dense or convolution layers, or residual "
                f"sums. Received: {name!r}; {why}"
            )
        if found[name] not in chosen:
            chosen.append(found[name])
    if not chosen:
        raise ValueError("`after` must name at least one layer. Received: none")
    return chosen


def _places(model):
    """(all places, {name of another layer: why it is none})."""
    nodes = graphs.nodes(model)
    times = collections.Counter(id(node.operation) for node in nodes)
    places, refused = [], {}
    for node in nodes:
        layer = node.operation
        if isinstance(layer, kl.InputLayer):
            continue
        is_sum = _is_sum(node)
        if not is_sum and type(layer) not in _LINEAR:
            kind = type(layer).__name__
            refused[layer.name] = f"it is a {kind}, neither of these"
            continue
        chain = [node]
        norm = activation = None
        after = node.only_user
        if (
            after is not None
            and not is_sum
            and isinstance(after.operation, kl.BatchNormalization)
        ):
            norm = after.operation
            chain.append(after)
            after = after.only_user
        if after is not None and type(after.operation) in _ACTIVATIONS:
            activation = after.operation
            chain.append(after)
        linear = _linear_before(node) if is_sum else layer
        why = ""
        if linear is None:
            why = "no Dense or convolution layer leads to it"
        elif any(times[id(one.operation)] > 1 for one in chain):
            why = "it is used more than once"
        elif chain[-1].is_output:
            why = "its output is the model's"
        elif not chain[-1].outputs:
            why = "the shape of its output is not known: begin the model with an Input"
        elif getattr(linear, "quantization_mode", None) or getattr(
            linear, "lora_enabled", False
        ):
            why = "it is quantised or has LoRA weights"
        elif not is_sum and norm and linear.activation not in _NO_ACTIVATION:
            # The norm stands behind an activation: the place is before it.
            norm = activation = None
            chain = [node]
        if why:
            refused[layer.name] = why
        else:
            places.append(_Place(node, linear, norm, activation, chain[-1], is_sum))
    return places, refused


def _is_sum(node):
    if isinstance(node.operation, Residual | Chain):
        return True
    return type(node.operation).__name__ == "Add" and len(node.sources) > 1


def _linear_before(node):
    """The Dense or convolution layer in a residual layer, or nearest before a sum."""
    queue, seen = collections.deque([node]), set()
    while queue:
        one = queue.popleft()
        inner = [one.operation]
        if isinstance(one.operation, keras.Layer):
            inner = graphs.layers(one.operation)
        linear = [layer for layer in inner if type(layer) in _LINEAR]
        if linear:
            # A bottleneck ends with a 1 x 1 convolution: its widest window is taken.
            return max(
                linear, key=lambda layer: np.prod(getattr(layer, "kernel_size", 1))
            )
        queue += [each for each in one.sources if id(each) not in seen]
        seen |= {id(each) for each in one.sources}
    return None


def _extended(model, blocks):
    """A copy of a model with layers put behind some of its operations."""
    made = {}

    def clone(layer):
        if id(layer) not in made:
            made[id(layer)] = layer, fresh(layer)
        return made[id(layer)][1]

    if isinstance(model, keras.Sequential):
        start = keras.Input(batch_shape=model.input_shape, dtype=model.input_dtype)
        layers = [start]
        for layer in model.layers:
            layers += [clone(layer), *blocks.get(id(layer), ())]
        new = keras.Sequential(layers, name=model.name)
    else:

        def call(layer, *arguments, **more):
            out = layer(*arguments, **more)
            for block in behind.get(id(layer), ()):
                out = block(out)
            return out

        behind = {}

        def clone_behind(layer):
            copy = clone(layer)
            behind[id(copy)] = blocks.get(id(layer), ())
            return copy

        new = keras.models.clone_model(
            model, clone_function=clone_behind, call_function=call
        )
    for layer, copy in made.values():
        if isinstance(layer, keras.Layer) and layer.weights:
            copy.set_weights(layer.get_weights())
    return new


def _take_statistics(model, norms, data):
    """Let batch normalisations be identities for what data gives in front of them."""
    ends = {id(place.end): place.end.outputs[0] for place, _ in norms}
    seen = keras.Model(model.inputs, list(ends.values()))
    sums = [[0, 0.0, 0.0] for _ in ends]
    axis = {id(place.end): norm.axis for place, norm in norms}
    for x in feeding.inputs(data, 256):
        outputs = keras.tree.flatten(seen(keras.tree.flatten(x), training=False))
        for total, key, out in zip(sums, ends, outputs, strict=True):
            out = ops.convert_to_numpy(out).astype("float64")
            out = np.moveaxis(out, axis[key], -1).reshape(-1, out.shape[axis[key]])
            total[0] += len(out)
            total[1] += out.sum(axis=0)
            total[2] += (out**2).sum(axis=0)
    if not sums[0][0]:
        raise ValueError("`data` must hold at least one sample. Received: none")
    moments = dict(zip(ends, sums, strict=True))
    for place, norm in norms:
        count, total, squares = moments[id(place.end)]
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0)
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
        norm.gamma.assign(np.sqrt(variance + norm.epsilon))
        norm.beta.assign(mean)
